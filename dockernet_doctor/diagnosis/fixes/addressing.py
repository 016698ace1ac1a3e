"""Addresses, routes and links as a diagnosis needs them: which are in use, which way is the default, what is still free."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from functools import lru_cache

from dockernet_doctor.diagnosis.change import Change, IpChange, SysctlChange
from dockernet_doctor.diagnosis.facts.docker_rules import masquerades
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.facts.links import BRIDGED, gateway_rank, gateways_of, given_gateways
from dockernet_doctor.diagnosis.facts.routing import ANYWHERE, MAIN, lookup
from dockernet_doctor.diagnosis.finding import Fix, Lasts
from dockernet_doctor.snapshot.model import Container, Endpoint, Link, Network, NetworkStack, Subnet

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_DEFAULT = {4: "0.0.0.0/0", 6: "::/0"}

FREE = (("172.16.0.0/12", 16), ("192.168.0.0/16", 20), ("10.128.0.0/9", 16))
"""Docker's own default pools, and then some: what they are cut from, and the size of a piece."""


@lru_cache(maxsize=64)
def served(facts: HostFacts, *, drivers: tuple[str, ...] = BRIDGED) -> tuple[tuple[Container, Endpoint, Network], ...]:
    """Running containers whose inside could be read, with each of their endpoints on networks of these drivers."""
    return tuple(_served(facts, drivers))


def _served(facts: HostFacts, drivers: tuple[str, ...]) -> Iterator[tuple[Container, Endpoint, Network]]:
    for container in facts.running:
        if container.sandbox is None or facts.unsettled(container) or container.network_mode.startswith("container:"):
            continue
        for endpoint in container.endpoints:
            network = facts.network_of(endpoint)
            if network is not None and network.driver in drivers and (endpoint.ipv4 or endpoint.ipv6):
                yield container, endpoint, network


@lru_cache(maxsize=4096)
def parse(text: str) -> IPNetwork | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def subnets(network: Network) -> tuple[IPNetwork, ...]:
    return tuple(net for s in network.subnets if (net := parse(s.subnet)))


MOST_MEMBERS = 1023  # ports of a Linux bridge (BR_MAX_PORTS less one)


def may_be_given(facts: HostFacts, network: Network, address: str) -> bool:
    """True if a container of the network can have had the IPv4 address. Docker hands out the lowest that is free, from the
    range or subnet, and a bridge has no more than 1023 ports; beyond that lies only what somebody asks for by `--ip`."""
    pool = next((s for s in network.subnets if (net := parse(s.subnet)) and _holds(net, address)), None)
    net = parse((pool.ip_range or pool.subnet) if pool else "")
    if net is None or net.version == 6:
        return True
    asked = (e.requested_ipv4 for c in facts.members(network) for e in c.endpoints if facts.network_of(e) is network)
    if any(one and int(ipaddress.ip_address(one)) - int(net.network_address) > MOST_MEMBERS for one in asked):
        return True  # here addresses are given by hand
    number = int(ipaddress.ip_address(address)) - int(net.network_address)
    return 0 < number <= MOST_MEMBERS + len(pool.auxiliary if pool else ()) and number < net.num_addresses - 1


def _holds(net: IPNetwork, address: str) -> bool:
    ip = ipaddress.ip_address(address)
    return ip.version == net.version and ip in net


def uplink(facts: HostFacts, family: int = 4) -> Link | None:
    """The link of this host's default route; None where there is none, or where it is Docker's."""
    found = lookup(facts.stack, ANYWHERE[family]) if facts.stack else None
    return facts.link(found.link) if found and found.kind == "unicast" and found.link not in facts.bridges else None


def to_be_kept(facts: HostFacts, link: str) -> str:
    """Where a change of the link or its routes has to stand to be there after a reboot: a sentence."""
    keeper = next((it for it in facts.host.link_keepers if it.link == link), None) if facts.host else None
    files = {"netplan": "/etc/netplan", "networkd": f"/etc/systemd/network ({keeper.name})" if keeper else ""}
    if keeper is not None and keeper.keeper == "NetworkManager":
        where = f"in NetworkManager's connection of {link}"
    elif keeper is not None:
        where = f"in {files[keeper.keeper]}"
    else:
        where = f"where this host sets up {link} (ifupdown: as up lines in /etc/network/interfaces)"
    return f"It lasts until the next reboot; to keep it, put it {where}."


