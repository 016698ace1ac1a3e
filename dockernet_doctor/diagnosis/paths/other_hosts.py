"""Several hosts read together: whose container is where, and how two hosts of an overlay network get through to each other.

A packet leaves one snapshot and is followed in the next. Between two hosts only their own rules are known, so that what is
called reachable is so as far as both decide. Sources: libnetwork's overlay driver (gossip on 7946 tcp and udp, VXLAN on udp
4789 or Swarm's data path port, both ways), as of engines 20.10 to 28.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.facts import daemon
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.facts.routing import lookup
from dockernet_doctor.diagnosis.path import HostsApart, NoRoute, SubnetOverlaps
from dockernet_doctor.diagnosis.paths import cluster
from dockernet_doctor.diagnosis.paths.packet import arrive, flow
from dockernet_doctor.diagnosis.paths.packet.trail import Sender, Trail
from dockernet_doctor.diagnosis.question import Target
from dockernet_doctor.moments import moment
from dockernet_doctor.netfilter.model import Decision
from dockernet_doctor.notation import is_loopback
from dockernet_doctor.snapshot.model import Container, Endpoint, Network, Protocol

#: What gossip needs to spread a new endpoint, and clocks to differ, before its absence means anything.
_SETTLED = timedelta(seconds=15)


def address_of(facts: HostFacts) -> str:
    """How the other hosts of its cluster know the host: Swarm's node address, else what it advertises; "" for neither."""
    engine = facts.snapshot.engine
    if engine is None:
        return ""
    if engine.swarm.state == "active":
        return engine.swarm.node_address
    said = (engine.cluster_advertise or cluster.advertised(facts)).rpartition(":")[0].strip("[]")
    if facts.stack is not None and facts.link(said) is not None:
        return next((a.address for a in facts.stack.addresses if a.link == said and a.family == 4), "")
    return said


def mates(case: Case, facts: HostFacts) -> tuple[HostFacts, ...]:
    """The other hosts that were read and are of the same Swarm, or of the same cluster store."""
    return tuple(other for other in case.hosts if other is not facts and _one_cluster(facts, other))


def _one_cluster(one: HostFacts, other: HostFacts) -> bool:
    if any(n.scope == "swarm" and n.id in other.network_ids for n in one.snapshot.networks):
        return True
    if _nodes(one) & _nodes(other):
        return True
    store = cluster.store_url(one)
    return bool(store) and store == cluster.store_url(other) and cluster.is_legacy(one) and cluster.is_legacy(other)


def _nodes(facts: HostFacts) -> set[str]:
    """Ids of the nodes that the host knows to be of its Swarm."""
    engine = facts.snapshot.engine
    if engine is None or engine.swarm.state != "active":
        return set()
    swarm = engine.swarm
    return {swarm.node_id, *(i for i, _ in swarm.remote_managers), *(node.id for node in swarm.node_list)} - {""}


def home(case: Case, facts: HostFacts, source: Container, target: Target) -> tuple[HostFacts, Container] | None:
    """The container of another host that is asked for: the one of `target.host`, else the only one that an overlay network of
    the source leads to. None where the target is this host's own, or nobody's."""
    if target.kind not in ("plain", "container", "service", "name"):
        return None
    name = target.name.rpartition("/")[2]
    if target.host and target.host != facts.name:
        far = case.facts(target.host)
        found = far.container(target.name) or next(iter(_called(far, name)), None)
        return (far, found) if found else None
    if target.kind == "service" or facts.container(target.name) or facts.called(name.lower()):
        return None
    ids = {n.id for n in facts.networks_of(source) if n.driver == "overlay"}
    found_there = [
        (other, container)
        for other in case.hosts
        if other is not facts
        for container in _called(other, name)
        if ids & {n.id for n in other.networks_of(container)}
    ]
    return found_there[0] if len(found_there) == 1 else None


def _called(facts: HostFacts, name: str) -> tuple[Container, ...]:
    return tuple(sorted(facts.called(name.rstrip(".").lower()), key=lambda c: not c.state.running))


