"""A connection is a packet and its answer: what the lab's generated worlds found about the way back, one root a case."""

from __future__ import annotations

import json
from typing import Any

import pytest
from dockernet_doctor_checks.addressing import reverse_path_filter
from msgspec.structs import replace

from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.path import NoRoute, Path, RouteElsewhere
from dockernet_doctor.diagnosis.paths.walk import walk
from dockernet_doctor.diagnosis.question import Question, parse_source, parse_target
from dockernet_doctor.diagnosis.registry import Registry
from dockernet_doctor.diagnosis.run import diagnose
from dockernet_doctor.snapshot.model import (
    Address,
    Engine,
    FirewallDump,
    IpsecPolicy,
    Link,
    Listener,
    Neighbour,
    Process,
    PublishedPort,
    Route,
    RoutingRule,
    Snapshot,
)
from tests.unit.diagnosis.test_walk import APP, container, host

WEB = "172.18.0.2"
MAIN = RoutingRule(family=4, priority=32766, table=254)
EVERY_HOST_HAS = (RoutingRule(family=4, priority=0, table=255), MAIN, RoutingRule(family=4, priority=32767, table=253))
ROUTES = (
    Route(family=4, destination="172.18.0.0/16", link="app0", source="172.18.0.1"),
    Route(family=4, destination="203.0.113.0/24", link="eth0", source="203.0.113.5"),
    Route(family=4, destination="10.50.0.0/24", link="eth1", source="10.50.0.5"),
    Route(family=4, destination="0.0.0.0/0", gateway="203.0.113.1", link="eth0"),
    Route(family=4, destination="0.0.0.0/0", gateway="203.0.113.1", link="eth0", table=101),
    Route(family=4, destination="0.0.0.0/0", gateway="10.50.0.1", link="eth1", table=102),
)
NAT = f"""*nat
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -p tcp -m tcp --dport 8080 -j DNAT --to-destination {WEB}:80
-A POSTROUTING -s 172.18.0.0/16 ! -o app0 -j MASQUERADE
COMMIT
"""


def rule(priority: int, **what: object) -> RoutingRule:
    return replace(MAIN, priority=priority, **{"table": 101, **what})


def made(
    *,
    rules: tuple[RoutingRule, ...] = (),
    routes: tuple[Route, ...] = (),
    iptables: str = "",
    nft: str = "",
    inside: str = "",
    rules_inside: tuple[RoutingRule, ...] = (),
    listens_inside: tuple[int, ...] = (),
    neighbours: tuple[Neighbour, ...] = (),
    ipsec: tuple[IpsecPolicy, ...] = (),
) -> Snapshot:
    """On a host with an uplink that has the default route (eth0), another one (eth1), and a container with a published port."""
    machine = host()
    assert machine.stack
    stack = replace(
        machine.stack,
        links=(*machine.stack.links, Link(index=4, name="eth1")),
        addresses=(
            *machine.stack.addresses,
            Address(link="eth0", address="203.0.113.5", prefix=24, family=4),
            Address(link="eth1", address="10.50.0.5", prefix=24, family=4),
        ),
        routes=(*ROUTES, *routes),
        rules=(*rules, *EVERY_HOST_HAS),
        neighbours=neighbours,
        ipsec=ipsec,
        listeners=(Listener(protocol="tcp", family=4, address="0.0.0.0", port=9100),),
        firewall=(
            FirewallDump(tool="iptables-nft", family=4, text=NAT + iptables),
            *((FirewallDump(tool="nft", family=None, text=nft),) if nft else ()),
        ),
    )
    web = container("web", 2, ports=(PublishedPort(port=80, protocol="tcp", host_ip="0.0.0.0", host_port=8080),))
    cli = container("cli", 3)
    assert web.sandbox
    assert web.sandbox.stack
    dumps = (FirewallDump(tool="iptables-nft", family=4, text=inside),) if inside else ()
    stack_inside = replace(web.sandbox.stack, firewall=dumps, rules=(*rules_inside, *EVERY_HOST_HAS) if rules_inside else ())
    more = (Listener(protocol="tcp", family=4, address="0.0.0.0", port=port) for port in listens_inside)
    listeners = (*(stack_inside.listeners or ()), Listener(protocol="udp", family=4, address="0.0.0.0", port=53), *more)
    web = replace(web, sandbox=replace(web.sandbox, stack=replace(stack_inside, listeners=listeners)))
    return Snapshot(
        name="h",
        taken_at="2026-01-01T00:00:00Z",
        endpoint="",
        networks=(APP,),
        containers=(web, replace(cli, endpoints=(replace(cli.endpoints[0], ipv4_gateway="172.18.0.1"),))),
        host=replace(machine, stack=stack),
    )


