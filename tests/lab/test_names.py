"""Faults of names and addresses on real daemons: many on one host at once, each seen by plain tools before and after."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.host import Doctor, Host

# A container that serves a page; {0} is what the test calls it.
PEER = "docker run -d --stop-signal KILL --name b{0} {1} net-test httpd -f -p 80 >/dev/null\n"
ASKER = "docker run -d --stop-signal KILL --name a{0} {1} net-test httpd -f -p 80 >/dev/null\n"
IDLE_ASKER = "docker run -d --stop-signal KILL --name a{0} {1} net-test >/dev/null\n"
DIAL = "A=${API_URL#*//}; timeout 4 nc -w 2 ${A%:*} ${A#*:} -e true"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault beside others on one host; `{0}` in every text is its number.

    healthy, broken   shell scripts
    reach             SRC DST
    symptom           a command inside a{0} that fails while it is broken
    subject           of the finding, as its id has it
    check             its severity in `check`; "" where only a question shows it
    fix               whether fixes[0] can be run
    """

    cause: str
    healthy: str
    broken: str
    reach: str = "a{0} b{0}:80"
    symptom: str = "timeout 4 nc -w 2 b{0} 80 -e true"
    subject: str = "container:a{0}"
    check: str = ""
    fix: bool = True


def both(network: str, asker: str = "", peer: str = "") -> str:
    return PEER.replace("{1}", f"{network} {peer}") + ASKER.replace("{1}", f"{network} {asker}")


ON = "--network n{0}"
NETWORK = "docker network create --subnet 10.88.{0}.0/24 n{0} >/dev/null\n"
GONE = "docker rm -f a{0} b{0} >/dev/null\n"
ASKER_GONE = "docker rm -f a{0} >/dev/null\n"

