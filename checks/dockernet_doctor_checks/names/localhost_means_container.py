"""localhost-means-container: a setting points at localhost, and that port is in another container (article rule 1)."""

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
    probe_evidence,
    remedy,
)


def find(case: Case) -> Iterator[Finding]:
    """Paths of a container to its own loopback where nothing listens."""
    for path, obstacle in case.broken_by(obstacles.NothingListens):
        source = path.source
        if source is None or source.network_mode == "host" or not _is_loopback(path.destination.address):
            continue
        if obstacle.container is not source or obstacle.elsewhere:
            continue
        facts = case.facts(path.host)
        owners = list(_owners(facts, source, obstacle.port, obstacle.protocol))
        if not owners and not case.asked:
            continue
        neighbour = owners[0] if owners else None
        setting = path.question.reference
        points = f"{setting.key} points at" if setting else "it dials"
        where = f"; {neighbour.name} does, another container" if neighbour else ""
        yield Finding(
            severity="error",
            confidence="proven",
            subject=container_subject(facts, source),
            affects=affected(facts, source),
            summary=(
                f"{source.name}: {points} localhost:{obstacle.port}, which is {source.name} itself, where nothing listens on "
                f"that port{where}."
            ),
            evidence=(
                *_setting(path),
                Evidence(fact=f"listener on {obstacle.port}", value="none", source=f"sockets of {source.name}"),
                *probe_evidence(path),
            ),
            fixes=tuple(_fixes(facts, source, neighbour, obstacle.port, path)),
            hop="listener",
            explains=(path,),
        )


def _owners(facts: HostFacts, source: model.Container, port: int, protocol: str) -> Iterator[model.Container]:
    """Running containers that listen on the port (or publish it on the host), those that share a network first."""
    found = [
        c
        for c in facts.running
        if c is not source
        and (
            any(li.port == port and li.protocol == protocol for li in facts.listeners(c) or ())
            or any(p.host_port == port for p in c.ports)
        )
    ]
    yield from sorted(found, key=lambda c: (not facts.common_networks(source, c), c.name))


def _setting(path: Path) -> Iterator[Evidence]:
    if setting := path.question.reference:
        yield Evidence(
            fact=setting.key,
            value=f"{setting.host}:{setting.port}",
            source=f"{setting.where} of {path.source.name if path.source else ''}",
        )


def _fixes(
    facts: HostFacts, source: model.Container, neighbour: model.Container | None, port: int, path: Path
) -> Iterator[Fix]:
    setting = path.question.reference
    key = f"{setting.key} of {source.name}" if setting else "the request"
    if neighbour is None:
        yield Fix(summary=f"Name the container that serves port {port} in {key} instead of localhost.", runnable=False)
        return
    inner = next((p.port for p in neighbour.ports if p.host_port == port), port)
    commands: tuple[str, ...] = ()
    if not facts.common_networks(source, neighbour):
        networks = [n.name for n in facts.networks_of(neighbour) if n.name not in ("bridge", "host", "none")]
        if networks:
            commands = remedy.join_network(facts, source, networks[0])[0].commands
    yield Fix(
        summary=f"Say {neighbour.name}:{inner} instead of localhost:{port} in {key}, and make {source.name} anew with it.",
        commands=commands,
        impacts=("recreates-container",),
        runnable=False,
    )


def _is_loopback(address: str | None) -> bool:
    return address is not None and (address.startswith("127.") or address == "::1")


check = Check(
    cause="localhost-means-container",
    title="localhost inside a container is that container",
    subjects=("container",),
    find=find,
    phrases=("connection refused", "connect econnrefused 127.0.0.1", "could not connect to localhost"),
    article=(1,),
)
