"""predefined-network: the three networks that come with Docker are fixed (article rule 34)."""

from __future__ import annotations

from dockernet_doctor.plugin import Check

check = Check(
    cause="predefined-network",
    title="bridge, host and none can be neither removed nor created",
    subjects=("network",),
    phrases=(
        "is a pre-defined network and cannot be removed",
        "operation is not permitted on predefined bridge network",
        "operation is not permitted on predefined host network",
        "network-scoped alias is supported only for containers in user defined networks",
        "user specified ip address is supported on user defined networks only",
        "network-scoped aliases are only supported for user-defined networks",
    ),
    article=(34,),
)
