"""publish-with-container-mode: `-p` with `--network container:X` is refused: X publishes."""

from __future__ import annotations

from dockernet_doctor.plugin import Check

check = Check(
    cause="publish-with-container-mode",
    title="Publish ports on the container that owns the network namespace",
    subjects=("container",),
    phrases=(
        "conflicting options: port publishing and the container type network mode",
        "conflicting options: port exposing and the container type network mode",
        "conflicting options: hostname and the network mode",
    ),
)
