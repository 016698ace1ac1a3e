"""Verdicts, and when they must not be given."""

from __future__ import annotations

import json
import time
from itertools import product

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockernet_doctor.netfilter import evaluate, journey, locality, parse_ipset_save, parse_iptables_save, parse_nft_json
from dockernet_doctor.netfilter.evaluate import reply_to
from dockernet_doctor.netfilter.model import Context, Decision, Packet, Route, Ruleset

PACKET = Packet(source="10.1.0.2", destination="10.2.0.2", sport=40000, dport=80, in_interface="eth0", out_interface="br0")
CONTEXT = Context(locality=locality(["10.1.0.1"]), route=lambda _packet: Route(kind="forward", out_interface="br0"))


def dump(*rules: str, policy: str = "ACCEPT", table: str = "filter", chain: str = "FORWARD") -> Ruleset:
    chains = {rule.split()[1] for rule in rules} - {chain}
    heads = f":{chain} {policy} [0:0]\n" + "".join(f":{name} - [0:0]\n" for name in sorted(chains))
    return parse_iptables_save(f"*{table}\n{heads}" + "".join(f"{rule}\n" for rule in rules) + "COMMIT\n", 4, "iptables-nft")


def ask(*rules: str, packet: Packet = PACKET, policy: str = "ACCEPT", context: Context | None = CONTEXT) -> Decision:
    return evaluate(dump(*rules, policy=policy), "filter", "FORWARD", packet, context)


def test_first_match_decides_and_is_named() -> None:
    decision = ask("-A FORWARD -s 10.9.0.0/16 -j ACCEPT", "-A FORWARD -d 10.2.0.0/16 -j DROP", "-A FORWARD -j ACCEPT")
    assert decision.verdict == "drop"
    assert decision.rule is not None
    assert (decision.rule.position, decision.policy) == (2, None)


def test_policy_decides_what_no_rule_does() -> None:
    decision = ask("-A FORWARD -p udp -j ACCEPT", policy="DROP")
    assert (decision.verdict, decision.rule, decision.policy) == ("drop", None, "FORWARD")


def test_goto_does_not_come_back_and_return_does() -> None:
    jumped = ask("-A FORWARD -j U", "-A FORWARD -j DROP", "-A U -p tcp -j RETURN", "-A U -j ACCEPT")
    gone = ask("-A FORWARD -g U", "-A FORWARD -j DROP", "-A U -p tcp -j RETURN", "-A U -j ACCEPT")
    assert (jumped.verdict, gone.verdict, gone.policy) == ("drop", "accept", "FORWARD")


@pytest.mark.parametrize(
    ("rules", "verdict"),
    [
        (("-A FORWARD -m recent --rcheck --name x -j DROP",), "unknown"),
        (("-A FORWARD -m recent --rcheck --name x -j DROP", "-A FORWARD -j DROP"), "drop"),
        (("-A FORWARD -m recent --rcheck --name x -j ACCEPT",), "accept"),
        (("-A FORWARD -m limit --limit 1/sec -j LOG",), "accept"),
        (("-A FORWARD -p udp -m recent --rcheck --name x -j DROP",), "accept"),
        (("-A FORWARD -m recent --rcheck --name x -j RETURN", "-A FORWARD -j DROP"), "unknown"),
        (("-A FORWARD -m time --timestart 01:00:00 -j U", "-A U -p udp -j DROP"), "accept"),
        (("-A FORWARD -m time --timestart 01:00:00 -j U", "-A U -p tcp -j DROP"), "unknown"),
        (("-A FORWARD -m never-heard-of --this that -j DROP",), "unknown"),
        (("-A FORWARD -j NFQUEUE --queue-num 3",), "unknown"),
        (("-A FORWARD -j TARGET-OF-TOMORROW",), "unknown"),
    ],
)
def test_unknown_match_matters_only_where_the_outcome_hangs_on_it(rules: tuple[str, ...], verdict: str) -> None:
    decision = ask(*rules)
    assert decision.verdict == verdict
    assert (decision.unknown is not None) == (verdict == "unknown")
    if verdict == "unknown":
        assert set(decision.possible) == {"accept", "drop"}


