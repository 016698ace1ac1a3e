"""The exit status: of the report alone, so that it is the same for every format."""

from __future__ import annotations

from dockernet_doctor.diagnosis.finding import SEVERITIES

from .model import FailOn, Report, ReportFinding

CLEAR, FOUND, NOT_EXAMINED = 0, 1, 3


def exit_status(report: Report, *, strict: bool = False) -> int:
    """0 clear, 1 found, 3 something asked for could not be examined; 3 outranks 1.

    `--fail-on` is in the report's invocation; with `never`, neither a finding nor an unreachable path gives 1.
    `strict`: a blind spot counts as not examined.
    """
    if not report.complete or report.verdict == "unknown" or (strict and report.blind_spots):
        return NOT_EXAMINED
    fail_on = report.invocation.fail_on
    if report.verdict in ("unreachable", "partly") and fail_on != "never":
        return FOUND
    return FOUND if any(counts(finding, fail_on) for finding in report.findings) else CLEAR


def counts(finding: ReportFinding, fail_on: FailOn) -> bool:
    """True if this finding alone gives exit status 1. What is only possible never does."""
    if fail_on == "never" or finding.confidence == "possible":
        return False
    return SEVERITIES.index(finding.severity) <= SEVERITIES.index(fail_on)
