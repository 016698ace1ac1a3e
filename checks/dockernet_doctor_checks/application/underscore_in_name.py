"""underscore-in-name: some clients refuse names such as my_app, which Docker's DNS serves."""

from __future__ import annotations

from dockernet_doctor.plugin import Check

check = Check(
    cause="underscore-in-name",
    title="An underscore makes a name that is no host name",
    subjects=("container",),
    phrases=(
        "the hostname contains an invalid character",
        "invalid hostname",
        "invalid_host underscore",
        "rfc 1034/1035",
        "illegal character in hostname",
    ),
)
