"""The exit statuses of the design."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from dockernet_doctor.diagnosis.finding import Confidence, Severity
from dockernet_doctor.diagnosis.run import Diagnosis
from dockernet_doctor.report.model import FailOn
from dockernet_doctor.report.status import exit_status

from .cases import BROKEN_PATH, GOOD_PATH, LOG_SPOT, LOOPBACK, UNKNOWN_PATH, diagnosis, view


def status(made: Diagnosis, fail_on: FailOn = "error", *, strict: bool = False) -> int:
    return exit_status(view(made, fail_on=fail_on).report, strict=strict)


@pytest.mark.parametrize(
    ("severity", "confidence", "fail_on", "expected"),
    [
        ("error", "proven", "error", 1),
        ("error", "likely", "error", 1),
        ("error", "possible", "error", 0),
        ("error", "proven", "never", 0),
        ("warning", "proven", "error", 0),
        ("warning", "proven", "warning", 1),
        ("info", "proven", "warning", 0),
        ("info", "proven", "info", 1),
        ("info", "possible", "info", 0),
    ],
)
def test_a_finding_at_or_above_fail_on_gives_1(
    severity: Severity, confidence: Confidence, fail_on: FailOn, expected: int
) -> None:
    finding = replace(LOOPBACK, severity=severity, confidence=confidence)
    assert status(diagnosis([finding]), fail_on) == expected


def test_nothing_found_gives_0() -> None:
    assert status(diagnosis()) == 0


def test_not_examined_outranks_found() -> None:
    assert status(diagnosis([LOOPBACK], complete=False)) == 3


def test_strict_takes_a_blind_spot_for_not_examined() -> None:
    made = diagnosis(blind_spots=[LOG_SPOT])
    assert status(made) == 0
    assert status(made, strict=True) == 3


def test_the_verdict_of_reach_decides() -> None:
    assert status(diagnosis(paths=[GOOD_PATH])) == 0
    assert status(diagnosis(paths=[BROKEN_PATH])) == 1
    assert status(diagnosis(paths=[BROKEN_PATH]), "never") == 0
    assert status(diagnosis(paths=[BROKEN_PATH, GOOD_PATH])) == 1
    assert status(diagnosis(paths=[UNKNOWN_PATH])) == 3


def test_reach_that_only_a_possible_finding_explains_is_still_unreachable() -> None:
    assert status(diagnosis([replace(LOOPBACK, confidence="possible")], paths=[BROKEN_PATH])) == 1
