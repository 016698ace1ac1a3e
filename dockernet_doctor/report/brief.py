"""`--brief`: of a report only what a chat, a pager or a small model needs."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from dockernet_doctor.diagnosis.finding import Confidence, Severity
from dockernet_doctor.diagnosis.path import Verdict

from .model import Report, ReportFinding

_LONGEST = 200  # characters of the commands of a fix; what is longer is left to the report


class BriefFix(Struct, frozen=True, kw_only=True):
    summary: str
    commands: tuple[str, ...]  # () where there are none, or they are too long


class BriefFinding(Struct, frozen=True, kw_only=True):
    id: str
    severity: Severity
    summary: str
    confidence: Confidence
    fix: BriefFix | None


class Brief(Struct, frozen=True, kw_only=True):
    schema: Literal["dockernet-doctor/brief/1"]
    taken_at: str
    complete: bool
    verdict: Verdict | None
    findings: tuple[BriefFinding, ...]


def of(report: Report) -> Brief:
    """Findings in the order of the report."""
    return Brief(
        schema="dockernet-doctor/brief/1",
        taken_at=report.taken_at,
        complete=report.complete,
        verdict=report.verdict,
        findings=tuple(map(_finding, report.findings)),
    )


def _finding(finding: ReportFinding) -> BriefFinding:
    first = finding.fixes[0] if finding.fixes else None
    commands = first.commands if first and first.runnable and sum(map(len, first.commands)) <= _LONGEST else ()
    return BriefFinding(
        id=finding.id,
        severity=finding.severity,
        summary=finding.summary,
        confidence=finding.confidence,
        fix=BriefFix(summary=first.summary, commands=commands) if first else None,
    )
