"""protocol-mismatch: UDP is published where the service is TCP, or the other way."""

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
    Severity,
    affected,
    model,
    obstacles,
    port_subject,
    probe_evidence,
    remedy,
    sufferers,
    who,
)

from ._listening import Ending, endings


def find(case: Case) -> Iterator[Finding]:
    """Ports whose listener and mapping, or question, are of different protocols."""
    for ending in endings(case, "other-protocol"):
        yield _wrongly_published(case, ending) if ending.published else _wrongly_dialled(ending)
    for path, obstacle in case.broken_by(obstacles.NotPublished):
        if obstacle.other_protocol:
            yield _published_for_other(case.facts(path.host), path, obstacle)


def other(protocol: model.Protocol) -> model.Protocol:
    return "udp" if protocol == "tcp" else "tcp"


def _wrongly_published(case: Case, ending: Ending) -> Finding:
    facts, container, protocol = ending.facts, ending.container, ending.protocol
    right = other(protocol)
    both = any(p.port == ending.port and p.protocol == right for p in container.ports)
    bindings = [b for b in container.bindings if b.port == ending.port and b.protocol == protocol]
    add = [model.PortBinding(port=b.port, protocol=right, host_ip=b.host_ip, host_port=b.host_port) for b in bindings]
    severity: Severity = "info" if both else "error"  # such as 443/udp for HTTP/3, published just in case
    fixes = (
        remedy.republish(facts, container, remove=bindings)
        if both
        else remedy.republish(
            facts, container, add=add or [model.PortBinding(port=ending.port, protocol=right)], remove=bindings
        )
    )
    return Finding(
        severity="error" if case.asked else severity,
        confidence="proven",
        subject=port_subject(facts, container, ending.port, protocol),
        affects=affected(facts, container),
        summary=(
            f"{container}: port {ending.port} is published for {protocol.upper()}, but its service listens on "
            f"{right.upper()} {ending.port}{' (published as well)' if both else ''} only."
        ),
        evidence=(
            Evidence(fact="published", value=f"{ending.port}/{protocol}", source=f"inspection of {container.name}"),
            Evidence(fact="listener", value=f"{ending.port}/{right}", source=f"sockets of {container.name}"),
            *probe_evidence(ending.path),
        ),
        fixes=fixes,
        hop="listener",
        explains=(ending.path,),
    )


def _wrongly_dialled(ending: Ending) -> Finding:
    container, protocol = ending.container, ending.protocol
    right = other(protocol)
    return Finding(
        severity="error",
        confidence="proven",
        subject=port_subject(ending.facts, container, ending.port, protocol),
        affects=sufferers(ending.path),
        summary=(
            f"{container}:{ending.port} cannot be reached by {protocol.upper()} from {who(ending.path)}: its service "
            f"listens on {right.upper()} {ending.port} only."
        ),
        evidence=(
            Evidence(fact="listener", value=f"{ending.port}/{right}", source=f"sockets of {container.name}"),
            *probe_evidence(ending.path),
        ),
        fixes=(Fix(summary=f"Dial {container}:{ending.port} by {right.upper()}.", runnable=False),),
        hop="listener",
        explains=(ending.path,),
    )


def _published_for_other(facts: HostFacts, path: Path, obstacle: obstacles.NotPublished) -> Finding:
    container, port, protocol = obstacle.container, obstacle.port, obstacle.protocol
    published = other(protocol)
    listeners = facts.listeners(container)
    listening = None if listeners is None else {li.protocol for li in listeners if li.port == port}
    owner = facts.namespace_owner(container) or container
    bindings = [b for b in owner.bindings if b.port == port and b.protocol == published]
    add = [model.PortBinding(port=port, protocol=protocol, host_ip=b.host_ip, host_port=b.host_port) for b in bindings]
    add = add or [model.PortBinding(port=port, protocol=protocol)]
    serves = listening is None or protocol in listening
    wrong = listening is not None and published not in listening
    fixes: tuple[Fix, ...] = (Fix(summary=f"Ask for {container}:{port}/{published}.", runnable=False),)
    if serves:
        fixes = remedy.republish(facts, container, add=add, remove=bindings if wrong else ())
    service = f"its service listens on {' and '.join(sorted(p.upper() for p in listening))} {port}" if listening else ""
    return Finding(
        severity="error",
        confidence="proven",
        subject=port_subject(facts, container, port, protocol),
        affects=affected(facts, container),
        summary=(
            f"{container}:{port} cannot be reached by {protocol.upper()} from {who(path)}: port {port} is published for "
            f"{published.upper()} only{'; ' + service if service else ''}."
        ),
        evidence=(
            Evidence(fact="published", value=f"{port}/{published}", source=f"inspection of {container.name}"),
            *(
                Evidence(fact="listener", value=f"{port}/{p}", source=f"sockets of {container.name}")
                for p in sorted(listening or ())
            ),
            *probe_evidence(path),
        ),
        fixes=fixes,
        hop="publish",
        explains=(path,),
    )


check = Check(
    cause="protocol-mismatch",
    title="The port is published for the other protocol",
    subjects=("port",),
    needs=("engine", "host.network", "sandbox.network", "listener"),
    podman=True,
    find=find,
    phrases=("connection refused", "communications error", "connection timed out; no servers could be reached"),
)
