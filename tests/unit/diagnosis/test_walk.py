"""The walk where prediction and reality once disagreed: each test is a fault or a healthy host that the lab showed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.facts.links import endpoint_problem
from dockernet_doctor.diagnosis.path import (
    AddressOfNobody,
    Dropped,
    NameMisleads,
    NameUnanswered,
    NoAnswer,
    NoCommonNetwork,
    NoEgress,
    NoMasquerade,
    NotPublished,
    NotRunning,
    Path,
    Paused,
    RouteElsewhere,
    TranslatedElsewhere,
)
from dockernet_doctor.diagnosis.paths.names import hosts_addresses, ndots, queries
from dockernet_doctor.diagnosis.paths.packet.mapping import untranslated
from dockernet_doctor.diagnosis.paths.walk import walk
from dockernet_doctor.diagnosis.question import Question, parse_source, parse_target
from dockernet_doctor.netfilter.model import Packet
from dockernet_doctor.probe.model import Answer, CounterMove, Probe
from dockernet_doctor.snapshot.model import (
    Address,
    BlindSpot,
    Container,
    Endpoint,
    Engine,
    FirewallDump,
    Host,
    HostsEntry,
    Link,
    Listener,
    Neighbour,
    Network,
    NetworkStack,
    Process,
    PublishedPort,
    ResolvConf,
    Route,
    RoutingRule,
    Sandbox,
    Snapshot,
    State,
    Subnet,
    SwarmTask,
)

LOOPBACK = Address(link="lo", address="127.0.0.1", prefix=8, family=4)
LOOPBACK6 = Address(link="lo", address="::1", prefix=128, family=6)
APP = Network(
    id="n1", name="app", driver="bridge", bridge="app0", subnets=(Subnet(subnet="172.18.0.0/16", gateway="172.18.0.1"),)
)
RULE = "-A OUTPUT -d 172.18.0.2/32 -m statistic --mode nth --every 2 --packet 0 -j DROP"


def container(name: str, number: int, *addresses: Address, **more: Any) -> Container:
    address = f"172.18.0.{number}"
    stack = NetworkStack(
        links=(Link(index=1, name="lo"), Link(index=2, name="eth0", kind="veth", peer_index=9)),
        addresses=(*addresses, Address(link="eth0", address=address, prefix=16, family=4)),
        routes=(
            Route(family=4, destination="172.18.0.0/16", link="eth0"),
            Route(family=4, destination="0.0.0.0/0", gateway="172.18.0.1", link="eth0"),
        ),
        listeners=(Listener(protocol="tcp", family=6, address="::", port=80),),
    )
    hosts = tuple(HostsEntry(address=a, names=("localhost",)) for a in ("127.0.0.1", "::1"))
    conf = ResolvConf(nameservers=("127.0.0.11",))
    return Container(
        id=f"{number:02x}" * 32,
        name=name,
        network_mode="app",
        state=State(status="running", running=True, pid=number),
        endpoints=(Endpoint(network="app", network_id="n1", ipv4=address),),
        sandbox=Sandbox(pid=number, namespace=number, stack=stack, resolv_conf=conf, hosts=hosts),
        **more,
    )


def host(rule: str = "") -> Host:
    text = f"*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n{rule}\nCOMMIT\n"
    stack = NetworkStack(
        links=(
            Link(index=1, name="lo"),
            Link(index=2, name="app0", kind="bridge"),
            Link(index=3, name="eth0"),
            Link(index=9, name="veth9", kind="veth", master="app0"),
        ),
        addresses=(LOOPBACK, Address(link="app0", address="172.18.0.1", prefix=16, family=4)),
        routes=(
            Route(family=4, destination="172.18.0.0/16", link="app0", source="172.18.0.1"),
            Route(family=4, destination="0.0.0.0/0", gateway="203.0.113.1", link="eth0"),
        ),
        listeners=(),
        firewall=(FirewallDump(tool="iptables-nft", family=4, text=text),),
    )
    return Host(stack=stack)


def asked(
    source: str, target: str, *containers: Container, rule: str = "", repetitions: int = 1, network: Network = APP
) -> tuple[Case, Question]:
    snapshot = Snapshot(
        name="h", taken_at="2026-01-01T00:00:00Z", endpoint="", networks=(network,), containers=containers, host=host(rule)
    )
    case = Case.of((snapshot,), asked=True, repetitions=repetitions)
    return case, Question(source=parse_source(source), target=parse_target(target))


def answered(case: Case, question: Question, latencies: list[float | None], **first: Any) -> list[Path]:
    """The paths after the probes of the first round were answered so, in order; None is silence."""
    probes = [probe for path in walk(case, question) for probe in path.probes]
    known: dict[Probe, Answer] = {}
    for probe, latency in zip(probes, latencies, strict=False):
        said = {"tcp": "open", "dns": "reply"}[probe.kind] if latency is not None else "timeout"
        addresses = ("172.18.0.2",) if probe.kind == "dns" and latency is not None else ()
        known[probe] = Answer(probe=probe, result=said, latency_ms=latency, addresses=addresses)
    if first:
        known[probes[0]] = replace(known[probes[0]], **first)
    case = replace(case, answers=known)
    return walk(case, question)


def test_localhost_is_ipv4_alone_where_the_namespace_has_no_ipv6() -> None:
    """Engine 20.10 writes `::1 localhost` to hosts files of namespaces in which IPv6 is off."""
    assert list(hosts_addresses(container("web", 2, LOOPBACK), "localhost")) == ["127.0.0.1"]
    assert list(hosts_addresses(container("web", 2, LOOPBACK, LOOPBACK6), "localhost")) == ["127.0.0.1", "::1"]


def test_name_of_a_swarm_service_is_that_of_its_tasks() -> None:
    task = container("web.1.x9", 2, swarm=SwarmTask(service="web"))
    for name in ("web", "tasks.web"):
        (path,) = walk(*asked("cli", f"{name}:80", container("cli", 3), task))
        assert path.destination.address == "172.18.0.2"


def test_rule_of_chance_is_named_where_its_counter_moved_and_a_connection_opened_late() -> None:
    case, question = asked("host", "172.18.0.2:80", container("web", 2), rule=RULE, repetitions=3)
    moved = CounterMove(tool="iptables-nft", family=4, table="filter", chain="OUTPUT", rule=RULE, packets=2)
    (path,) = answered(case, question, [1004.0, 0.4, 0.4], moved=(moved,))
    assert (path.verdict, path.broken and path.broken.hop) == ("unreachable", "filter")
    assert isinstance(path.obstacle, Dropped)
    assert path.samples
    assert (path.samples.sent, path.samples.answered) == (3, 3)
    (quick,) = answered(case, question, [0.4, 0.4, 0.4], moved=(moved,))
    assert quick.verdict == "reachable"
    (slow,) = answered(case, question, [1004.0, 0.4, 0.4])
    assert slow.verdict == "reachable"


def test_what_a_rate_lets_by_is_dropped_by_the_rule_or_policy_behind_it() -> None:
    limited = "-A OUTPUT -p tcp -m limit --limit 1/s -j RETURN\n"
    drop = "-A OUTPUT -d 172.18.0.2/32 -p tcp -j DROP"
    move = CounterMove(tool="iptables-nft", family=4, table="filter", chain="OUTPUT", rule=drop, packets=2)
    case, question = asked("host", "172.18.0.2:80", container("web", 2), rule=limited + drop, repetitions=3)
    (path,) = answered(case, question, [None, 0.4, 1004.0], moved=(move,))
    assert isinstance(path.obstacle, Dropped)
    assert path.obstacle.decision.rule
    assert (path.obstacle.decision.rule.text, path.obstacle.proven) == (drop, True)
    (stopped,) = answered(case, question, [None, 0.4, 0.4], moved=(move,), result="unreachable-prohibited")
    assert isinstance(stopped.obstacle, Dropped)
    (refused,) = answered(case, question, [None, 0.4, 0.4], moved=(move,), result="refused")
    assert isinstance(refused.obstacle, NoAnswer)


def asked_through_nft(family: str, hook: str, match: dict[str, Any], repetitions: int) -> tuple[Case, Question]:
    """The host asks web through one rule that drops, which has no counter."""
    table = {"family": family, "table": "filter"}
    ruleset = [
        {"table": {"family": family, "name": "filter", "handle": 1}},
        {"chain": {**table, "name": "o", "handle": 1, "type": "filter", "hook": hook, "prio": 0, "policy": "accept"}},
        {"rule": {**table, "chain": "o", "handle": 2, "expr": [{"match": {"op": "==", **match}}, {"drop": None}]}},
    ]
    case, question = asked("host", "172.18.0.2:80", container("web", 2), repetitions=repetitions)
    snapshot = case.hosts[0].snapshot
    assert snapshot.host
    assert snapshot.host.stack
    dump = FirewallDump(tool="nft", family=None, text=json.dumps({"nftables": ruleset}))
    host = replace(snapshot.host, stack=replace(snapshot.host.stack, firewall=(dump,)))
    return Case.of((replace(snapshot, host=host),), asked=True, repetitions=repetitions), question


def test_a_rule_at_an_interface_that_nft_does_not_name_is_likely_where_the_probe_is_lost() -> None:
    port = {"left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 80}
    case, question = asked_through_nft("netdev", "egress", port, 1)
    (path,) = answered(case, question, [None])
    assert isinstance(path.obstacle, Dropped)
    assert not path.obstacle.proven
    (open_,) = answered(case, question, [0.4])
    assert open_.verdict == "reachable"


def test_a_rule_of_chance_without_a_counter_is_likely_where_several_were_lost() -> None:
    chance = {"left": {"numgen": {"mode": "random", "mod": 2, "offset": 0}}, "right": 0}
    case, question = asked_through_nft("ip", "output", chance, 3)
    (path,) = answered(case, question, [1004.0, 0.4, None])
    assert isinstance(path.obstacle, Dropped)
    assert not path.obstacle.proven
    (once,) = answered(case, question, [1004.0, 0.4, 0.4])
    assert once.verdict == "reachable"


def test_a_rule_that_nobody_can_foretell_has_its_counter_read_in_check_too() -> None:
    rule = "-A OUTPUT -p tcp -m owner --uid-owner 1000 -j DROP"
    for text, counters in ((rule, True), ("", False)):
        case, question = asked("host", "172.18.0.2:80", container("web", 2), rule=text)
        (path,) = walk(Case.of(tuple(facts.snapshot for facts in case.hosts)), question)
        assert [probe.counters for probe in path.probes] == [counters]


NAT = "COMMIT\n*nat\n:PREROUTING ACCEPT [0:0]\n:DOCKER - [0:0]\n"
DNAT = "-A DOCKER -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.18.0.2:80"


def test_a_dnat_rule_that_no_jump_leads_to_is_one_of_the_rules_that_are_gone() -> None:
    published = PublishedPort(port=80, protocol="tcp", host_ip="0.0.0.0", host_port=8080)
    packet = Packet(protocol="tcp", source="198.51.100.1", destination="10.99.0.3", dport=8080, in_interface="eth0")
    web = container("web", 2, ports=(published,))
    for jump, hint in (("", "rules-gone"), ("-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n", "proxy-dead")):
        case, _ = asked("outside", "web:80", web, rule=f"{NAT}{jump}{DNAT}")
        facts = case.hosts[0]
        local = replace(packet, in_interface=None)
        assert untranslated(facts, web, published, local, held=False).hint == "proxy-dead"
        assert (untranslated(facts, web, published, packet, held=False).hint or "proxy-dead") == hint


def test_name_answered_now_and_then_is_a_path_of_its_own() -> None:
    case, question = asked("cli", "example.test:80", container("cli", 3), repetitions=4)
    named, reached = answered(case, question, [0.9, None, 0.8, 1013.0])
    assert isinstance(named.obstacle, NameUnanswered)
    assert named.samples
    assert (named.samples.sent, named.samples.answered) == (4, 3)
    assert reached.destination.address == "172.18.0.2"
    warmed_up = answered(case, question, [1900.0, 1400.0, 0.8, 0.7])
    assert [path.destination.address for path in warmed_up] == ["172.18.0.2"]


def test_host_has_no_way_into_an_overlay() -> None:
    (direct,) = walk(*asked("host", "web:80", container("web", 2)))
    assert direct.verdict == "reachable"
    (path,) = walk(*asked("host", "web:80", container("web", 2), network=replace(APP, driver="overlay", bridge=None)))
    assert isinstance(path.obstacle, NotPublished)


def test_member_of_an_overlay_is_published_by_docker_gwbridge() -> None:
    """Its own address is in another namespace; the one that docker-proxy dials stands in its sandbox alone."""
    ports = (PublishedPort(port=80, protocol="tcp", host_ip="0.0.0.0", host_port=8080),)
    member = container("web", 2, ports=ports)
    assert member.sandbox
    member = replace(member, endpoints=(Endpoint(network="over", network_id="n2", ipv4="10.0.1.6"),))
    over = Network(id="n2", name="over", driver="overlay", subnets=(Subnet(subnet="10.0.1.0/24", gateway="10.0.1.1"),))
    proxy = Listener(protocol="tcp", family=4, address="0.0.0.0", port=8080, process=Process(pid=7, name="docker-proxy"))
    machine = host()
    machine = replace(machine, stack=replace(machine.stack, listeners=(proxy,)))
    snapshot = Snapshot(
        name="h", taken_at="2026-01-01T00:00:00Z", endpoint="", containers=(member,), host=machine,
        networks=(replace(APP, name="docker_gwbridge"), over),
    )  # fmt: skip
    question = Question(source=parse_source("host"), target=parse_target("host:8080"))
    (path,) = walk(Case.of((snapshot,), asked=True), question)
    assert (path.verdict, [p.address for p in path.probes]) == ("reachable", ["127.0.0.1", "172.18.0.2"])


def test_handshake_of_a_paused_container_is_the_kernels() -> None:
    web = replace(container("web", 2), state=State(status="paused", running=True, paused=True, pid=2))
    case, question = asked("cli", "172.18.0.2:80", container("cli", 3), web)
    (path,) = answered(case, question, [0.4])
    assert (path.verdict, type(path.obstacle)) == ("unreachable", Paused)


def test_hosts_entry_that_hides_a_neighbour_is_its_fault_where_it_does_not_answer() -> None:
    cli = container("cli", 3)
    assert cli.sandbox
    hosts = (HostsEntry(address="203.0.113.9", names=("web",)),)
    cli = replace(cli, sandbox=replace(cli.sandbox, hosts=hosts))
    case, question = asked("cli", "web:80", cli, container("web", 2))
    assert [path.verdict for path in walk(case, question)] == ["unknown"]
    (path,) = answered(case, question, [None])
    assert (path.verdict, type(path.obstacle)) == ("unreachable", NameMisleads)
    (path,) = answered(case, question, [0.4])
    assert (path.verdict, path.contradiction) == ("reachable", None)


def test_dial_that_a_rule_leads_to_a_proxy_which_is_not_there() -> None:
    """A transparent proxy that works is no fault; where it does not answer, the rule is the cause and not the destination."""
    chains = "COMMIT\n*nat\n:PREROUTING ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -j MASQUERADE\n"
    rule = chains + "-A PREROUTING -i app0 -p tcp -m tcp --dport 443 -j {}"
    for target, result in (("REDIRECT --to-ports 3128", "refused"), ("DNAT --to-destination 198.51.100.9:3128", "timeout")):
        case, question = asked("cli", "198.51.100.1:443", container("cli", 3), rule=rule.format(target))
        (path,) = walk(case, question)
        for answer, verdict in ((result, "unreachable"), ("open", "reachable")):
            case = replace(case, answers={probe: Answer(probe=probe, result=answer) for probe in path.probes})
            (seen,) = walk(case, question)
            assert seen.verdict == verdict
            assert isinstance(seen.obstacle, TranslatedElsewhere) is (answer != "open")


def test_source_address_that_a_rule_keeps_from_the_masquerade() -> None:
    """As for a VPN whose far end has a route back; where it has none, the rule is the cause."""
    tables = "COMMIT\n*nat\n:POSTROUTING ACCEPT [0:0]\n{}-A POSTROUTING -s 172.18.0.0/16 ! -o app0 -j MASQUERADE"
    for rule, source in (
        ("-A POSTROUTING -d 198.51.100.0/24 -j ACCEPT\n", "172.18.0.3"),
        ("-A POSTROUTING -d 198.51.100.0/24 -j RETURN\n", "172.18.0.3"),
        ("-A POSTROUTING -o eth0 -j SNAT --to-source 203.0.113.99\n", "203.0.113.99"),
    ):
        case, question = asked("cli", "198.51.100.1:443", container("cli", 3), rule=tables.format(rule))
        (path,) = walk(case, question)
        assert path.verdict == "unknown"
        for answer, verdict in (("timeout", "unreachable"), ("open", "reachable")):
            case = replace(case, answers={probe: Answer(probe=probe, result=answer) for probe in path.probes})
            (seen,) = walk(case, question)
            assert (seen.verdict, seen.contradiction) == (verdict, None)
            left_as = seen.obstacle.source if isinstance(seen.obstacle, NoMasquerade) else ""
            assert left_as == (source if answer == "timeout" else "")


def test_members_of_a_network_that_was_made_bare_may_be_answered() -> None:
    """No masquerade, or mode routed: where an answer comes, the routers were told, which is no news to who made it so."""
    nat = "COMMIT\n*nat\n:POSTROUTING ACCEPT [0:0]"
    bridge = "com.docker.network.bridge"
    for options in ({f"{bridge}.enable_ip_masquerade": "false"}, {f"{bridge}.gateway_mode_ipv4": "routed"}):
        network = replace(APP, options=options)
        case, question = asked("cli", "198.51.100.1:443", container("cli", 3), rule=nat, network=network)
        (path,) = walk(case, question)
        for answer, verdict in (("timeout", "unreachable"), ("open", "reachable")):
            case = replace(case, answers={probe: Answer(probe=probe, result=answer) for probe in path.probes})
            (seen,) = walk(case, question)
            assert (seen.verdict, seen.contradiction) == (verdict, None)
            assert isinstance(seen.obstacle, NoMasquerade) is (answer == "timeout")
    case, question = asked("cli", "198.51.100.1:443", container("cli", 3), rule=nat)
    (path,) = walk(case, question)
    case = replace(case, answers={probe: Answer(probe=probe, result="open") for probe in path.probes})
    (odd,) = walk(case, question)
    assert odd.contradiction  # Docker's rule is missing, and yet


def test_rules_that_ask_for_the_way_back_are_decided() -> None:
    """`rpfilter` of firewalld and of hardened hosts: containers come in by the bridge that leads back to them."""
    for rule, hop in (("-A INPUT -m rpfilter --invert -j DROP", "listener"), ("-A INPUT -m rpfilter -j DROP", "filter")):
        (path,) = walk(*asked("cli", "172.18.0.1:80", container("cli", 3), rule=rule))
        assert path.broken
        assert path.broken.hop == hop


def test_name_that_is_not_answered_for_a_rule_on_the_way_to_the_server() -> None:
    """Once the server was accused, which answers the host well."""
    masquerade = "COMMIT\n*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -s 172.18.0.0/16 ! -o app0 -j MASQUERADE"
    cli = container("cli", 3, dns=("198.51.100.53",))
    for rule, kind in (("-A FORWARD -p udp -m udp --dport 53 -j DROP\n", Dropped), ("", NameUnanswered)):
        case, question = asked("cli", "example.test:80", cli, rule=rule + masquerade)
        (path,) = walk(case, question)
        for result in ("timeout", "servfail"):
            case = replace(case, answers={probe: Answer(probe=probe, result=result) for probe in path.probes})
            (seen,) = walk(case, question)
            assert (seen.verdict, seen.broken and seen.broken.hop, type(seen.obstacle)) == ("unreachable", "name", kind)
    assert cli.sandbox is not None
    assert cli.sandbox.stack is not None
    stack = replace(cli.sandbox.stack, firewall=())  # read, and without a rule of Docker's DNS, as on the default bridge
    direct = replace(cli, sandbox=replace(cli.sandbox, stack=stack, resolv_conf=ResolvConf(nameservers=cli.dns)))
    case, question = asked("cli", "example.test:80", direct, rule="-A FORWARD -p udp -m udp --dport 53 -j DROP")
    (path,) = walk(case, question)
    for result, kind in (("timeout", Dropped), ("servfail", NameUnanswered)):
        case = replace(case, answers={probe: Answer(probe=probe, result=result) for probe in path.probes})
        assert type(walk(case, question)[0].obstacle) is kind


def test_a_hosts_entry_for_loopback_hides_the_neighbour_unless_the_source_serves_it_itself() -> None:
    db, cli = container("db", 2), container("cli", 3, LOOPBACK)
    assert cli.sandbox
    entry = HostsEntry(address="127.0.0.1", names=("db",))
    alone = replace(cli.sandbox, hosts=(entry,), stack=replace(cli.sandbox.stack, listeners=()))
    (path,) = walk(*asked("cli", "db:80", replace(cli, sandbox=alone), db))
    assert isinstance(path.obstacle, NameMisleads)
    assert path.obstacle.meant is db
    standing_in = replace(cli, sandbox=replace(cli.sandbox, hosts=(entry,)))
    (path,) = walk(*asked("cli", "db:80", standing_in, db))
    assert path.destination.address == "127.0.0.1"
    assert path.broken is None


def test_a_static_address_is_its_containers_while_that_does_not_run() -> None:
    """A dynamic one is nobody's: whoever starts next may get it."""
    for requested, obstacle in (("172.18.0.2", NotRunning), (None, AddressOfNobody)):
        endpoint = Endpoint(network="app", network_id="n1", requested_ipv4=requested)
        stopped = replace(container("db", 2), state=State(status="exited"), endpoints=(endpoint,), sandbox=None)
        (path,) = walk(*asked("cli", "172.18.0.2:80", container("cli", 3), stopped))
        assert isinstance(path.obstacle, obstacle)


