"""cluster-store-single-node: one store node only; if it dies, the overlay networks are lost (article rule 37)."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import Case, Check, Evidence, Finding, Fix, Subject

_KINDS = {"etcd": "etcd", "zk": "zookeeper", "consul": "consul"}


def find(case: Case) -> Iterator[Finding]:
    """Each host whose store says that it has one member."""
    for facts in case.hosts:
        store = facts.snapshot.store
        nodes = [n for n in store.nodes if n.kind == _KINDS.get(store.scheme)] if store else []
        node = next((n for n in nodes if n.members is not None and len(n.members) == 1), None)
        if store is None or node is None or any(len(n.members or ()) > 1 for n in store.nodes):
            continue
        yield Finding(
            severity="warning",
            confidence="proven",
            subject=Subject(kind="cluster-store", name=store.url, host=facts.name),
            summary=f"The cluster store {store.url} of {facts.name} has one node: if it dies, the overlay networks are lost.",
            evidence=(
                Evidence(
                    fact="members", value=", ".join(node.members or ()), source=f"{node.kind} at {node.address}:{node.port}"
                ),
            ),
            fixes=(
                Fix(summary=f"Run {node.kind} on three or five hosts, and name them all in --cluster-store.", runnable=False),
            ),
        )


check = Check(
    cause="cluster-store-single-node",
    title="The cluster store has one node only",
    subjects=("cluster-store",),
    needs=("store",),
    find=find,
    engines="≤ 20.10",
    article=(37,),
)
