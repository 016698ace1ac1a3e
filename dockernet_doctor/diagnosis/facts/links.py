"""What is broken of the links that Docker made: a network's bridge, a container's interface, and the veth between the two."""

from __future__ import annotations

from collections.abc import Set
from functools import lru_cache, partial
from typing import Literal

from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.facts.routing import Lookup
from dockernet_doctor.diagnosis.path import LinkBroken
from dockernet_doctor.once import once_for_each
from dockernet_doctor.snapshot.model import Container, Endpoint, ForwardingEntry, Link, Network, NetworkStack, Route

BRIDGED = ("bridge",)
ON_PARENT = ("macvlan", "ipvlan")

Problem = tuple[LinkBroken, str]
"""The obstacle, and what to say of it."""


def bridge_problem(facts: HostFacts, network: Network, *, needs_address: bool = True, family: int = 4) -> Problem | None:
    """The network's bridge: gone, down, or without its address of that family; None where it is well or cannot be seen."""
    if facts.stack is None or network.bridge is None:
        return None
    bridge = facts.bridge(network)
    broken = partial(LinkBroken, where="host", network=network, name=network.bridge, link=bridge, proven=True)
    if bridge is None:
        return broken(problem="missing"), f"the bridge {network.bridge} of {network.name} is gone"
    if not bridge.up:
        return broken(problem="down"), f"the bridge {bridge.name} of {network.name} is down"
    if needs_address and not bridge.arp:
        return broken(problem="no-arp"), f"the bridge {bridge.name} of {network.name} neither asks nor answers by ARP (NOARP)"
    if needs_address and family == 4 and (key := ignores_arp(facts.stack, bridge.name)):
        return broken(problem="arp-ignored"), f"the bridge {bridge.name} of {network.name} answers no ARP request: {key} = 8"
    if needs_address and gateway_lost(facts, network, family):
        return broken(problem="no-address"), f"the bridge {bridge.name} of {network.name} has lost its address"
    return None


def ignores_arp(stack: NetworkStack, link: str) -> str:
    """The setting by which nobody finds the addresses of the interface; "" where there is none. The larger of `all` and its
    own counts: 8 is no answer at all, what is less keeps to the addresses of the interface (ip-sysctl, arp_ignore)."""
    keys = (f"net.ipv4.conf.{name}.arp_ignore" for name in (link, "all"))
    return next((key for key in keys if stack.sysctls.get(key) == "8"), "")


def gateway_lost(facts: HostFacts, network: Network, family: int = 4) -> bool:
    """True if none of the subnets' gateways is on the bridge. `routed`/`isolated` and internal ones may have none, and one
    that was told to go without (`inhibit_ipv4`) has its gateway elsewhere, as a port of the bridge."""
    if family == 4 and network.options.get("com.docker.network.bridge.inhibit_ipv4") == "true":
        return False
    if network.internal or "isolated" in network.options.get(f"com.docker.network.bridge.gateway_mode_ipv{family}", ""):
        return False
    gateways = {g for g in gateways_of(network) if (":" in g) == (family == 6)}
    if not gateways:  # a subnet that was named without its gateway: the engine took the first address
        gateways = {g for g in given_gateways(facts, network) if (":" in g) == (family == 6)}
    held = addresses_on(facts.stack, network.bridge) if facts.stack else gateways
    return bool(gateways) and not gateways & held


def addresses_on(stack: NetworkStack, link: str | None) -> Set[str]:
    """The addresses that an interface of the stack has."""
    return _addresses(stack).get(link, frozenset())


@once_for_each
def _addresses(stack: NetworkStack) -> dict[str | None, set[str]]:
    """By interface: a host has one for each container."""
    found: dict[str | None, set[str]] = {}
    for address in stack.addresses:
        found.setdefault(address.link, set()).add(address.address)
    return found


def gateways_of(network: Network) -> tuple[str, ...]:
    return tuple(s.gateway.split("/")[0] for s in network.subnets if s.gateway)


def given_gateways(facts: HostFacts, network: Network) -> tuple[str, ...]:
    """The gateways that its running members were given."""
    own = [e for c in facts.members(network) if c.state.running for e in c.endpoints if facts.network_of(e) is network]
    return tuple(dict.fromkeys(g for e in own for g in (e.ipv4_gateway, e.ipv6_gateway) if g))


