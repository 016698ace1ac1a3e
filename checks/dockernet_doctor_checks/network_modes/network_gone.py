"""network-gone: a network that the container is attached to was removed, also where one of its name was created since."""

from __future__ import annotations

import re
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
    listed,
    model,
    obstacles,
    remedy,
    shell,
)

# "network 0fee7e70… not found"; from 28 behind "failed to set up container networking: ".
_NOT_FOUND = r"network (\S+) not found"


def find(case: Case) -> Iterator[Finding]:
    """Containers that do not run and hold an endpoint on a network which this daemon does not have any more."""
    for facts, container in case.containers():
        if container.state.running:
            continue
        refused = re.search(_NOT_FOUND, container.state.error)
        asked = refused[1] if refused and facts.networks else ""
        gone = [e for e in container.endpoints if is_gone(facts, e) or (e.network == asked and asked not in facts.networks)]
        # Every daemon has networks, its own three at least: where none is known, the list of them was not read.
        if not gone or (not refused and (container.state.status != "exited" or not facts.networks)):
            continue
        yield _finding(case, facts, container, gone, refused=refused is not None)


def is_gone(facts: HostFacts, endpoint: model.Endpoint) -> bool:
    """By id: the daemon knows the endpoint's network by nothing else."""
    if endpoint.network in ("host", "none", "bridge") or not endpoint.network_id or _a_manager_knows(facts, endpoint):
        return False
    return all(n.id != endpoint.network_id for n in facts.snapshot.networks)


def _a_manager_knows(facts: HostFacts, endpoint: model.Endpoint) -> bool:
    """True for a Swarm's network on a worker, which lists it only while a container of its own is on it, or on a locked one."""
    swarm = facts.snapshot.engine.swarm if facts.snapshot.engine else model.Swarm()
    return swarm.state != "inactive" and not swarm.manager and _of_swarm(endpoint)


def _of_swarm(endpoint: model.Endpoint) -> bool:
    """Ids of a daemon's own networks have 64 characters."""
    return re.fullmatch(r"[a-z0-9]{25}", endpoint.network_id) is not None


def _finding(case: Case, facts: HostFacts, container: model.Container, gone: list[model.Endpoint], *, refused: bool) -> Finding:
    paths = tuple(p for p, o in case.broken_by(obstacles.NotRunning) if o.container.id == container.id)
    names = listed(e.network for e in gone)
    again = [e.network for e in gone if e.network in facts.networks]
    since = f" (the one called {again[0]} now is another)" if again else ""
    verb = "cannot start" if refused else "will not start again"
    what = "was removed" if any(e.network_id for e in gone) else "does not exist"
    return Finding(
        severity="error" if refused or paths else "warning",
        confidence="proven",
        subject=container_subject(facts, container),
        affects=affected(facts, container),
        summary=f"{facts.spoken(container)} {verb}: its network {names} {what}{since}.",
        evidence=(
            *(
                Evidence(
                    fact=f"network id of {e.network}",
                    value=e.network_id[:12] or "none",
                    source=f"inspection of {container.name}",
                )
                for e in gone
            ),
            Evidence(fact="networks", value=", ".join(sorted(facts.networks)), source="docker network ls"),
            *(
                (Evidence(fact="State.Error", value=container.state.error, source=f"inspection of {container.name}"),)
                if container.state.error
                else ()
            ),
        ),
        fixes=(_fix(facts, container, gone),),
        hop="target" if paths else None,
        explains=paths,
    )


def _fix(facts: HostFacts, container: model.Container, gone: list[model.Endpoint]) -> Fix:
    summary = f"Give {facts.spoken(container)} a network in place of the one that was removed, and start it."
    if container.compose:
        return remedy.alter(facts, container, summary=summary)
    commands: list[shell.Command] = []
    for endpoint in gone:
        if endpoint.network not in facts.networks:
            kind = ("-d", "overlay", "--attachable") if _of_swarm(endpoint) else ()
            commands.append(shell.command("docker", "network", "create", *kind, *shell.operands(endpoint.network)))
        if not endpoint.network_id:
            continue
        commands.append(
            shell.command("docker", "network", "disconnect", "-f", *shell.operands(endpoint.network, container.name))
        )
        aliases = [a for a in endpoint.aliases if a not in (container.name, container.id[:12])]
        flags = [word for alias in aliases for word in ("--alias", alias)]
        commands.append(
            shell.command("docker", "network", "connect", *flags, *shell.operands(endpoint.network, container.name))
        )
    return Fix(
        summary=summary,
        commands=(*commands, shell.command("docker", "start", *shell.operands(container.name))),
        impacts=("changes-network",),
    )


check = Check(
    cause="network-gone",
    title="A network of the container was removed",
    subjects=("container", "service"),
    needs=("engine", "target"),
    find=find,
    symptom_of=("swarm-inactive",),
    phrases=(
        "network named … could not be found",
        "failed to set up container networking: network … not found",
        "network … not found",
        "no such network: <name>",
        "network … declared as external, but could not be found",
    ),
)
