"""Mermaid and DOT draw the boxes of the grid: both are read back by small parsers that accept what `map_graph` writes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from dockernet_doctor.__main__ import run
from dockernet_doctor.report.map_boxes import FOLDED_FROM
from dockernet_doctor.snapshot import bundle
from dockernet_doctor.snapshot.model import Compose

from .cases import SNAPSHOT, WEB

Capture = pytest.CaptureFixture[str]


class Graph:
    """What was read: nodes and boxes by their ids, with their labels' lines and the boxes around them, outermost first."""

    def __init__(self) -> None:
        self.labels: dict[str, list[str]] = {}
        self.around: dict[str, tuple[str, ...]] = {}
        self.lines: set[tuple[str, str, str]] = set()
        self._open: list[str] = []

    def add(self, id_: str, label: list[str]) -> None:
        assert id_ not in self.labels
        self.labels[id_], self.around[id_] = label, tuple(self._open)

    def open(self, id_: str, label: list[str]) -> None:
        self.add(id_, label)
        self._open.append(id_)

    def close(self) -> None:
        self._open.pop()

    def done(self) -> Graph:
        assert self._open == []
        assert all(end in self.labels for line in self.lines for end in line[:2])
        return self

    def title(self, id_: str) -> str:
        return re.sub(r" \((?:exited|created|paused)\)$", "", self.labels[id_][0])

    def boxes(self) -> dict[tuple[str, ...], set[str]]:
        """The titles of host and network → what stands in there."""
        found: dict[tuple[str, ...], set[str]] = {}
        for id_, around in self.around.items():
            if len(around) == 2:
                found.setdefault(tuple(map(self.title, around)), set()).add(self.title(id_))
        return found

    def titled_lines(self) -> set[tuple[str, str, str]]:
        return {(self.title(a), self.title(b), label) for a, b, label in self.lines}


def mermaid(text: str) -> Graph:
    graph = Graph()
    first, *rest = text.splitlines()
    assert first == "flowchart LR"
    for line in map(str.strip, rest):
        if match := re.fullmatch(r'subgraph (\w+)\["([^"]+)"\]', line):
            graph.open(match[1], match[2].split("<br/>"))
        elif line == "end":
            graph.close()
        elif match := re.fullmatch(r'(\w+)(?:\(\("([^"]+)"\)\)|\("([^"]+)"\)|\{\{"([^"]+)"\}\}|\["([^"]+)"\])', line):
            graph.add(match[1], next(filter(None, match.groups()[1:])).split("<br/>"))
        elif match := re.fullmatch(r'(\w+) (?:-->|-\.->|---)(?:\|"([^"]*)"\|)? (\w+)', line):
            graph.lines.add((match[1], match[3], match[2] or ""))
        else:
            assert re.fullmatch(r"class(?:Def)? [\w,]+ [\w:#,-]+(?: \d+)?", line), line
    return graph.done()


def dot(text: str) -> Graph:
    graph = Graph()
    first, *rest, last = text.splitlines()
    assert (first, last) == ("digraph networks {", "}")
    waiting = ""  # the cluster whose label comes next
    for line in map(str.strip, rest):
        label = re.search(r'\blabel="((?:\\.|[^"\\])*)"', line)
        words = label[1].split(r"\n") if label else []
        if match := re.fullmatch(r"subgraph cluster_(\w+) \{", line):
            waiting = match[1]
        elif waiting and line.startswith("label="):
            graph.open(waiting, words)
            waiting = ""
        elif line == "}":
            graph.close()
        elif match := re.fullmatch(r"(\w+) -> (\w+) \[.*\];", line):
            graph.lines.add((match[1], match[2], words[0]))
            assert ("lhead=" not in line) or f"lhead=cluster_{match[2]}," in line
        elif (match := re.fullmatch(r"(\w+) \[.*\];", line)) and label:
            graph.add(match[1], words)
        else:
            assert re.fullmatch(r'rankdir=LR; compound=true;|(?:graph|node|edge) \[fontname="sans-serif"\];|n\d+ \[.*\];', line)
    return graph.done()


FORMATS = pytest.mark.parametrize(("name", "read"), [("mermaid", mermaid), ("dot", dot)])


@FORMATS
def test_containers_stand_in_the_box_of_their_first_network(name: str, read: Callable[[str], Graph], capsys: Capture) -> None:
    assert run(["demo", "map", "--format", name]) == 0
    graph = read(capsys.readouterr().out)
    assert run(["demo", "map", "--format", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    host = f"host {shown['hosts'][0]['name']}, Docker {shown['hosts'][0]['engine']['version']}"
    boxes: dict[tuple[str, ...], set[str]] = {}
    for container in shown["containers"]:
        boxes.setdefault((host, container["attachments"][0]["network"]), set()).add(container["name"])
    assert graph.boxes() == boxes
    ports = {(c["name"], p["host_port"], p["port"]) for c in shown["containers"] for p in c["ports"] if p["host_port"]}
    lines = graph.titled_lines()
    assert {(b, *map(int, re.findall(r":(\d+) → (\d+)/", label)[0])) for _, b, label in lines if "→" in label} == ports
    assert {line for line in lines if "→" not in line[2]} == {("api", "front", "172.20.0.2")}
    assert {a for a, b, _ in lines if b == "admin"} == {"the host itself"}  # published on 127.0.0.1
    assert {a for a, b, _ in lines if b == "web"} == {"other machines"}
    marks = {graph.title(id_): {m for m in label if m[0] in "✗!"} for id_, label in graph.labels.items()}
    assert marks["search"] == {"✗ container-paused", "! sensitive-port-exposed"}
    assert {(f["container"] or host, f["cause"]) for f in shown["findings"]} == {
        (title, mark[2:]) for title, found in marks.items() for mark in found
    }


@FORMATS
def test_a_hundred_containers_are_folded_and_hosts_are_boxes(
    name: str, read: Callable[[str], Graph], tmp_path: Path, capsys: Capture
) -> None:
    many = tuple(
        replace(WEB, name=f"shop-web-{i}", id=f"{i:064x}", ports=(), compose=Compose(project="shop", service="web"))
        for i in range(FOLDED_FROM)
    )
    words = []
    for index, snapshot in enumerate((replace(SNAPSHOT, containers=many), SNAPSHOT)):
        path = str(tmp_path / f"{index}.bundle")
        bundle.save(path, bundle.Bundle(snapshot=snapshot))
        words += ["--bundle", path]
    assert run(["map", *words, "--format", name]) == 0
    boxes = read(capsys.readouterr().out).boxes()
    assert len({host for host, _ in boxes}) == 2
    assert {"shop"} in boxes.values()
    assert any(WEB.name in members for members in boxes.values())
