"""Docker's own rules on three engines: recognised, complete, and doing what is known of them."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from dockernet_doctor.netfilter import journey, parse_iptables_save, reply_to
from dockernet_doctor.netfilter.docker import is_docker_rule, missing_parts
from dockernet_doctor.netfilter.model import Packet
from tests.unit.netfilter.recorded import BRIDGES, ENGINES, HOST, bridges, context, rulesets

LAN = "10.99.0.2"
each_engine = pytest.mark.parametrize("engine", ENGINES)


def from_lan(destination: str, dport: int, protocol: str = "tcp") -> Packet:
    return Packet(protocol=protocol, source=LAN, destination=destination, dport=dport, in_interface="eth1")


@each_engine
def test_published_port_leads_to_the_container_and_back(engine: str) -> None:
    way = journey(rulesets(engine), from_lan(HOST, 8080), context(engine))
    assert (way.verdict, way.destiny, way.packet.out_interface) == ("accept", "forward", "docker0")
    assert way.dnat is not None
    assert (way.dnat.address, way.dnat.port) == ("172.17.0.2", 80)
    back = journey(rulesets(engine), reply_to(way), context(engine))
    assert (back.verdict, back.packet.source, back.packet.sport) == ("accept", HOST, 8080)


@each_engine
def test_udp_and_other_networks_are_published_too(engine: str) -> None:
    way = journey(rulesets(engine), from_lan(HOST, 5353, "udp"), context(engine))
    assert (way.verdict, way.packet.destination, way.packet.dport) == ("accept", "172.18.0.2", 53)


@each_engine
def test_port_that_nobody_publishes_stays_with_the_host(engine: str) -> None:
    way = journey(rulesets(engine), from_lan(HOST, 81), context(engine))
    assert (way.verdict, way.destiny, way.dnat) == ("accept", "local", None)


def test_direct_access_is_dropped_before_the_filter_since_28_only() -> None:
    verdicts = {}
    for engine in ENGINES:
        way = journey(rulesets(engine), from_lan("172.17.0.2", 80), context(engine))
        verdicts[engine] = (way.verdict, way.hook, way.decision.rule.table if way.decision and way.decision.rule else None)
    assert verdicts == {
        "docker-20": ("accept", None, None),
        "docker-26": ("accept", None, None),
        "docker-28": ("drop", "prerouting", "raw"),
    }


@each_engine
def test_networks_are_apart_and_the_rule_is_named(engine: str) -> None:
    names = BRIDGES[engine]
    packet = Packet(source="172.17.0.2", destination="172.18.0.2", dport=90, in_interface=names[0])
    way = journey(rulesets(engine), packet, context(engine))
    assert way.verdict == "drop"
    assert way.decision is not None
    assert way.decision.rule is not None
    assert is_docker_rule(way.decision.rule)


@each_engine
def test_neighbours_talk_unless_icc_is_off(engine: str) -> None:
    verdicts = {}
    for index, subnet in ((1, 18), (3, 20)):
        name = BRIDGES[engine][index]
        packet = Packet(
            source=f"172.{subnet}.0.2",
            destination=f"172.{subnet}.0.3",
            dport=80,
            in_interface=name,
            out_interface=name,
            bridged=True,
        )
        verdicts[subnet] = journey(rulesets(engine), packet, context(engine)).verdict
    assert verdicts == {18: "accept", 20: "drop"}


@each_engine
def test_way_out_is_masqueraded_and_closed_for_internal_networks(engine: str) -> None:
    names = BRIDGES[engine]
    out = Packet(source="172.18.0.2", destination="203.0.113.9", dport=443, in_interface=names[1])
    way = journey(rulesets(engine), out, context(engine))
    assert way.verdict == "accept"
    assert way.snat is not None
    assert way.snat.kind == "masquerade"
    inside = Packet(source="172.19.0.2", destination="203.0.113.9", dport=443, in_interface=names[2])
    assert journey(rulesets(engine), inside, context(engine)).verdict == "drop"


@each_engine
def test_host_reaches_its_published_port_by_its_own_address(engine: str) -> None:
    packet = Packet(source=HOST, destination=HOST, dport=8080)
    way = journey(rulesets(engine), packet, context(engine))
    assert (way.verdict, way.destiny, way.packet.destination) == ("accept", "forward", "172.17.0.2")
    loop = journey(rulesets(engine), Packet(source="127.0.0.1", destination="127.0.0.1", dport=8080), context(engine))
    assert (loop.verdict, loop.destiny, loop.dnat) == ("accept", "local", None)


@each_engine
def test_every_rule_of_a_healthy_host_is_dockers(engine: str) -> None:
    foreign = [
        rule.line
        for ruleset in rulesets(engine)
        for table in ruleset.tables
        for chain in table.chains.values()
        for rule in chain.rules
        if not is_docker_rule(rule)
    ]
    assert foreign == []


@pytest.mark.parametrize(
    "line",
    [
        "-A DOCKER-USER -s 10.0.0.0/8 -j DROP",
        "-A DOCKER -s 10.0.0.0/8 -j DROP",
        "-A DOCKER -p tcp -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable",
        "-A FORWARD -o docker0 -j DROP",
        "-A FORWARD -j REJECT --reject-with icmp-host-prohibited",
        "-A FORWARD -i virbr0 -o virbr0 -j ACCEPT",
    ],
)
def test_rule_of_somebody_else_is_recognised(line: str) -> None:
    chain = line.split()[1]
    [rule] = parse_iptables_save(f"*filter\n:{chain} - [0:0]\n{line}\nCOMMIT\n", 4, "iptables-nft").rules("filter", chain)
    assert not is_docker_rule(rule)


@each_engine
def test_nothing_is_missing_on_a_healthy_host(engine: str) -> None:
    families = ("ip", "ip6") if engine == "docker-28" else ("ip",)
    assert missing_parts(rulesets(engine), bridges(engine), families=families) == []


def test_a_family_that_is_routed_misses_no_translation() -> None:
    """Gateway mode `routed` for IPv6 alone: raised a false alarm once."""

    def routed(dump: str) -> str:
        return "\n".join(line for line in dump.split("\n") if "fd00:5::" not in line or "-j ACCEPT" in line)

    six = bridges("docker-28")[-1]
    for nat, kinds in ((("ip",), set()), (("ip", "ip6"), {"masquerade", "dnat"})):
        missing = missing_parts(rulesets("docker-28", routed), [replace(six, nat=nat)], families=("ip", "ip6"))
        assert {part.kind for part in missing} == kinds


def test_an_unprotected_network_lets_in_all_ports_by_one_rule() -> None:
    """Gateway mode `nat-unprotected` (27 and later): no rule for each port."""

    def unprotected(dump: str) -> str:
        lines = (line for line in dump.split("\n") if not ("-d 172.17.0.2/32" in line and line.endswith("-j ACCEPT")))
        return "\n".join(lines).replace("! -i docker0 -o docker0 -j DROP", "! -i docker0 -o docker0 -j ACCEPT")

    assert missing_parts(rulesets("docker-28", unprotected), bridges("docker-28")) == []
    opened = parse_iptables_save("*filter\n-A DOCKER ! -i docker0 -o docker0 -j ACCEPT\nCOMMIT\n", 4, "iptables-nft")
    assert is_docker_rule(opened.rules("filter", "DOCKER")[0])


@each_engine
@pytest.mark.parametrize(
    ("gone", "kind", "what"),
    [
        ("-j MASQUERADE", "masquerade", "MASQUERADE of 172.17.0.0/16 (network bridge)"),
        ("--dport 8080 -j DNAT", "dnat", "DNAT of 0.0.0.0:8080/tcp to 172.17.0.2:80 (network bridge)"),
        ("-A PREROUTING -m addrtype", "jump", "the jump from PREROUTING to DOCKER"),
        ("-A FORWARD -j DOCKER-USER", "jump", "the jump from FORWARD to DOCKER-USER"),
        (" -i docker0 ", "forward", "the rule that lets docker0 forward (network bridge)"),
        (":DOCKER-USER", "chain", "the chain DOCKER-USER (filter)"),
    ],
)
def test_what_is_gone_is_named(engine: str, gone: str, kind: str, what: str) -> None:
    def without(dump: str) -> str:
        marks = (gone, "-A DOCKER-USER") if gone == ":DOCKER-USER" else (gone,)
        return "\n".join(line for line in dump.split("\n") if not any(mark in line for mark in marks))

    missing = missing_parts(rulesets(engine, without), bridges(engine))
    assert (kind, what) in {(part.kind, part.what) for part in missing}


def test_flushed_tables_miss_everything_and_native_backend_is_not_asked_for_chains() -> None:
    empty = parse_iptables_save("*filter\n:FORWARD DROP [0:0]\nCOMMIT\n", 4, "iptables-nft")
    kinds = {part.kind for part in missing_parts([empty], bridges("docker-28"))}
    assert kinds == {"chain", "jump", "dnat", "masquerade", "forward", "accept"}
    native = missing_parts([empty], bridges("docker-28"), backend="nftables")
    assert [part.what for part in native] == ["the table ip docker-bridges"]