def test_no_port_named_is_the_one_that_listens_if_only_on_loopback_and_else_unknown() -> None:
    web, cli = container("web", 2), container("cli", 3)
    assert web.sandbox
    for address, verdict in (("127.0.0.1", "unreachable"), ("127.0.0.11", "unknown")):
        listener = Listener(protocol="tcp", family=4, address=address, port=80)
        inside = replace(web.sandbox, stack=replace(web.sandbox.stack, listeners=(listener,)))
        for target in ("web", "container:web"):
            (path,) = walk(*asked("cli", target, replace(web, sandbox=inside), cli))
            assert path.verdict == verdict


def test_accepting_proxy_proves_nothing_where_the_container_could_not_be_asked() -> None:
    """Out of time: the proxy's own answer came, and the one of the container behind it did not."""
    published = PublishedPort(host_ip="0.0.0.0", host_port=8080, port=80, protocol="tcp")
    case, question = asked("host", "127.0.0.1:8080", container("web", 2, ports=(published,)), rule="-A OUTPUT -o app0 -j DROP")
    stack = case.hosts[0].snapshot.host.stack  # type: ignore[union-attr]
    proxy = Listener(protocol="tcp", family=4, address="0.0.0.0", port=8080, process=Process(pid=7, name="docker-proxy"))
    snapshot = replace(case.hosts[0].snapshot, host=Host(stack=replace(stack, listeners=(proxy,))))
    case = Case.of((snapshot,), asked=True)
    (path,) = walk(case, question)
    front, behind = path.probes
    answers = {
        front: Answer(probe=front, result="open", latency_ms=0.6),
        behind: Answer(probe=behind, result="not-sent", attempts=0),
    }
    case = replace(case, answers=answers)
    (path,) = walk(case, question)
    assert (path.verdict, path.broken and path.broken.hop) == ("unreachable", "filter")
    assert path.samples
    assert (path.samples.sent, path.samples.answered) == (1, 0)


