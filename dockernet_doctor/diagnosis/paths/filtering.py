"""The firewall as a diagnosis needs it: what stands in the way of whole networks, how to let a packet pass, evidence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple

from msgspec.structs import replace

from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.facts.docker_rules import docker_backend
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.facts.listeners import best_listener
from dockernet_doctor.diagnosis.facts.routing import ANYWHERE, lookup, within
from dockernet_doctor.diagnosis.finding import Evidence, Fix
from dockernet_doctor.diagnosis.fixes.remedy import firewall_change
from dockernet_doctor.diagnosis.path import (
    Dropped,
    ForwardingOff,
    LinkBroken,
    NoMasquerade,
    NoRoute,
    Obstacle,
    Path,
    PolicyBlocks,
    ReverseFiltered,
    RouteElsewhere,
    RuleReason,
    StaleNeighbour,
    SubnetOverlaps,
)
from dockernet_doctor.diagnosis.paths.clients import STRANGERS, is_named
from dockernet_doctor.diagnosis.paths.names import Server
from dockernet_doctor.diagnosis.paths.packet import flow
from dockernet_doctor.diagnosis.paths.packet.trail import Sender, Trail
from dockernet_doctor.netfilter.change import Way, allow, owner, undo, undo_policy
from dockernet_doctor.netfilter.describe import describe_decision, wording
from dockernet_doctor.netfilter.docker import (
    USER_CHAIN,
    is_docker_rule,
)
from dockernet_doctor.netfilter.edit import Traffic, acceptance
from dockernet_doctor.netfilter.evaluate import journey, locality
from dockernet_doctor.netfilter.model import Chain, Context, Decision, Packet, Route, Rule, Ruleset, jumped_to
from dockernet_doctor.netfilter.mood import mood
from dockernet_doctor.probe.model import Answer
from dockernet_doctor.snapshot.model import Container, Family, Network, Protocol

_PORTS_AT_MOST = 8
"""The ports of one container that its neighbour is taken to dial."""

_BANNING = ("crowdsec", "csf", "fail2ban")


def is_off_the_list(obstacle: Dropped) -> bool:
    """True if the rules let in some machines that they name, and drop this one's packet since it is none of them."""
    return bool(obstacle.admitted) and not is_named(obstacle.decision)


def is_ban(obstacle: Dropped) -> bool:
    """True if a rule names that one machine, or where it is, and lets pass what machines send that no rule names."""
    return STRANGERS in obstacle.admitted and is_named(obstacle.decision)


def is_on_a_list(obstacle: Dropped) -> bool:
    """True if whom it bans stands on a list that a program or an operator keeps, and not in a rule of its own."""
    rule = obstacle.decision.rule
    if rule is None or not is_ban(obstacle):
        return False
    return owner(rule) in _BANNING or any(term.set_name for term in rule.asks("source"))


def egress(facts: HostFacts, container: Container, family: Family = 4) -> Trail:
    """The predicted way of the container's packets to some machine beyond the gateway."""
    trail = Trail()
    flow(facts, Sender(container=container), ANYWHERE[family], 443, "tcp", trail)
    return trail


@lru_cache(maxsize=16)
def ways_out(facts: HostFacts, family: Family) -> tuple[tuple[Network, Obstacle], ...]:
    """Bridge networks whose members are stopped on their way to other machines, or leave by an address that no answer comes
    back to, as one shows that is on no other network.

    Not where this host itself has no way there.
    """
    return tuple(_ways_out(facts, family))


def _ways_out(facts: HostFacts, family: Family) -> Iterator[tuple[Network, Obstacle]]:
    if facts.stack is None or lookup(facts.stack, ANYWHERE[family]).kind != "unicast":
        return
    for network in facts.snapshot.networks:
        if network.driver != "bridge" or network.internal:
            continue
        for member in facts.members(network):
            endpoints = facts.endpoints(member)
            if member.state.running and len(endpoints) == 1 and (family == 4 or endpoints[0].ipv6):
                trail = egress(facts, member, family)
                unmasked = trail.diverted if isinstance(trail.diverted, NoMasquerade) else None
                if obstacle := trail.obstacle or unmasked:
                    yield network, obstacle
                break


class Unheard(NamedTuple):
    """What a member of a network sends another of the same in vain."""

    network: Network
    sender: Container
    other: Container
    port: int
    obstacle: Dropped


def among_members(facts: HostFacts) -> Iterator[Unheard]:
    """What rules that are not Docker's stop of the packets that members of a bridge network send one another.

    Each sends to the next, at what that listens to: every member is met in both directions, not every pair, which is left
    to questions.
    """
    if not _others_may_drop(facts):
        return
    for network in facts.snapshot.networks:
        members = [c for c in facts.members(network) if c.state.running] if network.driver == "bridge" else []
        for sender, other in zip(members, [*members[1:], *members[:1]], strict=True):
            for address, port, protocol in _served_at(facts, other, network) if sender is not other else ():
                trail = Trail()
                flow(facts, Sender(container=sender), address, port, protocol, trail)
                if isinstance(trail.obstacle, Dropped) and trail.obstacle.reason == "foreign":
                    yield Unheard(network, sender, other, port, trail.obstacle)


