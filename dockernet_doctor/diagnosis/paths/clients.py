"""Other machines than the one that stands for `outside`: whom this host lets in, and whom it cuts off.

`outside` is walked for a machine that may well be there (flow.sender). Rules tell machines apart by where they are, and so
does rp_filter: the way is walked again from an address of each source that a rule names, and from one that none names.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from msgspec.structs import replace

from dockernet_doctor.diagnosis.facts.clients import ClientClass, client_classes, dead_ends
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.facts.routing import ANYWHERE, is_tunnel
from dockernet_doctor.diagnosis.path import (
    Clients,
    Dropped,
    NextHopSilent,
    NoRoute,
    Path,
    PolicyBlocks,
    ReverseFiltered,
    RouteElsewhere,
)
from dockernet_doctor.diagnosis.paths.packet import flow
from dockernet_doctor.diagnosis.paths.packet.trail import Sender, Trail
from dockernet_doctor.netfilter.model import Decision, Ruleset
from dockernet_doctor.netfilter.records import element_part
from dockernet_doctor.once import once_for_each
from dockernet_doctor.snapshot.model import Family, Protocol

MOST, OF_A_SET, SHOWN = 16, 4, 3
"""How many sources are tried, how many of one set, and of how many it is said what decides."""
LISTED = 16
"""Classes of clients of one dial that are listed; the others are counted."""
STRANGERS = "machines that no rule names"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def together(found: list[tuple[tuple[Clients, ...], Path]]) -> list[Path]:
    """Joins paths of one dial whose clients meet the same hops, the broken first; each names its own clients."""
    alike: dict[object, list[tuple[tuple[Clients, ...], Path]]] = {}
    for clients, path in found:
        alike.setdefault(_fate(path), []).append((clients, path))
    ordered = sorted(alike.values(), key=lambda same: same[0][1].broken is None)
    paths, left = [], LISTED
    for same in ordered:
        clients = tuple(dict.fromkeys(c for some, _ in same for c in some))
        listed, left = clients[: max(left, 1)], left - len(clients)
        path = replace(same[0][1], clients=listed, unlisted=len(clients) - len(listed))
        paths.append(replace(path, asker=_listed([str(c) for c in listed])) if len(ordered) > 1 and listed else path)
    return paths


def admitted_classes(facts: HostFacts, path: Path) -> Iterator[ClientClass]:
    """Whom the rules let in that drop what the others send: as classes amid those of the routes."""
    obstacle, address = path.obstacle, path.destination.address
    if not isinstance(obstacle, Dropped) or not address:
        return
    family: Family = 6 if ":" in address else 4
    for text, client in _sources(facts, family):
        if text not in obstacle.admitted or text == STRANGERS:
            continue
        net = next(_parsed(text))
        around = [
            (ipaddress.ip_network(prefix).prefixlen, some)
            for some in client_classes(facts, family)
            for prefix in some.clients.prefixes
            if net.network_address in ipaddress.ip_network(prefix)
        ]
        if around:
            amid = max(around, key=lambda entry: entry[0])[1]
            yield replace(amid, address=client, clients=replace(amid.clients, prefixes=(str(net),)))


def is_by_design(facts: HostFacts, path: Path, some: ClientClass) -> bool:
    """True if these clients are cut off by a list of sources, which the way of the others tells of; or may not be there at
    all: a default route alone speaks of them, and a rule for what containers send, or the host itself, has another way."""
    obstacle = path.obstacle
    if isinstance(obstacle, Dropped):
        rules = obstacle.decision.trace or ((obstacle.decision.rule,) if obstacle.decision.rule else ())
        return any(rule.asks("source") for rule in rules) or bool(obstacle.admitted)
    if not isinstance(obstacle, RouteElsewhere) or not obstacle.reply or some.is_named:
        return False
    rule = obstacle.rule
    if (
        rule is not None
        and not (rule.source or rule.in_interface)
        and facts.machine
        and is_tunnel(facts.machine, obstacle.taken)
    ):
        return False  # whoever leads all traffic into a VPN cuts off those who come in by the wire
    return obstacle.where != "host" or rule is not None or some.answered_by != some.clients.interface


def _fate(path: Path) -> object:
    """What tells the hops of one class from those of another: where it breaks, and at what."""
    broken = path.broken
    if broken is None or broken.obstacle is None:
        return path.verdict, tuple(hop.status for hop in path.hops)
    obstacle = broken.obstacle
    if isinstance(obstacle, Dropped):
        return broken.hop, id(obstacle.decision.rule or obstacle.decision.chain), obstacle.direction, obstacle.where
    if isinstance(obstacle, ReverseFiltered):
        return broken.hop, obstacle.interface, obstacle.answered_by, obstacle.reply
    if isinstance(obstacle, RouteElsewhere):
        return broken.hop, obstacle.where, obstacle.taken, obstacle.rule
    if isinstance(obstacle, NextHopSilent):
        return broken.hop, obstacle.address
    if isinstance(obstacle, NoRoute):
        return broken.hop, obstacle.where, obstacle.kind
    return broken.hop, type(obstacle)


def tell_apart(facts: HostFacts, address: str, port: int, protocol: Protocol, trail: Trail) -> None:
    """Tell in the trail which machines' packets do not pass this way, or, where it ends at a rule, note in the obstacle whose
    packets the rules let in."""
    own = trail.obstacle
    if own is not None and not isinstance(own, Dropped):
        return
    admitted: list[str] = []
    cut: dict[tuple[str, str], list[str]] = {}
    for source, client in _sources(facts, 6 if ":" in address else 4):
        other = Trail()
        flow(facts, Sender(outside=True, address=client), address, port, protocol, other)
        if other.hop and isinstance(other.obstacle, (Dropped, PolicyBlocks, ReverseFiltered, NoRoute, RouteElsewhere)):
            cut.setdefault((other.hop, other.predicted[other.hop]), []).append(source)
        elif other.obstacle is None and other.undecided is None:
            admitted.append(source)
    if isinstance(own, Dropped):
        trail.obstacle = replace(own, admitted=tuple(admitted))
        return
    ordered = sorted(cut.items(), key=lambda item: STRANGERS not in item[1])
    for (hop, text), sources in ordered[:SHOWN]:
        trail.say(hop, f"not for {_listed(sources)}: {text}")
    if more := sum(len(sources) for _, sources in ordered[SHOWN:]):
        trail.say("filter", f"nor for {more} more that rules name")


def is_named(decision: Decision) -> bool:
    """True if the packet was dropped for where it comes from, and not because it is on no list of those let in."""
    rules = decision.trace or ((decision.rule,) if decision.rule else ())
    return any(not term.negated for rule in rules for term in rule.asks("source"))


def _listed(sources: list[str]) -> str:
    more = f" and {len(sources) - SHOWN} more" if len(sources) > SHOWN else ""
    return ", ".join(sources[:SHOWN]) + more


@lru_cache(maxsize=16)
def _sources(facts: HostFacts, family: int) -> tuple[tuple[str, str], ...]:
    """What rules name, and an address of it that may be another machine's; at last an address that none of them names."""
    named = [(text, networks) for text, networks in _named(facts).items() if networks[0].version == family]
    found: dict[str, str] = {}
    for text, (network, *_) in named:
        some = (str(network[number]) for number in range(min(4, network.num_addresses)) if number or network.num_addresses <= 2)
        client = next((a for a in some if not facts.is_own(a) and facts.network_containing(a) is None), None)
        if client is not None and len(found) < MOST:
            found[text] = client
    stranger = ANYWHERE[family]
    if not any(ipaddress.ip_address(stranger) in network for _, networks in named for network in networks):
        found[STRANGERS] = stranger
    return tuple(found.items())