@pytest.mark.parametrize(
    ("libc", "six", "verdict", "reason"),
    [
        ("musl", "servfail", "unreachable", "family"),
        ("musl", "nxdomain", "unreachable", "family"),
        ("musl", "timeout", "unreachable", "family"),
        ("musl", "reply", "reachable", ""),
        ("", "servfail", "reachable", ""),
    ],
)
def test_musl_has_no_address_where_one_of_its_two_questions_fails(libc: str, six: str, verdict: str, reason: str) -> None:
    """Seen with musl 1.2.3 and glibc 2.36, asking a server that answers A and fails for AAAA."""
    cli = container("cli", 3)
    assert cli.sandbox
    cli = replace(cli, sandbox=replace(cli.sandbox, libc=libc))
    case, question = asked("cli", "api.example.test:80", cli)
    for _round in range(3):
        answers = dict(case.answers)
        for probe in (probe for path in walk(case, question) for probe in path.probes):
            result = {"tcp": "open", "dns": "reply" if probe.record == "A" else six}.get(probe.kind, "not-sent")
            found = {"A": ("198.51.100.7",), "AAAA": ("2001:db8::7",) if six == "reply" else ()}
            addresses = found[probe.record] if probe.kind == "dns" else ()
            answers[probe] = Answer(probe=probe, result=result, addresses=addresses)
        case = replace(case, answers=answers)
    (path,) = walk(case, question)
    assert path.verdict == verdict
    assert (path.obstacle.reason if isinstance(path.obstacle, NameUnanswered) else "") == reason


