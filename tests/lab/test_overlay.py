"""Overlay networks on real daemons: 20.10 joined by etcd and zookeeper (the article's second half), Swarm on later engines.

The rule that is tested: networks not listed → the store's side; listed, and nothing crosses → the advertise side.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dockernet_doctor.snapshot import bundle
from tests.lab import packages
from tests.lab.host import Doctor, Host, Lab
from tests.lab.machine import Machine

USABLE = "docker network create -d overlay probing >/dev/null && docker network rm probing"
TALK = "docker exec local_cont ping -c1 -W2 remote_cont"


class Cluster:
    """A store of three etcd members and one without its v2 API on one machine, zookeeper on another, and 20.10 hosts."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.changed: set[Host] = set()  # hosts whose daemon is not as it was
        self.made = False  # whether TestOverlay is there
        self.store = lab.machine("stores", trees=[packages.unpacked("etcd")])
        self.etcd = f"etcd://{self.store.address}:2379"
        members = {f"m{port}": port for port in (2379, 2479, 2579)}
        peers = ",".join(f"{name}=http://127.0.0.1:{port + 1}" for name, port in members.items())
        for name, port in members.items():
            self._etcd(name, port, port + 1, "--enable-v2=true", "--initial-cluster", peers)
        self._etcd("old", 2679, 2680, "--enable-v2=false")
        self.store.wait("curl -fsS http://127.0.0.1:2379/health && curl -fsS http://127.0.0.1:2679/health", 20)
        self.one = lab.host("oldest", "one", daemon=False)
        self.two = lab.host("oldest", "two", daemon=False)
        for host in (self.one, self.two):
            self.join(host)
            host.load_images()

    def _etcd(self, name: str, port: int, peer: int, *more: str) -> None:
        words = ["etcd", "--name", name, "--data-dir", f"/run/{name}", "--listen-client-urls", f"http://0.0.0.0:{port}"]
        words += ["--advertise-client-urls", f"http://{self.store.address}:{port}"]
        words += ["--listen-peer-urls", f"http://127.0.0.1:{peer}", "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}"]
        if "--initial-cluster" not in more:
            more = (*more, "--initial-cluster", f"{name}=http://127.0.0.1:{peer}")
        self.store.serve(f"{shlex.join([*words, *more])} >/var/log/{name}.log 2>&1")

    def join(self, host: Host, *flags: str) -> None:
        """Start the host's daemon anew with these flags (none: those that are right), and nothing left of before."""
        right = ("--cluster-store", self.etcd, "--cluster-advertise", "eth1:2376")
        restarted(host, *(flags or right))
        if flags:
            self.changed.add(host)

    def containers(self) -> None:
        """The article's: TestOverlay made here, remote_cont on the second host, local_cont on the first."""
        self.made = True
        self.one.docker("network create -d overlay TestOverlay")
        self.two.wait("docker network inspect TestOverlay", 10, "the second host lists TestOverlay")
        self.two.docker("run -d --name remote_cont --net TestOverlay net-test")
        self.one.docker("run -d --name local_cont --net TestOverlay net-test")

    def clean(self) -> None:
        for host in self.changed:
            halted(host)  # each before another starts: serf remembers by which address it met a node, and refuses another
        for host in (self.one, self.two):
            host.run("iptables -F INPUT; iptables -F OUTPUT")
            if host in self.changed:
                self.join(host)
            if self.made:
                host.run("docker ps -aq | xargs -r docker rm -f")
        if self.made:
            self.one.wait("docker network rm TestOverlay || ! docker network inspect TestOverlay", 10)
        self.changed.clear()
        self.made = False


def halted(host: Host) -> None:
    # a daemon that hangs does not end by itself, and one that hangs at its start blocks `systemctl start` too
    host.run("timeout 2 docker version >/dev/null 2>&1 || kill -9 $(cat /run/docker.pid); systemctl stop docker", check=False)


