"""What is routed crosses the bridges of this host as frames, and ARP comes before all of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from dockernet_doctor.netfilter import evaluate, journey, locality, parse_iptables_save, parse_nft_json
from dockernet_doctor.netfilter.edit import Traffic
from dockernet_doctor.netfilter.evaluate import reply_to
from dockernet_doctor.netfilter.model import Context, Packet, Route, Ruleset

TO_CONTAINER = Packet(source="10.9.0.9", destination="172.17.0.2", dport=80, in_interface="eth1")
BY_BRIDGE = Route(kind="forward", out_interface="docker0", physdev_out="veth1")
CONTEXT = Context(locality=locality(["172.17.0.1"]), route=lambda _packet: BY_BRIDGE, bridges=frozenset({"docker0", "vmbr0"}))


def is_(left: Any, right: Any) -> dict[str, Any]:
    return {"match": {"op": "==", "left": left, "right": right}}


def field(protocol: str, name: str, right: Any) -> dict[str, Any]:
    return is_({"payload": {"protocol": protocol, "field": name}}, right)


def meta(key: str, right: Any) -> dict[str, Any]:
    return is_({"meta": {"key": key}}, right)


def table(family: str, hook: str, *rules: list[dict[str, Any]], policy: str = "accept") -> Ruleset:
    place = {"family": family, "table": "t"}
    chain = {**place, "name": "c", "type": "filter", "hook": hook, "prio": 0, "policy": policy}
    made = [{"rule": {**place, "chain": "c", "handle": number, "expr": rule}} for number, rule in enumerate(rules, 1)]
    return parse_nft_json(json.dumps({"nftables": [{"table": {"family": family, "name": "t"}}, {"chain": chain}, *made]}))


@pytest.mark.parametrize(
    ("hook", "asked", "verdict"),
    [
        ("output", [field("tcp", "dport", 80)], "drop"),
        ("postrouting", [field("tcp", "dport", 80)], "drop"),
        ("output", [meta("oifname", "veth1")], "drop"),
        ("output", [meta("obrname", "docker0")], "drop"),
        ("output", [meta("ibrname", "eth1")], "accept"),
        ("output", [meta("oifname", "docker0")], "accept"),
        ("output", [field("ether", "type", "arp")], "accept"),
        ("forward", [field("tcp", "dport", 80)], "accept"),  # of what only crosses the bridge
        ("input", [field("tcp", "dport", 80)], "accept"),
        ("prerouting", [field("tcp", "dport", 80)], "accept"),
    ],
)
def test_what_is_routed_onto_a_bridge_leaves_by_one_of_its_ports(hook: str, asked: list[Any], verdict: str) -> None:
    rules = table("bridge", hook, [*asked, {"drop": None}])
    assert journey([rules], TO_CONTAINER, CONTEXT).verdict == verdict
    assert journey([rules], TO_CONTAINER, replace(CONTEXT, bridges=frozenset())).verdict == "accept"


@pytest.mark.parametrize("hook", ["prerouting", "input"])
def test_what_comes_from_a_bridge_came_by_one_of_its_ports(hook: str) -> None:
    answer = reply_to(journey([], TO_CONTAINER, CONTEXT))
    assert (answer.physdev_in, answer.in_interface) == ("veth1", "docker0")
    out = replace(CONTEXT, route=lambda _packet: Route(kind="forward", out_interface="eth1"))
    for asked, verdict in (
        (field("tcp", "sport", 80), "drop"),
        (meta("iifname", "veth1"), "drop"),
        (meta("iifname", "veth2"), "accept"),
    ):
        assert journey([table("bridge", hook, [asked, {"drop": None}])], answer, out).verdict == verdict


def test_a_port_that_is_not_known_makes_what_asks_for_it_unknown() -> None:
    anywhere = replace(CONTEXT, route=lambda _packet: Route(kind="forward", out_interface="vmbr0"))
    rules = table("bridge", "output", [meta("oifname", "vp1"), {"drop": None}])
    assert journey([rules], TO_CONTAINER, anywhere).verdict == "unknown"


def test_iptables_knows_the_port_that_a_routed_packet_came_by_and_never_the_one_it_leaves_by() -> None:
    packet = replace(TO_CONTAINER, in_interface="docker0", physdev_in="veth1", physdev_out="veth2")

    def dropped(match: str, context: Context) -> str:
        text = f"*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -m physdev {match} -j DROP\nCOMMIT\n"
        return evaluate(parse_iptables_save(text, 4, "iptables-nft"), "filter", "FORWARD", packet, context).verdict

    assert dropped("--physdev-in veth1", CONTEXT) == "drop"
    assert dropped("--physdev-in veth1", replace(CONTEXT, bridge_netfilter=frozenset({6}))) == "accept"
    assert dropped("--physdev-out veth2", CONTEXT) == "accept"


REQUEST = Packet(protocol="arp", arp=1, source="172.17.0.1", destination="172.17.0.2", ctstate="UNTRACKED")


@pytest.mark.parametrize(
    ("family", "hook", "asked", "verdict"),
    [
        ("arp", "output", [field("arp", "daddr ip", "172.17.0.2")], "drop"),
        ("arp", "output", [field("arp", "htype", 1), field("arp", "operation", "request")], "drop"),
        ("arp", "output", [field("arp", "operation", "reply")], "accept"),
        ("arp", "output", [field("arp", "saddr ip", "172.17.0.3")], "accept"),
        ("arp", "output", [meta("oifname", "docker0")], "drop"),
        ("arp", "input", [], "accept"),
        ("bridge", "output", [field("ether", "type", "arp")], "drop"),
        ("bridge", "output", [field("ether", "type", "ip")], "accept"),
        ("bridge", "output", [field("ip", "daddr", "172.17.0.2")], "accept"),
        ("bridge", "output", [field("th", "dport", 0)], "accept"),
        ("bridge", "output", [meta("l4proto", "tcp")], "accept"),
        ("bridge", "output", [meta("pkttype", "broadcast")], "drop"),
        ("ip", "output", [], "accept"),
        ("inet", "output", [], "accept"),
    ],
)
def test_arp_meets_the_rules_for_arp_and_for_frames(family: str, hook: str, asked: list[Any], verdict: str) -> None:
    assert journey([table(family, hook, [*asked, {"drop": None}])], REQUEST, CONTEXT).verdict == verdict


def test_arp_is_let_in_again_by_what_it_is() -> None:
    accept = Traffic.of(REQUEST, ports_of_bridge=True)
    assert str(accept.nft()) == "arp htype 1 accept"
    opened = table("bridge", "output", accept.expressions(), [{"drop": None}])
    assert journey([opened], REQUEST, CONTEXT).verdict == "accept"
    assert journey([opened], TO_CONTAINER, CONTEXT).verdict == "drop"


@pytest.mark.parametrize(("family", "size", "told"), [(4, 60, 60), (6, 80, 40)])
def test_the_packet_that_opens_a_connection_has_a_known_length(family: int, size: int, told: int) -> None:
    syn = TO_CONTAINER if family == 4 else replace(TO_CONTAINER, family=6, source="fd00::9", destination="fd00::2")
    ip = "ip" if family == 4 else "ip6"
    for asked, verdict in (
        (meta("length", size), "drop"),
        (field(ip, "length", told), "drop"),
        (meta("length", {"range": [size + 1, 65535]}), "accept"),
    ):
        rules = table("inet", "forward", [asked, {"drop": None}])
        assert journey([rules], syn, CONTEXT).verdict == verdict
        later = journey([rules], replace(syn, ctstate="ESTABLISHED"), CONTEXT).verdict
        assert later == "unknown"  # a bare ACK is smaller, data as large as they come
        assert journey([rules], replace(syn, protocol="udp"), CONTEXT).verdict == "unknown"
