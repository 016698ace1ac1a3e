"""Swarm as a manager tells of it: services that do not run, what is left of their tasks, and a Swarm without a leader."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

import msgspec
import pytest
from msgspec.structs import replace

from dockernet_doctor.diagnosis import registry, run
from dockernet_doctor.diagnosis.finding import Finding
from dockernet_doctor.diagnosis.question import Question, parse_source, parse_target
from dockernet_doctor.diagnosis.run import Diagnosis
from dockernet_doctor.moments import moment
from dockernet_doctor.probe.model import Answer, Probe
from dockernet_doctor.snapshot import wire
from dockernet_doctor.snapshot.engine import service_of
from dockernet_doctor.snapshot.model import (
    Address,
    Container,
    Endpoint,
    Link,
    Listener,
    LogLine,
    Process,
    Service,
    Snapshot,
    State,
    Swarm,
    SwarmTask,
)
from tests.unit.diagnosis.fleets import fleet, with_rule

MANAGER = fleet(2)[0]
CONSTRAINT = "no suitable node (scheduling constraints not satisfied on 3 nodes)"


def manager(*, services: tuple[Service, ...] = (), containers: tuple[Container, ...] = (), error: str = "") -> Snapshot:
    assert MANAGER.engine
    engine = replace(MANAGER.engine, swarm=replace(MANAGER.engine.swarm, error=error))
    return replace(MANAGER, engine=engine, services=services, containers=(*MANAGER.containers, *containers))


def service(running: int, desired: int, *errors: str, mode: str = "replicated") -> Service:
    return Service(id="s1", name="shop", mode=mode, desired=desired, running=running, errors=errors)


def check(snapshot: Snapshot) -> list[tuple[str, str]]:
    found = run.diagnose([snapshot], registry=registry.load()).findings
    return [(f.cause, f.severity) for f in found if f.severity != "info"]


def reach(snapshot: Snapshot, source: str, target: str) -> Diagnosis:
    question = Question(source=parse_source(source), target=parse_target(target))
    return run.diagnose([snapshot], [question], asked=True, registry=registry.load())


@pytest.mark.parametrize(
    ("shop", "severity"),
    [
        (service(0, 1, CONSTRAINT), "error"),
        (service(1, 2, "no suitable node (host-mode port already in use on 1 node)"), "warning"),
        (service(0, 1), None),  # it is being started
        (service(0, 0), None),  # by design
        (service(2, 2), None),
        (service(2, 1), None),  # a node is down, and what ran there runs elsewhere
        (service(0, 1, "task: non-zero exit (1)", mode="replicatedjob"), None),
        (Service(id="s1", name="shop", errors=(CONSTRAINT,)), None),  # not counted
    ],
)
def test_services_that_do_not_run(shop: Service, severity: str | None) -> None:
    assert check(manager(services=(shop,))) == ([("service-not-running", severity)] if severity else [])


@pytest.mark.parametrize(
    ("said", "availability", "command"),
    [
        (
            "no suitable node (1 node not available for new tasks; scheduling constraints not satisfied on 1 node)",
            "pause",
            True,
        ),
        ("no suitable node (1 node not available for new tasks)", "active", False),  # down, and no longer ready
        ("no suitable node (insufficient resources on 2 nodes)", "active", True),
    ],
)
def test_what_swarm_wants_is_given(said: str, availability: str, command: bool) -> None:
    assert MANAGER.engine
    *others, last = MANAGER.engine.swarm.node_list
    swarm = replace(MANAGER.engine.swarm, node_list=(*others, replace(last, availability=availability)))
    snapshot = replace(manager(services=(service(0, 1, said),)), engine=replace(MANAGER.engine, swarm=swarm))
    (found,) = [f for f in run.diagnose([snapshot], registry=registry.load()).findings if f.cause == "service-not-running"]
    assert found.fixes[0].runnable is command
    if availability == "pause":
        assert found.fixes[0].commands == (f"docker node update --availability active {last.id}",)


@pytest.mark.parametrize("target", ["shop:80", "tasks.shop:80", "service:shop:80", "name:shop:80"])
@pytest.mark.parametrize(("shop", "says"), [(service(0, 1, CONSTRAINT), CONSTRAINT), (service(0, 0), "scaled to 0")])
def test_the_name_of_a_service_that_runs_nowhere(shop: Service, says: str, target: str) -> None:
    asked = reach(manager(services=(shop,)), "local_cont", target)
    first, *others = asked.findings
    assert (first.cause, first.severity, first.subject.kind) == ("service-not-running", "error", "service")
    assert says in first.summary
    assert [f.because_of for f in others] == [first.id] * len(others)


def task(name: str, seconds: int, state: State) -> Container:
    """Made so many seconds before the snapshot was taken, on a network that went with the last task here."""
    made = moment(MANAGER.taken_at) - timedelta(seconds=seconds)
    return Container(
        id=f"{seconds:064x}",
        name=f"{name}.task{seconds}",
        created=f"{made:%Y-%m-%dT%H:%M:%S}.5Z",
        state=state,
        swarm=SwarmTask(service="shop", service_id="s1"),
        endpoints=(Endpoint(network="front", network_id="gone"),),
    )


FAILED = State(status="exited", exit_code=1, finished_at="2026-01-01T00:00:00Z")
REFUSED = State(status="created", error="Bind for 0.0.0.0:8080 failed: port is already allocated", exit_code=128)


@pytest.mark.parametrize(
    ("tasks", "loud"),
    [
        ([task("shop.1", 20, FAILED)], False),  # drained, updated, or failed once: Swarm goes on elsewhere
        ([task("shop.1", 600, REFUSED)], False),
        ([task("shop.1", 20, REFUSED), task("shop.1", 10, State(status="running", running=True))], False),
        ([task("shop.1", 20, REFUSED)], True),
    ],
)
def test_what_is_left_of_tasks(tasks: list[Container], loud: bool) -> None:
    assert bool([found for found in check(manager(containers=tuple(tasks))) if found[1] == "error"]) is loud


def legacy(*log: str) -> Snapshot:
    """Engine 20.10 with a cluster store, and what its serf said."""
    assert MANAGER.engine
    engine = replace(
        MANAGER.engine,
        version="20.10.24",
        swarm=Swarm(),
        cluster_store="etcd://10.99.0.9:2379",
        cluster_advertise="eth1:2376",
    )
    daemon = replace(MANAGER.daemon, log=tuple(LogLine(text=text) for text in log), arguments=("dockerd",), files=())
    return replace(MANAGER, engine=engine, daemon=daemon)


CONFLICT = "[ERR] serf: Node name conflicts with another node at {}:7946. Names must be unique! (Resolution enabled: true)"
QUITTING = "[WARN] serf: minority in name conflict resolution, quitting [0 / 0]"


@pytest.mark.parametrize(
    ("log", "severity", "says"),
    [
        ((CONFLICT.format("10.99.0.77"), QUITTING), "error", "is not unique"),
        ((CONFLICT.format("10.99.0.77"),), "warning", "is not unique"),
        ((CONFLICT.format("172.17.0.1"), QUITTING), "error", "by another address of it, 172.17.0.1"),  # of its own docker0
        ((CONFLICT.format("172.17.0.1"),), None, ""),
        (("[WARN] serf: Name conflict for 'other' both 10.99.0.4:7946 and 10.99.0.7:7946 are claiming",), None, ""),
    ],
)
def test_a_node_name_in_conflict_with_another_host_or_with_its_own_past(
    log: tuple[str, ...], severity: str | None, says: str
) -> None:
    found = [f for f in run.diagnose([legacy(*log)], registry=registry.load()).findings if f.severity != "info"]
    assert [(f.cause, f.severity) for f in found] == ([("duplicate-node-name", severity)] if severity else [])
    assert all(says in f.summary for f in found)


def test_no_leader() -> None:
    error = "rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few managers are online."
    snapshot = manager(error=error)
    assert check(snapshot) == [("swarm-no-leader", "error")]
    assert check(manager()) == []


def test_why_tasks_do_not_run() -> None:
    """Of each place the last task counts, or, while another is made ready, the one that failed before it."""
    told = """[
      {"ServiceID": "s", "Slot": 1, "CreatedAt": "2026-01-01T10:00:00Z", "DesiredState": "shutdown",
       "Status": {"State": "failed", "Err": "task: non-zero exit (1)"}},
      {"ServiceID": "s", "Slot": 1, "CreatedAt": "2026-01-01T10:00:05Z", "DesiredState": "ready", "Status": {"State": "ready"}},
      {"ServiceID": "s", "Slot": 2, "CreatedAt": "2026-01-01T10:00:00Z", "DesiredState": "shutdown",
       "Status": {"State": "rejected", "Err": "No such image: old:1"}},
      {"ServiceID": "s", "Slot": 2, "CreatedAt": "2026-01-01T10:00:05Z", "DesiredState": "running",
       "Status": {"State": "running"}},
      {"ServiceID": "s", "NodeID": "n1", "CreatedAt": "2026-01-01T10:00:00Z", "DesiredState": "running",
       "Status": {"State": "pending", "Err": "no suitable node"}},
      {"ServiceID": "s", "Slot": 4, "CreatedAt": "2026-01-01T10:00:00Z", "DesiredState": "shutdown",
       "Status": {"State": "shutdown", "Err": "task: non-zero exit (143)"}},
      {"ServiceID": "other", "Slot": 1, "CreatedAt": "2026-01-01T10:00:00Z", "DesiredState": "running",
       "Status": {"State": "pending", "Err": "of another"}}
    ]"""
    item = wire.Service(ID="s", Spec=wire.ServiceSpec(Name="shop"), ServiceStatus=wire.ServiceCounts(1, 3))
    made = service_of(item, msgspec.json.decode(told, type=list[wire.Task]))
    assert (made.running, made.desired) == (1, 3)
    assert set(made.errors) == {"task: non-zero exit (1)", "no suitable node"}


# --- the routing mesh: what Docker writes for a service published at 8090, since this kernel has no IPVS to run it ---

RULES = {
    "nat": (
        "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER-INGRESS",
        "-A OUTPUT -m addrtype --dst-type LOCAL -j DOCKER-INGRESS",
        "-A POSTROUTING -o docker_gwbridge -m addrtype --src-type LOCAL -j MASQUERADE",
        "-A DOCKER-INGRESS -p tcp -m tcp --dport 8090 -j DNAT --to-destination 172.18.0.2:8090",
        "-A DOCKER-INGRESS -j RETURN",
    ),
    "filter": (
        "-A FORWARD -j DOCKER-INGRESS",
        "-A DOCKER-INGRESS -p tcp -m tcp --dport 8090 -j ACCEPT",
        "-A DOCKER-INGRESS -p tcp -m tcp --sport 8090 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-A DOCKER-INGRESS -j RETURN",
    ),
}


def with_mesh(text: str) -> str:
    """The dump of iptables-save with the rules of the mesh before Docker's others."""
    for table, rules in RULES.items():
        before, head, body = text.partition(f"*{table}\n")
        first = body.index("[0:0] -A ")
        added = "".join(f"[0:0] {rule}\n" for rule in rules)
        text = f"{before}{head}{body[:first]}:DOCKER-INGRESS - [0:0]\n{added}{body[first:]}"
    return text


