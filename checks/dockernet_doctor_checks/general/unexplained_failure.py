"""unexplained-failure: what was seen, with no cause invented."""

from __future__ import annotations

from dockernet_doctor.plugin import Check

check = Check(
    cause="unexplained-failure",
    title="Something fails and nothing that was read explains it",
    subjects=(
        "container",
        "destination",
    ),
    phrases=("unexplained failure",),
)
