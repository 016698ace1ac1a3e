"""Where a packet ended and nobody listened: what that means, decided once for the checks that share the obstacle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from msgspec import Struct

from dockernet_doctor.plugin import Case, HostFacts, Path, model, neighbours, obstacles

Meaning = Literal[
    "loopback",  # the service listens on loopback only
    "ipv4-only",  # dialled by IPv6, and the service listens on 0.0.0.0
    "other-address",  # the service listens on another address of the container
    "other-protocol",  # the port has a listener of the other protocol
    "host-mode",  # a host port asked for with `-p`, which mode host ignores
    "swapped",  # host and container port the wrong way round
    "other-port",  # the container listens on other ports
    "unused",  # it listens on other ports, all of them published: this mapping is one too many, or its service is down
    "nothing",  # the container listens on nothing that can be reached
]


class Ending(Struct, frozen=True):
    """A path that ended in a container at a port without a listener."""

    facts: HostFacts
    path: Path
    container: model.Container
    meaning: Meaning
    port: int  # of the container
    protocol: model.Protocol
    address: str
    published: model.PublishedPort | None
    elsewhere: tuple[model.Listener, ...]  # same port, another address
    others: tuple[model.Listener, ...]  # other ports
    offered: tuple[int, ...]  # other ports of the protocol that can be reached


def endings(case: Case, *meanings: Meaning) -> Iterator[Ending]:
    """The paths that ended so, each with one of these meanings."""
    ended = list(case.broken_by(obstacles.NothingListens))
    answered = {
        (path.host, path.target.id, path.container_port, path.destination.protocol)
        for path in (case.paths if ended else ())
        if path.target
        and path.basis == "probed"
        and path.verdict == "reachable"
        and ":" not in (path.destination.address or "")
    }
    for path, obstacle in ended:
        container = container_of(path, obstacle)
        facts = case.facts(path.host)
        if container is None or neighbours.meant_for_another(facts, path):
            continue
        if facts.keeps_ending(container) and not (obstacle.elsewhere or obstacle.others):
            continue  # container-not-running
        here = (path.host, container.id, obstacle.port, obstacle.protocol)
        if path.basis == "predicted" and here in answered and ":" not in obstacle.address:
            continue  # it came up after the sockets were read
        ending = _ending(facts, path, obstacle, container)
        if ending.meaning in meanings:
            yield ending


def container_of(path: Path, obstacle: obstacles.NothingListens) -> model.Container | None:
    """The container where it ended; in mode host that is the host itself."""
    if obstacle.container is not None:
        return obstacle.container
    return path.target if path.target is not None and path.target.network_mode == "host" else None


def _ending(facts: HostFacts, path: Path, obstacle: obstacles.NothingListens, container: model.Container) -> Ending:
    others = obstacle.others
    if obstacle.container is None:  # the host's own listeners are not the container's
        others = tuple(li for li in others if li.process and li.process.container == container.id)
    offered = tuple(
        sorted(
            {
                li.port
                for li in others
                if li.protocol == obstacle.protocol
                and li.port != obstacle.port
                and not neighbours.is_loopback(li.address)
                and not _transient(li)
            }
        )
    )
    published = path.published or obstacle.published
    return Ending(
        facts=facts,
        path=path,
        container=container,
        meaning=_meaning(obstacle, container, published, others, offered),
        port=obstacle.port,
        protocol=obstacle.protocol,
        address=obstacle.address,
        published=published,
        elsewhere=obstacle.elsewhere,
        others=others,
        offered=offered,
    )


def _meaning(
    obstacle: obstacles.NothingListens,
    container: model.Container,
    published: model.PublishedPort | None,
    others: tuple[model.Listener, ...],
    offered: tuple[int, ...],
) -> Meaning:
    if obstacle.elsewhere:
        return _elsewhere(obstacle)
    if any(li.port == obstacle.port and li.protocol != obstacle.protocol for li in others):
        return "other-protocol"
    if obstacle.container is None and any(
        b.host_port == str(obstacle.port) and b.protocol == obstacle.protocol for b in container.bindings
    ):
        return "host-mode"
    if published is not None and is_swapped(published, offered):
        return "swapped"
    taken = {p.port for p in container.ports if p.protocol == obstacle.protocol}
    media = obstacle.protocol == "udp" and range_of(container, obstacle.port, "udp") is not None
    serves = offered or (media and any(li.protocol == "tcp" and not neighbours.is_loopback(li.address) for li in others))
    if published is not None and serves and taken.issuperset(offered):
        return "unused"
    return "other-port" if offered else "nothing"


def _elsewhere(obstacle: obstacles.NothingListens) -> Meaning:
    if all(neighbours.is_loopback(li.address) for li in obstacle.elsewhere) and not neighbours.is_loopback(obstacle.address):
        return "loopback"
    if ":" in obstacle.address and any(li.address == "0.0.0.0" for li in obstacle.elsewhere):
        return "ipv4-only"
    return "other-address"


def range_of(container: model.Container, port: int, protocol: model.Protocol) -> range | None:
    """The published ports in a row that it is one of, five or more: kept for what opens them when needed (FTP, RTP)."""
    ports = {p.port for p in container.ports if p.protocol == protocol}
    first = next(number for number in range(port, -1, -1) if number - 1 not in ports)
    end = next(number for number in range(port, 65537) if number not in ports)
    return range(first, end) if end - first >= 5 else None


def is_swapped(published: model.PublishedPort, offered: Iterable[int]) -> bool:
    """Whether host and container port are the wrong way round: it listens on the number that is published as the host's.

    That alone also fits a port that was merely mistaken: of `-p 8080:80` with a service on 8080, and of neighbours such as
    `-p 9090:9091`, the host's side is what was meant. A mapping the right way round leads to the lower number.
    """
    host, port = published.host_port, published.port
    return host in set(offered) and host < port and not (len(str(host)) == len(str(port)) and port - host <= 10)


def best_port(ending: Ending) -> int:
    """Of the ports offered, the one that was most likely meant."""
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
    words = [str(port) for port in ports]
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else "no port"


def at(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def free_port(facts: HostFacts, wanted: int, protocol: str) -> int:
    """A host port from `wanted` on that nothing holds and no container asks for."""
    listeners = (facts.stack.listeners if facts.stack else None) or ()
    taken = {li.port for li in listeners if li.protocol == protocol}
    taken |= {p.host_port for c in facts.containers for p in c.ports}
    taken |= {int(b.host_port) for c in facts.containers for b in c.bindings if b.host_port.isdecimal()}
    return next((port for port in range(wanted, 65536) if port not in taken), wanted)


def _transient(listener: model.Listener) -> bool:
    """UDP sockets on ephemeral ports are clients waiting for an answer."""
    return listener.protocol == "udp" and listener.port >= 32768