def meshed(*, task_here: bool) -> Snapshot:
    """`front`, published at 8090 in mode ingress, and its task on this manager or on another node."""
    assert MANAGER.host
    stack = MANAGER.host.stack
    assert stack.firewall
    first, second = stack.firewall
    ingress = next(network for network in MANAGER.networks if network.ingress)
    front = Service(id="s9", name="front", ports=((8090, 80, "tcp", "ingress"),), desired=1, running=1)
    member = Container(
        id="9" * 64,
        name="front.1.task",
        state=State(status="running", running=True),
        swarm=SwarmTask(service="front", service_id="s9"),
        endpoints=(Endpoint(network="ingress", network_id=ingress.id, ipv4="10.0.0.6"),),
    )
    listener = Listener(protocol="tcp", family=6, address="::", port=8090, process=Process(pid=55, name="dockerd"))
    firewall = (replace(first, text=with_mesh(first.text)), second)
    stack = replace(stack, firewall=firewall, listeners=(*(stack.listeners or ()), listener))
    snapshot = manager(services=(front,), containers=(member,) if task_here else ())
    return replace(snapshot, host=replace(MANAGER.host, stack=stack))


@pytest.mark.parametrize("task_here", [True, False])
def test_a_port_of_the_routing_mesh(task_here: bool) -> None:
    snapshot = meshed(task_here=task_here)
    assert check(snapshot) == []
    for target in ("front:80", "front", "service:front:80", "front:8090", "host:8090"):
        asked = reach(snapshot, "outside", target)
        (path,) = asked.case.paths
        assert (path.verdict, path.destination.address, path.destination.port) == ("reachable", "10.99.0.3", 8090), target
        assert asked.findings == ()
    (path,) = reach(snapshot, "outside", "front:81").case.paths
    assert path.verdict == "unknown"


