"""host-header-rejected: the service answers and does not serve this Host header."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import Case, Check, Finding

from ._logged import logged

_PHRASES = (
    "invalid http_host header",
    "disallowedhost",
    "invalid host header",
    "host header not allowed",
    "host header is invalid",
    "blocked host: ",
    "blocked request this host is not allowed",
    "421 misdirected request",
    "not in allowed_hosts",
)


def find(case: Case) -> Iterator[Finding]:
    """Containers whose log says so."""
    yield from logged(
        case,
        _PHRASES,
        "answers requests but rejects the host name in them",
        "Add the name that clients dial to the names that {} serves (ALLOWED_HOSTS, server_name).",
    )


check = Check(
    cause="host-header-rejected",
    title="The application rejects the host name of the request",
    subjects=("container",),
    needs=("engine",),
    find=find,
    phrases=_PHRASES,
)
