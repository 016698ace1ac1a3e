"""Publishing: the engine's refusals of all generations, what a lab cannot make, and the judgement calls between causes."""

from __future__ import annotations

import pytest
from dockernet_doctor_checks.published_ports import host_port_in_use, orphan_port_allocation
from dockernet_doctor_checks.published_ports._host_port import refusal
from msgspec.structs import replace

from dockernet_doctor.diagnosis.facts.listeners import is_proxy
from dockernet_doctor.diagnosis.paths.reasons import silent_port
from dockernet_doctor.diagnosis.question import Question, parse_source, parse_target
from dockernet_doctor.diagnosis.registry import load
from dockernet_doctor.diagnosis.run import diagnose
from dockernet_doctor.plugin import Case, Finding, model

ALLOCATED = (
    "driver failed programming external connectivity on endpoint web (0123abcd): Bind for {} failed: port is already allocated"
)


def container(
    name: str = "web",
    *,
    error: str = "",
    bindings: tuple[model.PortBinding, ...] = (),
    ports: tuple[model.PublishedPort, ...] = (),
    listeners: tuple[model.Listener, ...] = (),
    publish_all: bool = False,
) -> model.Container:
    running = not error
    state = model.State(status="running" if running else "created", running=running, error=error, exit_code=128 if error else 0)
    endpoint = model.Endpoint(network="bridge", network_id="n1", ipv4="172.17.0.2" if running else None)
    sandbox = model.Sandbox(pid=7, namespace=7, stack=model.NetworkStack(listeners=listeners))
    return model.Container(
        id=f"{name}-id", name=name, state=state, endpoints=(endpoint,), bindings=bindings, ports=ports,
        sandbox=sandbox if running else None, publish_all=publish_all,
    )  # fmt: skip


def snapshot(*containers: model.Container, listeners: tuple[model.Listener, ...] | None = ()) -> model.Snapshot:
    addresses = (
        model.Address(link="lo", address="127.0.0.1", prefix=8, family=4, scope="host"),
        model.Address(link="eth0", address="10.0.0.5", prefix=24, family=4),
    )
    network = model.Network(id="n1", name="bridge", driver="bridge", subnets=(model.Subnet(subnet="172.17.0.0/16"),))
    return model.Snapshot(
        name="h1", taken_at="2026-01-02T00:00:00Z", endpoint="unix:///run/docker.sock", engine=model.Engine(version="28.5.2"),
        networks=(network,), containers=containers,
        host=model.Host(stack=model.NetworkStack(addresses=addresses, listeners=listeners)),
    )  # fmt: skip


def listener(port: int, address: str = "0.0.0.0", *, process: str = "") -> model.Listener:
    owner = model.Process(pid=42, name=process) if process else None
    return model.Listener(protocol="tcp", family=4, address=address, port=port, process=owner)


def binding(host_port: str, port: int = 80, host_ip: str = "") -> model.PortBinding:
    return model.PortBinding(port=port, protocol="tcp", host_ip=host_ip, host_port=host_port)


def published(host_port: int, port: int = 80, host_ip: str = "0.0.0.0") -> model.PublishedPort:
    return model.PublishedPort(port=port, protocol="tcp", host_ip=host_ip, host_port=host_port)


REGISTRY = load()


def findings(snapshot: model.Snapshot) -> list[Finding]:
    return list(diagnose([snapshot], registry=REGISTRY).findings)


