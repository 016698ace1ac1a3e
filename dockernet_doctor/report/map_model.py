"""The records of a map, version 1 of its JSON, and the words that all pictures of it share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from dockernet_doctor.diagnosis.finding import Severity
from dockernet_doctor.notation import is_loopback

from .model import ReportHost, Tool


class MapNetwork(Struct, frozen=True, kw_only=True):
    host: str
    name: str
    driver: str
    scope: str
    internal: bool
    subnets: tuple[str, ...]


class MapAttachment(Struct, frozen=True, kw_only=True):
    network: str
    ipv4: str | None
    ipv6: str | None


class MapPort(Struct, frozen=True, kw_only=True):
    host_ip: str
    host_port: int
    port: int
    protocol: str


class MapContainer(Struct, frozen=True, kw_only=True):
    host: str
    name: str
    state: str
    mode: str
    project: str  # of Compose, "" for none
    attachments: tuple[MapAttachment, ...]
    ports: tuple[MapPort, ...]


class MapFinding(Struct, frozen=True, kw_only=True):
    """A finding at the place that it is about: a container, a network, or with neither the host."""

    host: str
    container: str
    network: str
    id: str
    cause: str
    severity: Severity
    summary: str


class Map(Struct, frozen=True, kw_only=True):
    schema: Literal["dockernet-doctor/map/1"]
    tool: Tool
    taken_at: str
    hosts: tuple[ReportHost, ...]
    complete: bool  # every host asked for could be read
    networks: tuple[MapNetwork, ...]
    containers: tuple[MapContainer, ...]
    findings: tuple[MapFinding, ...]  # errors and warnings


def drawn(picture: Map) -> list[MapNetwork]:
    """The networks worth drawing: not the predefined ones that nobody is on."""
    joined = {(container.host, attachment.network) for container in picture.containers for attachment in container.attachments}
    return [n for n in picture.networks if n.name not in ("bridge", "host", "none") or (n.host, n.name) in joined]


def facts_of(network: MapNetwork) -> str:
    """`bridge, internal, 172.21.0.0/24`, for a line."""
    words = [network.driver, "internal" if network.internal else "", *network.subnets]
    return ", ".join(word for word in words if word and word != network.name)


def of_the_host(picture: Map, host: str) -> tuple[MapFinding, ...]:
    """The findings that are about neither a container nor a network of it."""
    return tuple(f for f in picture.findings if f.host == host and not f.container and not f.network)


def mark(finding: MapFinding) -> str:
    return f"{'✗' if finding.severity == 'error' else '!'} {finding.cause}"


def by_port(ports: Iterable[MapPort]) -> list[list[MapPort]]:
    """The mappings of one container port and one host port together."""
    found: dict[tuple[int, str, int], list[MapPort]] = {}
    for port in ports:
        found.setdefault((port.port, port.protocol, port.host_port), []).append(port)
    return list(found.values())


def is_open_to_others(ports: Iterable[MapPort]) -> bool:
    """True where other machines get there, too: it is published on more than loopback."""
    return not all(is_loopback(port.host_ip) for port in ports)
