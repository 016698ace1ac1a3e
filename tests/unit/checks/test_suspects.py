"""Rules whose mood no snapshot holds: the one that decides is named as possible, with what its decision depends on."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from dockernet_doctor.diagnosis.run import Diagnosis
from dockernet_doctor.plugin import model

from .hosts import host, member, reach, snapshot


def asked(rules: str, *, nft: str = "") -> Diagnosis:
    """From this host to a container, past these rules of OUTPUT or FORWARD."""
    box, cli = member(2, "box", 80), member(3, "cli")
    at = host(box, cli, rules=rules)
    if nft and at.stack:
        dump = model.FirewallDump(tool="nft", family=None, text=nft)
        at = replace(at, stack=replace(at.stack, firewall=(*(at.stack.firewall or ()), dump)))
    return reach("cli", "172.18.0.2:80", snapshot(box, cli, on=at))


@pytest.mark.parametrize(
    ("rule", "depends"),
    [
        ("-m limit --limit 5/sec -j DROP", "how many packets came lately (5/sec)"),
        (
            "-p tcp -m hashlimit --hashlimit-above 20/sec --hashlimit-mode srcip --hashlimit-name web -j DROP",
            "how often the same source came lately (above 20/sec)",
        ),
        ("-m recent --rcheck --name bad --mask 255.255.255.255 --rsource -j DROP", "whether the source is on the list bad"),
        ("-p tcp -m connlimit --connlimit-above 10 --connlimit-mask 32 --connlimit-saddr -j REJECT", "how many connections"),
        ("-m quota --quota 1000000 -j DROP", "how many bytes have passed (1000000)"),
        ("-m time --timestart 22:00:00 --timestop 06:00:00 -j DROP", "the time of day"),
        ("-m statistic --mode random --probability 0.5 -j DROP", "chance"),
        ("-p tcp -m tcp --dport 80 -j NFQUEUE --queue-num 0", "the program behind the queue"),
        ("-m string --string evil --algo bm -j DROP", "what the packet holds"),
    ],
)
def test_a_rule_with_a_mood_is_named(rule: str, depends: str) -> None:
    found = asked(f"-A FORWARD -i app0 {rule}\n")
    (suspect,) = found.findings
    assert (suspect.cause, suspect.severity, suspect.confidence) == ("firewall-drops-traffic", "warning", "possible")
    assert suspect.subject.name == f"filter FORWARD: -i app0 {rule}"
    assert depends in suspect.summary
    assert [path.verdict for path in found.case.paths] == ["unknown"]
    assert suspect.fixes[0].commands[0].startswith("iptables -D FORWARD ")


def test_what_a_limit_lets_past_it_is_dropped_by_another_rule() -> None:
    found = asked("-A FORWARD -i app0 -m limit --limit 5/sec -j ACCEPT\n-A FORWARD -i app0 -j DROP\n")
    (suspect,) = found.findings
    assert suspect.subject.name == "filter FORWARD: -i app0 -m limit --limit 5/sec -j ACCEPT"
    assert suspect.summary.endswith(": a firewall rule drops the rest (FORWARD, rule 2).")
    told = [e.value for e in suspect.evidence if e.fact == "depends on"]
    assert told == ["rule 1 of FORWARD (filter): -i app0 -m limit --limit 5/sec -j ACCEPT"]


@pytest.mark.parametrize(
    "rules",
    [
        "-A FORWARD -i app0 -m limit --limit 5/sec -j LOG\n",
        "-A FORWARD -i app0 -m limit --limit 5/sec -j ACCEPT\n",  # the policy lets in the others
        "-A FORWARD -i app0 -p udp -m limit --limit 5/sec -j DROP\n",
        "-A FORWARD -i eth1 -m statistic --mode random --probability 0.5 -j DROP\n",
    ],
)
def test_a_rule_whose_mood_changes_nothing_is_none(rules: str) -> None:
    found = asked(rules)
    assert found.findings == ()
    assert [path.verdict for path in found.case.paths] == ["reachable"]


def test_a_chain_whose_interface_an_older_nft_leaves_out_is_named() -> None:
    within = {"family": "netdev", "table": "guard", "handle": 1}
    chain = {"name": "in", "type": "filter", "hook": "ingress", "prio": 0, "policy": "accept", **within}
    port = {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 80}}
    rule = {"chain": "in", "expr": [port, {"drop": None}], **within}
    dump = {"nftables": [{"table": {"family": "netdev", "name": "guard", "handle": 1}}, {"chain": chain}, {"rule": rule}]}
    (suspect,) = asked("-A FORWARD -i eth1 -j ACCEPT\n", nft=json.dumps(dump)).findings
    assert (suspect.confidence, suspect.subject.kind) == ("possible", "rule")
    assert "which interface the chain is hooked to" in suspect.summary


@pytest.mark.parametrize("rule", ["-m length --length 300:65535", "-s 172.18.0.2/32 -m length --length 300:65535"])
def test_what_stops_only_large_packets_is_named_on_a_path_that_opens(rule: str) -> None:
    found = asked(f"-A FORWARD {rule} -j DROP\n")
    assert [path.verdict for path in found.case.paths] == ["reachable"]
    (suspect,) = found.findings
    assert (suspect.severity, suspect.confidence, suspect.subject.name) == (
        "warning",
        "possible",
        f"filter FORWARD: {rule} -j DROP",
    )
    assert suspect.summary.endswith("may stall then: a firewall rule drops packets of 1500 bytes (FORWARD, rule 1).")
    assert suspect.fixes[0].commands == (f"iptables -D FORWARD {rule} -j DROP",)


@pytest.mark.parametrize(
    "rule", ["-m length --length 1600:65535", "-p udp -m length --length 300:65535", "-m length --length 0:40"]
)
def test_what_stops_no_packet_of_the_path_by_its_size_is_not_named(rule: str) -> None:
    found = asked(f"-A FORWARD {rule} -j DROP\n")
    assert ([path.verdict for path in found.case.paths], found.findings) == (["reachable"], ())
