"""What it means that nobody listens where a packet ended: one reason for each, decided here for all checks of ports."""

from __future__ import annotations

import re
from collections.abc import Iterable

from dockernet_doctor.diagnosis.facts.daemon import without_ipvs
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.facts.neighbours import SERVICES, dials_stale_address, means_neighbour
from dockernet_doctor.diagnosis.path import NothingListens, Path, PortReason
from dockernet_doctor.notation import is_loopback
from dockernet_doctor.snapshot.model import Container, Listener, Protocol, PublishedPort


def reason_of(facts: HostFacts, path: Path, obstacle: NothingListens) -> PortReason:
    """The one reason, for a path that ended so."""
    container = container_of(path, obstacle)
    if means_neighbour(facts, path):
        return "for-neighbour"
    if dials_stale_address(facts, path):
        return "stale-address"
    if container is None:
        return "mesh" if _is_lost_mesh(facts, obstacle) else "on-host"
    if facts.keeps_ending(container) and not (obstacle.elsewhere or obstacle.others):
        return "ending"
    if obstacle.elsewhere:
        return _elsewhere(obstacle)
    return _on_other_ports(path, obstacle, container)


def container_of(path: Path, obstacle: NothingListens) -> Container | None:
    """The container where it ended; in mode host that is the host itself."""
    if obstacle.container is not None:
        return obstacle.container
    return path.target if path.target is not None and path.target.network_mode == "host" else None


def others_of(path: Path, obstacle: NothingListens) -> tuple[Listener, ...]:
    """What the container listens on at other ports; in mode host the host's own listeners are not the container's."""
    container = container_of(path, obstacle)
    if obstacle.container is not None or container is None:
        return obstacle.others
    return tuple(li for li in obstacle.others if li.process and li.process.container == container.id)


def offered_by(path: Path, obstacle: NothingListens) -> tuple[int, ...]:
    """The other ports of the protocol that can be reached there."""
    reachable = (
        li.port
        for li in others_of(path, obstacle)
        if li.protocol == obstacle.protocol and li.port != obstacle.port and not is_loopback(li.address) and not _transient(li)
    )
    return tuple(sorted({*reachable}))


def range_of(container: Container, port: int, protocol: Protocol) -> range | None:
    """The published ports in a row that it is one of, five or more: kept for what opens them when needed (FTP, RTP)."""
    ports = {p.port for p in container.ports if p.protocol == protocol}
    first = next(number for number in range(port, -1, -1) if number - 1 not in ports)
    end = next(number for number in range(port, 65537) if number not in ports)
    return range(first, end) if end - first >= 5 else None


def is_its_own(container: Container, port: int, protocol: Protocol) -> bool:
    """True if the port is its service's by what is known of it: its health check dials it, or the image or name is of a
    service that has it (postgres 5432), unless a setting of the container says another. What else listens is a side of it
    then, as an exporter of metrics is."""
    own = [r.port for r in container.references if r.where == "health check" and r.port and is_loopback(r.host.lower())]
    if own:
        return port in own
    told = {r.port for r in container.references if r.port and not r.host and r.where in ("environment", "command")}
    if protocol != "tcp" or (told and port not in told):
        return False
    image = container.image.partition("@")[0].rpartition("/")[2].partition(":")[0].lower()
    service = container.compose.service if container.compose else ""
    words = {word for name in (image, container.name.lower(), service.lower()) for word in re.split(r"[^a-z0-9]+", name)}
    return any(word in words for word in SERVICES.get(port, ()))


def is_swapped(published: PublishedPort, offered: Iterable[int]) -> bool:
    """True if host and container port are the wrong way round: it listens on the number that is published as the host's.

    That alone also fits a port that was merely mistaken: of `-p 8080:80` with a service on 8080, and of neighbours such as
    `-p 9090:9091`, the host's side is what was meant. A mapping the right way round leads to the lower number.
    """
    host, port = published.host_port, published.port
    return host in set(offered) and host < port and not (len(str(host)) == len(str(port)) and port - host <= 10)


def _is_lost_mesh(facts: HostFacts, obstacle: NothingListens) -> bool:
    """True for a port that a Swarm service publishes on every node, on a host whose kernel has no IPVS."""
    wanted = (obstacle.port, obstacle.protocol, "ingress")
    published = ((port, protocol, mode) for service in facts.snapshot.services for port, _, protocol, mode in service.ports)
    return wanted in published and without_ipvs(facts) is not None


def _elsewhere(obstacle: NothingListens) -> PortReason:
    if all(is_loopback(li.address) for li in obstacle.elsewhere) and not is_loopback(obstacle.address):
        return "loopback"
    if ":" in obstacle.address and any(li.address == "0.0.0.0" for li in obstacle.elsewhere):
        return "ipv4-only"
    return "other-address"


def _on_other_ports(path: Path, obstacle: NothingListens, container: Container) -> PortReason:
    others, offered, published = others_of(path, obstacle), offered_by(path, obstacle), path.published or obstacle.published
    if any(li.port == obstacle.port and li.protocol != obstacle.protocol for li in others):
        return "other-protocol"
    if obstacle.container is None and any(
        b.host_port == str(obstacle.port) and b.protocol == obstacle.protocol for b in container.bindings
    ):
        return "host-mode"
    if is_its_own(container, obstacle.port, obstacle.protocol) and not _serve_it(others, obstacle.port):
        return "nothing"
    if published is not None and is_swapped(published, offered):
        return "swapped"
    taken = {p.port for p in container.ports if p.protocol == obstacle.protocol}
    media = obstacle.protocol == "udp" and range_of(container, obstacle.port, "udp") is not None
    serves = offered or (media and any(li.protocol == "tcp" and not is_loopback(li.address) for li in others))
    if published is not None and serves and taken.issuperset(offered):
        return "unused"
    return "other-port" if offered else "nothing"


def _serve_it(others: Iterable[Listener], port: int) -> bool:
    """True if the program of that service listens, on another port than its usual one, and no exporter of its metrics."""
    programs = {li.process.name.lower() for li in others if li.process and "export" not in li.process.name}
    return any(program.startswith(word) for program in programs for word in SERVICES.get(port, ()))


def _transient(listener: Listener) -> bool:
    """UDP sockets on ephemeral ports are clients waiting for an answer."""
    return listener.protocol == "udp" and listener.port >= 32768
