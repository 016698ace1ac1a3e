"""Where it starts: in a container's sandbox, on the host, or on another machine."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.facts.links import ON_PARENT, addresses_on, no_neighbour, useless_gateway
from dockernet_doctor.diagnosis.facts.routing import ANYWHERE, Lookup, lookup, route_text
from dockernet_doctor.diagnosis.path import NoAddressOfFamily, NoNetwork, NoRoute
from dockernet_doctor.diagnosis.paths.packet.filter import own_rules_drop, sandbox_drops
from dockernet_doctor.diagnosis.paths.packet.host import through_host
from dockernet_doctor.diagnosis.paths.packet.inspection import by_inspection, from_container_by_inspection, stop_inside
from dockernet_doctor.diagnosis.paths.packet.link import endpoint_broken, next_hop_silent, stale_neighbour
from dockernet_doctor.diagnosis.paths.packet.member import enter, to_member
from dockernet_doctor.diagnosis.paths.packet.network import onto_network
from dockernet_doctor.diagnosis.paths.packet.rootless import to_rootless
from dockernet_doctor.diagnosis.paths.packet.route import client_swallowed, stop_without_route
from dockernet_doctor.diagnosis.paths.packet.trail import Walk
from dockernet_doctor.notation import is_loopback
from dockernet_doctor.snapshot.model import Container, Endpoint, Network, NetworkStack


def from_container(walk: Walk, source: Container, address: str, port: int) -> None:
    """By the route, the rules and the neighbour table of its own sandbox."""
    trail, facts = walk.trail, walk.facts
    stack = facts.stack_of(source)
    if stack is None:
        trail.doubt("link", f"the inside of {source.name} could not be read")
        trail.doubt("route", f"the inside of {source.name} could not be read")
        from_container_by_inspection(walk, source, address, port)
        return
    if is_loopback(address) or any(a.address == address for a in stack.addresses):
        trail.say("route", "stays inside the container")
        if own_rules_drop(walk, source, stack, address, port):
            return
        enter(walk, source, None, None, address, port)
        return
    found = lookup(stack, address, protocol=walk.protocol, port=port)
    if _own_links_broken(walk, source, stack, found, address):
        return
    if not _leaves(walk, source, stack, found, address):
        return
    link = next((li for li in stack.links if li.name == found.link), None)
    own = _endpoint_on(facts, source, stack, found.link)
    network = facts.network_of(own) if own else _way_out_of_overlays(facts, stack, found.link)
    trail.network = trail.network or network
    trail.say("route", route_text(found.route) if found.route else f"by {found.link}")
    origin = found.source or ""
    if sandbox_drops(walk, source, origin, address, port, out=found.link):
        return
    next_hop = found.gateway or address
    if stale_neighbour(walk, stack, source.name, next_hop, found.link, network):
        return
    if network is None or link is None:
        trail.doubt("route", f"{found.link} of {source.name} belongs to no Docker network")
        return
    onto_network(walk, source, network, link, address, port, origin, gateway=found.gateway)


def from_host(walk: Walk, address: str, port: int) -> None:
    """From a process of the host, or of a container in host mode."""
    if walk.facts.apart and walk.sender.container is None:
        to_rootless(walk, walk.packet("", address, port))
        return
    stack = walk.facts.stack
    if stack is None:
        for hop in ("route", "filter"):
            walk.trail.doubt(hop, f"{walk.facts.here}'s network could not be read")
        by_inspection(walk, address, port)
        return
    found = lookup(stack, address, protocol=walk.protocol, port=port)
    if found.kind not in ("unicast", "local"):
        stop_without_route(walk, "host", address, found, None)
        return
    through_host(walk, walk.packet(found.source or "", address, port))


def from_outside(walk: Walk, address: str, port: int) -> None:
    """By the uplink that has the address, from a machine on it; of macvlan and ipvlan members, past the host."""
    walk.dialled = address
    stack = walk.facts.machine
    if stack is None:
        for hop in ("route", "filter"):
            walk.trail.doubt(hop, f"{walk.facts.here}'s network could not be read")
        by_inspection(walk, address, port)
        return
    holder = walk.facts.holder(address)
    network = walk.facts.network_of(holder[1]) if holder else None
    if network is not None and network.driver in ON_PARENT:
        walk.trail.say("route", f"straight to {address} by the parent interface of {network.name}")
        to_member(walk, network, address, port, "")
        return
    uplink, client = uplink_and_client(walk.facts, address)
    if walk.sender.address:
        client = walk.sender.address
        uplink = walk.sender.interface or _link_of(walk.facts, stack, client, address) or uplink
    if uplink is None:
        walk.trail.stop(
            "route", NoRoute(where="host", destination=address), f"{walk.facts.here} has no interface to other machines"
        )
        return
    if client_swallowed(walk, stack, client, address, uplink):
        return
    walk.uplink = uplink
    if walk.facts.apart:
        to_rootless(walk, walk.packet(client, address, port, in_interface=uplink))
        return
    through_host(walk, walk.packet(client, address, port, in_interface=uplink))
    # last: that a router is silent matters only where everything else sends the answer to it rightly
    if walk.answers_to and not walk.trail.ended:
        next_hop_silent(walk, *walk.answers_to, reply=True)


@lru_cache(maxsize=256)
def uplink_and_client(facts: HostFacts, address: str) -> tuple[str | None, str]:
    """The interface by which another machine's packet comes in, and an address it may have."""
    stack, family, docker = facts.machine, 6 if ":" in address else 4, set(facts.bridges)
    if stack is None:
        return None, ""
    candidates = [
        a for a in stack.addresses if a.family == family and a.scope == "global" and a.link != "lo" and a.link not in docker
    ]
    own = next((a for a in candidates if a.address == address), None) or (candidates[0] if candidates else None)
    if own is None:
        return None, ""
    near = (n.address for n in stack.neighbours if n.link == own.link and n.family == family and n.mac)
    subnet = ipaddress.ip_network(f"{own.address}/{own.prefix}", strict=False)
    known = next((address for address in near if ipaddress.ip_address(address) in subnet), "")
    return own.link, known or _free_address(stack, subnet) or ANYWHERE[family]


