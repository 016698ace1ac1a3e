"""A rootless daemon as the lab's real one is read: its containers are in RootlessKit's namespace, its ports on the host."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.path import Apart, Dropped, NothingListens, Path
from dockernet_doctor.diagnosis.paths.names import Server, servers_of
from dockernet_doctor.diagnosis.paths.walk import walk
from dockernet_doctor.diagnosis.question import Question, parse_source, parse_target
from dockernet_doctor.probe.model import Answer
from dockernet_doctor.snapshot.model import (
    Address,
    Container,
    Engine,
    FirewallDump,
    Host,
    Listener,
    NetworkStack,
    Process,
    PublishedPort,
    ResolvConf,
    Route,
    Snapshot,
)

from .test_walk import APP, container

ROOTLESSKIT = Process(pid=7, name="rootlesskit")
WEB = container("web", 2)
PUB = container("pub", 3, ports=(PublishedPort(host_ip="0.0.0.0", host_port=8080, port=80, protocol="tcp"),))


def listening(of: Container, address: str, port: int) -> Container:
    assert of.sandbox
    listener = Listener(protocol="tcp", family=6 if ":" in address else 4, address=address, port=port)
    return replace(of, sandbox=replace(of.sandbox, stack=replace(of.sandbox.stack, listeners=(listener,))))


HOSTED = replace(listening(container("hosted", 4), "::", 9090), network_mode="host", endpoints=())


def case(rule: str = "", *containers: Container) -> Case:
    text = f"*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n{rule}\nCOMMIT\n"
    machine = NetworkStack(
        addresses=(
            Address(link="lo", address="127.0.0.1", prefix=8, family=4, scope="host"),
            Address(link="eth0", address="203.0.113.9", prefix=24, family=4, scope="global"),
        ),
        routes=(Route(family=4, destination="0.0.0.0/0", gateway="203.0.113.1", link="eth0"),),
        listeners=(Listener(protocol="tcp", family=4, address="0.0.0.0", port=8080, process=ROOTLESSKIT),),
        firewall=(FirewallDump(tool="iptables-nft", family=4, text=text),),
        sysctls={"net.ipv4.ip_forward": "0"},
    )
    snapshot = Snapshot(
        name="h", taken_at="2026-01-01T00:00:00Z", endpoint="", local=True, networks=(APP,),
        containers=containers or (WEB, PUB, HOSTED), host=Host(stack=machine), engine=Engine(version="28.5.2", rootless=True),
    )  # fmt: skip
    return Case.of((snapshot,), asked=True)


def way(of: Case, source: str, target: str, *answers: str) -> Path:
    """The one path of the question, its probes answered so in order."""
    question = Question(source=parse_source(source), target=parse_target(target))
    probes = [probe for path in walk(of, question) for probe in path.probes]
    said: list[tuple[Any, str]] = list(zip(probes, answers, strict=False))
    of = replace(of, answers={probe: Answer(probe=probe, result=result) for probe, result in said})
    (path,) = walk(of, question)
    return path


def test_a_published_port_is_reached_by_rootlesskit_and_not_by_the_host_s_routes() -> None:
    path = way(case(), "host", "pub:80", "open", "open")
    assert [(p.vantage.container, p.address) for p in path.probes] == [("", "127.0.0.1"), (PUB.id, "172.18.0.3")]
    assert path.verdict == "reachable"
    assert way(case(), "outside", "pub:80").verdict == "reachable"


def test_a_service_on_loopback_is_told_though_the_connection_opens() -> None:
    deaf = listening(PUB, "127.0.0.1", 80)
    path = way(case("", deaf), "host", "pub:80", "open", "refused")
    assert isinstance(path.obstacle, NothingListens)
    assert path.verdict == "unreachable"


def test_container_addresses_are_apart_whoever_answers_there() -> None:
    """A daemon of root beside it has the same 172.17.0.0/16."""
    for result in ("timeout", "unreachable-net", "open"):
        path = way(case(), "host", "web:80", result)
        assert isinstance(path.obstacle, Apart)
        assert (path.verdict, path.obstacle.container) == ("unreachable", WEB)


def test_host_mode_is_rootlesskit_s_namespace() -> None:
    for target in ("hosted:9090", "127.0.0.1:9090"):
        path = way(case(), "host", target, "refused")
        assert isinstance(path.obstacle, Apart)
        assert path.obstacle.container == HOSTED
    assert isinstance(way(case(), "outside", "hosted:9090").obstacle, Apart)
    assert isinstance(way(case(), "host", "127.0.0.1:9091", "refused").obstacle, NothingListens)


def test_the_host_s_own_rules_hold_for_its_ports() -> None:
    path = way(case("-A INPUT -i eth0 -p tcp -m tcp --dport 8080 -j DROP"), "outside", "pub:80")
    assert isinstance(path.obstacle, Dropped)


def test_forwarding_that_the_host_has_off_is_none_of_the_containers_business() -> None:
    assert way(case(), "web", "pub:80").obstacle is None
    assert way(case(), "web", "198.51.100.1:80").obstacle is None


def test_rootlesskit_s_servers_are_asked_from_the_container_behind_it() -> None:
    conf = ResolvConf(nameservers=("127.0.0.11",), ext_servers=("host(10.0.2.3)", "host(127.0.0.1)"))
    assert WEB.sandbox
    asking = replace(WEB, sandbox=replace(WEB.sandbox, resolv_conf=conf))
    assert servers_of(case("", asking).hosts[0], asking) == (Server("10.0.2.3", by_host=False),)


def test_a_container_s_dial_to_the_host_s_address_ends_at_the_host_s_own_listeners() -> None:
    path = way(case(), "web", "203.0.113.9:9999", "refused")
    assert isinstance(path.obstacle, NothingListens)
    assert path.verdict == "unreachable"
    assert way(case(), "web", "203.0.113.9:8080", "open").verdict == "reachable"
