"""The map as SVG: networks are boxes, their containers stand in them on a plain grid, published ports at the host's edge.

A container of several networks stands in its first, with a line to each other. Its state shows by the shape and by a word;
findings are red where they belong. Hosts of a hundred containers are folded by Compose project. Valid XML, no script, the
reader's fonts, light and dark.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from itertools import pairwise

from msgspec import Struct

from . import map as maps
from .map import Map, MapContainer, MapFinding, MapNetwork
from .words import count, visible

FOLDED_FROM = 100
"""Containers of one host from which those without findings are drawn as one box a Compose project."""

_ROW, _PAD = 16, 8  # pixels: a line of text, inside a box
_GAP, _LANE = 22, 9  # between boxes, between lines that run side by side
_CHAR = 7.3  # width of a character of the 12 px monospace that the picture uses
_WIDTH = 1000  # that the grid tries to keep to
_LONGEST = 34  # characters of a line in a box
_FEW_PORTS = 4

_STYLE = """
svg.map { --ink: #1b1f24; --dim: #57606a; --page: #fff; --net: #f3f5f8; --box: #fff; --edge: #0550ae; --bad: #b3261e;
--warn: #7d4e00; }
@media (prefers-color-scheme: dark) { svg.map { --ink: #e6edf3; --dim: #9198a1; --page: #0d1117; --net: #161b22; --box: #0d1117;
--edge: #79c0ff; --bad: #ff7b72; --warn: #e3b341; } }
svg.map text { fill: var(--ink); } svg.map .dim { fill: var(--dim); font-size: 11px; } svg.map .name { font-weight: bold; }
svg.map .error { fill: var(--bad); } svg.map .warning { fill: var(--warn); }
svg.map .page { fill: var(--page); } svg.map .network { fill: var(--net); stroke: var(--dim); }
svg.map .box { fill: var(--box); stroke: var(--edge); stroke-width: 1.5; } svg.map .paused { stroke-dasharray: 7 4; }
svg.map .down { stroke: var(--dim); stroke-dasharray: 2 3; } svg.map .bad { stroke: var(--bad); stroke-width: 2.5; }
svg.map .line { stroke: var(--dim); fill: none; } svg.map .here { stroke-dasharray: 4 3; }
svg.map .host { stroke: var(--edge); stroke-width: 4; } svg.map .end { fill: var(--dim); }
""".strip()


class _Cell(Struct, frozen=True, kw_only=True):
    """What stands in one place of a grid: a container, or several of a project."""

    name: str
    state: str
    lines: tuple[str, ...]
    others: tuple[str, ...]  # the further networks
    ports: tuple[tuple[str, bool], ...]  # what is published, and whether other machines get there
    findings: tuple[MapFinding, ...]

    @property
    def height(self) -> float:
        return _ROW * (1 + len(self.lines) + len(self.findings)) + 2 * _PAD


class _Box(Struct, frozen=True, kw_only=True):
    """A network with those that stand in it."""

    name: str
    facts: str
    cells: tuple[_Cell, ...]
    also: tuple[str, ...]  # those that stand in another network
    findings: tuple[MapFinding, ...]


def svg(picture: Map) -> str:
    """The whole picture, one host below the other."""
    body: list[str] = []
    y, width = 10.0, 320.0
    for host in picture.hosts:
        drawn = _Host(picture, host.name)
        title = f"host {host.name}" + (f", Docker {host.engine.version}" if host.engine else ": its daemon did not answer")
        parts, bottom, right = drawn.parts(y, title)
        body += parts
        y, width = bottom + _GAP, max(width, right)
    body += _legend(y + 4)
    return "\n".join([*_head(max(width, 700), y + 2 * _ROW + 8), *body, "</svg>"]) + "\n"


class _Host:
    """Lays out one host: columns and widths are the same in all of its networks."""

    def __init__(self, picture: Map, host: str) -> None:
        self._boxes = tuple(_boxes(picture, host))
        self._findings = tuple(f for f in picture.findings if f.host == host and not f.container and not f.network)
        cells = [cell for box in self._boxes for cell in box.cells]
        labels = [label for cell in cells for label, _ in cell.ports]
        widest = max((len(line) for cell in cells for line in _texts(cell)), default=10)
        self._cell = min(widest, _LONGEST) * _CHAR + 2 * _PAD
        self._edge = 24 + max((len(visible(label)) for label in labels), default=0) * 6.7
        lanes = len({other for cell in cells for other in cell.others})
        self._left = self._edge + (40 if labels else 16)
        room = _WIDTH - self._left - 2 * _PAD - _LANE * min(lanes, 12)
        self._columns = max(1, min(int(room // (self._cell + _GAP)), max((len(box.cells) for box in self._boxes), default=1)))
        self._inner = self._columns * (self._cell + _GAP) + _GAP
        self._right = self._left + self._inner

    def parts(self, top: float, title: str) -> tuple[list[str], float, float]:
        """What is drawn, where it ends below, and where on the right."""
        boxes, lines = [], []
        places: dict[str, tuple[float, float]] = {}  # of each network its top, and where a line may enter it
        starts: list[tuple[float, float, str]] = []  # below a cell, and the network that its line leads to
        y = top + 14
        heads = [_text(self._left, y, title, "name")]
        for finding in self._findings:
            y += _ROW
            heads.append(_finding(self._left, y, finding))
        y += 10
        for box in self._boxes:
            drawn, bottom, begun = self._box(box, y)
            places[box.name] = (y, y + 22)
            boxes += drawn
            starts += begun
            y = bottom + _GAP
        lanes = {name: index + 1 for index, name in enumerate(dict.fromkeys(name for _, _, name in starts if name in places))}
        for x, start, name in starts:
            if name in lanes:
                at, enter = self._right + _LANE * lanes[name], places[name][1]
                way = f"V{start:.1f} H{at:.1f} V{enter:.1f} H{self._right:.1f}"
                lines.append(f'<path class="line" d="M{x:.1f} {start - 6:.1f} {way}"/>')
                lines.append(f'<circle class="end" cx="{self._right:.1f}" cy="{enter:.1f}" r="3"/>')
        edge = f'<line class="host" x1="{self._edge:.1f}" y1="{top:.1f}" x2="{self._edge:.1f}" y2="{y - _GAP:.1f}"/>'
        return [edge, *heads, *boxes, *lines], y - _GAP, self._right + _LANE * (len(lanes) + 1) + 10

    def _box(self, box: _Box, top: float) -> tuple[list[str], float, list[tuple[float, float, str]]]:
        y = top + 18
        inside = [_text(self._left + _PAD, y, box.name, "name")]
        inside.append(_text(self._left + _PAD + (len(visible(box.name)) + 1) * _CHAR, y, box.facts, "dim"))
        for finding in box.findings:
            y += _ROW
            inside.append(_finding(self._left + _PAD, y, finding))
        for line in _wrapped(box.also, int((self._inner - 2 * _PAD) / 6.7)):
            y += _ROW
            inside.append(_text(self._left + _PAD, y, line, "dim"))
        y += _GAP
        starts = []
        for row in _grid(box.cells, self._columns):
            inside += self._at_the_edge(row, y)
            labels = sum(len(cell.ports) for _, cell in row)
            height = max(_ROW * labels + _PAD, *(cell.height for _, cell in row))
            for column, cell in row:
                x = self._left + _GAP + column * (self._cell + _GAP)
                inside += _drawn(cell, x, y, self._cell)
                for index, other in enumerate(cell.others):
                    starts.append((x + self._cell - 10 - 6 * index, y + height + 6 + 3 * (column + index), other))
                    gap = f"M{x + self._cell - 10 - 6 * index:.1f} {y + cell.height:.1f} V{y + height:.1f}"
                    inside.append(f'<path class="line" d="{gap}"/>')
            y += height + _GAP
        size = f'width="{self._inner:.1f}" height="{y - top:.1f}"'
        frame = f'<rect class="network" x="{self._left:.1f}" y="{top:.1f}" {size} rx="6"/>'
        return [frame, *inside], y, starts

    def _at_the_edge(self, row: Sequence[tuple[int, _Cell]], y: float) -> Iterator[str]:
        """The published ports of a row, one below the other, each with its line: straight into the first column, to the others
        through the gap above the row."""
        labels = [(column, label, outside) for column, cell in row for label, outside in cell.ports]
        for index, (column, label, outside) in enumerate(labels):
            at = y + _PAD + _ROW * index + 8
            yield _text(self._edge - 10, at + 4, label, "dim", end=True)
            begin = self._edge - 6 if outside else self._edge
            x = self._left + _GAP + column * (self._cell + _GAP)
            jog = f"H{self._edge + 8 + 4 * column:.1f} V{y - 4 - 3 * column:.1f} H{x + 12 + 5 * index:.1f} V{y:.1f}"
            straight = f"H{x:.1f}"
            yield f'<path class="line{"" if outside else " here"}" d="M{begin:.1f} {at:.1f} {jog if column else straight}"/>'


def _boxes(picture: Map, host: str) -> Iterator[_Box]:
    containers = [c for c in picture.containers if c.host == host]
    networks = [n for n in maps.drawn(picture) if n.host == host]
    known = {n.name for n in networks}
    found = {
        name: [f for f in picture.findings if f.host == host and f.container == name] for name in {c.name for c in containers}
    }
    folded = len(containers) >= FOLDED_FROM
    standing: dict[str, list[MapContainer]] = {}
    for container in containers:
        first = next((a.network for a in container.attachments if a.network in known), "")
        standing.setdefault(first, []).append(container)
    for network in networks:
        here = standing.get(network.name, [])
        elsewhere = [c for c in containers if c not in here for a in c.attachments if a.network == network.name]
        yield _Box(
            name=network.name,
            facts=maps.facts_of(network),
            cells=tuple(_cells(here, known, found, network.name, folded=folded)),
            also=tuple(_also(elsewhere, network, folded=folded)),
            findings=tuple(f for f in picture.findings if f.host == host and f.network == network.name),
        )
    if loners := standing.get("", []):
        cells = tuple(_cells(loners, known, found, "", folded=folded))
        yield _Box(name="on no network of their own", facts="", cells=cells, also=(), findings=())


def _also(elsewhere: Sequence[MapContainer], network: MapNetwork, *, folded: bool) -> Iterator[str]:
    if not elsewhere:
        return
    if folded and len(elsewhere) > _FEW_PORTS:
        yield f"also {count(len(elsewhere), 'container')} of other networks"
        return
    for container in elsewhere:
        address = next((a.ipv4 or a.ipv6 or "" for a in container.attachments if a.network == network.name), "")
        yield f"also {container.name} {address}".rstrip()


def _cells(
    containers: Sequence[MapContainer],
    known: set[str],
    found: dict[str, list[MapFinding]],
    network: str,
    *,
    folded: bool,
) -> Iterator[_Cell]:
    """One a container; where they are folded, one for those of a project that are in one state and have the same causes."""
    alike: dict[tuple[str, ...], list[MapContainer]] = {}
    for container in containers:
        causes = sorted({finding.cause for finding in found[container.name]})
        alone = () if folded and container.project else (container.name,)
        alike.setdefault((container.project, container.state, *causes, *alone), []).append(container)
    for members in alike.values():
        first = members[0]
        others = dict.fromkeys(a.network for c in members for a in c.attachments if a.network in known - {network})
        ports = [port for container in members for port in _ports(container)]
        findings = {finding.cause: finding for container in members for finding in found[container.name]}
        if len(members) == 1:
            line = next(((a.ipv4 or a.ipv6 or "-") for a in first.attachments if a.network == network), first.mode)
        else:
            line = count(len(members), "container")
            if len(ports) > _FEW_PORTS:
                ports = [(count(len(ports), "published port"), any(outside for _, outside in ports))]
        yield _Cell(
            name=first.name if len(members) == 1 else first.project,
            state=first.state,
            lines=(line,),
            others=tuple(others),
            ports=tuple(ports),
            findings=tuple(findings.values()),
        )


def _ports(container: MapContainer) -> Iterator[tuple[str, bool]]:
    """`*:8080 → 80/tcp`, and whether other machines get there."""
    for same in maps.by_port(container.ports):
        addresses = ["*" if port.host_ip in ("", "0.0.0.0", "::") else port.host_ip for port in same]
        places = ", ".join(dict.fromkeys(f"[{a}]" if ":" in a else a for a in addresses))
        yield f"{places}:{same[0].host_port} → {same[0].port}/{same[0].protocol}", maps.dialler(same) == "out"


def _grid(cells: Sequence[_Cell], columns: int) -> Iterator[list[tuple[int, _Cell]]]:
    """Rows of (column, cell); those with published ports come first."""
    ordered = sorted(cells, key=lambda cell: not cell.ports)
    for start in range(0, len(ordered), columns):
        yield list(enumerate(ordered[start : start + columns]))


def _texts(cell: _Cell) -> Iterator[str]:
    yield visible(cell.name + _state(cell))
    yield from (visible(line) for line in cell.lines)
    yield from (f"✗ {finding.cause}" for finding in cell.findings)


def _state(cell: _Cell) -> str:
    return "" if cell.state == "running" else f" ({cell.state})"


def _drawn(cell: _Cell, x: float, y: float, width: float) -> Iterator[str]:
    """Rounded and whole: it runs; dashed: paused; with cut corners and dotted: it does not run."""
    style = ["box", *(["bad"] if any(f.severity == "error" for f in cell.findings) else [])]
    said = "; ".join([f"{cell.name}: {cell.state}", *(finding.summary for finding in cell.findings)])
    yield f"<g><title>{html.escape(visible(said))}</title>"
    if cell.state in ("running", "paused", "restarting"):
        style += ["paused"] if cell.state != "running" else []
        yield f'<rect class="{" ".join(style)}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{cell.height:.1f}" rx="8"/>'
    else:
        corners = _cut(x, y, width, cell.height)
        yield f'<polygon class="{" ".join([*style, "down"])}" points="{corners}"/>'
    below = y + _PAD + 10
    yield _text(x + _PAD, below, _short(cell.name + _state(cell)), "name")
    for line in cell.lines:
        below += _ROW
        yield _text(x + _PAD, below, _short(line), "dim")
    for finding in cell.findings:
        below += _ROW
        yield _finding(x + _PAD, below, finding)
    yield "</g>"


def _cut(x: float, y: float, width: float, height: float) -> str:
    far, low, cut = x + width, y + height, 9
    points = [(x + cut, y), (far - cut, y), (far, y + cut), (far, low - cut), (far - cut, low), (x + cut, low), (x, low - cut)]
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in [*points, (x, y + cut)])


def _finding(x: float, y: float, finding: MapFinding) -> str:
    mark = "✗" if finding.severity == "error" else "!"
    title = f"<title>{html.escape(visible(finding.summary))}</title>"
    return _text(x, y, f"{mark} {finding.cause}", finding.severity, title=title)


def _short(text: str) -> str:
    shown = visible(text)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"


def _wrapped(words: Sequence[str], width: int) -> Iterator[str]:
    """The words with commas between them, in lines of at most `width` characters."""
    line = ""
    for before, word in pairwise(["", *words]):
        joined = f"{line}, {word.removeprefix('also ')}" if before and line else word
        if line and len(joined) > width:
            yield line
            joined = word
        line = joined
    if line:
        yield line


def _legend(y: float) -> Iterator[str]:
    x = 20.0
    for state, word in (("running", "runs"), ("paused", "paused"), ("exited", "does not run")):
        style = {"running": "box", "paused": "box paused", "exited": "box down"}[state]
        shape = (
            f'<polygon class="{style}" points="{_cut(x, y, 34, 18)}"/>'
            if state == "exited"
            else f'<rect class="{style}" x="{x:.1f}" y="{y:.1f}" width="34" height="18" rx="6"/>'
        )
        yield shape
        yield _text(x + 42, y + 13, word, "dim")
        x += 60 + len(word) * 6.7
    yield _text(x, y + 13, "✗ error", "error")
    yield _text(x + 66, y + 13, "! warning", "warning")
    yield _text(x + 150, y + 13, "blue edge: the host; lines: published ports, further networks", "dim")


def _head(width: float, height: float) -> list[str]:
    size = f'width="{width:.0f}" height="{height:.0f}"'
    box = f'viewBox="0 0 {width:.0f} {height:.0f}"'
    return [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<svg xmlns="http://www.w3.org/2000/svg" class="map" role="img" {size} {box} font-family="monospace" font-size="12">',
        "<title>Networks, containers and published ports</title>",
        f"<style>\n{_STYLE}\n</style>",
        f'<rect class="page" {size}/>',
    ]


def _text(x: float, y: float, value: str, style: str, *, end: bool = False, title: str = "") -> str:
    anchor = ' text-anchor="end"' if end else ""
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}"{anchor}>{title}{html.escape(visible(value))}</text>'
