"""subnet-overlap: a Docker subnet covers addresses of the LAN, of a VPN, of the name server, or of another network."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from functools import lru_cache

from msgspec import Struct

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    Path,
    Severity,
    addressing,
    affected,
    fleet,
    links,
    listed,
    model,
    network_subject,
    obstacles,
    probe_evidence,
    remedy,
    routing,
    who,
)


class _Overlap(Struct):
    """What one network covers, and who says so."""

    network: model.Network
    severity: Severity = "warning"
    what: str = ""
    evidence: list[Evidence] = []
    paths: list[Path] = []
    proven: bool = True


def find(case: Case) -> Iterator[Finding]:
    """Networks whose subnet is somebody else's too, by the host's own addresses and routes, and what questions ran into."""
    for facts in case.hosts:
        found: dict[str, _Overlap] = {}
        met = (
            *_asked(case, facts),
            *_mistaken(case, facts),
            *_never_given(case, facts),
            *_standing(facts),
            *_overlays(case, facts),
            *_with_hosts(case, facts),
        )
        for overlap in met:
            known = found.setdefault(overlap.network.id, overlap)
            if known is not overlap:
                known.evidence += [e for e in overlap.evidence if e not in known.evidence]
                known.paths += overlap.paths
                known.severity = "error" if "error" in (known.severity, overlap.severity) else "warning"
        for overlap in found.values():
            yield _finding(facts, overlap)


def _asked(case: Case, facts: HostFacts) -> Iterator[_Overlap]:
    for path, obstacle in case.broken_by(obstacles.SubnetOverlaps):
        if path.host != facts.name:
            continue
        network = obstacle.network
        subnet = _subnet_with(network, obstacle.address)
        lan = f" of {obstacle.link}" if obstacle.link else ""
        if obstacle.reply:
            what = f"answers to {obstacle.address}{lan} go onto its bridge"
        elif obstacle.container is not None:
            what = f"{obstacle.address} of {obstacle.container} is taken to be another machine{lan}"
        else:
            what = f"{who(path)} cannot reach {obstacle.address}{lan}, which is taken for one of its containers"
        text = obstacle.because or f"{subnet} dev {network.bridge}"
        evidence = [Evidence(fact=f"route to {obstacle.address}", value=text, source="rtnetlink"), *probe_evidence(path)]
        yield _Overlap(network, "error", what, evidence, [path], proven=obstacle.proven)


def _mistaken(case: Case, facts: HostFacts) -> Iterator[_Overlap]:
    """An address of the LAN that a container happens to have: who dials it from elsewhere means the machine that is there."""
    for path in case.paths:
        address, taker, stack = path.destination.address, path.target, facts.stack
        if path.host != facts.name or path.verdict != "unreachable" or path.question.target.kind != "address":
            continue
        if isinstance(path.obstacle, obstacles.SubnetOverlaps):
            continue
        network = facts.network_containing(address) if address else None
        if not address or stack is None or taker is None or network is None or network.driver not in links.BRIDGED:
            continue
        route = routing.covering(stack, address, but=facts.bridges)
        if route is None or route.gateway or (path.source and network in facts.networks_of(path.source)):
            continue
        what = f"{address} of {route.link}, which {who(path)} dials, is taken to be {taker}, which has that address too"
        evidence = Evidence(fact="route", value=routing.route_text(route), source="rtnetlink")
        yield _Overlap(network, "error", what, [evidence, *probe_evidence(path)], [path])


def _never_given(case: Case, facts: HostFacts) -> Iterator[_Overlap]:
    """An address that no container of the network can have had: it is a machine's that the subnet hides."""
    for path, obstacle in case.broken_by(obstacles.AddressOfNobody, obstacles.Dropped):
        address = path.destination.address
        if path.host != facts.name or not address or path.question.target.kind != "address" or path.target is not None:
            continue
        if isinstance(obstacle, obstacles.Dropped) and obstacle.reason != "docker":
            continue
        network = facts.network_containing(address)
        if network is None or network.driver not in links.BRIDGED or facts.is_own(address):
            continue
        if addressing.may_be_given(facts, network, address) or address in links.gateways_of(network):
            continue
        what = f"{who(path)} dials {address}, which no container can have been given, and is led to the network's bridge"
        evidence = Evidence(
            fact="addresses handed out", value=_handed_out(network), source=f"inspection of network {network.name}"
        )
        yield _Overlap(network, "error", what, [evidence, *probe_evidence(path)], [path], proven=False)


def _handed_out(network: model.Network) -> str:
    pools = [s.ip_range or s.subnet for s in network.subnets if ":" not in s.subnet]
    return f"the first {addressing.MOST_MEMBERS} of {listed(pools)} at most"


def _standing(facts: HostFacts) -> Iterator[_Overlap]:
    if facts.stack is None:
        return
    lans, routes = list(_lans(facts, facts.stack)), list(_routes(facts, facts.stack))
    for network in facts.snapshot.networks:
        if network.driver not in links.BRIDGED or facts.bridge(network) is None:
            continue
        for subnet in addressing.subnets(network):
            yield from _with_addresses(lans, network, subnet)
            yield from _with_routes(facts, facts.stack, routes, network, subnet)
            yield from _with_name_servers(facts, network, subnet)
            yield from _with_networks(facts, network, subnet)


