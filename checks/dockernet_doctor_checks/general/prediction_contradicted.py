"""prediction-contradicted: the probe says otherwise than the snapshot, in either direction."""

from __future__ import annotations

from dockernet_doctor.plugin import Check

check = Check(
    cause="prediction-contradicted",
    title="What was predicted and what was seen disagree",
    subjects=(
        "container",
        "destination",
    ),
    phrases=("prediction contradicted",),
)