@pytest.mark.parametrize(
    ("libc", "name", "options", "asked_for"),
    [
        ("", "db", ("ndots:0",), ("db", "db.lan", "db.corp")),
        ("go", "db", ("ndots:0",), ("db", "db.lan", "db.corp")),
        ("musl", "db", ("ndots:0",), ("db",)),
        ("", "db", ("ndots:5",), ("db.lan", "db.corp", "db")),
        ("musl", "db", ("ndots:5",), ("db.lan", "db.corp", "db")),
        ("", "api.shop", (), ("api.shop", "api.shop.lan", "api.shop.corp")),
        ("go", "api.shop", (), ("api.shop", "api.shop.lan", "api.shop.corp")),
        ("musl", "api.shop", (), ("api.shop",)),
        ("", "api.shop.", (), ("api.shop",)),
    ],
)
def test_each_resolver_has_its_own_order(libc: str, name: str, options: tuple[str, ...], asked_for: tuple[str, ...]) -> None:
    """glibc (res_search) and Go (nameList) go on with the search list after a name with enough dots; musl does not."""
    conf = ResolvConf(nameservers=("10.0.0.53",), search=("lan", "corp"), options=options)
    assert queries(conf, name, libc) == asked_for


@pytest.mark.parametrize(
    ("libc", "result", "verdict", "reason"),
    [
        ("musl", "servfail", "unreachable", "search-stops"),
        ("musl", "timeout", "unreachable", "search-stops"),
        ("musl", "nxdomain", "reachable", ""),
        ("", "servfail", "reachable", ""),
        ("go", "servfail", "reachable", ""),
    ],
)
def test_musl_asks_no_further_where_a_search_domain_fails(libc: str, result: str, verdict: str, reason: str) -> None:
    """name_from_dns_search of musl returns what is no NXDOMAIN; "reachable" was said of such containers."""
    cli, db = container("cli", 3), container("db", 2)
    assert cli.sandbox
    conf = ResolvConf(nameservers=("127.0.0.11",), search=("cluster.local",), options=("ndots:5",))
    cli = replace(cli, sandbox=replace(cli.sandbox, libc=libc, resolv_conf=conf))
    case, question = asked("cli", "db:80", cli, db)
    for _round in range(3):
        answers = dict(case.answers)
        for probe in (probe for path in walk(case, question) for probe in path.probes):
            known = probe.name == "db" and probe.record == "A"
            said = {"tcp": "open", "dns": "reply" if known else result}.get(probe.kind, "not-sent")
            answers[probe] = Answer(probe=probe, result=said, addresses=("172.18.0.2",) if known else ())
        case = replace(case, answers=answers)
    (path,) = walk(case, question)
    assert path.verdict == verdict
    assert (path.obstacle.reason if isinstance(path.obstacle, NameUnanswered) else "") == reason


