"""What was seen of a host, and what of it a hop of a path rests on (design: "clear only where all of them were seen").

Areas are those of `snapshot.model.AREAS`. That one was not seen is told by the snapshot itself, where what it would hold is
missing, and by its blind spots.
"""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.diagnosis.facts.host import HostFacts, not_understood, rulesets, rulesets_beside_dns
from dockernet_doctor.once import once_for_each
from dockernet_doctor.snapshot.model import AREAS, BlindSpot, Container, Snapshot


def spanned(area: str) -> frozenset[str]:
    """The areas that a blind spot's word stands for: itself, or all of `host`, `sandbox`, `daemon`; else nothing."""
    return frozenset(a for a in AREAS if a == area or a.startswith(f"{area}.") or area == _ALSO.get(a))


_ALSO = {"firewall": "host", "log": "daemon"}


def unseen(facts: HostFacts, container: Container | None = None) -> frozenset[str]:
    """The areas that could not be seen: of the host, or of one of its containers (its `sandbox` areas)."""
    found = _unseen(facts.snapshot)
    return found.get(container.name, frozenset()) if container else found[""]


def unseen_anywhere(facts: HostFacts) -> frozenset[str]:
    """The areas of which something could not be seen, be it of one container only."""
    return _unseen_anywhere(facts.snapshot)


def rests_on(facts: HostFacts, hop: str, end: Container | None) -> Iterator[str]:
    """The areas that were not seen, of those that a hop rests on at one of its ends: a container, or the host or a machine
    beyond it (None)."""
    yield from unseen(facts).intersection(_OF_HOST.get(hop, ()))
    if end is None or facts.in_host_mode(end):
        yield from unseen(facts).intersection(_OF_PROCESS.get(hop, ()))
    else:
        yield from unseen(facts, end).intersection(_OF_CONTAINER.get(hop, ()))


_OF_HOST = {
    "target": ("engine",),
    "network": ("engine",),
    "publish": ("engine",),
    "link": ("host.network",),
    "route": ("host.network",),
    "filter": ("host.network", "firewall"),
    "mapping": ("host.network", "firewall", "host.sockets"),
}
_OF_CONTAINER = {
    "name": ("sandbox.files",),
    "link": ("sandbox.network",),
    "route": ("sandbox.network",),
    "filter": ("sandbox.firewall",),
    "listener": ("sandbox.network",),
}
_OF_PROCESS = {"name": ("host.resolver",), "listener": ("host.sockets",)}


@once_for_each
def _unseen_anywhere(snapshot: Snapshot) -> frozenset[str]:
    """Every path asks for it, and mostly there is nothing."""
    return frozenset().union(*_unseen(snapshot).values())


@once_for_each
def _unseen(snapshot: Snapshot) -> dict[str, frozenset[str]]:
    """By the container's name, "" for the host."""
    areas: dict[str, set[str]] = {"": set(_missing_of_host(snapshot))}
    for container in snapshot.containers:
        areas[container.name] = set(_missing_of_sandbox(container))
    for spot in snapshot.blind_spots:
        for name, area in () if spot.gone else _hidden_by(spot, snapshot):
            areas.setdefault(name, set()).add(area)
    return {name: frozenset(found) for name, found in areas.items()}


def _missing_of_host(snapshot: Snapshot) -> Iterator[str]:
    if snapshot.engine is None:
        yield "engine"
    if snapshot.host is None:
        yield from spanned("host")
    else:
        stack = snapshot.host.stack
        yield from ("firewall",) if stack.firewall is None or not_understood(rulesets(stack)) else ()
        yield from ("host.sockets",) if stack.listeners is None else ()
        yield from ("host.resolver",) if snapshot.host.resolv_conf is None else ()
    if not snapshot.daemon.readable:
        yield from spanned("daemon")


def _missing_of_sandbox(container: Container) -> Iterator[str]:
    sandbox = container.sandbox
    if not container.state.running:
        return
    if sandbox is None:
        yield from spanned("sandbox")
        return
    if container.network_mode != "host":
        stack = sandbox.stack
        unread = stack.firewall is None or not_understood(rulesets_beside_dns(stack))
        yield from ("sandbox.firewall",) if unread else ()
        yield from ("sandbox.network",) if sandbox.stack.listeners is None else ()
    yield from ("sandbox.files",) if sandbox.resolv_conf is None or sandbox.hosts is None else ()


def _hidden_by(spot: BlindSpot, snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    for area in spanned(spot.area):
        of_containers = area.startswith("sandbox.")
        names = spot.containers or (tuple(c.name for c in snapshot.containers if c.state.running) if of_containers else ("",))
        yield from ((name, area) for name in names)