@pytest.mark.parametrize(
    "match",
    """-m limit --limit 25/min --limit-burst 100
    -m hashlimit --hashlimit-upto 20/sec --hashlimit-mode srcip --hashlimit-name docker
    -m connlimit --connlimit-above 20 --connlimit-mask 32 --connlimit-saddr
    -m recent --update --seconds 30 --hitcount 6 --name DEFAULT --mask 255.255.255.255 --rsource
    -m statistic --mode random --probability 0.50000000000
    -m time --timestart 08:00:00 --timestop 18:00:00 --weekdays Mon,Tue
    -m string --string "GET /evil" --algo bm --to 65535
    -m u32 --u32 "0x0>>0x16&0x3c@0xc>>0x1a&0x3c@0x0=0x5353482d"
    -m geoip --source-country CN,RU
    -m length2 --length 0:60
    -m dscp --dscp 0x2e
    -m tos --tos 0x10/0x3f
    -m ttl --ttl-lt 5
    -m mac --mac-source 00:16:3e:00:00:01
    -m quota --quota 100000
    -m connbytes --connbytes 1000000 --connbytes-mode bytes --connbytes-dir both
    -m connlabel --label docker
    -m tcpmss --mss 1400:1536
    -m bpf --bytecode "4,48 0 0 9,21 0 1 6,6 0 0 1,6 0 0 0"
    -m policy --dir in --pol ipsec
    -m ipvs --ipvs
    -m socket --transparent
    -m nfacct --nfacct-name web
    -m set --match-set unheard-of src
    -m conntrack --ctexpire 10""".splitlines(),
)
def test_what_no_dump_tells_is_named_and_never_guessed(match: str) -> None:
    decision = ask(f"-A FORWARD {match.strip()} -j DROP")
    assert (decision.verdict, set(decision.possible)) == ("unknown", {"accept", "drop"})
    assert decision.unknown
    assert decision.unknown.what.startswith(" ".join(match.split()[:3]))


@pytest.mark.parametrize(
    ("match", "holds"),
    [
        ("-m recent --set --name DEFAULT --mask 255.255.255.255 --rsource", True),
        ("-m recent ! --set --name DEFAULT", False),
        ("-m comment --comment kubernetes", True),
        ("-m cgroup --cgroup 1048577", False),
        ("-m cgroup ! --path docker", False),
        ("-m owner --uid-owner 33", False),
        ("-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN", True),
        ("-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m conntrack --ctstate NEW", False),
        ("-p tcp -m tcpmss --mss 1:500", False),
        ("-p tcp -m tcpmss ! --mss 536:65535", False),
        ("-p tcp -m tcpmss --mss 1:65535", True),
        ("-p tcp -m multiport --dports 22,80,443,3000:3999 -m addrtype --dst-type LOCAL", False),
        ("-m length --length 0:60", True),
        ("-m length --length 61:", False),
        ("-m length ! --length 60", False),
        ("-m iprange --src-range 10.1.0.1-10.1.0.9 -m physdev ! --physdev-is-bridged", True),
        ("-m conntrack --ctorigdstport 80 --ctdir ORIGINAL -m mark ! --mark 0x1/0x1 -m pkttype --pkt-type unicast", True),
    ],
)
def test_what_the_packet_tells_is_decided(match: str, *, holds: bool) -> None:
    assert ask(f"-A FORWARD {match} -j DROP").verdict == ("drop" if holds else "accept")


@pytest.mark.parametrize("match", ["rt --rt-type 0", "frag --fragmore", "hbh", "dst", "rt ! --rt-type 0"])
def test_headers_that_no_packet_of_ours_carries(match: str) -> None:
    """ufw drops routing headers of type 0 first of all: that decides nothing."""
    text = f"*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -m {match} -j DROP\nCOMMIT\n"
    packet = Packet(family=6, source="fd01::2", destination="fd02::2", dport=80, in_interface="eth0")
    assert evaluate(parse_iptables_save(text, 6, "iptables-nft"), "filter", "FORWARD", packet, CONTEXT).verdict == "accept"


def test_unknown_match_is_named_with_its_rule() -> None:
    decision = ask(
        "-A FORWARD -p tcp -m limit --limit 5/sec -j ACCEPT", "-A FORWARD -m recent --rcheck --name x -j LOG", policy="DROP"
    )
    assert decision.unknown is not None
    assert decision.unknown.what == "-m limit --limit 5/sec"
    assert decision.unknown.rule is not None
    assert decision.unknown.rule.position == 1