def test_a_service_that_only_the_mesh_serves_joins_the_network_of_who_asks() -> None:
    (finding,) = reach(meshed(task_here=True), "local_cont", "front:80").findings
    assert finding.cause == "no-shared-network"
    assert finding.fixes[0].commands == ("docker service update --network-add app front",)


def test_an_overlay_in_the_subnet_of_the_lan_hides_it_from_its_containers() -> None:
    assert MANAGER.host
    stack = MANAGER.host.stack
    lan = Address(link="eth1", address="10.0.1.77", prefix=24, family=4)
    snapshot = replace(MANAGER, host=replace(MANAGER.host, stack=replace(stack, addresses=(*stack.addresses, lan))))
    assert check(snapshot) == [("subnet-overlap", "warning")]

    def send(probes: Sequence[Probe]) -> dict[Probe, Answer]:
        return {p: Answer(probe=p, result="unreachable-host") for p in probes}

    question = Question(source=parse_source("local_cont"), target=parse_target("10.0.1.200:5432"))
    for asked, cause in ((snapshot, "subnet-overlap"), (MANAGER, "unexplained-failure")):
        found = run.diagnose([asked], [question], asked=True, probe=send, registry=registry.load()).findings
        assert [(f.cause, f.severity) for f in found] == [(cause, "error")]


