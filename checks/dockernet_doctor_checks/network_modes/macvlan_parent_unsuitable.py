"""macvlan-parent-unsuitable: Wi-Fi, and hypervisors without promiscuous mode, drop frames of foreign hardware addresses."""

from __future__ import annotations

from dockernet_doctor.plugin import Check

check = Check(
    cause="macvlan-parent-unsuitable",
    title="The parent interface does not carry the addresses of macvlan",
    subjects=("network",),
    phrases=(
        "macvlan wifi not working",
        "macvlan promiscuous mode",
        "forged transmits",
        "failed to create the macvlan port",
        "failed to create the ipvlan port",
    ),
)