def test_mark_set_by_a_rule_that_may_match_is_not_known_afterwards() -> None:
    doubtful = ask(
        "-A FORWARD -m recent --rcheck --name x -j MARK --set-xmark 0x1/0x1", "-A FORWARD -m mark --mark 0x1/0x1 -j DROP"
    )
    other_bit = ask(
        "-A FORWARD -m recent --rcheck --name x -j MARK --set-xmark 0x1/0x1", "-A FORWARD -m mark --mark 0x2/0x2 -j DROP"
    )
    sure = ask("-A FORWARD -j MARK --set-xmark 0x1/0x1", "-A FORWARD -m mark --mark 0x1/0x1 -j DROP")
    assert (doubtful.verdict, other_bit.verdict, sure.verdict) == ("unknown", "accept", "drop")


def test_what_rules_change_after_a_doubtful_accept_is_not_known_in_later_chains() -> None:
    raw = dump(
        "-A PREROUTING -m recent --rcheck --name x -j ACCEPT", "-A PREROUTING -j CT --notrack", table="raw", chain="PREROUTING"
    )
    untracked = dump("-A FORWARD -m conntrack --ctstate UNTRACKED -j DROP")
    assert journey([raw, untracked], PACKET, CONTEXT).verdict == "unknown"


NAT_TO_OTHER = dump("-A PREROUTING -i eth0 -j DNAT --to-destination 10.2.0.3", table="nat", chain="PREROUTING")


@pytest.mark.parametrize(
    ("rules", "protocol", "verdict"),
    [
        (("-A PREROUTING -i eth0 -j CT --zone 5",), "tcp", "drop"),
        (("-A PREROUTING -i eth0 -j CT --zone 5",), "udp", "accept"),  # Docker's masquerade makes the right address of it
        (("-A PREROUTING -i br0 -j CT --zone 5",), "tcp", "drop"),
        (("-A PREROUTING -i eth0 -j CT --zone 5", "-A PREROUTING -i br0 -j CT --zone 6"), "tcp", "drop"),
        (("-A PREROUTING -s 10.2.0.3/32 -j CT --notrack",), "tcp", "drop"),
        (("-A PREROUTING -s 10.2.0.3/32 -j NOTRACK",), "udp", "drop"),
        # all in one zone; only what asks is in one of its own; the first rule of two counts; others are meant
        (("-A PREROUTING -j CT --zone 5",), "tcp", "accept"),
        (("-A PREROUTING -i eth0 -j CT --zone-orig 5",), "tcp", "accept"),
        (("-A PREROUTING -j CT --zone 5", "-A PREROUTING -i br0 -j CT --zone 6"), "tcp", "accept"),
        (("-A PREROUTING -i eth1 -j CT --zone 5",), "tcp", "accept"),
        (("-A PREROUTING -s 10.2.0.3/32 -p tcp --sport 81 -j CT --notrack",), "tcp", "accept"),
        (("-A PREROUTING -j CT",), "tcp", "accept"),
    ],
)
def test_an_answer_that_belongs_to_no_connection_keeps_an_address_that_nobody_asked(
    rules: tuple[str, ...], protocol: str, verdict: str
) -> None:
    """Seen on real engines: the dial times out where Docker's DNAT led the question, and the answer is untracked or in
    another zone of connection tracking."""
    raw = dump(*rules, table="raw", chain="PREROUTING")
    asked = msgspec.structs.replace(PACKET, protocol=protocol, out_interface=None)
    went = journey([raw, NAT_TO_OTHER], asked, CONTEXT)
    assert (went.verdict, went.packet.destination) == ("accept", "10.2.0.3")
    out = msgspec.structs.replace(CONTEXT, route=lambda _packet: Route(kind="forward", out_interface="eth0"))
    back = journey([raw, NAT_TO_OTHER], reply_to(went), out)
    assert back.verdict == verdict
    if verdict == "drop":
        assert back.decision is not None
        assert back.decision.rule is not None
        assert back.decision.rule.target.verdict in ("ct", "notrack")


def test_an_answer_in_another_zone_is_translated_back_by_nobody_where_nothing_was_translated() -> None:
    raw = dump("-A PREROUTING -i eth0 -j CT --zone 5", table="raw", chain="PREROUTING")
    strict = dump("-A FORWARD -i eth0 -j ACCEPT", "-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT", policy="DROP")
    went = journey([raw], PACKET, CONTEXT)
    out = msgspec.structs.replace(CONTEXT, route=lambda _packet: Route(kind="forward", out_interface="eth0"))
    assert journey([raw], reply_to(went), out).verdict == "accept"
    assert journey([raw, strict], reply_to(went), out).verdict == "drop"  # for the firewall it belongs to no connection
    whole = dump("-A PREROUTING -j CT --zone 5", table="raw", chain="PREROUTING")
    assert journey([whole, strict], reply_to(journey([whole], PACKET, CONTEXT)), out).verdict == "accept"


