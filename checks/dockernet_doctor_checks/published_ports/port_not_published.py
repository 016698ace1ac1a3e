"""port-not-published: the container listens (or only EXPOSEs), and nothing is published (article rule 5)."""

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
    container_subject,
    model,
    obstacles,
    port_subject,
    probe_evidence,
    remedy,
    wanted,
    who,
)

from ._host_port import meant
from ._listening import free_port, listening_text


def find(case: Case) -> Iterator[Finding]:
    """Questions from outside that stop at `publish`, where no binding was asked for either."""
    for path, obstacle in case.broken_by(obstacles.NotPublished):
        facts = case.facts(path.host)
        if not obstacle.other_protocol and not _on_none(facts, obstacle.container):
            yield _finding(facts, path, obstacle)
    for path, dialled in case.broken_by(obstacles.NothingListens):
        found = meant(case, path, dialled)
        if found and found.kind == "unpublished":
            yield _meant(case.facts(path.host), path, found.container, dialled)


def _finding(facts: HostFacts, path: Path, obstacle: obstacles.NotPublished) -> Finding:
    container, port, protocol = obstacle.container, obstacle.port, obstacle.protocol
    owner = facts.namespace_owner(container) or container
    published = listening_text(sorted({p.port for p in owner.ports}))
    what = f"its port {port}/{protocol} is not published" if port else "none of its ports is published"
    others = f" ({published} {'are' if ' ' in published else 'is'})" if owner.ports and port else ""
    listening = facts.listeners(container, protocol)
    serves = listening is None or any(li.port == port for li in listening)
    nothing = "" if serves or not port else f", and nothing in {container} listens on it"
    return Finding(
        severity="error",
        confidence="proven",
        subject=port_subject(facts, owner, port, protocol) if port else container_subject(facts, owner),
        affects=affected(facts, container),
        summary=(f"{container}{f':{port}' if port else ''} cannot be reached from {who(path)}: {what}{others}{nothing}."),
        evidence=(
            Evidence(
                fact="NetworkSettings.Ports",
                value=f"{port}/{protocol}: null" if obstacle.exposed else f"no entry for {port}/{protocol}" if port else "{}",
                source=f"inspection of {owner.name}",
            ),
            *_sockets(container, listening),
            *probe_evidence(path),
        ),
        fixes=_fixes(facts, container, port, protocol),
        hop="publish",
        explains=(path,),
    )


def _meant(facts: HostFacts, path: Path, container: model.Container, dialled: obstacles.NothingListens) -> Finding:
    """The host's own port is dialled; one container serves it, unpublished."""
    return Finding(
        severity="error",
        confidence="likely",
        subject=port_subject(facts, container, dialled.port, dialled.protocol),
        affects=affected(facts, container),
        summary=(
            f"Nothing listens at {wanted(path)}: {container} has the port {dialled.port}/{dialled.protocol}, but it is not "
            "published."
        ),
        evidence=(
            Evidence(
                fact="NetworkSettings.Ports",
                value=f"no host port for {dialled.port}/{dialled.protocol}",
                source=f"inspection of {container.name}",
            ),
            *probe_evidence(path),
        ),
        fixes=_fixes(facts, container, dialled.port, dialled.protocol),
        hop="listener",
        explains=(path,),
    )


def _sockets(container: model.Container, listening: tuple[model.Listener, ...] | None) -> Iterator[Evidence]:
    if listening:
        value = listening_text(sorted({li.port for li in listening}))
        yield Evidence(fact="listening ports", value=value, source=f"sockets of {container.name}")


def _fixes(facts: HostFacts, container: model.Container, port: int, protocol: model.Protocol) -> tuple[Fix, ...]:
    if not port:
        text = f"Publish the port that the service in {container} listens on: -p HOST:CONTAINER; it listens on none now."
        return (Fix(summary=text, runnable=False),)
    owner = facts.namespace_owner(container) or container
    binding = model.PortBinding(port=port, protocol=protocol, host_port=str(free_port(facts, port, protocol)))
    networks = [n for n in facts.networks_of(owner) if n.driver not in ("null", "host")]
    if networks and all(n.internal for n in networks) and not owner.compose and not owner.swarm:
        # a port is published by way of a network that leads out; internal ones never do
        summary = f"Publish {remedy.publish_flag(binding)} at {owner}, and connect it to the network bridge, which leads out."
        return (remedy.recreate(facts, owner, summary=summary, networks=("bridge",), publish=(*owner.bindings, binding)),)
    return remedy.republish(facts, container, add=[binding])


def _on_none(facts: HostFacts, container: model.Container) -> bool:
    owner = facts.namespace_owner(container) or container
    return owner.network_mode == "none" and all(e.network == "none" for e in owner.endpoints)


check = Check(
    cause="port-not-published",
    title="The port is not published (EXPOSE does not publish)",
    subjects=("port", "container"),
    needs=("engine", "host.network", "host.sockets", "sandbox.network", "listener"),
    podman=True,
    find=find,
    frequent=True,
    phrases=(
        "connection refused",
        "works inside the container but not from outside",
        "can't reach exposed port",
    ),
    article=(5, 14),
)
