"""Rules as records: what they ask for and what they do, alike for iptables and nft."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from dockernet_doctor.netfilter import parse_iptables_save, parse_nft_json
from dockernet_doctor.netfilter.iptables_rules import tail_steps
from dockernet_doctor.netfilter.iptables_syntax import EXTENSIONS
from dockernet_doctor.netfilter.model import Rule
from dockernet_doctor.netfilter.records import Target, Term
from dockernet_doctor.netfilter.terms import Verdict
from tests.unit.netfilter.recorded import DATA


def iptables(line: str) -> Rule:
    return Rule(table="filter", chain=line.split()[1], position=1, backend="iptables-nft", family="ip", line=line)


def native(*expressions: Any) -> Rule:
    raw = msgspec.Raw(json.dumps(expressions).encode())
    return Rule(table="filter", chain="forward", position=1, backend="nft", family="inet", expressions=raw)


def match(left: Any, right: Any, operator: str = "==") -> dict[str, Any]:
    return {"match": {"op": operator, "left": left, "right": right}}


SADDR = {"payload": {"protocol": "ip", "field": "saddr"}}
DPORT = {"payload": {"protocol": "tcp", "field": "dport"}}


@pytest.mark.parametrize(
    ("line", "terms", "target"),
    [
        ("-A DOCKER-USER -j RETURN", (), Target("return")),
        ("-A FORWARD", (), Target()),
        (
            "-A FORWARD ! -s 10.0.0.0/8 -d 172.17.0.2/32 -i eth+ ! -o docker0 -p tcp -m tcp --dport 80:90 -j ACCEPT",
            (
                Term("source", ("10.0.0.0/8",), negated=True),
                Term("destination", ("172.17.0.2/32",)),
                Term("inside", ("eth*",)),
                Term("outside", ("docker0",), negated=True),
                Term("protocol", ("tcp",)),
                Term("dport", ("80-90",)),
            ),
            Target("accept"),
        ),
        (
            "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED --ctorigdstport 8080 -j ACCEPT",
            (Term("state", ("RELATED", "ESTABLISHED")), Term("original-dport", ("8080",))),
            Target("accept"),
        ),
        (
            "-A INPUT -p tcp -m multiport --dports 80,443 -m set ! --match-set lan src,dst -j DROP",
            (Term("protocol", ("tcp",)), Term("dport", ("80", "443")), Term("source", (), negated=True, set_name="lan")),
            Target("drop"),
        ),
        (
            '-A INPUT -m comment --comment "all -j ACCEPT -s 10.0.0.1" -j DROP',
            (Term("comment", ("all -j ACCEPT -s 10.0.0.1",)),),
            Target("drop"),
        ),
        (
            "-A INPUT -m limit --limit 5/sec -m socket -m mark --mark 0x1/0xff -j LOG --log-prefix x",
            (Term("limit", ("--limit", "5/sec")), Term("socket"), Term("mark", ("0x1/0xff",))),
            Target("log", options=("--log-prefix", "x")),
        ),
        (
            "-A DOCKER ! -i br-1 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.18.0.2:80",
            (Term("inside", ("br-1",), negated=True), Term("protocol", ("tcp",)), Term("dport", ("8080",))),
            Target("dnat", address="172.18.0.2", port="80"),
        ),
        ("-A DOCKER -j DNAT --to-destination [fd00::2]:80", (), Target("dnat", address="fd00::2", port="80")),
        ("-A OUTPUT -j REDIRECT --to-ports 53", (), Target("redirect", port="53")),
        ("-A POSTROUTING -j MASQUERADE --random", (), Target("masquerade", options=("--random",))),
        ("-A OUTPUT -m addrtype --dst-type LOCAL -j DOCKER", (Term("destination-type", ("LOCAL",)),), Target("jump", "DOCKER")),
        ("-A INPUT -s 10.0.0.1/32 -g blocked", (Term("source", ("10.0.0.1/32",)),), Target("goto", "blocked")),
        ("-A INPUT -j LOG --log-prefix -j", (), Target("log", options=("--log-prefix", "-j"))),
    ],
)  # fmt: skip
def test_record_of_an_iptables_rule(line: str, terms: tuple[Term, ...], target: Target) -> None:
    rule = iptables(line)
    assert (rule.terms, rule.target) == (terms, target)


@pytest.mark.parametrize(
    ("expressions", "terms", "target"),
    [
        (({"counter": {"packets": 1, "bytes": 2}}, {"accept": None}), (), Target("accept")),
        (
            (match(SADDR, {"prefix": {"addr": "10.0.0.0", "len": 8}}, "!="), match(DPORT, {"range": [80, 90]}), {"drop": None}),
            (
                Term("source", ("10.0.0.0/8",), negated=True),
                Term("protocol", ("tcp",)),
                Term("dport", ("80-90",)),
            ),
            Target("drop"),
        ),
        (
            (match({"meta": {"key": "iifname"}}, "eth*"), match({"ct": {"key": "state"}}, ["established", "related"], "in")),
            (Term("inside", ("eth*",)), Term("state", ("ESTABLISHED", "RELATED"))),
            Target(),
        ),
        (
            (match(SADDR, "@lan"), {"log": {"prefix": "x"}}, {"jump": {"target": "blocked"}}),
            (Term("source", (), set_name="lan"),),
            Target("jump", "blocked"),
        ),
        (
            (match(SADDR, {"set": ["10.0.0.1", {"elem": {"val": "10.0.0.2", "timeout": 9}}]}), {"log": None}),
            (Term("source", ("10.0.0.1", "10.0.0.2")),),
            Target("log"),
        ),
        (
            (match({"concat": [SADDR, DPORT]}, {"set": [{"concat": ["10.0.0.1", 80]}]}), {"return": None}),
            (Term("source", ("10.0.0.1",)), Term("dport", ("80",))),
            Target("return"),
        ),
        (
            (match({"concat": [DPORT, SADDR]}, "@pairs"), {"reject": {"type": "tcp reset"}}),
            (Term("dport", (), set_name="pairs"), Term("source", (), set_name="pairs", part=1)),
            Target("reject", options=("tcp reset",)),
        ),
        (
            ({"vmap": {"key": SADDR, "data": {"set": [["10.0.0.1", {"drop": None}]]}}},),
            (Term("source", ("10.0.0.1",)),),
            Target("map"),
        ),
        (
            (match({"&": [SADDR, "255.255.0.0"]}, "10.1.0.0"), {"dnat": {"family": "ip", "addr": "172.17.0.2", "port": 80}}),
            (Term("source", ("10.1.0.0/255.255.0.0",)),),
            Target("dnat", address="172.17.0.2", port="80"),
        ),
        (
            (
                match({"fib": {"result": "type", "flags": ["daddr"]}}, "local"),
                match({"ct": {"key": "proto-dst", "dir": "original"}}, 8080),
                match({"meta": {"key": "l4proto"}}, "tcp"),
                {"limit": {"rate": 5, "per": "second"}},
                {"mangle": {"key": {"meta": {"key": "mark"}}, "value": 1}},
            ),
            (
                Term("destination-type", ("LOCAL",)),
                Term("original-dport", ("8080",)),
                Term("protocol", ("tcp",)),
                Term("limit", ("limit rate 5/second",)),
            ),
            Target("mark"),
        ),
        (({"match": 3}, {"drop": None}), (Term("not understood"),), Target()),
        ((["drop"],), (Term("not understood"),), Target()),
    ],
)
def test_record_of_a_native_rule(expressions: tuple[Any, ...], terms: tuple[Term, ...], target: Target) -> None:
    rule = native(*expressions)
    assert (rule.terms, rule.target) == (terms, target)


def test_native_tcp_port_asks_for_tcp_once() -> None:
    rule = native(match(DPORT, 80), match({"payload": {"protocol": "tcp", "field": "sport"}}, 90))
    assert [term.field for term in rule.terms] == ["protocol", "dport", "sport"]


def test_every_recorded_rule_is_understood() -> None:
    """Of real engines and of every match and expression that iptables and nft print."""
    dumps = [parse_iptables_save(path.read_text(), 4, "iptables-nft") for path in DATA.glob("*.txt")]
    dumps += [parse_nft_json(path.read_text()) for path in DATA.glob("*.json")]
    rules = [rule for dump in dumps for table in dump.tables for chain in table.chains.values() for rule in chain.rules]
    assert len(rules) > 200
    assert [rule.text for rule in rules if rule.asks("not understood")] == []


def test_target_alone_is_that_of_the_record() -> None:
    dump = parse_iptables_save((DATA / "iptables-every-match.txt").read_text(), 4, "iptables-nft")
    rules = [rule for table in dump.tables for chain in table.chains.values() for rule in chain.rules]
    assert rules
    for rule in rules:
        assert rule.target == rule._record.target


@pytest.mark.parametrize("name", sorted(EXTENSIONS))
def test_extension_is_a_chain_to_nobody(name: str) -> None:
    """The evaluator's reader and the records agree on which targets are chains."""
    target = iptables(f"-A FORWARD -j {name}").target
    assert target.verdict
    assert not target.jumps_to
    assert not any(isinstance(step, Verdict) and step.kind == "jump" for step in tail_steps(f" -j {name}", "ip"))