def gateway_endpoint(facts: HostFacts, container: Container, family: int = 4) -> Endpoint | None:
    """The endpoint whose gateway is the default route, as the engine chooses."""
    able = [
        e
        for e in container.endpoints
        if (e.ipv4_gateway if family == 4 else e.ipv6_gateway) and (n := facts.network_of(e)) and not n.internal
    ]
    return min(able, key=gateway_rank, default=None)


def default_endpoint(facts: HostFacts, container: Container) -> Endpoint | None:
    """The endpoint by whose link the IPv4 default route leaves now."""
    stack = facts.stack_of(container)
    found = lookup(stack, ANYWHERE[4]) if stack else None
    if found is None or found.kind != "unicast":
        return None
    links = ((e, facts.sandbox_link(container, e)) for e in container.endpoints)
    return next((e for e, link in links if link and link.name == found.link), None)


def other_way_out(facts: HostFacts, container: Container, network: Network) -> Endpoint | None:
    """An endpoint on another network by which the container could leave this host."""
    for endpoint in facts.endpoints(container):
        other = facts.network_of(endpoint)
        if other is None or other is network or other.driver not in BRIDGED or other.internal:
            continue
        if endpoint.ipv4_gateway and masquerades(other):
            return endpoint
    return None


def taken(facts: HostFacts) -> list[IPNetwork]:
    """All that networks, addresses, routes and name servers of this host use; not its default routes, nor halves of them."""
    found = [net for network in facts.snapshot.networks for net in subnets(network)]
    stack, host = facts.stack, facts.host
    if stack:
        found += [net for a in stack.addresses if (net := parse(f"{a.address}/{a.prefix}"))]
        found += [net for r in stack.routes if (net := parse(r.destination)) and net.prefixlen > 1]
    servers = host.resolv_conf.nameservers if host and host.resolv_conf else ()
    return found + [net for server in servers if (net := parse(server))]


def free_subnet(facts: HostFacts) -> str:
    """A private IPv4 subnet that nothing on this host uses; "" where there is none."""
    used = [net for net in taken(facts) if net.version == 4]
    pools = (net for base, size in FREE for net in ipaddress.ip_network(base).subnets(new_prefix=size))
    return next((str(pool) for pool in pools if not any(pool.overlaps(net) for net in used)), "")


def renumbered(facts: HostFacts, network: Network) -> tuple[Subnet, ...]:
    """The network's subnets with a free one in place of its IPv4 ones."""
    kept = tuple(s for s in network.subnets if ":" in s.subnet)
    return (Subnet(subnet=free), *kept) if (free := free_subnet(facts)) else kept


def routes_of(facts: HostFacts, container: Container, endpoint: Endpoint, link: str) -> tuple[Change, ...]:
    """What gives the interface of the endpoint back its addresses and the container its default route.

    It repeats what is there already without harm.
    """
    changes: list[Change] = []
    stack, inside = facts.stack_of(container), container.name
    for address, prefix, gateway, family in (
        (endpoint.ipv4, endpoint.ipv4_prefix, endpoint.ipv4_gateway, 4),
        (endpoint.ipv6, endpoint.ipv6_prefix, endpoint.ipv6_gateway, 6),
    ):
        if not address:
            continue
        if family == 6 and (on := _with_ipv6(stack, link, inside)):
            changes.append(on)
        if prefix:  # where it was not read, neither the address nor its route can be written
            source = ("src", address) if family == 4 else ()
            changes.append(address_added(stack, link, f"{address}/{prefix}", inside=inside))
            changes.append(_route_as(stack, family, str(parse(f"{address}/{prefix}")), "dev", link, *source, inside=inside))
        if gateway and gateway_endpoint(facts, container, family) is endpoint:
            changes.append(default_route(stack, family, gateway, link, inside=inside))
    return tuple(changes)


def ip(*words: str, back: tuple[str, ...] = (), inside: Container | None = None) -> IpChange:
    """What `ip` with these words does, on the host or inside a container, and with the words of `back` undoes."""
    return IpChange(forth=words, back=back, inside=inside.name if inside else "")


def set_up(link: str, inside: Container | None = None) -> IpChange:
    """A link that is up."""
    return ip("link", "set", link, "up", back=("link", "set", link, "down"), inside=inside)


