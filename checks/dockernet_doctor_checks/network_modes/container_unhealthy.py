"""container-unhealthy: its own health check fails; what it printed last says most."""

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
    shell,
)


def find(case: Case) -> Iterator[Finding]:
    """Running containers whose health is `unhealthy`, and what is asked of them and not answered."""
    for facts, container in case.running():
        health = container.state.health
        if health is None or health.status != "unhealthy" or container.state.paused:
            continue
        paths = tuple(p for p, o in case.broken_by(obstacles.NoAnswer) if not o.beyond and _leads_to(facts, p, container))
        yield _finding(facts, container, health, paths)


def _leads_to(facts: HostFacts, path: Path, container: model.Container) -> bool:
    return path.host == facts.name and path.target is not None and path.target.id == container.id


def _finding(facts: HostFacts, container: model.Container, health: model.Health, paths: tuple[Path, ...]) -> Finding:
    output = " ".join(health.last_output.split())
    said = f": {output[:120]}" if output else ""
    times = f"{health.failing_streak} times in a row" if health.failing_streak > 1 else "once"
    source = f"inspection of {container.name}"
    return Finding(
        severity="warning",
        confidence="likely" if paths else "proven",
        subject=container_subject(facts, container),
        affects=affected(facts, container),
        summary=f"{container} is running but unhealthy: its health check failed {times}{said.rstrip('.')}.",
        evidence=(
            Evidence(fact="State.Health.Status", value=health.status, source=source),
            Evidence(fact="health check", value=" ".join(health.test), source=source),
            Evidence(fact="last output", value=output or "none", source=source),
            *(Evidence(fact="log", value=line, source=f"log of {container.name}") for line in container.log_tail[-3:]),
            *probe_evidence(*paths),
        ),
        fixes=(
            Fix(
                summary=(
                    f"Check the service in {container}, or the health check itself, which runs inside the container: "
                    f"{shell.command('docker', 'logs', *shell.operands(container.name))}."
                ),
                runnable=False,
            ),
        ),
        hop="answer" if paths else None,
        explains=paths,
    )


check = Check(
    cause="container-unhealthy",
    title="The container's own health check fails",
    subjects=("container", "service"),
    needs=("engine", "answer"),
    podman=True,
    find=find,
    symptom_of=(
        "application-refuses-peer",
        "application-not-responding",
        "no-listener",
        "container-port-mismatch",
        "listener-on-loopback",
        "localhost-means-container",
    ),
    phrases=(
        "dependency failed to start: container … is unhealthy",
        "is unhealthy",
        "unhealthy",
        "health check for container … error",
    ),
)
