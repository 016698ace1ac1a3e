"""The corpus: what the lab's hosts looked like, what was asked of them, and what must be found. Needs no root and no Docker.

    recorded/MODULE.jsonl.xz  a line for each question: case, questions, options, snapshots, and what the network answered
    reports/MODULE.jsonl.xz   a line for each of these: the report, without what changes from run to run
    expected/MODULE.tsv       the truth, for people: case, question, verdict, paths; severity, cause, subject of a finding

The module `constructed` holds what tests in tests/unit build by hand, where the lab has no such host; all others are recorded.
`cases()` are all of them. Three lines list one file:

    import json, lzma
    for line in lzma.open("tests/corpus/recorded/names.jsonl.xz"):
        print(json.loads(line)["case"])

`python -m tests.corpus` lists, shows, compares and accepts; see there. `recorder` says how it is recorded.
"""

from __future__ import annotations

import lzma
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from dockernet_doctor.commands.options import Settings
from dockernet_doctor.commands.reach import question_of
from dockernet_doctor.commands.session import Session
from dockernet_doctor.commands.sources import Source
from dockernet_doctor.diagnosis.run import Diagnosis
from dockernet_doctor.probe.model import Answer
from dockernet_doctor.report.build import build
from dockernet_doctor.snapshot.model import Snapshot

HERE = Path(__file__).parent
RECORDED, REPORTS, EXPECTED = HERE / "recorded", HERE / "reports", HERE / "expected"
SILENT = "silent"


class Case(Struct, frozen=True, kw_only=True):
    """One question, or several of one reading, with all that was known when it was asked.

    case       MODULE/FAULT/STATE@HOST; MODULE is the lab's test file
    questions  SRC DST of reach; none for check
    """

    case: str
    questions: tuple[tuple[str, str], ...] = ()
    subjects: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    repeat: int = 1
    snapshots: tuple[Snapshot, ...]
    answers: tuple[Answer, ...] = ()

    @property
    def key(self) -> str:
        """The case and its question, unique."""
        return f"{self.case} {self.question}"

    @property
    def module(self) -> str:
        return self.case.partition("/")[0]

    @property
    def question(self) -> str:
        """As on the command line; several questions are counted."""
        if len(self.questions) > 1:
            return f"reach, {len(self.questions)} questions"
        words = ("reach", *self.questions[0]) if self.questions else ("check", *self.subjects)
        options = [word for name in ("only", "skip") for value in getattr(self, name) for word in (f"--{name}", value)]
        return shlex.join([*words, *options, *(["--repeat", str(self.repeat)] if self.repeat > 1 else [])])


class Row(Struct, frozen=True, order=True):
    """A line of the table: one finding of a case, or that there is none."""

    case: str
    question: str
    verdict: str
    paths: str
    severity: str
    cause: str
    subject: str


def modules() -> list[str]:
    """The names of the files."""
    return sorted(path.name.partition(".")[0] for path in RECORDED.glob("*.jsonl.xz"))


def cases(*only: str) -> Iterator[Case]:
    """The cases, of all modules or of these."""
    decoder = msgspec.json.Decoder(Case)
    for module in only or modules():
        yield from map(decoder.decode, lines(RECORDED / f"{module}.jsonl.xz"))


def reports(*only: str) -> dict[str, dict[str, Any]]:
    """Key of a case → the report that is stored for it."""
    found = (msgspec.json.decode(line) for module in only or modules() for line in lines(REPORTS / f"{module}.jsonl.xz"))
    return {entry["key"]: entry["report"] for entry in found}


def expected(*only: str) -> dict[str, list[Row]]:
    """Key of a case → the lines that the table has for it, in their order."""
    found: dict[str, list[Row]] = {}
    for module in only or modules():
        for line in (EXPECTED / f"{module}.tsv").read_text().splitlines()[1:]:
            row = Row(*line.split("\t"))
            found.setdefault(f"{row.case} {row.question}", []).append(row)
    return found


def replay(case: Case) -> dict[str, Any]:
    """The report of a case by the code of now, without what changes from run to run."""
    return replayed(case)[1]


def replayed(case: Case) -> tuple[Diagnosis, dict[str, Any]]:
    """The diagnosis of a case by the code of now, and its report without what changes from run to run."""
    sources = [Source(replace(snapshot, source="bundle")) for snapshot in case.snapshots]
    sources[0] = sources[0]._replace(answers=case.answers)
    with Session(Settings(bundle=("the corpus",), only=case.only, skip=case.skip)) as session:
        session._sources = lambda: sources
        diagnosis = session.diagnose(
            [question_of(*question) for question in case.questions],
            asked=bool(case.questions),
            subjects=case.subjects,
            repeat=case.repeat,
        )
        view = build(diagnosis, session.invocation("reach" if case.questions else "check", ()), duration_s=0.0)
    return diagnosis, lasting(msgspec.to_builtins(view.report, str_keys=True))


def lasting(report: dict[str, Any]) -> dict[str, Any]:
    """What of a report is the same from run to run and from release to release."""
    kept = {
        name: value for name, value in report.items() if name not in ("schema", "tool", "taken_at", "duration_s", "invocation")
    }
    return kept | {
        "hosts": [host["name"] for host in report["hosts"]],
        "findings": [{name: value for name, value in finding.items() if name != "origin"} for finding in report["findings"]],
    }


def rows(case: Case, report: dict[str, Any]) -> list[Row]:
    """What the table says of a case with this report: its findings, most urgent first."""
    counted = Counter(path["verdict"] for path in report["paths"])
    paths = ", ".join(f"{number} {verdict}" for verdict, number in sorted(counted.items())) or "-"
    beginning = (case.case, case.question, report["verdict"] or "-", paths)
    found = [Row(*beginning, f["severity"], f["cause"], subject(f["subject"])) for f in report["findings"]]
    return found or [Row(*beginning, "-", SILENT, "-")]


def subject(record: dict[str, str]) -> str:
    """KIND:NAME@HOST, with a space for what would end a field of the table."""
    return " ".join(f"{record['kind']}:{record['name']}@{record['host']}".split())


def write(module: str, of_module: Sequence[tuple[Case, dict[str, Any]]]) -> None:
    """The stored reports and the table of a module, from its cases and what was found."""
    ordered = sorted(of_module, key=lambda pair: pair[0].key)
    EXPECTED.mkdir(exist_ok=True)
    table = [Row.__struct_fields__, *(msgspec.structs.astuple(row) for pair in ordered for row in rows(*pair))]
    (EXPECTED / f"{module}.tsv").write_text("".join("\t".join(line) + "\n" for line in table))
    write_lines(REPORTS / f"{module}.jsonl.xz", ({"key": case.key, "report": report} for case, report in ordered))


def lines(file: Path) -> list[bytes]:
    return lzma.decompress(file.read_bytes()).splitlines()


def write_lines(file: Path, records: Iterable[object]) -> None:
    """A line of JSON for each record; the same records give the same file."""
    file.parent.mkdir(exist_ok=True)
    text = b"".join(msgspec.json.encode(record, order="deterministic") + b"\n" for record in records)
    file.write_bytes(lzma.compress(text, preset=9 | lzma.PRESET_EXTREME))