def test_of_two_rules_that_put_a_packet_into_a_zone_the_first_counts_and_is_named() -> None:
    """Seen on a real engine: with the second one alone the answer comes."""
    rules = ("-A PREROUTING -i eth0 -j CT --zone 5", "-A PREROUTING -i eth0 -j CT --zone-orig 5", "-A PREROUTING -j NOTRACK")
    out = msgspec.structs.replace(CONTEXT, route=lambda _packet: Route(kind="forward", out_interface="eth0"))
    fates = []
    for some in (rules[:2], rules[1::-1]):
        sets = [dump(*some, table="raw", chain="PREROUTING"), NAT_TO_OTHER]
        went = journey(sets, msgspec.structs.replace(PACKET, out_interface=None), CONTEXT)
        back = journey(sets, reply_to(went), out)
        fates.append((back.verdict, back.decision.rule.position if back.decision and back.decision.rule else None))
    assert fates == [("drop", 1), ("accept", None)]
    tracked = journey([dump(*rules[1:], table="raw", chain="PREROUTING")], PACKET, CONTEXT)
    assert tracked.packet.ctstate == "NEW"  # no rule takes back what the first one did


@pytest.mark.parametrize(("direction", "verdict"), [("", "drop"), ("original", "accept"), ("reply", "drop")])
def test_zones_of_nft_are_those_of_iptables(direction: str, verdict: str) -> None:
    key = {"key": "zone", **({"dir": direction} if direction else {})}
    match = {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "eth0"}}
    chain = {"family": "inet", "table": "z", "name": "p", "handle": 1, "type": "filter", "hook": "prerouting", "prio": -300}
    rule = {
        "family": "inet",
        "table": "z",
        "chain": "p",
        "handle": 2,
        "expr": [match, {"mangle": {"key": {"ct": key}, "value": 5}}],
    }
    text = json.dumps({"nftables": [{"table": {"family": "inet", "name": "z"}}, {"chain": chain}, {"rule": rule}]})
    zones = parse_nft_json(text)
    went = journey([zones, NAT_TO_OTHER], msgspec.structs.replace(PACKET, out_interface=None), CONTEXT)
    out = msgspec.structs.replace(CONTEXT, route=lambda _packet: Route(kind="forward", out_interface="eth0"))
    assert journey([zones, NAT_TO_OTHER], reply_to(went), out).verdict == verdict


def test_connmark_never_matches_what_is_not_tracked() -> None:
    raw = dump("-A PREROUTING -j CT --notrack", table="raw", chain="PREROUTING")
    rules = dump("-A FORWARD -m connmark ! --mark 0x4 -j DROP")
    assert journey([rules], PACKET, CONTEXT).verdict == "drop"
    assert journey([raw, rules], PACKET, CONTEXT).verdict == "accept"


def test_translation_to_itself_is_none() -> None:
    nat = dump("-A PREROUTING -j DNAT --to-destination 10.2.0.2", table="nat", chain="PREROUTING")
    rules = dump("-A FORWARD -m conntrack --ctstate DNAT -j DROP")
    other = msgspec.structs.replace(PACKET, destination="10.2.0.3")
    assert journey([nat, rules], PACKET, CONTEXT).verdict == "accept"
    assert journey([nat, rules], other, CONTEXT).verdict == "drop"


def test_port_that_the_kernel_picks_is_decided_where_all_agree() -> None:
    packet = Packet(source="10.1.0.2", destination="10.2.0.2", dport=80, in_interface="eth0")
    below = ask("-A FORWARD -p tcp -m tcp --sport 1:1023 -j DROP", packet=packet)
    above = ask("-A FORWARD -p tcp -m tcp --sport 1024:65535 -j DROP", packet=packet)
    some = ask("-A FORWARD -p tcp -m tcp --sport 40000 -j DROP", packet=packet)
    assert (below.verdict, above.verdict, some.verdict) == ("accept", "drop", "unknown")


