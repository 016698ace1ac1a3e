"""`outside` is any other machine: whom the rules let in and whom they cut off, beside the one that is walked for."""

from __future__ import annotations

import pytest
from dockernet_doctor_checks.addressing import reverse_path_filter
from dockernet_doctor_checks.firewall import firewall_drops_traffic
from msgspec.structs import replace

from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.path import Clients, Dropped, Path
from dockernet_doctor.diagnosis.paths.walk import walk
from dockernet_doctor.diagnosis.question import Question, parse_source, parse_target
from dockernet_doctor.snapshot.model import (
    Address,
    Conntrack,
    Container,
    Engine,
    FirewallDump,
    Host,
    Link,
    Listener,
    Neighbour,
    NetworkStack,
    PublishedPort,
    Route,
    RoutingRule,
    Snapshot,
    State,
)

KNOWN = "10.0.0.9"
"""The machine that `outside` is walked for, since the host has met it."""
BANNED = ":f2b-web - [0:0]", "-A INPUT -j f2b-web", f"-A f2b-web -s {KNOWN}/32 -j REJECT"
LISTED = "-A INPUT -s 192.0.2.0/24 -j ACCEPT", "-A INPUT -i eth0 -j DROP"


def case(
    *rules: str, asked: bool = True, at: str = "10.0.0.5", ipsets: str = "", sysctls: dict[str, str] | None = None
) -> Case:
    """A host with a service on port 80, one uplink with a default route and one without; one question is walked."""
    text = "*filter\n:INPUT ACCEPT [0:0]\n" + "".join(f"{rule}\n" for rule in rules) + "COMMIT\n"
    stack = NetworkStack(
        links=(Link(index=1, name="lo"), Link(index=2, name="eth0"), Link(index=3, name="eth1")),
        addresses=(
            Address(link="lo", address="127.0.0.1", prefix=8, family=4),
            Address(link="eth0", address="10.0.0.5", prefix=24, family=4),
            Address(link="eth1", address="10.50.0.5", prefix=24, family=4),
        ),
        routes=(
            Route(family=4, destination="10.0.0.0/24", link="eth0", source="10.0.0.5"),
            Route(family=4, destination="10.50.0.0/24", link="eth1", source="10.50.0.5"),
            Route(family=4, destination="0.0.0.0/0", gateway="10.0.0.1", link="eth0"),
        ),
        neighbours=(Neighbour(family=4, link="eth0", address=KNOWN, mac="02:00:00:00:00:09"),),
        listeners=(Listener(protocol="tcp", family=4, address="0.0.0.0", port=80),),
        sysctls=sysctls or {},
        firewall=(
            FirewallDump(tool="iptables-nft", family=4, text=text),
            FirewallDump(tool="ipset", family=None, text=ipsets),
        ),
    )
    snapshot = Snapshot(
        name="h", taken_at="2026-01-01T00:00:00Z", endpoint="", engine=Engine(version="28.5.2"), host=Host(stack=stack)
    )
    made = Case.of((snapshot,), asked=asked)
    question = Question(source=parse_source("outside"), target=parse_target(f"{at}:80"))
    return made.told({}, lambda known: tuple(walk(known, question)))


def only_path(of: Case) -> Path:
    """The path of the clients on the wire of the address that is dialled; in `check`, the only one."""
    own = of.paths[0].question.target.name.rpartition(".")[0]
    return next(p for p in of.paths if not p.clients or any(f"{own}.0/24" in c.prefixes for c in p.clients))


def said(path: Path, hop: str) -> str:
    return next(h.predicted for h in path.hops if h.hop == hop)


@pytest.mark.parametrize(
    ("rules", "cut"),
    [
        (("-A INPUT -s 203.0.113.0/24 -j DROP",), "not for 203.0.113.0/24: rule 1 of INPUT"),
        (("-A INPUT -s 10.0.0.0/8 -j ACCEPT", "-A INPUT -j DROP"), "not for machines that no rule names: rule 2 of INPUT"),
        (("-A INPUT -m set --match-set bad src -j DROP",), "not for 203.0.113.7: rule 1 of INPUT"),
        (("-A INPUT -m iprange --src-range 198.51.100.0-198.51.100.77 -j REJECT",), "not for 198.51.100.0-198.51.100.77: rule"),
        (("-A INPUT -s 10.50.0.0/24 -i eth0 -j DROP",), ""),  # they come in by eth1
        (("-A INPUT -s 203.0.113.0/24 -p tcp -m tcp --dport 22 -j DROP",), ""),
        (("-A INPUT -d 203.0.113.0/24 -j DROP", "-A INPUT -m set --match-set bad dst -j DROP"), ""),
    ],
)
def test_others_that_are_cut_off_are_named_with_the_rule(rules: tuple[str, ...], cut: str) -> None:
    path = only_path(case(*rules, ipsets="create bad hash:ip family inet\nadd bad 203.0.113.7\n"))
    assert path.verdict == "reachable"
    assert cut in said(path, "filter")
    assert ("not for" in said(path, "filter")) is bool(cut)


def test_many_that_are_banned_one_by_one_are_counted() -> None:
    bans = [f"-A INPUT -s 203.0.113.{number}/32 -j DROP" for number in range(9)]
    text = said(only_path(case(*bans)), "filter")
    assert text.count("not for") == 3
    assert "nor for 6 more that rules name" in text


def test_nobody_asks_for_others_in_check() -> None:
    assert "not for" not in said(only_path(case("-A INPUT -s 203.0.113.0/24 -j DROP", asked=False)), "filter")