def test_names_of_a_node_that_is_down_are_gone_with_it() -> None:
    assert MANAGER.engine
    *others, last = MANAGER.engine.swarm.node_list
    swarm = replace(MANAGER.engine.swarm, node_list=(*others, replace(last, hostname="far", state="down")))
    snapshot = replace(MANAGER, engine=replace(MANAGER.engine, swarm=swarm))

    def said(of: Snapshot, target: str) -> str:
        def nxdomain(probes: Sequence[Probe]) -> dict[Probe, Answer]:
            return {p: Answer(probe=p, result="nxdomain" if p.kind == "dns" else "timeout") for p in probes}

        question = Question(source=parse_source("local_cont"), target=parse_target(target))
        found = run.diagnose([of], [question], asked=True, probe=nxdomain, registry=registry.load()).findings[0]
        return f"{found.cause}: {found.summary}"

    assert said(snapshot, "shop:80").endswith("has that name; the Swarm node far is down, and so are the names there.")
    assert said(MANAGER, "shop:80") == "unknown-name: local_cont looks up shop, but nothing on its networks has that name."
    assert "down" not in said(snapshot, "shop.example:80")


def test_a_kernel_without_ipvs() -> None:
    """Nothing in check; where the mesh or a virtual address is asked for, that is the cause (as this kernel has it)."""
    said = "It is possible that ipvs is not enabled in your kernel. Native loadbalancing will not work until this is fixed."
    plain = manager(services=(Service(id="s9", name="front", ports=((8090, 80, "tcp", "ingress"),), desired=1, running=1),))
    snapshot = replace(plain, daemon=replace(plain.daemon, log=(LogLine(text=said, level="error"),)))
    assert check(snapshot) == []
    assert reach(snapshot, "outside", "front:80").findings[0].cause == "kernel-module-missing"
    assert reach(plain, "outside", "front:80").findings[0].cause == "no-listener"


