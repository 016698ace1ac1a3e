"""swarm-no-leader: too few managers are up to elect one, so that nothing of the Swarm can be changed or healed."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import Case, Check, Evidence, Finding, Fix, HostFacts, daemon, daemon_subject, shell


def find(case: Case) -> Iterator[Finding]:
    """A manager that says so. What runs goes on; what dies is not replaced."""
    for facts in case.hosts:
        swarm = facts.snapshot.engine.swarm if facts.snapshot.engine else None
        if swarm is None or not swarm.manager or "does not have a leader" not in swarm.error:
            continue
        yield Finding(
            severity="error",
            confidence="proven",
            subject=daemon_subject(facts),
            summary=(
                f"The Swarm of {facts.name} has no leader, because half of its managers or more are missing: services "
                "cannot be changed, and tasks that stop are not replaced."
            ),
            evidence=(
                Evidence(fact="Swarm.Error", value=swarm.error, source="docker info"),
                Evidence(fact="managers", value=", ".join(a for _, a in swarm.remote_managers), source="docker info"),
            ),
            fixes=(_others_back(facts), _alone(facts)),
        )


def _others_back(facts: HostFacts) -> Fix:
    assert facts.snapshot.engine
    own = facts.snapshot.engine.swarm.node_address
    others = [a for _, address in facts.snapshot.engine.swarm.remote_managers if (a := address.rpartition(":")[0]) != own]
    where = f" on {daemon.names(others)}" if others else ""
    return Fix(
        summary=f"Start Docker{where} again, and make sure that 2377/tcp passes between the managers.",
        host=others[0] if len(others) == 1 else "",
        runnable=False,
    )


def _alone(facts: HostFacts) -> Fix:
    assert facts.snapshot.engine
    own = facts.snapshot.engine.swarm.node_address
    return Fix(
        summary=f"Or, where the others are lost for good, make {facts.name} the only manager; services and networks stay.",
        commands=(shell.command("docker", "swarm", "init", "--force-new-cluster", "--advertise-addr", own),),
        impacts=("changes-network",),
    )


check = Check(
    cause="swarm-no-leader",
    title="The Swarm has no leader",
    subjects=("daemon",),
    needs=("engine",),
    find=find,
    symptom_of=("overlay-port-blocked", "swarm-advertise-wrong"),
    phrases=(
        "the swarm does not have a leader",
        "too few managers are online",
        "make sure more than half of the managers are online",
        "rpc error: code = deadlineexceeded desc = context deadline exceeded",
    ),
)