def restarted(host: Host, *flags: str, config: str | None = None) -> None:
    host.run("rm -rf /etc/docker/daemon.json* /etc/systemd/system/docker.service.d")
    if config is not None:
        host.write("/etc/docker/daemon.json", config)
    host.write_unit(*flags)
    halted(host)
    host.run(": > /var/log/docker.log; timeout 4 systemctl start docker; :")


@pytest.fixture(scope="module")
def cluster(able: None) -> Iterator[Cluster]:
    with Lab() as lab:
        yield Cluster(lab)


@pytest.fixture
def fresh(cluster: Cluster) -> Iterator[Cluster]:
    yield cluster
    cluster.clean()


def asked(host: Host, question: str = "check") -> Doctor:
    return host.doctor(f"{question} --format json", timeout=60)


def named(host: Host, cause: str, *words: str, question: str = "check") -> Doctor:
    """The tool leads with this cause, its first line holding these words."""
    answer = asked(host, question)
    assert answer.causes[:1] == [cause], (answer.causes, answer.findings[:2], answer.report["blind_spots"])
    summary = answer.findings[0]["summary"]
    assert all(word in summary for word in words), summary
    return answer


def mend(host: Host, answer: Doctor) -> None:
    fix = answer.findings[0]["fixes"][0]
    assert fix["runnable"], fix
    for command in fix["commands"]:
        host.run(command)


def silent(host: Host) -> None:
    loud = [f["id"] for f in asked(host).findings if f["severity"] != "info"]
    assert not loud, loud


def together(cluster: Cluster, directory: Path, question: str) -> Doctor:
    """Asked of both hosts at once, from their bundles."""
    for host in (cluster.one, cluster.two):
        host.doctor(["collect", str(directory / f"{id(host)}.bundle")])
    return cluster.one.doctor([*question.split(), "--bundle", str(directory), "--format", "json"])


def test_the_article_s_story(fresh: Cluster, tmp_path: Path) -> None:
    """Rules 35 to 41: store, two hosts, TestOverlay, `ep-…`, a ping by name; judged healthy on both sides, and by both."""
    fresh.containers()
    members = fresh.one.docker("network inspect TestOverlay").stdout
    assert '"ep-' in members
    assert "remote_cont" in members
    fresh.one.wait(TALK, 10)
    silent(fresh.one)
    silent(fresh.two)
    fresh.two.docker("exec remote_cont httpd -p 80")
    both = together(fresh, tmp_path, "reach local_cont@one remote_cont:80@two")
    assert (both.status, both.report["verdict"], both.findings) == (0, "reachable", [])
    missing = together(fresh, tmp_path, "reach local_cont@one remote_cont:81@two").findings[0]
    assert (missing["cause"], missing["subject"]["host"]) == ("container-port-mismatch", "two")


def test_the_store_is_asked_only_where_something_may_be_sent(fresh: Cluster, tmp_path: Path) -> None:
    planned = json.loads(fresh.one.doctor("plan check --format json").stdout)["probes"]
    assert f"{fresh.store.address}:2379" in [probe["target"] for probe in planned if probe["probe"] == "store"]
    for name, options, asked_it in (("asked", [], True), ("quiet", ["--no-probes"], False)):
        fresh.one.doctor(["collect", *options, str(tmp_path / name)])
        assert (bundle.load(str(tmp_path / name)).snapshot.store is not None) is asked_it


ADVERTISE = " --cluster-advertise eth1:2376"


@dataclass(frozen=True)
class StoreFault:
    """A daemon started with the wrong options; {etcd} is host:port of the store, {host} its address."""

    id: str
    cause: str
    flags: str = ""
    config: str = ""
    words: tuple[str, ...] = ()
    status: int = 3
    runnable: bool = True


