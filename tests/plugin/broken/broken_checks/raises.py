"""Its check raises."""

from __future__ import annotations

from dockernet_doctor.plugin import Case, Check, Finding


def find(case: Case) -> list[Finding]:
    raise RuntimeError("the moon is full")


check = Check(cause="broken/raises", title="Raises", subjects=("container",), find=find)
