"""Edits of rules: the dumps as they are once they were made, and what takes them back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from dockernet_doctor.netfilter.change import Way, allow, undo, undo_policy
from dockernet_doctor.netfilter.dumps import rulesets_of
from dockernet_doctor.netfilter.edit import edited
from dockernet_doctor.netfilter.evaluate import journey, locality
from dockernet_doctor.netfilter.model import Chain, Context, Packet, Route, Ruleset
from dockernet_doctor.snapshot.model import FirewallDump

REQUEST = Packet(source="10.1.0.2", destination="172.17.0.2", dport=80, in_interface="eth0", out_interface="docker0")
ANSWER = Packet(
    source="172.17.0.2",
    destination="10.1.0.2",
    sport=80,
    in_interface="docker0",
    out_interface="eth0",
    ctstate="ESTABLISHED",
    reply=True,
)
IPTABLES = """\
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [3:180]
:DOCKER-USER - [0:0]
[9:99] -A FORWARD -j DOCKER-USER
[1:60] -A DOCKER-USER -p tcp -m comment --comment "no
web" -j DROP
-A DOCKER-USER -s 10.0.0.0/8 -j LOG
-A DOCKER-USER -p tcp -m comment --comment "no
web" -j DROP
COMMIT
*raw
:PREROUTING ACCEPT [0:0]
-A PREROUTING -i eth0 -j DROP
COMMIT
"""
NATIVE: dict[str, list[dict[str, Any]]] = {
    "nftables": [
        {"metainfo": {"version": "1.0.6"}},
        {"table": {"family": "inet", "name": "guard", "handle": 1}},
        {
            "chain": {
                "family": "inet",
                "table": "guard",
                "name": "fwd",
                "handle": 1,
                "type": "filter",
                "hook": "forward",
                "prio": 0,
                "policy": "drop",
            }
        },
        {
            "rule": {
                "family": "inet",
                "table": "guard",
                "chain": "fwd",
                "handle": 7,
                "expr": [
                    {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 80}},
                    {"drop": None},
                ],
            }
        },
        {"rule": {"family": "inet", "table": "guard", "chain": "fwd", "handle": 8, "expr": [{"counter": None}]}},
    ]
}


def dumps(text: str) -> tuple[FirewallDump, ...]:
    return (FirewallDump(tool="iptables-legacy", family=4, text=text),)


def native(expressions: list[dict[str, Any]] | None = None) -> tuple[FirewallDump, ...]:
    """The table guard, the first rule with other expressions where they are given."""
    objects = json.loads(json.dumps(NATIVE))
    if expressions is not None:
        objects["nftables"][3]["rule"]["expr"] = expressions
    return (FirewallDump(tool="nft", family=None, text=json.dumps(objects)),)


def verdict(rulesets: Sequence[Ruleset], packet: Packet) -> str:
    way = Route(kind="forward", out_interface=packet.out_interface)
    return journey(rulesets, packet, Context(locality=locality(()), route=lambda _packet: way)).verdict


def chain(found: tuple[FirewallDump, ...], table: str, name: str) -> Chain:
    (ruleset,) = rulesets_of(found)
    chain = ruleset.chain(table, name)
    assert chain is not None
    return chain


def made(way: Way, found: tuple[FirewallDump, ...]) -> tuple[FirewallDump, ...]:
    return edited(found, way.edits)


def test_the_dump_after_a_removal_lacks_the_rule_and_its_copies() -> None:
    before = dumps(IPTABLES)
    user = chain(before, "filter", "DOCKER-USER")
    removal, _narrow = undo(user.rules[0], REQUEST, chain=user)
    (after,) = made(removal, before)
    assert "no\nweb" not in after.text
    assert after.text.count("\n") == IPTABLES.count("\n") - 4
    assert "[9:99] -A FORWARD -j DOCKER-USER" in after.text
    places = [line.split()[3] for line in removal.edits[0].undo]
    assert places == ["1", "3"]


@pytest.mark.parametrize("packet", [REQUEST, ANSWER])
def test_an_accept_lets_pass_what_it_is_for_and_no_more(packet: Packet) -> None:
    without_raw = dumps(IPTABLES[: IPTABLES.index("*raw")])
    for before, table, name in ((without_raw, "filter", "FORWARD"), (native(), "guard", "fwd")):
        way = allow(chain(before, table, name), packet, docker_user=False)
        after = rulesets_of(made(way, before))
        assert verdict(after, packet) == "accept"
        assert verdict(after, replace(packet, sport=81) if packet.reply else replace(packet, dport=81)) == "drop"
        assert way.edits[0].undo != ()


def test_a_policy_that_accepts_is_in_the_dump() -> None:
    for before, table, name in ((dumps(IPTABLES), "filter", "FORWARD"), (native(), "guard", "fwd")):
        at = chain(before, table, name)
        _narrow, wide = undo_policy(at, REQUEST, docker_user=False)
        assert (at.policy, chain(made(wide, before), table, name).policy) == ("DROP", "ACCEPT")


def test_a_native_rule_comes_back_where_it_was() -> None:
    at = chain(native(), "guard", "fwd")
    removal = undo(at.rules[0], chain=at)[0]
    assert [rule.handle for rule in chain(made(removal, native()), "guard", "fwd").rules] == [8]
    asked = "nft -a list chain inet guard fwd | grep '^[[:space:]]*tcp dport 80 drop # handle 7$'"
    assert removal.commands == (f"{asked} && nft delete rule inet guard fwd handle 7",)
    assert removal.edits[0].undo == ("nft insert rule inet guard fwd index 0 'tcp dport 80 drop'",)
    last = undo(at.rules[1], chain=at)[0]
    assert '"add"' in last.edits[0].undo[0]


def test_what_nft_may_write_otherwise_comes_back_as_json() -> None:
    marked = {"match": {"op": "==", "left": {"meta": {"key": "mark"}}, "right": 5}}
    at = chain(native(expressions=[marked, {"drop": None}]), "guard", "fwd")
    removal = undo(at.rules[0], chain=at)[0]
    assert removal.commands[0].startswith("nft -a list chain inet guard fwd | grep 'drop # handle 7$' && ")
    (line,) = removal.edits[0].undo
    (put_back,) = json.loads(line.split("'")[1])["nftables"]
    assert put_back["insert"]["rule"]["index"] == 0  # a handle would be gone where the rule behind it was deleted, too
    assert put_back["insert"]["rule"]["expr"] == json.loads(bytes(at.rules[0].expressions))


def test_before_connections_are_known_no_accept_asks_for_their_state() -> None:
    raw = chain(dumps(IPTABLES), "raw", "PREROUTING")
    way = allow(raw, ANSWER, default="iptables-legacy")
    assert way.commands == ("iptables -t raw -I PREROUTING -s 172.17.0.2 -i docker0 -o eth0 -p tcp --sport 80 -j ACCEPT",)


def test_the_policy_of_ufw_is_set_by_ufw() -> None:
    text = "*filter\n:INPUT DROP [0:0]\n:ufw-before-input - [0:0]\n-A INPUT -j ufw-before-input\nCOMMIT\n"
    here = Packet(source="172.17.0.2", destination="10.99.0.3", dport=9000, in_interface="docker0")
    wide = undo_policy(chain(dumps(text), "filter", "INPUT"), here)[-1]
    assert (wide.commands, wide.edits[0].undo) == (("ufw default allow incoming",), ("ufw default deny incoming",))
    assert wide.lasts == "permanent"
