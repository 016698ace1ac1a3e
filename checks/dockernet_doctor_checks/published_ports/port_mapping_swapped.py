"""port-mapping-swapped: host and container port written the wrong way round (article rule 4)."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    HostFacts,
    Path,
    affected,
    mapping_text,
    model,
    obstacles,
    port_subject,
    probe_evidence,
    remedy,
)

from ._host_port import meant
from ._listening import bindings_of, endings


def find(case: Case) -> Iterator[Finding]:
    """The published container port has no listener, and the host port's number is what the container listens on."""
    for ending in endings(case, "swapped"):
        if ending.published is not None:
            yield _finding(ending.facts, ending.path, ending.container, ending.published)
    for path, obstacle in case.broken_by(obstacles.NothingListens):
        found = meant(case, path, obstacle)
        if found and found.kind == "swapped" and found.published:
            yield _finding(case.facts(path.host), path, found.container, found.published)


def _finding(facts: HostFacts, path: Path, container: model.Container, published: model.PublishedPort) -> Finding:
    bindings = bindings_of(container, published)
    right = [
        model.PortBinding(
            port=published.host_port, protocol=published.protocol, host_ip=b.host_ip, host_port=str(published.port)
        )
        for b in bindings
    ]
    return Finding(
        severity="error",
        confidence="proven",
        subject=port_subject(facts, container, published.port, published.protocol),
        affects=affected(facts, container),
        summary=(
            f"{container} is published as {published.host_port}:{published.port}, the wrong way round: it listens on "
            f"{published.host_port} and nothing on {published.port}; {published.port}:{published.host_port} is meant."
        ),
        evidence=(
            Evidence(fact="published", value=mapping_text(published), source=f"inspection of {container.name}"),
            Evidence(fact="listening port", value=str(published.host_port), source=f"sockets of {container.name}"),
            *probe_evidence(path),
        ),
        fixes=remedy.republish(facts, container, add=right, remove=bindings),
        hop="listener",
        explains=(path,),
    )


check = Check(
    cause="port-mapping-swapped",
    title="Host and container port are the wrong way round",
    subjects=("port",),
    needs=("engine", "host.network", "sandbox.network", "listener"),
    podman=True,
    find=find,
    symptom_of=("duplicate-alias",),
    phrases=("connection reset by peer", "empty reply from server"),
    article=(4,),
)
