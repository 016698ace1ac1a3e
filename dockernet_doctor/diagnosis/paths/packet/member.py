"""To a member of a network, into its namespace and to the socket that listens there."""

from __future__ import annotations

from dockernet_doctor.diagnosis.facts.links import BRIDGED, no_neighbour, useless_gateway
from dockernet_doctor.diagnosis.facts.listeners import at_text, best_listener, listens_text, split_by_port
from dockernet_doctor.diagnosis.facts.routing import lookup
from dockernet_doctor.diagnosis.path import (
    AddressOfNobody,
    NamespaceLost,
    NoRoute,
    NothingListens,
    NotRunning,
    Paused,
    TranslatedElsewhere,
)
from dockernet_doctor.diagnosis.paths.packet.filter import sandbox_drops, way_back
from dockernet_doctor.diagnosis.paths.packet.link import host_entry_stale, stale_neighbour, target_link_broken
from dockernet_doctor.diagnosis.paths.packet.route import (
    answer_leaves_inside,
    refused_inside,
    reply_goes_elsewhere,
    reply_ruled_away,
    swallowed,
)
from dockernet_doctor.diagnosis.paths.packet.trail import Walk
from dockernet_doctor.notation import UNSPECIFIED, at
from dockernet_doctor.snapshot.model import Container, Endpoint, Network, NetworkStack


def to_member(walk: Walk, network: Network, address: str, port: int, origin: str) -> None:
    """From the network to the container that has the address; `origin` is who sent it, as the member sees it ("" unknown)."""
    facts, trail = walk.facts, walk.trail
    trail.network = trail.network or network
    holder = facts.holder(address)
    if holder is None:
        remote = next((m for m in network.members if m.ipv4 and m.ipv4.split("/")[0] == address), None)
        if remote is not None or network.driver not in BRIDGED:
            trail.beyond = True
            trail.say("route", f"{address} is on another host of {network.name}")
            return
        gateways = {s.gateway for s in network.subnets}
        if address in gateways:
            trail.doubt("route", f"{address} is the gateway of {network.name}, which {facts.here} does not hold")
            return
        if swallowed(walk, network, address):
            return
        trail.stop(
            "network",
            AddressOfNobody(address=address, network=network, proven=True),
            f"no running container has {address} on {network.name}",
        )
        return
    target, endpoint = holder
    actual = facts.network_of(endpoint)
    if actual is not None and actual.driver in BRIDGED and target_link_broken(walk, target, endpoint, actual, address):
        return
    if host_entry_stale(walk, target, endpoint, network, origin):
        return
    enter(walk, target, endpoint, origin or None, address, port)


def enter(walk: Walk, target: Container, endpoint: Endpoint | None, origin: str | None, address: str, port: int) -> None:
    """In the target's namespace: its own rules, its listener, and the way back."""
    facts, trail = walk.facts, walk.trail
    trail.container, trail.port, trail.endpoint = target, port, endpoint
    if not target.state.running:
        trail.stop("target", NotRunning(container=target, proven=True), f"{target.name} is {target.state.status}")
        return
    if target.frozen:
        how = "paused" if target.state.paused else "frozen"
        trail.stop("target", Paused(container=target, proven=True), f"{target.name} is {how}")
        return
    stack = facts.stack_of(target)
    if stack is None:
        trail.doubt("listener", f"the inside of {target.name} could not be read")
        return
    if origin and endpoint and _target_refuses(walk, target, stack, origin, address, port):
        return
    _to_listener(walk, target, stack, address, port)


