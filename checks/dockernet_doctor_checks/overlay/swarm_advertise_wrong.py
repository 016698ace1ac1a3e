"""swarm-advertise-wrong: a node gave the Swarm an address at which it is not; joins succeed, `node ls` says Ready."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    Probe,
    Subject,
    cluster,
    daemon,
    daemon_subject,
    fleet,
    is_loopback,
    model,
    shell,
)

_SILENT = ("timeout", "unreachable-host", "unreachable-net")


def find(case: Case) -> Iterator[Finding]:
    """Each member of a Swarm whose advertise address is loopback, a bridge's of its own, or no address of its host; and those
    whose address leads back to the host that was read."""
    for facts in case.hosts:
        engine = facts.snapshot.engine
        if engine is None or engine.swarm.state != "active" or facts.stack is None:
            continue
        own = _own(case, facts) or _data_path(case, facts)
        if own is not None:
            yield own
        else:
            yield from _others_here(case, facts)
            yield from _no_manager(case, facts)


def probes(case: Case) -> Iterator[Probe]:
    """Asks whether the managers of a worker are at the addresses that they told."""
    for facts in case.hosts:
        for address in _managers(facts):
            yield from _signs(case, facts, address)


def _own(case: Case, facts: HostFacts) -> Finding | None:
    address = facts.snapshot.engine.swarm.node_address if facts.snapshot.engine else ""
    loopback, bridge = is_loopback(address), _bridge_of(facts, address)
    link = cluster.wrong_link(facts, address) if _others(facts) else ""
    if not address or (facts.is_own(address) and not ((loopback or bridge or link) and _others(facts))):
        return None
    line = daemon.logged(facts, r"joining gossip cluster|UDP probes failed|memberlist: ")
    # Behind 1:1 NAT an address that the host does not have can be right; one of its own subnet cannot.
    other = fleet.owner(case, facts, address)
    certain = loopback or bool(bridge or link) or line is not None or bool(other) or _in_own_subnet(facts, address)
    what = f"which is {other}'s" if other else f"which is no address of {facts.here}"
    what = "a loopback address" if loopback else f"which is its own {bridge}, on every host another" if bridge else link or what
    return Finding(
        severity="error" if certain else "warning",
        confidence="likely" if link and not (loopback or bridge) else "proven" if certain else "possible",
        subject=daemon_subject(facts),
        summary=f"{facts.name} told its Swarm that it is at {address}, {what}: overlay traffic does not reach it.",
        evidence=(
            Evidence(fact="Swarm.NodeAddr", value=address, source="docker info"),
            Evidence(fact="own addresses", value=", ".join(facts.uplink_addresses), source="ip address"),
            *daemon.log_evidence(facts, line),
        ),
        fixes=(_fix(facts),),
        hop="link",
        explains=cluster.paths_across(case, facts),
    )


def _data_path(case: Case, facts: HostFacts) -> Finding | None:
    """`--data-path-addr`, which no API tells and the log does: where the other hosts send VXLAN."""
    line = daemon.logged(facts, r"^Initializing Libnetwork Agent")
    match = re.search(r"data-(?:path-)?addr=([0-9a-f.:]+)", line.text, re.IGNORECASE) if line else None
    address = match[1] if match else ""
    bridge = _bridge_of(facts, address)
    if not address or not _others(facts) or not (bridge or is_loopback(address)):
        return None
    return Finding(
        severity="error",
        confidence="proven",
        subject=daemon_subject(facts),
        summary=f"{facts.name} told its Swarm that its overlay networks go by {address} (--data-path-addr), which is its own "
        f"{bridge or 'lo'}: names resolve, but no packet reaches it.",
        evidence=daemon.log_evidence(facts, line),
        fixes=(_fix(facts),),
        hop="link",
        explains=cluster.paths_across(case, facts),
    )


def _others_here(case: Case, facts: HostFacts) -> Iterator[Finding]:
    """Nodes that told the Swarm an address which this host has itself: what is sent to them stays here."""
    engine = facts.snapshot.engine
    swarm = engine.swarm if engine else model.Swarm()
    known = {id_: (id_, address.rpartition(":")[0].strip("[]")) for id_, address in swarm.remote_managers if not swarm.manager}
    known |= {node.id: (node.hostname, node.address) for node in swarm.node_list if node.state == "ready"}
    read = {mate.snapshot.engine.swarm.node_id for mate in fleet.mates(case, facts) if mate.snapshot.engine}
    for id_ in known.keys() - {swarm.node_id} - read:
        name, address = known[id_]
        if not facts.is_own(address):
            continue
        yield Finding(
            severity="error",
            confidence="proven",
            subject=Subject(kind="daemon", name=name, host=facts.name),
            summary=f"The node {name} told the Swarm that it is at {address}, which is an address of {facts.name} itself: "
            "overlay traffic does not reach it.",
            evidence=(
                Evidence(fact=f"address of {name}", value=address, source="docker info"),
                Evidence(fact=address, value=_bridge_of(facts, address) or "own", source=f"ip address of {facts.name}"),
            ),
            fixes=(_there(),),
            hop="link",
            explains=cluster.paths_across(case, facts),
        )


def _managers(facts: HostFacts) -> list[str]:
    """The addresses of a worker's managers."""
    swarm = facts.snapshot.engine.swarm if facts.snapshot.engine else model.Swarm()
    if swarm.state != "active" or swarm.manager:
        return []
    return [address.rpartition(":")[0].strip("[]") for _, address in swarm.remote_managers]