FAULTS = (
    Fault(cause="default-bridge-no-dns", healthy=NETWORK + both(ON), broken=GONE + both("")),
    Fault(
        cause="hostname-not-a-name",
        healthy=NETWORK + both(ON, peer="--hostname h{0}"),
        broken=GONE + both("", peer="--hostname h{0}"),
        reach="a{0} h{0}:80",
        symptom="timeout 4 nc -w 2 h{0} 80 -e true",
    ),
    Fault(
        cause="no-shared-network",
        healthy=NETWORK + both(ON),
        broken="docker network create m{0} >/dev/null; docker network connect m{0} b{0}; docker network disconnect n{0} b{0}",
    ),
    Fault(
        cause="unknown-name",
        healthy=NETWORK + both(ON, asker="-e API_URL=http://b{0}:80"),
        broken="docker rename b{0} b{0}-new",
        symptom=DIAL,
        check="error",
    ),
    Fault(  # another word for the only one that listens there
        cause="unknown-name",
        healthy=NETWORK + PEER.replace("{1}", ON) + IDLE_ASKER.replace("{1}", ON + " -e DB_HOST=b{0} -e DB_PORT=80"),
        broken=ASKER_GONE + IDLE_ASKER.replace("{1}", ON + " -e DB_HOST=database -e DB_PORT=80"),
        reach="a{0} database:80",
        symptom="timeout 4 nc -w 2 $DB_HOST $DB_PORT -e true",
        check="error",
    ),
    Fault(
        cause="localhost-means-container",
        healthy=NETWORK + PEER.replace("{1}", ON) + "docker run -d --stop-signal KILL --name a{0} --network n{0} "
        "-e API_URL=http://b{0}:80 net-test >/dev/null",
        broken=ASKER_GONE
        + "docker run -d --stop-signal KILL --name a{0} --network n{0} -e API_URL=http://localhost:80 net-test",
        reach="a{0} localhost:80",
        symptom=DIAL,
        check="error",
    ),
    Fault(
        cause="stale-container-ip",
        healthy=NETWORK + both(ON, asker="-e API_URL=http://b{0}:80"),
        broken=GONE
        + "docker network rm n{0} >/dev/null\n"
        + NETWORK
        + "docker run -d --stop-signal KILL --name c{0} --network n{0} net-test httpd -f -p 81 >/dev/null\n"
        + both(ON, asker="-e API_URL=http://10.88.{0}.2:80"),
        reach="a{0} 10.88.{0}.2:80",
        symptom=DIAL,
        check="error",
    ),
    Fault(
        cause="stale-hosts-entry",
        healthy=NETWORK + both(ON, asker="--add-host db{0}:10.88.{0}.2"),
        broken="docker rm -f b{0} >/dev/null\n" + PEER.replace("{1}", f"{ON} --ip 10.88.{{0}}.9 --network-alias db{{0}}"),
        reach="a{0} db{0}:80",
        symptom="timeout 4 nc -w 2 db{0} 80 -e true",
        check="error",
    ),
    Fault(  # its own hostname hides the service
        cause="stale-hosts-entry",
        healthy=NETWORK
        + PEER.replace("{1}", f"{ON} --network-alias db{{0}}")
        + IDLE_ASKER.replace("{1}", f"{ON} -e API_URL=http://db{{0}}:80"),
        broken=ASKER_GONE + IDLE_ASKER.replace("{1}", f"{ON} --hostname db{{0}} -e API_URL=http://db{{0}}:80"),
        reach="a{0} db{0}:80",
        symptom=DIAL,
        check="error",
    ),
    Fault(
        cause="resolv-conf-overridden",
        healthy=NETWORK + both(ON),
        broken="docker exec a{0} sh -c 'echo nameserver $NEIGHBOUR > /etc/resolv.conf'",
        check="error",
    ),
    Fault(
        cause="resolv-conf-overridden",
        healthy=NETWORK + both(ON, asker="-v keep{0}:/keep"),
        broken=ASKER_GONE + ASKER.replace("{1}", f"{ON} -v keep{{0}}:/keep -v /etc/resolv.conf:/etc/resolv.conf:ro"),
        check="error",
    ),
    Fault(
        cause="embedded-dns-broken",
        healthy=NETWORK + both(ON),
        broken="nsenter -t $(docker inspect -f '{{.State.Pid}}' a{0}) -n iptables -t nat -F",
        check="error",
    ),
    Fault(
        cause="upstream-dns-unreachable",
        healthy=NETWORK + ASKER.replace("{1}", ON),
        broken=ASKER_GONE + ASKER.replace("{1}", f"{ON} --dns 10.88.{{0}}.200"),
        reach="a{0} example.test:80",
        symptom="timeout 4 nc -w 2 example.test 80 -e true",
        check="error",
    ),
    Fault(
        cause="loopback-nameserver",
        healthy=NETWORK + ASKER.replace("{1}", ON),
        broken=ASKER_GONE + ASKER.replace("{1}", "--dns 127.0.0.1"),
        reach="a{0} example.test:80",
        symptom="timeout 4 nc -w 2 example.test 80 -e true",
        check="error",
    ),
    Fault(
        cause="host-docker-internal-missing",
        healthy=ASKER.replace(
            "{1}", "--add-host host.docker.internal:host-gateway -e API_URL=http://host.docker.internal:8015"
        ),
        broken=ASKER_GONE + ASKER.replace("{1}", "-e API_URL=http://host.docker.internal:8015"),
        reach="a{0} host.docker.internal:8015",
        symptom=DIAL,
        check="error",
    ),
    Fault(
        cause="host-service-on-loopback",
        healthy=ASKER.replace("{1}", "-e API_URL=http://$HOST:8015"),
        broken=ASKER_GONE + ASKER.replace("{1}", "-e API_URL=http://$HOST:8016"),
        reach="a{0} $HOST:8016",
        symptom=DIAL,
        subject="destination:$NAME:8016/tcp",
        check="error",
        fix=False,
    ),
    Fault(
        cause="duplicate-alias",
        healthy=NETWORK + both(ON, peer="--network-alias svc{0}"),
        broken="docker run -d --stop-signal KILL --name c{0} --network n{0} --network-alias svc{0} net-test httpd -f -p 81",
        reach="a{0} svc{0}:80",
        # whichever answer comes first: both must open
        symptom="for i in 1 2 3 4 5 6 7 8; do timeout 4 nc -w 2 svc{0} 80 -e true || exit 1; done",
        subject="container:c{0}",
        check="warning",
    ),
)


def test_faults_of_names(host: Host) -> None:
    prove_together(host, FAULTS)


