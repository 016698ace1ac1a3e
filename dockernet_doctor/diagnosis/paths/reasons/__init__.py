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
    """The paths; of those that found nobody at a port, which are told from another that was answered there since."""
    silent = [path for path in paths if isinstance(path.obstacle, NothingListens)]
    if not silent:
        return paths
    answered = {where for path in paths if path.basis == "probed" and path.verdict == "reachable" and (where := _where(path))}

    def settle(path: Path) -> Path:
        obstacle = path.obstacle
        late = isinstance(obstacle, NothingListens) and path.basis == "predicted" and _where(path) in answered
        return _altered(path, replace(obstacle, reason="came-up")) if late and obstacle is not None else path

    return tuple(settle(path) for path in paths)


def _where(path: Path) -> tuple[str, str, int | None, str] | None:
    """The container's port by IPv4."""
    obstacle = path.obstacle
    container = silent_port.container_of(path, obstacle) if isinstance(obstacle, NothingListens) else path.target
    port = obstacle.port if isinstance(obstacle, NothingListens) else path.container_port
    address = obstacle.address if isinstance(obstacle, NothingListens) else path.destination.address
    if container is None or ":" in (address or ""):
        return None
    return path.host, container.id, port, path.destination.protocol


def _altered(path: Path, obstacle: Obstacle) -> Path:
    hops = tuple(replace(hop, obstacle=obstacle) if hop.status == "broken" else hop for hop in path.hops)
    return replace(path, hops=hops)