def test_sets_are_unknown_where_they_could_not_be_read() -> None:
    rule = "-A FORWARD -m set --match-set bad src -j DROP"
    sets = parse_ipset_save("create bad hash:net family inet hashsize 1024\nadd bad 10.1.0.0/24\nadd bad 10.1.0.2 nomatch\n")
    known = Context(locality=CONTEXT.locality, route=CONTEXT.route, ipsets=sets)
    other = Packet(source="10.1.0.3", destination="10.2.0.2", dport=80)
    assert ask(rule).verdict == "unknown"
    assert ask(rule, context=known).verdict == "accept"
    assert ask(rule, context=known, packet=other).verdict == "drop"


def test_whether_an_address_is_local_needs_the_context() -> None:
    rule = "-A FORWARD -m addrtype --dst-type LOCAL -j DROP"
    assert (ask(rule).verdict, ask(rule, context=None).verdict) == ("accept", "unknown")


def test_owner_never_matches_a_forwarded_packet() -> None:
    here = Packet(source="10.1.0.1", destination="10.2.0.2", dport=80)
    rule = "-A FORWARD -m owner --uid-owner 33 -j DROP"
    assert (ask(rule).verdict, ask(rule, packet=here).verdict) == ("accept", "unknown")


def native(
    text: str, *, priority: int = 0, policy: str = "accept", kind: str = "filter", hook: str = "forward", handle: int = 1
) -> Ruleset:
    chain = (
        f'{{"chain": {{"family": "inet", "table": "t", "name": "c", "handle": {handle}, "type": "{kind}", "hook": "{hook}",'
        f' "prio": {priority}, "policy": "{policy}"}}}}'
    )
    rule = f'{{"rule": {{"family": "inet", "table": "t", "chain": "c", "handle": 5, "expr": [{text}]}}}}'
    table = f'{{"table": {{"family": "inet", "name": "t", "handle": {handle}}}}}'
    return parse_nft_json(f'{{"nftables": [{table}, {chain}, {rule}]}}')


@pytest.mark.parametrize(("hook", "there"), [("ingress", "eth0"), ("egress", "br0")])
def test_what_is_hooked_at_an_interface_is_asked_there_only(hook: str, there: str) -> None:
    """Old versions of nft print a chain of `inet` that is hooked at an interface without its name."""
    packet = msgspec.structs.replace(PACKET, in_interface="eth0")
    dropping = native('{"drop": null}', hook=hook)
    assert journey([dropping], packet, CONTEXT).verdict == "unknown"
    chain = dropping.tables[0].chains["c"]
    for device in ("eth0", "br0"):
        named = {"c": msgspec.structs.replace(chain, devices=(device,))}
        table = msgspec.structs.replace(dropping.tables[0], chains=named)
        went = journey([msgspec.structs.replace(dropping, tables=(table,))], packet, CONTEXT)
        assert went.verdict == ("drop" if device == there else "accept")


def test_accept_in_one_table_does_not_undo_a_drop_in_another() -> None:
    accepting = dump("-A FORWARD -j ACCEPT")
    dropping = native('{"drop": null}', priority=10)
    way = journey([accepting, dropping], PACKET, CONTEXT)
    assert (way.verdict, way.hook) == ("drop", "forward")
    assert way.decision is not None
    assert way.decision.rule is not None
    assert (way.decision.rule.table, way.decision.rule.handle) == ("t", 5)
    assert journey([accepting, native('{"accept": null}')], PACKET, CONTEXT).verdict == "accept"


def test_certain_drop_outweighs_an_earlier_doubt() -> None:
    doubtful = dump("-A FORWARD -m recent --rcheck --name x -j DROP")
    assert journey([doubtful], PACKET, CONTEXT).verdict == "unknown"
    assert journey([doubtful, native('{"drop": null}', priority=10)], PACKET, CONTEXT).verdict == "drop"


def test_which_of_two_translations_counts_is_not_guessed_between_legacy_and_nft() -> None:
    rule = "-A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination {}"
    text = "*nat\n:PREROUTING ACCEPT [0:0]\n" + rule + "\nCOMMIT\n"
    legacy = parse_iptables_save(text.format("10.2.0.7"), 4, "iptables-legacy")
    same = native('{"dnat": {"family": "ip", "addr": "10.2.0.7"}}', priority=-100, kind="nat", hook="prerouting")
    other = native('{"dnat": {"family": "ip", "addr": "10.2.0.8"}}', priority=-100, kind="nat", hook="prerouting")
    assert journey([legacy, same], PACKET, CONTEXT).packet.destination == "10.2.0.7"
    assert journey([legacy, other], PACKET, CONTEXT).verdict == "unknown"