@pytest.mark.parametrize(
    ("error", "kind", "address", "port"),
    [
        (ALLOCATED.format("0.0.0.0:8080"), "allocated", "0.0.0.0", 8080),
        (f"failed to set up container networking: {ALLOCATED.format(':::8080')}", "allocated", "::", 8080),
        ("Error starting userland proxy: listen tcp4 0.0.0.0:8080: bind: address already in use", "in-use", "0.0.0.0", 8080),
        ("Error starting userland proxy: listen tcp6 [::1]:8080: bind: address already in use", "in-use", "::1", 8080),
        ("failed to bind host port for 0.0.0.0:8080:172.17.0.2:80/tcp: address already in use", "in-use", "0.0.0.0", 8080),
        ("failed to bind host port for [::]:8080:[fd00::2]:80/tcp: address already in use", "in-use", "::", 8080),
        ("failed to bind host port 0.0.0.0:8080/tcp: address already in use", "in-use", "0.0.0.0", 8080),
        (
            "Error starting userland proxy: listen tcp4 10.9.0.7:8080: bind: cannot assign requested address",
            "no-address",
            "10.9.0.7",
            8080,
        ),
    ],
)
def test_refusals_of_all_engines_are_read(error: str, kind: str, address: str, port: int) -> None:
    found = refusal(container(error=error, bindings=(binding("8080"),)))
    assert found is not None
    assert (found.kind, found.address, found.port, found.container_port) == (kind, address, port, 80)


def test_a_privileged_port_of_a_rootless_daemon() -> None:
    said = (
        "error while calling RootlessKit PortManager.AddPort(): cannot expose privileged port 80, you can add "
        "'net.ipv4.ip_unprivileged_port_start=80' to /etc/sysctl.conf (currently 1024), or set CAP_NET_BIND_SERVICE on "
        "rootlesskit binary, or choose a larger port number (>= 1024): listen tcp4 0.0.0.0:80: bind: permission denied"
    )
    first = findings(snapshot(container(error=said, bindings=(binding("80"),))))[0]
    commands = first.fixes[0].commands
    assert first.cause == "container-not-running"
    assert (commands[0], commands[-1]) == ("sysctl -w net.ipv4.ip_unprivileged_port_start=80", "docker start web")
    for other, published in ((said, "443"), (said.replace("port 80", "port 1"), "80")):
        host = snapshot(container(error=other, bindings=(binding(published),)))
        printed = [command for found in findings(host) for fix in found.fixes for command in fix.commands]
        assert not [command for command in printed if "sysctl" in command]


@pytest.mark.parametrize("error", ["Address already in use", "OCI runtime create failed: exec: not found"])
def test_other_errors_are_no_refusal_of_a_port(error: str) -> None:
    assert refusal(container(error=error, bindings=(binding("8080"),))) is None


@pytest.mark.parametrize(
    ("holders", "listeners", "cause"),
    [
        ((container("other", ports=(published(8080),)),), (), "host-port-in-use"),
        ((), (listener(8080, process="nc"),), "host-port-in-use"),
        ((), (listener(8080, "10.0.0.5"),), "host-port-in-use"),
        ((), None, "host-port-in-use"),  # nothing could be seen: the engine's word
        ((container("other", ports=(published(8080, host_ip="::1"),)),), (), "container-not-running"),
        ((), (), "container-not-running"),  # whoever had it has gone: start it again
    ],
)
def test_who_holds_the_port(
    holders: tuple[model.Container, ...], listeners: tuple[model.Listener, ...] | None, cause: str
) -> None:
    web = container(error=ALLOCATED.format("0.0.0.0:8080"), bindings=(binding("8080"),))
    found = findings(snapshot(web, *holders, listeners=listeners))
    ours = [f for f in found if f.subject.id == web.id and f.because_of is None and f.severity == "error"]
    assert [f.cause for f in ours] == [cause]


def test_an_allocation_for_nobody_is_possible_only_where_nobody_is_seen() -> None:
    web = container(error=ALLOCATED.format("0.0.0.0:8080"), bindings=(binding("8080"),))
    (found,) = orphan_port_allocation.find(Case.of([snapshot(web)]))
    assert found.confidence == "possible"
    assert "docker start web" in found.fixes[0].commands
    for held in (snapshot(web, listeners=(listener(8080),)), snapshot(web, listeners=None)):
        assert not list(orphan_port_allocation.find(Case.of([held])))


def test_a_service_of_the_host_is_not_ended_for_a_container() -> None:
    web = container(error=ALLOCATED.format("0.0.0.0:80"), bindings=(binding("80"),))
    for process, first in (("nginx", "docker create"), ("python3", "kill 42")):
        (found,) = host_port_in_use.find(Case.of([snapshot(web, listeners=(listener(80, process=process),))]))
        assert first in found.fixes[0].commands[0]


