"""Its check never returns."""

from __future__ import annotations

import threading

from dockernet_doctor.plugin import Case, Check, Finding


def find(case: Case) -> list[Finding]:
    threading.Event().wait()
    return []


check = Check(cause="broken/hangs", title="Hangs", subjects=("container",), find=find)