def _others_may_drop(facts: HostFacts) -> bool:
    """True if a rule that is not Docker's may stop anything: most hosts have none."""
    bridges = tuple(facts.bridges)
    rules = (r for s in facts.rulesets or () for t in s.tables for c in t.chains.values() for r in c.rules)
    stopping = (r for r in rules if r.backend == "nft" or r.target.verdict in ("drop", "reject"))
    return any(not is_docker_rule(rule, bridges) for rule in stopping)


def _served_at(facts: HostFacts, container: Container, network: Network) -> Iterator[tuple[str, int, Protocol]]:
    """Where the container listens on the network."""
    listeners = facts.listeners(container) or ()
    endpoint = next(e for e in container.endpoints if facts.network_of(e) is network)
    for address in filter(None, (endpoint.ipv4, endpoint.ipv6)):
        served = {(li.port, li.protocol) for li in listeners if best_listener(listeners, address, li.port, li.protocol)}
        yield from ((address, port, protocol) for port, protocol in sorted(served)[:_PORTS_AT_MOST])


def before_server(facts: HostFacts, container: Container, server: Server) -> tuple[Obstacle, str] | None:
    """What stands between the DNS server and whoever asks it for the container, and what that does to the packet."""
    trail = Trail()
    flow(facts, Sender(container=None if server.by_host else container), server.address, 53, "udp", trail)
    if trail.obstacle is None or not _stands_between(trail.obstacle):
        return None
    return trail.obstacle, trail.predicted.get(trail.hop or "", "")


def _stands_between(obstacle: Obstacle) -> bool:
    """True if it is on the way to another machine, and not at its end."""
    if isinstance(obstacle, NoRoute):
        return obstacle.where != "host"
    return isinstance(obstacle, _ON_THE_WAY)


_ON_THE_WAY = (
    Dropped,
    ForwardingOff,
    NoMasquerade,
    LinkBroken,
    PolicyBlocks,
    RouteElsewhere,
    SubnetOverlaps,
    ReverseFiltered,
    StaleNeighbour,
)


def bridged(facts: HostFacts, bridge: str) -> Decision | None:
    """What drops a packet between two ports of a bridge that iptables is asked about; None where it passes, or is unknown."""
    packet = Packet(
        protocol="tcp",
        source="192.0.2.1",
        destination="192.0.2.2",
        dport=80,
        in_interface=bridge,
        out_interface=bridge,
        bridged=True,
    )
    return _crossing(facts, packet)


def cut_off(facts: HostFacts, bridge: str) -> Decision | None:
    """What drops the packets that guests on a bridge, no containers, send to other machines, though somebody has rules that
    let them pass or hide them: an accept does not outvote another chain. None where they pass, or are not meant to."""
    here = [a for a in facts.stack.addresses if a.link == bridge and a.family == 4] if facts.stack else []
    way = lookup(facts.stack, ANYWHERE[4]) if facts.stack else None
    uplink = way.route.link if way and way.kind == "unicast" and way.route else None
    if uplink is None or uplink == bridge or not here or facts.sysctl("net.ipv4.ip_forward") == "0":
        return None
    own = ip_address(here[0].address)
    if not _is_meant_to_leave(facts, bridge, str(own)):
        return None
    guest = str(own + 1 if int(own) % 256 < 250 else own - 1)
    packet = Packet(protocol="tcp", source=guest, destination=ANYWHERE[4], dport=443, in_interface=bridge, out_interface=uplink)
    return _crossing(facts, packet)


def _is_meant_to_leave(facts: HostFacts, bridge: str, own: str) -> bool:
    """True if a rule, not Docker's, accepts whatever comes from the bridge or hides its subnet behind this host."""
    rules = (r for ruleset in facts.rulesets or () for t in ruleset.tables for c in t.chains.values() for r in c.rules)
    for rule in rules:
        verdict = rule.target.verdict
        if verdict not in ("accept", "masquerade", "snat") or is_docker_rule(rule, tuple(facts.bridges)):
            continue
        inside, outside, sources = (
            {value for term in rule.asks(field) if not term.negated for value in term.values}
            for field in ("inside", "outside", "source")
        )
        if verdict == "accept" and bridge in inside and bridge not in outside and not rule.asks("protocol", "dport", "state"):
            return True
        if verdict != "accept" and any("/" in source and within(own, source) for source in sources):
            return True
    return False


