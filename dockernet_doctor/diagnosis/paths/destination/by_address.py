"""By an address: of this host and one of its ports, of a container, or of neither."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from msgspec.structs import replace

from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.facts.listeners import best_listener, binds, mapping_text
from dockernet_doctor.diagnosis.path import PublishedElsewhere
from dockernet_doctor.diagnosis.paths.destination.model import Dial
from dockernet_doctor.diagnosis.paths.destination.published import Way, unpublished
from dockernet_doctor.diagnosis.paths.destination.target import ports_of, running_text, stopped_before
from dockernet_doctor.diagnosis.question import Target
from dockernet_doctor.notation import UNSPECIFIED, is_loopback
from dockernet_doctor.snapshot.model import Container, Protocol


def ports_of_host(
    base: Dial, facts: HostFacts, target: Target, address: str | None, *, outside: bool = False
) -> Iterator[Dial]:
    more = replace(base, not_applicable=frozenset({"target", "name", "network"}))
    if address is None or target.port is None:
        why = "the host's addresses could not be read" if address is None else "say which port of the host"
        yield replace(more, unknown=("listener", why))
        return
    yield from to_address(base, facts, target, address, outside=outside)


def to_address(base: Dial, facts: HostFacts, target: Target, address: str, *, outside: bool = False) -> Iterator[Dial]:
    address = _meant(facts, address, outside=outside)
    holder = facts.holder(address)
    container = holder[0] if holder else None
    skipped = frozenset({"name"} if container else {"target", "name"})
    more = replace(base, target=container, not_applicable=skipped)
    own = facts.is_own(address) or address in facts.asked_addresses
    if holder is None and not own and (stopped := _reserved(base, facts, address)):
        yield stopped
        return
    if outside and holder is None and facts.stack is not None and not own:
        yield replace(more, unknown=("route", f"{address} is no address of {facts.here}"))
        return
    if own and target.port and (elsewhere := _bound_elsewhere(facts, address, target.port, target.protocol)):
        yield replace(
            more,
            target=elsewhere.container,
            address=address,
            port=target.port,
            hop="publish",
            published=elsewhere.published[0],
            obstacle=elsewhere,
            predicted={"publish": ", ".join(mapping_text(p) for p in elsewhere.published)},
        )
        return
    if own and target.port and (wanted := _wanted_here(more, facts, address, target.port, target.protocol)):
        yield wanted
        return
    if outside and own and is_loopback(address):
        yield replace(more, unknown=("route", f"{address} is the other machine itself"))
        return
    more = replace(more, note=_wanted_by_other(facts, target) if own and target.port else "")
    for port in [target.port] if target.port else ports_of(facts, container, target):
        yield replace(
            more,
            address=address,
            port=port,
            container_port=port if container else None,
            endpoint=holder[1] if holder else None,
            network=facts.network_of(holder[1]) if holder else None,
            predicted=running_text(container),
            unknown=None if port else ("listener", "say which port"),
        )


def _meant(facts: HostFacts, address: str, *, outside: bool) -> str:
    """`0.0.0.0:8080`, as `docker ps` lists a port: who dials it means itself; of other machines, whichever this host has."""
    if address not in UNSPECIFIED:
        return address
    six = address == "::"
    ours = facts.uplink_addresses if outside else ("::1" if six else "127.0.0.1",)
    return next((a for a in ours if (":" in a) is six), address)


def _reserved(base: Dial, facts: HostFacts, address: str) -> Dial | None:
    """The address is that of a container that does not run: it was given by `--ip`, and comes back with it."""
    for container in facts.reserving(address):
        if not container.state.running and not facts.set_aside(container):
            return stopped_before(replace(base, target=container, not_applicable=frozenset({"name"})), container)
    return None


def _bound_elsewhere(facts: HostFacts, address: str, port: int, protocol: Protocol) -> PublishedElsewhere | None:
    """The port is published on other addresses of this host only, and nothing else listens at this one."""
    mappings = facts.published_on(port, protocol)
    here = [(c, p) for c, p in mappings if binds(p.host_ip, address)]
    if here and facts.stack is not None and not facts.is_own(address):
        mappings = here  # the address has left this host
    elif here or not mappings:
        return None
    listeners = facts.machine.listeners if facts.machine else None
    if best_listener(listeners, address, port, protocol):
        return None
    return PublishedElsewhere(container=mappings[0][0], published=tuple(p for _c, p in mappings), dialled=address, proven=True)


def _wanted_here(base: Dial, facts: HostFacts, address: str, port: int, protocol: Protocol) -> Dial | None:
    """Nobody is at this port of the host, and a container was to be: it does not run, or in vain, or for the other protocol."""
    listeners = facts.machine.listeners if facts.machine else None
    if listeners is None or best_listener(listeners, address, port, protocol):
        return None
    if facts.published_on(port, protocol):
        return None
    for container, binding in sorted(facts.asking_for(port, protocol), key=lambda asked: not asked[0].state.running):
        if facts.set_aside(container) or not (binds(binding.host_ip, address) or not facts.is_own(binding.host_ip)):
            continue
        named = _named(base, container, address, port)
        if stopped := stopped_before(named, container):
            return stopped
        if container.network_mode == "host":
            return replace(named, container_port=port)
        return unpublished(
            replace(named, container_port=binding.port),
            container,
            container,
            Way(port=binding.port, protocol=protocol),
            in_vain=True,
        )
    for other in get_args(Protocol):
        for container, mapping in facts.published_on(port, other):
            named = replace(_named(base, container, address, port), container_port=mapping.port)
            return unpublished(named, container, container, Way(port=mapping.port, protocol=protocol), in_vain=False)
    return None


def _named(base: Dial, container: Container, address: str, port: int) -> Dial:
    note = f"{port} is the host port that {container.name} asks for"
    return replace(base, target=container, address=address, port=port, not_applicable=frozenset({"name"}), note=note)


def _wanted_by_other(facts: HostFacts, target: Target) -> str:
    """What to add where something else answers at a host port than the container that was to be published there."""
    wanting = [
        container.name
        for container, _ in facts.asking_for(target.port or 0, target.protocol)
        if not container.state.running and not facts.set_aside(container)
    ]
    if not wanting or facts.published_on(target.port or 0, target.protocol):
        return ""
    return f"whatever answers at port {target.port} is not {wanting[0]}, which asks for it and does not run"
