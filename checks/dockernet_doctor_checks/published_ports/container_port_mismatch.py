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

from ._host_port import meant
from ._listening import Ending, best_port, bindings_of, endings, listening_text


def find(case: Case) -> Iterator[Finding]:
    """Paths that end at a port without a listener, in a container that listens on another."""
    for ending in endings(case, "other-port"):
        yield _published(ending, ending.published) if ending.published else _dialled(ending)
    for path, obstacle in case.broken_by(obstacles.NothingListens):
        found = meant(case, path, obstacle)
        if found and found.kind == "other-port" and found.published:
            yield _host_port(case.facts(path.host), path, found.container, found.published)


def _published(ending: Ending, published: model.PublishedPort) -> Finding:
    container = ending.container
    meant = best_port(ending)
    bindings = bindings_of(container, published)
    right = [model.PortBinding(port=meant, protocol=b.protocol, host_ip=b.host_ip, host_port=b.host_port) for b in bindings]
    right = right or [model.PortBinding(port=meant, protocol=published.protocol)]  # --publish-all
    return Finding(
        severity="error",
        confidence="proven",
        subject=port_subject(ending.facts, container, published.port, published.protocol),
        affects=affected(ending.facts, container),
        summary=(
            f"{container.name}: host port {published.host_port} leads to its port {published.port}, where nothing listens; "
            f"it listens on {listening_text(ending.offered)}."
        ),
        evidence=(
            Evidence(fact="published", value=mapping_text(published), source=f"inspection of {container.name}"),
            Evidence(fact="listening ports", value=listening_text(ending.offered), source=f"sockets of {container.name}"),
            *probe_evidence(ending.path),
        ),
        fixes=remedy.republish(ending.facts, container, add=right, remove=bindings),
        hop="listener",
        explains=(ending.path,),
    )


def _dialled(ending: Ending) -> Finding:
    """Inside: a neighbour dials a port that only the host knows, or that is simply wrong."""
    path, container, port = ending.path, ending.container, ending.port
    host_side = next((p for p in container.ports if p.host_port == port and p.protocol == ending.protocol), None)
    right = host_side.port if host_side and host_side.port in ending.offered else best_port(ending)
    known = f"{port} is the host's port of its {host_side.port}" if host_side else f"nothing in it listens on {port}"
    setting = path.question.reference
    where = f"{setting.key} of {who(path)}" if setting else "the request"
    asked = path.question.target.name if path.question.target.kind in ("plain", "name") else ""
    name = setting.host if setting and setting.host else asked or container.name
    return Finding(
        severity="error",
        confidence="proven",
        subject=port_subject(ending.facts, container, port, ending.protocol),
        affects=sufferers(path),
        summary=f"{who(path)} cannot reach {container.name}:{port}: {known}; its own port is {right}.",
        evidence=(
            Evidence(fact="listening ports", value=listening_text(ending.offered), source=f"sockets of {container.name}"),
            *probe_evidence(path),
        ),
        fixes=(Fix(summary=f"Say {name}:{right} in {where}.", runnable=False),),
        hop="listener",
        explains=(path,),
    )


def _host_port(facts: HostFacts, path: Path, container: model.Container, published: model.PublishedPort) -> Finding:
    """The host is dialled at a container's port, which it has published under another number."""
    return Finding(
        severity="error",
        confidence="likely",
        subject=port_subject(facts, container, published.port, published.protocol),
        affects=sufferers(path),
        summary=(
            f"Nothing listens at {path.destination.name}: port {published.port} of {container.name} is published on host port "
            f"{published.host_port}."
        ),
        evidence=(
            Evidence(fact="published", value=mapping_text(published), source=f"inspection of {container.name}"),
            *probe_evidence(path),
        ),
        fixes=(Fix(summary=f"Say port {published.host_port} where {published.port} is dialled.", runnable=False),),
        hop="listener",
        explains=(path,),
    )


check = Check(
    cause="container-port-mismatch",
    title="The port leads to a container port where nobody listens",
    subjects=("port",),
    find=find,
    symptom_of=("duplicate-alias",),
    phrases=("connection reset by peer", "empty reply from server", "connection refused", "502 bad gateway"),
    article=(4,),
)
