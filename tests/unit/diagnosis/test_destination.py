"""Whom a question means and what it dials, where `reach` and plain tools once disagreed in the lab."""

from __future__ import annotations

import pytest
from dockernet_doctor_checks.firewall import docker_rules_missing, iptables_disabled
from dockernet_doctor_checks.general import prediction_contradicted, unexplained_failure
from msgspec.structs import replace

from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.path import Hop, IsolatedFromHost, NoAddressOfFamily, NoMasquerade
from dockernet_doctor.diagnosis.paths.walk import walk
from dockernet_doctor.diagnosis.question import parse_source
from dockernet_doctor.snapshot.model import Address, Compose, Endpoint, Engine, Link, Network, Route, State, Subnet

from .test_walk import APP, answered, asked, container


def test_a_member_of_a_service_that_has_no_port_is_asked_for_those_of_the_others() -> None:
    serving, idle = (container(f"shop-{n}", n, compose=Compose(project="p", service="shop")) for n in (2, 4))
    assert idle.sandbox
    idle = replace(idle, sandbox=replace(idle.sandbox, stack=replace(idle.sandbox.stack, listeners=())))
    for source, target in (("cli", "service:p/shop"), ("host", "service:shop"), ("host", "shop"), ("host", "shop:80")):
        paths = walk(*asked(source, target, serving, idle, container("cli", 3)))
        assert [(p.destination.address, p.destination.port, p.verdict) for p in paths] == [
            ("172.18.0.2", 80, "reachable"),
            ("172.18.0.4", 80, "unreachable"),
        ]


def test_what_other_machines_resolve_is_asked_of_nobody() -> None:
    for target in ("name:web:80", "web.example.com:80"):
        (path,) = walk(*asked("outside", target, container("web", 2)))
        assert (path.verdict, path.probes) == ("unknown", ())


def test_what_leaves_by_the_parent_of_a_macvlan_does_not_come_to_its_children() -> None:
    lan = Network(
        id="n2",
        name="lan",
        driver="macvlan",
        options={"parent": "eth0"},
        subnets=(Subnet(subnet="203.0.113.0/24", gateway=""),),
    )
    cam = replace(
        container("cam", 2), network_mode="lan", endpoints=(Endpoint(network="lan", network_id="n2", ipv4="203.0.113.9"),)
    )
    agent = replace(container("agent", 4), network_mode="host", endpoints=(), sandbox=None)
    case, question = asked("cli", "203.0.113.9:80", container("cli", 3), cam, agent)
    (snapshot,) = (facts.snapshot for facts in case.hosts)
    snapshot = replace(snapshot, networks=(APP, lan))
    shim = Link(index=5, name="shim", kind="macvlan")
    assert snapshot.host
    assert snapshot.host.stack
    stack = replace(
        snapshot.host.stack,
        links=(*snapshot.host.stack.links, shim),
        routes=(*snapshot.host.stack.routes, Route(family=4, destination="203.0.113.9/32", link="shim")),
    )
    by_shim = replace(snapshot, host=replace(snapshot.host, stack=stack))
    for source, obstacle in (("cli", IsolatedFromHost), ("agent", IsolatedFromHost), ("host", IsolatedFromHost)):
        question = replace(question, source=parse_source(source))
        (path,) = walk(Case.of((snapshot,), asked=True), question)
        assert isinstance(path.obstacle, obstacle), (source, path)
        (path,) = walk(Case.of((by_shim,), asked=True), question)
        assert path.obstacle is None, (source, path)


