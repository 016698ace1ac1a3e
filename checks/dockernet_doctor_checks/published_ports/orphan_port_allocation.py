"""orphan-port-allocation: "port is already allocated", and no container or process has the port (all engines, rare)."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import Case, Check, Evidence, Finding, Fix, affected, obstacles, port_subject, remedy

from ._host_port import holder, refusal


def find(case: Case) -> Iterator[Finding]:
    """Refused for an allocation that nobody is seen to have: the holder has gone since, or the engine has lost track."""
    for facts, container in case.containers():
        refused = refusal(container)
        if refused is None or refused.kind != "allocated" or facts.stack is None or facts.stack.listeners is None:
            continue
        if holder(facts, refused) is not None:
            continue
        start = remedy.start(container, summary=f"Start {container} again: the port may be free by now.")
        restart = remedy.restart_daemon(facts)
        yield Finding(
            severity="error" if case.asked else "info",
            confidence="possible",
            subject=port_subject(facts, container, refused.container_port, refused.protocol),
            affects=affected(facts, container),
            summary=(
                f"The engine may still reserve host port {refused.port}/{refused.protocol}: {container} was refused it, "
                "but no container or process uses it now."
            ),
            evidence=(
                Evidence(fact="State.Error", value=container.state.error, source=f"inspection of {container.name}"),
                Evidence(fact=f"listeners on {refused.port}", value="none", source="sockets of the host"),
            ),
            fixes=(
                start,
                Fix(
                    summary=f"If it is refused again, restart the Docker daemon and start {container}.",
                    commands=(*restart.commands, *start.commands),
                    impacts=restart.impacts,
                ),
            ),
            hop="target",
            explains=tuple(p for p, o in case.broken_by(obstacles.NotRunning) if o.container.id == container.id),
        )


check = Check(
    cause="orphan-port-allocation",
    title="The engine still reserves a port that nothing uses",
    subjects=("port",),
    needs=("engine", "daemon.process", "daemon.files", "host.sockets"),
    find=find,
    phrases=("port is already allocated",),
)