def paths(source: str, target: str, *, asked: bool = True, **of_host: Any) -> list[Path]:
    """Of one question, on a host that is `made` so."""
    return walk(Case.of((made(**of_host),), asked=asked), Question(source=parse_source(source), target=parse_target(target)))


def broken(of: list[Path]) -> list[str]:
    """Of each path that is broken, the hop and what is said there; of one of several, by whom."""
    return [f"{p.broken.hop}: {p.broken.predicted}" for p in of if p.broken]


OUTWARD = ("cli", "203.0.113.9:80")
MARKS_WHAT_COMES_BACK = "*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -i eth0 -j MARK --set-xmark 0x1/0x1\nCOMMIT\n"
REMEMBERS = """*mangle
:PREROUTING ACCEPT [0:0]
-A PREROUTING -j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff
-A PREROUTING -i eth0 -j CONNMARK --set-xmark 0x1/0x1
COMMIT
"""


def test_the_answer_to_a_container_comes_back_to_its_bridge() -> None:
    assert broken(paths(*OUTWARD)) == []


def test_a_mark_that_leads_the_answer_past_the_bridge() -> None:
    (said,) = broken(paths(*OUTWARD, rules=(rule(100, mark=1, mark_mask=1),), iptables=MARKS_WHAT_COMES_BACK))
    assert said.startswith("route: 172.18.0.3 goes out by eth0, not by app0")


NOWHERE = Route(family=4, destination="0.0.0.0/0", kind="unreachable", table=66)


@pytest.mark.parametrize("what", [{"mark": 0x66}, {"source": "172.18.0.0/16"}])
def test_a_rule_that_leads_the_answer_to_a_table_with_no_way_out(what: dict[str, Any]) -> None:
    mark = "-A PREROUTING -i app0 -p tcp -m tcp --sport 80 -j MARK --set-xmark 0x66/0xffffffff"
    marking = f"*mangle\n:PREROUTING ACCEPT [0:0]\n{mark}\nCOMMIT\n"
    led = rule(60, table=66, **what)
    (path,) = paths("outside", "web:80", rules=(led,), routes=(NOWHERE,), iptables=marking)[:1]
    assert isinstance(path.obstacle, RouteElsewhere)
    assert (path.obstacle.rule, path.obstacle.taken, path.obstacle.reply) == (led, "unreachable", True)
    assert paths("outside", "web:80", rules=(led,), routes=(NOWHERE,))[0].verdict == (
        "reachable" if "mark" in what else "unreachable"
    )


def test_a_rule_inside_that_leads_the_answer_to_a_table_with_no_way_out() -> None:
    led = rule(50, table=9, source=f"{WEB}/32")
    snapshot = made(rules_inside=(led,))
    web = snapshot.containers[0]
    assert web.sandbox
    stack = replace(web.sandbox.stack, routes=(*web.sandbox.stack.routes, replace(NOWHERE, kind="blackhole", table=9)))
    snapshot = replace(snapshot, containers=(replace(web, sandbox=replace(web.sandbox, stack=stack)), *snapshot.containers[1:]))
    question = Question(source=parse_source("outside"), target=parse_target("web:80"))
    path = walk(Case.of((snapshot,), asked=True), question)[0]
    assert isinstance(path.obstacle, NoRoute)
    assert (path.obstacle.where, path.obstacle.rule) == ("web", led)


