"""Its finding has a severity that does not exist."""

from __future__ import annotations

from dockernet_doctor.plugin import Case, Check, Finding, Subject


def find(case: Case) -> list[Finding]:
    (facts,) = case.hosts
    subject = Subject(kind="host", name=facts.name, host=facts.name)
    return [Finding(severity="fatal", confidence="proven", subject=subject, summary="All is lost.")]  # type: ignore[arg-type]


check = Check(cause="broken/severe", title="Severe", subjects=("host",), find=find)
