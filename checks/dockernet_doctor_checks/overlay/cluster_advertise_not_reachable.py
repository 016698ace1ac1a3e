"""cluster-advertise-not-reachable: the advertised address is loopback, foreign, or a bridge's: others cannot come back.

Article rules 36, 39, 40 and 45: its own example advertises 127.0.0.1, which works for one host and is a fault with two.
"""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    UNSPECIFIED,
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    cluster,
    daemon,
    daemon_subject,
    dockerd,
    fleet,
    is_loopback,
)

_TEXT = r"Multi-Host overlay networking requires cluster-advertise"


def find(case: Case) -> Iterator[Finding]:
    """Each running daemon that advertises an address at which no other host finds it."""
    for facts in case.hosts:
        engine = facts.snapshot.engine
        if engine is None or not cluster.store_url(facts) or not cluster.is_legacy(facts) or facts.stack is None:
            continue
        address = _address(facts)
        wrong = _wrong(case, facts, address) if address else ""
        if not wrong:
            continue
        others, paths = cluster.peers(facts), cluster.paths_across(case, facts)
        # With 0.0.0.0 serf chooses an address by itself, and is found by those that it finds first.
        chosen = address in UNSPECIFIED and not any(path.verdict == "unreachable" for path in paths)
        yield Finding(
            severity="warning" if chosen or not (others or not is_loopback(address)) else "error",
            confidence="proven",
            subject=daemon_subject(facts),
            summary=f"{facts.name} advertises {address}, {wrong}: other hosts cannot reach its containers.",
            evidence=(
                Evidence(
                    fact="ClusterAdvertise", value=engine.cluster_advertise or cluster.advertised(facts), source="docker info"
                ),
                *daemon.setting_evidence(daemon.option(facts, "cluster-advertise")),
                *(Evidence(fact="other host", value=a, source=where) for a, where in others),
                *daemon.log_evidence(facts, daemon.logged(facts, _TEXT)),
            ),
            fixes=(_fix(facts),),
            hop="link",
            explains=paths,
        )


def _address(facts: HostFacts) -> str:
    engine = facts.snapshot.engine
    said = (engine.cluster_advertise if engine else "") or cluster.advertised(facts)
    host = said.rpartition(":")[0].strip("[]")
    if facts.stack is not None and facts.link(host) is not None:
        return next((a.address for a in facts.stack.addresses if a.link == host and a.family == 4), "")
    return host


def _wrong(case: Case, facts: HostFacts, address: str) -> str:
    if is_loopback(address):
        return "a loopback address"
    if not facts.is_own(address):
        other = fleet.owner(case, facts, address)
        return f"which is {other}'s" if other else f"which is no address of {facts.here}"
    network = facts.network_containing(address)
    if network is not None and network.driver == "bridge":
        return f"the address of its own bridge network {network.name}"
    if other := fleet.cut_off(case, facts, address):
        return f"to which {other} has no route"
    return cluster.wrong_link(facts, address)


def _fix(facts: HostFacts) -> Fix:
    advertise = cluster.own_advertise(facts)
    if not advertise or facts.link(advertise.rpartition(":")[0]) is None:
        return Fix(
            summary="Advertise the interface that other hosts reach: --cluster-advertise INTERFACE:2376.", runnable=False
        )
    return dockerd.set_option(facts, "cluster-advertise", advertise, summary=f"Advertise {advertise}, and restart the daemon.")


check = Check(
    cause="cluster-advertise-not-reachable",
    title="Other hosts cannot reach the advertised address",
    subjects=("daemon",),
    needs=("engine", "daemon.process", "daemon.files", "log", "host.network", "store", "link"),
    find=find,
    phrases=(
        "multi-host overlay networking requires cluster-advertise",
        "to be configured with a local ip-address that is reachable within the cluster",
        "destination host unreachable",
        "no route to host",
    ),
    engines="≤ 20.10",
    article=(36, 39, 40, 45),
)
