"""The clients that a host tells apart by its routes: on the wire of each interface, behind each route, behind a default route.

Every route that a policy rule can lead to counts, of whatever table: a route that answers do not take is still the word of
who wrote it that clients are there.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from functools import lru_cache

from msgspec import Struct
from msgspec.structs import replace

from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.facts.links import ON_PARENT
from dockernet_doctor.diagnosis.facts.routing import (
    ANYWHERE,
    DEFAULT,
    LOCAL,
    MAIN,
    NOWHERE,
    IPNetwork,
    lookup,
    refused_by_rp_filter,
)
from dockernet_doctor.diagnosis.path import Clients
from dockernet_doctor.snapshot.model import Family, Link, NetworkStack, Route

MOST_ASKED = 64
"""Classes of one family that are asked; a host with more of them has a routing daemon."""

_VIRTUAL = ("veth", "tun")
"""Ports of bridges behind which there is no other machine: containers of somebody else, and virtual machines."""

_NOBODY = tuple(map(ipaddress.ip_network, ("169.254.0.0/16", "224.0.0.0/4", "fe80::/10", "ff00::/8")))

_STRANGERS = {4: (ANYWHERE[4], "203.0.113.10", "192.0.2.10"), 6: (ANYWHERE[6], "2001:db8:fffe::10")}


class ClientClass(Struct, frozen=True, kw_only=True):
    """Clients that come in by one interface and are answered alike, and one of them."""

    clients: Clients
    address: str
    own: str  # the host's address on that interface, which they would dial
    answered_by: str  # the interface by which the host itself answers what they send to that address; "" for none

    @property
    def is_named(self) -> bool:
        """True if a route names where they are; a default route says only that there may be some."""
        return not all(prefix.endswith("/0") for prefix in self.clients.prefixes)


def client_classes(facts: HostFacts, family: Family) -> tuple[ClientClass, ...]:
    """The classes of one family, by interface; none where the host's network could not be read."""
    return _classes(facts, family)[0]


def classes_left_out(facts: HostFacts) -> int:
    """How many classes are not asked, since there are so many."""
    return sum(_classes(facts, family)[1] for family in (4, 6))


@lru_cache(maxsize=64)
def _classes(facts: HostFacts, family: Family) -> tuple[tuple[ClientClass, ...], int]:
    """The classes that are asked, and how many more there are."""
    stack = facts.machine
    if stack is None:
        return (), 0
    links = {link.name: link for link in stack.links}
    usable = {a.link: a.address for a in reversed(stack.addresses) if a.family == family and a.scope == "global"}
    usable = {name: own for name, own in usable.items() if _leads_to_machines(facts, stack, links.get(name))}
    found: dict[tuple[object, ...], ClientClass] = {}
    left: set[tuple[object, ...]] = set()
    routes = [r for r in _asked(stack, family) if r.link in usable]
    routes += _amid(stack, routes)
    prefixes = {ipaddress.ip_network(r.destination, strict=False) for r in routes}
    for route in routes:
        address = _somebody(facts, route, prefixes)
        if not address:
            continue
        link, own = route.link or "", usable[route.link or ""]
        back = lookup(stack, address, source=own)
        key = (link, route.gateway, back.kind, back.link, back.gateway, back.rule and back.rule.priority)
        if key in found:
            other = found[key].clients
            prefixes_now = tuple(dict.fromkeys((*other.prefixes, route.destination)))
            found[key] = replace(found[key], clients=replace(other, prefixes=prefixes_now))
        elif len(found) < MOST_ASKED:
            clients = Clients(interface=link, via=route.gateway or "", prefixes=(route.destination,), family=family)
            found[key] = ClientClass(clients=clients, address=address, own=own, answered_by=back.link or "")
        else:
            left.add(key)
    return tuple(found.values()), len(left)