def asked_of_the_net(*, echo: str, gossip: str, told: str = "reply") -> Diagnosis:
    """The manager alone was read; its container asks one of h2's, whose name resolves and which gives no answer."""

    def send(probes: Sequence[Probe]) -> dict[Probe, Answer]:
        answers = {}
        for p in probes:
            if p.kind == "dns":
                answers[p] = Answer(probe=p, result="reply", addresses=("10.0.1.12",))
            elif p.kind == "arp":
                answers[p] = Answer(probe=p, result=told)
            elif p.kind == "icmp":
                answers[p] = Answer(probe=p, result="reply" if p.address.startswith("10.99.") else echo)
            else:
                answers[p] = Answer(probe=p, result=gossip if p.port == 7946 else "timeout")
        return answers

    question = Question(source=parse_source("local_cont"), target=parse_target("c2:80"))
    return run.diagnose([MANAGER], [question], asked=True, probe=send, registry=registry.load())


def test_vxlan_that_is_lost_where_nobody_looks() -> None:
    """The other host gossips and its container answers nothing at all; one that sends an echo has its own firewall."""
    found = asked_of_the_net(echo="timeout", gossip="open").findings[0]
    assert (found.cause, found.confidence, found.severity) == ("overlay-port-blocked", "likely", "error")
    assert "4789/udp" in found.summary
    assert asked_of_the_net(echo="reply", gossip="open").findings[0].cause == "unexplained-failure"
    gone = asked_of_the_net(echo="timeout", gossip="open", told="timeout").findings[0]  # the container ended meanwhile
    assert gone.cause == "unexplained-failure"
    assert "7946/tcp" in asked_of_the_net(echo="timeout", gossip="timeout").findings[0].summary


def test_a_policy_is_opened_for_all_ports_at_once() -> None:
    assert MANAGER.host
    assert MANAGER.host.stack.firewall
    first, *others = MANAGER.host.stack.firewall
    closed = replace(first, text=re.sub(r"^:INPUT ACCEPT", ":INPUT DROP", first.text, flags=re.MULTILINE))
    host = replace(MANAGER.host, stack=replace(MANAGER.host.stack, firewall=(closed, *others)))
    found = run.diagnose([replace(MANAGER, host=host)], registry=registry.load()).findings[0]
    assert found.cause == "overlay-port-blocked"
    commands = found.fixes[0].commands
    for port in ("tcp --dport 2377", "tcp --dport 7946", "udp --dport 7946", "udp --dport 4789"):
        assert [c for c in commands if port in c], commands


def test_a_service_of_other_hosts_on_another_network() -> None:
    """A manager knows the networks of a service that has no task here."""
    back = replace(next(n for n in MANAGER.networks if n.name == "app"), id="b" * 25, name="back", members=(), peers=())
    shop = replace(service(1, 1), networks=(back.id,))
    snapshot = replace(manager(services=(shop,)), networks=(*MANAGER.networks, back))

    def first(asked: Snapshot, target: str) -> Finding:
        question = Question(source=parse_source("local_cont"), target=parse_target(target))
        nobody = lambda probes: {p: Answer(probe=p, result="nxdomain") for p in probes}  # noqa: E731
        return run.diagnose([asked], [question], asked=True, probe=nobody, registry=registry.load()).findings[0]

    for target in ("shop:80", "service:shop:80"):
        found = first(snapshot, target)
        assert (found.cause, found.fixes[0].commands) == ("no-shared-network", ("docker network connect back local_cont",))
    closed = replace(snapshot, networks=(*MANAGER.networks, replace(back, attachable=False)))
    assert first(closed, "shop:80").fixes[0].commands == ("docker service update --detach --network-add app shop",)


def test_a_service_of_other_hosts_is_asked_by_its_name() -> None:
    app = next(n.id for n in MANAGER.networks if n.name == "app")
    snapshot = manager(services=(replace(service(1, 1), networks=(app,)),))

    def send(probes: Sequence[Probe]) -> dict[Probe, Answer]:
        asked = {p: ("reply", ("10.0.1.99",)) if p.kind == "dns" else ("open", ()) for p in probes}
        return {p: Answer(probe=p, result=result, addresses=addresses) for p, (result, addresses) in asked.items()}

    question = Question(source=parse_source("local_cont"), target=parse_target("service:shop:80"))
    paths = run.diagnose([snapshot], [question], asked=True, probe=send, registry=registry.load()).case.paths
    assert [(path.destination.address, path.verdict) for path in paths] == [("10.0.1.99", "reachable")]


