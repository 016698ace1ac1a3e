"""scheme-mismatch: the network is fine, the two ends speak different protocols."""

from __future__ import annotations

from dockernet_doctor.plugin import Check

check = Check(
    cause="scheme-mismatch",
    title="HTTP is spoken to HTTPS, or the other way",
    subjects=("container",),
    phrases=(
        "wrong version number",
        "plain http request was sent to https port",
        "client sent an http request to an https server",
        "http: server gave http response to https client",
        "ssl received a record that exceeded the maximum permissible length",
        "unknown protocol",
    ),
)
