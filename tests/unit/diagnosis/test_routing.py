"""`ip route get` from a recorded stack."""

from __future__ import annotations

import pytest

from dockernet_doctor.diagnosis.facts.routing import lookup, refused_by_rp_filter, route_text, rule_text
from dockernet_doctor.snapshot.model import Address, Link, NetworkStack, Route, RoutingRule

STACK = NetworkStack(
    links=(
        Link(index=1, name="lo"),
        Link(index=2, name="eth0"),
        Link(index=3, name="eth1"),
        Link(index=4, name="docker0", kind="bridge"),
        Link(index=5, name="tun0", up=False),
    ),
    addresses=(
        Address(link="lo", address="127.0.0.1", prefix=8, family=4, scope="host"),
        Address(link="eth0", address="10.0.0.5", prefix=24, family=4),
        Address(link="eth1", address="192.168.7.2", prefix=24, family=4),
        Address(link="docker0", address="172.17.0.1", prefix=16, family=4),
    ),
    routes=(
        Route(family=4, destination="0.0.0.0/0", link="eth0", gateway="10.0.0.1"),
        Route(family=4, destination="0.0.0.0/0", link="eth1", gateway="192.168.7.1", metric=100),
        Route(family=4, destination="10.0.0.0/24", link="eth0", source="10.0.0.5"),
        Route(family=4, destination="172.17.0.0/16", link="docker0", source="172.17.0.1"),
        Route(family=4, destination="172.17.9.0/24", link="tun0"),
        Route(family=4, destination="203.0.113.0/24", kind="blackhole"),
        Route(family=4, destination="0.0.0.0/0", link="eth1", gateway="192.168.7.1", table=100),
    ),
)


@pytest.mark.parametrize(
    ("destination", "kind", "link", "source"),
    [
        ("10.0.0.9", "unicast", "eth0", "10.0.0.5"),
        ("8.8.8.8", "unicast", "eth0", "10.0.0.5"),
        ("172.17.0.2", "unicast", "docker0", "172.17.0.1"),
        ("172.17.9.2", "unicast", "docker0", "172.17.0.1"),  # tun0 is down: its route does not count
        ("10.0.0.5", "local", "lo", "10.0.0.5"),
        ("127.0.0.53", "local", "lo", "127.0.0.53"),
        ("203.0.113.7", "blackhole", None, None),
    ],
)
def test_main_table(destination: str, kind: str, link: str | None, source: str | None) -> None:
    found = lookup(STACK, destination)
    assert (found.kind, found.link, found.source) == (kind, link, source)


def test_no_route() -> None:
    assert lookup(STACK, "fd00::1").kind == "none"


def test_a_rule_by_source_takes_another_table() -> None:
    rules = (
        RoutingRule(family=4, priority=1000, table=100, source="192.168.7.2/32"),
        RoutingRule(family=4, priority=32766, table=254),
    )
    stack = NetworkStack(links=STACK.links, addresses=STACK.addresses, routes=STACK.routes, rules=rules)
    assert lookup(stack, "8.8.8.8", source="192.168.7.2").link == "eth1"
    assert lookup(stack, "8.8.8.8", source="172.17.0.2", in_interface="docker0").link == "eth0"


def test_as_ip_prints_it() -> None:
    assert route_text(STACK.routes[0]) == "default via 10.0.0.1 dev eth0"
    assert route_text(STACK.routes[5]) == "blackhole 203.0.113.0/24"
    assert rule_text(RoutingRule(family=4, priority=9, table=100, source="10.0.0.0/8")) == "9: from 10.0.0.0/8 lookup 100"


@pytest.mark.parametrize(
    ("selector", "link"),
    [("uidrange 1000-1000", "docker0"), ("ipproto 17", "docker0"), ("ipproto 6", "eth1"), ("dport 80-90", "eth1")],
)
def test_a_rule_with_further_selectors_takes_only_what_they_select(selector: str, link: str) -> None:
    rules = (
        RoutingRule(family=4, priority=1000, table=100, selectors=(selector,)),
        RoutingRule(family=4, priority=32766, table=254),
    )
    stack = NetworkStack(links=STACK.links, addresses=STACK.addresses, routes=STACK.routes, rules=rules)
    assert lookup(stack, "172.17.0.2", protocol="tcp", port=80).link == link
    assert lookup(stack, "172.17.0.2").link == "docker0"
    assert selector in rule_text(rules[0])


@pytest.mark.parametrize(
    ("sysctls", "interface", "source", "mark", "back"),
    [
        ({"all": "0", "tun0": "1"}, "tun0", "203.0.113.9", 0x1, "eth0"),  # the answer of what a mark sent into the tunnel
        ({"all": "0", "tun0": "1", "valid": "1"}, "tun0", "203.0.113.9", 0x1, None),
        ({"all": "2", "tun0": "1"}, "tun0", "203.0.113.9", 0, None),  # the larger counts
        ({"all": "1", "tun0": "0"}, "tun0", "203.0.113.9", 0, "eth0"),
        ({"all": "1", "tun0": "0"}, "eth0", "203.0.113.9", 0, None),
        ({"all": "0", "tun0": "2"}, "tun0", "10.66.0.1", 0, "unreachable"),  # loose, too, wants a way back
        ({"all": "0", "tun0": "0"}, "tun0", "10.66.0.1", 0, None),
    ],
)
def test_rp_filter_asks_for_the_way_back(
    sysctls: dict[str, str], interface: str, source: str, mark: int, back: str | None
) -> None:
    keys = {"valid": "net.ipv4.conf.all.src_valid_mark"}
    stack = NetworkStack(
        links=(Link(index=2, name="eth0"), Link(index=3, name="tun0")),
        routes=(
            Route(family=4, destination="0.0.0.0/0", gateway="10.0.0.1", link="eth0"),
            Route(family=4, destination="10.66.0.0/16", kind="unreachable"),
            Route(family=4, destination="0.0.0.0/0", link="tun0", table=7),
        ),
        rules=(RoutingRule(family=4, priority=10, mark=1, table=7), RoutingRule(family=4, priority=32766, table=254)),
        sysctls={"net.ipv4.conf.all.src_valid_mark": "0"}
        | {keys.get(name, f"net.ipv4.conf.{name}.rp_filter"): value for name, value in sysctls.items()},
    )
    found = refused_by_rp_filter(stack, interface, source, "172.17.0.2", mark=mark)
    assert (found and (found.link or found.kind)) == back
