"""cluster-options-removed: --cluster-store and its like left the engine in 23.0; with them the daemon does not start."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import Case, Check, Finding, Fix, HostFacts, cluster, daemon, daemon_subject, dockerd, shell


def find(case: Case) -> Iterator[Finding]:
    """Each host whose files set what its engine no longer knows."""
    for facts in case.hosts:
        keys = cluster.cluster_options(facts)
        refused = cluster.refused_options(facts) if daemon.is_down(facts) else None
        if not keys or cluster.is_legacy(facts):
            continue
        ending = "the daemon does not start" if refused else "the daemon will not start again"
        said = daemon.files_say(facts)
        yield Finding(
            severity="error" if refused else "warning",
            confidence="proven",
            subject=daemon_subject(facts),
            summary=f"{facts.name} still sets {daemon.names(keys)}, which engine 23 removed: {ending}.",
            evidence=(
                *(e for key in keys for e in daemon.setting_evidence(said.get(key))),
                *daemon.log_evidence(facts, refused),
            ),
            fixes=(
                dockerd.without_options(facts, keys, summary=f"Remove {daemon.names(keys)}, and start the daemon."),
                _swarm(facts),
            ),
            hop="target",
        )


def _swarm(facts: HostFacts) -> Fix:
    address = next(iter(facts.uplink_addresses), "")
    advertise = ("--advertise-addr", address) if address else ()
    return Fix(
        summary="For networks across hosts use Swarm: init it here, join the other hosts, create the overlay --attachable.",
        commands=(shell.command("docker", "swarm", "init", *advertise),),
        impacts=("changes-network",),
        runnable=False,
    )


check = Check(
    cause="cluster-options-removed",
    title="Options of the cluster store that this engine no longer knows",
    subjects=("daemon",),
    needs=("engine", "daemon.process", "daemon.files", "log", "host.network"),
    find=find,
    phrases=(
        "unknown flag: --cluster-store",
        "unknown flag: --cluster-advertise",
        "the following directives don't match any configuration option: cluster-store",
        "the following directives don't match any configuration option: cluster-advertise",
    ),
    engines="≥ 23",
    article=(35,),
)
