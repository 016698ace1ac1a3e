"""By a name as the source would type it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Literal

from msgspec.structs import replace

from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.facts.listeners import best_listener
from dockernet_doctor.diagnosis.path import NameMisleads, NameUnanswered, NoEgress, NotRunning
from dockernet_doctor.diagnosis.paths.destination.model import Dial
from dockernet_doctor.diagnosis.paths.destination.target import no_answer_read, no_port, ports_of, running_text
from dockernet_doctor.diagnosis.paths.names import EMBEDDED, Resolution, meant, resolve
from dockernet_doctor.diagnosis.question import Target
from dockernet_doctor.notation import is_loopback
from dockernet_doctor.probe.model import Answer, is_lost
from dockernet_doctor.snapshot.model import Container


def by_name(case: Case, base: Dial, facts: HostFacts, source: Container, target: Target) -> Iterator[Dial]:
    """A name as the source would type it."""
    found = resolve(case, facts, source, target.name)
    intended = meant(facts, target.name, source)
    named = replace(base, probes=found.probes, target=intended)
    if found.addresses:
        text = f"{target.name} → {', '.join(found.addresses)} ({_said_by(found)})"
        if case.repetitions > 1 and (lost := _samples_lost(found.answers)):
            said = {"name": f"{len(lost)} of {len(found.answers)} questions for {target.name} got no answer at once"}
            result = "timeout" if lost[0].positive else lost[0].result
            yield replace(named, hop="name", obstacle=unanswered(found, result, intended), predicted=said)
        for address in _own_addresses(facts, source, target, found.addresses):
            yield from _resolved(named, facts, source, target, found, address, text, intended)
        return
    down = intended is not None and not intended.state.running and _would_resolve(facts, source, intended)
    if intended is not None and down:
        yield replace(
            named,
            hop="target",
            obstacle=NotRunning(container=intended, proven=True),
            predicted={"target": f"{intended.name} is {intended.state.status}"},
        )
        return
    if not found.known and not found.result:
        networks = facts.networks_of(source)
        if found.by == "embedded" and "." in target.name and networks and all(n.internal for n in networks):
            yield replace(
                named,
                hop="name",
                obstacle=NoEgress(container=source, networks=networks),
                predicted={"name": f"{target.name} is none of Docker's, and {source.name} is on internal networks only"},
            )
            return
        yield replace(named, unknown=("name", no_answer_read(facts, target.name)))
        return
    said = {"name": unresolved_text(found, target.name)}
    yield replace(named, hop="name", obstacle=unanswered(found, found.result, intended), predicted=said)


def _own_addresses(facts: HostFacts, source: Container, target: Target, addresses: tuple[str, ...]) -> tuple[str, ...]:
    """The address of `localhost` that answers: clients try the other when one is refused. Others as they are."""
    if not all(is_loopback(address) for address in addresses):
        return addresses
    stack = facts.stack_of(source)
    listeners = stack.listeners if stack else None
    served = [a for a in addresses if target.port and best_listener(listeners, a, target.port, target.protocol)]
    return tuple(served[:1]) or addresses[:1]


def _resolved(
    base: Dial,
    facts: HostFacts,
    source: Container,
    target: Target,
    found: Resolution,
    address: str,
    text: str,
    intended: Container | None,
) -> Iterator[Dial]:
    holder = facts.holder(address)
    reached = holder[0] if holder else None
    if misled := _misled(facts, source, target, found, address, intended):
        if intended is not None and not intended.state.running and reached is None and not intended.auto_remove:
            state = {"target": f"{intended.name} is {intended.state.status}"}
            yield replace(base, hop="target", obstacle=NotRunning(container=intended, proven=True), predicted=state)
            return
        yield replace(base, address=address, port=target.port, hop="name", obstacle=misled, predicted={"name": text})
        return
    more = replace(base, target=reached or (intended if _own(source, address) else None))
    for port in ports_of(facts, reached or (source if _own(source, address) else None), target):
        yield replace(
            more,
            address=address,
            port=port,
            container_port=port,
            endpoint=holder[1] if holder else None,
            predicted={"name": text, **running_text(reached)},
            not_applicable=frozenset({"publish"}),
            unknown=None if port else no_port(reached),
        )


def _misled(
    facts: HostFacts, source: Container, target: Target, found: Resolution, address: str, intended: Container | None
) -> NameMisleads | None:
    """An entry of the hosts file that is out of date, or a foreign address for the name of a container."""
    holder = facts.holder(address)
    reached = holder[0] if holder else None
    misleads = partial(NameMisleads, name=target.name, address=address, holder=reached, meant=intended)
    itself = is_loopback(address) or _own(source, address)
    if found.by == "hosts" and itself and _hides(facts, source, target, intended):
        return misleads(by="hosts", proven=True)
    if found.by == "literal" or _own(source, address) or facts.is_own(address):
        return None
    network = facts.network_containing(address)
    if found.by == "hosts":
        if network is None:  # meant so, as long as it answers
            hidden = intended is not None and intended.state.running and facts.common_networks(source, intended)
            return misleads(by="hosts") if hidden else None
        if address in {s.gateway for s in network.subnets}:
            return None
        owner = facts.namespace_owner(intended) if intended else None
        right = reached is not None and (intended is None or reached is owner)
        return None if right or facts.held_elsewhere(network, address) else misleads(by="hosts", proven=True)
    foreign = holder is None and network is None and intended is not None and "." not in target.name
    if foreign and intended is not None and intended.network_mode != "host" and not intended.swarm:
        return misleads(by="upstream")
    return None


def _hides(facts: HostFacts, source: Container, target: Target, intended: Container | None) -> bool:
    """True if a name for the source itself is that of a running neighbour, and nothing in the source stands in for it."""
    if intended is None or not intended.state.running or not facts.common_networks(source, intended):
        return False
    listeners = facts.listeners(source)
    elsewhere = facts.namespace_owner(intended) is not facts.namespace_owner(source)
    return elsewhere and listeners is not None and not any(li.port == target.port for li in listeners)


def unanswered(found: Resolution, result: str, meant: Container | None) -> NameUnanswered:
    resolver: Literal["none", "embedded", "upstream"] = found.by if found.by == "none" or found.by == "embedded" else "upstream"
    return NameUnanswered(
        name=found.name,
        resolver=resolver,
        result=result,
        servers=found.servers,
        meant=meant,
        refused_by=found.refused_by,
        stopped=found.stopped,
        proven=bool(result),
    )


def _samples_lost(answers: tuple[Answer, ...]) -> list[Answer]:
    """Samples without an answer, or with one to a second question; a server may think long before its first."""
    quick, lost = False, []
    for answer in answers:
        if not is_lost(answer):
            quick = quick or answer.positive
        elif quick or not answer.positive:
            lost.append(answer)
    return lost


def _would_resolve(facts: HostFacts, source: Container, target: Container) -> bool:
    """True if the name would mean the container if it ran: they share a network, or it is named outright."""
    return bool(facts.common_networks(source, target)) or not target.endpoints


def _own(source: Container, address: str) -> bool:
    return is_loopback(address) or any(address in (e.ipv4, e.ipv6) for e in source.endpoints)


def _said_by(found: Resolution) -> str:
    where = {"hosts": "/etc/hosts", "embedded": _engines_dns(found), "literal": "as written"}
    return where.get(found.by, ", ".join(found.servers) or "no server")


def _engines_dns(found: Resolution) -> str:
    return "Docker's DNS" if not found.servers or found.servers[0] == EMBEDDED else "Podman's DNS"


def unresolved_text(found: Resolution, name: str) -> str:
    if found.by == "none":
        return f"no name server to ask for {name}"
    if found.refused_by:
        return f"{name} has an A record, and asked for {found.refused_by} {_said_by(found)} fails: musl then has no address"
    if found.stopped:
        return f"{_said_by(found)} fails for {found.stopped}, and musl asks no further"
    if found.result not in ("", "nxdomain"):
        return f"{_said_by(found)} is asked for {name}"
    if found.by == "embedded":
        return f"{_engines_dns(found)} knows no {name} here"
    asked = found.servers[:1] if found.in_turn else found.servers
    return f"{', '.join(asked)} knows no container names"
