"""scheme-mismatch: the network is fine, the two ends speak different protocols."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import Case, Check, Finding

from ._logged import logged

_PHRASES = (
    "wrong version number",
    "err_ssl_wrong_version_number",
    "err_ssl_protocol_error",
    "plain http request was sent to https port",
    "sent plain http request to https port",
    "client sent an http request to an https server",
    "http: server gave http response to https client",
    "ssl received a record that exceeded the maximum permissible length",
)


def find(case: Case) -> Iterator[Finding]:
    """Containers whose log says so."""
    yield from logged(
        case,
        _PHRASES,
        "logs that one side speaks HTTP and the other TLS",
        "Use https:// for ports that speak TLS and http:// for those that do not, in the settings of {} and of who dials it.",
    )


check = Check(
    cause="scheme-mismatch",
    title="One side speaks HTTP, the other TLS",
    subjects=("container",),
    needs=("engine",),
    find=find,
    phrases=(*_PHRASES, "ssl routines … unknown protocol"),
)