@pytest.mark.parametrize(
    ("mapping", "listening", "swapped"),
    [
        ((80, 8080), (80,), True),
        ((5432, 15432), (5432,), True),
        ((9090, 9091), (9090,), False),  # a slip of one digit
        ((8080, 80), (8080,), False),  # a service that is not where its like usually is
        ((80, 8080), (443,), False),
    ],
)
def test_swapped_or_merely_wrong(mapping: tuple[int, int], listening: tuple[int, ...], *, swapped: bool) -> None:
    assert silent_port.is_swapped(published(*mapping), listening) is swapped


@pytest.mark.parametrize(
    ("publish_all", "severity"),
    [(False, "warning"), (True, "info")],
    ids=["one of two", "all that the image exposes"],
)
def test_a_published_port_without_a_service_beside_one_that_works(*, publish_all: bool, severity: str) -> None:
    web = container(ports=(published(8080), published(8443, 443)), listeners=(listener(80),), publish_all=publish_all)
    found = [f for f in findings(snapshot(web)) if f.cause == "no-listener"]
    assert {f.severity for f in found} == {severity}


def test_a_host_port_of_the_other_protocol_is_not_nobodys() -> None:
    mapping = model.PublishedPort(port=80, protocol="udp", host_ip="0.0.0.0", host_port=8080)
    asked = model.PortBinding(port=80, protocol="udp", host_port="8080")
    web = container(ports=(mapping,), bindings=(asked,), listeners=(listener(80),))
    for source in ("outside", "host"):
        question = Question(source=parse_source(source), target=parse_target("host:8080"))
        (found,) = diagnose([snapshot(web)], [question], asked=True, registry=REGISTRY).findings
        assert (found.cause, found.subject.name) == ("protocol-mismatch", "web:80/tcp")
        assert "8080:80" in found.fixes[0].commands[0]


def mismatches(snapshot: model.Snapshot) -> list[Finding]:
    return [f for f in findings(snapshot) if f.cause == "container-port-mismatch"]


@pytest.mark.parametrize(
    ("listening", "silent", "meant"),
    [
        ((81, 82, 83), "80", "8000-8002:81-83 instead of 8000-8002:80-82"),
        ((9080, 9081, 9082), "80, 81 and 82", "8000-8002:9080-9082 instead of 8000-8002:80-82"),
    ],
)
def test_a_range_that_is_beside_the_right_one_is_one_finding(listening: tuple[int, ...], silent: str, meant: str) -> None:
    numbers = range(3)
    web = container(
        bindings=tuple(binding(str(8000 + n), 80 + n) for n in numbers),
        ports=tuple(published(8000 + n, 80 + n) for n in numbers),
        listeners=tuple(map(listener, listening)),
    )
    (found,) = mismatches(snapshot(web, listeners=tuple(listener(8000 + n, process="docker-proxy") for n in numbers)))
    assert found.id == "container-port-mismatch=port:web:80/tcp@h1"
    assert f"nothing listens on {silent}." in found.summary
    assert meant in found.fixes[0].summary


def test_a_range_without_a_counterpart_is_told_port_by_port() -> None:
    web = container(
        bindings=(binding("8000"), binding("8001", 81)),
        ports=(published(8000), published(8001, 81)),
        listeners=(listener(90), listener(95)),
    )
    found = mismatches(snapshot(web, listeners=tuple(listener(port, process="docker-proxy") for port in (8000, 8001))))
    assert {f.id for f in found} == {f"container-port-mismatch=port:web:{port}/tcp@h1" for port in (80, 81)}


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_range_that_waits_for_its_sessions_is_no_fault(protocol: model.Protocol) -> None:
    """FTP's passive mode, RTP: opened when a session needs them, by a service that is asked at another port."""
    media = tuple(model.PublishedPort(port=n, protocol=protocol, host_ip="0.0.0.0", host_port=n) for n in range(30000, 30010))
    service = container(ports=(published(8080), *media), listeners=(listener(80),))
    told = [(f.id, f.severity) for f in findings(snapshot(service)) if f.cause != "container-interface-down"]
    assert told == [(f"no-listener=port:web:30000/{protocol}@h1", "info")]
    question = Question(source=parse_source("outside"), target=parse_target(f"web:30003/{protocol}"))
    (asked,) = diagnose([snapshot(service)], [question], asked=True, registry=REGISTRY).findings
    assert (asked.cause, asked.severity) == ("no-listener", "error")