def test_an_interface_on_an_overlay_that_is_down() -> None:
    (local,) = [c for c in MANAGER.containers if c.name == "local_cont"]
    assert local.sandbox
    stack = local.sandbox.stack
    name = next(a.link for a in stack.addresses if a.address == local.endpoints[0].ipv4)
    down = replace(stack, links=tuple(replace(li, up=False) if li.name == name else li for li in stack.links))
    cut = replace(local, sandbox=replace(local.sandbox, stack=down))
    snapshot = replace(MANAGER, containers=tuple(cut if c is local else c for c in MANAGER.containers))
    assert check(snapshot) == [("container-interface-down", "error")]
    assert check(MANAGER) == []


def test_an_advertise_address_that_is_a_bridge_of_every_host() -> None:
    """172.17.0.1: its own host has it, so do all others, and what they send to it stays with them. Alone, nobody misses it."""
    manager, worker = fleet(2)
    assert manager.engine
    assert worker.engine
    own = replace(manager.engine.swarm, node_address="172.17.0.1")
    assert check(replace(manager, engine=replace(manager.engine, swarm=own))) == [("swarm-advertise-wrong", "error")]
    alone = replace(own, nodes=1, node_list=(), remote_managers=())
    quiet = [replace(n, peers=()) for n in manager.networks]
    assert check(replace(manager, networks=tuple(quiet), engine=replace(manager.engine, swarm=alone))) == []
    here, (there,) = manager.engine.swarm.node_id, [n for n in manager.engine.swarm.node_list if n.role == "worker"]

    def told(address: str, state: str = "ready") -> list[tuple[str, str]]:
        assert manager.engine
        nodes = tuple(n for n in manager.engine.swarm.node_list if n is not there)
        swarm = replace(manager.engine.swarm, node_list=(*nodes, replace(there, address=address, state=state)))
        return check(replace(manager, engine=replace(manager.engine, swarm=swarm)))

    assert told("172.17.0.1") == told(manager.engine.swarm.node_address) == [("swarm-advertise-wrong", "error")]
    assert told(manager.engine.swarm.node_address, "down") == []  # what this host was before it joined again
    seen = replace(worker.engine.swarm, remote_managers=((here, "172.17.0.1:2377"),))
    assert check(replace(worker, engine=replace(worker.engine, swarm=seen))) == [("swarm-advertise-wrong", "error")]


@pytest.mark.parametrize(
    ("result", "told"), [("timeout", True), ("unreachable-net", True), ("refused", False), ("open", False)]
)
def test_a_worker_none_of_whose_managers_gives_a_sign_of_life(result: str, *, told: bool) -> None:
    """They may be down, or at another address: possible, and no more than a warning."""

    def send(probes: Sequence[Probe]) -> dict[Probe, Answer]:
        return {p: Answer(probe=p, result=result if p.kind == "tcp" else "timeout") for p in probes}

    found = run.diagnose([fleet(2)[1]], probe=send, registry=registry.load()).findings
    wrong = [(f.severity, f.confidence, f.summary) for f in found if f.cause == "swarm-advertise-wrong"]
    says = "h2 hears nothing from 10.99.0.3, where the manager of its Swarm should be: down, or at another address."
    assert wrong == ([("warning", "possible", says)] if told else [])


