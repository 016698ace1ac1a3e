"""Several hosts read together: the rest of a packet's way on the next host, and faults between two of twenty."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import msgspec
import pytest
from msgspec.structs import replace

from dockernet_doctor.diagnosis import registry, run
from dockernet_doctor.diagnosis.question import Question, parse_source, parse_target
from dockernet_doctor.diagnosis.run import Diagnosis
from dockernet_doctor.snapshot.model import (
    Container,
    Endpoint,
    Listener,
    Network,
    PublishedPort,
    Reference,
    Snapshot,
    State,
    Subnet,
    Swarm,
)
from tests.unit.diagnosis.fleets import address, fleet, with_rule

three = cache(lambda: tuple(fleet(3)))
Fault = Callable[[list[Snapshot]], None]


def reach(snapshots: Sequence[Snapshot], source: str, target: str) -> Diagnosis:
    question = Question(source=parse_source(source), target=parse_target(target))
    return run.diagnose(snapshots, [question], asked=True, registry=registry.load())


def loud(snapshots: Sequence[Snapshot]) -> list[str]:
    return [f.id for f in run.diagnose(snapshots, registry=registry.load()).findings if f.severity != "info"]


def test_twenty_hosts_and_a_fault_between_two_of_them() -> None:
    hosts = fleet(20)
    assert [p.verdict for p in reach(hosts, "c3@h3", "c7:80@h7").case.paths] == ["reachable"]
    hosts[6] = with_rule(hosts[6], f"INPUT -s {address(3)}/32 -p udp -m udp --dport 4789 -j DROP")
    asked = reach(hosts, "c3@h3", "c7:80@h7")
    (finding,) = asked.findings
    assert (finding.cause, finding.subject.kind, finding.subject.host) == ("overlay-port-blocked", "rule", "h7")
    assert finding.summary.startswith(
        f"h7 drops 4789/udp of its overlay networks between it and h3 ({address(3)}), so names resolve"
    )
    assert finding.fixes[0].commands == (f"iptables -D INPUT -s {address(3)}/32 -p udp -m udp --dport 4789 -j DROP",)
    (path,) = asked.case.paths
    assert (path.verdict, path.host, path.source_host, path.target_host) == ("unreachable", "h7", "h3", "h7")
    assert [p.verdict for p in reach(hosts, "c3@h3", "c8:80@h8").case.paths] == ["reachable"]
    assert reach(hosts, "c7@h7", "c3:80@h3").findings[0].id == finding.id  # nothing comes back


def test_hosts_that_are_well_are_silent_together_and_one_that_is_not_is_named_once() -> None:
    hosts = list(three())
    assert loud(hosts) == []
    hosts[1] = with_rule(hosts[1], "INPUT -p tcp -m tcp --dport 7946 -j DROP")
    (found,) = loud(hosts)
    assert found.startswith("overlay-port-blocked=rule:")
    assert found.endswith("@h2")


def test_a_container_that_another_host_was_never_told_of_is_warned_of() -> None:
    hosts = list(three())
    hosts[0] = untold(hosts[0])
    found = [f for f in run.diagnose(hosts, registry=registry.load()).findings if f.severity != "info"]
    assert [(f.cause, f.severity, f.subject.host) for f in found] == [("overlay-port-blocked", "warning", "h1")]
    assert "never heard of c2, which h2 runs on app" in found[0].summary
    just_started = replace(hosts[1], taken_at=fleet(2)[1].containers[0].state.started_at)
    assert loud([hosts[0], just_started]) == []


def container(change: Callable[[Container], Container]) -> Fault:
    """A fault of c2 on h2."""

    def put(hosts: list[Snapshot]) -> None:
        hosts[1] = replace(hosts[1], containers=tuple(change(c) if c.name == "c2" else c for c in hosts[1].containers))

    return put


def host(number: int, change: Callable[[Snapshot], Snapshot]) -> Fault:
    def put(hosts: list[Snapshot]) -> None:
        hosts[number - 1] = change(hosts[number - 1])

    return put


def listening(*addresses: str) -> Callable[[Container], Container]:
    def put(one: Container) -> Container:
        assert one.sandbox
        listeners = tuple(Listener(protocol="tcp", family=4, address=a, port=80) for a in addresses)
        return replace(one, sandbox=replace(one.sandbox, stack=replace(one.sandbox.stack, listeners=listeners)))

    return put


def told_to_be_at(where: str) -> Callable[[Snapshot], Snapshot]:
    def put(snapshot: Snapshot) -> Snapshot:
        assert snapshot.engine
        return replace(snapshot, engine=replace(snapshot.engine, swarm=replace(snapshot.engine.swarm, node_address=where)))

    return put


def untold(snapshot: Snapshot) -> Snapshot:
    """It lists no container of the others."""

    def network(one: Network) -> Network:
        return replace(one, members=tuple(m for m in one.members if not m.container_id.startswith("ep-")))

    return replace(snapshot, networks=tuple(map(network, snapshot.networks)))


def untold_by_rule(hosts: list[Snapshot]) -> None:
    hosts[0] = untold(hosts[0])
    hosts[1] = with_rule(hosts[1], "INPUT -p tcp -m tcp --dport 7946 -j DROP")


def other_overlay(hosts: list[Snapshot]) -> None:
    other = Network(
        id="n2", name="other", driver="overlay", scope="swarm", attachable=True, subnets=(Subnet(subnet="10.0.9.0/24"),)
    )
    moved = Endpoint(network="other", network_id="n2", ipv4="10.0.9.2", dns_names=("c2",))
    hosts[1] = replace(hosts[1], networks=(*hosts[1].networks, other))
    container(lambda c: replace(c, network_mode="other", endpoints=(moved,)))(hosts)


VXLAN = "-p udp -m udp --dport 4789 -j DROP"
FAULTS: dict[str, tuple[Fault, str, str, str]] = {
    "no-listener": (container(listening()), "c2:80@h2", "no-listener", "h2"),
    "loopback": (container(listening("127.0.0.1")), "c2:80@h2", "listener-on-loopback", "h2"),
    "stopped": (container(lambda c: replace(c, state=State(status="exited"))), "c2:80@h2", "container-not-running", "h2"),
    "paused": (container(lambda c: replace(c, state=replace(c.state, paused=True))), "c2:80", "container-paused", "h2"),
    "vxlan-in": (host(2, lambda s: with_rule(s, f"INPUT {VXLAN}")), "c2:80", "overlay-port-blocked", "h2"),
    "vxlan-out": (host(1, lambda s: with_rule(s, f"OUTPUT {VXLAN}")), "c2:80", "overlay-port-blocked", "h1"),
    "advertise": (host(2, told_to_be_at("127.0.0.1")), "c2:80@h2", "swarm-advertise-wrong", "h2"),
    "own-advertise": (host(1, told_to_be_at("10.99.0.99")), "c2:80@h2", "swarm-advertise-wrong", "h1"),
    "gossip": (untold_by_rule, "c2:80@h2", "overlay-port-blocked", "h2"),
    "untold": (host(1, untold), "c2:80@h2", "overlay-port-blocked", "h1"),
    "other-overlay": (other_overlay, "c2:80@h2", "no-shared-network", "h1"),
    "nobody": (host(2, lambda s: s), "c9:80@h2", "unknown-name", "h2"),
    "port": (host(2, lambda s: with_rule(s, "INPUT -p tcp -m tcp --dport 8080 -j DROP")), "host:8080@h2", "", ""),
}  # fmt: skip


@pytest.mark.parametrize(("fault", "question", "cause", "where"), FAULTS.values(), ids=list(FAULTS))
def test_what_breaks_the_way_to_another_host_is_named_with_its_host(
    fault: Fault, question: str, cause: str, where: str
) -> None:
    hosts = list(three())
    fault(hosts)
    found = reach(hosts, "local_cont@h1", question)
    if not cause:  # Docker's DNAT comes before INPUT
        assert found.case.paths[0].verdict == "reachable"
        return
    assert found.case.paths[0].verdict == "unreachable"
    assert [(f.cause, f.subject.host, f.severity) for f in found.findings] == [(cause, where, "error")], found.findings


@pytest.mark.parametrize("source", ["local_cont@h1", "host@h1"])
def test_a_published_port_of_another_host_is_followed_to_its_listener(source: str) -> None:
    hosts = list(three())
    broken = [hosts[0], with_rule(hosts[1], f"FORWARD -s {address(1)}/32 -p tcp -m tcp --dport 80 -j DROP"), hosts[2]]
    for question in ("pub:80@h2", "host:8080@h2", f"{address(2)}:8080"):
        (path,) = reach(hosts, source, question).case.paths
        assert path.target, question
        assert (path.verdict, path.target.name, path.target_host) == ("reachable", "pub", "h2"), path.hops
        finding = reach(broken, source, question).findings[0]
        assert (finding.cause, finding.subject.host) == ("firewall-drops-traffic", "h2")


def test_a_port_that_the_other_host_keeps_to_itself() -> None:
    hosts = list(three())
    mapping = (PublishedPort(port=80, protocol="tcp", host_ip="127.0.0.1", host_port=8080),)
    hosts[1] = replace(
        hosts[1], containers=tuple(replace(c, ports=mapping) if c.name == "pub" else c for c in hosts[1].containers)
    )
    finding = reach(hosts, "local_cont@h1", "pub:80@h2").findings[0]
    assert (finding.cause, finding.subject.host) == ("port-bound-to-loopback", "h2")


def test_one_subnet_in_two_places_matters_where_it_hides_another_host() -> None:
    hosts = list(three())  # all have 172.17.0.0/16 and 172.18.0.0/16, and nobody is hurt
    hosts[0] = _changed(hosts[0], ("172.17.", "10.88."))
    hosts[1] = _changed(hosts[1], (address(2), "10.88.0.12"), ("10.99.0.0/24", "10.88.0.0/24"))
    assert loud(hosts) == ["subnet-overlap=network:bridge@h1"]
    for question in ("c2:80@h2", "host:8080@h2"):
        finding = reach(hosts, "local_cont@h1", question).findings[0]
        assert (finding.cause, finding.subject.name, finding.subject.host) == ("subnet-overlap", "bridge", "h1")
        assert "10.88.0.12" in finding.summary


def _changed(snapshot: Snapshot, *words: tuple[str, str]) -> Snapshot:
    text = msgspec.json.encode(snapshot).decode()
    for old, new in words:
        text = text.replace(old, new)
    return msgspec.json.decode(text, type=Snapshot)


def legacy(number: int, **engine: str) -> Snapshot:
    """The recorded host as one of engine 20.10 that has a cluster store and no Swarm."""
    snapshot = three()[number - 1]
    assert snapshot.engine
    store = {"cluster_store": "etcd://10.99.0.9:2379", "cluster_advertise": f"{address(number)}:2376"}
    changed = replace(snapshot.engine, version="20.10.24", swarm=Swarm(), **store | engine)
    return replace(snapshot, engine=changed)


@pytest.mark.parametrize(
    ("second", "cause", "where", "words"),
    [
        ({}, "", "", ""),
        ({"cluster_advertise": ""}, "cluster-advertise-missing", "h2", "advertises no address"),
        ({"cluster_advertise": f"{address(1)}:2376"}, "cluster-advertise-not-reachable", "h2", "which is h1's"),
        ({"cluster_advertise": "172.17.0.1:2376"}, "cluster-advertise-not-reachable", "h2", "its own bridge network bridge"),
        ({"name": "h1"}, "duplicate-node-name", "h2", "h1 has it too"),
    ],
)
def test_hosts_of_one_store_are_held_against_each_other(second: dict[str, str], cause: str, where: str, words: str) -> None:
    hosts = [legacy(1), legacy(2, **second)]
    (path,) = reach(hosts, "local_cont@h1", "c2:80@h2").case.paths
    found = [f for f in run.diagnose(hosts, registry=registry.load()).findings if f.severity == "error"]
    assert [(f.cause, f.subject.host) for f in found] == ([(cause, where)] if cause else [])
    if cause:
        assert words in found[0].summary
    if "advertise" in cause:
        assert path.verdict == "unreachable"
        assert reach(hosts, "local_cont@h1", "c2:80@h2").findings[0].id == found[0].id


@pytest.mark.parametrize(
    ("address_or_name", "port", "cause"),
    [(address(3), 8080, ""), ("c3", 80, ""), (address(3), 5432, "no-listener"), ("c3", 81, "container-port-mismatch")],
)
def test_what_a_setting_names_on_another_host_is_asked_too(address_or_name: str, port: int, cause: str) -> None:
    hosts = list(three())
    setting = Reference(where="environment", key="API_HOST", host=address_or_name, port=port)
    container(lambda c: replace(c, references=(setting,)))(hosts)
    diagnosis = run.diagnose(hosts, registry=registry.load())
    assert any(q.reference == setting for q in diagnosis.case.questions)
    found = [f for f in diagnosis.findings if f.severity == "error"]
    assert [(f.cause, f.subject.host) for f in found] == ([(cause, "h3")] if cause else []), found


def test_what_is_encrypted_or_was_not_read_is_unknown_and_no_fault() -> None:
    def encrypted(snapshot: Snapshot) -> Snapshot:
        networks = tuple(replace(n, options=n.options | {"encrypted": ""}) for n in snapshot.networks)
        return replace(snapshot, networks=networks)

    def remote(snapshot: Snapshot) -> Snapshot:
        containers = tuple(replace(c, sandbox=None) for c in snapshot.containers)
        return replace(snapshot, host=None, containers=containers)

    one, two, _ = three()
    for hosts in ([encrypted(one), encrypted(two)], [one, remote(two)], [remote(one), two], [remote(one), remote(two)]):
        asked = reach(hosts, "local_cont@h1", "c2:80@h2")
        assert ([p.verdict for p in asked.case.paths], list(asked.findings)) == (["unknown"], [])
        assert loud(hosts) == []


def test_a_host_is_called_by_its_name_where_several_are_read() -> None:
    """What a check says of "this host", the hops, and each fix, which is for the host that is named."""
    hosts = list(three())
    container(listening())(hosts)
    for source, name in (("host@h1", "h1"), ("outside@h2", "h2")):
        asked = reach(hosts, source, "host:81@h2" if source == "outside@h2" else "172.30.0.9:81")
        said = [f.summary for f in asked.findings] + [fix.summary for f in asked.findings for fix in f.fixes]
        said += [text for p in asked.case.paths for hop in p.hops for text in (hop.predicted, hop.observed)]
        said += [spot.spot.what + spot.spot.why for spot in asked.blind_spots]
        assert name in " ".join(said)
        assert not [text for text in said if "this host" in text.lower()]
    container(lambda c: replace(c, state=replace(c.state, paused=True)))(hosts)
    assert reach(hosts, "local_cont@h1", "c2:80@h2").findings[0].summary.startswith("h2: c2 is paused")


def test_a_host_that_tells_a_loopback_address_is_dialled_at_its_own() -> None:
    hosts = list(three())
    host(2, told_to_be_at("127.0.0.1"))(hosts)
    (path,) = reach(hosts, "local_cont@h1", "host:8080@h2").case.paths
    assert (path.destination.address, path.verdict) == (address(2), "reachable")