def without_gateway(facts: HostFacts, container: Container) -> Network | None:
    """A macvlan or ipvlan network that has no gateway, where it is what the container has to leave by: 29 gives it no default
    route; engines before made up a gateway."""
    if facts.generation < (29, 0) or container.sandbox is None or container.network_mode.startswith("container:"):
        return None
    networks = facts.networks_of(container)
    if not networks or any(n.driver not in ON_PARENT or n.internal or given_gateways(facts, n) for n in networks):
        return None
    if any(n.options.get("ipvlan_mode", "l2") != "l2" for n in networks):
        return None  # in l3 the route needs no gateway
    routes = container.sandbox.stack.routes
    return None if any(route.destination == "0.0.0.0/0" for route in routes) else networks[0]


def gateway_rank(endpoint: Endpoint) -> tuple[int, bool, str]:
    """What the engine orders a container's networks by, of which the first has the default route and the published ports: the
    priority (from 28), then whether it has both families, then the name."""
    return -endpoint.gateway_priority, not (endpoint.ipv4_gateway and endpoint.ipv6_gateway), endpoint.network


def useless_gateway(facts: HostFacts, stack: NetworkStack, route: Route | None) -> str:
    """The gateway of a container's route, and what is wrong with it, where it lies in a bridge network and was set by hand:
    it is nobody's, its holder gone, or that of a container that forwards nothing.

    One that was ever met there is believed: a machine may be on the bridge that Docker does not know.
    """
    if route is None or route.gateway is None:
        return ""
    gateway, network = route.gateway, facts.network_containing(route.gateway)
    if network is None or network.driver not in BRIDGED or facts.stack is None:
        return ""
    if gateway in gateways_of(network) or gateway in given_gateways(facts, network):
        return ""
    if holder := facts.holder(gateway):
        link, inside = facts.sandbox_link(*holder), facts.stack_of(holder[0])
        off = link and inside and inside.sysctls.get(f"net.ipv{route.family}.conf.{link.name}.forwarding") == "0"
        return f"{gateway}, which is {holder[0]} and forwards nothing" if off else ""
    met = any(n.address == gateway and n.mac for part in (stack, facts.stack) for n in part.neighbours)
    return "" if met or facts.is_own(gateway) else f"{gateway}, which nobody has"


def no_neighbour(facts: HostFacts, container: Container, way: Lookup, address: str) -> bool:
    """True if the container takes the address for one on its bridge, by a netmask or route set by hand, where nobody answers.

    One that was ever met there is believed, and so is a bridge that stands in for others (proxy_arp).
    """
    serving = (e for e in facts.endpoints(container) if (li := facts.sandbox_link(container, e)) and li.name == way.link)
    network = next((n for e in serving if (n := facts.network_of(e))), None)
    if way.kind != "unicast" or way.gateway or network is None or network.driver not in BRIDGED or ":" in address:
        return False
    inside = facts.stack_of(container)
    if facts.network_containing(address) is network or facts.is_own(address) or inside is None:
        return False
    met = any(n.address == address and n.mac for n in inside.neighbours)
    return not met and all(facts.sysctl(f"net.ipv4.conf.{name}.proxy_arp") == "0" for name in ("all", network.bridge))


def endpoint_problem(
    facts: HostFacts, container: Container, stack: NetworkStack, endpoint: Endpoint, *, dialled: str = ""
) -> Problem | None:
    """The interface that serves the endpoint: gone, down, without carrier (macvlan), without its address, or without ARP.

    An IPv6 address beside an IPv4 one is missed only where IPv6 is `dialled`: an image may turn IPv6 off.
    """
    network = facts.network_of(endpoint)
    link = facts.sandbox_link(container, endpoint)
    if link is None and any(not li.mac for li in stack.links if li.name != "lo"):
        return None  # seen without the right to look: who is who is not known
    own = addresses_on(stack, link.name) if link else ()
    wanted = (endpoint.ipv6,) if ":" in dialled else (endpoint.ipv4, endpoint.ipv6 if not endpoint.ipv4 else None)
    lost = next((a for a in wanted if a and a not in own), "")
    name = link.name if link else endpoint.network
    problem: Literal["missing", "down", "no-carrier", "no-address", "no-arp", "arp-ignored"]
    if link is None:
        problem, text = "missing", f"{container} has no interface on {endpoint.network}"
    elif not link.up:
        problem, text = "down", f"{name} of {container} is down"
    elif not link.carrier and link.kind in ON_PARENT:
        problem, text = "no-carrier", f"{name} of {container} has no carrier: its parent interface is down"
    elif lost:
        problem, text = "no-address", f"{name} of {container} has lost {lost}"
    elif not link.arp and link.kind in ("veth", "macvlan"):
        problem, text = "no-arp", f"{name} of {container} neither asks nor answers by ARP (NOARP)"
    elif endpoint.ipv4 and ":" not in dialled and link.kind in ("veth", "macvlan") and (key := ignores_arp(stack, name)):
        problem, text = "arp-ignored", f"{name} of {container} answers no ARP request: {key} = 8"
    else:
        return None
    broken = LinkBroken(
        where=container.name,
        problem=problem,
        name=name,
        network=network,
        container=container,
        endpoint=endpoint,
        link=link,
        proven=True,
    )
    return broken, text


