"""prediction-contradicted: the probe answered where the snapshot said it could not."""

from __future__ import annotations

from dockernet_doctor.plugin import Check

check = Check(
    cause="prediction-contradicted",
    title="It works although something was predicted to stand in the way",
    subjects=(
        "container",
        "destination",
    ),
    phrases=("prediction contradicted",),
)
