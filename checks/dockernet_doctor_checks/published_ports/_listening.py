"""The paths that ended in a container at a port without a listener, and what their checks say alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from dockernet_doctor.plugin import (
    Case,
    HostFacts,
    Path,
    listed,
    model,
    obstacles,
    silent_port,
)


class Ending(Struct, frozen=True):
    """A path that ended in a container at a port without a listener."""

    facts: HostFacts
    path: Path
    container: model.Container
    port: int  # of the container
    protocol: model.Protocol
    address: str
    published: model.PublishedPort | None
    elsewhere: tuple[model.Listener, ...]  # same port, another address
    others: tuple[model.Listener, ...]  # other ports
    offered: tuple[int, ...]  # other ports of the protocol that can be reached


def endings(case: Case, *reasons: obstacles.PortReason) -> Iterator[Ending]:
    """The paths that ended so, for one of these reasons."""
    for path, obstacle in case.broken_by(obstacles.NothingListens, reasons=reasons):
        container = silent_port.container_of(path, obstacle)
        if container is not None:
            yield Ending(
                facts=case.facts(path.host),
                path=path,
                container=container,
                port=obstacle.port,
                protocol=obstacle.protocol,
                address=obstacle.address,
                published=path.published or obstacle.published,
                elsewhere=obstacle.elsewhere,
                others=silent_port.others_of(path, obstacle),
                offered=silent_port.offered_by(path, obstacle),
            )


def best_port(ending: Ending) -> int:
    """The one of the ports offered that was most likely meant."""
    published = ending.published
    taken = {p.port for p in ending.container.ports}
    host = published.host_port if published else ending.port
    return min(
        ending.offered,
        key=lambda port: (port in taken, port != host, not str(host).endswith(str(port)), port),
    )


def bindings_of(container: model.Container, published: model.PublishedPort) -> list[model.PortBinding]:
    """What was asked for that became this published port (and its twins on other addresses)."""
    same = [b for b in container.bindings if b.port == published.port and b.protocol == published.protocol]
    exact = [b for b in same if b.host_port in (str(published.host_port), "") or "-" in b.host_port]
    return exact or same


def listening_text(ports: Iterable[int]) -> str:
    """`80`, `80 and 443`, `80, 443 and 8443`"""
    return listed(ports) or "no port"


def at(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def free_port(facts: HostFacts, wanted: int, protocol: str) -> int:
    """A host port from `wanted` on that nothing holds and no container asks for."""
    listeners = (facts.stack.listeners if facts.stack else None) or ()
    taken = {li.port for li in listeners if li.protocol == protocol}
    taken |= {p.host_port for c in facts.containers for p in c.ports}
    taken |= {int(b.host_port) for c in facts.containers for b in c.bindings if b.host_port.isdecimal()}
    return next((port for port in range(wanted, 65536) if port not in taken), wanted)