def _asked(stack: NetworkStack, family: Family) -> Iterator[Route]:
    """The routes of the tables that policy rules ask, those on the wire first."""
    tables = _tables(stack, family)
    routes = [r for r in stack.routes if r.family == family and r.kind == "unicast" and r.table in tables]
    return iter(sorted(routes, key=lambda r: r.gateway is not None))


def _tables(stack: NetworkStack, family: Family) -> set[int]:
    return ({r.table for r in stack.rules if r.family == family and r.action == "lookup"} or {MAIN, DEFAULT}) - {LOCAL}


def dead_ends(stack: NetworkStack) -> Iterator[Route]:
    """Routes that lead nowhere, in the tables that policy rules ask."""
    tables: dict[Family, set[int]] = {4: _tables(stack, 4), 6: _tables(stack, 6)}
    return (route for route in stack.routes if route.kind in NOWHERE and route.table in tables[route.family])


def _amid(stack: NetworkStack, routes: list[Route]) -> Iterator[Route]:
    """Dead ends amid where another route of the table says that clients are: those come in as its do."""
    for route in dead_ends(stack):
        net = ipaddress.ip_network(route.destination, strict=False)
        wider = [
            (ipaddress.ip_network(other.destination, strict=False), other)
            for other in routes
            if (other.family, other.table) == (route.family, route.table)
        ]
        around = [(there.prefixlen, other) for there, other in wider if 1 < there.prefixlen < net.prefixlen and _in(net, there)]
        if around:
            amid = max(around, key=lambda entry: entry[0])[1]
            yield replace(route, link=amid.link, gateway=amid.gateway)


def _in(one: IPNetwork, other: IPNetwork) -> bool:
    return one.network_address in other


def _leads_to_machines(facts: HostFacts, stack: NetworkStack, link: Link | None) -> bool:
    if link is None or link.name == "lo" or link.name in facts.bridges or link.master or link.kind in ON_PARENT:
        return False
    if not (link.up and link.carrier):
        return False
    ports = [port for port in stack.links if port.master == link.name] if link.kind == "bridge" else [link]
    return link.kind != "bridge" or any(port.kind not in _VIRTUAL for port in ports)


def _somebody(facts: HostFacts, route: Route, prefixes: set[IPNetwork]) -> str:
    """An address behind the route that no longer prefix covers: of a machine that the host has met, else a free one."""
    network = ipaddress.ip_network(route.destination, strict=False)
    if any(network.version == none.version and network.subnet_of(none) for none in _NOBODY):  # type: ignore[arg-type]
        return ""
    stack = facts.machine
    assert stack is not None
    longer = [p for p in prefixes if p.version == network.version and p.prefixlen > network.prefixlen]
    met = (n.address for n in stack.neighbours if n.mac and n.link == route.link and not route.gateway)
    some = _STRANGERS[network.version] if network.prefixlen <= 1 else _numbered(network)
    absent = {n.address for n in stack.neighbours if n.state in ("failed", "incomplete")}
    candidates: tuple[str, ...] = (*met, *some)
    for address in (candidate for candidate in candidates if candidate not in absent):
        ip = ipaddress.ip_address(address)
        if ip not in network or facts.is_own(address) or address == route.gateway or any(ip in p for p in longer):
            continue
        if facts.network_containing(address) is None:
            return address
    return ""


def _numbered(network: IPNetwork) -> Iterator[str]:
    wide = network.num_addresses > 2
    yield from (str(network[number]) for number in range(int(wide), min(20, network.num_addresses)))


def refused_clients(facts: HostFacts) -> Iterator[tuple[Clients, str]]:
    """Classes that a route names and whose packets rp_filter drops wherever a port is published, with the interface by which
    they would be answered ("" for none)."""
    stack = facts.machine
    if stack is None or not any(c.ports for c in facts.running):
        return
    for some in client_classes(facts, 4):
        if some.is_named:
            back = refused_by_rp_filter(stack, some.clients.interface, some.address, some.own)
            if back is not None and back.kind not in NOWHERE:  # that is meant so
                yield some.clients, back.link or "" if back.kind == "unicast" else ""
