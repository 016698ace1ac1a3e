"""The map as graphs for other programs: a Mermaid flowchart, a Graphviz graph. Both draw the boxes of `map_boxes`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import count

from . import map_boxes
from .map_boxes import Box, Cell
from .map_model import Map, MapFinding, mark, of_the_host
from .model import ReportHost
from .words import visible

_OUT, _HERE = "other machines", "the host itself"


class _Host:
    """The boxes of one host, and the lines between them. Each has a short, safe id; names stay in labels."""

    def __init__(self, picture: Map, host: ReportHost, numbers: dict[str, Iterator[int]]) -> None:
        self.id = f"h{next(numbers['h'])}"
        self.here = f"{self.id}here"
        self.boxes = [
            (f"n{next(numbers['n'])}", box, [(f"c{next(numbers['c'])}", cell) for cell in box.cells])
            for box in map_boxes.boxes(picture, host.name)
        ]
        self.title = _label(map_boxes.title_of(host), findings=of_the_host(picture, host.name))

    def cells(self) -> Iterator[tuple[str, Cell]]:
        for _, _, cells in self.boxes:
            yield from cells

    def ports(self) -> Iterator[tuple[str, str, bool]]:
        """The cell, what is published of it, and whether other machines get there."""
        for node, cell in self.cells():
            for label, outside in cell.ports:
                yield node, label, outside

    def is_dialled(self, *, outside: bool) -> bool:
        """True where others, or the host itself, get to a published port of it."""
        return any(found is outside for _, _, found in self.ports())

    def lines(self) -> Iterator[tuple[str, str, str]]:
        """The cell, the box of a further network of its, its address there."""
        known = {box.name: node for node, box, _ in self.boxes}
        for node, cell in self.cells():
            for network, address in cell.others:
                yield node, known[network], address


def _hosts(picture: Map) -> list[_Host]:
    numbers: dict[str, Iterator[int]] = defaultdict(count)
    return [_Host(picture, host, numbers) for host in picture.hosts]


def _label(*parts: str, findings: tuple[MapFinding, ...]) -> list[str]:
    return [*filter(None, parts), *map(mark, findings)]


def _rest(box: Box) -> list[str]:
    """What stands in a box without a cell of its own."""
    return list(box.also) or ["nobody"]


# --- Mermaid


def mermaid(picture: Map) -> str:
    """A flowchart: other machines → containers in the boxes of their networks."""
    hosts = _hosts(picture)
    lines = ["flowchart LR"]
    if any(host.is_dialled(outside=True) for host in hosts):
        lines.append(f'  out(("{_OUT}"))')
    styles: dict[str, list[str]] = {"fault": [], "paused": [], "down": []}
    for host in hosts:
        lines.append(f"  subgraph {host.id}[{_mermaid(host.title)}]")
        if host.is_dialled(outside=False):
            lines.append(f'    {host.here}(("{_HERE}"))')
        for node, box, cells in host.boxes:
            lines.append(f"    subgraph {node}[{_mermaid(_label(box.name, box.facts, findings=box.findings))}]")
            lines += [f"      {inside}{_mermaid_shape(cell)}" for inside, cell in cells]
            lines += [] if cells else [f"      {node}rest[{_mermaid(_rest(box))}]"]
            lines.append("    end")
            styles["fault"] += [node] if box.is_faulty else []
        lines.append("  end")
        for node, cell in host.cells():
            styles["fault"] += [node] if cell.is_faulty else []
            styles["paused" if cell.is_up else "down"] += [node] if cell.state != "running" else []
    for host in hosts:
        for node, label, outside in host.ports():
            lines.append(f"  {'out -->' if outside else f'{host.here} -.->'}|{_mermaid([label])}| {node}")
        for node, network, address in host.lines():
            lines.append(f"  {node} ---|{_mermaid([address])}| {network}" if address else f"  {node} --- {network}")
    drawn = {
        "fault": "stroke:#b3261e,stroke-width:3px",
        "paused": "stroke-dasharray:7 4",
        "down": "stroke-dasharray:2 3",
    }
    for style, nodes in styles.items():
        lines += [f"  classDef {style} {drawn[style]}", f"  class {','.join(nodes)} {style}"] if nodes else []
    return "\n".join(lines) + "\n"


def _mermaid_shape(cell: Cell) -> str:
    """Round where it is up, with cut corners where it is not."""
    label = _mermaid(_label(cell.title, *cell.lines, findings=cell.findings))
    return f"({label})" if cell.is_up else f"{{{{{label}}}}}"


def _mermaid(parts: list[str]) -> str:
    """Quoted. Mermaid reads labels as HTML, with `#` as the mark of its own entities."""
    safe = (
        "".join(char if char.isalnum() or char in " .,:;/()[]→✗-_@*+=!?" else f"#{ord(char)};" for char in visible(part))
        for part in parts
    )
    return f'"{"<br/>".join(safe)}"'


# --- DOT


def dot(picture: Map) -> str:
    """A Graphviz graph; its boxes are clusters, with an invisible point in each where lines to the network end."""
    hosts = _hosts(picture)
    font = '[fontname="sans-serif"];'
    lines = ["digraph networks {", "  rankdir=LR; compound=true;", f"  graph {font}", f"  node {font}", f"  edge {font}"]
    if any(host.is_dialled(outside=True) for host in hosts):
        lines.append(f'  out [shape=doublecircle, label="{_OUT}"];')
    for host in hosts:
        lines += [f"  subgraph cluster_{host.id} {{", f"    label={_dot(host.title)};"]
        if host.is_dialled(outside=False):
            lines.append(f'    {host.here} [shape=doublecircle, label="{_HERE}"];')
        for node, box, cells in host.boxes:
            title = _label(box.name, box.facts, findings=box.findings)
            red = " color=red; penwidth=2;" if box.is_faulty else ""
            lines += [f"    subgraph cluster_{node} {{", f"      label={_dot(title)};{red}"]
            lines.append(f"      {node} [shape=point, style=invis];")
            lines += [f"      {inside} [{_dot_shape(cell)}];" for inside, cell in cells]
            lines += [] if cells else [f"      {node}rest [shape=plaintext, label={_dot(_rest(box))}];"]
            lines.append("    }")
        lines.append("  }")
    for host in hosts:
        for node, label, outside in host.ports():
            style = "" if outside else ", style=dashed"
            lines.append(f"  {'out' if outside else host.here} -> {node} [label={_dot([label])}{style}];")
        for node, network, address in host.lines():
            lines.append(f"  {node} -> {network} [dir=none, lhead=cluster_{network}, label={_dot([address])}];")
    return "\n".join([*lines, "}"]) + "\n"


def _dot_shape(cell: Cell) -> str:
    """Round where it is up, dashed where it is paused, with cut corners and dotted where it is not up."""
    shape = "box" if cell.is_up else "octagon"
    style = "rounded" if cell.state == "running" else '"rounded,dashed"' if cell.is_up else "dotted"
    red = ", color=red, penwidth=2" if cell.is_faulty else ""
    return f"shape={shape}, style={style}{red}, label={_dot(_label(cell.title, *cell.lines, findings=cell.findings))}"


def _dot(parts: list[str]) -> str:
    safe = (visible(part).replace("\\", "\\\\").replace('"', '\\"') for part in parts)
    return '"' + "\\n".join(safe) + '"'
