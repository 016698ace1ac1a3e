"""host-network-fixed: mode host is chosen at creation; nothing joins or leaves it afterwards (article rule 32)."""

from __future__ import annotations

from dockernet_doctor.plugin import Check

check = Check(
    cause="host-network-fixed",
    title="The network host can be neither joined nor left",
    subjects=("container",),
    phrases=(
        "container cannot be disconnected from host network or connected to host network",
        "cannot connect container to host network - container must be created in host network mode",
        "cannot disconnect container from host network - container was created in host network mode",
        "container sharing network namespace with another container or host cannot be connected to any other network",
    ),
    article=(32,),
)