def test_of_two_iptables_backends_the_one_that_translated_comes_first() -> None:
    """Where neither ever did, or both, nobody can tell."""

    def both(legacy: int, nft: int) -> str:
        text = "*nat\n:PREROUTING ACCEPT [0:0]\n[{}:0] -A PREROUTING -p tcp -j DNAT --to-destination {}\nCOMMIT\n"
        dumps = [
            parse_iptables_save(text.format(nft, "10.2.0.8"), 4, "iptables-nft"),
            parse_iptables_save(text.format(legacy, "10.2.0.7"), 4, "iptables-legacy"),
        ]
        went = journey(dumps, PACKET, CONTEXT)
        return went.verdict if went.verdict == "unknown" else went.packet.destination

    assert [both(1, 0), both(0, 1), both(0, 0), both(1, 1)] == ["10.2.0.7", "10.2.0.8", "unknown", "unknown"]


def test_nat_is_asked_for_the_first_packet_only() -> None:
    nat = dump("-A PREROUTING -j DNAT --to-destination 10.2.0.9", table="nat", chain="PREROUTING")
    later = Packet(source="10.1.0.2", destination="10.2.0.2", dport=80, in_interface="eth0", ctstate="ESTABLISHED")
    assert journey([nat], PACKET, CONTEXT).packet.destination == "10.2.0.9"
    assert journey([nat], later, CONTEXT).packet.destination == "10.2.0.2"


def test_bridged_packet_comes_to_iptables_only_through_bridge_netfilter() -> None:
    packet = Packet(source="10.2.0.3", destination="10.2.0.2", dport=80, in_interface="br0", out_interface="br0", bridged=True)
    without = Context(locality=CONTEXT.locality, route=CONTEXT.route, bridge_netfilter=frozenset())
    rules = dump("-A FORWARD -i br0 -o br0 -j DROP")
    assert journey([rules], packet, CONTEXT).verdict == "drop"
    assert journey([rules], packet, without).verdict == "accept"


def test_ten_thousand_rules_are_read_and_asked_in_well_under_a_second() -> None:
    lines = (
        f"-A FORWARD -d 10.{n >> 8}.{n & 255}.1/32 ! -i br0 -o br0 -p tcp -m tcp --dport {n} -j ACCEPT" for n in range(10_000)
    )
    text = "*filter\n:FORWARD DROP [0:0]\n" + "".join(f"[1:60] {line}\n" for line in lines) + "COMMIT\n"
    start = time.process_time()
    ruleset = parse_iptables_save(text, 4, "iptables-nft")
    decision = evaluate(ruleset, "filter", "FORWARD", PACKET, CONTEXT)
    assert decision.policy == "FORWARD"
    assert time.process_time() - start < 1


def test_of_many_rules_one_for_a_network_of_32_bits_is_no_rule_for_one_address() -> None:
    others = "".join(f"-A FORWARD -d 2001:db9::{n}/128 -j ACCEPT\n" for n in range(20))
    text = f"*filter\n:FORWARD ACCEPT [0:0]\n{others}-A FORWARD -d 2001:db8::/32 -j DROP\nCOMMIT\n"
    packet = Packet(family=6, source="fd00::1", destination="2001:db8::5", in_interface="eth0", out_interface="br0")
    assert evaluate(parse_iptables_save(text, 6, "iptables-nft"), "filter", "FORWARD", packet).verdict == "drop"


def test_of_two_tables_with_a_chain_in_common_each_has_its_own_decisions() -> None:
    dropping, accepting = (dump("-A FORWARD -j U", f"-A U -j {target}") for target in ("DROP", "ACCEPT"))
    table = dropping.tables[0]
    chains = {**table.chains, "U": accepting.tables[0].chains["U"]}
    mixed = msgspec.structs.replace(dropping, tables=(msgspec.structs.replace(table, chains=chains),))
    verdicts = [evaluate(ruleset, "filter", "FORWARD", PACKET).verdict for ruleset in (dropping, mixed, dropping)]
    assert verdicts == ["drop", "accept", "drop"]


def test_chains_without_end_are_unknown_and_do_not_hang() -> None:
    loop = ask("-A FORWARD -j U", "-A U -j V", "-A V -j U")
    assert loop.verdict == "unknown"