def shared(facts: HostFacts, source: Container, far: HostFacts, target: Container) -> Iterator[tuple[Network, Endpoint]]:
    """Overlay networks that both are on, as the source's host knows them, and the target's endpoints there."""
    ours = {n.id: n for n in facts.networks_of(source) if n.driver == "overlay"}
    for endpoint in far.endpoints(target):
        network = far.network_of(endpoint)
        if network is not None and network.id in ours:
            yield ours[network.id], endpoint


def not_told(facts: HostFacts, network: Network, far: HostFacts, target: Container) -> HostsApart | None:
    """Why the source's host does not know an endpoint of the other one: gossip that is dropped, or that did not come.

    None where it may know it, or where it could not have heard of it yet.
    """
    endpoint = next((e for e in far.endpoints(target) if e.network_id == network.id or e.network == network.name), None)
    known = endpoint is not None and any(
        m.endpoint_id == endpoint.endpoint_id or (m.ipv4 or "").split("/")[0] == endpoint.ipv4 for m in network.members
    )
    members = facts.members(next((n for n in facts.snapshot.networks if n.id == network.id), network))
    listening = any(_old_enough(container, facts) for container in members if container.state.running)
    if known or not network.members or not listening or not _old_enough(target, facts) or not _old_enough(target, far):
        return None
    protocols: tuple[Protocol, ...] = ("tcp", "udp")
    for protocol in protocols:
        if found := apart(facts, far, network, cluster.GOSSIP, protocol):
            return found
    return HostsApart(
        network=network,
        far=far.name,
        address=address_of(far),
        port=cluster.GOSSIP,
        protocol="tcp",
        where=facts.name,
        told=False,
    )


def untold(case: Case) -> Iterator[tuple[HostFacts, Network, HostFacts, Container]]:
    """Containers that one host of a cluster has on an overlay network, and that another with members there never heard of."""
    for facts in case.hosts:
        for far in mates(case, facts):
            for network in cluster.overlays(facts):
                there = far.network_with_id(network.id)
                for container in far.members(there) if there else ():
                    apart_by = not_told(facts, network, far, container) if container.state.running else None
                    if apart_by is not None and not apart_by.told:
                        yield facts, network, far, container


def _old_enough(container: Container, seen_by: HostFacts) -> bool:
    try:
        started = moment(container.state.started_at[:19] + "+00:00")
        taken = moment(seen_by.snapshot.taken_at[:19] + "+00:00")
    except ValueError:
        return False
    return started + _SETTLED < taken


def apart(facts: HostFacts, far: HostFacts, network: Network, port: int, protocol: Protocol) -> HostsApart | None:
    """What keeps the overlay's own packets, there and back, from getting from one host to the other; None where nothing that
    is known does."""
    ours, theirs = address_of(facts), address_of(far)

    def stopped(where: HostFacts, address: str, rule: Decision | None = None) -> HostsApart:
        return HostsApart(
            network=network,
            far=far.name,
            address=address,
            port=port,
            protocol=protocol,
            where=where.name,
            decision=rule,
            proven=True,
        )

    for host, address in ((far, theirs), (facts, ours)):
        if not _comes_back(host, address):
            return stopped(host, address)
    legs = ((facts, far, ours, theirs), (far, facts, theirs, ours))
    for sender, receiver, source, destination in legs:
        for host, arriving in ((sender, False), (receiver, True)):
            if rule := daemon.decided(host, source, destination, port, protocol, arriving=arriving):
                return stopped(host, theirs, rule)
    return None


def _comes_back(facts: HostFacts, address: str) -> bool:
    """True if the address that the host told the others may lead to it: its own, and neither loopback's nor a bridge's."""
    if not address or is_loopback(address):
        return False
    if facts.stack is None:
        return True
    return any(a.address == address and a.link not in facts.bridges for a in facts.stack.addresses)


def follow(
    case: Case, facts: HostFacts, source: Container | None, address: str, port: int, protocol: Protocol, trail: Trail
) -> None:
    """Where the packet left this host, or would have: the rest of its way on another host that was read."""
    if trail.ended:
        _claimed(case, facts, address, trail)
        return
    if not trail.beyond:
        return
    network = trail.network
    if network is not None and network.driver == "overlay":
        _over(case, facts, network, source, address, port, protocol, trail)
    if trail.beyond and (far := at(case, facts, address)):
        origin = lookup(facts.stack, address).source if facts.stack else None
        trail.far, trail.beyond, trail.network = far.name, False, None
        trail.say("route", f"to {far.name}")
        flow(far, Sender(outside=True, address=origin or ""), address, port, protocol, trail)


