"""The picture of networks, containers and published ports: records, and from them text, Mermaid, DOT and SVG."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, TypeAlias

from msgspec import Struct

from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.facts.neighbours import is_loopback
from dockernet_doctor.moments import now
from dockernet_doctor.notation import bracketed
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
    attachments: tuple[MapAttachment, ...]
    ports: tuple[MapPort, ...]


class Map(Struct, frozen=True, kw_only=True):
    schema: Literal["dockernet-doctor/map/1"]
    tool: Tool
    taken_at: str
    hosts: tuple[ReportHost, ...]
    complete: bool  # every host asked for could be read
    networks: tuple[MapNetwork, ...]
    containers: tuple[MapContainer, ...]


def build(case: Case) -> Map:
    return Map(
        schema="dockernet-doctor/map/1",
        tool=TOOL,
        taken_at=now(),
        hosts=report_hosts(case),
        complete=all(facts.snapshot.engine for facts in case.hosts),
        networks=tuple(_network(facts, n) for facts in case.hosts for n in facts.snapshot.networks),
        containers=tuple(_container(facts, c) for facts, c in case.containers()),
    )


def render(picture: Map, name: str) -> str:
    """The map in the format `text`, `json`, `mermaid`, `dot` or `svg`."""
    match name:
        case "text":
            return text(picture)
        case "mermaid":
            return mermaid(picture)
        case "dot":
            return dot(picture)
        case "svg":
            return svg(picture)
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
        attachments=tuple(MapAttachment(network=e.network, ipv4=e.ipv4, ipv6=e.ipv6) for e in container.endpoints),
        ports=tuple(
            MapPort(host_ip=p.host_ip, host_port=p.host_port, port=p.port, protocol=p.protocol) for p in container.ports
        ),
    )


# --- words that all pictures share


_Members: TypeAlias = "dict[tuple[str, str], list[tuple[MapContainer, MapAttachment | None]]]"


def _members(picture: Map) -> _Members:
    """Those of each network, by its host and name."""
    found: _Members = {}
    for container in picture.containers:
        for attachment in container.attachments:
            found.setdefault((container.host, attachment.network), []).append((container, attachment))
    return found


def _loners(picture: Map) -> list[MapContainer]:
    known = {(network.host, network.name) for network in picture.networks}
    return [c for c in picture.containers if not any((c.host, a.network) in known for a in c.attachments)]


def _drawn(picture: Map) -> list[MapNetwork]:
    """The networks worth drawing: not the predefined ones that nobody is on."""
    members = _members(picture)
    return [n for n in picture.networks if n.name not in ("bridge", "host", "none") or (n.host, n.name) in members]


def _facts(network: MapNetwork) -> str:
    words = [network.driver, "internal" if network.internal else "", *network.subnets]
    return ", ".join(word for word in words if word and word != network.name)


def _state(container: MapContainer) -> str:
    return "" if container.state == "running" else f" ({container.state})"


_DIALLERS = {"out": "outside", "here": "the host itself"}


def by_port(ports: Iterable[MapPort]) -> list[list[MapPort]]:
    """The mappings of one container port and one host port together."""
    found: dict[tuple[int, str, int], list[MapPort]] = {}
    for port in ports:
        found.setdefault((port.port, port.protocol, port.host_port), []).append(port)
    return list(found.values())


def dialler(ports: Iterable[MapPort]) -> str:
    """Who gets there by it: of `_DIALLERS` the host alone, where it is published on loopback."""
    return "here" if all(is_loopback(port.host_ip) for port in ports) else "out"


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
    members, drawn = _members(picture), _drawn(picture)
    for network in drawn:
        at = f" on {network.host}" if _several(picture) else ""
        lines.append(visible(f"{network.name}{at}: {_facts(network)}".rstrip(": ")))
        lines += _table(members.get((network.host, network.name), ()), told) or ["  nobody"]
        lines.append("")
    loners = [(container, None) for container in _loners(picture)]
    if loners:
        lines += ["on no network", *_table(loners, told), ""]
    ports = sum(len(_published(container.ports)) for container in picture.containers)
    sizes = (
        count(len(picture.containers), "container"),
        count(len(drawn), "network"),
        count(ports, "published port"),
    )
    lines.append(f"{', '.join(sizes)}.")
    for host in picture.hosts:
        if host.engine is None:
            lines.append(visible(f"Not seen: {host.name}, whose daemon did not answer."))
    return "\n".join(lines) + "\n"


def _table(members: Sequence[tuple[MapContainer, MapAttachment | None]], told: set[tuple[str, str]]) -> list[str]:
    rows = []
    for container, attachment in members:
        where = ", ".join(filter(None, (attachment.ipv4, attachment.ipv6))) if attachment else container.mode
        published = _published(container.ports) if (container.host, container.name) not in told else []
        told.add((container.host, container.name))
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


# --- Mermaid and DOT


class _Ids:
    """A short, safe id for each thing; names stay in labels."""

    def __init__(self, picture: Map) -> None:
        self.networks = {(n.host, n.name): f"n{i}" for i, n in enumerate(_drawn(picture))}
        self.containers = {(c.host, c.name): f"c{i}" for i, c in enumerate(picture.containers)}

    def edges(self, picture: Map) -> Iterator[tuple[str, str, str]]:
        for container in picture.containers:
            for attachment in container.attachments:
                network = self.networks.get((container.host, attachment.network))
                if network:
                    label = ", ".join(filter(None, (attachment.ipv4, attachment.ipv6)))
                    yield self.containers[container.host, container.name], network, label


def mermaid(picture: Map) -> str:
    """A Mermaid flowchart: other machines → containers → networks."""
    ids, several = _Ids(picture), _several(picture)
    lines = ["flowchart LR"]
    for network in _drawn(picture):
        label = _label(network.name, network.host, several, _facts(network))
        lines.append(f'  {ids.networks[network.host, network.name]}(["{_mermaid(label)}"])')
    for container in picture.containers:
        label = _label(container.name + _state(container), container.host, several, _mode(container))
        lines.append(f'  {ids.containers[container.host, container.name]}["{_mermaid(label)}"]')
    dialled = [(dialler(ports), c, ports) for c in picture.containers for ports in by_port(c.ports)]
    lines += [f'  {node}(("{_DIALLERS[node]}"))' for node in _DIALLERS if any(by == node for by, _, _ in dialled)]
    for node, container, ports in dialled:
        published = _mermaid(_published(ports)[0])
        lines.append(f'  {node} -->|"{published}"| {ids.containers[container.host, container.name]}')
    for source, target, address in ids.edges(picture):
        lines.append(f'  {source} ---|"{_mermaid(address)}"| {target}' if address else f"  {source} --- {target}")
    return "\n".join(lines) + "\n"


def dot(picture: Map) -> str:
    """A Graphviz graph."""
    ids, several = _Ids(picture), _several(picture)
    lines = ["digraph networks {", "  rankdir=LR;", '  node [fontname="sans-serif"];', '  edge [fontname="sans-serif"];']
    for network in _drawn(picture):
        label = _label(network.name, network.host, several, _facts(network))
        lines.append(f"  {ids.networks[network.host, network.name]} [shape=ellipse, label={_dot(label)}];")
    for container in picture.containers:
        label = _label(container.name + _state(container), container.host, several, _mode(container))
        lines.append(f"  {ids.containers[container.host, container.name]} [shape=box, label={_dot(label)}];")
    dialled = [(dialler(ports), c, ports) for c in picture.containers for ports in by_port(c.ports)]
    lines += [
        f'  {node} [shape=doublecircle, label="{_DIALLERS[node]}"];'
        for node in _DIALLERS
        if any(by == node for by, _, _ in dialled)
    ]
    for node, container, ports in dialled:
        lines.append(f"  {node} -> {ids.containers[container.host, container.name]} [label={_dot(_published(ports))}];")
    for source, target, address in ids.edges(picture):
        lines.append(f"  {source} -> {target} [dir=none, label={_dot([address])}];")
    return "\n".join([*lines, "}"]) + "\n"


def _label(name: str, host: str, several: bool, more: str) -> list[str]:
    return [part for part in (f"{name} @ {host}" if several else name, more) if part]


def _mode(container: MapContainer) -> str:
    return "" if container.attachments else container.mode


def _mermaid(label: str | list[str]) -> str:
    """Mermaid reads labels as HTML, with `#` as the mark of its own entities."""
    parts = [label] if isinstance(label, str) else label
    safe = (
        "".join(char if char.isalnum() or char in " .,:;/()[]→-_@*+=!?" else f"#{ord(char)};" for char in visible(part))
        for part in parts
    )
    return "<br/>".join(safe)


def _dot(parts: list[str]) -> str:
    safe = (visible(part).replace("\\", "\\\\").replace('"', '\\"') for part in parts)
    return '"' + "\\n".join(safe) + '"'


# --- SVG

_ROW, _PAD, _BOX = 18, 8, 14  # pixels: a line of text, inside a box, between boxes
_CHAR = 7.3  # width of a character of the 12 px monospace that the picture uses
_GAP = 190  # between the columns, for the labels of the lines


class _Node(Struct, frozen=True, kw_only=True):
    lines: tuple[str, ...]
    y: float
    height: float

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


def svg(picture: Map) -> str:
    """Three columns: what is published, containers, networks. Valid XML, no script, fonts of the reader."""
    several = _several(picture)
    networks = _drawn(picture)
    containers = sorted(picture.containers, key=lambda c: (c.host, [a.network for a in c.attachments], c.name))
    container_nodes = _column(
        [_label(c.name + _state(c), c.host, several, _mode(c)) for c in containers],
        [len(_published(c.ports)) for c in containers],
    )
    network_nodes = _column([_label(n.name, n.host, several, _facts(n)) for n in networks], [0] * len(networks))
    published_width = _widest([p for c in containers for p in _published(c.ports)])
    x_containers = 20 + published_width + (40 if published_width else 0)
    container_width, network_width = _width(container_nodes), _width(network_nodes)
    x_networks = x_containers + container_width + _GAP
    height = max([60.0, *(node.y + node.height + 20 for node in (*container_nodes, *network_nodes))])
    width = x_networks + network_width + 20
    body: list[str] = []
    by_network = {(n.host, n.name): node for n, node in zip(networks, network_nodes, strict=True)}
    right = x_containers + container_width
    for container, node in zip(containers, container_nodes, strict=True):
        body += _wires(container, node, by_network, right, x_networks)
        body += _ports(container, node, 20 + published_width, x_containers)
    body += [part for n in container_nodes for part in _box(n, x_containers, container_width, "container")]
    body += [part for n in network_nodes for part in _box(n, x_networks, network_width, "network")]
    return "\n".join([*_svg_head(width, height), *body, "</svg>"]) + "\n"


def _svg_head(width: float, height: float) -> list[str]:
    size = f'width="{width:.0f}" height="{height:.0f}"'
    box = f'viewBox="0 0 {width:.0f} {height:.0f}"'
    return [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {box} font-family="monospace" font-size="12">',
        "<title>Networks, containers and published ports</title>",
        "<style>",
        ".container{fill:#eef4ff;stroke:#3b6fb6} .network{fill:#eefaf0;stroke:#2f8f4e}",
        "line,path{stroke:#888;fill:none} .small{fill:#555;font-size:11px}",
        "</style>",
        f'<rect {size} fill="white"/>',
    ]


def _column(labels: Sequence[list[str]], rows: Sequence[int]) -> list[_Node]:
    nodes, y = [], 20.0
    for label, extra in zip(labels, rows, strict=True):
        height = _ROW * max(len(label), extra) + 2 * _PAD
        nodes.append(_Node(lines=tuple(label), y=y, height=height))
        y += height + _BOX
    return nodes


def _widest(texts: Sequence[str]) -> float:
    return max((len(visible(text)) for text in texts), default=0) * _CHAR


def _width(nodes: Sequence[_Node]) -> float:
    return _widest([line for node in nodes for line in node.lines]) + 2 * _PAD


def _box(node: _Node, x: float, width: float, kind: str) -> Iterator[str]:
    yield f'<rect class="{kind}" x="{x:.1f}" y="{node.y:.1f}" width="{width:.1f}" height="{node.height:.1f}" rx="5"/>'
    for index, line in enumerate(node.lines):
        style = "" if index == 0 else ' class="small"'
        yield _text(x + _PAD, node.y + _PAD + _ROW * index + 12, line, style)


def _wires(
    container: MapContainer, node: _Node, networks: dict[tuple[str, str], _Node], left: float, right: float
) -> Iterator[str]:
    attached = [a for a in container.attachments if (container.host, a.network) in networks]
    for index, attachment in enumerate(attached):
        target = networks[container.host, attachment.network]
        y = node.y + node.height * (index + 1) / (len(attached) + 1)
        bend, end = (left + right) / 2, target.middle
        curve = f"C{bend:.1f} {y:.1f} {bend:.1f} {end:.1f} {right:.1f} {end:.1f}"
        yield f'<path d="M{left:.1f} {y:.1f} {curve}"/>'
        yield _text(left + 4, y - 3, attachment.ipv4 or attachment.ipv6 or "", ' class="small"')


def _ports(container: MapContainer, node: _Node, left: float, right: float) -> Iterator[str]:
    for index, published in enumerate(_published(container.ports)):
        y = node.y + _PAD + _ROW * index + 12
        yield _text(left, y, published, ' class="small" text-anchor="end"')
        yield f'<line x1="{left + 4:.1f}" y1="{y - 4:.1f}" x2="{right:.1f}" y2="{y - 4:.1f}"/>'


def _text(x: float, y: float, value: str, style: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}"{style}>{html.escape(visible(value))}</text>'
