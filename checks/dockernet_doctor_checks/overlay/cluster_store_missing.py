"""cluster-store-missing: --cluster-advertise without --cluster-store: the daemon ends (article rule 35)."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import Case, Check, Finding, Fix, HostFacts, cluster, daemon, daemon_subject, dockerd

_TEXT = r"--cluster-advertise must be accompanied by --cluster-store"


def find(case: Case) -> Iterator[Finding]:
    """Each host that advertises itself to no store."""
    for facts in case.hosts:
        said = daemon.files_say(facts)
        failure = daemon.last_failure(facts)
        ended = failure is not None and "must be accompanied by --cluster-store" in failure.text and daemon.is_down(facts)
        advertise = said.get("cluster-advertise")
        if not ended and (
            advertise is None or said.get("cluster-store") or not cluster.is_legacy(facts) or daemon.is_down(facts)
        ):
            continue
        ending = "the daemon does not start" if ended else "the daemon will not start again"
        yield Finding(
            severity="error" if ended else "warning",
            confidence="proven",
            subject=daemon_subject(facts),
            summary=f"{facts.name} sets --cluster-advertise without --cluster-store, the store to advertise in: {ending}.",
            evidence=(*daemon.setting_evidence(advertise), *daemon.log_evidence(facts, daemon.logged(facts, _TEXT))),
            fixes=tuple(_fixes(case, facts)),
            hop="target",
        )


def _fixes(case: Case, facts: HostFacts) -> Iterator[Fix]:
    others = {cluster.store_url(other): other.name for other in case.hosts if other is not facts and cluster.store_url(other)}
    for url, name in others.items():
        summary = f"Use the store that {name} uses, {url}."
        yield dockerd.add_option(facts, "cluster-store", url, beside="cluster-advertise", summary=summary)
    alone = "Remove --cluster-advertise: the daemon starts, without the overlay networks of a store."
    yield dockerd.set_option(facts, "cluster-advertise", None, summary=alone)
    yield Fix(
        summary="Or set both: --cluster-store etcd://HOST:2379 (zk://HOST:2181, consul://HOST:8500) beside it.",
        impacts=("edits-file", "restarts-daemon"),
        runnable=False,
    )


check = Check(
    cause="cluster-store-missing",
    title="--cluster-advertise without a cluster store",
    subjects=("daemon",),
    needs=("engine", "daemon.process", "daemon.files", "log"),
    find=find,
    phrases=("--cluster-advertise must be accompanied by --cluster-store", "invalid cluster configuration"),
    engines="≤ 20.10",
    article=(35,),
)
