"""port-mapping-swapped: host and container port written the wrong way round (article rule 4)."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    affected,
    mapping_text,
    model,
    obstacles,
    port_subject,
    probe_evidence,
    remedy,
)

from ._listening import swapped


def find(case: Case) -> Iterator[Finding]:
    """The published container port has no listener, and the host port's number is what the container listens on."""
    for path, obstacle in case.broken_by(obstacles.NothingListens):
        container, published = obstacle.container, obstacle.published
        if container is None or published is None or obstacle.elsewhere or not swapped(obstacle):
            continue
        facts = case.facts(path.host)
        bindings = [b for b in container.bindings if b.port == published.port and b.protocol == published.protocol]
        right = model.PortBinding(
            port=published.host_port,
            protocol=published.protocol,
            host_ip=bindings[0].host_ip if bindings else "",
            host_port=str(published.port),
        )
        yield Finding(
            severity="error",
            confidence="proven",
            subject=port_subject(facts, container, published.port, published.protocol),
            affects=affected(facts, container),
            summary=(
                f"{container.name} is published as {published.host_port}:{published.port}, the wrong way round: it listens on "
                f"{published.host_port} and nothing on {published.port}; {published.port}:{published.host_port} is meant."
            ),
            evidence=(
                Evidence(fact="published", value=mapping_text(published), source=f"inspection of {container.name}"),
                Evidence(fact="listening port", value=str(published.host_port), source=f"sockets of {container.name}"),
                *probe_evidence(path),
            ),
            fixes=remedy.republish(facts, container, add=[right], remove=bindings),
            hop="listener",
            explains=(path,),
        )


check = Check(
    cause="port-mapping-swapped",
    title="Host and container port are the wrong way round",
    subjects=("port",),
    find=find,
    phrases=("connection reset by peer", "empty reply from server"),
    article=(4,),
)