_MATCHES = st.sampled_from(
    [
        "", "-i eth0", "-o br0", "! -i br0 -o br0", "-i br+", "-p tcp", "-p udp", "-d 10.2.0.2/32", "-s 10.1.0.0/16 -o br0",
        "-d 10.2.0.2/32 ! -i br0 -p tcp -m tcp --dport 80", "-m conntrack --ctstate RELATED,ESTABLISHED",
        "-o br0 -m conntrack --ctstate ESTABLISHED", "-m conntrack --ctstate DNAT", "-m conntrack --ctorigdst 10.2.0.2",
        "-m mark --mark 0x1", '-m comment --comment "why"', "-m recent --rcheck --name x",
        "-p tcp -m multiport --dports 80,443", "-m addrtype --dst-type LOCAL",
    ]
)  # fmt: skip
_TARGETS = [
    "ACCEPT", "DROP", "RETURN", "U", "MARK --set-xmark 0x1/0x1", "LOG", "REDIRECT", "MASQUERADE",
    "DNAT --to-destination 10.2.0.3:80-90",
]  # fmt: skip
_RULE = st.builds(
    lambda chain, match, target: f"-A {chain} {match} -j {target}".replace("  ", " "),
    st.sampled_from(["FORWARD", "FORWARD", "U"]),
    _MATCHES,
    st.sampled_from(_TARGETS),
)
_PACKETS = st.builds(
    Packet,
    protocol=st.sampled_from(["tcp", "udp"]),
    source=st.sampled_from(["10.1.0.2", "10.3.0.2"]),
    destination=st.sampled_from(["10.2.0.2", "10.2.0.3", "10.1.0.1"]),
    dport=st.sampled_from([80, 8080]),
    in_interface=st.sampled_from(["eth0", "br0", "br1"]),
    out_interface=st.sampled_from(["br0", "eth0"]),
    ctstate=st.sampled_from(["NEW", "ESTABLISHED"]),
    dnat=st.booleans(),
    mark=st.sampled_from([0, 1]),
)


@given(
    st.lists(_RULE.filter(lambda rule: not rule.startswith("-A U") or not rule.endswith("-j U")), min_size=1, max_size=24),
    st.lists(_PACKETS, min_size=2, max_size=8),
    st.sampled_from(["ACCEPT", "DROP"]),
)
def test_what_was_decided_about_other_packets_changes_nothing(rules: list[str], packets: list[Packet], policy: str) -> None:
    """A chain keeps what it decided, for packets that give the same answers to all that it asked, on whatever host."""
    shared = dump(*rules, "-A U -j RETURN", policy=policy)
    there = msgspec.structs.replace(CONTEXT, locality=locality(["10.2.0.3"]), interface_address=lambda name, _: f"of {name}")
    for packet, context in product(packets, (CONTEXT, there, None)):
        fresh = dump(*rules, "-A U -j RETURN", policy=policy)
        kept, made = (evaluate(ruleset, "filter", "FORWARD", packet, context) for ruleset in (shared, fresh))
        assert kept == made


DEEP = '{"&": [' * 300 + "1" + ", 1]}" * 300
ODD_RULES = (
    "null", "{}", "7", '["drop", 1]', '[{"jump": {}}]', '[{"match": 3}]', '[{"vmap": []}]', '[{"dnat": "x"}]',
    '[{"mangle": 1}]',
    '[{"match": {"op": "==", "left": {"payload": []}, "right": 1}}]', '[{"match": {"left": {"meta": "x"}, "right": "y"}}]',
    '[{"match": {"op": "==", "left": ' + DEEP + ', "right": 1}}, {"drop": null}]',
    '[{"dnat": {"addr": {"prefix": {}}}}]',
)  # fmt: skip


@pytest.mark.parametrize("expressions", ODD_RULES)
def test_a_native_rule_of_another_shape_makes_the_verdict_unknown_and_is_named(expressions: str) -> None:
    chain = '{"family": "ip", "table": "t", "name": "c", "type": "filter", "hook": "forward", "prio": 0, "policy": "accept"}'
    rule = f'{{"family": "ip", "table": "t", "chain": "c", "handle": 1, "expr": {expressions}}}'
    dump = f'{{"nftables": [{{"table": {{"family": "ip", "name": "t"}}}}, {{"chain": {chain}}}, {{"rule": {rule}}}]}}'
    ruleset = parse_nft_json(dump)
    assert ruleset.errors == ()
    packet = Packet(protocol="tcp", source="10.0.0.9", destination="172.17.0.2", dport=80, in_interface="eth0")
    found = evaluate(ruleset, "t", "c", packet)
    if expressions in ("{}", '[{"mangle": 1}]'):  # no expression at all, and one that decides nothing
        return
    assert found.verdict == "unknown"
    assert found.unknown is not None
    assert found.unknown.rule is not None
    assert found.unknown.what


