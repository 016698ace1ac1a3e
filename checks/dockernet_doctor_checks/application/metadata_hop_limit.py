"""metadata-hop-limit: 169.254.169.254 answers with a TTL of 1, which does not cross the bridge."""

from __future__ import annotations

from dockernet_doctor.plugin import Check

check = Check(
    cause="metadata-hop-limit",
    title="The cloud metadata service answers the host only",
    subjects=("host",),
    phrases=(
        "metadata service not reachable",
        "unable to locate credentials",
        "ec2metadata failed to make ec2metadata request",
        "no ec2 imds role found",
    ),
)
