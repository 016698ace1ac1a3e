"""swarm-advertise-wrong: a node gave the Swarm an address at which it is not; joins succeed, `node ls` says Ready."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from dockernet_doctor.plugin import Case, Check, Evidence, Finding, Fix, HostFacts, cluster, daemon, daemon_subject, fleet


def find(case: Case) -> Iterator[Finding]:
    """Each member of a Swarm whose advertise address is loopback, or no address of its host."""
    for facts in case.hosts:
        engine = facts.snapshot.engine
        if engine is None or engine.swarm.state != "active" or facts.stack is None:
            continue
        address = engine.swarm.node_address
        loopback = address.startswith("127.") or address == "::1"
        if not address or (facts.is_own(address) and not (loopback and _others(facts))):
            continue
        line = daemon.logged(facts, r"joining gossip cluster|UDP probes failed|memberlist: ")
        # Behind 1:1 NAT an address that the host does not have can be right; one of its own subnet cannot.
        other = fleet.owner(case, facts, address)
        certain = loopback or line is not None or bool(other) or _in_own_subnet(facts, address)
        what = "a loopback address" if loopback else f"which is {other}'s" if other else "which is no address of this host"
        yield Finding(
            severity="error" if certain else "warning",
            confidence="proven" if certain else "possible",
            subject=daemon_subject(facts),
            summary=f"{facts.name} told its Swarm that it is at {address}, {what}: nothing of its overlay networks reaches it.",
            evidence=(
                Evidence(fact="Swarm.NodeAddr", value=address, source="docker info"),
                Evidence(fact="own addresses", value=", ".join(facts.uplink_addresses), source="ip address"),
                *daemon.log_evidence(facts, line),
            ),
            fixes=(_fix(facts),),
            hop="link",
            explains=cluster.paths_across(case, facts),
        )


def _in_own_subnet(facts: HostFacts, address: str) -> bool:
    own = [f"{a.address}/{a.prefix}" for a in facts.stack.addresses if a.scope == "global"] if facts.stack else []
    try:
        return any(ipaddress.ip_address(address) in ipaddress.ip_network(net, strict=False) for net in own)
    except ValueError:
        return False


def _others(facts: HostFacts) -> bool:
    engine = facts.snapshot.engine
    return engine is not None and (engine.swarm.nodes > 1 or bool(cluster.peers(facts)))


def _fix(facts: HostFacts) -> Fix:
    engine = facts.snapshot.engine
    address = _right(facts)
    if engine is not None and engine.swarm.manager:
        alone = engine.swarm.managers <= 1
        return Fix(
            summary=f"Make the Swarm anew from this manager's own state, at {address}; the other nodes leave and join again.",
            commands=(f"docker swarm init --force-new-cluster --advertise-addr {address}",),
            impacts=("changes-network",),
            runnable=alone and bool(address),
        )
    manager = engine.swarm.remote_managers[0][1] if engine and engine.swarm.remote_managers else "MANAGER:2377"
    return Fix(
        summary=f"Leave the Swarm and join it again with --advertise-addr {address}; "
        f"`docker swarm join-token worker` on {manager.rpartition(':')[0]} prints the rest.",
        commands=("docker swarm leave",),
        impacts=("changes-network",),
        runnable=False,
    )


def _right(facts: HostFacts) -> str:
    for peer, _ in cluster.peers(facts):
        link = daemon.way_to(facts, peer)
        for address in facts.stack.addresses if facts.stack else ():
            if address.link == link and address.scope == "global" and (address.family == 6) == (":" in peer):
                return address.address
    return next((a for a in facts.uplink_addresses if ":" not in a), "")


check = Check(
    cause="swarm-advertise-wrong",
    title="A Swarm node advertises an address at which it is not",
    subjects=("daemon",),
    find=find,
    phrases=("error in joining gossip cluster", "attaching to network failed, make sure your network options are correct"),
)
