"""Its check prints."""

from __future__ import annotations

from dockernet_doctor.plugin import Case, Check, Finding


def find(case: Case) -> list[Finding]:
    print("broken: printed")
    return []


check = Check(cause="broken/prints", title="Prints", subjects=("container",), find=find)