STORE_FAULTS = [
    StoreFault("no-store", "cluster-store-missing", ADVERTISE, words=("without --cluster-store",)),
    StoreFault("no-protocol", "cluster-store-malformed", "--cluster-store {etcd}" + ADVERTISE, words=("no protocol",)),
    StoreFault("http", "cluster-store-malformed", "--cluster-store http://{etcd}" + ADVERTISE, words=("(http)",)),
    StoreFault(
        "consul", "cluster-store-malformed", "--cluster-store consul://{host}:8500" + ADVERTISE,
        words=("this build",), runnable=False,
    ),
    StoreFault("no-port", "cluster-store-malformed", "--cluster-store etcd://{host}" + ADVERTISE, words=("no port",), status=1),
    StoreFault(
        "closed-port", "cluster-store-unreachable", "--cluster-store etcd://{host}:2377" + ADVERTISE,
        words=("2377 refused",), status=1,
    ),
    StoreFault(
        "zk-at-etcd", "cluster-store-wrong-backend", "--cluster-store zk://{etcd}" + ADVERTISE,
        words=("set to zk://", "is etcd", "never answers"),
    ),
    StoreFault(
        "no-v2", "cluster-store-wrong-backend", "--cluster-store etcd://{host}:2679" + ADVERTISE,
        words=("without its v2 API",), status=1, runnable=False,
    ),
    StoreFault(
        "no-interface", "cluster-advertise-malformed", "--cluster-store etcd://{etcd} --cluster-advertise eth7:2376",
        words=("eth7",),
    ),
    StoreFault(
        "no-advertise-port", "cluster-advertise-malformed", "--cluster-store etcd://{etcd} --cluster-advertise eth1",
        words=("no port",),
    ),
    StoreFault(
        "misspelt-flag", "cluster-option-misspelt", "--cluster-store etcd://{etcd} --cluster-advertize eth1:2376",
        words=("--cluster-advertize instead of --cluster-advertise",),
    ),
    StoreFault(
        "misspelt-key", "cluster-option-misspelt",
        config='{{"cluster-store": "etcd://{etcd}", "cluster-advertize": "eth1:2376"}}\n',
        words=("cluster-advertize instead of cluster-advertise",),
    ),
]  # fmt: skip


@pytest.mark.parametrize("fault", STORE_FAULTS, ids=lambda fault: fault.id)
def test_store_faults(fresh: Cluster, fault: StoreFault) -> None:
    """Overlay networks cannot be made; the cause is named first, and its fix brings them back."""
    host = fresh.one
    fresh.changed.add(host)
    places = {"etcd": f"{fresh.store.address}:2379", "host": fresh.store.address}
    restarted(host, *fault.flags.format(**places).split(), config=fault.config.format(**places) or None)
    assert not host.ok(USABLE, timeout=10)
    answer = named(host, fault.cause, *fault.words)
    assert answer.status == fault.status
    if not fault.runnable:
        assert not answer.findings[0]["fixes"][0]["runnable"]
        return
    mend(host, answer)
    host.wait("docker version", 20)
    if fault.cause != "cluster-store-missing":  # its fix gives the daemon back, not yet the store
        host.wait(USABLE, 10, "after the fix overlay networks can be made")
        silent(host)


ADVERTISE_FAULTS = [
    ("missing", "cluster-advertise-missing", [], "advertises no address"),
    ("loopback", "cluster-advertise-not-reachable", ["--cluster-advertise", "127.0.0.1:2376"], "a loopback address"),
    ("foreign", "cluster-advertise-not-reachable", ["--cluster-advertise", "10.99.0.200:2376"], "no address of this host"),
    ("bridge", "cluster-advertise-not-reachable", ["--cluster-advertise", "docker0:2376"], "its own bridge network bridge"),
]