def by_forward_policy(decision: Decision | None) -> tuple[Evidence, ...]:
    """What there is to show of the policy of iptables' FORWARD, where that is what decided; else ()."""
    chain = decision.chain if decision is not None and decision.rule is None else None
    if chain is None or chain.backend == "nft" or chain.name != "FORWARD":
        return ()
    return (
        Evidence(fact="policy of FORWARD", value=chain.policy or "", source="iptables-save"),
        Evidence(fact="packets dropped by it", value=str(chain.packets), source="iptables-save"),
    )


def _crossing(facts: HostFacts, packet: Packet) -> Decision | None:
    way = Route(kind="forward", out_interface=packet.out_interface)
    went = journey(facts.rulesets or (), packet, Context(locality=locality(facts.own_addresses), route=lambda _packet: way))
    return went.decision if went.verdict in ("drop", "reject") else None


def decided_by(decision: Decision) -> str:
    """The rule or policy, for a sentence."""
    return describe_decision(decision)


def in_short(decision: Decision, does: str) -> str:
    """What decided and what it does, for a headline: `a firewall rule drops the packet (DOCKER-USER, rule 1)`."""
    rule, chain = decision.rule, decision.chain
    if rule is not None:
        where = f"{_table(rule.backend, rule.family, rule.table)} {rule.chain}".removeprefix("filter ")
        return f"a firewall rule {does} ({where}, rule {rule.position})"
    if chain is not None and chain.policy:
        where = f"{_table(chain.backend, chain.family, chain.table)} {chain.name}".removeprefix("filter ")
        return f"the firewall's default policy {does} ({where})"
    return f"{decided_by(decision)} {does}"


def rule_name(decision: Decision) -> str:
    """Table, chain and text of what decided: the name of a subject."""
    rule, chain = decision.rule, decision.chain
    if rule is not None:
        return f"{_table(rule.backend, rule.family, rule.table)} {rule.chain}: {wording(rule)}"
    if chain is not None:
        return f"{_table(chain.backend, chain.family, chain.table)} {chain.name}: policy {(chain.policy or '').upper()}"
    return decision.verdict


def by_rule(case: Case, whose: RuleReason) -> Iterator[tuple[HostFacts, str, list[tuple[Path, Dropped]]]]:
    """The drops for one reason, by host and by the rule or policy that decided: its name, and the paths that it stops."""
    stopped: dict[tuple[str, str], list[tuple[Path, Dropped]]] = {}
    for path, obstacle in case.broken_by(Dropped, reasons=(whose,)):
        stopped.setdefault((path.host, rule_name(obstacle.decision)), []).append((path, obstacle))
    for (host, name), found in stopped.items():
        yield case.facts(host), name, found


def by_size(case: Case) -> Iterator[tuple[HostFacts, str, list[tuple[Path, Decision]]]]:
    """What stops packets of full size on paths that can be reached, by host and by the rule or policy: its name, the paths."""
    stopped: dict[tuple[str, str], list[tuple[Path, Decision]]] = {}
    for path in case.paths:
        if path.large is not None:
            stopped.setdefault((path.host, rule_name(path.large)), []).append((path, path.large))
    for (host, name), found in stopped.items():
        yield case.facts(host), name, found


def changes(facts: HostFacts, decisions: Sequence[Decision], *, inside: Container | None = None) -> Iterator[Fix]:
    """Ways to let the packets of all these decisions of one rule or policy pass, the best first.

    Ways of programs that are not here are left out. `inside`: the rule stands in the namespace of this container.
    """
    ways = [[way for way in _ways(facts, decision, inside) if _runs(facts, way)] for decision in decisions]
    for same in zip(*ways, strict=False):
        yield firewall_change(*same, inside=inside)


def _ways(facts: HostFacts, decision: Decision, inside: Container | None) -> list[Way]:
    default, rule, chain, packet = docker_backend(facts), decision.rule, decision.chain, _as_seen(decision)
    rulesets = facts.sandbox_rulesets(inside) if inside else facts.rulesets or ()
    if rule is not None:
        stands = next((c for r in rulesets if (c := _chain_of(r, rule))), chain)
        return undo(rule, packet, chain=stands, default=default)
    if chain is None or packet is None:
        return []
    jumps = USER_CHAIN in jumped_to(chain)
    return undo_policy(chain, packet, docker_user=jumps, default=default)


def _as_seen(decision: Decision) -> Packet | None:
    """The packet of the decision with the interfaces that a rule at its hook may ask for: before routing none to go out by,
    and on the way out, as iptables has it, none that it came in by."""
    packet, chain = decision.packet, decision.chain
    if packet is None or chain is None or chain.family == "bridge":
        return packet
    if chain.hook in ("prerouting", "input", "ingress"):
        return replace(packet, out_interface=None)
    return replace(packet, in_interface=None) if chain.hook in ("output", "postrouting", "egress") else packet


