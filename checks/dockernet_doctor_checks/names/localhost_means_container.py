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
    is_loopback,
    model,
    neighbours,
    obstacles,
    probe_evidence,
    remedy,
    stopped,
)

from ._words import service_name


def find(case: Case) -> Iterator[Finding]:
    """Paths of a container to its own loopback where nothing listens, and that was meant for somebody else."""
    for path, obstacle in case.broken_by(obstacles.NothingListens, reasons=("for-neighbour",)):
        source = path.source
        facts = case.facts(path.host)
        if source is None:
            continue
        found = neighbours.neighbours(facts, source, obstacle.port, obstacle.protocol)
        neighbour = found[0] if found else None
        reference = path.question.reference or _setting_of(source, obstacle.port)
        asked = path.question.target.name
        points = f"{reference.key} uses" if reference else f"{source} dials"
        if not is_loopback(asked.lower()):
            points += f" {asked}, and that is"  # by its hosts file
        yield Finding(
            severity="error",
            confidence="proven" if neighbour else "likely",
            subject=container_subject(facts, source),
            affects=affected(facts, source),
            summary=(
                f"{points} localhost:{obstacle.port}, but inside {source} localhost is {source} itself"
                f"{_where(facts, neighbour, obstacle.port)}."
            ),
            evidence=(
                *_setting(source, reference),
                Evidence(fact=f"listener on {obstacle.port}", value="none", source=f"sockets of {source.name}"),
                *_serving(facts, neighbour, obstacle.port),
                *probe_evidence(path),
            ),
            fixes=(_fix(facts, source, neighbour, obstacle.port, reference or _unseen(path, obstacle.port)),),
            hop="listener",
            explains=(path,),
        )
    for one in stopped.ended(case):
        yield from _of_ended(one)


def _of_ended(one: stopped.Ended) -> Iterator[Finding]:
    """A program that ended without what it looked for at localhost, and that a neighbour has."""
    facts, container, reference = one.facts, one.container, one.reference
    if not is_loopback(reference.host.lower()) or container.network_mode == "host":
        return
    of_service = reference.scheme.partition("+")[0] not in ("", "http", "https", "ws", "wss")
    for port in (reference.port,) if reference.port else neighbours.usual_ports(reference.key):
        if not (of_service or port in neighbours.SERVICES) or any(port == exposed for exposed, _p in container.exposed):
            continue
        serving = (c for c in neighbours.neighbours(facts, container, port) if c.state.running)
        neighbour = next((c for c in serving if any(li.port == port for li in facts.listeners(c) or ())), None)
        if neighbour is not None:
            yield Finding(
                severity="error",
                confidence="likely",
                subject=container_subject(facts, container),
                affects=affected(facts, container),
                summary=(
                    f"{container} crashes: {reference.key} uses localhost:{port}, but inside {container} localhost is "
                    f"{container} itself. The listener on {port} is the container {neighbour}."
                ),
                evidence=(*one.evidence, *_serving(facts, neighbour, port)),
                fixes=(_fix(facts, container, neighbour, port, reference),),
                hop="target" if one.paths else "listener",
                explains=one.paths,
            )
            return


def _setting_of(source: model.Container, port: int) -> model.Reference | None:
    """The setting that says what the user typed."""
    written = [r for r in source.references if is_loopback(r.host.lower()) and r.where in ("environment", "command")]
    implied = [r for r in written if r.port is None and port in neighbours.usual_ports(r.key)]
    return next(iter([r for r in written if r.port == port] or implied), None)


def _unseen(path: Path, port: int) -> model.Reference | None:
    """What its log says that it dials stands in a setting that was not read."""
    if path.question.origin != "log":
        return None
    return model.Reference(where="log", key="its configuration", host=path.question.target.name, port=port)


