"""container-port-mismatch: published to (or dialled at) a container port where nobody listens, while it listens on another."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    Path,
    affected,
    mapping_text,
    model,
    obstacles,
    port_subject,
    probe_evidence,
    remedy,
    sufferers,
    who,
)

from ._listening import listening_text, offered, swapped


def find(case: Case) -> Iterator[Finding]:
    """Paths that end at a port without a listener, in a container that listens elsewhere."""
    for path, obstacle in case.broken_by(obstacles.NothingListens):
        container = obstacle.container
        if container is None or obstacle.elsewhere or swapped(obstacle):
            continue
        ports = offered(obstacle)
        if not ports:
            continue
        facts = case.facts(path.host)
        published = path.published or obstacle.published
        yield (
            _published(facts, path, container, published, ports)
            if published
            else _dialled(facts, path, container, obstacle.port, ports)
        )


def _published(
    facts: HostFacts, path: Path, container: model.Container, published: model.PublishedPort, ports: list[int]
) -> Finding:
    bindings = [b for b in container.bindings if b.port == published.port and b.protocol == published.protocol]
    right = [model.PortBinding(port=ports[0], protocol=b.protocol, host_ip=b.host_ip, host_port=b.host_port) for b in bindings]
    return Finding(
        severity="error",
        confidence="proven",
        subject=port_subject(facts, container, published.port, published.protocol),
        affects=affected(facts, container),
        summary=(
            f"{container.name}: host port {published.host_port} leads to its port {published.port}, where nothing listens; "
            f"it listens on {listening_text(ports)}."
        ),
        evidence=(
            Evidence(fact="published", value=mapping_text(published), source=f"inspection of {container.name}"),
            Evidence(fact="listening ports", value=listening_text(ports), source=f"sockets of {container.name}"),
            *probe_evidence(path),
        ),
        fixes=remedy.republish(facts, container, add=right, remove=bindings),
        hop="listener",
        explains=(path,),
    )


def _dialled(facts: HostFacts, path: Path, container: model.Container, port: int, ports: list[int]) -> Finding:
    """Inside: a neighbour dials a port that only the host knows, or that is simply wrong."""
    host_side = next((p for p in container.ports if p.host_port == port), None)
    right = host_side.port if host_side and host_side.port in ports else ports[0]
    known = f"{port} is the host's port" if host_side else f"nothing listens on {port}"
    setting = path.question.reference
    where = f"{setting.key} of {who(path)}" if setting else "the request"
    return Finding(
        severity="error",
        confidence="proven",
        subject=port_subject(facts, container, port, "tcp"),
        affects=sufferers(path),
        summary=f"{who(path)} cannot reach {container.name}:{port}: {known}; inside it is {container.name}:{right}.",
        evidence=(
            Evidence(fact="listening ports", value=listening_text(ports), source=f"sockets of {container.name}"),
            *probe_evidence(path),
        ),
        fixes=(Fix(summary=f"Say {container.name}:{right} in {where}.", runnable=False),),
        hop="listener",
        explains=(path,),
    )


check = Check(
    cause="container-port-mismatch",
    title="The port leads to a container port where nobody listens",
    subjects=("port",),
    find=find,
    phrases=("connection reset by peer", "empty reply from server", "connection refused", "502 bad gateway"),
    article=(4,),
)
