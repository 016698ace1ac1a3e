"""listener-on-loopback: the service listens on 127.0.0.1 or ::1 inside its container, where nobody else can come."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    affected,
    obstacles,
    port_subject,
    probe_evidence,
    who,
)

from ._listening import is_loopback


def find(case: Case) -> Iterator[Finding]:
    """Paths to a port that has listeners, all of them on loopback."""
    for path, obstacle in case.broken_by(obstacles.NothingListens):
        container = obstacle.container
        if container is None or not obstacle.elsewhere or not all(is_loopback(li.address) for li in obstacle.elsewhere):
            continue
        facts = case.facts(path.host)
        listener = obstacle.elsewhere[0]
        yield Finding(
            severity="error",
            confidence="proven",
            subject=port_subject(facts, container, obstacle.port, obstacle.protocol),
            affects=affected(facts, container),
            summary=(
                f"{who(path)} cannot reach {container.name}:{obstacle.port}: the service listens on {listener.address} inside "
                f"{container.name} only."
            ),
            evidence=(
                Evidence(fact="listener", value=f"{listener.address}:{listener.port}", source=f"sockets of {container.name}"),
                *probe_evidence(path),
            ),
            fixes=(
                Fix(
                    summary=(
                        f"Let the service in {container.name} listen on 0.0.0.0 (or ::) instead of {listener.address}, in "
                        f"its own settings: often --host, --bind or listen."
                    ),
                    impacts=("restarts-container",),
                    runnable=False,
                ),
            ),
            hop="listener",
            explains=(path,),
        )


check = Check(
    cause="listener-on-loopback",
    title="The service listens on loopback inside its container",
    subjects=("port",),
    find=find,
    phrases=("connection reset by peer", "empty reply from server", "connection refused"),
)
