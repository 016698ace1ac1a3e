"""What ends it at the hop `route`: no route, a route or rule that leads elsewhere, overlapping subnets, rp_filter."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.facts.links import BRIDGED, ON_PARENT
from dockernet_doctor.diagnosis.facts.routing import (
    ANYWHERE,
    NOWHERE,
    Lookup,
    covering,
    is_tunnel,
    lookup,
    refused_by_rp_filter,
    route_text,
    rule_text,
)
from dockernet_doctor.diagnosis.path import NoRoute, ReverseFiltered, RouteElsewhere, SubnetOverlaps
from dockernet_doctor.diagnosis.paths.packet.link import bridge_broken
from dockernet_doctor.diagnosis.paths.packet.trail import Walk
from dockernet_doctor.netfilter.model import Packet
from dockernet_doctor.snapshot.model import Container, Network, NetworkStack

# what people number their own networks with; of these nobody can tell a former container's address from another machine's
PRIVATE = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")))


def stop_without_route(walk: Walk, where: str, address: str, found: Lookup, container: Container | None) -> None:
    """`where` (the host or a container) has no route; one that a broken bridge took along is called by the bridge."""
    network = walk.facts.network_containing(address) if where == "host" else None
    if network and network.driver in BRIDGED and bridge_broken(walk, network, family=6 if ":" in address else 4):
        return
    kind = found.kind if found.kind in NOWHERE else "none"
    holder = walk.facts.holder(address) if network and network.driver in BRIDGED else None
    if network and holder and kind != "none":
        text = f"{address} is {kind}, and not on {network.bridge} ({network.name})"
        walk.trail.stop("route", _elsewhere(address, network, holder[0], kind, found), text)
        return
    walk.trail.stop(
        "route",
        NoRoute(where=where, destination=address, kind=kind, container=container, rule=found.refusing_rule, proven=True),
        f"{where} has no route to {address}" if kind == "none" else f"{where}: {kind} route to {address}",
    )


def bypassed(walk: Walk, network: Network, final: str, out: str, route: Lookup | None) -> bool:
    """An address of a Docker network goes out by another link: the LAN's own, or where a route or rule leads it."""
    stack = walk.facts.stack
    text = f"{final} goes out by {out}, not by {network.bridge} ({network.name})"
    holder = walk.facts.holder(final)
    if holder is None:
        walk.trail.say("route", text)
        return False
    on_link = route is not None and route.route is not None and route.route.gateway is None
    there = [a.address for a in stack.addresses if a.link == out] if stack and on_link else []
    if any(walk.facts.network_containing(address) is network for address in there):
        overlap = SubnetOverlaps(
            address=final,
            network=network,
            link=out,
            because=route_text(route.route) if route and route.route else "",
            container=holder[0],
            proven=True,
        )
        walk.trail.stop("route", overlap, text)
    else:
        walk.trail.stop("route", _elsewhere(final, network, holder[0], out, route), text)
    return True


def _elsewhere(address: str, network: Network, container: Container, taken: str, route: Lookup | None) -> RouteElsewhere:
    because, rule = "", route.rule if route else None
    if rule and not (route and route.route):
        because = rule_text(rule)
    if route and route.route:
        because = route_text(route.route)
        if route.rule and route.rule.priority not in (0, 32766, 32767):
            because = f"{rule_text(route.rule)}: {because}"
    return RouteElsewhere(
        where="host",
        destination=address,
        expected=network.bridge or "",
        taken=taken,
        because=because,
        rule=rule if rule and rule.priority not in (0, 32766, 32767) else None,
        network=network,
        container=container,
        proven=True,
    )


def swallowed(walk: Walk, network: Network, address: str) -> bool:
    """An address of a Docker subnet that no container has, and that is another machine's by all that the host knows."""
    stack = walk.facts.stack
    other = covering(stack, address, but=walk.facts.bridges) if stack else None
    ip = ipaddress.ip_address(address)
    if other is None and any(ip in net for net in PRIVATE if net.version == ip.version):
        return False
    walk.trail.stop(
        "route",
        SubnetOverlaps(
            address=address,
            network=network,
            link=(other.link or "") if other else "",
            because=route_text(other) if other else "",
            proven=other is not None,
        ),
        f"{address} is taken to be on {network.bridge or network.name} ({network.name})",
    )
    return True


