"""Makes the corpus of what `recorder` wrote: `pack(DIR)`.

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

from tests.corpus import RECORDED, Case, lasting, replay, rows, write, write_lines
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


def pack(directory: Path) -> list[str]:
    """Writes recorded/, reports/ and expected/ of the modules recorded. Returns the cases whose replay finds other things than
    the tool found on the live host."""
    of_module: dict[str, list[tuple[Case, dict[str, Any]]]] = {}
    differing = []
    for case, live in _chosen(directory):
        report = replay(case)
        of_module.setdefault(case.module, []).append((case, report))
        if rows(case, live) != rows(case, report):
            differing.append(f"{case.case} {case.question}")
    for module, pairs in of_module.items():
        pairs.sort(key=lambda pair: pair[0].key)
        write_lines(RECORDED / f"{module}.jsonl.xz", (case for case, _report in pairs))
        write(module, pairs)
    return differing


def _chosen(directory: Path) -> Iterator[tuple[Case, dict[str, Any]]]:
    """Each case that is kept, with what the tool reported on the live host."""
    seen: set[tuple[str, ...]] = set()
    taken: set[str] = set()
    for recording in _recordings(directory):
        case, live = recording.case(recording.state), lasting(recording.made["report"])
        said = repr([(row.verdict, row.paths, row.severity, row.cause, row.subject) for row in rows(case, live)])
        # the lab's long-lived hosts are called by their engine
        same = tuple(text.replace(recording.engine, "ENGINE") for text in (*recording[:4], case.question, said))
        if same in seen:
            continue
        seen.add(same)
        number = 1
        while case.key in taken:
            number += 1
            case = recording.case(f"{recording.state or 'asked'}-{number}")
        taken.add(case.key)
        yield case, live


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
