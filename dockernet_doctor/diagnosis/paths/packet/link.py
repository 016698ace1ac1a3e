"""What ends it at the hop `link`: an interface, bridge or veth that is broken, and neighbour entries that are out of date."""

from __future__ import annotations

from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.facts.links import (
    BRIDGED,
    addresses_on,
    bridge_problem,
    endpoint_problem,
    isolated_ports,
    unasked,
    veth_problem,
)
from dockernet_doctor.diagnosis.path import LinkBroken, NextHopSilent, NoNetwork, StaleNeighbour
from dockernet_doctor.diagnosis.paths.packet.trail import Walk
from dockernet_doctor.once import once_for_each
from dockernet_doctor.snapshot.model import Container, Endpoint, Link, Neighbour, Network, NetworkStack


def endpoint_broken(walk: Walk, container: Container, stack: NetworkStack, endpoint: Endpoint, dialled: str) -> bool:
    return _stopped_by(walk, endpoint_problem(walk.facts, container, stack, endpoint, dialled=dialled))


def veth_broken(walk: Walk, container: Container, link: Link, network: Network) -> bool:
    return _stopped_by(walk, veth_problem(walk.facts, container, link, network))


def bridge_broken(walk: Walk, network: Network, *, needs_address: bool = True, family: int = 4) -> bool:
    return _stopped_by(walk, bridge_problem(walk.facts, network, needs_address=needs_address, family=family))


def target_link_broken(walk: Walk, target: Container, endpoint: Endpoint, network: Network, dialled: str) -> bool:
    """The target's own interface, and the veth that leads to it."""
    stack = walk.facts.stack_of(target)
    if stack is None or target.network_mode == "host":
        return False
    if target.network_mode.startswith("container:") and not any(li.name != "lo" for li in stack.links):
        walk.trail.stop("network", NoNetwork(container=target, proven=True), f"{target.name} has no interface but lo")
        return True
    if endpoint_broken(walk, target, stack, endpoint, dialled):
        return True
    link = walk.facts.sandbox_link(target, endpoint)
    if link is None:
        return False
    return (
        veth_broken(walk, target, link, network)
        or _isolated(walk, target, network)
        or _not_found(walk, target, link, network, dialled)
    )


def _not_found(walk: Walk, target: Container, link: Link, network: Network, address: str) -> bool:
    """A neighbour that sends to the target does not know its MAC yet and cannot ask for it. The bridge itself, so the host,
    can (br_flood), and IPv6 asks by multicast."""
    source = walk.sender.container
    asker = walk.facts.stack_of(source) if source and network in walk.facts.networks_of(source) else None
    if asker is None or ":" in address or any(n.address == address and n.mac for n in asker.neighbours):
        return False
    return _stopped_by(walk, unasked(walk.facts, target, link, network))


def _isolated(walk: Walk, target: Container, network: Network) -> bool:
    """Both ends are on the bridge by ports that pass nothing to one another."""
    source = walk.sender.container
    if source is None or target.id == source.id or not (ports := isolated_ports(walk.facts, network)):
        return False
    ours, theirs = ports.get(source.id), ports.get(target.id)
    if ours is None or theirs is None:
        return False
    obstacle = LinkBroken(where="host", problem="isolated", name=theirs, network=network, container=target, proven=True)
    walk.trail.stop("link", obstacle, f"{ours} and {theirs} are isolated ports of {network.bridge}")
    return True


def _stopped_by(walk: Walk, problem: tuple[LinkBroken, str] | None) -> bool:
    if problem is None:
        return False
    walk.trail.stop("link", *problem)
    return True


def stale_neighbour(
    walk: Walk, stack: NetworkStack, where: str, next_hop: str, link: str | None, network: Network | None
) -> bool:
    """A neighbour entry that names another MAC than that of the endpoint, or of the bridge that is the gateway."""
    entry = _neighbours(stack).get((next_hop, link))
    actual = _mac_of(walk.facts, next_hop, network) if entry else ""
    if entry is None or not actual or entry.mac == actual:
        return False
    holder = walk.facts.holder(next_hop)
    walk.trail.stop(
        "link",
        StaleNeighbour(
            where=where,
            address=next_hop,
            known=entry.mac or "",
            actual=actual,
            link=entry.link,
            container=holder[0] if holder else None,
            proven=True,
        ),
        f"{where} believes {next_hop} is at {entry.mac}; it is at {actual}",
    )
    return True


@once_for_each
def _neighbours(stack: NetworkStack) -> dict[tuple[str, str | None], Neighbour]:
    """By address and interface those that are known: a host may know all of its containers."""
    return {(n.address, n.link): n for n in reversed(stack.neighbours) if n.mac}


RECENT = 60
"""Seconds after which a failed neighbour entry is no evidence any more."""


def _is_silent(entry: Neighbour) -> bool:
    """Who is there answers within milliseconds; the kernel gives up after three seconds (neigh: mcast_solicit)."""
    return (entry.state == "failed" and entry.age <= RECENT) or (entry.state == "incomplete" and entry.age >= 1)


def next_hop_silent(walk: Walk, next_hop: str, link: str | None, *, reply: bool = False) -> bool:
    """This host asked for the next hop and nobody answered. An entry that failed long ago tells nothing of now: the kernel
    keeps it, and asks again for the next packet."""
    stack = walk.facts.machine
    entries = [n for n in stack.neighbours if (n.address, n.link) == (next_hop, link)] if stack else []
    if link is None or not entries or not all(_is_silent(n) for n in entries):
        return False
    what = "answers go" if reply else "it goes"
    silent = NextHopSilent(address=next_hop, link=link, entry=entries[0].state, reply=reply)
    walk.trail.stop(
        "link", silent, f"{what} to {next_hop} on {link}, which does not say where it is (neighbour entry {entries[0].state})"
    )
    return True


def host_entry_stale(walk: Walk, target: Container, endpoint: Endpoint, network: Network, origin: str) -> bool:
    """The same on the host, for what the host itself sends or forwards onto the bridge."""
    facts = walk.facts
    if facts.stack is None or (origin and facts.network_containing(origin) is network and not facts.is_own(origin)):
        return False
    addresses = [a for a in (endpoint.ipv4, endpoint.ipv6) if a and (not origin or (":" in a) == (":" in origin))]
    return target.state.running and any(
        stale_neighbour(walk, facts.stack, "host", address, network.bridge, network) for address in addresses
    )


def _mac_of(facts: HostFacts, address: str, network: Network | None) -> str:
    """The MAC that the address has now: of the interface in the holder's sandbox, else of its endpoint; or of the bridge."""
    holder = facts.holder(address)
    if holder is not None:
        link = facts.sandbox_link(*holder)
        return (link.mac if link else "") or holder[1].mac
    bridge = facts.bridge(network) if network and network.driver in BRIDGED else None
    return bridge.mac if bridge and facts.stack and address in addresses_on(facts.stack, bridge.name) else ""