def _overlays(case: Case, facts: HostFacts) -> Iterator[_Overlap]:
    """An overlay network that a link of this host is in as well. The host's own ways stay; its containers find nobody there."""
    if facts.stack is None:
        return
    lans = list(_lans(facts, facts.stack))
    for network in facts.snapshot.networks:
        members = [c for c in facts.members(network) if c.state.running] if network.driver == "overlay" else []
        for subnet in addressing.subnets(network) if members else ():
            for overlap in _with_addresses(lans, network, subnet):
                lost = [path for path in case.paths if path.host == facts.name and _hidden(path, network, members, subnet)]
                yield _Overlap(network, "error" if lost else "warning", overlap.what, overlap.evidence, lost, proven=not lost)


def _hidden(path: Path, network: model.Network, members: list[model.Container], subnet: addressing.IPNetwork) -> bool:
    """True if one of the network's containers asked, in vain, for an address in it that nobody on it is known to have."""
    address = path.destination.address
    if not address or path.source not in members or path.verdict != "unreachable" or path.target is not None:
        return False
    known = {member.ipv4 for member in network.members} | {member.ipv6 for member in network.members}
    return path.question.target.kind == "address" and _inside(address, subnet) and address not in known


def _lans(facts: HostFacts, stack: model.NetworkStack) -> Iterator[tuple[model.Address, addressing.IPNetwork]]:
    """Addresses of links that are not Docker's, and the subnets that they are in."""
    for address in stack.addresses:
        if address.scope != "global" or address.link == "lo" or address.link in facts.bridges:
            continue
        link, lan = facts.link(address.link), addressing.parse(f"{address.address}/{address.prefix}")
        if lan is not None and link is not None and link.up and not (link.kind == "veth" and link.master):
            yield address, lan


def _with_addresses(
    lans: list[tuple[model.Address, addressing.IPNetwork]], network: model.Network, subnet: addressing.IPNetwork
) -> Iterator[_Overlap]:
    """A link that is not Docker's has a subnet of its own within or around this one."""
    for address, lan in lans:
        if lan.version != subnet.version or not lan.overlaps(subnet):
            continue
        if lan.prefixlen == lan.max_prefixlen and lan.network_address not in subnet:
            continue
        what = f"it overlaps {lan}, the network of {address.link} ({address.address})"
        evidence = Evidence(fact=f"address of {address.link}", value=f"{address.address}/{address.prefix}", source="rtnetlink")
        yield _Overlap(network, "error", what, [evidence])


def _routes(facts: HostFacts, stack: model.NetworkStack) -> Iterator[tuple[model.Route, addressing.IPNetwork]]:
    """Routes of links that are not Docker's and where they lead, defaults (and a VPN's halves of them) apart."""
    for route in stack.routes:
        link = facts.link(route.link)
        if route.kind != "unicast" or route.table != routing.MAIN or link is None or not link.up or route.link == "lo":
            continue
        net = None if route.link in facts.bridges else addressing.parse(route.destination)
        if net is not None and net.prefixlen > 1:
            yield route, net


def _with_routes(
    facts: HostFacts,
    stack: model.NetworkStack,
    routes: list[tuple[model.Route, addressing.IPNetwork]],
    network: model.Network,
    subnet: addressing.IPNetwork,
) -> Iterator[_Overlap]:
    """A route of another link into it or around it.

    A route that takes addresses of running containers away is route-bypasses-bridge.
    """
    for route, net in routes:
        if net.version != subnet.version or not net.overlaps(subnet):
            continue
        own = any(addressing.parse(f"{a.address}/{a.prefix}") == net for a in stack.addresses)
        if own or _takes_containers(facts, network, net):
            continue
        what = f"it overlaps {route.destination}, which is reached by {route.link}"
        yield _Overlap(network, "warning", what, [Evidence(fact="route", value=routing.route_text(route), source="rtnetlink")])


def _takes_containers(facts: HostFacts, network: model.Network, net: addressing.IPNetwork) -> bool:
    stack = facts.stack
    for container, endpoint, theirs in addressing.served(facts):
        for address in (endpoint.ipv4, endpoint.ipv6):
            if theirs is network and address and stack and _inside(address, net):
                found = routing.lookup(stack, address)
                if found.kind == "unicast" and found.link != network.bridge and container.state.running:
                    return True
    return False


def _with_name_servers(facts: HostFacts, network: model.Network, subnet: addressing.IPNetwork) -> Iterator[_Overlap]:
    """The host's own name server lies in it, and no container has that address."""
    resolv = facts.host.resolv_conf if facts.host else None
    for server in resolv.nameservers if resolv else ():
        if _inside(server, subnet) and not _is_given(facts, network, server) and not facts.is_own(server):
            found = routing.lookup(facts.stack, server) if facts.stack else None
            if found is not None and found.link == network.bridge:
                what = f"it covers {server}, {facts.here}'s name server"
                evidence = Evidence(fact="nameserver", value=server, source="/etc/resolv.conf")
                yield _Overlap(network, "error", what, [evidence])


