"""Takes one of our causes."""

from __future__ import annotations

from dockernet_doctor.plugin import Case, Check, Finding


def find(case: Case) -> list[Finding]:
    return []


check = Check(cause="no-listener", title="Ours", subjects=("port",), find=find)
