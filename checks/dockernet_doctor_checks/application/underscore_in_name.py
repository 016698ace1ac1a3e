"""underscore-in-name: some clients refuse names such as my_app, which Docker's DNS serves."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import Case, Check, Evidence, Finding, Fix, affected, container_subject, names

_STRICT = ("http", "https", "ws", "wss")  # clients of these check a host name by its letters


def find(case: Case) -> Iterator[Finding]:
    """Settings whose URL names a container with an underscore."""
    for facts, container in case.running():
        for reference in container.references:
            named = names.meant(facts, reference.host, container) if "_" in reference.host else None
            if named is None or reference.scheme not in _STRICT or reference.where not in ("environment", "command"):
                continue
            yield Finding(
                severity="info",
                confidence="possible",
                subject=container_subject(facts, container),
                affects=affected(facts, container),
                summary=(
                    f"{container}: {reference.key} uses {reference.host}, but host names may not contain underscores: "
                    "Docker resolves it, some clients refuse it."
                ),
                evidence=(Evidence(fact=reference.key, value=reference.host, source=f"{reference.where} of {container.name}"),),
                fixes=(
                    Fix(
                        summary=f"Give {named} an alias without an underscore ({reference.host.replace('_', '-')}), and "
                        f"dial that.",
                        runnable=False,
                    ),
                ),
            )
            break


check = Check(
    cause="underscore-in-name",
    title="A host name may not contain an underscore",
    subjects=("container",),
    needs=("engine", "host.network"),
    find=find,
    phrases=(
        "the hostname contains an invalid character",
        "invalid hostname",
        "invalid_host underscore",
        "rfc 1034/1035",
        "illegal character in hostname",
    ),
)
