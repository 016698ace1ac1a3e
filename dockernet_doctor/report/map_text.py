"""A map as text: each network with those on it, and what is published."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from dockernet_doctor.notation import bracketed

from .map_model import (
    Map,
    MapAttachment,
    MapContainer,
    MapFinding,
    MapNetwork,
    MapPort,
    by_port,
    drawn,
    facts_of,
    mark,
    of_the_host,
)
from .words import count, visible

_Members: TypeAlias = "dict[tuple[str, str], list[tuple[MapContainer, MapAttachment | None]]]"


def text(picture: Map) -> str:
    lines: list[str] = []
    told: set[tuple[str, str]] = set()
    marks = _marks(picture)
    members, networks = _members(picture), drawn(picture)
    for host in picture.hosts:
        if found := of_the_host(picture, host.name):
            lines += [visible(f"host {host.name}"), *(f"  {mark(finding)}" for finding in found), ""]
    for network in networks:
        at = f" on {network.host}" if _several(picture) else ""
        lines.append(visible(f"{network.name}{at}: {facts_of(network)}".rstrip(": ")))
        lines += [f"  {marked}" for marked in _network_marks(picture, network)]
        lines += _table(members.get((network.host, network.name), ()), told, marks) or ["  nobody"]
        lines.append("")
    loners = [(container, None) for container in _loners(picture)]
    if loners:
        lines += ["on no network", *_table(loners, told, marks), ""]
    ports = sum(len(_published(container.ports)) for container in picture.containers)
    sizes = (
        count(len(picture.containers), "container"),
        count(len(networks), "network"),
        count(ports, "published port"),
    )
    lines.append(f"{', '.join(sizes)}.")
    for host in picture.hosts:
        if host.engine is None:
            lines.append(visible(f"Not seen: {host.name}, whose daemon did not answer."))
    return "\n".join(lines) + "\n"


def _marks(picture: Map) -> dict[tuple[str, str], list[str]]:
    """What is wrong with each container, for the end of its line."""
    found: dict[tuple[str, str], list[str]] = {}
    for finding in picture.findings:
        if finding.container:
            found.setdefault((finding.host, finding.container), []).append(mark(finding))
    return found


def _network_marks(picture: Map, network: MapNetwork) -> list[str]:
    return [mark(finding) for finding in picture.findings if _is_of(finding, network)]


def _is_of(finding: MapFinding, network: MapNetwork) -> bool:
    return (finding.host, finding.network) == (network.host, network.name)


def _table(
    members: Sequence[tuple[MapContainer, MapAttachment | None]],
    told: set[tuple[str, str]],
    marks: dict[tuple[str, str], list[str]],
) -> list[str]:
    rows = []
    for container, attachment in members:
        where = ", ".join(filter(None, (attachment.ipv4, attachment.ipv6))) if attachment else container.mode
        key = container.host, container.name
        published = [*_published(container.ports), *marks.get(key, ())] if key not in told else []
        told.add(key)
        rows.append((visible(container.name + _state(container)), visible(where or "-"), published))
    if not rows:
        return []
    name, address = max(len(row[0]) for row in rows), max(len(row[1]) for row in rows)
    lines = []
    for first, second, published in rows:
        lead = f"  {first:{name}}  {second:{address}}  "
        lines.append(f"{lead}{published[0] if published else ''}".rstrip())
        lines += [f"{' ' * len(lead)}{more}" for more in published[1:]]
    return lines


def _members(picture: Map) -> _Members:
    """The members of each network, by its host and name."""
    found: _Members = {}
    for container in picture.containers:
        for attachment in container.attachments:
            found.setdefault((container.host, attachment.network), []).append((container, attachment))
    return found


def _loners(picture: Map) -> list[MapContainer]:
    known = {(network.host, network.name) for network in picture.networks}
    return [c for c in picture.containers if not any((c.host, a.network) in known for a in c.attachments)]


def _state(container: MapContainer) -> str:
    return "" if container.state == "running" else f" ({container.state})"


def _published(ports: Iterable[MapPort]) -> list[str]:
    """`0.0.0.0:8080, [::]:8080 → 80/tcp`, a line a container port and host port."""
    return [
        f"{', '.join(dict.fromkeys(_at(port) for port in same))} → {same[0].port}/{same[0].protocol}" for same in by_port(ports)
    ]


def _at(port: MapPort) -> str:
    return f"{bracketed(port.host_ip) or '*'}:{port.host_port}"


def _several(picture: Map) -> bool:
    return len(picture.hosts) > 1
