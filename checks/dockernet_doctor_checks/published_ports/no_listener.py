"""no-listener: nothing listens in the container on any port that matters; the network is fine."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    affected,
    model,
    obstacles,
    port_subject,
    probe_evidence,
    who,
)

from ._listening import offered, swapped


def find(case: Case) -> Iterator[Finding]:
    """Paths that end in a container that listens on no port of the protocol at all."""
    for path, obstacle in case.broken_by(obstacles.NothingListens):
        container = obstacle.container
        if container is None or obstacle.elsewhere or swapped(obstacle) or offered(obstacle):
            continue
        if any(li.port == obstacle.port for li in obstacle.others):
            continue  # the other protocol: protocol-mismatch
        facts = case.facts(path.host)
        yield Finding(
            severity="error",
            confidence="proven",
            subject=port_subject(facts, container, obstacle.port, obstacle.protocol),
            affects=affected(facts, container),
            summary=(
                f"{who(path)} cannot reach {container.name}:{obstacle.port}: nothing in {container.name} listens on "
                f"{obstacle.protocol.upper()} port {obstacle.port}, or on any other."
            ),
            evidence=(*_evidence(container), *probe_evidence(path)),
            fixes=(
                Fix(
                    summary=f"Start the service in {container.name}, or see why it does not: docker logs {container.name}.",
                    runnable=False,
                ),
            ),
            hop="listener",
            explains=(path,),
        )


def _evidence(container: model.Container) -> Iterator[Evidence]:
    source = f"inspection of {container.name}"
    yield Evidence(fact="listening sockets", value="none", source=f"sockets of {container.name}")
    yield Evidence(fact="started", value=container.state.started_at, source=source)
    if container.state.restart_count:
        yield Evidence(fact="restarts", value=str(container.state.restart_count), source=source)
    if container.state.health:
        yield Evidence(fact="health", value=container.state.health.status, source=source)
    for line in container.log_tail[-3:]:
        yield Evidence(fact="log", value=line, source=f"log of {container.name}")


check = Check(
    cause="no-listener",
    title="Nothing listens in the container",
    subjects=("port",),
    find=find,
    phrases=("connection refused", "connection reset by peer", "empty reply from server", "502 bad gateway"),
)