def test_mysql_is_dialled_once_where_it_answers_through_docker_proxy() -> None:
    """It blocks whoever breaks off many handshakes; what it says by itself comes from behind the proxy."""
    published = PublishedPort(host_ip="0.0.0.0", host_port=3306, port=3306, protocol="tcp")
    db = container("db", 2, ports=(published,), image="mariadb:11")
    assert db.sandbox
    listening = replace(db.sandbox.stack, listeners=(Listener(protocol="tcp", family=6, address="::", port=3306),))
    db = replace(db, sandbox=replace(db.sandbox, stack=listening))
    case, question = asked("host", "127.0.0.1:3306", db)
    stack = case.hosts[0].snapshot.host.stack  # type: ignore[union-attr]
    proxy = Listener(protocol="tcp", family=4, address="0.0.0.0", port=3306, process=Process(pid=7, name="docker-proxy"))
    snapshot = replace(case.hosts[0].snapshot, host=Host(stack=replace(stack, listeners=(proxy,))))
    case = Case.of((snapshot,), asked=True)
    (front,) = walk(case, question)[0].probes
    for spoke, dialled in ((True, ["127.0.0.1"]), (False, ["127.0.0.1", "172.18.0.2"])):
        answers = {front: Answer(probe=front, result="open", spoke=spoke)}
        (path,) = walk(replace(case, answers=answers), question)
        assert [probe.address for probe in path.probes] == dialled
        assert (path.verdict, path.basis) == ("reachable", "probed" if spoke else "predicted")


