"""vxlan-checksum-offload: ping passes and TCP hangs between hosts: checksum offload of the card under VXLAN."""

from __future__ import annotations

from dockernet_doctor.plugin import Check

check = Check(
    cause="vxlan-checksum-offload",
    title="Wrong checksums of a virtual network card break TCP on overlays",
    subjects=("host",),
    phrases=(
        "ping works but tcp hangs overlay",
        "overlay network tcp timeout vmware",
        "bad udp cksum",
    ),
)
