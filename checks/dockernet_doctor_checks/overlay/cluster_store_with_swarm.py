"""cluster-store-with-swarm: a cluster store and Swarm at once: the engine takes one or the other."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import Case, Check, Finding, cluster, daemon, daemon_subject, dockerd

_TEXT = r"incompatible with swarm mode"


def find(case: Case) -> Iterator[Finding]:
    """A daemon that ended over both, or refused `docker swarm init` for its store."""
    for facts in case.hosts:
        url = cluster.store_url(facts)
        line = daemon.logged(facts, _TEXT) if url else None
        if line is None:
            continue
        down = daemon.is_down(facts)
        effect = "the daemon does not start" if down else "Swarm is refused"
        out = "Remove the store's options, and keep Swarm." if down else "Remove the store's options, and use Swarm instead."
        advertise = daemon.files_say(facts).get("cluster-advertise")
        yield Finding(
            severity="error" if down else "warning",
            confidence="proven",
            subject=daemon_subject(facts),
            summary=f"{facts.name} has the cluster store {url} and cannot join a Swarm as well: {effect}.",
            evidence=(*daemon.setting_evidence(daemon.option(facts, "cluster-store")), *daemon.log_evidence(facts, line)),
            fixes=(
                dockerd.without_options(facts, ("cluster-store", *(("cluster-advertise",) if advertise else ())), summary=out),
            ),
            hop="target" if down else None,
        )


check = Check(
    cause="cluster-store-with-swarm",
    title="A cluster store and Swarm exclude each other",
    subjects=("daemon",),
    needs=("engine", "daemon.process", "daemon.files", "log"),
    find=find,
    phrases=("daemon configurations are incompatible with swarm mode",),
    engines="≤ 20.10",
)