def test_what_a_worker_shows_of_the_data_path() -> None:
    """Neither its port nor its address is in a worker's `docker info`: the kernel's socket and the log tell them."""
    worker = fleet(2)[1]
    assert worker.host
    stack = worker.host.stack
    moved = tuple(replace(li, port=7789) if (li.protocol, li.port) == ("udp", 4789) else li for li in stack.listeners or ())
    other = replace(worker, host=replace(worker.host, stack=replace(stack, listeners=moved)))
    for rule, host in (("7789", other), ("4789", worker)):
        assert check(with_rule(host, f"INPUT -p udp -m udp --dport {rule} -j DROP")) == [("overlay-port-blocked", "error")]
    assert check(with_rule(worker, "INPUT -p udp -m udp --dport 7789 -j DROP")) == []
    assert check(with_rule(other, "INPUT -p udp -m udp --dport 4789 -j DROP")) == []
    for said, wrong in (
        ("data-path-addr=172.17.0.1", True),
        ("Data-addr=172.17.0.1", True),
        ("data-path-addr=10.99.0.12", False),
    ):
        line = LogLine(text=f"Initializing Libnetwork Agent advertise-addr=10.99.0.12 {said}", level="info")
        told = replace(worker, daemon=replace(worker.daemon, log=(*worker.daemon.log, line)))
        assert check(told) == ([("swarm-advertise-wrong", "error")] if wrong else [])


def test_a_container_of_a_swarm_that_this_host_is_not_in() -> None:
    assert MANAGER.engine
    out = replace(MANAGER.engine, swarm=Swarm(state="inactive"))
    refused = State(status="created", error="invalid cluster node while attaching to network", exit_code=128)
    lost = Container(id="d" * 64, name="there", state=refused, endpoints=(Endpoint(network="app", network_id="a"),))
    networks = tuple(n for n in MANAGER.networks if n.scope != "swarm")
    snapshot = replace(MANAGER, engine=out, containers=(lost,), networks=networks, services=())
    assert check(snapshot)[0] == ("swarm-inactive", "error")
    gone = replace(lost, state=replace(refused, status="exited"))
    for question in (("there", "10.0.1.9:80"), ("host", "there:80")):
        asked = reach(replace(snapshot, containers=(gone,)), *question)
        assert asked.findings[0].cause == "swarm-inactive", asked.findings


@pytest.mark.parametrize(("state", "words"), [("locked", "docker swarm unlock"), ("error", "docker swarm leave --force")])
def test_a_host_that_is_shut_out_of_its_swarm(state: str, words: str) -> None:
    assert MANAGER.engine
    out = replace(MANAGER.engine, swarm=Swarm(state=state, error="rpc error: node is not part of the cluster."))
    snapshot = replace(MANAGER, engine=out, containers=(), networks=(), services=())
    (found,) = [f for f in run.diagnose([snapshot], registry=registry.load()).findings if f.severity == "error"]
    assert found.cause == "swarm-inactive"
    assert words in found.fixes[0].summary


def test_an_advertise_address_of_another_interface() -> None:
    """It is wrong where the log shows that the others do not answer; else a host may have its reasons."""
    worker = fleet(2)[1]
    assert worker.host
    assert worker.engine
    stack, swarm = worker.host.stack, replace(worker.engine.swarm, node_address="10.77.0.5")
    links = (*stack.links, Link(name="eth9", index=99))
    addresses = (*stack.addresses, Address(link="eth9", address="10.77.0.5", prefix=24, family=4))
    host = replace(worker.host, stack=replace(stack, links=links, addresses=addresses))
    moved = replace(worker, host=host, engine=replace(worker.engine, swarm=swarm))
    assert check(moved) == []
    line = LogLine(text="Error in joining gossip cluster", level="error")
    silent = replace(moved, daemon=replace(moved.daemon, log=(*moved.daemon.log, line)))
    assert check(silent) == [("swarm-advertise-wrong", "error")]


def test_a_process_that_calls_itself_like_a_pid_is_ended_by_its_own() -> None:
    error = "subnet sandbox join failed: vxlan interface creation failed: address already in use"
    hurt = Container(id="c9", name="late", state=State(status="exited", error=error))
    host = MANAGER.host
    assert host is not None
    holder = Listener(protocol="udp", family=4, address="0.0.0.0", port=4789, process=Process(pid=4711, name="x (pid 1"))
    snapshot = replace(manager(containers=(hurt,)), host=replace(host, stack=replace(host.stack, listeners=(holder,))))
    (found,) = (f for f in run.diagnose([snapshot], registry=registry.load()).findings if f.cause == "vxlan-port-taken")
    assert found.fixes[0].commands == (
        "[ \"$(cat /proc/4711/comm)\" = 'x (pid 1' ] && ss -Hlntup 'sport = :4789' | grep -q pid=4711, && kill 4711",
    )
