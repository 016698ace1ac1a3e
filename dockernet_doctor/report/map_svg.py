"""The map as SVG: the boxes of `map_boxes` on a plain grid, published ports at the host's edge.

A container's state shows by the shape and by a word; findings are red where they belong. Valid XML, no script, the reader's
fonts, light and dark.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from itertools import pairwise

from . import map_boxes
from .map_boxes import Box, Cell
from .map_model import Map, MapFinding, mark, of_the_host
from .words import visible

_ROW, _PAD = 16, 8  # pixels: a line of text, inside a box
_GAP, _LANE = 22, 9  # between boxes, between lines that run side by side
_CHAR = 7.3  # width of a character of the 12 px monospace that the picture uses
_WIDTH = 1000  # that the grid tries to keep to
_LONGEST = 34  # characters of a line in a box

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


def svg(picture: Map) -> str:
    """The whole picture, one host below the other."""
    body: list[str] = []
    y, width = 10.0, 320.0
    for host in picture.hosts:
        drawn = _Host(picture, host.name)
        parts, bottom, right = drawn.parts(y, map_boxes.title_of(host))
        body += parts
        y, width = bottom + _GAP, max(width, right)
    body += _legend(y + 4)
    return "\n".join([*_head(max(width, 700), y + 2 * _ROW + 8), *body, "</svg>"]) + "\n"


class _Host:
    """Lays out one host: columns and widths are the same in all of its networks."""

    def __init__(self, picture: Map, host: str) -> None:
        self._boxes = tuple(map_boxes.boxes(picture, host))
        self._findings = of_the_host(picture, host)
        cells = [cell for box in self._boxes for cell in box.cells]
        labels = [label for cell in cells for label, _ in cell.ports]
        widest = max((len(line) for cell in cells for line in _texts(cell)), default=10)
        self._cell = min(widest, _LONGEST) * _CHAR + 2 * _PAD
        self._edge = 24 + max((len(visible(label)) for label in labels), default=0) * 6.7
        lanes = len({other for cell in cells for other, _ in cell.others})
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

    def _box(self, box: Box, top: float) -> tuple[list[str], float, list[tuple[float, float, str]]]:
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
            height = max(_ROW * labels + _PAD, *(_height(cell) for _, cell in row))
            for column, cell in row:
                x = self._left + _GAP + column * (self._cell + _GAP)
                inside += _drawn(cell, x, y, self._cell)
                for index, (other, _) in enumerate(cell.others):
                    starts.append((x + self._cell - 10 - 6 * index, y + height + 6 + 3 * (column + index), other))
                    gap = f"M{x + self._cell - 10 - 6 * index:.1f} {y + _height(cell):.1f} V{y + height:.1f}"
                    inside.append(f'<path class="line" d="{gap}"/>')
            y += height + _GAP
        size = f'width="{self._inner:.1f}" height="{y - top:.1f}"'
        frame = f'<rect class="network" x="{self._left:.1f}" y="{top:.1f}" {size} rx="6"/>'
        return [frame, *inside], y, starts

    def _at_the_edge(self, row: Sequence[tuple[int, Cell]], y: float) -> Iterator[str]:
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


def _grid(cells: Sequence[Cell], columns: int) -> Iterator[list[tuple[int, Cell]]]:
    """Rows of (column, cell); those with published ports come first."""
    ordered = sorted(cells, key=lambda cell: not cell.ports)
    for start in range(0, len(ordered), columns):
        yield list(enumerate(ordered[start : start + columns]))


def _height(cell: Cell) -> float:
    return _ROW * (1 + len(cell.lines) + len(cell.findings)) + 2 * _PAD


def _texts(cell: Cell) -> Iterator[str]:
    yield visible(cell.title)
    yield from (visible(line) for line in cell.lines)
    yield from map(mark, cell.findings)


def _drawn(cell: Cell, x: float, y: float, width: float) -> Iterator[str]:
    """Rounded and whole: it runs; dashed: paused; with cut corners and dotted: it does not run."""
    style = ["box", *(["bad"] if cell.is_faulty else [])]
    said = "; ".join([f"{cell.name}: {cell.state}", *(finding.summary for finding in cell.findings)])
    yield f"<g><title>{html.escape(visible(said))}</title>"
    if cell.is_up:
        style += ["paused"] if cell.state != "running" else []
        size = f'width="{width:.1f}" height="{_height(cell):.1f}"'
        yield f'<rect class="{" ".join(style)}" x="{x:.1f}" y="{y:.1f}" {size} rx="8"/>'
    else:
        corners = _cut(x, y, width, _height(cell))
        yield f'<polygon class="{" ".join([*style, "down"])}" points="{corners}"/>'
    below = y + _PAD + 10
    yield _text(x + _PAD, below, _short(cell.title), "name")
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
    title = f"<title>{html.escape(visible(finding.summary))}</title>"
    return _text(x, y, mark(finding), finding.severity, title=title)


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