@pytest.mark.parametrize(("kind", "cause", "flags", "words"), ADVERTISE_FAULTS, ids=[f[0] for f in ADVERTISE_FAULTS])
def test_advertise_faults(fresh: Cluster, tmp_path: Path, kind: str, cause: str, flags: list[str], words: str) -> None:
    """The network is listed and nothing crosses (rules 36, 39, 40, 45); after the fix it does."""
    fresh.join(fresh.one, "--cluster-store", fresh.etcd, *flags)
    fresh.containers()
    assert fresh.one.ok("docker network inspect TestOverlay")
    assert not fresh.one.ok(TALK)
    answer = named(fresh.one, cause, words)
    assert answer.status == 1
    if kind in ("missing", "bridge"):
        both = together(fresh, tmp_path, "reach remote_cont@two local_cont:80@one")
        assert (both.status, both.causes[0], both.findings[0]["subject"]["host"]) == (1, cause, "one")
    mend(fresh.one, answer)
    fresh.changed.add(fresh.two)
    if kind == "bridge":  # an address at which the other host has met it, and has to forget it
        fresh.two.run("systemctl restart docker && docker start remote_cont")
    fresh.one.run("docker start local_cont")
    fresh.one.wait(TALK, 60, "after the fix the containers talk")
    assert cause not in asked(fresh.one).causes


def test_zookeeper_lists_an_overlay_and_has_one_node(cluster: Cluster) -> None:
    """The other store that this build knows; standalone, it is a warning. 20.10 lists the network on both hosts, and crashes
    as soon as a container joins it, or somebody removes it."""
    store = cluster.lab.store("zookeeper")
    try:
        cluster.join(cluster.one, "--cluster-store", f"etcd://{store.address}:2181", "--cluster-advertise", "eth1:2376")
        assert not cluster.one.ok(USABLE)
        mend(cluster.one, named(cluster.one, "cluster-store-wrong-backend", "is zookeeper"))
        cluster.join(cluster.two, "--cluster-store", f"zk://{store.address}:2181", "--cluster-advertise", "eth1:2376")
        cluster.made = True
        cluster.one.docker("network create -d overlay TestOverlay")
        cluster.two.wait("docker network inspect TestOverlay", 10, "the second host lists TestOverlay")
        answer = named(cluster.one, "cluster-store-single-node", store.address)
        assert answer.status == 0
        assert [f["severity"] for f in answer.findings if f["severity"] != "info"] == ["warning"]
        assert not cluster.two.ok("docker run -d --name remote_cont --net TestOverlay net-test", timeout=20)
        assert "panic: " in cluster.two.log()
        assert named(cluster.two, "daemon-not-running", "overlay network that zookeeper keeps").status == 3
    finally:
        cluster.clean()
        store.kill()


def test_consul_is_told_from_the_others(cluster: Cluster) -> None:
    store = cluster.lab.store("consul")
    try:
        cluster.join(cluster.one, "--cluster-store", f"etcd://{store.address}:8500", "--cluster-advertise", "eth1:2376")
        assert not cluster.one.ok(USABLE)
        named(cluster.one, "cluster-store-wrong-backend", "is consul")
    finally:
        cluster.clean()
        store.kill()


@pytest.mark.parametrize(
    ("rule", "port"),
    [
        ("INPUT -p udp --dport 4789", "4789/udp"),
        ("INPUT -p tcp --dport 7946", "7946/tcp"),
        ("OUTPUT -p udp --dport 4789", "4789/udp"),
    ],
)
def test_blocked_ports_of_the_store_s_overlay(fresh: Cluster, rule: str, port: str) -> None:
    fresh.containers()
    fresh.one.wait(TALK, 10)
    fresh.one.run(f"iptables -I {rule} -j DROP")
    if port == "4789/udp":
        assert not fresh.one.ok(TALK)
    answer = named(fresh.one, "overlay-port-blocked", port)
    mend(fresh.one, answer)
    fresh.one.wait(TALK, 10)
    silent(fresh.one)


def test_equal_hostnames(fresh: Cluster) -> None:
    """Serf gives up (twin: the story above); both hosts' bundles read together name it too."""
    fresh.two.run("hostname one")
    fresh.join(fresh.two)
    fresh.changed |= {fresh.one, fresh.two}  # serf, once it gave up, stays so until the next start
    fresh.containers()
    try:
        fresh.two.wait(lambda: "onflict" in fresh.two.log() + fresh.one.log(), 20, "serf's conflict")
        at_fault = fresh.two if "onflict" in fresh.two.log() else fresh.one
        named(at_fault, "duplicate-node-name", "hostname one")
    finally:
        fresh.two.run("hostname two")


