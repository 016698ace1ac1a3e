"""network-has-active-endpoints: a network is removed after its last container has left it (article rule 27)."""

from __future__ import annotations

from dockernet_doctor.plugin import Check

check = Check(
    cause="network-has-active-endpoints",
    title="A network with containers cannot be removed",
    subjects=("network",),
    phrases=(
        "network … has active endpoints",
        "error while removing network",
        "has active endpoints",
    ),
    article=(27,),
)
