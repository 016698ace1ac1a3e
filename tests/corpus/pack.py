"""Makes the corpus of what `recorder` wrote: `pack(DIR)`; `pack(DIR, add=True)` adds to the corpus that there is.

Kept is what tests recorded that passed. A question asked again in the same state with the same answer is one case; so is one
that the newest engine answers as the older ones do. What tells of the machine that the lab ran on is replaced.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec

from tests.corpus import RECORDED, Case, cases, lasting, replay, reports, rows, write, write_lines
from tests.lab.packages import ENGINES

_OF_THE_MACHINE = (
    (re.compile(rb"/dnd-\d+-[0-9a-f]+"), b"/lab"),  # the cgroup of one lab
    (re.compile(rb'("machine_id": ?)"[0-9a-f]+"'), rb'\1"0123456789abcdef0123456789abcdef"'),
    (re.compile(rb'("kernel": ?"\d+\.\d+\.\d+)[^"]*'), rb"\1"),
)
_TEST = re.compile(r"test_(?P<module>\w+)\.py::test_(?P<function>\w+)(\[(?P<values>.*)\])?")


class _Recording(NamedTuple):
    """One diagnosis: `what` of which test, in which `state`, on which host of the lab, by which engine."""

    module: str
    what: str
    state: str
    host: str
    engine: str
    made: dict[str, Any]

    def case(self, state: str) -> Case:
        fields = self.made | self.made["options"] | {"case": f"{self.module}/{self.what}/{state}@{self.host}"}
        return msgspec.convert({name: fields[name] for name in Case.__struct_fields__ if name in fields}, Case)


def pack(directory: Path, *, add: bool = False) -> list[str]:
    """Writes recorded/, reports/ and expected/ of the modules recorded; with `add`, the cases that these hold stay as they are.
    Returns the new cases whose replay finds other things than the tool found on the live host."""
    stored = reports() if add else {}
    there = [(case, stored[case.key]) for case in cases() if add]
    new, differing = [], []
    for case, live in _chosen(directory, there):
        report = replay(case)
        new.append((case, report))
        if rows(case, live) != rows(case, report):
            differing.append(case.key)
    for module in {case.module for case, _report in new}:
        pairs = sorted((pair for pair in (*there, *new) if pair[0].module == module), key=lambda pair: pair[0].key)
        write_lines(RECORDED / f"{module}.jsonl.xz", (case for case, _report in pairs))
        write(module, pairs)
    return differing


def _chosen(directory: Path, there: list[tuple[Case, dict[str, Any]]]) -> Iterator[tuple[Case, dict[str, Any]]]:
    """Each case that is kept beside those that are there, with what the tool reported on the live host."""
    taken = {case.key for case, _report in there}
    seen = {_said(case, report) for case, report in there}
    for recording in _recordings(directory):
        case, live = recording.case(recording.state), lasting(recording.made["report"])
        said = _said(case, live)
        if said in seen:
            continue
        seen.add(said)
        number = 1
        while case.key in taken:
            number += 1
            case = recording.case(f"{recording.state or 'asked'}-{number}")
        taken.add(case.key)
        yield case, live


def _said(case: Case, report: dict[str, Any]) -> str:
    """Equal for two cases that show the same: asked again in the same state (its number aside), or of another engine."""
    found = [(row.verdict, row.paths, row.severity, row.cause, row.subject) for row in rows(case, report)]
    text = repr((re.sub(r"-\d+@", "@", case.case), case.question, found))
    return re.sub("|".join(map(re.escape, ENGINES)), "ENGINE", text)  # the lab's long-lived hosts are called by their engine


def _recordings(directory: Path) -> Iterator[_Recording]:
    """All of them, those of the newest engine first."""
    tests = [(_engine(test.name), test) for test in directory.iterdir() if (test / "passed").exists()]
    for engine, test in sorted(tests, key=lambda pair: (-ENGINES.index(pair[0]), pair[1].name)):
        match = _TEST.fullmatch(unquote(test.name))
        assert match, test
        values = "-".join(value for value in (match["values"] or "").split("-") if value != engine)
        for file in sorted(test.glob("*.json")):
            _number, said, host = file.stem.split(":")
            fault, _, state = unquote(said).rpartition(" ")
            what = fault or "-".join(filter(None, (match["function"], values)))
            for made in msgspec.json.decode(anonymous(file.read_bytes())):
                yield _Recording(match["module"], what, state or "asked", host, engine, made)


def anonymous(recorded: bytes) -> bytes:
    """JSON without what only tells on whose machine the lab ran."""
    for pattern, replacement in _OF_THE_MACHINE:
        recorded = pattern.sub(replacement, recorded)
    return recorded


def _engine(test: str) -> str:
    return next((engine for engine in ENGINES if re.search(rf"[\[-]{engine}[\]-]", test)), ENGINES[-1])
