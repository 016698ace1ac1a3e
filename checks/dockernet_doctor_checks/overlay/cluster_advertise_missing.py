"""cluster-advertise-missing: a store without --cluster-advertise: networks are listed, nothing crosses hosts (rules 36, 39)."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import Case, Check, Evidence, Finding, Fix, HostFacts, cluster, daemon, daemon_subject, dockerd


def find(case: Case) -> Iterator[Finding]:
    """Each running daemon that uses a store and advertises nothing."""
    for facts in case.hosts:
        engine = facts.snapshot.engine
        if engine is None or not cluster.store_url(facts) or cluster.advertised(facts) or not cluster.is_legacy(facts):
            continue
        yield Finding(
            severity="error",
            confidence="proven",
            subject=daemon_subject(facts),
            summary=(
                f"{facts.name} uses the cluster store {cluster.store_url(facts)} but advertises no address: overlay "
                "networks are listed, but nothing crosses to other hosts."
            ),
            evidence=(
                Evidence(fact="ClusterAdvertise", value="(empty)", source="docker info"),
                *daemon.setting_evidence(daemon.option(facts, "cluster-store")),
            ),
            fixes=(_fix(facts),),
            hop="link",
            explains=cluster.paths_across(case, facts),
        )


def _fix(facts: HostFacts) -> Fix:
    advertise = cluster.own_advertise(facts)
    if not advertise:
        return Fix(summary="Set --cluster-advertise INTERFACE:2376, the interface that other hosts reach.", runnable=False)
    summary = f"Advertise {advertise}, and restart the daemon."
    return dockerd.add_option(facts, "cluster-advertise", advertise, beside="cluster-store", summary=summary)


check = Check(
    cause="cluster-advertise-missing",
    title="A cluster store without --cluster-advertise",
    subjects=("daemon",),
    needs=("engine", "daemon.process", "daemon.files", "host.network", "store", "link"),
    find=find,
    phrases=("destination host unreachable",),
    engines="≤ 20.10",
    article=(36, 39),
)