@lru_cache(maxsize=4096)
def port_of(facts: HostFacts, address: str) -> str | None:
    """The port of the bridge behind which the address is."""
    holder = facts.holder(address)
    link = facts.sandbox_link(*holder) if holder else None
    outer = facts.host_side(link) if link else None
    return outer.name if outer else None


def veth_problem(facts: HostFacts, container: Container, link: Link, network: Network) -> Problem | None:
    """The host's end of the container's veth: there, on its bridge, and up. The bridge itself is asked for first."""
    if facts.stack is None or link.kind != "veth" or facts.bridge(network) is None:
        return None
    outer = facts.host_side(link)
    broken = partial(LinkBroken, where="host", network=network, container=container, link=outer, proven=True)
    if outer is None and facts.coming_up(container):
        return None  # the two ends come and go together: one was read without the other
    if outer is None:
        name = f"veth of {container}"
        return broken(problem="missing", name=name), f"the host's end of {link.name} of {container} is gone"
    if outer.master != network.bridge:
        return broken(problem="detached", name=outer.name), f"{outer.name} of {container} is not on {network.bridge}"
    if not outer.up:
        return broken(problem="down", name=outer.name), f"{outer.name} of {container} is down"
    if outer.blocked and outer.carrier and link.up:  # a port without carrier is disabled, too
        return broken(problem="blocked", name=outer.name), f"{network.bridge} passes nothing of {outer.name} of {container}"
    astray = _entry_elsewhere(facts.stack, outer, link.mac)
    if astray is not None:
        text = f"{network.bridge} sends frames for {container} ({link.mac}) to {astray.port}, not to {outer.name}"
        return broken(problem="misdirected", name=outer.name, entry=astray), text
    known = any((entry.port, entry.mac) == (outer.name, link.mac) for entry in facts.stack.forwarding)
    if not (outer.learning or outer.flooded or known):
        text = f"{network.bridge} does not learn who is behind {outer.name} of {container}, and floods nothing there"
        return broken(problem="unlearned", name=outer.name), text
    return None


def _entry_elsewhere(stack: NetworkStack, port: Link, mac: str) -> ForwardingEntry | None:
    """The entry that leads frames for a container to another port than its own, or to the host. What was set stays, whatever
    the container sends (br_fdb_update)."""
    set_there = (e for e in stack.forwarding if (e.bridge, e.mac) == (port.master, mac) and e.state != "learned")
    return next((entry for entry in set_there if entry.port != port.name), None)


def unasked(facts: HostFacts, container: Container, link: Link, network: Network) -> Problem | None:
    """A container whom ARP does not find: its port of the bridge gets no broadcasts. It may still ask for others itself."""
    outer = facts.host_side(link)
    if outer is None or outer.broadcasts or outer.master != network.bridge:
        return None
    text = f"{network.bridge} sends no broadcasts to {outer.name} of {container}, so that ARP does not find it"
    return LinkBroken(
        where="host", problem="unasked", name=outer.name, network=network, container=container, link=outer, proven=True
    ), text


def isolated_ports(facts: HostFacts, network: Network) -> dict[str, str]:
    """By the id of the container, bridge ports that pass nothing to one another: `bridge link set dev … isolated on`."""
    ports: dict[str, str] = {}
    if not facts.has_isolated_ports:  # as nearly always
        return ports
    for container in facts.members(network):
        for endpoint in facts.endpoints(container):
            link = facts.sandbox_link(container, endpoint) if facts.network_of(endpoint) is network else None
            outer = facts.host_side(link) if link else None
            if outer is not None and outer.isolated and outer.master == network.bridge:
                ports[container.id] = outer.name
    return ports