def _link_of(facts: HostFacts, stack: NetworkStack, client: str, address: str) -> str | None:
    """By which interface that machine comes in: the one of the route to it, unless that is a default route or Docker's."""
    back = lookup(stack, client, source=address)
    anywhere = back.route is None or back.route.destination in ("0.0.0.0/0", "::/0")
    return None if back.kind != "unicast" or anywhere or back.link in facts.bridges else back.link


def _own_links_broken(walk: Walk, source: Container, stack: NetworkStack, found: Lookup, address: str) -> bool:
    """The container's own interface on this way: gone, down, or without its address."""
    facts = walk.facts
    endpoints = [e for e in facts.endpoints(source) if e.ipv4 or e.ipv6]
    physical = [link for link in stack.links if link.name != "lo" and link.kind not in ("ipip", "sit", "gre", "tunl")]
    if not physical and (not endpoints or source.network_mode.startswith("container:")):
        walk.trail.stop("network", NoNetwork(container=source, proven=True), f"{source.name} has no interface but lo")
        return True
    served = facts.network_containing(address)
    on_way = [e for e in endpoints if served is not None and facts.network_of(e) is served]
    if not on_way and found.kind == "unicast":
        on_way = [e for e in endpoints if (li := facts.sandbox_link(source, e)) and li.name == found.link]
    return any(endpoint_broken(walk, source, stack, e, address) for e in on_way or endpoints)


def _leaves(walk: Walk, source: Container, stack: NetworkStack, found: Lookup, address: str) -> bool:
    """True if the sandbox has a route to the address; where not, the trail ends."""
    facts, trail = walk.facts, walk.trail
    if found.kind == "unicast":
        gateway = useless_gateway(facts, stack, found.route)
        if gateway or no_neighbour(facts, source, found, address):
            text = f"{source.name} sends it to {gateway}" if gateway else f"{source.name} treats {address} as a neighbour"
            trail.stop("route", NoRoute(where=source.name, destination=address, container=source, proven=True), text)
        return not trail.ended
    networks = facts.networks_of(source)
    default = any(r.destination in ("0.0.0.0/0", "::/0") for r in stack.routes)
    if found.kind == "none" and networks and not default and all(n.internal for n in networks):
        stop_inside(walk, source, address)
        return False
    if found.kind == "none" and ":" in address and networks and not any(n.ipv6 for n in networks):
        trail.stop(
            "network",
            NoAddressOfFamily(container=source, network=networks[0], family=6, proven=True),
            f"no network of {source.name} has IPv6",
        )
        return False
    if found.kind == "none" and ":" not in address and networks and not any(n.ipv4 for n in networks):
        trail.stop(
            "network",
            NoAddressOfFamily(container=source, network=networks[0], family=4, proven=True),
            f"no network of {source.name} has IPv4",
        )
        return False
    stop_without_route(walk, source.name, address, found, source)
    return False


def _endpoint_on(facts: HostFacts, container: Container, stack: NetworkStack, link: str | None) -> Endpoint | None:
    """The endpoint that an interface of the sandbox serves."""
    here = addresses_on(stack, link)
    for endpoint in facts.endpoints(container):
        if endpoint.ipv4 in here or endpoint.ipv6 in here:
            return endpoint
        if any(li.name == link and li.mac == endpoint.mac for li in stack.links):
            return endpoint
    return None


def _way_out_of_overlays(facts: HostFacts, stack: NetworkStack, link: str | None) -> Network | None:
    """`docker_gwbridge`, by which members of overlay networks reach the world, and of which no endpoint is listed."""
    network = facts.networks.get("docker_gwbridge")
    here = addresses_on(stack, link)
    return network if network and any(facts.network_containing(a) is network for a in here) else None


def _free_address(stack: NetworkStack, subnet: ipaddress.IPv4Network | ipaddress.IPv6Network) -> str:
    taken = {a.address for a in stack.addresses} | {n.address for n in stack.neighbours if n.state in ("failed", "incomplete")}
    some = (str(subnet[number]) for number in range(1, min(20, subnet.num_addresses)))
    return next((address for address in some if address not in taken), "")
