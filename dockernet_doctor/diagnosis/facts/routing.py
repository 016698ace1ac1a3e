"""What the kernel would do with an address: `ip route get`, from a recorded stack (Linux fib_rules and fib_trie).

Policy rules are walked by priority; in each table the longest prefix wins, then the lowest metric.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from functools import lru_cache
from typing import Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from dockernet_doctor.netfilter.terms import address_number, network_bits
from dockernet_doctor.once import once_for_each
from dockernet_doctor.snapshot.model import Address, NetworkStack, Route, RoutingRule

LOCAL, MAIN, DEFAULT = 255, 254, 253
NOWHERE = ("unreachable", "blackhole", "prohibit")  # kinds of routes and rules that end it
TUNNELS = ("tun", "wireguard", "ppp")
"""Kinds of links of VPNs."""

ANYWHERE = {4: "198.51.100.10", 6: "2001:db8:ffff::10"}  # documentation prefixes: "some machine beyond the gateway"

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


class Lookup(Struct, frozen=True, kw_only=True):
    """The outcome. `link` is None for kinds other than unicast and local."""

    kind: Literal["unicast", "local", "unreachable", "blackhole", "prohibit", "none"]
    link: str | None = None
    gateway: str | None = None
    source: str | None = None  # the address the kernel would choose as the packet's own
    route: Route | None = None
    rule: RoutingRule | None = None

    @property
    def refusing_rule(self) -> RoutingRule | None:
        """The policy rule that ends it: by itself, or by a route of a table that only such rules lead to."""
        rule = self.rule if self.kind in NOWHERE else None
        return rule if rule and (self.route is None or rule.table not in (LOCAL, MAIN, DEFAULT)) else None


def is_tunnel(stack: NetworkStack, name: str | None) -> bool:
    """True if the link is a VPN's."""
    return any(link.name == name and link.kind in TUNNELS for link in stack.links)


def lookup(
    stack: NetworkStack,
    destination: str,
    *,
    source: str | None = None,
    in_interface: str | None = None,
    mark: int = 0,
    protocol: str = "",
    port: int = 0,
    sport: int = 0,
) -> Lookup:
    """Where a packet to `destination` goes; `in_interface` is given for one that is forwarded.

    Without `protocol`, `port` (of the destination) and `sport` a rule that asks for them does not match.
    """
    index, asked = _index(stack), (destination, source, in_interface, mark, protocol, port, sport)
    found = index.known.get(asked)
    if found is None:
        found = index.known[asked] = _looked_up(index, *asked)
    return found


def _looked_up(
    index: _Index,
    destination: str,
    source: str | None,
    in_interface: str | None,
    mark: int,
    protocol: str,
    port: int,
    sport: int,
) -> Lookup:
    family = _family(destination)
    if _is_own(index, destination):
        return Lookup(kind="local", link="lo", source=destination)
    for rule in index.rules[family]:
        if not _rule_matches(rule, destination, source, in_interface, mark, protocol, port, sport):
            continue
        if rule.action not in ("lookup", "blackhole", "unreachable", "prohibit"):
            continue
        if rule.action != "lookup":
            return Lookup(kind=rule.action, rule=rule)  # type: ignore[arg-type]
        route = _best(index, rule, destination)
        if route is None or route.kind == "throw":
            continue
        if route.kind in ("unreachable", "blackhole", "prohibit"):
            return Lookup(kind=route.kind, route=route, rule=rule)  # type: ignore[arg-type]
        chosen = route.source or _source_on(index, route.link, route.gateway or destination, family)
        return Lookup(kind="unicast", link=route.link, gateway=route.gateway, source=source or chosen, route=route, rule=rule)
    return Lookup(kind="none")


def is_local(stack: NetworkStack, address: str) -> bool:
    """True if the stack itself owns the address; all of 127.0.0.0/8 belongs to lo."""
    return _is_own(_index(stack), address)


def _is_own(index: _Index, address: str) -> bool:
    if address in index.own or address.startswith("127."):
        return True
    return bool(index.local) and any(within(address, net) for net in index.local)


