"""host-header-rejected: the service answers and does not serve this Host header."""

from __future__ import annotations

from dockernet_doctor.plugin import Check

check = Check(
    cause="host-header-rejected",
    title="The application refuses the host name it is asked for",
    subjects=("container",),
    phrases=(
        "invalid http_host header",
        "disallowedhost",
        "invalid host header",
        "blocked request this host is not allowed",
        "421 misdirected request",
        "not in allowed_hosts",
    ),
)
