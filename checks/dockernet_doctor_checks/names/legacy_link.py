"""legacy-link: `--link` is one-way, depends on the order of starts, and copies the target's environment (article rules 16–18).

On a custom network `--link` is an alias in Docker's DNS and nothing else (20.10, 26.1, 28.5): that is no fault.
"""

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
    container_subject,
    model,
    remedy,
)

LOST = "Cannot link to a non running container"


def find(case: Case) -> Iterator[Finding]:
    """Containers with HostConfig.Links; an error for one that its link keeps from starting."""
    for facts, container in case.containers():
        if not container.links:
            continue
        targets = ", ".join(dict.fromkeys(link.target for link in container.links))
        lost = not container.state.running and LOST in container.state.error
        what = (
            f"cannot start: its link to {targets} points to a container that is gone or stopped"
            if lost
            else f"is tied to {targets} by --link, which works one way, breaks when {targets} is recreated, and copies its "
            f"environment with all secrets"
        )
        explained = tuple(
            p for p in case.paths if p.host == facts.name and p.target is container and not container.state.running
        )
        yield Finding(
            severity="error" if lost else "warning",
            confidence="proven",
            subject=container_subject(facts, container),
            affects=affected(facts, container),
            summary=f"{container} {what}.",
            evidence=tuple(_evidence(container, lost=lost)),
            fixes=(_fix(facts, container),),
            hop="target" if lost else None,
            explains=explained if lost else (),
        )


def _evidence(container: model.Container, *, lost: bool) -> Iterator[Evidence]:
    source = f"inspection of {container.name}"
    for link in container.links:
        yield Evidence(fact="HostConfig.Links", value=f"{link.target}:{link.alias}", source=source)
    if lost:
        yield Evidence(fact="State.Error", value=container.state.error, source=source)


def _fix(facts: HostFacts, container: model.Container) -> Fix:
    """A custom network for all, on which each target has the alias of the link, and the container recreated without it."""
    targets = [t for link in container.links if (t := facts.container(link.target)) is not None]
    running = list({t.id: t for t in targets if t.state.running}.values())
    if len(running) < len({t.id for t in targets}) or not targets or container.compose or container.swarm:
        return Fix(summary=f"Put {container} and what it links to on a custom network, and drop the links.", runnable=False)
    network, changes = remedy.resettle(facts, *running)
    for target in running:
        aliases = tuple(link.alias for link in container.links if facts.container(link.target) is target)
        plain = remedy.joining(facts, target, network)
        changes = (*(c for c in changes if c not in plain), *remedy.joining(facts, target, network, aliases=aliases))
    summary = f"Put {container} and what it links to on the network {network}, and recreate {container} without links."
    fix = remedy.recreate(facts, container, summary=summary, network=network, links=())
    return remedy.after(changes, fix)


check = Check(
    cause="legacy-link",
    title="--link is a legacy that breaks and leaks",
    subjects=("container", "service"),
    needs=("engine", "host.network"),
    find=find,
    phrases=(
        "cannot link to a non running container",
        "could not get container for",
        "--link is a legacy",
    ),
    article=(16, 17, 18),
)
