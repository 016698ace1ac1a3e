"""cluster-store-unreachable: no address of the cluster store takes connections, so overlay networks are missing (rule 38); or
some of several, on which nothing hangs yet."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce

from dockernet_doctor.plugin import (
    Affected,
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    Severity,
    Subject,
    cluster,
    cluster_store,
    daemon,
    dockerd,
    filtering,
    model,
)

_LOG = r"etcd cluster is unavailable|error getting pools config from store|zk: could not connect|discovery error"
_LOST = "overlay networks are not listed and cannot be created"
_EPHEMERAL = 45000  # any port of the client's own side
_SCHEMES = {"etcd": "etcd", "zookeeper": "zk", "consul": "consul"}


def find(case: Case) -> Iterator[Finding]:
    """Each host whose store is closed at every address its URL names, or answers and is sick; a warning where some answer."""
    for facts in case.hosts:
        store = facts.snapshot.store
        if store is None or not store.nodes or not cluster.is_legacy(facts):
            continue
        asked = _asked(store)
        if not asked or any(a.port is None for a in cluster_store.parse_store_url(store.url)[1]):
            continue  # a URL without port is cluster-store-malformed's
        if all(node.connect != "open" for node in asked):
            yield _finding(case, facts, store, asked, f"cannot be reached ({_why(facts, asked)}): {_LOST}")
        elif all(node.healthy is False or _is_mute(store, node) for node in asked):
            yield _finding(case, facts, store, asked, f"answers but is unhealthy ({asked[0].detail or 'no leader'}): {_LOST}")
        elif closed := tuple(node for node in asked if node.connect != "open"):
            some = f"cannot be reached at {len(closed)} of the {len(asked)} configured addresses ({_why(facts, closed)})"
            yield _finding(case, facts, store, closed, f"{some}: the overlay networks depend on the rest", severity="warning")


def _why(facts: HostFacts, closed: tuple[model.StoreNode, ...]) -> str:
    answers = ", ".join(f"{n.address}:{n.port} {n.connect}" for n in closed)
    rules = _own_rules(facts, closed)
    return f"{answers}; {facts.name}'s own firewall is in the way" if rules else answers


def _own_rules(facts: HostFacts, closed: tuple[model.StoreNode, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(rule for node in closed if (rule := _blocked(facts, node)[0])))


def _blocked(facts: HostFacts, node: model.StoreNode) -> tuple[str, tuple[Fix, ...]]:
    """The rule of this host's own firewall that is in the way there, or names the store and drops its answers, and what
    lets it pass; "" for none."""
    own = next((a for a in facts.uplink_addresses if (":" in a) == (":" in node.address)), "")
    if not own or node.connect == "open" or daemon.way_to(facts, node.address) is None:
        return "", ()
    there = daemon.decided(facts, own, node.address, node.port, "tcp", arriving=False)
    back = daemon.decided(facts, node.address, own, _EPHEMERAL, "tcp", arriving=True)
    if there is None and back is not None and node.address not in daemon.rule_text(back):
        return "", ()
    decision = there or back
    return (daemon.rule_text(decision), tuple(filtering.changes(facts, [decision]))) if decision else ("", ())


def _is_mute(store: model.ClusterStore, node: model.StoreNode) -> bool:
    """True where the store's port is open but silent, as with an etcd that never had a majority."""
    return node.detail == cluster_store.MUTE and node.port == cluster_store.DEFAULT_PORTS.get(store.scheme)


def _asked(store: model.ClusterStore) -> tuple[model.StoreNode, ...]:
    wanted = {(a.host, a.port) for a in cluster_store.parse_store_url(store.url)[1]}
    return tuple(node for node in store.nodes if (node.address, node.port) in wanted)


def _finding(
    case: Case,
    facts: HostFacts,
    store: model.ClusterStore,
    asked: tuple[model.StoreNode, ...],
    state: str,
    *,
    severity: Severity = "error",
) -> Finding:
    return Finding(
        severity=severity,
        confidence="proven",
        subject=Subject(kind="cluster-store", name=store.url, host=facts.name),
        affects=(Affected(kind="daemon", name=facts.name, host=facts.name),),
        summary=f"The cluster store {store.url} of {facts.name} {state}.",
        evidence=(
            *(
                Evidence(
                    fact=f"{n.address}:{n.port}", value=f"{n.connect} {n.kind} {n.detail}".strip(), source="probe of the store"
                )
                for n in store.nodes
            ),
            *(
                Evidence(fact="stopped by", value=rule, source=f"the rules of {facts.name}")
                for rule in _own_rules(facts, asked)
            ),
            *daemon.setting_evidence(daemon.option(facts, "cluster-store")),
            *daemon.log_evidence(facts, daemon.logged(facts, _LOG)),
        ),
        fixes=tuple(_fixes(facts, store, asked)),
        hop="network",
        explains=cluster.paths_across(case, facts) if severity == "error" else (),
    )


def _fixes(facts: HostFacts, store: model.ClusterStore, asked: tuple[model.StoreNode, ...]) -> Iterator[Fix]:
    other = next((n for n in store.nodes if n not in asked and n.connect == "open" and n.kind in _SCHEMES), None)
    if other is not None and asked == _asked(store):
        url = f"{_SCHEMES[other.kind]}://{other.address}:{other.port}"
        yield dockerd.set_option(facts, "cluster-store", url, summary=f"Use {url}, where {other.kind} answers.")
        return
    yield from _opened([fixes for node in asked if (fixes := _blocked(facts, node)[1])])
    for node in asked:  # one that answers is enough for the daemon; each needs its fix
        yield Fix(summary=_by_hand(facts, node), runnable=False, host=node.address)


def _opened(ways: list[tuple[Fix, ...]]) -> Iterator[Fix]:
    """What lets the packets to all members pass that a rule of this host stops, the best way first."""
    for same in zip(*ways, strict=False):
        yield reduce(lambda one, other: one.then(other), same)


def _by_hand(facts: HostFacts, node: model.StoreNode) -> str:
    match node.connect:
        case "refused":
            return f"Start the store on {node.address}: nothing listens at {node.port} there (or correct the address)."
        case "nxdomain":
            return f"Use an address instead of {node.address}, which {facts.name} cannot resolve, or fix its resolver."
        case "unreachable-net" | "not-sent":
            return f"Fix the route of {facts.name} to {node.address}: {node.detail or 'nothing can be sent there'}."
        case "unreachable-host":
            return f"Correct the address, or start the machine: nothing answers at {node.address}."
        case "open":
            return f"Bring the store's cluster back to a majority: {node.detail or 'it has no leader'}."
    return f"Let tcp {node.port} through between {facts.name} and {node.address} (firewall), or correct the address."


check = Check(
    cause="cluster-store-unreachable",
    title="The cluster store cannot be reached",
    subjects=("cluster-store",),
    needs=("engine", "daemon.process", "daemon.files", "log", "host.network", "host.files", "firewall", "store"),
    find=find,
    symptom_of=("cluster-store-malformed",),
    phrases=(
        "etcd cluster is unavailable or misconfigured",
        "error getting pools config from store",
        "zk: could not connect to a server",
        "unexpected watch error",
    ),
    engines="≤ 20.10",
    article=(38,),
)