def covering(stack: NetworkStack, address: str, *, but: Collection[str] = ()) -> Route | None:
    """The most specific route of table main to `address` by another link than those; no default (nor half of one, a VPN's)."""
    ip = ipaddress.ip_address(address)
    up = {link.name for link in stack.links if link.up}
    found = [
        route
        for route in stack.routes
        if route.table == MAIN and route.kind == "unicast" and route.link in up and route.link not in but
        if route.family == ip.version and (net := _network(route.destination)).prefixlen > 1 and ip in net
    ]
    return max(found, key=lambda route: _network(route.destination).prefixlen, default=None)


def refused_by_rp_filter(stack: NetworkStack, interface: str, source: str, final: str, *, mark: int = 0) -> Lookup | None:
    """The way back by which the kernel refuses what `source` sends in by an interface (fib_validate_source), IPv4 only; None
    where it does not.

    The larger of `all` and the interface's own counts: 1 is strict, 2 loose (ip-sysctl). The mark counts by src_valid_mark.
    """
    if not source or source == "0.0.0.0":
        return None
    mode = max(stack.sysctls.get(f"net.ipv4.conf.{name}.rp_filter", "0") for name in ("all", interface))
    if mode not in ("1", "2"):
        return None
    if mark:
        valid = [stack.sysctls.get(f"net.ipv4.conf.{name}.src_valid_mark") for name in ("all", interface)]
        if valid == [None, None]:
            return None  # an older reading does not tell
        mark = mark if "1" in valid else 0
    back = lookup(stack, source, source=final, mark=mark)
    if back.kind == "local":
        return None
    if back.kind != "unicast":
        return back
    return back if mode == "1" and interface not in _next_links(stack, back) else None


def _next_links(stack: NetworkStack, found: Lookup) -> set[str | None]:
    """The interfaces of all next hops: of a multipath route each will do (fib_info_nh_uses_dev)."""
    if found.route is None:
        return {found.link}
    alike = replace(found.route, link=None, gateway=None)
    return {route.link for route in stack.routes if replace(route, link=None, gateway=None) == alike}


def route_text(route: Route) -> str:
    """As `ip route` prints it."""
    destination = "default" if route.destination in ("0.0.0.0/0", "::/0") else route.destination
    kind = "" if route.kind == "unicast" else f"{route.kind} "
    via = f" via {route.gateway}" if route.gateway else ""
    dev = f" dev {route.link}" if route.link else ""
    table = "" if route.table in (MAIN, LOCAL) else f" table {route.table}"
    return f"{kind}{destination}{via}{dev}{table}"


def rule_text(rule: RoutingRule) -> str:
    """As `ip rule` prints it."""
    parts = [f"{rule.priority}:", "not" if rule.inverted else "", f"from {rule.source or 'all'}"]
    parts += [f"to {rule.destination}" if rule.destination else ""]
    mask = "" if rule.mark_mask in (None, 0xFFFFFFFF) else f"/{rule.mark_mask:#x}"
    parts += [f"fwmark {rule.mark:#x}{mask}" if rule.mark is not None else ""]
    parts += [f"iif {rule.in_interface}" if rule.in_interface else ""]
    parts += [f"oif {rule.out_interface}" if rule.out_interface else ""]
    parts += rule.selectors
    parts += [f"lookup {rule.table}" if rule.action == "lookup" else rule.action]
    return " ".join(part for part in parts if part)


class _Index(NamedTuple):
    """A stack as lookups ask it, which are made thousands of times."""

    own: frozenset[str]
    local: tuple[str, ...]  # destinations of table local that no address tells
    rules: dict[int, list[RoutingRule]]  # by family, in the order in which they are asked
    routes: dict[tuple[int, int], list[tuple[int, int, int, Route]]]  # (table, family) → network, mask, length; best first
    addresses: dict[tuple[int, str | None], list[Address]]  # (family, link or None for all of them)
    known: dict[tuple[str, str | None, str | None, int, str, int, int], Lookup]  # what was asked before


