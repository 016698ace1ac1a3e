"""no-listener: nothing listens in the container on any port that matters; the network is fine."""

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
    destination_subject,
    is_loopback,
    model,
    names,
    obstacles,
    port_subject,
    probe_evidence,
    shell,
    silent_port,
    stopped,
    unreached,
    who,
)

from ._host_port import meant
from ._listening import Ending, at, endings


def find(case: Case) -> Iterator[Finding]:
    """Paths that end in a container that listens on no port that others could reach, or on the host at a port of nobody."""
    for ending in endings(case, "nothing"):
        yield _in_container(ending, "error", behind=_needed(case, ending))
    for one in stopped.ended(case):
        yield from _of_ended(one)
    idle: dict[tuple[str, str, str, range], list[Ending]] = {}
    for ending in endings(case, "unused"):
        reserved = silent_port.range_of(ending.container, ending.port, ending.protocol)
        if reserved and not case.asked:
            idle.setdefault((ending.facts.name, ending.container.id, ending.protocol, reserved), []).append(ending)
            continue
        # one of many, or all that an image exposes, may well wait for its service
        many = ending.container.publish_all or len({p.port for p in ending.container.ports}) > 3
        yield _in_container(ending, "error" if case.asked else "info" if many else "warning")
    for (_host, _container, _protocol, reserved), waiting in idle.items():
        yield _range(waiting, reserved)
    for path, obstacle in case.broken_by(obstacles.NothingListens, reasons=("on-host",)):
        if not obstacle.elsewhere and not meant(case, path, obstacle):
            yield _on_host(case.facts(path.host), path, obstacle)


def _needed(case: Case, ending: Ending) -> tuple[Path, ...]:
    """What the container dials in vain, by its settings: a service that waits for another does not listen yet."""
    if ending.offered:
        return ()  # it is up
    return tuple(
        path
        for path in case.paths
        if path.source is ending.container and path.question.reference is not None
        if path.verdict == "unreachable" and path.target is not ending.container
    )


def _of_ended(one: stopped.Ended) -> Iterator[Finding]:
    """A program that gave up since what it dials runs and listens on nothing: that comes first."""
    facts, source, setting = one.facts, one.container, one.reference
    target, port = names.meant(facts, setting.host, source), setting.port
    if target is None or target is source or port is None or not target.state.running or facts.keeps_ending(target):
        return
    listeners = facts.listeners(target, "tcp")
    if listeners is None or not facts.common_networks(source, target):
        return
    if any(not is_loopback(li.address) for li in listeners) and not silent_port.is_its_own(target, port, "tcp"):
        return
    if any(li.port == port for li in listeners):
        return
    yield Finding(
        severity="error",
        confidence="likely",
        subject=port_subject(facts, target, port, "tcp"),
        affects=affected(facts, source),
        summary=(
            f"{source} crashes when it cannot reach {target.name}:{port} ({setting.key}): {target} runs, but nothing in "
            f"it listens on TCP port {port}."
        ),
        evidence=(*one.evidence, *_evidence(target, sorted({at(li.address, li.port) for li in listeners}))),
        fixes=(_start(target), Fix(summary=f"Then start {source} again.", runnable=False)),
        hop="target" if one.paths else "listener",
        explains=one.paths,
    )


def _range(waiting: list[Ending], reserved: range) -> Finding:
    ending = waiting[0]
    facts, container = ending.facts, ending.container
    ports = f"{ending.protocol.upper()} ports {reserved[0]} to {reserved[-1]}"
    return Finding(
        severity="info",
        confidence="proven",
        subject=port_subject(facts, container, reserved[0], ending.protocol),
        affects=affected(facts, container),
        summary=f"{container} publishes the {ports}, but does not listen on all of them.",
        evidence=tuple(_evidence(container, _listening_on(ending))),
        hop="listener",
        explains=tuple(e.path for e in waiting),
    )


def _listening_on(ending: Ending) -> list[str]:
    return sorted({at(li.address, li.port) for li in ending.others if li.protocol == ending.protocol})


def _in_container(ending: Ending, severity: Severity, behind: tuple[Path, ...] = ()) -> Finding:
    facts, container = ending.facts, ending.container
    local = _listening_on(ending)
    kind = ending.protocol.upper()
    nothing = f"nothing in {container} listens on {kind} port {ending.port}"
    why = f"{nothing}; it listens on {', '.join(local)}" if local else f"{container} listens on no {kind} port"
    return Finding(
        severity=severity,
        confidence="proven",
        subject=port_subject(facts, container, ending.port, ending.protocol),
        affects=affected(facts, container),
        summary=f"{container}:{ending.port} cannot be reached from {who(ending.path)}: {why}.",
        evidence=(*_evidence(container, local), *probe_evidence(ending.path)),
        fixes=(_start(container),),
        hop="listener",
        explains=(ending.path,),
        behind=behind,
    )


def _start(container: model.Container) -> Fix:
    logs = shell.command("docker", "logs", *shell.operands(container.name))
    return Fix(
        summary=(f"Start the service in {container}, or see why it does not listen: {logs}. The network is fine up to there."),
        runnable=False,
    )


def _evidence(container: model.Container, local: list[str]) -> Iterator[Evidence]:
    source = f"inspection of {container.name}"
    yield Evidence(fact="listening sockets", value=", ".join(local) or "none", source=f"sockets of {container.name}")
    yield Evidence(fact="started", value=container.state.started_at, source=source)
    if container.state.restart_count:
        yield Evidence(fact="restarts", value=str(container.state.restart_count), source=source)
    if container.state.health:
        yield Evidence(fact="health", value=container.state.health.status, source=source)
    for line in container.log_tail[-3:]:
        yield Evidence(fact="log", value=line, source=f"log of {container.name}")


def _on_host(facts: HostFacts, path: Path, obstacle: obstacles.NothingListens) -> Finding:
    port = f"{obstacle.protocol.upper()} port {obstacle.port}"
    port = f"{port} of {facts.here}"
    return Finding(
        severity="error",
        confidence="proven",
        subject=destination_subject(path),
        summary=f"{unreached(path)}: nothing listens on {port}, and no container publishes it.",
        evidence=(
            Evidence(fact=f"listeners on {port}", value="none", source="sockets of the host"),
            *probe_evidence(path),
        ),
        fixes=(Fix(summary=f"Start the service for {port}, or use the right port.", runnable=False),),
        hop="listener",
        explains=(path,),
    )


check = Check(
    cause="no-listener",
    title="Nothing listens in the container",
    subjects=("port", "destination"),
    needs=("engine", "host.network", "sandbox.network", "listener"),
    podman=True,
    find=find,
    frequent=True,
    symptom_of=("duplicate-alias",),
    phrases=(
        "connection refused",
        "connection reset by peer",
        "empty reply from server",
        "502 bad gateway",
        "can't connect to mysql server on … (115)",
    ),
)
