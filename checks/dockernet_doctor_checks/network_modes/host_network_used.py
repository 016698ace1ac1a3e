"""host-network-used: a container in mode host shares the host's stack, where names of containers mean nothing (rule 33)."""

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
    listed,
    model,
    obstacles,
    probe_evidence,
    remedy,
)


def find(case: Case) -> Iterator[Finding]:
    """Containers in mode host: info, and an error where a name is asked for that stops at that."""
    named: dict[tuple[str, str], list[tuple[Path, obstacles.NameUnanswered]]] = {}
    for path, obstacle in case.broken_by(obstacles.NameUnanswered, reasons=("host-mode",)):
        if path.source is not None:
            named.setdefault((path.host, path.source.id), []).append((path, obstacle))
    for facts, container in case.running():
        if asked := named.get((facts.name, container.id)):
            yield _of_name(facts, container, asked)
        elif container.network_mode == "host":
            yield _by_design(facts, container)


def _by_design(facts: HostFacts, container: model.Container) -> Finding:
    return Finding(
        severity="info",
        confidence="proven",
        subject=container_subject(facts, container),
        affects=affected(facts, container),
        summary=(f"{container} uses the host's network: it has no address of its own and cannot resolve container names."),
        evidence=(_mode(container),),
        fixes=(
            Fix(
                summary=f"If that is not intended, recreate {container} on a network of its own, with its ports published.",
                runnable=False,
            ),
        ),
        hop="network",
    )


def _of_name(facts: HostFacts, source: model.Container, asked: list[tuple[Path, obstacles.NameUnanswered]]) -> Finding:
    obstacle = asked[0][1]
    meant = obstacle.meant
    assert meant is not None
    if facts.in_host_mode(source):
        why = f"{source} uses the host's network, where Docker serves no names"
    else:
        why = f"{meant} uses the host's network and has no name on any other"
    return Finding(
        severity="error",
        confidence="proven",
        subject=container_subject(facts, source),
        affects=affected(facts, source),
        summary=f"{source} cannot resolve {obstacle.name}: {why}.",
        evidence=(
            _mode(source if facts.in_host_mode(source) else meant),
            *probe_evidence(*(p for p, _o in asked)),
        ),
        fixes=tuple(_fixes(facts, source, meant, obstacle.name)),
        hop="name",
        explains=tuple(p for p, _o in asked),
    )


def _mode(container: model.Container) -> Evidence:
    return Evidence(fact="NetworkMode", value=container.network_mode, source=f"inspection of {container.name}")


def _fixes(facts: HostFacts, source: model.Container, meant: model.Container, name: str) -> Iterator[Fix]:
    hosted = [c for c in (source, meant) if facts.in_host_mode(c)]
    if hosted == [meant]:
        yield remedy.alter(
            facts,
            source,
            summary=f"Map {name} to {facts.here} in {source}, where {meant} listens. This recreates {source}.",
            add_hosts=(f"{name}:host-gateway",),
        )
    network, changes = remedy.resettle(facts, meant, source)
    who = listed(hosted)
    yield Fix.of(
        *changes,
        summary=f"Recreate {who} on the network {network}, where names resolve; ports that others dial must be published.",
        impacts=("recreates-container", "loses-container-data"),
        runnable=not any(c.compose or c.swarm for c in (source, meant)),
    )
    if hosted == [source] and (ports := sorted({p.host_port for p in meant.ports})):
        yield Fix(summary=f"Or use localhost:{ports[0]} in {source}: {meant} publishes that port.", runnable=False)


check = Check(
    cause="host-network-used",
    title="A container in mode host uses the host's network and has no names",
    subjects=("container", "service"),
    needs=("engine", "host.network", "name"),
    podman=True,
    find=find,
    phrases=("could not resolve host", "name or service not known", "temporary failure in name resolution"),
    article=(33,),
)
