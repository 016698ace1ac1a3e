"""shared-namespace-lost: `--network container:X`, and X was restarted or is gone: only `lo` is left."""

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

_REFUSED = ("no such container", "cannot join network of a non running container")


def find(case: Case) -> Iterator[Finding]:
    """Containers in the namespace of another that is not the other's any more, and those refused since it is gone."""
    for facts, container in case.containers():
        mode = container.network_mode
        if not mode.startswith("container:"):
            continue
        error = container.state.error.lower()
        refused = not container.state.running and any(text in error for text in _REFUSED)
        if refused or facts.namespace_lost(container):
            yield _finding(case, facts, container, refused=refused)


def _finding(case: Case, facts: HostFacts, container: model.Container, *, refused: bool) -> Finding:
    owner = facts.container(container.network_mode.removeprefix("container:"))
    paths = tuple(p for p in case.paths if p.host == facts.name and _is_hurt(p, container))
    verb = "cannot start" if refused else "has no network left"
    return Finding(
        severity="error",
        confidence="proven" if refused or owner is None or container.sandbox else "likely",
        subject=container_subject(facts, container),
        affects=affected(facts, container),
        summary=f"{container} {verb}: it shares the network namespace of {_why(container, owner)}.",
        evidence=tuple(_evidence(container, owner, paths)),
        fixes=tuple(_fixes(facts, container, owner)),
        hop="target" if refused else "network",
        explains=paths,
    )


def _is_hurt(path: Path, container: model.Container) -> bool:
    obstacle = path.obstacle
    if isinstance(obstacle, (obstacles.NamespaceLost, obstacles.NotRunning)):
        return obstacle.container.id == container.id
    if isinstance(obstacle, obstacles.NameUnanswered):
        return any(end is not None and end.id == container.id for end in (path.source, obstacle.meant))
    return False


def _why(container: model.Container, owner: model.Container | None) -> str:
    if owner is None:
        return f"a container that is gone ({container.network_mode.removeprefix('container:')[:12]})"
    if not owner.state.running:
        return f"{owner}, which is {owner.state.status}"
    return f"{owner}, which was restarted after it"


def _evidence(container: model.Container, owner: model.Container | None, paths: tuple[Path, ...]) -> Iterator[Evidence]:
    source = f"inspection of {container.name}"
    yield Evidence(fact="NetworkMode", value=container.network_mode[:22], source=source)
    if container.sandbox:
        links = ", ".join(link.name for link in container.sandbox.stack.links) or "none"
        yield Evidence(fact="interfaces", value=links, source=f"network namespace of {container.name}")
    if container.state.error:
        yield Evidence(fact="State.Error", value=container.state.error, source=source)
    if owner is not None:
        yield Evidence(fact=f"{owner.name} started", value=owner.state.started_at, source=f"inspection of {owner.name}")
        yield Evidence(fact=f"{container.name} started", value=container.state.started_at, source=source)
    for path in paths:
        yield from probe_evidence(path)


def _fixes(facts: HostFacts, container: model.Container, owner: model.Container | None) -> Iterator[Fix]:
    if owner is not None:
        together = [container, *(c for c in lost_with(facts, owner) if c is not container)]
        who = listed(together)
        restarts = [remedy.restart(facts, c) for c in together]
        commands = tuple(command for fix in restarts for command in fix.commands)
        if owner.state.running:
            summary = f"Restart {who}, to join the namespace that {owner} has now."
        else:
            summary = f"Start {owner}, then restart {who}, to join its namespace."
            commands = (*remedy.start(owner).commands, *commands)
        yield Fix(summary=summary, commands=commands, impacts=restarts[0].impacts, runnable=all(f.runnable for f in restarts))
        return
    heirs = _heirs(facts, container)
    if container.compose:
        yield remedy.alter(facts, container, summary=f"Let Compose recreate {container}: it joins the new container.")
    elif len(heirs) == 1:
        yield remedy.recreate(
            facts,
            container,
            summary=f"Recreate {container} in the namespace of {heirs[0]}, which took its place.",
            network_mode=f"container:{heirs[0].name}",
        )
    else:
        yield Fix(summary=f"Recreate {container} with --network container:NAME of one that runs.", runnable=False)


def lost_with(facts: HostFacts, owner: model.Container) -> list[model.Container]:
    """Those that shared the owner's namespace and were left behind: which of them listens on a port cannot be told apart."""
    return [c for c in facts.running if facts.namespace_owner(c) is owner and c is not owner and facts.namespace_lost(c)]


def _heirs(facts: HostFacts, container: model.Container) -> list[model.Container]:
    """Who may have taken the place of the container that is gone: created after this one, with a network of its own."""
    return [
        c
        for c in facts.running
        if c.created > container.created
        and c.network_mode not in ("host", "none")
        and not c.network_mode.startswith("container:")
    ]


check = Check(
    cause="shared-namespace-lost",
    title="The shared network namespace is gone",
    subjects=("container", "service"),
    needs=("engine", "sandbox.network", "host.network", "listener"),
    find=find,
    phrases=(
        "cannot restart container … no such container",
        "cannot start service … no such container",
        "joining network namespace of container: no such container",
        "cannot join network of a non running container",
    ),
)