def test_ipv4_is_no_way_out_of_a_network_without_it() -> None:
    network = replace(APP, ipv4=False, ipv6=True, subnets=(Subnet(subnet="fd00:18::/64", gateway="fd00:18::1"),))
    cli = container("cli", 3)
    assert cli.sandbox
    stack = replace(
        cli.sandbox.stack,
        addresses=(Address(link="eth0", address="fd00:18::3", prefix=64, family=6),),
        routes=(Route(family=6, destination="::/0", gateway="fd00:18::1", link="eth0"),),
    )
    endpoint = replace(cli.endpoints[0], ipv4=None, ipv6="fd00:18::3")
    cli = replace(cli, endpoints=(endpoint,), sandbox=replace(cli.sandbox, stack=stack))
    (path,) = walk(*asked("cli", "192.0.2.1:80", cli, network=network))
    assert path.obstacle == NoAddressOfFamily(container=cli, network=network, family=4, proven=True)


def test_what_is_refused_now_and_then_is_said_to_be_reached_now_and_then() -> None:
    case, question = asked("host", "172.18.0.2:80", container("web", 2), repetitions=3)
    snapshot = replace(case.hosts[0].snapshot, engine=Engine(version="28.5.2"))
    case = Case.of((snapshot,), asked=True, repetitions=3)
    case = replace(case, paths=tuple(answered(case, question, [None, 0.4, 0.4], result="refused")))
    (finding,) = unexplained_failure.remains(case, ())
    assert finding.summary.startswith("this host reaches 172.18.0.2:80 only 2 times of 3: ")
    assert list(prediction_contradicted.remains(case, ())) == []


def test_a_paused_container_answers_no_sample() -> None:
    paused = replace(container("web", 2), state=State(status="paused", running=True, paused=True))
    (path,) = answered(*asked("host", "172.18.0.2:80", paused, repetitions=2), [0.4, 0.4])
    assert path.samples
    assert (path.samples.sent, path.samples.answered) == (2, 0)


@pytest.mark.parametrize(("version", "made"), [("26.1.5", False), ("28.5.2", True)])
def test_ipv6_that_is_not_masqueraded_is_no_rule_lost_where_the_daemon_makes_none(version: str, made: bool) -> None:
    cli = container("cli", 3)
    case, question = asked("cli", "192.0.2.1:53", cli)
    case = Case.of((replace(case.hosts[0].snapshot, engine=Engine(version=version)),), asked=True)
    (path,) = walk(case, question)
    obstacle = NoMasquerade(container=cli, network=APP, source="fd00:18::3")
    broken = Hop(hop="filter", status="broken", obstacle=obstacle)
    case = replace(case, paths=(replace(path, verdict="unreachable", hops=(broken,)),))
    checks = (iptables_disabled.check, docker_rules_missing.check)
    assert [bool([f for f in check.find(case) if f.explains]) for check in checks if check.find] == [not made, made]


def test_who_shares_the_network_of_one_in_host_mode_is_in_host_mode() -> None:
    agent = replace(container("agent", 4), network_mode="host", endpoints=(), sandbox=None)
    side = replace(agent, id="5" * 64, name="side", network_mode=f"container:{agent.id}")
    web = container("web", 2)
    for source, target, address in (
        ("side", "container:web:80", "172.18.0.2"),
        ("side", "container:agent:80", "127.0.0.1"),
        ("host", "side:80", "127.0.0.1"),
        ("web", "container:side:80", "203.0.113.5"),
    ):
        case, question = asked(source, target, agent, side, web)
        snapshot = case.hosts[0].snapshot
        assert snapshot.host
        assert snapshot.host.stack
        own = Address(link="eth0", address="203.0.113.5", prefix=24, family=4)
        stack = replace(snapshot.host.stack, addresses=(*snapshot.host.stack.addresses, own))
        (path,) = walk(Case.of((replace(snapshot, host=replace(snapshot.host, stack=stack)),), asked=True), question)
        assert path.destination.address == address, (source, target, path)


def test_the_address_that_docker_ps_lists_is_the_own_of_whoever_dials_it() -> None:
    for source, target, address in (("host", "0.0.0.0:80", "127.0.0.1"), ("cli", "[::]:80", "::1")):
        (path,) = walk(*asked(source, target, container("cli", 3)))
        assert path.destination.address == address