@once_for_each
def _named(facts: HostFacts) -> dict[str, list[Network]]:
    """The machines that rules of this host and inside its containers name, policy rules, or routes that lead nowhere, as they
    are written.

    Those of everybody and of the host itself are left out.
    """
    found: dict[str, list[Network]] = {}
    for route in dead_ends(facts.machine) if facts.machine else ():
        net = ipaddress.ip_network(route.destination)
        if net.prefixlen:
            found[route.destination.removesuffix("/32").removesuffix("/128")] = [net]
    inside = (ruleset for container in facts.running for ruleset in facts.sandbox_rulesets(container) or ())
    ruled = (
        text for rule in (facts.machine.rules if facts.machine else ()) for text in (rule.source, rule.destination) if text
    )
    blocked = (text for p in (facts.machine.ipsec if facts.machine else ()) if p.blocks for text in (p.source, p.destination))
    for texts in (*(_texts(facts, ruleset) for ruleset in (*(facts.rulesets or ()), *inside)), ruled, blocked):
        for text in texts:
            networks = list(_parsed(text))
            if any(n.prefixlen and not n.is_loopback and not n.is_multicast for n in networks):
                found.setdefault(text.removesuffix("/32").removesuffix("/128"), networks)
    return found


def _parsed(text: str) -> Iterator[Network]:
    first, dash, last = text.partition("-")
    try:
        if dash:
            ends: tuple[Any, Any] = ipaddress.ip_address(first), ipaddress.ip_address(last)
            yield from ipaddress.summarize_address_range(*ends)
        else:
            yield ipaddress.ip_network(text, strict=False)
    except (ValueError, TypeError):
        return  # a set of something else, or one that packets fill


def _texts(facts: HostFacts, ruleset: Ruleset) -> Iterator[str]:
    for table in ruleset.tables:
        for rule in (rule for chain in table.chains.values() for rule in chain.rules):
            for term in rule.asks("source", "destination"):
                if not term.set_name:
                    yield from term.values
                elif found := (table.sets if rule.backend == "nft" else facts.ipsets).get(term.set_name):
                    yield from (element_part(element, term.part) for element in found.elements[:OF_A_SET])
