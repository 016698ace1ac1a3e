"""Offers the cause of a neighbour again."""

from __future__ import annotations

from dockernet_doctor.plugin import Case, Check, Finding


def find(case: Case) -> list[Finding]:
    return []


check = Check(cause="broken/raises", title="Raises again", subjects=("container",), find=find)
