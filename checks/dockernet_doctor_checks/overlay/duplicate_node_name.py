"""duplicate-node-name: two hosts of one hostname: serf quits, and the overlay dies silently (engine ≤ 20.10)."""

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
    cluster,
    daemon,
    host_subject,
    model,
    remedy,
    shell,
)

_CONFLICT = r"Node name conflicts with another node at (\S+):\d+"
_GAVE_UP = "minority in name conflict resolution"


def find(case: Case) -> Iterator[Finding]:
    """A host whose log tells of the conflict, or that shares hostname and store with another one that was read."""
    for facts in case.hosts:
        if not cluster.is_legacy(facts) or not cluster.store_url(facts):
            continue
        conflict, end = daemon.logged(facts, _CONFLICT), daemon.logged(facts, _GAVE_UP)
        name = _hostname(facts)
        twins = [
            o
            for o in case.hosts
            if o is not facts and _hostname(o) == name and cluster.store_url(o) == cluster.store_url(facts)
        ]
        settled = any(daemon.logged(o, f"{_CONFLICT}|{_GAVE_UP}") for o in twins) or any(
            case.hosts.index(o) > case.hosts.index(facts) for o in twins
        )
        known = re.search(_CONFLICT, conflict.text) if conflict else None
        if known and not twins and facts.is_own(known[1].strip("[]")):
            if end is not None:
                yield _remembered(case, facts, known[1], end)
            continue
        line = end or conflict
        if line is None and (not twins or settled):
            continue  # one of them gets another name: the one that gave up, else the last
        gave_up = bool(twins) or end is not None
        other = f"{twins[0].name} has it too" if twins else "another host of the cluster has it too"
        yield Finding(
            severity="error" if gave_up else "warning",  # the log of the host that goes on tells of the conflict too
            confidence="proven" if gave_up else "likely",
            subject=host_subject(facts),
            summary=f"The hostname {name} is not unique, {other}: overlay networks of {facts.name} carry no traffic.",
            evidence=(
                Evidence(fact="hostname", value=name, source="docker info"),
                *(Evidence(fact=f"hostname of {o.name}", value=name, source="docker info") for o in twins),
                *daemon.log_evidence(facts, line),
            ),
            fixes=(_rename(facts, name),),
            hop="link",
            explains=cluster.paths_across(case, facts),
        )


def _remembered(case: Case, facts: HostFacts, address: str, line: model.LogLine) -> Finding:
    """It conflicts with itself: serf never forgets by which address it met a node, until the daemon that remembers ends."""
    others = daemon.names(peer for peer, _ in cluster.peers(facts))
    return Finding(
        severity="error",
        confidence="proven",
        subject=host_subject(facts),
        summary=(
            f"The other hosts know {facts.name} by another address of it, {address}, than the one that it advertises now, "
            "and its gossip gave up: its overlay networks carry no traffic."
        ),
        evidence=(
            Evidence(fact="advertised", value=cluster.advertised(facts), source="the daemon's options"),
            *daemon.log_evidence(facts, daemon.logged(facts, _CONFLICT)),
            *daemon.log_evidence(facts, line),
        ),
        fixes=(
            Fix(
                summary=f"Restart the daemons of the other hosts ({others}), which then forget that address, and at last this "
                "host's.",
                impacts=("restarts-daemon",),
                runnable=False,
            ),
        ),
        hop="link",
        explains=cluster.paths_across(case, facts),
    )


def _hostname(facts: HostFacts) -> str:
    engine, host = facts.snapshot.engine, facts.host
    return (engine.name if engine else "") or (host.hostname if host else "")


def _rename(facts: HostFacts, name: str) -> Fix:
    """The own address makes a name that no other host of the network has."""
    address = next(iter(facts.uplink_addresses), "")
    unique = f"{name}-{address.rpartition('.')[2]}" if "." in address else f"{name}-2"
    restart = remedy.restart_daemon(facts)
    return Fix(
        summary=f"Rename {facts.here} to {unique}, and restart the daemon.",
        commands=(
            shell.then(shell.write("/etc/hostname", unique), shell.command("hostname", *shell.operands(unique))),
            *restart.commands,
        ),
        impacts=("edits-file", *restart.impacts),
    )


check = Check(
    cause="duplicate-node-name",
    title="Two hosts of the cluster have the same hostname",
    subjects=("host",),
    needs=("engine", "daemon.process", "daemon.files", "log", "host.network", "store"),
    find=find,
    symptom_of=("cluster-advertise-not-reachable", "cluster-advertise-missing"),
    phrases=("node name conflicts with another node", "minority in name conflict resolution"),
    engines="≤ 20.10",
)