def client_swallowed(walk: Walk, stack: NetworkStack, client: str, address: str, uplink: str) -> bool:
    """A Docker network covers the address of the other machine: what is answered goes onto its bridge."""
    back = lookup(stack, client, source=address)
    network = walk.facts.bridges.get(back.link or "")
    if network is None or back.link == uplink:
        return False
    walk.trail.stop(
        "route",
        SubnetOverlaps(
            address=client,
            network=network,
            link=uplink,
            because=route_text(back.route) if back.route else "",
            container=walk.trail.container,
            reply=True,
            proven=True,
        ),
        f"answers to {client}, which is on {uplink}, go to {back.link} ({network.name})",
    )
    return True


def answers_bypass(walk: Walk, source: Container, network: Network, origin: str, address: str) -> bool:
    """What comes back for the container does not go to its bridge."""
    stack = walk.facts.stack
    if stack is None or not origin or not network.bridge:
        return False
    there = lookup(stack, address, source=origin, in_interface=network.bridge)
    if there.kind not in ("unicast", "local") and there.rule and (there.rule.source or there.rule.in_interface):
        walk.trail.stop(
            "route",
            RouteElsewhere(
                where="host",
                destination=address,
                expected=f"the way of {walk.facts.here}",
                taken=there.kind,
                because=rule_text(there.rule),
                rule=there.rule,
                network=network,
                container=source,
                proven=True,
            ),
            f"the rule {rule_text(there.rule)} leads what {source.name} sends nowhere",
        )
        return True
    came = None if there.kind == "local" else there.link
    back = lookup(stack, origin, source=address, in_interface=came)
    return back.kind == "unicast" and back.link != network.bridge and bypassed(walk, network, origin, back.link or "", back)


def answer_strays(walk: Walk, bridge: str | None, answer: Packet, found: Lookup) -> bool:
    """What comes back for a container goes elsewhere than to its bridge: by a mark that rules give it, or where it is from."""
    network = walk.facts.bridges.get(bridge or "")
    if network is None or found.kind != "unicast" or found.link in walk.facts.bridges:
        return False
    return bypassed(walk, network, answer.destination, found.link or "", found)


def answer_leaves_inside(
    walk: Walk, target: Container, stack: NetworkStack, here: str | None, back: Lookup, origin: str
) -> bool:
    """Inside the target an interface that is not Docker's takes the answer: a VPN's, by its default route."""
    facts = walk.facts
    owner = facts.namespace_owner(target) or target
    served = {link.name for e in facts.endpoints(owner) if (link := facts.sandbox_link(owner, e))}
    taken = next((link for link in stack.links if link.name == back.link), None)
    if here not in served or taken is None or back.kind != "unicast" or taken.name in served:
        return False
    outer = facts.host_side(taken) if taken.kind == "veth" else None
    if outer is not None and outer.master is not None:
        return False  # on a bridge of this host, such as docker_gwbridge, which no endpoint tells of
    if any(r.mark is not None for r in stack.rules) and facts.sandbox_rulesets(target):
        return False  # rules may give the answer the mark that leads it back
    because = route_text(back.route) if back.route else ""
    walk.trail.stop(
        "route",
        RouteElsewhere(
            where=target.name,
            destination=origin,
            expected=here or "",
            taken=taken.name,
            because=because,
            reply=True,
            network=walk.trail.network or facts.network_containing(back.source or ""),
            container=target,
            proven=True,
        ),
        f"inside {target.name} the answer to {origin} leaves by {taken.name} ({because}), not by {here}",
    )
    return True


