"""port-not-published: the container listens (or only EXPOSEs), and nothing is published (article rule 5)."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    affected,
    container_subject,
    model,
    obstacles,
    port_subject,
    probe_evidence,
    remedy,
    who,
)


def find(case: Case) -> Iterator[Finding]:
    """Questions from outside that stop at `publish`, where no binding was asked for either."""
    for path, obstacle in case.broken_by(obstacles.NotPublished):
        if obstacle.other_protocol:
            continue
        facts = case.facts(path.host)
        container, port, protocol = obstacle.container, obstacle.port, obstacle.protocol
        published = ", ".join(f"{p.host_port}" for p in container.ports)
        dialled = f"{container.name}:{port}" if port else container.name
        what = f"its port {port}/{protocol} is not published" if port else "none of its ports is published"
        others = f" (published: {published})" if published and port else ""
        yield Finding(
            severity="error",
            confidence="proven",
            subject=port_subject(facts, container, port, protocol) if port else container_subject(facts, container),
            affects=affected(facts, container),
            summary=f"{dialled} cannot be reached from {who(path)}: {what}{others}.",
            evidence=(
                Evidence(
                    fact="NetworkSettings.Ports",
                    value=f"{port}/{protocol}: null" if obstacle.exposed else "no entry",
                    source=f"inspection of {container.name}",
                ),
                *probe_evidence(path),
            ),
            fixes=remedy.republish(facts, container, add=[model.PortBinding(port=port, protocol=protocol, host_port=str(port))])
            if port
            else (),
            hop="publish",
            explains=(path,),
        )


check = Check(
    cause="port-not-published",
    title="Listening or EXPOSE is not publishing",
    subjects=("port", "container"),
    find=find,
    phrases=("connection refused", "works inside the container but not from outside", "can't reach exposed port"),
    article=(5, 14),
)