def test_another_loopback_binding_of_an_opened_port_stays() -> None:
    bindings = (binding("7001", host_ip="::1"), binding("7002", host_ip="127.0.0.1"), binding("7001", host_ip="127.0.0.1"))
    ports = tuple(published(int(b.host_port), host_ip=b.host_ip) for b in bindings)
    web = container(bindings=bindings, ports=ports, listeners=(listener(80),))
    question = Question(source=parse_source("outside"), target=parse_target("web:80"))
    (found,) = diagnose([snapshot(web)], [question], asked=True, registry=REGISTRY).findings
    assert found.cause == "port-bound-to-loopback"
    assert "-p 7001:80 -p 127.0.0.1:7002:80" in found.fixes[0].commands[0]


def test_every_open_binding_of_a_database_becomes_private_and_the_others_stay() -> None:
    bindings = (binding("15432", 5432), binding("6432", 5432), binding("7432", 5432, "10.0.0.5"))
    ports = (published(15432, 5432), published(15432, 5432, "::"), published(6432, 5432), published(7432, 5432, "10.0.0.5"))
    db = container("db", bindings=bindings, ports=ports, listeners=(listener(5432),))
    (finding,) = (f for f in findings(snapshot(db)) if f.cause == "sensitive-port-exposed")
    assert "to port 15432 or 6432" in finding.summary
    create = finding.fixes[0].commands[0]
    assert " -p 10.0.0.5:7432:5432 -p 127.0.0.1:15432:5432 -p 127.0.0.1:6432:5432" in create
    assert " -p 15432" not in create


def test_a_socket_that_takes_no_ipv4_is_not_told_to_listen_where_it_does() -> None:
    six = model.Listener(protocol="tcp", family=6, address="::", port=80, v6only=True)
    web = container(bindings=(binding("8080"),), ports=(published(8080),), listeners=(six,))
    first = next(f for f in findings(snapshot(web)) if f.cause == "listener-on-other-address")
    assert "bindv6only 0" in first.fixes[0].summary


def test_a_process_is_ended_only_while_it_has_that_name_and_that_port() -> None:
    """Its number comes from a snapshot: by now it may be another's, and in a bundle it may be any."""
    web = container(error=ALLOCATED.format("0.0.0.0:8080"), bindings=(binding("8080"),))
    held = listener(8080, process="python3")
    assert held.process
    for pid, runnable in ((42, True), (1, False)):
        other = replace(held, process=replace(held.process, pid=pid))
        (found,) = (f for f in findings(snapshot(web, listeners=(other,))) if f.cause == "host-port-in-use")
        assert found.fixes[0].runnable is runnable
        told = "[ \"$(cat /proc/42/comm)\" = python3 ] && ss -Hlntup 'sport = :8080' | grep -q pid=42, && kill 42"
        assert found.fixes[0].commands[0] == (told if runnable else "# process 1 is the system's own")


@pytest.mark.parametrize("name", ["docker-proxy", "dockerd"])
def test_a_user_s_program_that_calls_itself_a_part_of_docker_is_what_has_the_port(name: str) -> None:
    web = container(error=ALLOCATED.format("0.0.0.0:8080"), bindings=(binding("8080"),))
    held = listener(8080, process=name)
    pretender = replace(held, process=replace(held.process, of_daemon=False)) if held.process else held
    (found,) = (f for f in findings(snapshot(web, listeners=(pretender,))) if f.cause == "host-port-in-use")
    assert f"held by {name} (pid 42)" in found.summary
    assert found.fixes[0].commands[0].endswith("&& kill 42")
    assert [is_proxy(one) for one in (held, pretender)] == [True, False]
