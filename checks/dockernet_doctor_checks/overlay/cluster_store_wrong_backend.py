"""cluster-store-wrong-backend: another kind of store answers than the URL says, or an etcd without its v2 API (rule 38)."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Affected,
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    Subject,
    cluster,
    cluster_store,
    daemon,
    dockerd,
    model,
    shell,
)

_KINDS = {"etcd": "etcd", "zk": "zookeeper", "consul": "consul"}
_SCHEMES = {kind: scheme for scheme, kind in _KINDS.items()}
_LOG = r"response is invalid json|etcd cluster is unavailable|Initializing discovery without TLS"


def find(case: Case) -> Iterator[Finding]:
    """Each host whose store takes connections and speaks another language than the daemon."""
    for facts in case.hosts:
        store = facts.snapshot.store
        if store is None or store.scheme not in _KINDS or not cluster.is_legacy(facts):
            continue
        for node in store.nodes:
            said = _wrong(store, node)
            if said is None:
                continue
            hang = (
                "the daemon accepts connections and never answers" if daemon.is_down(facts) else "overlay networks are missing"
            )
            yield Finding(
                severity="error",
                confidence="proven" if node.kind else "likely",
                subject=Subject(kind="cluster-store", name=store.url, host=facts.name),
                affects=(Affected(kind="daemon", name=facts.name, host=facts.name),),
                summary=f"{said}: {hang} on {facts.name}.",
                evidence=(
                    Evidence(fact=f"{node.address}:{node.port}", value=_spoken(node), source="probe of the store"),
                    *daemon.setting_evidence(daemon.option(facts, "cluster-store")),
                    *daemon.log_evidence(facts, daemon.logged(facts, _LOG)),
                ),
                fixes=_fixes(facts, store, node),
                hop="target" if daemon.is_down(facts) else "network",
                explains=cluster.paths_across(case, facts),
            )
            break


def _wrong(store: model.ClusterStore, node: model.StoreNode) -> str | None:
    where = f"{node.address}:{node.port}"
    if node.connect != "open" or f"{node.address}:{node.port}" not in store.url:
        return None
    if node.kind == "etcd" and store.scheme == "etcd" and node.etcd_v2 is False:
        return f"The etcd {node.version} at {where} runs without its v2 API, which the daemon needs"
    if node.kind == _KINDS[store.scheme]:
        return None
    if node.detail == cluster_store.MUTE and node.port == cluster_store.DEFAULT_PORTS[store.scheme]:
        return None  # at the store's own port that is the store, and it is sick: cluster-store-unreachable's
    if not node.kind:
        return f"The cluster store is set to {store.url}, but {where} is not {_KINDS[store.scheme]} ({node.detail})"
    return f"The cluster store is set to {store.url}, but {where} is {node.kind}"


def _spoken(node: model.StoreNode) -> str:
    v2 = {True: ", v2 API on", False: ", v2 API off"}.get(node.etcd_v2, "") if node.etcd_v2 is not None else ""
    return f"{node.kind} {node.version}{v2}".strip() if node.kind else node.detail


def _fixes(facts: HostFacts, store: model.ClusterStore, node: model.StoreNode) -> tuple[Fix, ...]:
    if node.kind == "etcd" and store.scheme == "etcd":
        return (
            Fix(
                summary=f"Start etcd on {node.address} with --enable-v2 (ETCD_ENABLE_V2=true).",
                commands=(
                    shell.then(
                        shell.write("/etc/default/etcd", "ETCD_ENABLE_V2=true", append=True),
                        shell.command("systemctl", "restart", "etcd"),
                    ),
                ),
                impacts=("edits-file",),
                host=node.address,
                runnable=False,
            ),
        )
    if node.kind:
        url = store.url.replace(f"{store.scheme}://", f"{_SCHEMES[node.kind]}://", 1)
        return (dockerd.set_option(facts, "cluster-store", url, summary=f"Write {url}, and restart the daemon."),)
    return (Fix(summary=f"Name the address and port of {_KINDS[store.scheme]} itself.", runnable=False),)


check = Check(
    cause="cluster-store-wrong-backend",
    title="Another kind of store answers at the cluster store's address",
    subjects=("cluster-store",),
    needs=("engine", "daemon.process", "daemon.files", "log", "store"),
    find=find,
    phrases=(
        "response is invalid json. the endpoint is probably not valid etcd cluster endpoint",
        "client: response is invalid json",
    ),
    engines="≤ 20.10",
    article=(38,),
)