def test_a_mark_that_the_first_answer_gives_leads_the_next_one() -> None:
    """The handshake passes, and nothing after it does."""
    (said,) = broken(paths(*OUTWARD, rules=(rule(100, mark=1, mark_mask=255),), iptables=REMEMBERS))
    assert said.startswith("route: 172.18.0.3 goes out by eth0, not by app0")
    assert broken(paths(*OUTWARD, rules=(rule(100, mark=2, mark_mask=255),), iptables=REMEMBERS)) == []


def test_a_mark_that_the_first_packet_gives_leads_the_next_one_past_the_container() -> None:
    (said, *_) = broken(paths("outside", "203.0.113.5:8080", rules=(rule(100, mark=1, mark_mask=255),), iptables=REMEMBERS))
    assert said.startswith("route: 172.18.0.2 goes out by eth0, not by app0")


@pytest.mark.parametrize("source", ["203.0.113.0/24", "10.50.0.0/24"])
def test_a_rule_that_prohibits_what_the_other_machine_sends(source: str) -> None:
    said = broken(paths(*OUTWARD, rules=(rule(100, action="prohibit", table=0, source=source),)))
    assert said == (["route: 172.18.0.3 is prohibit, and not on app0 (app)"] if source.startswith("203") else [])


@pytest.mark.parametrize(("selector", "lost"), [("sport 9100", True), ("sport 9101", False), ("dport 9100", False)])
def test_a_rule_by_the_port_that_answers_come_from(selector: str, *, lost: bool) -> None:
    refuses = rule(100, action="blackhole", table=0, selectors=("ipproto tcp", selector))
    assert bool(broken(paths("cli", "host:9100", rules=(refuses,)))) is lost


def test_each_client_is_answered_by_its_own_way_where_the_host_has_a_rule_for_its_address() -> None:
    """Those on the wires by the routes of their wires; those behind eth1's gateway by eth0, unlike the host's own answers."""
    found = paths("outside", "10.50.0.5:8080", rules=(rule(100, source="10.50.0.5", table=102),))
    assert {p.verdict: sorted(str(c) for c in p.clients) for p in found} == {
        "unreachable": ["clients behind 10.50.0.1 on eth1"],
        "reachable": [
            "clients behind 203.0.113.1 on eth0",
            "clients in 10.50.0.0/24 on eth1",
            "clients in 203.0.113.0/24 on eth0",
        ],
    }
    assert broken(found) == ["route: replies of web leave by eth0, those of the host by eth1"]


def test_answers_that_a_mark_leads_back_do_not_leave_by_another_uplink() -> None:
    """`ip rule` for what the host sends, connection marks for what its containers send: nothing is wrong, asked or not."""
    marks = """*mangle
:PREROUTING ACCEPT [0:0]
-A PREROUTING -i eth1 -j CONNMARK --set-xmark 0x2/0xff
-A PREROUTING -i app0 -j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff
COMMIT
"""
    rules = (rule(100, source="10.50.0.5", table=102), rule(101, mark=2, mark_mask=255, table=102), rule(102, mark=77))
    for asked in (True, False):
        assert broken(paths("outside", "10.50.0.5:8080", rules=rules, iptables=marks, asked=asked)) == []


def test_clients_that_a_route_gives_up_are_a_class_where_others_are_on_that_wire() -> None:
    hole = Route(family=4, destination="10.50.0.9/32", kind="prohibit")
    lost, well = paths("outside", "10.50.0.5:8080", routes=(hole,))
    assert [str(c) for c in lost.clients] == ["clients in 10.50.0.9/32 on eth1"]
    assert (lost.verdict, well.verdict) == ("unreachable", "reachable")


def test_clients_far_away_that_a_route_gives_up_are_named() -> None:
    """A ban by a route: of who is behind the default route, others are not concerned."""
    hole = Route(family=4, destination="198.51.100.77/32", kind="blackhole")
    (path,) = paths("outside", "203.0.113.5:8080", routes=(hole,))
    assert path.verdict == "reachable"
    assert "not for 198.51.100.77: host: blackhole route" in " ".join(hop.predicted for hop in path.hops)


