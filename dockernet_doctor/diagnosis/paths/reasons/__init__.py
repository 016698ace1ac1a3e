"""Why a path is broken where it is: one typed reason for each obstacle, decided here and asked for by the checks."""

from __future__ import annotations

from msgspec.structs import replace

from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.path import NothingListens, Obstacle, Path, PublishedElsewhere
from dockernet_doctor.diagnosis.paths.reasons import bound_elsewhere, silent_port


def with_reason(facts: HostFacts, path: Path) -> Path:
    """The path with the reason of its obstacle; `facts` are those of its host."""
    obstacle = path.obstacle
    if isinstance(obstacle, NothingListens):
        return _altered(path, replace(obstacle, reason=silent_port.reason_of(facts, path, obstacle)))
    if isinstance(obstacle, PublishedElsewhere):
        return _altered(path, replace(obstacle, reason=bound_elsewhere.reason_of(facts, obstacle)))
    return path


def settled(paths: tuple[Path, ...]) -> tuple[Path, ...]:
    """The paths; those that were predicted to find nobody at a port that answered another path came too early to see it."""
    if not any(isinstance(path.obstacle, NothingListens) for path in paths):
        return paths
    answered = {
        (path.host, path.target.id, path.container_port, path.destination.protocol)
        for path in paths
        if path.basis == "probed" and path.verdict == "reachable" and path.target and not _is_ipv6(path.destination.address)
    }

    def settle(path: Path) -> Path:
        obstacle = path.obstacle
        if not isinstance(obstacle, NothingListens) or path.basis != "predicted" or _is_ipv6(obstacle.address):
            return path
        container = silent_port.container_of(path, obstacle)
        if container is None or (path.host, container.id, obstacle.port, obstacle.protocol) not in answered:
            return path
        return _altered(path, replace(obstacle, reason="came-up"))

    return tuple(settle(path) for path in paths)


def _is_ipv6(address: str | None) -> bool:
    return ":" in (address or "")


def _altered(path: Path, obstacle: Obstacle) -> Path:
    hops = tuple(replace(hop, obstacle=obstacle) if hop.status == "broken" else hop for hop in path.hops)
    return replace(path, hops=hops)
