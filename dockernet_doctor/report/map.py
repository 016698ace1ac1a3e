"""The picture of networks, containers and published ports: records, and from them text.

What is drawn: `map_boxes`, as SVG by `map_svg`, as Mermaid and DOT by `map_graph`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

from msgspec import Struct

from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.finding import Finding, Severity
from dockernet_doctor.moments import now
from dockernet_doctor.notation import bracketed, is_loopback
from dockernet_doctor.snapshot.model import Container, Network

from .build import TOOL, report_hosts
from .model import ReportHost, Tool
from .words import count, visible


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


def build(case: Case, findings: Sequence[Finding] = ()) -> Map:
    """The map of these hosts; where the case names containers, of these, their networks and those on them."""
    shown = {facts.name: _shown(case, facts) for facts in case.hosts}
    return Map(
        schema="dockernet-doctor/map/1",
        tool=TOOL,
        taken_at=now(),
        hosts=report_hosts(case),
        complete=all(facts.snapshot.engine for facts in case.hosts),
        networks=tuple(
            _network(facts, n) for facts in case.hosts for n in facts.snapshot.networks if n.name in shown[facts.name][0]
        ),
        containers=tuple(_container(facts, c) for facts, c in case.containers() if c.name in shown[facts.name][1]),
        findings=tuple(
            _finding(case.facts(f.subject.host), f)
            for f in findings
            if f.severity != "info" and f.subject.host in shown and _is_shown(f, *shown[f.subject.host])
        ),
    )


def _shown(case: Case, facts: HostFacts) -> tuple[set[str], set[str]]:
    """The networks and containers of a host that are drawn, by their names."""
    networks, containers = facts.snapshot.networks, facts.snapshot.containers
    if not case.subjects:
        return {network.name for network in networks}, {container.name for container in containers}
    meant = [container for container in containers if case.is_subject(container.name, facts.name)]
    on = {endpoint.network for container in meant for endpoint in container.endpoints}
    beside = {c.name for c in containers if any(endpoint.network in on for endpoint in c.endpoints)}
    return on, beside | {container.name for container in meant}


def _is_shown(finding: Finding, networks: set[str], containers: set[str]) -> bool:
    container, network = _place(finding)
    return (not container or container in containers) and (not network or network in networks)


def _place(finding: Finding) -> tuple[str, str]:
    """The container or the network that a finding stands at; ("", "") for the host."""
    subject = finding.subject
    if subject.kind == "container":
        return subject.name, ""
    if subject.kind == "port":
        return subject.name.rpartition(":")[0], ""
    if subject.kind == "network":
        return "", subject.name
    if subject.kind == "service" and finding.affects:
        return finding.affects[0].name, ""
    return "", ""


def _finding(facts: HostFacts, finding: Finding) -> MapFinding:
    container, network = _place(finding)
    return MapFinding(
        host=facts.name,
        container=container,
        network=network,
        id=finding.id,
        cause=finding.cause,
        severity=finding.severity,
        summary=finding.summary,
    )


def render(picture: Map, name: str) -> str:
    """The map in the format `text`, `json`, `mermaid`, `dot` or `svg`."""
    match name:
        case "text":
            return text(picture)
        case "mermaid" | "dot":
            from . import map_graph

            return map_graph.mermaid(picture) if name == "mermaid" else map_graph.dot(picture)
        case "svg":
            from . import map_svg

            return map_svg.svg(picture)
    from . import json

    return json.render(picture)


def _network(facts: HostFacts, network: Network) -> MapNetwork:
    return MapNetwork(
        host=facts.name,
        name=network.name,
        driver=network.driver,
        scope=network.scope,
        internal=network.internal,
        subnets=tuple(subnet.subnet for subnet in network.subnets),
    )


def _container(facts: HostFacts, container: Container) -> MapContainer:
    mode = container.network_mode
    if mode.startswith("container:"):
        owner = facts.namespace_owner(container)
        mode = f"container:{owner.name if owner else 'a container that is gone'}"
    return MapContainer(
        host=facts.name,
        name=container.name,
        state="paused" if container.state.paused else container.state.status,
        mode=mode,
        project=container.compose.project if container.compose else "",
        attachments=tuple(MapAttachment(network=e.network, ipv4=e.ipv4, ipv6=e.ipv6) for e in container.endpoints),
        ports=tuple(
            MapPort(host_ip=p.host_ip, host_port=p.host_port, port=p.port, protocol=p.protocol) for p in container.ports
        ),
    )


# --- words that all pictures share


_Members: TypeAlias = "dict[tuple[str, str], list[tuple[MapContainer, MapAttachment | None]]]"


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


def drawn(picture: Map) -> list[MapNetwork]:
    """The networks worth drawing: not the predefined ones that nobody is on."""
    members = _members(picture)
    return [n for n in picture.networks if n.name not in ("bridge", "host", "none") or (n.host, n.name) in members]


def facts_of(network: MapNetwork) -> str:
    """`bridge, internal, 172.21.0.0/24`, for a line."""
    words = [network.driver, "internal" if network.internal else "", *network.subnets]
    return ", ".join(word for word in words if word and word != network.name)


def of_the_host(picture: Map, host: str) -> tuple[MapFinding, ...]:
    """The findings that are about neither a container nor a network of it."""
    return tuple(f for f in picture.findings if f.host == host and not f.container and not f.network)


def mark(finding: MapFinding) -> str:
    return f"{'✗' if finding.severity == 'error' else '!'} {finding.cause}"


def _state(container: MapContainer) -> str:
    return "" if container.state == "running" else f" ({container.state})"


def by_port(ports: Iterable[MapPort]) -> list[list[MapPort]]:
    """The mappings of one container port and one host port together."""
    found: dict[tuple[int, str, int], list[MapPort]] = {}
    for port in ports:
        found.setdefault((port.port, port.protocol, port.host_port), []).append(port)
    return list(found.values())


def is_open_to_others(ports: Iterable[MapPort]) -> bool:
    """True where other machines get there, too: it is published on more than loopback."""
    return not all(is_loopback(port.host_ip) for port in ports)


def _published(ports: Iterable[MapPort]) -> list[str]:
    """`0.0.0.0:8080, [::]:8080 → 80/tcp`, a line a container port and host port."""
    return [
        f"{', '.join(dict.fromkeys(_at(port) for port in same))} → {same[0].port}/{same[0].protocol}" for same in by_port(ports)
    ]


def _at(port: MapPort) -> str:
    return f"{bracketed(port.host_ip) or '*'}:{port.host_port}"


def _several(picture: Map) -> bool:
    return len(picture.hosts) > 1


# --- text


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
