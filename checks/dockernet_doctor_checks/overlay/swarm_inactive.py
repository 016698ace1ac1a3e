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
        yield from _unattached(case, facts)
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
            summary=f"{facts.name} was asked for an overlay network or a service, which only a manager makes: {why}.",
            evidence=(
                Evidence(fact="Swarm.LocalNodeState", value=engine.swarm.state, source="docker info"),
                *daemon.log_evidence(facts, line),
            ),
            fixes=(_ask_a_manager(facts) if worker else _init(facts),),
        )


def _unattached(case: Case, facts: HostFacts) -> Iterator[Finding]:
    """A container that was made for an overlay network of a Swarm that this host is not in: it left it, or did not get in."""
    engine = facts.snapshot.engine
    state = engine.swarm.state if engine else "active"
    for container in facts.containers:
        if state == "active" or container.state.running or _NO_NODE not in container.state.error:
            continue
        network = " and ".join(e.network for e in container.endpoints) or "an overlay network"
        yield Finding(
            severity="error",
            confidence="proven",
            subject=daemon_subject(facts),
            affects=affected(facts, container),
            summary=f"{container.name} cannot start: {network} is a Swarm's, and {facts.name} is in none (Swarm: {state}).",
            evidence=(
                Evidence(fact="State.Error", value=container.state.error, source=f"inspection of {container.name}"),
                Evidence(fact="Swarm.LocalNodeState", value=state, source="docker info"),
            ),
            fixes=(
                Fix(
                    summary="Join the Swarm (docker swarm join-token worker on a manager prints the command, and needs its "
                    f"2377/tcp), then docker start {container.name}.",
                    runnable=False,
                ),
            ),
            hop="target",
            explains=tuple(p for p in case.paths if p.host == facts.name and container in (p.target, p.source)),
        )


def _init(facts: HostFacts) -> Fix:
    address = next((a for a in facts.uplink_addresses if ":" not in a), "")
    return Fix(
        summary="Make this host the first manager of a Swarm; other hosts join it.",
        commands=(f"docker swarm init --advertise-addr {address}" if address else "docker swarm init",),
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
    find=find,
    phrases=(
        "invalid cluster node while attaching to network",
        "this node is not a swarm manager",
        "cannot create a multi-host network from a worker node",
        "docker swarm init",
    ),
    article=(35,),
)