def _where(facts: HostFacts, neighbour: model.Container | None, port: int) -> str:
    if neighbour is not None:
        serves = any(li.port == port for li in facts.listeners(neighbour) or ()) or any(
            p.host_port == port for p in neighbour.ports
        )
        if neighbour.state.running and not serves:
            return f". The service known for {port} is the container {neighbour}"
        if not neighbour.state.running:
            return f". It is served by the container {neighbour}, which is {neighbour.state.status}"
        return f". The listener on {port} is the container {neighbour}"
    if neighbours.host_listener(facts, port) is not None:
        return f". The listener on {port} is on the host"
    return ", where nothing listens on that port"


def _setting(source: model.Container, reference: model.Reference | None) -> Iterator[Evidence]:
    if reference is not None:
        value = f"{reference.host}:{reference.port}" if reference.port else reference.host
        yield Evidence(fact=reference.key, value=value, source=f"{reference.where} of {source.name}")


def _serving(facts: HostFacts, neighbour: model.Container | None, port: int) -> Iterator[Evidence]:
    if neighbour is None:
        return
    listening = any(li.port == port for li in facts.listeners(neighbour) or ())
    if listening:
        yield Evidence(fact=f"listener on {port}", value=neighbour.name, source=f"sockets of {neighbour.name}")
    else:
        yield Evidence(fact=f"serves {port}", value=neighbour.name, source=f"inspection of {neighbour.name}")


def _fix(
    facts: HostFacts,
    source: model.Container,
    neighbour: model.Container | None,
    port: int,
    reference: model.Reference | None,
) -> Fix:
    if neighbour is None:
        return _to_host_or_nobody(facts, source, port, reference)
    listening = {li.port for li in facts.listeners(neighbour) or ()}
    inner = next((p.port for p in neighbour.ports if p.host_port == port), port) if port not in listening else port
    name = service_name(source, neighbour)
    summary = f"Change {remedy.setting(source, reference)} to {name}:{inner}."
    shared = [n for n in facts.common_networks(source, neighbour) if n.name != "bridge"]
    if shared:
        return remedy.point_at(facts, source, reference, name, inner, summary=summary)
    network, changes = remedy.resettle(facts, neighbour, source)
    theirs = remedy.joining(facts, source, network)
    fix = remedy.point_at(facts, source, reference, name, inner, networks=(network,), summary=summary)
    return remedy.after([change for change in changes if change not in theirs], fix)


def _to_host_or_nobody(facts: HostFacts, source: model.Container, port: int, reference: model.Reference | None) -> Fix:
    listener = neighbours.host_listener(facts, port)
    if listener is None:
        where = remedy.setting(source, reference)
        summary = f"In {where}, use the name of the container that serves port {port} instead of localhost."
        return Fix(summary=summary, runnable=False)
    summary = f"Change {remedy.setting(source, reference)} to host.docker.internal:{port}."
    if is_loopback(listener.address):
        summary = f"{summary[:-1]}, and have the service of the host listen on more than {listener.address}."
        return Fix(summary=summary, runnable=False)
    mapped = ("host.docker.internal:host-gateway",)
    return remedy.point_at(facts, source, reference, "host.docker.internal", add_hosts=mapped, summary=summary)


check = Check(
    cause="localhost-means-container",
    title="localhost inside a container is that container",
    subjects=("container",),
    needs=("engine", "host.network", "host.sockets", "sandbox.network", "listener"),
    podman=True,
    find=find,
    frequent=True,
    phrases=(
        "connection refused",
        "connect econnrefused 127.0.0.1",
        "connect econnrefused ::1",
        "could not connect to localhost",
        "can't reach database server at localhost",
        'connection to server at "localhost"',
        "can't connect to mysql server on '127.0.0.1'",
        "could not connect to redis at 127.0.0.1:6379",
        "dial tcp 127.0.0.1: connect: connection refused",
        "dial tcp ::1: connect: connection refused",
        'is the server running on host "localhost"',
        "connecting to localhost … connection refused",
        "connection to localhost … refused",
        "localhost/127.0.0.1 … broker may not be available",
        "can't connect to local mysql server through socket",
        "sqlstate[hy000] [2002] no such file or directory",
    ),
    article=(1,),
)
