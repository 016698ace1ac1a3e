"""port-range-unequal: `-p 8000-8003:80-81` is refused (article rule 12)."""

from __future__ import annotations

from dockernet_doctor.plugin import Check

check = Check(
    cause="port-range-unequal",
    title="Ranges of host and container ports must be of equal length",
    subjects=("port",),
    phrases=(
        "invalid ranges specified for container and host ports",
        "invalid range format for --expose",
    ),
    article=(12,),
)
