"""ipvs-idle-timeout: connections by the virtual IP of a Swarm service die after fifteen minutes of silence."""

from __future__ import annotations

from dockernet_doctor.plugin import Check

check = Check(
    cause="ipvs-idle-timeout",
    title="A virtual IP forgets connections that are idle for 900 seconds",
    subjects=("service",),
    phrases=(
        "connection reset by peer after 15 minutes",
        "server closed the connection unexpectedly",
        "broken pipe after idle",
        "connection reset after 900 seconds idle",
    ),
)
