"""The matrix of published ports, from a snapshot and the answers of probes."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.ports import Expected, PortMatrix, PortRow, instead_of_scans, leads_nowhere, matrix, wanted
from dockernet_doctor.probe.model import NO_NMAP, Answer, Probe, ScannedPort, Vantage
from dockernet_doctor.probe.schedule import not_sent
from dockernet_doctor.report import ports as report
from dockernet_doctor.report.model import FailOn, Invocation
from dockernet_doctor.snapshot.model import (
    Address,
    Container,
    Engine,
    Host,
    Listener,
    NetworkStack,
    PortBinding,
    Process,
    PublishedPort,
    Snapshot,
    State,
)

PROXY = Process(pid=77, name="docker-proxy")
STACK = NetworkStack(
    addresses=(
        Address(link="lo", address="127.0.0.1", prefix=8, family=4, scope="host"),
        Address(link="eth1", address="10.0.0.5", prefix=24, family=4),
    ),
    listeners=(
        Listener(protocol="tcp", family=4, address="127.0.0.1", port=8080, process=PROXY),
        Listener(protocol="udp", family=4, address="0.0.0.0", port=32768, process=PROXY),
        Listener(protocol="tcp", family=4, address="10.0.0.5", port=8080, process=Process(pid=9, name="nginx")),
    ),
)
WEB = Container(
    id="c1",
    name="web",
    state=State(status="running", running=True, pid=5),
    bindings=(
        PortBinding(port=80, protocol="tcp", host_ip="127.0.0.1", host_port="8080-8090"),
        PortBinding(port=53, protocol="udp"),
        PortBinding(port=99, protocol="tcp", host_ip="::1", host_port="99"),
    ),
    ports=(
        PublishedPort(port=80, protocol="tcp", host_ip="127.0.0.1", host_port=8080),
        PublishedPort(port=53, protocol="udp", host_ip="0.0.0.0", host_port=32768),
        PublishedPort(port=53, protocol="udp", host_ip="::", host_port=32768),
    ),
)
SNAPSHOT = Snapshot(
    name="h1", taken_at="", endpoint="", engine=Engine(version="28.5.2"), containers=(WEB,), host=Host(stack=STACK)
)
CASE = Case.of([SNAPSHOT])


def found(answers: list[Answer] | None = None) -> PortMatrix:
    return matrix(CASE, {answer.probe: answer for answer in answers or []})


def row(rows: tuple[PortRow, ...], address: str, port: int) -> PortRow:
    (one,) = (r for r in rows if (r.address, r.host_port) == (address, port))
    return one


def scan(address: str) -> Probe:
    (one,) = (probe for probe in wanted(CASE) if probe.kind == "scan" and probe.address == address)
    return one


def test_one_scan_for_each_address_and_one_datagram_for_each_udp_port() -> None:
    assert [(p.kind, p.address, p.ports or p.port) for p in wanted(CASE)] == [
        ("scan", "127.0.0.1", "8080"),
        ("udp", "127.0.0.1", 32768),
        ("scan", "10.0.0.5", "8080"),
        ("udp", "10.0.0.5", 32768),
    ]
    assert wanted(Case.of([SNAPSHOT], subjects=["other"])) == []


def test_who_holds_a_port_and_how_it_was_asked_for() -> None:
    rows = found().rows
    assert len(rows) == 4
    loopback, uplink = row(rows, "127.0.0.1", 8080), row(rows, "10.0.0.5", 8080)
    assert (loopback.published, loopback.bound, loopback.asked, loopback.interface) == (True, True, "range 8080-8090", "lo")
    assert loopback.bound_by is not None
    assert (loopback.bound_by.process, loopback.bound_by.container) == ("docker-proxy", "web")
    assert (uplink.published, uplink.bound, uplink.interface) == (False, True, "eth1")
    assert uplink.bound_by is not None
    assert (uplink.bound_by.process, uplink.bound_by.container) == ("nginx", None)
    assert row(rows, "10.0.0.5", 32768).asked == "random"
    assert (loopback.expected_outside, loopback.why_outside) == ("unreachable", "a loopback address")


def test_what_was_seen() -> None:
    answers = [
        Answer(
            probe=scan(address),
            result="reply",
            ports=(ScannedPort(port=8080, protocol="tcp", state=state),),
        )
        for address, state in (("127.0.0.1", "open"), ("10.0.0.5", "closed"))
    ]
    rows = found(answers).rows
    assert (row(rows, "127.0.0.1", 8080).observed, row(rows, "10.0.0.5", 8080).observed) == ("open", "closed")
    assert row(rows, "127.0.0.1", 32768).observed == ""


def test_an_open_port_of_docker_proxy_contradicts_nothing() -> None:
    one = row(found([]).rows, "127.0.0.1", 8080)
    from dockernet_doctor.diagnosis.ports import _agrees

    assert one.agrees is None
    assert _agrees("unreachable", "open", held=True) is None
    assert _agrees("unreachable", "open", held=False) is False
    assert _agrees("unreachable", "closed", held=True) is True
    assert _agrees("reachable", "closed", held=True) is False
    assert _agrees("reachable", "no-reply", held=True) is None


def test_a_scan_that_was_not_sent_is_a_blind_spot_and_what_is_not_in_force_is_told() -> None:
    result = found([not_sent(scan("127.0.0.1"), "out of time")])
    ((host, spot),) = result.blind_spots
    assert (host, spot.why) == ("h1", "out of time")
    (missing,) = result.not_in_force
    assert (missing.container, missing.binding) == ("web", "[::1]:99:99/tcp")


def test_without_nmap_connections_are_seen() -> None:
    unscanned = not_sent(Probe(kind="scan", vantage=Vantage("h1"), address="10.0.0.5", ports="53,8080"), NO_NMAP)
    connections = instead_of_scans([unscanned, not_sent(scan("127.0.0.1"), "out of time")])
    assert [(probe.kind, probe.address, probe.port) for probe in connections] == [
        ("tcp", "10.0.0.5", 53),
        ("tcp", "10.0.0.5", 8080),
    ]
    result = found([unscanned, *(Answer(probe=probe, result="refused") for probe in connections)])
    assert row(result.rows, "10.0.0.5", 8080).observed == "closed"
    assert result.blind_spots == ()


def test_text_and_json() -> None:
    invocation = Invocation(verb="ports", arguments=(), only=(), skip=(), fail_on="error", probes=False)
    made = report.build(Case.of([SNAPSHOT], subjects=["db"]), found(), invocation, duration_s=0.1)
    assert made.complete is False
    text = report.text(made)
    assert "web: 80/tcp is published at 8080 (range 8080-8090: the first free)" in text
    assert "web: 53/udp is published at 32768 (random: another after a restart)" in text
    assert "web: [::1]:99:99/tcp is not published" in text
    assert "nginx (9)" in text
    assert max(map(len, text.splitlines())) <= 100
    decoded = msgspec.json.decode(msgspec.json.encode(made), type=report.PortsReport)
    assert decoded == made


def here(one: PortRow, side: Expected, outside: Expected, agrees: bool | None = None) -> PortRow:
    return replace(one, published=True, expected_here=side, expected_outside=outside, agrees=agrees)


def test_a_port_leads_nowhere_where_no_address_of_it_does() -> None:
    one = row(found().rows, "127.0.0.1", 8080)
    assert leads_nowhere([here(one, "unreachable", "unreachable"), here(one, "unreachable", "unreachable")])
    assert leads_nowhere([here(one, "reachable", "reachable", agrees=False)])  # seen shut
    assert not leads_nowhere([here(one, "reachable", "unreachable"), here(one, "unreachable", "unreachable")])
    assert not leads_nowhere([here(one, "unreachable", "unknown")])
    assert not leads_nowhere([here(one, "unreachable", "unreachable"), here(one, "unreachable", "reachable")])
    # what is not published at an address says nothing of the port
    assert leads_nowhere([here(one, "unreachable", "unreachable"), replace(one, published=False, expected_here="reachable")])


@pytest.mark.parametrize(
    ("dead", "lost", "complete", "fail_on", "status"),
    [
        (False, False, True, "error", 0),
        (True, False, True, "error", 1),
        (False, True, True, "error", 1),
        (True, True, True, "never", 0),
        (True, True, False, "error", 3),
    ],
)
def test_the_exit_status_of_ports(*, dead: bool, lost: bool, complete: bool, fail_on: FailOn, status: int) -> None:
    made = Invocation(verb="ports", arguments=(), only=(), skip=(), fail_on=fail_on, probes=False)
    one = row(found().rows, "127.0.0.1", 8080)
    told = report.build(CASE, found(), made, duration_s=0.1)
    side: Expected = "unreachable" if dead else "reachable"
    told = replace(told, ports=(here(one, side, side),), complete=complete)
    assert report.exit_status(told, lost=lost) == status


def test_a_container_in_mode_host_loses_a_mapping_only_where_nobody_listens_there() -> None:
    for listening, lost in ((8080, False), (80, True)):
        binding = PortBinding(port=80, protocol="tcp", host_port="8080")
        stack = replace(STACK, listeners=(Listener(protocol="tcp", family=4, address="0.0.0.0", port=listening),))
        web = replace(WEB, network_mode="host", ports=(), bindings=(binding,))
        case = Case.of([replace(SNAPSHOT, containers=(web,), host=Host(stack=stack))])
        assert matrix(case, {}).lost is lost


def test_of_a_bundle_the_connections_that_were_tried_are_what_was_seen() -> None:
    probe = Probe(kind="tcp", vantage=Vantage("h1"), address="127.0.0.1", port=8080)
    assert row(found([Answer(probe=probe, result="refused")]).rows, "127.0.0.1", 8080).observed == "closed"
    inside = replace(probe, vantage=Vantage("h1", "c1"))
    assert row(found([Answer(probe=inside, result="refused")]).rows, "127.0.0.1", 8080).observed == ""