@pytest.mark.parametrize(("ports", "lost"), [("8009", False), ("1:1023", False), ("1024:65535", True), ("32768:60999", True)])
def test_nobody_asks_from_the_port_of_a_service(ports: str, *, lost: bool) -> None:
    """A client's port is one of those that kernels pick (net.ipv4.ip_local_port_range)."""
    drops = f"*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -i eth0 -p tcp -m tcp --sport {ports} -j DROP\nCOMMIT\n"
    verdicts = {path.verdict for path in paths("outside", "203.0.113.5:8080", iptables=drops) if "eth0" in str(path.clients)}
    assert verdicts == {"unreachable" if lost else "reachable"}


FIRST_ONLY = "-A INPUT -p tcp -m conntrack --ctstate NEW -j ACCEPT\n-A INPUT -j DROP\n"


@pytest.mark.parametrize(
    ("rules", "lost"),
    [
        (FIRST_ONLY, True),
        ("-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n" + FIRST_ONLY, False),
        ("-A INPUT -i eth0 -m conntrack --ctstate ESTABLISHED -j REJECT\n", True),
    ],
)
def test_what_is_sent_after_the_handshake_passes_too(rules: str, *, lost: bool) -> None:
    said = broken(paths("outside", "203.0.113.5:9100", iptables=f"*filter\n:INPUT ACCEPT [0:0]\n{rules}COMMIT\n"))
    assert bool(said) is lost


@pytest.mark.parametrize(("rules", "lost"), [("-A INPUT -i lo -j DROP", True), ("-A INPUT -i eth0 -j DROP", False)])
def test_rules_inside_decide_on_what_a_container_sends_itself(rules: str, *, lost: bool) -> None:
    said = broken(paths("web", f"{WEB}:80", inside=f"*filter\n:INPUT ACCEPT [0:0]\n{rules}\nCOMMIT\n"))
    assert bool(said) is lost


@pytest.mark.parametrize(("kind", "lost"), [("route", True), ("filter", False)])
def test_a_mark_leads_elsewhere_what_a_chain_for_routing_gives_it(kind: str, *, lost: bool) -> None:
    """In OUTPUT the way was chosen before: a chain of type filter changes the mark and not the way."""
    nft = (
        '{"nftables": [{"table": {"family": "ip", "name": "m", "handle": 1}}, {"chain": {"family": "ip", "table": "m",'
        f' "name": "o", "handle": 1, "type": "{kind}", "hook": "output", "prio": -150, "policy": "accept"}}}},'
        ' {"rule": {"family": "ip", "table": "m", "chain": "o", "handle": 2, "expr": [{"mangle": {"key": {"meta":'
        ' {"key": "mark"}}, "value": 16}}]}}]}'
    )
    assert bool(broken(paths("host", f"{WEB}:80", rules=(rule(100, mark=16, mark_mask=16),), nft=nft))) is lost


@pytest.mark.parametrize(
    ("state", "age", "lost"),
    [("failed", 5, True), ("failed", 3600, False), ("incomplete", 1, True), ("incomplete", 0, False), ("stale", 0, False)],
)
def test_a_next_hop_that_does_not_say_where_it_is(state: str, age: int, *, lost: bool) -> None:
    """That it did not answer an hour ago is no evidence: the kernel keeps such entries."""
    mac = "02:00:00:00:00:01" if state == "stale" else None
    entry = Neighbour(family=4, link="eth0", address="203.0.113.1", mac=mac, state=state, age=age)
    assert bool(broken(paths("cli", "198.51.100.10:80", neighbours=(entry,)))) is lost
    assert broken(paths("cli", "203.0.113.9:80", neighbours=(entry,))) == []
    behind = {str(c) for p in paths("outside", "203.0.113.5:9100", neighbours=(entry,)) if p.broken for c in p.clients}
    assert behind == ({"clients behind 203.0.113.1 on eth0"} if lost else set())


def test_from_a_container_the_host_is_each_address_that_its_settings_would_name() -> None:
    """The gateway and the address that other machines know; a service may be open at one of them and shut at the other."""
    assert [p.destination.address for p in paths("cli", "host:9100")] == ["172.18.0.1", "203.0.113.5"]
    shut = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -d 203.0.113.5/32 -p tcp -j DROP\nCOMMIT\n"
    assert [p.verdict for p in paths("cli", "host:9100", iptables=shut)] == ["reachable", "unreachable"]