def test_stale_endpoint(fresh: Cluster) -> None:
    """A host dies with a container; its name is taken until the endpoint is removed."""
    fresh.containers()
    lost = fresh.lab.host("oldest", "lost", daemon=False)
    try:
        fresh.join(lost)
        lost.load_images()
        lost.wait("docker network inspect TestOverlay", 10)
        lost.docker("run -d --name web --net TestOverlay net-test")
        lost.kill()
        assert not fresh.one.ok("docker run -d --name web --net TestOverlay net-test")
        answer = named(fresh.one, "stale-overlay-endpoint", "TestOverlay", "web")
        mend(fresh.one, answer)
        assert fresh.one.docker("inspect -f '{{.State.Running}}' web").stdout.strip() == "true"
        silent(fresh.one)
    finally:
        lost.kill()
        fresh.one.run("docker network disconnect -f TestOverlay web", check=False)


def test_store_and_swarm(fresh: Cluster) -> None:
    assert not fresh.one.ok(f"docker swarm init --advertise-addr {fresh.one.address}")
    fresh.changed.add(fresh.one)
    answer = named(fresh.one, "cluster-store-with-swarm", "Swarm is refused")
    mend(fresh.one, answer)
    fresh.one.run(f"docker swarm init --advertise-addr {fresh.one.address} && docker swarm leave --force")


REMOVED = [
    ("middle", ["--cluster-store", "etcd://10.99.0.3:2379", "--cluster-advertise", "eth1:2376"], None),
    ("newest", [], '{"cluster-store": "etcd://10.99.0.3:2379", "cluster-advertise": "eth1:2376"}\n'),
]


@pytest.mark.parametrize(("engine", "flags", "config"), REMOVED)
def test_removed_options(lab: Lab, engine: str, flags: list[str], config: str | None) -> None:
    host = lab.host(engine, daemon=False)
    restarted(host, *flags, config=config)
    assert not host.ok("docker version")
    answer = named(host, "cluster-options-removed", "engine 23 removed")
    assert answer.status == 3
    mend(host, answer)
    assert host.ok("docker version")
    silent(host)


# --- Swarm ---


class Swarm:
    """A manager and two workers, `app` attachable across them."""

    def __init__(self, lab: Lab, engine: str) -> None:
        self.hosts = [lab.host(engine, f"{engine}{number}") for number in (1, 2, 3)]
        self.manager, self.worker, self.other = self.hosts
        self.manager.docker(f"swarm init --advertise-addr {self.manager.address}")
        self.token = self.manager.docker("swarm join-token -q worker").stdout.strip()
        for host in self.hosts[1:]:
            self.join(host)
        self.manager.docker("network create -d overlay --attachable app")
        self.manager.docker("run -d --name here --net app net-test")
        self.worker.docker("run -d --name there --net app net-test", timeout=40)
        self.talks = "docker exec here ping -c1 -W2 there"
        self.manager.wait(self.talks, 15, "the Swarm's overlay carries")

    def join(self, host: Host, *flags: str) -> None:
        host.docker(["swarm", "join", *flags, "--token", self.token, f"{self.manager.address}:2377"])


@pytest.fixture(scope="module", params=["middle", "newest"])
def swarm(able: None, request: pytest.FixtureRequest) -> Iterator[Swarm]:
    with Lab() as lab:
        yield Swarm(lab, request.param)


def test_a_healthy_swarm_is_silent(swarm: Swarm) -> None:
    for host in swarm.hosts:
        silent(host)


