"""host-service-on-loopback: a container dials the host, and the host's service listens on its loopback only."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    Subject,
    affected,
    is_loopback,
    model,
    obstacles,
    probe_evidence,
)


def find(case: Case) -> Iterator[Finding]:
    """Paths from a container that end at an address of the host, at a port that has loopback listeners only."""
    for path, obstacle in case.broken_by(obstacles.NothingListens):
        source, facts = path.source, case.facts(path.host)
        if obstacle.container is not None or source is None or source.network_mode == "host" or path.target is not None:
            continue
        if not obstacle.elsewhere or not all(is_loopback(li.address) for li in obstacle.elsewhere):
            continue
        listener = obstacle.elsewhere[0]
        yield Finding(
            severity="error",
            confidence="proven",
            subject=Subject(kind="destination", name=f"{facts.name}:{obstacle.port}/{obstacle.protocol}", host=facts.name),
            affects=affected(facts, source),
            summary=(
                f"{source} cannot reach {path.question.target.name}:{obstacle.port} on {facts.here}: "
                f"{_program(listener)} listens on {listener.address}:{listener.port} only, which no container can reach."
            ),
            evidence=(
                Evidence(fact="listener", value=f"{listener.address}:{listener.port}", source="sockets of the host"),
                *probe_evidence(path),
            ),
            fixes=(_fix(obstacle.address, listener),),
            hop="listener",
            explains=(path,),
        )


def _program(listener: model.Listener) -> str:
    return listener.process.name if listener.process and listener.process.name else "the service"


def _fix(address: str, listener: model.Listener) -> Fix:
    return Fix(
        summary=(f"Let {_program(listener)} listen on {address} too, which containers dial, in its own settings."),
        runnable=False,
    )


check = Check(
    cause="host-service-on-loopback",
    title="The host's service listens on loopback only",
    subjects=("destination",),
    needs=("listener",),
    podman=True,
    find=find,
    phrases=(
        "connect to host.docker.internal port",
        "host.docker.internal … connection refused",
        "connection refused",
        "dial tcp 172.17.0.1",
        "remote host (172.17.0.1): connection refused",
        "connect econnrefused 172.17.0.1",
    ),
)
