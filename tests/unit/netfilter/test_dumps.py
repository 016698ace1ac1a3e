"""Reading dumps: what iptables-save, nft and ipset print."""

from __future__ import annotations

import subprocess

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dockernet_doctor.netfilter import combine, evaluate, native_only, parse_ipset_save, parse_iptables_save, parse_nft_json
from dockernet_doctor.netfilter.change import undo
from dockernet_doctor.netfilter.iptables_syntax import modules
from dockernet_doctor.netfilter.model import Packet, Rule
from dockernet_doctor.netfilter.nft_rules import rule_steps
from dockernet_doctor.snapshot.dump_size import MOST_RULES, rules_in
from tests.unit.netfilter.recorded import DATA, sections

PACKET = Packet(source="10.1.1.1", destination="10.2.0.2", sport=40000, dport=80, in_interface="eth0", out_interface="br0")
steady = settings(deadline=None, derandomize=True, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
SAFE = frozenset("_-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


def saved(text: str) -> str:
    """As iptables-save writes a string (xtables_save_string)."""
    if text and set(text) <= SAFE:
        return text
    return '"' + "".join(f"\\{c}" if c in "\"\\'" else c for c in text) + '"'


def only_rule(line: str) -> Rule:
    ruleset = parse_iptables_save(f"*filter\n:FORWARD ACCEPT [7:420]\n[3:180] {line}\nCOMMIT\n", 4, "iptables-nft")
    assert ruleset.errors == ()
    [rule] = ruleset.rules("filter", "FORWARD")
    return rule


def test_counters_positions_and_policies_are_read() -> None:
    ruleset = parse_iptables_save((DATA / "iptables-every-match.txt").read_text(), 4, "iptables-nft")
    assert ruleset.errors == ()
    assert [table.name for table in ruleset.tables] == ["mangle", "raw", "filter", "nat"]
    forward = ruleset.chain("filter", "FORWARD")
    assert forward is not None
    assert (forward.policy, forward.hook, forward.priority) == ("ACCEPT", "forward", 0)
    assert [rule.position for rule in forward.rules] == list(range(1, len(forward.rules) + 1))
    rule = only_rule("-A FORWARD -j DROP")
    assert (rule.packets, rule.bytes, rule.text) == (3, 180, "-A FORWARD -j DROP")


def test_dump_without_counters_and_half_a_dump() -> None:
    plain = parse_iptables_save("*filter\n:FORWARD DROP [0:0]\n-A FORWARD -j ACCEPT\nCOMMIT\n", 4, "iptables-legacy")
    assert [rule.packets for rule in plain.rules("filter", "FORWARD")] == [None]
    half = parse_iptables_save("*filter\n:FORWARD DROP [0:0]\n-A FORWARD -j ACC", 4, "iptables-legacy")
    assert half.errors == ("the table filter has no end",)
    assert parse_iptables_save("", 4, "iptables-nft").tables == ()


def test_every_recorded_match_and_expression_can_be_asked() -> None:
    ruleset = parse_iptables_save((DATA / "iptables-every-match.txt").read_text(), 4, "iptables-nft")
    native = parse_nft_json((DATA / "nft-every-expression.json").read_text())
    verdicts = set()
    for found in (ruleset, native):
        for table in found.tables:
            for chain in table.chains.values():
                for rule in chain.rules:
                    alone = msgspec.structs.replace(chain, rules=(rule,), policy="ACCEPT")
                    one = msgspec.structs.replace(
                        found, tables=(msgspec.structs.replace(table, chains={**table.chains, chain.name: alone}),)
                    )
                    verdicts.add(evaluate(one, table.name, chain.name, PACKET).verdict)
                    assert rule.text
    assert verdicts == {"accept", "drop", "reject", "unknown"}


@steady
@given(st.text(st.characters(exclude_characters="\r\0", codec="utf-8"), min_size=1, max_size=60))
def test_comment_never_changes_the_rule_and_survives_the_shell(comment: str) -> None:
    rule = only_rule(f"-A FORWARD -d 10.2.0.2/32 -m comment --comment {saved(comment)} -j DROP")
    [(_, [option]), (_, [target])] = modules(rule.line.removeprefix("-A FORWARD -d 10.2.0.2/32"))
    assert (option.values, target.name) == ((comment,), "DROP")
    [removal] = undo(rule)
    if comment.endswith("\n"):
        assert removal.commands[0].unsayable  # no shell line can say that
        return
    script = f'iptables() {{ printf "%s\\0" "$@"; }}; {removal.commands[0]}'
    words = subprocess.run(["sh", "-c", script], check=True, capture_output=True).stdout.decode().split("\0")
    assert words == ["-D", "FORWARD", "-d", "10.2.0.2/32", "-m", "comment", "--comment", comment, "-j", "DROP", ""]


_MATCHES = st.sampled_from(
    [
        "-s 10.1.1.0/24",
        "-d 10.2.0.2/32",
        "-i eth0",
        "-i eth+",
        "-o br1",
        "-p tcp",
        "-p udp",
        "-m iprange --src-range 10.1.1.0-10.1.1.3",
        "-m conntrack --ctstate NEW",
        "-m mark --mark 0x0",
        "-m pkttype --pkt-type broadcast",
    ]
)


@steady
@given(_MATCHES)
def test_negation_is_the_opposite(match: str) -> None:
    option = match.rindex("--") if "--" in match else 0
    negated = f"{match[:option]}! {match[option:]}"
    verdicts = []
    for text in (match, negated):
        ruleset = parse_iptables_save(f"*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD {text} -j DROP\nCOMMIT\n", 4, "iptables-nft")
        verdicts.append(evaluate(ruleset, "filter", "FORWARD", PACKET).verdict)
    assert sorted(verdicts) in (["accept", "drop"], ["unknown", "unknown"])


def test_native_rule_in_a_table_of_iptables_is_taken_from_nft() -> None:
    found = sections("native-in-iptables")
    dump = parse_iptables_save(found["iptables-save -c"], 4, "iptables-nft")
    native = parse_nft_json(found["nft -j list ruleset"])
    first = dump.rules("filter", "FORWARD")[0]
    assert first.text == "-A FORWARD -p tcp -m tcp --dport 80 -j DROP"  # iptables-save 1.8.9 leaves the set out
    corrected, rest = combine([dump], native)
    assert corrected.rules("filter", "FORWARD")[0].text == "ip saddr { 10.1.1.1, 10.1.1.2 } tcp dport 80 drop"
    other = msgspec.structs.replace(PACKET, source="10.1.1.3")
    assert evaluate(corrected, "filter", "FORWARD", PACKET).verdict == "drop"
    assert evaluate(corrected, "filter", "FORWARD", other).verdict == "unknown"  # the addrtype of rule 3
    [extra] = rest.tables
    assert [chain.name for chain in extra.chains.values() if chain.hook] == ["extra"]


def test_tables_of_iptables_are_not_evaluated_twice() -> None:
    for engine in ("docker-20", "docker-26", "docker-28"):
        found = sections(engine)
        dumps = [
            parse_iptables_save(found["iptables-save -c"], 4, "iptables-nft"),
            parse_iptables_save(found["ip6tables-save -c"], 6, "iptables-nft"),
        ]
        assert native_only(parse_nft_json(found["nft -j list ruleset"]), dumps).tables == ()


def test_dormant_tables_and_sets_that_packets_fill() -> None:
    native = parse_nft_json((DATA / "nft-every-expression.json").read_text())
    dormant = {table.name for table in native.tables if table.dormant}
    firewalld = native.table("firewalld", "inet")
    assert firewalld is not None
    assert dormant == {"dorm"}
    assert {name for name, found in firewalld.sets.items() if not found.complete} == {"dyn"}
    assert firewalld.sets["vm"].data == "verdict"


def test_what_a_dump_holds_of_another_shape_is_named() -> None:
    table = '{"table": {"family": "ip", "name": "t"}}'
    for odd, named in (
        ('{"rule": {"family": "ip", "table": "t", "chain": "c"}}', "rule ip t c"),
        ('{"rule": {"family": "ip", "table": "u", "chain": "c", "expr": []}}', "rule ip u c: there is no table"),
        ('{"chain": {"family": "ip", "table": "t", "name": "c", "prio": "filter"}}', "chain ip t c"),
        ('{"set": {"family": "ip", "table": "t", "name": "s", "elem": 7}}', "set ip t s"),
        ('{"rule": [1]}', "rule"),
    ):
        found = parse_nft_json(f'{{"nftables": [{table}, {odd}]}}')
        assert found.tables[0].name == "t"
        assert len(found.errors) == 1
        assert named in found.errors[0]
    assert len(parse_nft_json('{"nftables": [{"rule": ' + "[" * 5000 + "]" * 5000 + "}]}").errors) == 1
    digits = "9" * 5000
    chains = parse_iptables_save(f"*filter\n:FORWARD ACCEPT [{digits}:²]\n[{digits}:0] -A FORWARD\nCOMMIT\n", 4, "iptables-nft")
    assert chains.rules("filter", "FORWARD")[0].packets is None


def test_rules_are_counted_before_they_are_read() -> None:
    for name in ("docker-20", "docker-26", "docker-28"):
        found = sections(name)
        four = parse_iptables_save(found["iptables-save -c"], 4, "iptables-nft")
        for dump, ruleset in (
            (found["iptables-save -c"], four),
            (found["nft -j list ruleset"], parse_nft_json(found["nft -j list ruleset"])),
        ):
            rules = sum(len(chain.rules) for table in ruleset.tables for chain in table.chains.values())
            assert rules_in(dump) == rules > 10


def test_a_dump_of_too_many_rules_is_not_read() -> None:
    line = "-A FORWARD -s 192.0.2.1 -j DROP\n"
    dump = f"*filter\n:FORWARD ACCEPT [0:0]\n{line * (MOST_RULES + 1)}COMMIT\n"
    found = parse_iptables_save(dump, 4, "iptables-legacy")
    assert (found.tables, found.errors) == ((), ("200,001 rules are too many to evaluate in the time of a run",))
    native = parse_nft_json('{"nftables": [' + ",".join(['{"rule": {}}'] * (MOST_RULES + 1)) + "]}")
    assert (native.tables, native.errors) == ((), ("nft: 200,001 rules are too many to evaluate in the time of a run",))


def test_dump_that_is_no_json_is_said_so() -> None:
    assert parse_nft_json("").tables == ()
    assert parse_nft_json('{"nftables": [').errors != ()


@steady
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda part: st.lists(part) | st.dictionaries(st.text(), part)
    )
)
def test_expression_that_nobody_knows_is_no_error(expression: object) -> None:
    kinds = ("match", "vmap", "dnat", "mangle", "set", "reject", "never-heard-of")
    for kind in kinds:
        body = {"left": expression, "right": expression, "key": expression, "data": expression, "addr": expression, "op": "=="}
        raw = msgspec.json.encode([{kind: body}])
        rule = Rule(table="t", chain="c", position=1, backend="nft", family="inet", expressions=msgspec.Raw(raw))
        assert rule.text
        assert len(rule_steps(bytes(rule.expressions))) <= 1


def test_ipset_save_is_read() -> None:
    web = 'create web hash:ip,port family inet hashsize 1024\nadd web 10.0.0.1,tcp:80 comment "a b"\n'
    sets = parse_ipset_save(f"{web}create all list:set size 8\nadd all web\n")
    assert (sets["web"].type, sets["web"].elements) == ("hash:ip,port", ((("10.0.0.1", "tcp:80"), False),))
    assert sets["all"].elements == ((("web",), False),)
