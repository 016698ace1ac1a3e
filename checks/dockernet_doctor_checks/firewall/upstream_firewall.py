"""upstream-firewall: all is well on this host and nothing arrives; something in between drops it (unseen).

No snapshot can show it: `reach outside …` says so as a blind spot, and `explain` leads here.
"""

from __future__ import annotations

from dockernet_doctor.plugin import Check

check = Check(
    cause="upstream-firewall",
    title="A firewall between the other machine and this host",
    subjects=("host",),
    needs=("path",),
    phrases=(
        "security group",
        "connection timed out",
        "works on localhost but not from outside",
        "works in the local network but not from the internet",
    ),
)