def test_route_that_gives_up_what_is_for_a_container_is_not_beyond_this_host() -> None:
    """A blackhole route, a rule that prohibits, and a rule by a mark that the firewall sets: all take it from its bridge."""
    marking = "COMMIT\n*mangle\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -p tcp -j MARK --set-xmark 0x9/0xffffffff"
    main = RoutingRule(family=4, priority=32766, table=254, action="lookup")
    blackhole = Route(family=4, destination="172.18.0.0/24", kind="blackhole")
    prohibit = RoutingRule(family=4, priority=99, table=0, action="prohibit", destination="172.18.0.0/16")
    marked = RoutingRule(family=4, priority=90, table=0, action="blackhole", mark=9)
    for routes, rules, taken in (
        ((blackhole,), (main,), "blackhole"),
        ((), (prohibit, main), "prohibit"),
        ((), (marked, main), "blackhole"),
    ):
        case, question = asked("host", "172.18.0.2:80", container("web", 2), rule=marking)
        snapshot = case.hosts[0].snapshot
        assert snapshot.host
        stack = replace(snapshot.host.stack, routes=(*snapshot.host.stack.routes, *routes), rules=rules)
        case = Case.of((replace(snapshot, host=replace(snapshot.host, stack=stack)),), asked=True)
        (path,) = walk(case, question)
        assert isinstance(path.obstacle, RouteElsewhere)
        assert (path.obstacle.expected, path.obstacle.taken) == ("app0", taken)


def test_on_internal_networks_alone_a_container_elsewhere_is_on_no_shared_network() -> None:
    """Connecting the source to a network that leads out would not help: Docker keeps networks apart."""
    inner = Network(id="n2", name="inner", driver="bridge", internal=True, subnets=(Subnet(subnet="172.20.0.0/16"),))
    cli, web = container("cli", 3), container("web", 2)
    assert cli.sandbox
    stack = replace(
        cli.sandbox.stack,
        routes=(Route(family=4, destination="172.20.0.0/16", link="eth0"),),
        addresses=(Address(link="eth0", address="172.20.0.3", prefix=16, family=4),),
    )
    endpoint = Endpoint(network="inner", network_id="n2", ipv4="172.20.0.3")
    inside = replace(cli, endpoints=(endpoint,), sandbox=replace(cli.sandbox, stack=stack))
    for target, obstacle in (("172.18.0.2:80", NoCommonNetwork), ("203.0.113.9:80", NoEgress)):
        case, question = asked("cli", target, inside, web)
        snapshot = replace(case.hosts[0].snapshot, networks=(APP, inner))
        (path,) = walk(Case.of((snapshot,), asked=True), question)
        assert isinstance(path.obstacle, obstacle)