def with_arp(link: str, inside: Container | None = None) -> IpChange:
    """A link that uses ARP."""
    arp = ("link", "set", "dev", link, "arp")
    return ip(*arp, "on", back=(*arp, "off"), inside=inside)


def of_port(link: str, setting: str, value: str, *, back: str) -> IpChange:
    """A setting of a bridge's port, and what it was."""
    words = ("link", "set", link, "type", "bridge_slave", setting)
    return ip(*words, value, back=(*words, back))


def networking(*changes: Change, summary: str, lasts: Lasts) -> Fix:
    """The fix that makes these changes of links, addresses and routes."""
    return Fix.of(*changes, summary=summary, impacts=("changes-network",), lasts=lasts)


def default_route(stack: NetworkStack | None, family: int, gateway: str, link: str, *, inside: str = "") -> IpChange:
    """The default route by this gateway, instead of the one that is there."""
    return _route_as(stack, family, "default", "via", gateway, "dev", link, inside=inside)


def _route_as(stack: NetworkStack | None, family: int, destination: str, *words: str, inside: str) -> IpChange:
    """A route to the destination that takes the place of the one there is; taken back, that one is there again."""
    net = _DEFAULT[family] if destination == "default" else destination
    same = (r for r in (stack.routes if stack else ()) if r.destination == net and r.table == MAIN and r.kind == "unicast")
    former = min(same, key=lambda route: route.metric, default=None)
    ip = (f"-{family}", "route")
    back = (*ip, "del", destination, *words)
    if former is not None and former.link:
        via = ("via", former.gateway) if former.gateway else ()
        source = ("src", former.source) if former.source else ()
        back = (*ip, "replace", destination, *via, "dev", former.link, *source)
    return IpChange(forth=(*ip, "replace", destination, *words), back=back, inside=inside)


def address_added(stack: NetworkStack | None, link: str, address: str, *, inside: str = "") -> IpChange:
    """The address on this link; taken back, it is gone again where it was not there before."""
    nodad = ("nodad",) if ":" in address else ()
    held = {f"{a.address}/{a.prefix}" for a in stack.addresses if a.link == link} if stack else set()
    replacing = ("addr", "replace", address, "dev", link, *nodad)
    return IpChange(
        forth=replacing, back=replacing if address in held else ("addr", "del", address, "dev", link), inside=inside
    )


def _with_ipv6(stack: NetworkStack | None, link: str, inside: str = "") -> Change | None:
    """IPv6 on a link where it was turned off."""
    key = f"net.ipv6.conf.{link}.disable_ipv6"
    off = stack is not None and stack.sysctls.get(key) == "1"
    return SysctlChange(key=key, value="0", before="1", inside=inside) if off else None


def bridge_addresses(facts: HostFacts, network: Network) -> tuple[Change, ...]:
    """What gives the network's bridge its addresses again, those that it lacks."""
    held = {a.address for a in facts.stack.addresses if a.link == network.bridge} if facts.stack else set()
    changes: list[Change] = []
    for gateway in dict.fromkeys((*gateways_of(network), *given_gateways(facts, network))):
        net = next((n for n in subnets(network) if n.version == (6 if ":" in gateway else 4)), None)
        if gateway not in held and net is not None and ipaddress.ip_address(gateway) in net:
            bridge = network.bridge or ""
            if net.version == 6 and (on := _with_ipv6(facts.stack, bridge)):
                changes.append(on)
            changes.append(address_added(facts.stack, bridge, f"{gateway}/{net.prefixlen}"))
    return tuple(changes)


def ignores_advertisements(facts: HostFacts) -> Link | None:
    """The uplink that takes no router advertisements since this host forwards IPv6, where it has no IPv6 default route.

    Linux: accept_ra=1 takes them only while forwarding is off, and turning it on drops the routes learnt (ip-sysctl). That none
    is there is nothing by itself: most networks have no router that advertises one, so the link must have heard of it.
    """
    stack = facts.stack
    link = uplink(facts)
    if stack is None or link is None or facts.sysctl("net.ipv6.conf.all.forwarding") != "1":
        return None
    if facts.host is None or link.name not in facts.host.advertised_links:
        return None
    if facts.sysctl(f"net.ipv6.conf.{link.name}.accept_ra") != "1" or lookup(stack, ANYWHERE[6]).kind == "unicast":
        return None
    return link if any(a.link == link.name and a.family == 6 and a.scope == "global" for a in stack.addresses) else None