def test_a_worker_s_stopped_container_has_its_network(swarm: Swarm) -> None:
    """The worker lists a network of the Swarm only while it is used: the container starts again all the same."""
    worker = swarm.worker
    worker.docker("stop -t 0 there")
    worker.wait("! docker network ls -q -f name=^app$ | grep .", 15, "the network is no longer listed")
    silent(worker)
    worker.docker("start there")
    swarm.manager.wait(swarm.talks, 15)


def test_not_attachable(swarm: Swarm) -> None:
    host = swarm.manager
    host.docker("network create -d overlay closed")
    assert not host.ok("docker run -d --name plain --net closed net-test")
    try:
        mend(host, named(host, "overlay-not-attachable", "plain cannot join the network closed"))
        assert host.docker("inspect -f '{{.State.Running}}' plain").stdout.strip() == "true"
        silent(host)
    finally:
        host.run("docker rm -f plain; docker network rm closed", check=False)


SERVICES = {
    "picky": ("--constraint node.labels.gpu==yes net-test", "scheduling constraints not satisfied"),
    "unpulled": ("shop/none:1", "No such image"),
    "dying": ("net-test false", "non-zero exit"),
    "idle": ("--replicas 0 net-test httpd -f -p 80", "is scaled to 0"),
}


def test_services_that_do_not_run(swarm: Swarm) -> None:
    """Why, on a manager; the nodes that they were tried on say nothing, nor does a node that was drained (twin: `fine`)."""
    manager = swarm.manager
    create = "service create --detach --no-resolve-image --restart-delay 1s --network app --endpoint-mode dnsrr"
    for name, (rest, _) in SERVICES.items():
        manager.docker(f"{create} --name {name} {rest}")
    manager.docker(f"{create} --name fine --mode global net-test httpd -f -p 80")
    try:
        for name, (_, why) in SERVICES.items():
            if name != "idle":
                manager.wait(f"docker service ps --no-trunc {name} | grep -q {shlex.quote(why)}", 15)
            named(manager, "service-not-running", name, why, question=f"reach here {name}:80")
        manager.docker(f"node update --availability drain {swarm.other.run('hostname').stdout.strip()}")
        swarm.other.wait("! docker ps -q --filter name=fine | grep .", 15)
        loud = {f["subject"]["name"] for f in asked(manager).findings if f["severity"] != "info"}
        assert loud == {*SERVICES} - {"idle"}
        for host in (swarm.worker, swarm.other):
            silent(host)
        mend(manager, asked(manager, "reach here idle:80"))
        manager.wait("docker exec here nslookup idle", 15, "after the fix the service has a name")
        assert asked(manager, "reach here idle:80").report["verdict"] == "reachable"
    finally:
        manager.docker(["service", "rm", "fine", *SERVICES])
        manager.docker(f"node update --availability active {swarm.other.run('hostname').stdout.strip()}")


@pytest.mark.parametrize("rule", ["INPUT -p udp --dport 4789", "INPUT -p tcp --dport 7946"])
def test_blocked_ports_of_swarm(swarm: Swarm, rule: str) -> None:
    """By the rule on this host; and from the other host, by what does not answer there."""
    host = swarm.worker
    host.run(f"iptables -I {rule} -j DROP")
    try:
        if "4789" in rule:
            assert not swarm.manager.ok(swarm.talks)
        else:
            assert not swarm.manager.ok(f"nc -z -w 2 {host.address} 7946")
            there = asked(swarm.manager)
            assert there.causes[:1] == ["overlay-port-blocked"], there.causes
            assert f"7946/tcp of {host.address}" in there.findings[0]["summary"]
        mend(host, named(host, "overlay-port-blocked", "a firewall rule stops it"))
        swarm.manager.wait(swarm.talks, 10)
        silent(host)
    finally:
        host.run(f"iptables -D {rule} -j DROP", check=False)