def prove_together(host: Host, of_names: Sequence[Fault]) -> None:
    """Healthy and silent; then every fault at once, each of them named; then each fix, and it works again."""
    pages = "-IS -c 'import http.server as h, sys; h.test(h.SimpleHTTPRequestHandler, port=int(sys.argv[2]), bind=sys.argv[1])'"
    host.serve(f"cd /run && python3 {pages} 0.0.0.0 8015")
    host.serve(f"cd /run && python3 {pages} 127.0.0.1 8016")
    host.neighbour.serve(f"cd /run && python3 {pages} 0.0.0.0 80")
    faults = [(number, fault) for number, fault in enumerate(of_names, 11)]
    host.run(["sh", "-ec", "\n".join(_text(host, n, f.healthy) for n, f in faults)], timeout=90)
    for number, fault in faults:
        host.wait(lambda: _works(host, number, fault), 15, f"healthy: {fault.cause} {number}")  # noqa: B023
    quiet = host.doctor("check --format json")
    assert _loud(quiet) == []

    host.run(["sh", "-ec", "\n".join(_text(host, n, f.broken) for n, f in faults)], timeout=90)
    for number, fault in faults:
        host.wait(lambda: not _works(host, number, fault), 15, f"broken: {fault.cause} {number}")  # noqa: B023
    checked = host.doctor("check --format json")
    expected = {(f"{f.cause}={_text(host, n, f.subject)}@{host.engine}", f.check) for n, f in faults if f.check}
    assert _loud(checked) == sorted(expected)
    if host.engine == "newest":
        host.run("rm -f /run/home/bundle")
        host.doctor("collect /run/home/bundle")
        assert _loud(host.doctor("check --format json --bundle /run/home/bundle")) == sorted(expected)
    for number, fault in faults:
        _prove(host, number, fault)
    host.wait(lambda: _loud(host.doctor("check --format json")) == [(i, s) for i, s in sorted(expected) if "8016" in i], 3)


def _prove(host: Host, number: int, fault: Fault) -> None:
    question = f"reach {_text(host, number, fault.reach)} --format json"
    asked = host.doctor(question)
    assert asked.causes[:1] == [fault.cause], asked.stdout
    finding = asked.findings[0]
    assert (finding["severity"], finding["confidence"]) == ("error", "proven"), asked.stdout
    assert asked.report["verdict"] in ("unreachable", "partly")
    assert finding["fixes"][0]["runnable"] is fault.fix, finding
    if not fault.fix:
        return
    for command in finding["fixes"][0]["commands"]:
        done = host.run(command, check=False)
        assert done.ok, f"{command}\n{done.output}"
    host.wait(lambda: _works(host, number, fault), 10, f"after the fix of {fault.cause} {number}: {finding['fixes'][0]}")
    if not any(left in question for left in ("localhost", "10.88", "database")):  # what the fix no longer says
        after = host.doctor(question.replace(f"b{number}:", f"b{number}-new:") if fault.cause == "unknown-name" else question)
        assert (after.report["verdict"], after.causes) == ("reachable", []), after.stdout


def _loud(answer: Doctor) -> list[tuple[str, str]]:
    return sorted((f["id"], f["severity"]) for f in answer.findings if f["severity"] != "info")


def _works(host: Host, number: int, fault: Fault) -> bool:
    inner = _text(host, number, fault.symptom)
    return host.ok(["sh", "-c", f"docker exec a{number} sh -c {shlex.quote(inner)}"], timeout=40)


def _text(host: Host, number: int, text: str) -> str:
    text = text.replace("$HOST", host.address).replace("$NAME", host.engine).replace("$NEIGHBOUR", host.neighbour.address)
    return text.replace("{0}", str(number))


def test_links_go_stale_and_then_keep_their_container_from_starting(host: Host, engine: str) -> None:
    host.run(
        "docker run -d --name db net-test httpd -f -p 80 && docker run -d --name api --link db:database net-test httpd -f -p 80"
    )
    # `docker exec` itself fails once the linked container is gone
    opens = "nsenter -t $(docker inspect -f '{{.State.Pid}}' api) -m -n -p /bin/nc -w 2 database 80 -e true"
    host.wait(opens)
    warned = [(f"legacy-link=container:api@{engine}", "warning")]
    assert _loud(host.doctor("check --format json")) == warned
    host.run("docker rm -f db; docker run -d --name other net-test; docker run -d --name more net-test")
    host.run("docker run -d --name db net-test httpd -f -p 80")
    assert not host.ok(opens)
    checked = host.doctor("check --format json")
    assert _loud(checked) == sorted([*warned, (f"stale-hosts-entry=container:api@{engine}", "error")])
    asked = host.doctor("reach api database:80 --format json")
    assert asked.causes == ["stale-hosts-entry"]
    for command in asked.findings[0]["fixes"][0]["commands"]:
        host.run(command)
    host.wait(opens)
    assert host.doctor("reach api database:80").status == 0

    host.run("docker rm -f db; docker run -d --name db net-test httpd -f -p 80; docker restart -t 0 api", check=False)
    lost = host.doctor("reach host api:80 --format json")
    assert lost.causes[0] == "legacy-link"
    assert "Cannot link to a non running container" in lost.stdout


