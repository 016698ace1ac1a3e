"""Addresses, routes and links as a diagnosis needs them: which are in use, which way is the default, what is still free."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from functools import lru_cache

from dockernet_doctor.diagnosis.facts.docker_rules import masquerades
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.facts.links import BRIDGED, gateway_rank, gateways_of, given_gateways
from dockernet_doctor.diagnosis.facts.routing import ANYWHERE, lookup
from dockernet_doctor.diagnosis.fixes.remedy import enter_namespace
from dockernet_doctor.shell import Command, command
from dockernet_doctor.snapshot.model import Container, Endpoint, Link, Network, Subnet

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

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
    """Whether a container of the network can have had the IPv4 address. Docker hands out the lowest that is free, from the
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


def gateway_endpoint(facts: HostFacts, container: Container, family: int = 4) -> Endpoint | None:
    """The endpoint whose gateway is the default route, as the engine chooses."""
    able = [
        e
        for e in container.endpoints
        if (e.ipv4_gateway if family == 4 else e.ipv6_gateway) and (n := facts.network_of(e)) and not n.internal
    ]
    return min(able, key=gateway_rank, default=None)


def default_endpoint(facts: HostFacts, container: Container, family: int = 4) -> Endpoint | None:
    """The endpoint by whose link the default route leaves now."""
    stack = facts.stack_of(container)
    found = lookup(stack, ANYWHERE[family]) if stack else None
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


def routes_of(facts: HostFacts, container: Container, endpoint: Endpoint, link: str) -> tuple[Command, ...]:
    """Commands that give the interface of the endpoint back its addresses and the container its default route.

    They repeat what is there already without harm.
    """
    commands = []
    for address, prefix, gateway, family in (
        (endpoint.ipv4, endpoint.ipv4_prefix, endpoint.ipv4_gateway, 4),
        (endpoint.ipv6, endpoint.ipv6_prefix, endpoint.ipv6_gateway, 6),
    ):
        if not address:
            continue
        subnet = str(parse(f"{address}/{prefix}"))
        nodad = ("nodad",) if family == 6 else ()
        stack, off = facts.stack_of(container), f"net.ipv6.conf.{link}.disable_ipv6"
        if family == 6 and stack and stack.sysctls.get(off) == "1":
            commands.append(enter_namespace(container, "sysctl", "-qw", f"{off}=0"))
        commands.append(enter_namespace(container, "ip", "addr", "replace", f"{address}/{prefix}", "dev", link, *nodad))
        source = ("src", address) if family == 4 else ()
        commands.append(enter_namespace(container, "ip", f"-{family}", "route", "replace", subnet, "dev", link, *source))
        if gateway and gateway_endpoint(facts, container, family) is endpoint:
            commands.append(
                enter_namespace(container, "ip", f"-{family}", "route", "replace", "default", "via", gateway, "dev", link)
            )
    return tuple(commands)


def bridge_addresses(facts: HostFacts, network: Network) -> tuple[Command, ...]:
    """Commands that give the network's bridge its addresses again, those that it lacks."""
    held = {a.address for a in facts.stack.addresses if a.link == network.bridge} if facts.stack else set()
    lines = []
    for gateway in dict.fromkeys((*gateways_of(network), *given_gateways(facts, network))):
        net = next((n for n in subnets(network) if n.version == (6 if ":" in gateway else 4)), None)
        if gateway not in held and net is not None and ipaddress.ip_address(gateway) in net:
            nodad = ("nodad",) if net.version == 6 else ()
            address, off = f"{gateway}/{net.prefixlen}", f"net.ipv6.conf.{network.bridge}.disable_ipv6"
            if net.version == 6 and facts.sysctl(off) == "1":
                lines.append(command("sysctl", "-qw", f"{off}=0"))
            lines.append(command("ip", "addr", "replace", address, "dev", network.bridge or "", *nodad))
    return tuple(lines)


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