def _signs(case: Case, facts: HostFacts, address: str) -> Iterator[Probe]:
    vantage = case.vantage(facts)
    yield Probe(kind="icmp", vantage=vantage, address=address)
    for port in (cluster.MANAGER, cluster.GOSSIP):
        yield Probe(kind="tcp", vantage=vantage, address=address, port=port)


def _no_manager(case: Case, facts: HostFacts) -> Iterator[Finding]:
    """A worker none of whose managers gives a sign of life. They may be down as well: that is not to be seen from here."""
    managers = _managers(facts)
    answers = [case.answer(probe) for address in managers for probe in _signs(case, facts, address)]
    if not managers or any(a is None or a.result not in _SILENT for a in answers):
        return
    many = len(managers) > 1
    yield Finding(
        severity="warning",
        confidence="possible",
        subject=daemon_subject(facts),
        summary=f"{facts.name} hears nothing from {daemon.names(managers)}, where the manager{'s' * many} of its Swarm "
        f"should be: down, or at {'other addresses' if many else 'another address'}.",
        evidence=tuple(Evidence(fact=_asked(a.probe), value=a.result, source="probe") for a in answers if a),
        fixes=(_there(),),
        hop="link",
        explains=cluster.paths_across(case, facts),
    )


def _asked(probe: Probe) -> str:
    return f"{probe.address}:{probe.port}" if probe.port else f"echo of {probe.address}"


def _there() -> Fix:
    again = "docker swarm init --force-new-cluster --advertise-addr ADDRESS"
    return Fix(
        summary="There, leave the Swarm and join it again with --advertise-addr and an address that the others reach; on its "
        f"only manager: {again}.",
        impacts=("changes-network",),
        runnable=False,
    )


def _bridge_of(facts: HostFacts, address: str) -> str:
    """The bridge of a Docker network that has the address, "" for none."""
    links = [a.link for a in facts.stack.addresses if a.address == address] if facts.stack else []
    return next((link for link in links if link in facts.bridges), "")


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
            summary=f"Start the Swarm again from this manager's state, at {address}; the other nodes leave and join again.",
            commands=(shell.command("docker", "swarm", "init", "--force-new-cluster", "--advertise-addr", address),),
            impacts=("changes-network",),
            runnable=alone and bool(address),
        )
    manager = engine.swarm.remote_managers[0][1] if engine and engine.swarm.remote_managers else "MANAGER:2377"
    return Fix(
        summary=f"Leave the Swarm and join it again with --advertise-addr {address}; "
        f"`docker swarm join-token worker` on {manager.rpartition(':')[0]} prints the rest.",
        commands=(shell.command("docker", "swarm", "leave"),),
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
    title="A Swarm node advertises an address that is not its own",
    subjects=("daemon",),
    needs=("engine", "log", "host.network", "store", "link"),
    find=find,
    probes=probes,
    phrases=(
        "could not connect to prospective new cluster member using its advertised address",
        "error in joining gossip cluster",
        "attaching to network failed, make sure your network options are correct",
        "could not choose an ip address to advertise since this system has multiple addresses",
        "must specify a listen address because the advertise address is not recognized as a system address",
    ),
)