@pytest.mark.parametrize(
    "words",
    [
        "-s 10.0.0.999 -j DROP", "-d 10.0.0.0/² -j DROP", "-d 10.0.0.0/x -j DROP",
        f"-p tcp -m tcp --dport {'9' * 5000} -j DROP",
        "-p tcp -m tcp --dport ² -j DROP", "-m mark --mark 0xzz -j DROP", "-m multiport --dports 1,,2 -j DROP",
        "-m conntrack --ctorigsrc 10.0.0 -j DROP", "-j DNAT --to-destination 10.0.0.1:²", "-j MARK --set-xmark 0x/0x",
    ],
)  # fmt: skip
def test_a_rule_of_iptables_of_another_shape_makes_the_verdict_unknown(words: str) -> None:
    hook = "PREROUTING" if "DNAT" in words else "FORWARD"
    table = "nat" if "DNAT" in words else "filter"
    dump = f"*{table}\n:{hook} ACCEPT [0:0]\n-A {hook} {words}\nCOMMIT\n"
    packet = Packet(protocol="tcp", source="10.0.0.9", destination="10.0.0.2", dport=80, in_interface="eth0", mark=1)
    found = evaluate(parse_iptables_save(dump, 4, "iptables-nft"), table, hook, packet)
    assert found.verdict == "unknown"


def test_chains_that_lead_to_one_another_end_somewhere() -> None:
    dump = "*filter\n:FORWARD ACCEPT [0:0]\n:A - [0:0]\n:B - [0:0]\n-A FORWARD -j A\n-A A -j B\n-A A -j B\n-A B -j A\nCOMMIT\n"
    packet = Packet(protocol="tcp", source="10.0.0.9", destination="10.0.0.2", dport=80, in_interface="eth0")
    assert evaluate(parse_iptables_save(dump, 4, "iptables-nft"), "filter", "FORWARD", packet).verdict == "unknown"


@pytest.mark.parametrize(
    ("rule", "verdict"),
    [
        ("-A PREROUTING -i eth0 -j TTL --ttl-set 1", "drop"),
        ("-A PREROUTING -i eth0 -j TTL --ttl-set 64", "accept"),
        ("-A PREROUTING -i eth1 -j TTL --ttl-set 1", "accept"),
        ("-A PREROUTING -i eth0 -j TTL --ttl-dec 1", "accept"),
        ("-A POSTROUTING -o br0 -j TTL --ttl-set 1", "accept"),  # it ends on br0
        ("-A PREROUTING -i eth0 -j DSCP --set-dscp 0x2e", "accept"),
    ],
)
def test_what_has_one_hop_left_is_not_forwarded(rule: str, verdict: str) -> None:
    packet = msgspec.structs.replace(PACKET, out_interface=None)
    found = journey([dump(rule, table="mangle", chain=rule.split()[1])], packet, CONTEXT)
    assert found.verdict == verdict
    if verdict == "drop":
        assert found.decision is not None
        assert found.decision.rule is not None
        assert found.decision.rule.text == rule
    here = msgspec.structs.replace(CONTEXT, route=lambda _packet: Route(kind="local"))
    assert journey([dump(rule, table="mangle", chain=rule.split()[1])], packet, here).verdict == "accept"


def test_nft_sets_hops_too() -> None:
    text = """{"nftables": [{"table": {"family": "ip", "name": "t", "handle": 1}},
      {"chain": {"family": "ip", "table": "t", "name": "c", "handle": 1, "type": "filter", "hook": "prerouting", "prio": -150,
       "policy": "accept"}},
      {"rule": {"family": "ip", "table": "t", "chain": "c", "handle": 2, "expr": [
       {"mangle": {"key": {"payload": {"protocol": "ip", "field": "ttl"}}, "value": 1}}]}}]}"""
    assert journey([parse_nft_json(text)], msgspec.structs.replace(PACKET, out_interface=None), CONTEXT).verdict == "drop"