@pytest.mark.parametrize(
    ("rules", "admitted", "severity"),
    [
        (LISTED, ("192.0.2.0/24",), "info"),
        (("-A INPUT ! -s 192.0.2.2/32 -i eth0 -j DROP",), ("192.0.2.2",), "info"),
        ((f"-A INPUT -s {KNOWN}/32 -j DROP",), ("machines that no rule names",), "error"),
        (BANNED, ("machines that no rule names",), "info"),
        (("-A INPUT -i eth0 -j DROP",), (), "error"),
        (("-A INPUT -s 192.0.2.0/24 -p tcp -m tcp --dport 22 -j ACCEPT", "-A INPUT -i eth0 -j DROP"), (), "error"),
    ],
)
def test_a_list_of_those_let_in_is_no_fault_until_somebody_else_asks(
    rules: tuple[str, ...], admitted: tuple[str, ...], severity: str
) -> None:
    checked = case(*rules, asked=False)
    obstacle = only_path(checked).obstacle
    assert isinstance(obstacle, Dropped)
    assert obstacle.admitted == admitted
    assert firewall_drops_traffic.check.find is not None
    (finding,) = firewall_drops_traffic.check.find(checked)
    assert finding.severity == severity
    banned = f"{KNOWN} cannot reach" in finding.summary and "other machines can" in finding.summary
    assert banned is ("machines that no rule names" in admitted)
    assert ("is open to 192.0.2" in finding.summary) is (severity == "info" and not banned)


@pytest.mark.parametrize(("count", "verdict"), [(65536, "unreachable"), (65000, "reachable")])
def test_nobody_comes_in_while_no_more_connections_are_tracked(count: int, verdict: str) -> None:
    (snapshot,) = (facts.snapshot for facts in case().hosts)
    assert snapshot.host
    full = replace(snapshot, host=replace(snapshot.host, conntrack=Conntrack(count=count, maximum=65536)))
    question = Question(source=parse_source("outside"), target=parse_target("10.0.0.5:80"))
    paths = walk(Case.of((full,), asked=True), question)
    assert {path.verdict for path in paths} == {verdict}


def test_strict_reverse_path_filtering_cuts_off_who_is_answered_by_another_interface() -> None:
    strict = {"net.ipv4.conf.all.rp_filter": "0", "net.ipv4.conf.eth1.rp_filter": "1", "net.ipv4.conf.eth0.rp_filter": "1"}
    assert "not for machines that no rule names: strict rp_filter on eth1" in said(
        only_path(case(at="10.50.0.5", sysctls=strict)), "route"
    )
    assert "rp_filter" not in said(only_path(case(sysctls=strict)), "route")


REMOTE = "192.0.2.0/24"


def multihomed(mode: str, *, asked: bool = True) -> Case:
    """Clients of REMOTE are behind a router on eth1, as a table says that eth1's own address goes by; main says eth0."""
    (facts,) = case().hosts
    assert facts.snapshot.host
    assert facts.stack
    stack = replace(
        facts.stack,
        sysctls={"net.ipv4.conf.all.rp_filter": "0", "net.ipv4.conf.eth1.rp_filter": mode},
        routes=(*facts.stack.routes, Route(family=4, destination=REMOTE, gateway="10.50.0.1", link="eth1", table=100)),
        rules=(
            RoutingRule(family=4, priority=100, source="10.50.0.99", table=100),
            RoutingRule(family=4, priority=32766, table=254),
        ),
    )
    published = PublishedPort(port=80, protocol="tcp", host_ip="0.0.0.0", host_port=80)
    web = Container(
        id="c", name="web", image="i", network_mode="host", ports=(published,), state=State(status="running", running=True)
    )
    snapshot = replace(facts.snapshot, host=replace(facts.snapshot.host, stack=stack), containers=(web,))
    made = Case.of((snapshot,), asked=asked)
    question = Question(source=parse_source("outside"), target=parse_target("host:80"))
    return made.told({}, lambda known: tuple(walk(known, question)))


def test_clients_behind_a_route_that_their_answers_do_not_take_are_a_path_of_their_own() -> None:
    asked = multihomed("1")
    assert [path.verdict for path in asked.paths] == ["unreachable", "reachable"]
    cut, passing = asked.paths
    assert cut.clients == (Clients(interface="eth1", via="10.50.0.1", prefixes=(REMOTE,), family=4),)
    assert {c.interface for c in passing.clients} == {"eth0", "eth1"}
    assert reverse_path_filter.check.find is not None
    (finding,) = reverse_path_filter.check.find(asked)
    assert finding.summary == (
        f"host:80 cannot be reached from clients behind {REMOTE} on eth1: they come in by eth1 and would be answered by "
        "eth0; strict rp_filter drops them."
    )


def test_check_tells_once_a_host_which_clients_are_cut_off() -> None:
    assert reverse_path_filter.check.find is not None
    (finding,) = reverse_path_filter.check.find(multihomed("1", asked=False))
    assert (finding.severity, finding.confidence, finding.subject.kind) == ("info", "likely", "host")
    assert f"clients behind {REMOTE} come in by eth1 and would be answered by eth0" in finding.summary


@pytest.mark.parametrize("asked", [True, False])
def test_a_loose_filter_cuts_nobody_off(*, asked: bool) -> None:
    assert reverse_path_filter.check.find is not None
    loose = multihomed("2", asked=asked)
    assert {path.verdict for path in loose.paths} == {"reachable"}
    assert len(loose.paths) == 1
    assert [*reverse_path_filter.check.find(loose)] == []