def test_a_host_that_lets_nothing_in(swarm: Swarm) -> None:
    """Not an echo either: that it is up is seen on the wire. Twin: a host that is down is no firewall."""
    host = swarm.worker
    rules = "-A INPUT -i lo -j ACCEPT", "-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT", "-P INPUT DROP"
    host.run(" && ".join(f"iptables {rule}" for rule in rules))
    try:
        assert not swarm.manager.ok(swarm.talks)
        assert not swarm.manager.ok(f"ping -c1 -W1 {host.address}")
        there = asked(swarm.manager)
        assert there.causes[:1] == ["overlay-port-blocked"], there.causes
        assert f"7946/tcp of {host.address}" in there.findings[0]["summary"]
        mend(host, named(host, "overlay-port-blocked", "default policy stops it (INPUT)"))
        swarm.manager.wait(swarm.talks, 10)
        silent(host)
        host.run("ip link set eth1 down")
        assert "overlay-port-blocked" not in asked(swarm.manager).causes
    finally:
        host.run("iptables -P INPUT ACCEPT; iptables -F INPUT; ip link set eth1 up")
        host.run(f"ip route replace default via {host.neighbour.address}")


@pytest.mark.parametrize("swarm", ["newest"], indirect=True)
def test_wrong_advertise_address_of_a_worker(swarm: Swarm) -> None:
    """The join succeeds and `node ls` says Ready: only the node itself shows it."""
    host = swarm.other
    host.docker("swarm leave")
    swarm.join(host, "--advertise-addr", "10.99.0.200")
    try:
        swarm.manager.wait(f"docker node ls | grep Ready | grep -q {host.engine}3", 10)
        named(host, "swarm-advertise-wrong", "10.99.0.200", "no address of this host")
    finally:
        host.docker("swarm leave")
        swarm.join(host)


@pytest.mark.parametrize("swarm", ["newest"], indirect=True)
def test_vxlan_port_taken(swarm: Swarm) -> None:
    host = swarm.other
    holder = host.serve("nc -lu 0.0.0.0 4789")
    host.wait("ss -lun | grep -q :4789", 5)
    try:
        assert not host.ok("docker run -d --name late --net app net-test", timeout=40)
        mend(host, named(host, "vxlan-port-taken", "4789", "nc"))
        host.wait("docker start late", 10)
        silent(host)
    finally:
        holder.kill()
        host.run("docker rm -f late", check=False)


@pytest.mark.parametrize("swarm", ["newest"], indirect=True)
def test_encrypted_overlay_without_esp(swarm: Swarm) -> None:
    """This kernel has no ESP; the twin without encryption is `app`."""
    if _has_esp(swarm.manager):
        pytest.skip("this kernel has ESP: the fault cannot be made")
    try:
        swarm.manager.docker("network create -d overlay --attachable --opt encrypted secret")
        swarm.manager.docker("run -d --name shut --net secret net-test")
        swarm.worker.docker("run -d --name far --net secret net-test", timeout=40)
        swarm.manager.wait(lambda: "Failed Adding" in swarm.manager.log(), 10, "the daemon's word on ESP")
        assert not swarm.manager.ok("docker exec shut ping -c1 -W2 far")
        named(swarm.manager, "encrypted-overlay-blocked", "secret")
    finally:
        for host in swarm.hosts[:2]:
            host.run("docker rm -f shut far", check=False)
        swarm.manager.run("docker network rm secret", check=False)


def _has_esp(machine: Machine) -> bool:
    ends, key = "src 10.1.1.1 dst 10.1.1.2 proto esp spi 1", "0x00112233445566778899aabbccddeeff"
    return machine.ok(f"ip xfrm state add {ends} mode transport enc 'cbc(aes)' {key} && ip xfrm state del {ends}")


def test_no_swarm(lab: Lab) -> None:
    """20.10 logs the refusal; later engines do not, there the text of the error leads to the page."""
    host = lab.host("oldest")
    silent(host)
    assert not host.ok(USABLE)
    answer = named(host, "swarm-inactive", "asked for an overlay network")
    mend(host, answer)
    assert host.ok(USABLE)
    silent(host)