def _to_listener(walk: Walk, target: Container, stack: NetworkStack, address: str, port: int) -> None:
    """To the socket that takes it, the end of the way."""
    trail = walk.trail
    if stack.listeners is None:
        trail.doubt("listener", f"listeners of {target.name} could not be read")
        return
    found = best_listener(stack.listeners, address, port, walk.protocol)
    if found is not None:
        trail.say("listener", f"{at_text(found)} in {target.name}")
        return
    if isinstance(led := trail.diverted, TranslatedElsewhere) and led.inside is target:
        trail.say("listener", f"what listens on {at(led.address, led.port)} in {target.name}")
        return
    if lost := _lost_listener(walk, target, port):
        trail.stop("listener", NamespaceLost(container=lost, owner=target, proven=True), f"{lost.name} lost {target.name}")
        return
    elsewhere, others = split_by_port(stack.listeners, port, walk.protocol)
    trail.stop(
        "listener",
        NothingListens(
            container=target,
            address=address,
            port=port,
            protocol=walk.protocol,
            elsewhere=elsewhere,
            others=others,
            published=trail.published,
            proven=True,
        ),
        listens_text(target.name, elsewhere, port),
    )


def to_process(walk: Walk, stack: NetworkStack, address: str, port: int) -> None:
    """To a process of the host, in the stack that its ports are in."""
    listener = best_listener(stack.listeners, address, port, walk.protocol)
    if listener is not None:
        walk.trail.say("listener", f"{listener.address}:{listener.port} on {walk.facts.here}")
    elif stack.listeners is None:
        walk.trail.doubt("listener", f"listeners of {walk.facts.here} could not be read")
    else:
        elsewhere, others = split_by_port(stack.listeners, port, walk.protocol)
        nobody = NothingListens(
            container=None, address=address, port=port, protocol=walk.protocol, elsewhere=elsewhere, others=others
        )
        walk.trail.stop("listener", nobody, listens_text(walk.facts.here, elsewhere, port))


def _lost_listener(walk: Walk, target: Container, port: int) -> Container | None:
    """A container that shared the target's namespace, listens on the port, and is in a namespace of its past now."""
    facts = walk.facts
    owner = facts.namespace_owner(target) or target
    for other in facts.sharing.get(owner.id, ()):
        listens = (
            other.network_mode == f"container:{target.id}"
            and facts.namespace_lost(other)
            and any(li.port == port for li in facts.listeners(other, walk.protocol) or ())
        )
        if listens:
            return other
    return None


def _answers_from(walk: Walk, stack: NetworkStack, address: str, port: int) -> str | None:
    """The address by which the way of the answer is looked for: none yet where a UDP socket is bound to all (udp_sendmsg)."""
    listener = best_listener(stack.listeners, address, port, walk.protocol)
    unbound = listener is not None and listener.protocol == "udp" and listener.address in UNSPECIFIED
    return None if unbound else address


def _target_refuses(walk: Walk, target: Container, stack: NetworkStack, origin: str, address: str, port: int) -> bool:
    """The sandbox's own rules, and whether it has a way back to `origin`."""
    trail = walk.trail
    here = next((a.link for a in stack.addresses if a.address == address), None)
    if target.network_mode != "host" and refused_inside(walk, target, stack, here, origin, address):
        return True
    if sandbox_drops(walk, target, origin, address, port, inside=here or "eth0"):
        return True
    same_family = (":" in origin) == (":" in address)
    if not same_family or target.network_mode == "host":
        return False
    source = _answers_from(walk, stack, address, port)
    back = lookup(stack, origin, source=source, protocol=walk.protocol, sport=port)
    if back.kind not in ("unicast", "local"):
        trail.stop(
            "route",
            NoRoute(where=target.name, destination=origin, kind=back.kind, container=target, rule=back.refusing_rule),
            f"{target.name} has no route back to {origin}",
        )
        return True
    gateway = useless_gateway(walk.facts, stack, back.route)
    if gateway or no_neighbour(walk.facts, target, back, origin):
        text = f"{target.name} answers by {gateway}" if gateway else f"{target.name} treats {origin} as a neighbour"
        trail.stop("route", NoRoute(where=target.name, destination=origin, container=target), text)
        return True
    network = walk.facts.network_containing(address)
    return (
        stale_neighbour(walk, stack, target.name, back.gateway or origin, back.link, network)
        or answer_leaves_inside(walk, target, stack, here, back, origin)
        or reply_ruled_away(walk, target, address, origin)
        or reply_goes_elsewhere(walk, target, address, way_back)
    )