def test_generated_names(host: Host, engine: str) -> None:
    host.run("docker network create app && docker run -d --name api --network app net-test")
    host.run("docker run -d --network app net-test httpd -f -p 80")
    name = host.docker("ps -l --format {{.Names}}").stdout.strip()
    checked = host.doctor("check --format json")
    assert [(f["cause"], f["severity"]) for f in checked.findings] == [("auto-named-container", "info")]
    asked = host.doctor(f"reach api {name}:80 --format json")
    resolves = host.ok(f"docker exec api timeout 4 nc -w 2 {name} 80 -e true")
    assert resolves is (engine != "oldest")
    assert asked.causes == ([] if resolves else ["auto-named-container"])
    if not resolves:
        for command in asked.findings[0]["fixes"][0]["commands"]:
            host.run(command)
        host.wait(f"docker exec api timeout 4 nc -w 2 {name} 80 -e true")
        assert host.doctor(f"reach api {name}:80").status == 0


def test_addresses_in_settings_that_work_today(host: Host, engine: str) -> None:
    host.run("docker network create --subnet 10.88.0.0/24 app && docker run -d --name db --network app net-test httpd -f -p 80")
    host.run("docker run -d --name api --network app -e DB_URL=http://10.88.0.2:80 net-test")
    host.run("docker run -d --name fixed --network app --ip 10.88.0.50 net-test httpd -f -p 80")
    host.run("docker run -d --name sure --network app -e DB_URL=http://10.88.0.50:80 net-test")
    host.run("docker run -d --name pub -p 8090:80 net-test httpd -f -p 80")
    host.run("docker run -d --name via --network app -e DB_URL=http://$HOST:8090 net-test")
    host.wait("docker exec via timeout 4 nc -w 2 $HOST 8090 -e true")
    checked = host.doctor("check --format json")
    assert _loud(checked) == [(f"hard-coded-container-ip=container:api@{engine}", "warning")]
    assert "via-published-port" in checked.causes
    for command in checked.findings[0]["fixes"][0]["commands"]:
        host.run(command)
    assert "http://db:80" in host.docker(["inspect", "-f", "{{.Config.Env}}", "api"]).stdout
    assert _loud(host.doctor("check --format json")) == []


def test_a_dns_server_in_a_container(host: Host, engine: str) -> None:
    """Healthy; asked from a network that it is not on; stopped, and asked by the host's address too."""
    dns_server = Path(__file__).with_name("dns_server.py")
    host.run("docker network create --subnet 10.88.53.0/24 dns && docker network create apart")
    host.run("docker run -d --name dns --network dns --ip 10.88.53.53 -p $HOST:53:53/udp net-test")
    serving = f"{sys.executable} -IS {dns_server} example.test=198.51.100.1"
    host.serve(f"exec nsenter -t {host.container_pid('dns')} -n {serving}")
    host.run("docker run -d --name near --network dns --dns 10.88.53.53 net-test")
    host.run("docker run -d --name by-host --network apart --dns $HOST net-test")
    for asker in ("near", "by-host"):
        host.wait(f"docker exec {asker} timeout 8 nslookup example.test")
    assert _loud(host.doctor("check --format json")) == []

    host.run("docker run -d --name far --network apart --dns 10.88.53.53 net-test")
    assert not host.ok("docker exec far timeout 8 nslookup example.test", timeout=20)
    for question in ("check", "reach far example.test:53"):
        told = host.doctor(f"{question} --format json")
        assert (told.causes[0], told.findings[0]["subject"]["name"]) == ("no-shared-network", "far"), told.stdout
    for command in told.findings[0]["fixes"][0]["commands"]:
        host.run(command)
    host.wait("docker exec far timeout 8 nslookup example.test")
    assert _loud(host.doctor("check --format json")) == []

    host.run("docker stop -t 0 dns")
    for asker in ("near", "by-host"):
        told = host.doctor(f"reach {asker} example.test:53 --format json")
        assert told.causes == ["upstream-dns-unreachable"], told.stdout
        assert "dns, which is exited" in told.findings[0]["summary"]
        assert told.findings[0]["fixes"][0]["commands"] == ["docker start dns"]