def test_whom_a_list_lets_in_is_a_path_of_its_own_beside_those_it_keeps_out() -> None:
    listed = "*filter\n:INPUT DROP [0:0]\n-A INPUT -s 192.168.9.0/24 -j ACCEPT\nCOMMIT\n"
    kept_out, let_in = paths("outside", "203.0.113.5:9100", iptables=listed)
    assert (kept_out.verdict, let_in.verdict) == ("unreachable", "reachable")
    assert [str(c) for c in let_in.clients] == ["clients behind 192.168.9.0/24 on eth0"]


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"inside": "*filter\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -d 198.51.100.7/32 -j DROP\nCOMMIT\n"},
        {"rules": (rule(100, action="blackhole", table=0, destination="198.51.100.7/32"),)},
        {"iptables": "*mangle\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -d 198.51.100.7/32 -j DROP\nCOMMIT\n"},
    ],
)
def test_who_is_cut_off_by_where_answers_go_is_named(elsewhere: dict[str, Any]) -> None:
    (path,) = paths("outside", "203.0.113.5:8080", **elsewhere)
    assert path.verdict == "reachable"
    assert "not for 198.51.100.7" in " ".join(hop.predicted for hop in path.hops)


def test_classes_of_clients_beyond_those_that_are_asked_are_a_blind_spot() -> None:
    routes = tuple(Route(family=4, destination=f"10.9.{n}.0/24", gateway=f"10.50.0.{n + 100}", link="eth1") for n in range(70))
    question = Question(source=parse_source("outside"), target=parse_target("203.0.113.5:9100"))
    found = diagnose([made(routes=routes)], [question], asked=True, registry=Registry(registered={}))
    spots = [spot.spot.what for spot in found.blind_spots]
    assert "9 more kinds of clients that the routes of this host tell apart" in spots


@pytest.mark.parametrize(("protocol", "lost"), [("tcp", True), ("udp", False)])
def test_a_udp_socket_bound_to_all_looks_for_its_way_back_without_an_address(protocol: Any, *, lost: bool) -> None:
    """A policy rule for what has the container's address does not concern what such a socket sends (udp_sendmsg)."""
    snapshot = made()
    web = snapshot.containers[0]
    assert web.sandbox
    assert web.sandbox.stack
    no_way = replace(
        web.sandbox.stack,
        rules=(rule(100, action="prohibit", table=0, source=f"{WEB}/32"), *EVERY_HOST_HAS),
        listeners=(Listener(protocol=protocol, family=4, address="0.0.0.0", port=53),),
    )
    web = replace(web, sandbox=replace(web.sandbox, stack=no_way))
    question = Question(source=parse_source("host"), target=parse_target(f"{WEB}:53/{protocol}"))
    found = walk(Case.of((replace(snapshot, containers=(web,)),), asked=True), question)
    assert bool(broken(found)) is lost


@pytest.mark.parametrize(("mode", "lost"), [("1", True), ("2", False)])
def test_rp_filter_inside_a_container_drops_what_it_would_answer_by_another_network(mode: str, *, lost: bool) -> None:
    snapshot = made()
    web = snapshot.containers[0]
    assert web.sandbox
    assert web.sandbox.stack
    other = Route(family=4, destination="0.0.0.0/0", gateway="172.19.0.1", link="eth1")
    two = replace(
        web.sandbox.stack,
        links=(*web.sandbox.stack.links, Link(index=3, name="eth1", kind="veth")),
        routes=(web.sandbox.stack.routes[0], other),
        sysctls={"net.ipv4.conf.all.rp_filter": mode},
    )
    web = replace(web, sandbox=replace(web.sandbox, stack=two))
    question = Question(source=parse_source("outside"), target=parse_target("203.0.113.5:8080"))
    asked = Case.of((replace(snapshot, containers=(web,)),), asked=True)
    asked = asked.told({}, lambda known: tuple(walk(known, question)))
    assert any("inside web, rp_filter on eth0" in said for said in broken([*asked.paths])) is lost
    assert reverse_path_filter.check.find is not None
    assert {finding.subject.kind for finding in reverse_path_filter.check.find(asked)} == ({"container"} if lost else set())


