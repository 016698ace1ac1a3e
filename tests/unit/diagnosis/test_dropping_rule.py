"""Whose work a drop is, where Docker's own rules are gone or not."""

from __future__ import annotations

import json

import pytest

from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.paths.reasons.dropping_rule import reason_of
from dockernet_doctor.netfilter.model import Decision, Packet
from dockernet_doctor.snapshot.model import (
    Container,
    Endpoint,
    Engine,
    FirewallDump,
    Host,
    Network,
    NetworkStack,
    PublishedPort,
    Snapshot,
    State,
    Subnet,
)

DOCKERS = """*nat
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-FORWARD - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER-FORWARD -i docker0 -j ACCEPT
COMMIT
"""


def rules(table: str) -> FirewallDump:
    chain = {"family": "inet", "table": table, "name": "in", "handle": 1, "type": "filter", "hook": "input", "prio": 10}
    reject = {"family": "inet", "table": table, "chain": "in", "handle": 2, "expr": [{"drop": None}]}
    objects = [
        {"table": {"family": "inet", "name": table, "handle": 1}},
        {"chain": chain | {"policy": "accept"}},
        {"rule": reject},
    ]
    return FirewallDump(tool="nft", family=None, text=json.dumps({"nftables": objects}))


@pytest.mark.parametrize(
    ("table", "dport", "entry", "with_dockers", "without"),
    [
        ("firewalld", 8080, "eth1", "foreign", "missing"),  # DNAT leads past INPUT
        ("firewalld", 9000, "eth1", "foreign", "foreign"),
        ("firewalld", 9000, "docker0", "foreign", "missing"),  # in the zone docker it would be let in
        ("mine", 8080, "eth1", "foreign", "missing"),
        ("mine", 9000, "docker0", "foreign", "foreign"),
    ],
)
def test_a_rule_that_is_met_for_want_of_dockers(table: str, dport: int, entry: str, with_dockers: str, without: str) -> None:
    web = Container(
        id="1" * 64,
        name="web",
        state=State(status="running", running=True, pid=1),
        endpoints=(Endpoint(network="bridge", network_id="n", ipv4="172.17.0.2"),),
        ports=(PublishedPort(port=80, protocol="tcp", host_ip="0.0.0.0", host_port=8080),),
    )
    bridge = Network(id="n", name="bridge", driver="bridge", bridge="docker0", subnets=(Subnet(subnet="172.17.0.0/16"),))
    packet = Packet(source="10.99.0.2", destination="10.99.0.3", dport=dport, in_interface=entry)
    for dump, expected in ((DOCKERS, with_dockers), ("", without)):
        stack = NetworkStack(firewall=(FirewallDump(tool="iptables-nft", family=4, text=dump), rules(table)))
        snapshot = Snapshot(
            name="h",
            taken_at="2026-01-01T00:00:00Z",
            endpoint="unix:///run/docker.sock",
            engine=Engine(version="28.5.2"),
            host=Host(stack=stack),
            containers=(web,),
            networks=(bridge,),
        )
        (facts,) = Case.of((snapshot,)).hosts
        (native,) = [ruleset for ruleset in facts.rulesets or () if ruleset.backend == "nft"]
        decision = Decision(verdict="drop", rule=native.rules(table, "in", "inet")[0], packet=packet)
        assert reason_of(facts, "host", decision) == expected


@pytest.mark.parametrize(
    ("line", "translated", "expected"),
    [
        ("-A DOCKER-FORWARD -i docker0 -o docker0 -j DROP", False, "icc"),
        ("-A DOCKER ! -i docker0 -o docker0 -j DROP", True, "missing"),  # the end of Docker's list of published ports
        ("-A DOCKER ! -i docker0 -o docker0 -j DROP", False, "docker"),
        ("-A DOCKER-USER -i docker0 -o docker0 -j DROP", False, "foreign"),
    ],
)
def test_a_drop_of_dockers_own(line: str, translated: bool, expected: str) -> None:
    text = DOCKERS.replace("-A FORWARD -j DOCKER-USER", f"{line}\n-A FORWARD -j DOCKER-USER")
    stack = NetworkStack(firewall=(FirewallDump(tool="iptables-nft", family=4, text=text),))
    snapshot = Snapshot(
        name="h", taken_at="2026-01-01T00:00:00Z", endpoint="unix:///run/docker.sock", host=Host(stack=stack)
    )  # fmt: skip
    (facts,) = Case.of((snapshot,)).hosts
    [rule] = [r for rs in facts.rulesets or () for r in rs.rules("filter", line.split()[1]) if r.text == line]
    packet = Packet(source="10.99.0.2", destination="172.17.0.2", dport=80, dnat=translated)
    assert reason_of(facts, "host", Decision(verdict="drop", rule=rule, packet=packet)) == expected


@pytest.mark.parametrize(
    ("backend", "rule", "left_behind"),
    [
        ("nftables", "", True),
        ("nftables", "-A FORWARD -j DOCKER-USER\n", True),
        ("nftables", "-A FORWARD -j ufw-before-forward\n", False),  # whose policy it is then
        ("nftables", "-A FORWARD -d 192.168.122.0/24 -j ACCEPT\n", False),
        ("iptables", "", False),
    ],
)
def test_a_policy_is_left_behind_where_nobody_else_has_rules_in_forward(backend: str, rule: str, left_behind: bool) -> None:
    chains = ":FORWARD DROP [0:0]\n:DOCKER-USER - [0:0]\n:ufw-before-forward - [0:0]\n"
    text = f"*filter\n{chains}{rule}COMMIT\n"
    snapshot = Snapshot(
        name="h",
        taken_at="2026-01-01T00:00:00Z",
        endpoint="unix:///run/docker.sock",
        engine=Engine(version="29.7.2", firewall_backend=backend),
        host=Host(stack=NetworkStack(firewall=(FirewallDump(tool="iptables-nft", family=4, text=text),))),
    )
    (facts,) = Case.of((snapshot,)).hosts
    [chain] = [found for rs in facts.rulesets or () if (found := rs.chain("filter", "FORWARD"))]
    packet = Packet(source="10.99.0.2", destination="172.17.0.2", dport=80)
    assert (reason_of(facts, "host", Decision(verdict="drop", chain=chain, packet=packet)) == "left-behind") is left_behind
