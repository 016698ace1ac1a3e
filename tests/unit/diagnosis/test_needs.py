"""A cause is clear only where all that its check rests on was seen; checks read no more than they declare."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from dockernet_doctor.commands.placing import placed
from dockernet_doctor.commands.reach import question_of
from dockernet_doctor.diagnosis import registry, run
from dockernet_doctor.diagnosis.needs import PATH, PROBE
from dockernet_doctor.diagnosis.path import HOPS
from dockernet_doctor.diagnosis.run import Diagnosis
from dockernet_doctor.snapshot import bundle
from dockernet_doctor.snapshot.bundle import Bundle
from dockernet_doctor.snapshot.model import AREAS, BlindSpot, Daemon, Snapshot
from tests import corpus
from tests.unit.reads import fresh, recording

ROOT = Path(__file__).parents[3]
RECORDED = [ROOT / "dockernet_doctor" / "demo.bundle.json.gz", *sorted((ROOT / "tests" / "recorded").glob("*.bundle"))]


@pytest.fixture(params=RECORDED, ids=lambda path: path.name)
def recorded(request: pytest.FixtureRequest) -> Bundle:
    return bundle.load(str(request.param))


def diagnosed(loaded: Bundle, snapshot: Snapshot | None = None) -> Diagnosis:
    answers = {answer.probe: answer for answer in loaded.answers}
    return run.diagnose([snapshot or loaded.snapshot], registry=registry.load(), recorded=answers)


def test_needs_are_areas_hops_or_probes() -> None:
    for cause, entry in registry.load().registered.items():
        assert set(entry.check.needs) <= {*AREAS, *HOPS, PROBE, PATH}, cause


BEYOND_THE_CORPUS = {
    "container-unhealthy": {"answer"},
    "duplicate-node-name": {"store"},
    "swarm-advertise-wrong": {"link"},
}
"""Needs of branches that snapshots made by hand reach, in tests/unit/checks, and no recorded host."""


def test_checks_read_what_they_declare_and_nothing_else() -> None:
    """In each recorded case no more, and over all of them everything."""
    checks = {cause: entry.check for cause, entry in registry.load().registered.items() if entry.check.find}
    found: dict[str, set[str]] = {cause: set() for cause in checks}
    for case in corpus.cases():
        asked = diagnosis_of(case).case
        for cause, check in checks.items():
            again = fresh(asked)
            assert check.find
            with recording(case.snapshots) as read:
                list(check.find(again))
            assert read <= with_earlier_hops(check.needs), f"{case.key}: {cause}"
            found[cause] |= read
    unread = {cause: {*check.needs} - found[cause] - {PROBE, PATH} for cause, check in checks.items()}
    assert {cause: needs for cause, needs in unread.items() if needs} == BEYOND_THE_CORPUS


def with_earlier_hops(needs: tuple[str, ...]) -> set[str]:
    last = max((HOPS.index(need) for need in needs if need in HOPS), default=-1)
    return {*needs, *HOPS[: last + 1]}


def diagnosis_of(case: corpus.Case) -> Diagnosis:
    questions = placed([question_of(*question) for question in case.questions], case.snapshots)
    return run.diagnose(
        case.snapshots,
        questions,
        registry=registry.load(),
        recorded={answer.probe: answer for answer in case.answers},
        asked=bool(questions),
        subjects=case.subjects,
        repetitions=case.repeat,
    )


def test_no_cause_is_clear_that_rests_on_what_was_hidden(recorded: Bundle) -> None:
    whole = recorded.snapshot
    containers = tuple(replace(container, sandbox=None) for container in whole.containers)
    snapshot = replace(whole, host=None, daemon=Daemon(), containers=containers, blind_spots=())
    results = {check.cause: check.result for check in diagnosed(recorded, snapshot).checks}
    hidden = {area for area in AREAS if area not in ("engine", "store")}
    for cause, entry in registry.load().registered.items():
        if hidden & {*(entry.check.needs or AREAS)} and not entry.check.explain_only:
            assert results[cause] in ("not-examined", "found"), cause


def test_a_blind_spot_hides_what_needs_it(recorded: Bundle) -> None:
    spot = BlindSpot(area="host.log", what="the kernel's log", why="Operation not permitted")
    found = diagnosed(recorded, replace(recorded.snapshot, blind_spots=(spot,)))
    (told,) = (s for s in found.blind_spots if s.spot == spot)
    assert {"lsm-denies-network", "conntrack-table-full"} <= set(told.hides)
    assert "bridge-down" not in told.hides
    results = {check.cause: check.result for check in found.checks}
    assert all(results[cause] in ("not-examined", "found", "skipped") for cause in told.hides)


def test_the_core_knows_no_cause() -> None:
    causes = registry.load().registered
    assert [f"{path}: {word}" for path, word in words_of_the_core() if word in causes] == []


def words_of_the_core() -> Iterator[tuple[Path, str]]:
    for path in sorted((ROOT / "dockernet_doctor").rglob("*.py")):
        for word in re.findall(r"[a-z0-9]+(?:-[a-z0-9]+)+", path.read_text(encoding="utf-8")):
            yield path, word
