"""What changes by ip(8) say, and what takes them back."""

from __future__ import annotations

import pytest

from dockernet_doctor.diagnosis.change import Change, Commands, IpChange, Passing, RouteChange, RuleChange
from dockernet_doctor.diagnosis.finding import Fix
from dockernet_doctor.diagnosis.fixes import addressing
from dockernet_doctor.shell import command
from dockernet_doctor.snapshot.model import Address, NetworkStack, Route, RoutingRule

BLACKHOLE = Route(family=4, destination="10.20.0.2/32", kind="blackhole")
BY_VPN = Route(family=4, destination="10.20.0.0/24", gateway="10.9.0.1", link="tun0", metric=50, table=100)
MARKED = RoutingRule(family=4, priority=500, table=254, source="10.20.0.0/24", mark=1, mark_mask=255, in_interface="app0")
LATER = RoutingRule(family=6, priority=9, table=0, action="prohibit", inverted=True, selectors=("ipproto 6", "dport 53"))
SHORT = RoutingRule(family=4, priority=7, table=100, suppress_prefix_length=0)


@pytest.mark.parametrize(
    ("change", "forth", "back"),
    [
        (RouteChange.removed(BLACKHOLE), "-4 route del blackhole 10.20.0.2/32", "-4 route add blackhole 10.20.0.2/32"),
        (
            RouteChange.added(BY_VPN),
            "-4 route replace 10.20.0.0/24 via 10.9.0.1 dev tun0 table 100 metric 50",
            "-4 route del 10.20.0.0/24 via 10.9.0.1 dev tun0 table 100 metric 50",
        ),
        (
            RuleChange.added(MARKED),
            "-4 rule add from 10.20.0.0/24 fwmark 0x1/0xff iif app0 lookup main pref 500",
            "-4 rule del from 10.20.0.0/24 fwmark 0x1/0xff iif app0 lookup main pref 500",
        ),
        (RuleChange.removed(LATER), "-6 rule del pref 9", "-6 rule add not ipproto 6 dport 53 prohibit pref 9"),
        (
            RuleChange.added(SHORT),
            "-4 rule add lookup 100 suppress_prefixlength 0 pref 7",
            "-4 rule del lookup 100 suppress_prefixlength 0 pref 7",
        ),
    ],
)
def test_what_ip_adds_it_takes_away(change: Change, forth: str, back: str) -> None:
    assert (change.commands, change.undo) == ((f"ip {forth}",), (f"ip {back}",))


def test_a_default_route_that_is_replaced_comes_back() -> None:
    there = Route(family=4, destination="0.0.0.0/0", gateway="10.20.0.3", link="eth0", source="10.20.0.2")
    for routes, back in (
        ((there,), "replace default via 10.20.0.3 dev eth0 src 10.20.0.2"),
        ((), "del default via 10.20.0.1 dev eth1"),
    ):
        change = addressing.default_route(NetworkStack(routes=routes), 4, "10.20.0.1", "eth1")
        assert change.commands == ("ip -4 route replace default via 10.20.0.1 dev eth1",)
        assert change.undo == (f"ip -4 route {back}",)


def test_an_address_that_was_there_stays() -> None:
    held = NetworkStack(addresses=(Address(link="eth0", address="10.20.0.2", prefix=24, family=4),))
    for stack, back in ((held, "replace"), (NetworkStack(), "del")):
        assert addressing.address_added(stack, "eth0", "10.20.0.2/24").undo == (f"ip addr {back} 10.20.0.2/24 dev eth0",)


def test_a_fix_is_taken_back_in_reverse_and_without_what_passes_by_itself() -> None:
    up = IpChange(forth=("link", "set", "a", "up"), back=("link", "set", "a", "down"))
    fix = addressing.networking(
        up, addressing.of_port("a", "isolated", "off", back="on"), Passing(forth=(command("ip", "neigh", "flush", "all"),)),
        summary="Mend it.", lasts="until-reboot",
    )  # fmt: skip
    assert fix.commands[-1] == "ip neigh flush all"
    assert fix.undo == ("ip link set a type bridge_slave isolated on", "ip link set a down")
    assert Fix.of(up, IpChange(forth=("link", "del", "b")), summary="No way back.", impacts=()).undo == ()


def test_what_is_started_again_leaves_the_undo_as_it_is() -> None:
    made = Commands(forth=(command("docker", "network", "connect", "app", "web"),), back=(command("true"),))
    fix = Fix.of(made, summary="Connect web.", impacts=("changes-network",))
    again = fix.followed_by(command("docker", "start", "web"), impacts=("restarts-container",))
    assert again.commands == (*fix.commands, "docker start web")
    assert (again.undo, again.impacts) == (fix.undo, ("changes-network", "restarts-container"))