ANY4 = "0.0.0.0/0"
BLOCKS = IpsecPolicy(family=4, direction="fwd", source=ANY4, destination=ANY4, blocks=True)
OUTSIDE = ("outside", "203.0.113.5:8080")


@pytest.mark.parametrize(
    ("policy", "question", "lost"),
    [
        (BLOCKS, OUTSIDE, True),
        (replace(BLOCKS, destination=f"{WEB}/32"), OUTSIDE, False),  # it is asked by the address that was dialled,
        (replace(BLOCKS, destination="203.0.113.5/32", protocol=6, dport=8080, dport_mask=0xFFFF), OUTSIDE, True),
        (replace(BLOCKS, direction="out", destination=f"{WEB}/32"), OUTSIDE, True),  # and what leaves by the one it has then
        (replace(BLOCKS, source=f"{WEB}/32"), OUTSIDE, True),  # of the answer
        (replace(BLOCKS, direction="out", source="203.0.113.5/32"), OUTSIDE, True),  # likewise, once the DNAT is undone
        (replace(BLOCKS, direction="in"), OUTSIDE, False),
        (replace(BLOCKS, protocol=17), OUTSIDE, False),
        (replace(BLOCKS, blocks=False), OUTSIDE, False),
        (replace(BLOCKS, direction="in"), ("outside", "203.0.113.5:9100"), True),
        (replace(BLOCKS, direction="out", destination="203.0.113.0/24"), OUTWARD, True),
        (BLOCKS, OUTWARD, True),
        (replace(BLOCKS, direction="out", destination="203.0.113.0/24"), ("host", "203.0.113.9:80"), True),
        (replace(BLOCKS, direction="in", source="203.0.113.0/24"), ("host", "203.0.113.9:80"), True),  # of the answer
        (BLOCKS, ("cli", "container:web:80"), False),  # only bridged
        (BLOCKS, ("host", "127.0.0.1:9100"), False),
    ],
)
def test_ipsec_policies_block_there_or_back(policy: IpsecPolicy, question: tuple[str, str], *, lost: bool) -> None:
    found = broken(paths(*question, ipsec=(policy,)))
    assert bool(found) is lost
    assert all(text.startswith("filter: the IPsec policy src ") for text in found)


def test_the_ipsec_policy_of_the_lowest_priority_counts() -> None:
    passes = IpsecPolicy(family=4, direction="fwd", source=ANY4, destination=ANY4)
    assert broken(paths(*OUTSIDE, ipsec=(passes, BLOCKS))) == []
    assert broken(paths(*OUTSIDE, ipsec=(BLOCKS, passes))) != []


def test_what_has_to_come_by_a_tunnel_is_not_known_to() -> None:
    tunnel = IpsecPolicy(family=4, direction="fwd", source="203.0.113.0/24", destination=ANY4, transforms=True)
    assert "unknown" in {p.verdict for p in paths(*OUTSIDE, ipsec=(tunnel,))}
    assert {p.verdict for p in paths(*OUTSIDE)} == {"reachable"}


@pytest.mark.parametrize(
    ("version", "host_ip", "asked", "lost"),
    [
        ("26.1.5", "0.0.0.0", "203.0.113.5", True),
        ("26.1.5", "0.0.0.0", "172.18.0.1", False),  # from there the proxy answers
        ("26.1.5", "203.0.113.5", "203.0.113.5", False),
        ("28.5.2", "0.0.0.0", "203.0.113.5", False),
    ],
)
def test_docker_proxy_answers_datagrams_from_the_address_on_the_way(
    version: str, host_ip: str, asked: str, *, lost: bool
) -> None:
    """As seen on real engines: up to 26.1 its socket, bound to all addresses, answers from the one of the way to the asker."""
    snapshot = made()
    web, *others = snapshot.containers
    assert snapshot.host
    assert web.sandbox
    udp = Listener(protocol="udp", family=4, address="0.0.0.0", port=53)
    inside = replace(web.sandbox.stack, listeners=(udp,))
    published = PublishedPort(port=53, protocol="udp", host_ip=host_ip, host_port=5353)
    web = replace(web, ports=(published,), sandbox=replace(web.sandbox, stack=inside))
    proxy = replace(udp, address=host_ip, port=5353, process=Process(pid=9, name="docker-proxy", of_daemon=True))
    stack = replace(snapshot.host.stack, listeners=(proxy,))
    case = Case.of(
        (
            replace(
                snapshot,
                engine=Engine(version=version),
                containers=(web, *others),
                host=replace(snapshot.host, stack=stack),
            ),
        ),
        asked=True,
    )
    (path,) = walk(case, Question(source=parse_source("cli"), target=parse_target(f"{asked}:5353/udp")))
    assert bool(broken([path])) is lost


