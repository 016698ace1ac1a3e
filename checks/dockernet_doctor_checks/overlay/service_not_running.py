"""service-not-running: Swarm runs a service nowhere, or on fewer nodes than it should, and says why."""

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
    Subject,
    daemon,
    model,
    shell,
    sufferers,
)

# What Swarm says (swarmkit's scheduler, moby's executor and the daemon's own errors) → what is to be done.
_ADVICE = (
    ("no such image", "Name an image that every node can pull, or push this one to a registry that they reach."),
    ("host-mode port already in use", "Give one of the two services another port, or publish it in mode ingress."),
    ("scheduling constraints", "Give a node what the constraint asks for (docker node update --label-add), or drop it."),
    ("no suitable node", "See which nodes may run it: docker node ls."),
    ("non-zero exit", "Fix what ends it; its log says why: docker service logs SERVICE."),
)  # fmt: skip


def find(case: Case) -> Iterator[Finding]:
    """Services that run less often than they are to, with a reason; those that run nowhere without one, where asked for."""
    for facts in case.hosts:
        for service in facts.snapshot.services:
            if service.desired is None or service.running is None or service.mode.endswith("job"):
                continue
            lost = _asked(case, facts, service) if not service.running else ()
            if service.running < service.desired and service.errors:
                yield _finding(facts, service, lost, _running(service))
            elif lost and not service.desired:
                yield _finding(facts, service, lost, "is scaled to 0")
            elif lost:
                yield _finding(facts, service, lost, "has no task that runs yet")


def _finding(facts: HostFacts, service: model.Service, lost: tuple[Path, ...], what: str) -> Finding:
    return Finding(
        severity="warning" if service.running else "error",
        confidence="proven",
        subject=Subject(kind="service", name=service.name, host=facts.name, id=service.id),
        affects=sufferers(*lost),
        summary=f"The Swarm service {service.name} {what}.",
        evidence=(
            Evidence(fact="tasks", value=f"{service.running} of {service.desired} running", source="docker service ls"),
            *(Evidence(fact="error", value=error, source=f"docker service ps {service.name}") for error in service.errors[:3]),
        ),
        fixes=(_fix(facts, service),),
        hop="target" if lost else None,
        explains=lost,
    )


def _running(service: model.Service) -> str:
    runs = f"runs {service.running} of its {service.desired} tasks" if service.running else "runs nowhere"
    return f"{runs}: {service.errors[0].rstrip('.')}"


def _fix(facts: HostFacts, service: model.Service) -> Fix:
    if service.desired == 0:
        scale = shell.command("docker", "service", "scale", "--detach", *shell.operands(f"{service.name}=1"))
        return Fix(summary=f"Scale {service.name} up.", commands=(scale,))
    if not service.errors:
        tasks = shell.command("docker", "service", "ps", *shell.operands(service.name))
        return Fix(summary=f"Wait for it, or see what it waits for: {tasks}.", runnable=False)
    said = service.errors[0].lower()
    if "not available for new tasks" in said and (off := _switched_off(facts)):
        again = ("docker", "node", "update", "--availability", "active")
        return Fix(
            summary=f"Let {daemon.names(node.hostname for node in off)} take tasks again.",
            commands=tuple(shell.command(*again, *shell.operands(node.id)) for node in off),
        )
    if "insufficient resources" in said:
        update = ("docker", "service", "update", "--detach", "--reserve-memory", "0", "--reserve-cpu", "0")
        return Fix(
            summary=f"Reserve nothing for {service.name} (or less than now, or add a node).",
            commands=(shell.command(*update, *shell.operands(service.name)),),
            impacts=("recreates-container",),
        )
    advice = next((text for words, text in _ADVICE if words in said), "Fix the error that Swarm reports.")
    tasks = shell.command("docker", "service", "ps", "--no-trunc", *shell.operands(service.name))
    advice = advice.replace("SERVICE", " ".join(shell.operands(service.name)))
    return Fix(summary=f"{advice} All of it: {tasks}.", runnable=False)


def _switched_off(facts: HostFacts) -> list[model.SwarmNode]:
    """Nodes that were drained or paused, and are up."""
    nodes = facts.snapshot.engine.swarm.node_list if facts.snapshot.engine else ()
    return [node for node in nodes if node.state == "ready" and node.availability != "active"]


def _asked(case: Case, facts: HostFacts, service: model.Service) -> tuple[Path, ...]:
    """Paths to the service by its name or that of its tasks, or to what is left of a task here."""

    def to_it(path: Path) -> bool:
        target = path.question.target
        if path.target is not None and path.target.swarm is not None:
            return path.target.swarm.service_id == service.id
        named = target.name.rpartition("/")[2].removeprefix("tasks.")
        return target.kind in ("plain", "container", "service", "name") and path.target is None and named == service.name

    return tuple(p for p in case.paths if p.host == facts.name and p.verdict != "reachable" and to_it(p))


check = Check(
    cause="service-not-running",
    title="A Swarm service is not running",
    subjects=("service",),
    needs=("engine",),
    find=find,
    symptom_of=("swarm-no-leader", "host-port-in-use", "bind-address-missing", "overlay-port-blocked"),
    phrases=(
        "no suitable node",
        "scheduling constraints not satisfied",
        "host-mode port already in use",
        "insufficient resources on",
        "task: non-zero exit",
        "no such image",
        "0/1 replicas",
    ),
)