@once_for_each
def _index(stack: NetworkStack) -> _Index:
    down = {link.name for link in stack.links if not link.up}
    routes: dict[tuple[int, int], list[tuple[int, int, int, Route]]] = {}
    for route in stack.routes:
        if route.link not in down and route.kind not in ("local", "broadcast"):
            base, mask = network_bits(route.destination)
            routes.setdefault((route.table, route.family), []).append((base, mask, mask.bit_count(), route))
    for found in routes.values():
        found.sort(key=lambda entry: (-entry[2], entry[3].metric))
    addresses: dict[tuple[int, str | None], list[Address]] = {}
    for address in stack.addresses:
        addresses.setdefault((address.family, address.link), []).append(address)
        addresses.setdefault((address.family, None), []).append(address)
    return _Index(
        own=frozenset(address.address for address in stack.addresses),
        local=tuple(route.destination for route in stack.routes if route.table == LOCAL and route.kind == "local"),
        rules={4: _rules(stack, 4), 6: _rules(stack, 6)},
        routes=routes,
        addresses=addresses,
        known={},
    )


def _rules(stack: NetworkStack, family: int) -> list[RoutingRule]:
    rules = [rule for rule in stack.rules if rule.family == family]
    if not rules:
        return _DEFAULT_RULES[family]
    return sorted((r for r in rules if r.table != LOCAL), key=lambda rule: rule.priority)


_DEFAULT_RULES = {
    family: [
        RoutingRule(family=family, priority=32766, table=MAIN),
        RoutingRule(family=family, priority=32767, table=DEFAULT),
    ]
    for family in (4, 6)
}


def _rule_matches(
    rule: RoutingRule,
    destination: str,
    source: str | None,
    in_interface: str | None,
    mark: int,
    protocol: str,
    port: int,
    sport: int,
) -> bool:
    # A packet made here has the input interface lo.
    matches = (
        (rule.source is None or (source is not None and within(source, rule.source)))
        and (rule.destination is None or within(destination, rule.destination))
        and (rule.in_interface is None or rule.in_interface == (in_interface or "lo"))
        and rule.out_interface is None
        and (rule.mark is None or mark & (rule.mark_mask or 0xFFFFFFFF) == rule.mark)
        and (not rule.selectors or all(_selects(selector, protocol, port, sport) for selector in rule.selectors))
    )
    return matches != rule.inverted


_PROTOCOLS = {"1": "icmp", "6": "tcp", "17": "udp", "132": "sctp"}


def _selects(selector: str, protocol: str, port: int, sport: int) -> bool:
    """True if a further condition holds. What is forwarded, and what root sends, has uid 0; a plain packet has tos 0."""
    name, _, value = selector.partition(" ")
    if name == "ipproto":
        return _PROTOCOLS.get(value, value) == protocol
    low, _, high = value.partition("-")
    if name in ("dport", "sport"):
        asked = port if name == "dport" else sport
        return asked > 0 and int(low) <= asked <= int(high or low)
    if name == "uidrange":
        return low == "0"
    return False


def within(address: str, network: str) -> bool:
    base, mask = network_bits(network)
    return _family(address) == _family(network) and address_number(address) & mask == base


def _best(index: _Index, rule: RoutingRule, destination: str) -> Route | None:
    number, suppressed = address_number(destination), rule.suppress_prefix_length
    for base, mask, length, route in index.routes.get((rule.table, _family(destination)), ()):
        if number & mask == base and (suppressed is None or length > suppressed):
            return route
    return None


def _source_on(index: _Index, link: str | None, towards: str, family: int) -> str | None:
    """The link's address in the next hop's subnet, else its first global one, else any global one of the host."""
    own = [a for a in index.addresses.get((family, link), ()) if a.scope != "host"] if link else []
    for address in own:
        if within(towards, f"{address.address}/{address.prefix}"):
            return address.address
    candidates = (*own, *index.addresses.get((family, None), ()))
    return next((a.address for a in candidates if a.scope == "global"), None)


def _family(text: str) -> int:
    return 6 if ":" in text else 4


@lru_cache(maxsize=4096)
def _network(text: str) -> IPNetwork:
    return ipaddress.ip_network(text, strict=False)