def test_answer_that_this_host_has_no_route_for() -> None:
    """What came in is delivered to a listener here, and a blackhole route takes what goes back."""
    case, question = asked("cli", "172.18.0.1:80", container("cli", 3))
    stack = case.hosts[0].snapshot.host.stack  # type: ignore[union-attr]
    service = Listener(protocol="tcp", family=4, address="0.0.0.0", port=80)
    hole = Route(family=4, destination="172.18.0.3/32", kind="blackhole")
    for routes, verdict in ((stack.routes, "reachable"), ((*stack.routes, hole), "unreachable")):
        machine = Host(stack=replace(stack, routes=routes, listeners=(service,)))
        (path,) = walk(Case.of((replace(case.hosts[0].snapshot, host=machine),), asked=True), question)
        assert path.verdict == verdict
    assert (path.broken and path.broken.hop) == "route"


def test_ipv6_address_that_an_interface_has_lost_is_missed_where_it_is_dialled() -> None:
    """An image may turn IPv6 off, so it is nothing by itself."""
    web = container("web", 2)
    endpoint = replace(web.endpoints[0], ipv6="fd00:18::2", ipv6_prefix=64)
    case, _question = asked("host", "172.18.0.2:80", replace(web, endpoints=(endpoint,)))
    facts = case.hosts[0]
    assert web.sandbox
    for dialled, lost in (("fd00:18::2", "eth0 of web has lost fd00:18::2"), ("172.18.0.2", None), ("", None)):
        found = endpoint_problem(facts, facts.containers[0], web.sandbox.stack, endpoint, dialled=dialled)
        assert (found and found[1]) == lost


def test_policy_rule_that_takes_the_answers_of_containers_is_named() -> None:
    """`ip rule add from SUBNET` to a table that gives up: the rule is the cause, and not what lies beyond this host."""
    dnat = "-A PREROUTING -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.18.0.2:80"
    mapping = PublishedPort(port=80, protocol="tcp", host_ip="0.0.0.0", host_port=8080)
    case, question = asked(
        "outside",
        "web:80",
        container("web", 2, ports=(mapping,)),
        rule=f"COMMIT\n*nat\n:PREROUTING ACCEPT [0:0]\n{dnat}",
    )
    snapshot = case.hosts[0].snapshot
    assert snapshot.host
    stack = snapshot.host.stack
    rules = (
        RoutingRule(family=4, priority=300, table=201, action="lookup", source="172.18.0.0/16"),
        RoutingRule(family=4, priority=32766, table=254, action="lookup"),
    )
    stack = replace(
        stack,
        rules=rules,
        addresses=(*stack.addresses, Address(link="eth0", address="203.0.113.5", prefix=24, family=4)),
        routes=(
            *stack.routes,
            Route(family=4, destination="203.0.113.0/24", link="eth0", source="203.0.113.5"),
            Route(family=4, destination="0.0.0.0/0", kind="unreachable", table=201),
        ),
    )
    case = Case.of((replace(snapshot, host=replace(snapshot.host, stack=stack)),), asked=True)
    (path,) = walk(case, question)
    assert isinstance(path.obstacle, RouteElsewhere)
    assert (path.obstacle.rule, path.obstacle.reply) == (rules[0], True)


def test_a_container_that_is_listed_and_not_shown_is_not_called_unknown() -> None:
    case, question = asked("host", "db:80", container("web", 2))
    snapshot = replace(case.hosts[0].snapshot, engine=Engine(version="28.5.2"))
    assert walk(Case.of((snapshot,), asked=True), question)[0].verdict == "unreachable"
    spot = BlindSpot(area="engine", what="the container db", why="HTTP 500")
    (path,) = walk(Case.of((replace(snapshot, blind_spots=(spot,)),), asked=True), question)
    assert (path.verdict, path.hops[0].predicted) == ("unknown", "db could not be read")