def test_programs_that_end_without_what_their_settings_name(host: Host, engine: str) -> None:
    """Started some times, or once: what is wrong with the setting is told, and not only that they do not run."""
    host.run("docker network create app && docker network create apart && docker tag net-test mysql:8")
    host.run("docker run -d --name db --network app mysql:8 httpd -f -p 3306")
    dial = "A=${DB_URL#*//}; timeout 3 nc -w 1 ${A%:*} ${A#*:} -e true || { echo cannot connect to $A >&2; sleep 1; exit 1; }"
    stay = shlex.quote(f"{dial}; exec sleep 1000")
    client = "docker run -d --stop-signal KILL --name {} --network {} --restart {} -e DB_URL=mysql://{}:3306 net-test sh -c {}"
    faults = {
        "local": ("localhost-means-container", client.format("local", "app", "on-failure:2", "localhost", stay)),
        "far": ("no-shared-network", client.format("far", "apart", "on-failure:1", "db", stay)),
        "once": ("no-shared-network", client.format("once", "apart", "no", "db", stay)),
        "typo": ("unknown-name", client.format("typo", "app", "on-failure:2", "dbb", stay)),
        "port": ("container-port-mismatch", client.format("port", "app", "on-failure:1", "db", stay).replace("3306", "3307")),
    }
    host.run(client.format("good", "app", "always", "db", stay))
    host.run("\n".join(command for _cause, command in faults.values()))
    host.wait("docker ps -a --filter status=exited -q | wc -l | grep -x 5", 30)
    told = [(f["cause"], f["subject"]["name"]) for f in host.doctor("check --format json").findings if f["severity"] == "error"]
    assert {(cause, name) for name, (cause, _command) in faults.items() if name != "port"} <= {*told}
    assert {name for _cause, name in told} == {*faults, "db:3307/tcp"}
    for name, (cause, _command) in faults.items():
        asked = host.doctor(f"reach host {name}:80 --format json")
        assert asked.causes[:1] == [cause], asked.stdout
        for command in asked.findings[0]["fixes"][0]["commands"]:
            host.run(command)
        host.wait(f"sleep 3; docker inspect -f '{{{{.State.Running}}}}' {name} | grep true", 15)
    assert _loud(host.doctor("check --format json")) == []


def test_a_silent_dns_server_before_one_that_answers(host: Host, engine: str) -> None:
    """Each name waits four or five seconds for it; after the one that answers it harms nobody."""
    answers, at_once = host.neighbour.address, "docker exec {} timeout 3 nslookup example.test"
    host.run("docker network create app")
    host.run(f"docker run -d --name quick --network app --dns {answers} --dns 10.99.0.77 net-test")
    try:
        host.neighbour.run("ip addr add 10.99.0.77/24 dev eth1 && iptables -I INPUT -d 10.99.0.77 -j DROP")
        host.wait(at_once.format("quick"))
        assert _loud(host.doctor("check --format json")) == []
        host.run(f"docker run -d --name slow --network app --dns 10.99.0.77 --dns {answers} net-test")
        assert not host.ok(at_once.format("slow"))
        host.wait("docker exec slow timeout 12 nslookup example.test", 20)
        checked = host.doctor("check --format json")
        assert _loud(checked) == [(f"resolver-slow=container:slow@{engine}", "warning")]
        for command in checked.findings[0]["fixes"][0]["commands"]:
            host.run(command)
        host.wait(at_once.format("slow"))
        assert _loud(host.doctor("check --format json")) == []
    finally:
        host.neighbour.run("iptables -D INPUT -d 10.99.0.77 -j DROP; ip addr del 10.99.0.77/24 dev eth1", check=False)


@pytest.mark.parametrize("place", ["bridge", "app"])
def test_host_without_nameserver(host: Host, engine: str, place: str) -> None:
    kept = host.read("/etc/resolv.conf")
    host.docker("network create app")
    host.docker(f"run -d --name api --network {place} net-test")
    host.wait("docker exec api nslookup example.test")
    assert _loud(host.doctor("check --format json")) == []
    try:
        host.write("/etc/resolv.conf", "# nothing\n")
        host.docker("restart -t 0 api")
        assert not host.ok("docker exec api timeout 6 nslookup example.test")
        checked = host.doctor("check --format json")
        assert checked.causes[:1] == ["no-upstream-nameserver"], checked.stdout
    finally:
        host.write("/etc/resolv.conf", kept)
