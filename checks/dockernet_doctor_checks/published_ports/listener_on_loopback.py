"""listener-on-loopback: the service listens on 127.0.0.1 or ::1 inside its container, where nobody else can come."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    affected,
    destination_subject,
    is_loopback,
    model,
    obstacles,
    port_subject,
    probe_evidence,
    who,
)

from ._listening import at, endings


def find(case: Case) -> Iterator[Finding]:
    """Paths to a port that has listeners, all of them on loopback."""
    for ending in endings(case, "loopback"):
        facts, container = ending.facts, ending.container
        address = ending.elsewhere[0].address
        inside = f"on {facts.here}" if container.network_mode == "host" else f"inside {container}"
        yield Finding(
            severity="error",
            confidence="proven",
            subject=port_subject(facts, container, ending.port, ending.protocol),
            affects=affected(facts, container, *_ended_without(facts, container)),
            summary=(
                f"{container}:{ending.port} cannot be reached from {who(ending.path)}: its service listens on {address} "
                f"{inside} only."
            ),
            evidence=(*_evidence(ending.elsewhere, f"sockets of {container.name}"), *probe_evidence(ending.path)),
            fixes=(_fix(f"the service in {container}", address),),
            hop="listener",
            explains=(ending.path,),
        )
    yield from _of_the_host(case)


def _ended_without(facts: HostFacts, container: model.Container) -> Iterator[model.Container]:
    """Containers that are set to dial this one, end, and say that they were refused."""
    for client in facts.containers:
        if client.state.running or not any("refused" in line.lower() for line in client.log_tail):
            continue
        if any(container in facts.called(r.host.lower()) for r in client.references if r.host):
            yield client


def _of_the_host(case: Case) -> Iterator[Finding]:
    """A service of the host itself, asked for from outside (containers that dial it: host-service-on-loopback)."""
    for path, obstacle in case.broken_by(obstacles.NothingListens, reasons=("on-host",)):
        if path.source is not None or not obstacle.elsewhere:
            continue
        if not all(is_loopback(li.address) for li in obstacle.elsewhere):
            continue
        listener = obstacle.elsewhere[0]
        process = listener.process.name if listener.process else "a process"
        yield Finding(
            severity="error",
            confidence="proven",
            subject=destination_subject(path),
            summary=(
                f"Port {obstacle.port} of this host cannot be reached from {who(path)}: {process} listens on "
                f"{listener.address} only, and no container publishes that port."
            ),
            evidence=(*_evidence(obstacle.elsewhere, "sockets of the host"), *probe_evidence(path)),
            fixes=(_fix(f"{process} on {path.host}", listener.address),),
            hop="listener",
            explains=(path,),
        )


def _evidence(listeners: tuple[model.Listener, ...], source: str) -> Iterator[Evidence]:
    for listener in listeners:
        yield Evidence(fact="listener", value=at(listener.address, listener.port), source=source)


def _fix(what: str, address: str) -> Fix:
    return Fix(
        summary=(
            f"Let {what} listen on 0.0.0.0 (or ::) instead of {address}, in its own settings: often --host, --bind, "
            f"listen or bind-address."
        ),
        impacts=("restarts-container",),
        runnable=False,
    )


check = Check(
    cause="listener-on-loopback",
    title="The service listens on loopback inside its container",
    subjects=("port", "destination"),
    needs=("engine", "host.network", "listener"),
    podman=True,
    find=find,
    frequent=True,
    symptom_of=("duplicate-alias",),
    phrases=("connection reset by peer", "empty reply from server", "connection refused"),
)
