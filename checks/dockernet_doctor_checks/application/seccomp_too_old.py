"""seccomp-too-old: libseccomp before 2.4.2 on 32-bit ARM: names and dates fail inside."""

from __future__ import annotations

from dockernet_doctor.plugin import Check

check = Check(
    cause="seccomp-too-old",
    title="An old libseccomp blocks system calls of new images",
    subjects=("host",),
    phrases=(
        "bad address",
        "bad certificate date 1970",
        "certificate is not yet valid",
        "at least one invalid signature was encountered",
    ),
)