def sidecar(chain: str, to: int, more: str = "") -> str:
    """Rules inside a container that lead what is for port 80 to a proxy beside the service."""
    return f"*nat\n:{chain} ACCEPT [0:0]\n-A {chain} -p tcp -m tcp --dport 80{more} -j REDIRECT --to-ports {to}\nCOMMIT\n"


@pytest.mark.parametrize(
    ("source", "target", "inside", "said"),
    [
        (
            "cli",
            f"{WEB}:80",
            sidecar("PREROUTING", 15006),
            "mapping: inside web, rule 1 of PREROUTING (nat)",
        ),
        ("outside", "203.0.113.5:8080", sidecar("PREROUTING", 15006), "mapping: inside web, rule 1 of PREROUTING (nat)"),
        ("web", "172.18.0.3:80", sidecar("OUTPUT", 15001), "mapping: inside web, rule 1 of OUTPUT (nat)"),
        # a proxy listens there; for others; away from here, where an answer may come from
        ("cli", f"{WEB}:80", sidecar("PREROUTING", 9090), ""),
        ("web", "172.18.0.3:80", sidecar("OUTPUT", 9090), ""),
        ("cli", f"{WEB}:80", sidecar("PREROUTING", 15006, " -s 172.18.0.9/32"), ""),
        ("web", "172.18.0.3:80", sidecar("OUTPUT", 15001, " -d 172.18.0.9/32"), ""),
        ("web", "172.18.0.3:80", sidecar("OUTPUT", 1).replace("REDIRECT --to-ports 1", "DNAT --to-destination 10.9.9.9"), ""),
    ],
)
def test_a_rule_inside_a_container_leads_to_a_port_where_nobody_listens(
    source: str, target: str, inside: str, said: str
) -> None:
    found = broken(paths(source, target, inside=inside, listens_inside=(9090,)))
    assert [text[: len(said)] for text in found] == ([said] if said else [])


@pytest.mark.parametrize(
    ("selector", "said"),
    [(("ipproto 17", "sport 53"), ["route: web has no route back to 172.18.0.3"]), (("ipproto 6", "sport 53"), [])],
)
def test_a_rule_by_port_inside_a_container_takes_the_answers_of_udp(selector: tuple[str, ...], said: list[str]) -> None:
    rules = (rule(50, action="prohibit", table=0, selectors=selector),)
    assert broken(paths("cli", f"{WEB}:53/udp", rules_inside=rules)) == said


def at_an_interface(port: int) -> str:
    """A table of nft at the way out, of which an old nft does not say to which interface it is hooked."""
    chain = {"family": "netdev", "table": "e", "name": "e", "handle": 1, "type": "filter", "hook": "egress", "prio": 0}
    match = {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "sport"}}, "right": port}}
    rule = {"family": "netdev", "table": "e", "chain": "e", "handle": 2, "expr": [match, {"drop": None}]}
    table = {"family": "netdev", "name": "e", "handle": 1}
    return json.dumps({"nftables": [{"table": table}, {"chain": {**chain, "policy": "accept"}}, {"rule": rule}]})


@pytest.mark.parametrize(("port", "verdict"), [(8080, "unknown"), (8081, "reachable")])
def test_what_drops_all_answers_at_an_interface_that_is_not_known_leaves_the_path_open(port: int, verdict: str) -> None:
    """A limit on answers is no doubt about the way; a rule that drops each of them or none is."""
    path, *_ = paths("outside", "203.0.113.5:8080", nft=at_an_interface(port))
    assert path.verdict == verdict