def at(case: Case, facts: HostFacts, address: str) -> HostFacts | None:
    """The other host that alone has this address on a link that is not Docker's."""
    found = [other for other in case.hosts if other is not facts and address in other.uplink_addresses]
    return found[0] if len(found) == 1 and not facts.is_own(address) else None


def owner(case: Case, facts: HostFacts, address: str) -> str:
    """The name of the other host that has the address, "" for none that was read."""
    found = at(case, facts, address)
    return found.name if found else ""


def cut_off(case: Case, facts: HostFacts, address: str) -> str:
    """The first of its mates that has no route to an address of this host, "" where all have one (or were not read)."""
    for mate in mates(case, facts):
        if mate.stack is not None and lookup(mate.stack, address).kind not in ("unicast", "local"):
            return mate.name
    return ""


def _claimed(case: Case, facts: HostFacts, address: str, trail: Trail) -> None:
    """An address that this host takes for one of its containers', and that another host has."""
    network = hidden_by(facts, address)
    if trail.hop not in ("network", "link", "route", "filter") or network is None or at(case, facts, address) is None:
        return
    text = f"{address} is taken to be on {network.bridge or network.name} ({network.name})"
    trail.obstacle = None
    trail.stop("route", SubnetOverlaps(address=address, network=network, proven=True), text)


def _over(
    case: Case,
    facts: HostFacts,
    network: Network,
    source: Container | None,
    address: str,
    port: int,
    protocol: Protocol,
    trail: Trail,
) -> None:
    """Into the VXLAN of an overlay network, and out of it on the host that has the member."""
    far = next((other for other in case.hosts if other is not facts and _has(other, network, address)), None)
    if far is None:
        return
    vxlan = cluster.vxlan_port(facts)
    trail.beyond = False
    if _no_way(facts, address_of(far), trail):
        return
    trail.far = far.name
    if _no_way(far, address_of(facts), trail):
        return
    trail.say("link", f"{network.name}, by VXLAN to {far.name} at {address_of(far) or 'no address'}")
    if stop := apart(facts, far, network, vxlan, "udp"):
        hop = "filter" if stop.decision else "link"
        trail.stop(hop, stop, f"{vxlan}/udp between {facts.name} and {far.name} ends at {stop.where}")
        return
    if "encrypted" in network.options:
        trail.doubt(
            "filter", f"{network.name} is encrypted: whether ESP passes between {facts.name} and {far.name} was not seen"
        )
    for host in (facts, far):
        if host.rulesets is None:
            trail.doubt("filter", f"the rules of {host.name} could not be read")
    there = far.network_with_id(network.id) or network
    own = facts.endpoints(source) if source else ()
    origin = next((e.ipv4 for e in own if e.ipv4 and facts.network_of(e) is network), None) or ""
    arrive(far, there, address, port, protocol, origin, trail)


def _no_way(facts: HostFacts, address: str, trail: Trail) -> bool:
    """The host has no route to the other one, or takes its address for one of its containers'."""
    if facts.stack is None or not address or is_loopback(address):
        return False
    if network := hidden_by(facts, address):
        overlap = SubnetOverlaps(address=address, network=network, proven=True)
        trail.stop("route", overlap, f"{address} is taken to be on {network.bridge} ({network.name})")
    elif (kind := lookup(facts.stack, address).kind) not in ("unicast", "local"):
        trail.stop("route", NoRoute(where="host", destination=address, kind=kind), f"{facts.name} has no route to {address}")
    return trail.ended


def hidden_by(facts: HostFacts, address: str) -> Network | None:
    """The Docker network onto whose bridge the host sends what is meant for another host's address."""
    if facts.stack is None or not address or facts.is_own(address) or facts.holder(address):
        return None
    found = lookup(facts.stack, address)
    return facts.bridges.get(found.link or "") if found.kind == "unicast" else None


def _has(other: HostFacts, network: Network, address: str) -> bool:
    holder = other.holder(address)
    there = other.network_of(holder[1]) if holder else None
    return there is not None and there.id == network.id