def openings(facts: HostFacts, decision: Decision, inside: Container) -> Iterator[Fix]:
    """In the namespace of a container, ways to let the packet of the decision pass: a rule ahead of the others, the undoing."""
    at, packet = decision.rule or decision.chain, _as_seen(decision)
    if at is not None and packet is not None and (packet.dport or packet.reply):
        yield firewall_change(allow(at, packet, docker_user=False), inside=inside)
    yield from changes(facts, [decision], inside=inside)


def pass_bridge(facts: HostFacts, bridge: str, summary: str, *, among: bool) -> Fix:
    """Let pass what comes from a bridge that is not Docker's, and the answers; `among`: only among its own ports."""
    default = docker_backend(facts)
    here = (r for r in facts.rulesets or () if r.backend == default and r.family == "ip")
    at = next((c for r in here for name in (USER_CHAIN, "FORWARD") if (c := r.chain("filter", name))), None)
    traffic = [Traffic(in_interface=bridge, out_interface=bridge if among else None)]
    traffic += [] if among else [Traffic(out_interface=bridge, answers=True)]
    if at is None:
        return Fix(summary=f"{summary[0].upper()}{summary[1:]}.", runnable=False)
    edits = tuple(acceptance(at, at.name, it, default) for it in traffic)
    return firewall_change(Way(summary=summary, edits=edits, lasts="until-reboot"))


def to_anywhere(decision: Decision, port: int | None = None) -> Decision:
    """The decision on a packet to some other machine, as one on whatever leaves by the same interfaces, to this port."""
    packet = decision.packet
    if packet is None or packet.reply:
        return decision
    anywhere = "::/0" if packet.family == 6 else "0.0.0.0/0"
    return replace(
        decision, packet=replace(packet, destination=anywhere, protocol=packet.protocol if port else "all", dport=port)
    )


class Suspect(NamedTuple):
    """A rule that may stop packets, by what no snapshot holds."""

    name: str  # of the rule, for a subject
    stop: Decision  # what drops or rejects the packet then
    decider: str  # the rule, for a sentence
    mood: str  # what its decision depends on
    itself: bool  # it is what stops the packet, and does not let past it what something else stops


def suspect(path: Path) -> Suspect | None:
    """What may stop a path of which nobody can tell whether it works."""
    found = path.undecided
    if found is None or found.unknown is None or not found.stops:
        return None
    stop, rule = found.stops[0], found.unknown.rule
    by_itself = next((s for s in found.stops if s.rule is rule), None)
    stop = by_itself or stop
    blamed = replace(stop, rule=rule) if rule is not None else stop
    return Suspect(
        rule_name(blamed), stop, decided_by(replace(blamed, unknown=None)), mood(found.unknown), by_itself is not None
    )


def counted(path: Path, decision: Decision) -> int:
    """Packets by which the counter of what decided moved while the path was probed."""
    return moved(path.answers, decision)


def moved(answers: Iterable[Answer], decision: Decision) -> int:
    rule, chain = decision.rule, decision.chain
    name, text = (rule.chain, rule.text) if rule else (chain.name if chain else "", "")
    return sum(m.packets for a in answers for m in a.moved if (m.chain, m.rule) == (name, text))


def decision_evidence(path: Path | None, decision: Decision, packet: str = "") -> Iterator[Evidence]:
    """The rule or policy, its counter, and the packet that it decides on."""
    rule, chain = decision.rule, decision.chain
    backend = rule.backend if rule else chain.backend if chain else ""
    six = (rule.family if rule else chain.family if chain else "") == "ip6"
    source = "nft list ruleset" if backend == "nft" else f"{'ip6tables' if six else 'iptables'}-{backend[9:]}-save"
    yield Evidence(fact="decided by", value=describe_decision(decision), source=source)
    if packet:
        yield Evidence(fact="packet", value=packet, source="evaluated against the rules")
    if path is not None and (packets := counted(path, decision)):
        yield Evidence(fact="its packet counter while probing", value=f"+{packets}", source=source)
    elif rule is not None and rule.packets:
        yield Evidence(fact="its packet counter", value=str(rule.packets), source=source)


def _runs(facts: HostFacts, change: Way) -> bool:
    programs = facts.host.programs if facts.host else {}
    needed = {edit.needs for edit in change.edits} - {""}
    return all(programs.get(program) for program in needed)


def _chain_of(ruleset: Ruleset, rule: Rule) -> Chain | None:
    same = ruleset.backend == rule.backend and (rule.backend == "nft" or ruleset.family == rule.family)
    return ruleset.chain(rule.table, rule.chain, rule.family) if same else None


def _table(backend: str, family: str, table: str) -> str:
    if backend == "nft":
        return f"{family} {table}"
    return " ".join(p for p in ("ip6tables" if family == "ip6" else "", "legacy" if "legacy" in backend else "", table) if p)