def _is_given(facts: HostFacts, network: model.Network, address: str) -> bool:
    """True if it is the network's gateway, or a container has the address or would get it."""
    given = ({e.ipv4, e.ipv6, e.requested_ipv4, e.requested_ipv6} for c in facts.containers for e in c.endpoints)
    return address in links.gateways_of(network) or any(address in addresses for addresses in given)


def _with_networks(facts: HostFacts, network: model.Network, subnet: addressing.IPNetwork) -> Iterator[_Overlap]:
    """Another bridge network (of two the younger is named)."""
    for other, theirs in _overlapping(facts).get(subnet, ()):
        if other is network or (other.created, other.id) > (network.created, network.id):
            continue
        evidence = Evidence(fact=f"subnet of {other.name}", value=str(theirs), source=f"inspection of network {other.name}")
        yield _Overlap(network, "error", f"it overlaps {theirs}, the network {other.name}", [evidence])


@lru_cache(maxsize=16)
def _overlapping(facts: HostFacts) -> dict[addressing.IPNetwork, list[tuple[model.Network, addressing.IPNetwork]]]:
    """By each subnet of a bridge that is there, those in it and around it, its own among them: of two one holds the other."""
    bridged = [n for n in facts.snapshot.networks if n.driver in links.BRIDGED and facts.bridge(n) is not None]
    holding: dict[addressing.IPNetwork, list[model.Network]] = {}
    for network in bridged:
        for subnet in addressing.subnets(network):
            holding.setdefault(subnet, []).append(network)
    lengths = {(subnet.version, subnet.prefixlen) for subnet in holding}
    found: dict[addressing.IPNetwork, list[tuple[model.Network, addressing.IPNetwork]]] = {}
    for subnet, networks in holding.items():
        for version, length in lengths:
            around = subnet.supernet(new_prefix=length) if version == subnet.version and length <= subnet.prefixlen else None
            if around in holding:
                found.setdefault(subnet, []).extend((other, around) for other in holding[around])
                if around != subnet:
                    found.setdefault(around, []).extend((other, subnet) for other in networks)
    return found


def _with_hosts(case: Case, facts: HostFacts) -> Iterator[_Overlap]:
    """Another host of its cluster, which was read too, has an address in it. Equal subnets of two hosts hurt nobody else."""
    for mate in fleet.mates(case, facts):
        address = fleet.address_of(mate)
        network = fleet.hidden_by(facts, address)
        if network is not None:
            what = f"it covers {address}, the host {mate.name} of its cluster"
            evidence = Evidence(fact=f"address of {mate.name}", value=address, source="docker info there")
            yield _Overlap(network, "error", what, [evidence])


def _finding(facts: HostFacts, overlap: _Overlap) -> Finding:
    network = overlap.network
    subnets = ", ".join(s.subnet for s in network.subnets if ":" not in s.subnet) or ", ".join(
        s.subnet for s in network.subnets
    )
    members = [c for c in facts.members(network) if c.state.running]
    evidence = Evidence(fact=f"subnet of {network.name}", value=subnets, source=f"inspection of network {network.name}")
    return Finding(
        severity=overlap.severity,
        confidence="proven" if overlap.proven else "likely",
        subject=network_subject(facts, network),
        affects=affected(facts, *members),
        summary=f"The subnet {subnets} of the network {network.name} is in use elsewhere: {overlap.what}.",
        evidence=(evidence, *overlap.evidence),
        fixes=_fixes(facts, network),
        hop="route",
        explains=tuple(overlap.paths),
    )


def _fixes(facts: HostFacts, network: model.Network) -> tuple[Fix, ...]:
    free = addressing.free_subnet(facts)
    if not free:
        return (Fix(summary=f"Give the network {network.name} a subnet that nothing else uses.", runnable=False),)
    if network.name == "bridge":
        net = ipaddress.ip_network(free)
        summary = f"Move the default bridge to {free}."
        return (remedy.edit_daemon_json(facts, {"bip": f"{net[1]}/{net.prefixlen}"}, summary=summary),)
    try:
        summary = f"Recreate the network {network.name} with the subnet {free}."
        return (remedy.recreate_network(facts, network, summary=summary, subnets=addressing.renumbered(facts, network)),)
    except ValueError:
        return (Fix(summary=f"Recreate the network {network.name} with the subnet {free}.", runnable=False),)


def _inside(address: str, net: addressing.IPNetwork) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return ip.version == net.version and ip in net


def _subnet_with(network: model.Network, address: str) -> str:
    return next((str(net) for net in addressing.subnets(network) if _inside(address, net)), "")


check = Check(
    cause="subnet-overlap",
    title="A Docker subnet overlaps another network",
    subjects=("network",),
    needs=("engine", "daemon.process", "daemon.files", "host.network", "host.resolver", "sandbox.network", "answer"),
    find=find,
    frequent=True,
    phrases=(
        "pool overlaps with other one on this address space",
        "invalid pool request",
        "no route to host",
        "networks have overlapping ipv4",
        "conflicts with network",
    ),
)