def reply_ruled_away(walk: Walk, target: Container, address: str, origin: str) -> bool:
    """A policy rule for what containers send (a VPN's), or one that leads all into a tunnel, takes their answers to other
    machines, too."""
    stack, network = walk.facts.stack, walk.facts.network_containing(address)
    if not walk.sender.outside or stack is None or network is None or not network.bridge:
        return False
    reply = walk.back or lookup(stack, origin, source=address, in_interface=network.bridge)
    rule = reply.rule
    if rule is None or reply.kind == "local" or reply.link == walk.uplink:
        return False
    marked = rule.mark is not None and reply.kind in NOWHERE
    if not (rule.source or rule.in_interface or marked) and not is_tunnel(stack, reply.link):
        return False
    taken = reply.link or reply.kind
    walk.trail.stop(
        "route",
        RouteElsewhere(
            where="host",
            destination=origin,
            expected=walk.uplink,
            taken=taken,
            because=rule_text(rule),
            rule=rule,
            reply=True,
            network=network,
            container=target,
            proven=True,
        ),
        f"answers of {target.name} to {origin} leave by {taken}, not by {walk.uplink}",
    )
    return True


def reply_goes_elsewhere(walk: Walk, target: Container, address: str, way_back: Callable[[Walk, str], Lookup | None]) -> bool:
    """On a multi-homed host with policy routing: the host answers by one uplink, its containers by another. Where nobody asks
    about one client, one beyond the gateways is meant."""
    facts, trail = walk.facts, walk.trail
    if not walk.sender.outside or facts.stack is None or len(facts.stack.rules) <= 3:
        return False
    network = facts.network_containing(address)
    if network is None or not network.bridge:
        return False
    family = 6 if ":" in address else 4
    client = walk.sender.address or ANYWHERE[family]
    hosts_way = lookup(facts.stack, client, source=walk.dialled)
    if hosts_way.kind != "unicast" or not hosts_way.rule or not hosts_way.rule.source:
        return False
    reply = walk.back if walk.sender.address and walk.back else way_back(walk, client)
    if reply is None or reply.kind == "local" or reply.link in (hosts_way.link, walk.uplink):
        return False
    trail.stop(
        "route",
        RouteElsewhere(
            where="host",
            destination=client,
            expected=hosts_way.link or "",
            taken=reply.link or "",
            because=rule_text(hosts_way.rule),
            reply=True,
            network=network,
            container=target,
        ),
        f"replies of {target.name} leave by {reply.link}, those of the host by {hosts_way.link}",
    )
    return True


def reverse_filtered(walk: Walk, stack: NetworkStack, packet: Packet, final: str, *, reply: bool = False) -> bool:
    """Strict rp_filter drops what is answered by another interface, loose what cannot be answered. `final` is where the
    packet goes after translation, `reply` whether it is the answer."""
    interface = packet.in_interface
    if interface is None or packet.family == 6:
        return False
    # the kernel asks with the addresses as they are after DNAT
    back = refused_by_rp_filter(stack, interface, packet.source, final, mark=packet.mark)
    if back is None:
        return False
    answered = back.link if back.kind == "unicast" else None
    why = f"answered by {answered}" if answered else "which has no way back"
    strictly = "strict rp_filter" if answered else "rp_filter"
    walk.trail.stop(
        "route",
        ReverseFiltered(
            sysctl=f"net.ipv4.conf.{interface}.rp_filter",
            interface=interface,
            source=packet.source,
            answered_by=answered or "",
            reply=reply,
        ),
        f"{strictly} on {interface} drops {'answers' if reply else 'packets'} from {packet.source}, {why}",
    )
    return True


def refused_inside(
    walk: Walk, target: Container, stack: NetworkStack, interface: str | None, origin: str, address: str
) -> bool:
    """The same in a container's namespace, which may have come to its rp_filter by the host's defaults."""
    if interface is None or ":" in address or ":" in origin:
        return False
    back = refused_by_rp_filter(stack, interface, origin, address)
    if back is None:
        return False
    answered = back.link or "" if back.kind == "unicast" else ""
    obstacle = ReverseFiltered(
        sysctl=f"net.ipv4.conf.{interface}.rp_filter",
        interface=interface,
        source=origin,
        answered_by=answered,
        container=target,
    )
    why = f"answered by {answered}" if answered else "which has no way back"
    walk.trail.stop("route", obstacle, f"inside {target.name}, rp_filter on {interface} drops packets from {origin}, {why}")
    return True


def by_shim(facts: HostFacts, address: str) -> bool:
    """True if the host itself goes to the address by a macvlan of its own, not by their common parent."""
    stack = facts.stack
    link = facts.link(lookup(stack, address).link) if stack else None
    return link is not None and link.kind in ON_PARENT
