"""swarm-inactive: an overlay network is wanted, and there is no Swarm (or this node is no manager of it)."""

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
    cluster,
    daemon,
    daemon_subject,
    listed,
    model,
    obstacles,
    shell,
)

# Only what was to be made was wanted: tools ask for nodes and services (GET) just to see whether there is a Swarm.
_TEXT = (
    r"^Handler for POST \S+/(?:networks|services)/create returned error: "
    r"(?:This node is not a swarm manager|Cannot create a multi-host network from a worker node)"
)


_NO_NODE = "invalid cluster node while attaching to network"


def find(case: Case) -> Iterator[Finding]:
    """A daemon that refused something of Swarm's, as its log says, and still would."""
    for facts in case.hosts:
        engine = facts.snapshot.engine
        yield from _out(case, facts)
        line = daemon.logged(facts, _TEXT)
        if engine is None or line is None or not daemon.lately(facts, line):
            continue
        if engine.swarm.manager or (cluster.is_legacy(facts) and cluster.store_url(facts)):
            continue
        worker = engine.swarm.state == "active"
        why = "it is a worker of its Swarm" if worker else f"its Swarm is {engine.swarm.state}"
        yield Finding(
            severity="info" if worker else "warning",
            confidence="proven",
            subject=daemon_subject(facts),
            summary=f"{facts.name} was asked for an overlay network or a service, which only a manager can create: {why}.",
            evidence=(
                Evidence(fact="Swarm.LocalNodeState", value=engine.swarm.state, source="docker info"),
                *daemon.log_evidence(facts, line),
            ),
            fixes=(_ask_a_manager(facts) if worker else _init(facts),),
        )


def _out(case: Case, facts: HostFacts) -> Iterator[Finding]:
    """A host that is shut out of its Swarm; and one in none, with containers that were made for an overlay network of one: it
    left, or did not get in."""
    swarm = facts.snapshot.engine.swarm if facts.snapshot.engine else model.Swarm(state="active")
    shut, lost = swarm.state in ("locked", "error"), _refused(facts)
    if swarm.state == "active" or not (shut or lost):
        return
    first = f"{lost[0]} cannot start: {_networks(lost[0])} belongs to a Swarm, but {facts.name} is in none" if lost else ""
    said = {
        "locked": f"The Swarm of {facts.name} is locked since its daemon was started: no overlay network or service of it is "
        "there before it is unlocked.",
        "error": f"{facts.name} is out of its Swarm: {swarm.error.rstrip('.')}.",
    }.get(swarm.state, f"{first} (Swarm: {swarm.state}).")
    own = tuple(p for p, o in case.broken_by(obstacles.NotRunning) if p.host == facts.name and o.container in lost)
    yield Finding(
        severity="error",
        confidence="proven",
        subject=daemon_subject(facts),
        affects=tuple(dict.fromkeys(a for container in lost for a in affected(facts, container))),
        summary=said,
        evidence=(
            Evidence(fact="Swarm.LocalNodeState", value=swarm.state, source="docker info"),
            *(Evidence(fact="State.Error", value=c.state.error, source=f"inspection of {c.name}") for c in lost[:3]),
        ),
        fixes=(_in_again(swarm.state, lost),),
        hop="target",
        explains=(*own, *(p for p in cluster.paths_across(case, facts) if all(p is not one for one in own))),
    )


def _refused(facts: HostFacts) -> list[model.Container]:
    return [c for c in facts.containers if not c.state.running and _NO_NODE in c.state.error]


def _networks(container: model.Container) -> str:
    return listed(e.network for e in container.endpoints) or "its network"


def _in_again(state: str, lost: list[model.Container]) -> Fix:
    then = f"; then {shell.command('docker', 'start', *shell.operands(*(c.name for c in lost)))}" if lost else ""
    if state == "locked":
        summary = "Unlock it: docker swarm unlock asks for the key, which docker swarm unlock-key prints on another manager"
    else:
        again = "docker swarm leave --force, and " if state == "error" else ""
        summary = f"Join the Swarm: {again}what docker swarm join-token worker prints on a manager, whose 2377/tcp it needs"
    return Fix(summary=f"{summary}{then}.", runnable=False)


def _init(facts: HostFacts) -> Fix:
    address = next((a for a in facts.uplink_addresses if ":" not in a), "")
    return Fix(
        summary=f"Make {facts.here} the first manager of a Swarm; other hosts join it.",
        commands=(shell.command("docker", "swarm", "init", *(("--advertise-addr", address) if address else ())),),
        impacts=("changes-network",),
    )


def _ask_a_manager(facts: HostFacts) -> Fix:
    engine = facts.snapshot.engine
    managers = [address.rpartition(":")[0] for _, address in engine.swarm.remote_managers] if engine else []
    return Fix(summary=f"Run it on a manager: {daemon.names(managers)}.", runnable=False, host=managers[0] if managers else "")


# 20.10 logs what it refuses; later engines tell only the client.
check = Check(
    cause="swarm-inactive",
    title="An overlay network without a Swarm",
    subjects=("daemon",),
    needs=("engine", "log", "host.network", "target", "daemon.process", "daemon.files"),
    find=find,
    phrases=(
        "invalid cluster node while attaching to network",
        "swarm is encrypted and needs to be unlocked",
        "this node is not a swarm manager",
        "cannot create a multi-host network from a worker node",
        "docker swarm init",
    ),
    article=(35,),
)