@pytest.mark.parametrize("handed_over", ["0", "1"])
@pytest.mark.parametrize(("dport", "verdict"), [(80, "unreachable"), (81, "reachable")])
def test_a_chain_for_bridges_decides_whether_or_not_iptables_sees_what_crosses_them(
    handed_over: str, dport: int, verdict: str
) -> None:
    table = {"family": "bridge", "table": "filter"}
    match = {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": dport}
    chain = {"name": "forward", "handle": 1, "type": "filter", "hook": "forward", "prio": 0, "policy": "accept"}
    ruleset = [
        {"table": {"family": "bridge", "name": "filter", "handle": 1}},
        {"chain": {**table, **chain}},
        {"rule": {**table, "chain": "forward", "handle": 2, "expr": [{"match": match}, {"drop": None}]}},
    ]
    case, question = asked("cli", "172.18.0.2:80", container("cli", 3), container("web", 2))
    snapshot = case.hosts[0].snapshot
    assert snapshot.host
    assert snapshot.host.stack
    stack = replace(
        snapshot.host.stack,
        firewall=(
            *(snapshot.host.stack.firewall or ()),
            FirewallDump(tool="nft", family=None, text=json.dumps({"nftables": ruleset})),
        ),
        sysctls={"net.bridge.bridge-nf-call-iptables": handed_over},
    )
    (path,) = walk(Case.of((replace(snapshot, host=replace(snapshot.host, stack=stack)),), asked=True), question)
    assert (path.verdict, isinstance(path.obstacle, Dropped)) == (verdict, verdict == "unreachable")


ANSWERS = "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
DISCOVERY = "-A INPUT -p ipv6-icmp -m icmp6 --icmpv6-type {} -m hl --hl-eq 255 -j ACCEPT\n"


@pytest.mark.parametrize(
    ("rules", "dropped"),
    [
        ("-A INPUT -p ipv6-icmp -j DROP", True),
        (f"{ANSWERS}-A INPUT -j DROP", True),
        (f"{ANSWERS}-A INPUT -p ipv6-icmp -j ACCEPT\n-A INPUT -j DROP", False),
        (f"{ANSWERS}{DISCOVERY.format(135)}{DISCOVERY.format(136)}-A INPUT -j DROP", False),
        (f"{ANSWERS}{DISCOVERY.format(135)}-A INPUT -j DROP", True),
    ],
)
def test_neighbour_discovery_must_pass(rules: str, *, dropped: bool) -> None:
    inner = container("web", 2)
    assert inner.sandbox
    six = Address(link="eth0", address="fd00:18::2", prefix=64, family=6)
    stack = replace(inner.sandbox.stack, addresses=(*inner.sandbox.stack.addresses, six))
    endpoint = Endpoint(network="app", network_id="n1", ipv4="172.18.0.2", ipv6="fd00:18::2")
    web = replace(inner, endpoints=(endpoint,), sandbox=replace(inner.sandbox, stack=stack))
    network = replace(APP, ipv6=True, subnets=(*APP.subnets, Subnet(subnet="fd00:18::/64", gateway="fd00:18::1")))
    case, question = asked("host", "[fd00:18::2]:80", web, network=network)
    outer = host().stack
    text = f"*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n{rules}\nCOMMIT\n"
    outer = replace(
        outer,
        addresses=(*outer.addresses, LOOPBACK6, Address(link="app0", address="fd00:18::1", prefix=64, family=6)),
        routes=(*outer.routes, Route(family=6, destination="fd00:18::/64", link="app0", source="fd00:18::1")),
        firewall=(*(outer.firewall or ()), FirewallDump(tool="iptables-nft", family=6, text=text)),
    )
    case = Case.of((replace(case.hosts[0].snapshot, host=Host(stack=outer)),), asked=True)
    (path,) = walk(case, question)
    assert isinstance(path.obstacle, Dropped) is dropped, path.obstacle
    if isinstance(path.obstacle, Dropped):
        assert path.obstacle.decision.packet
        assert (path.obstacle.decision.packet.protocol, path.obstacle.decision.packet.destination) == ("icmpv6", "::/0")


@pytest.mark.parametrize(
    ("hook", "asked_for", "sender", "entry", "verdict"),
    [
        ("output", {"daddr ip": "172.18.0.2"}, "host", "failed", "unreachable"),
        ("output", {"daddr ip": "172.18.0.2"}, "host", "permanent", "reachable"),
        ("output", {"daddr ip": "172.18.0.7"}, "host", "failed", "reachable"),
        ("input", {"saddr ip": "172.18.0.2"}, "host", "", "unreachable"),  # the answer to the request
        ("forward", {"daddr ip": "172.18.0.2"}, "cli", "", "unreachable"),
        ("forward", {"daddr ip": "172.18.0.2"}, "host", "", "reachable"),
    ],
)
def test_arp_must_pass(hook: str, asked_for: dict[str, str], sender: str, entry: str, verdict: str) -> None:
    family = "bridge" if hook == "forward" else "arp"
    table = {"family": family, "table": "filter"}
    chain = {**table, "name": "c", "type": "filter", "hook": hook, "prio": 0, "policy": "accept"}
    matches = [
        {"match": {"op": "==", "left": {"payload": {"protocol": "arp", "field": name}}, "right": value}}
        for name, value in asked_for.items()
    ]
    rules = [
        {"table": {"family": family, "name": "filter"}},
        {"chain": chain},
        {"rule": {**table, "chain": "c", "handle": 2, "expr": [*matches, {"drop": None}]}},
    ]
    case, question = asked(sender, "172.18.0.2:80", container("cli", 3), container("web", 2))
    stack = host().stack
    links = tuple(replace(link, mac="02:42:00:00:00:01") if link.name == "app0" else link for link in stack.links)
    known = (Neighbour(family=4, link="app0", address="172.18.0.2", state=entry),) if entry else ()
    dump = FirewallDump(tool="nft", family=None, text=json.dumps({"nftables": rules}))
    stack = replace(stack, links=links, neighbours=known, firewall=(*(stack.firewall or ()), dump))
    (path,) = walk(Case.of((replace(case.hosts[0].snapshot, host=Host(stack=stack)),), asked=True), question)
    assert (path.verdict, isinstance(path.obstacle, Dropped)) == (verdict, verdict == "unreachable")


@pytest.mark.parametrize(("said", "dots"), [("5", 5), ("99", 15), ("9" * 5000, 15), ("\u00b2", 1), ("-1", 1), ("", 1)])
def test_ndots_may_be_any_text(said: str, dots: int) -> None:
    """A container's root writes it. `int` takes no more than 4,300 digits: it ended the run with an internal error."""
    assert ndots(ResolvConf(options=("ndots:2", f"ndots:{said}"))) == dots
