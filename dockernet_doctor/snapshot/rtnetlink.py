"""The kernel's own tables of the calling thread's network namespace: links, addresses, routes, rules, neighbours, IPsec.

Message layouts are those of linux/rtnetlink.h, if_link.h, fib_rules.h, neighbour.h and xfrm.h.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable, Sequence, Set
from functools import lru_cache
from typing import Literal, TypedDict

from msgspec.structs import replace

from dockernet_doctor.snapshot.model import (
    Address,
    ForwardingEntry,
    IpsecPolicy,
    Link,
    Neighbour,
    NetworkStack,
    Record,
    Route,
    RoutingRule,
)
from dockernet_doctor.snapshot.netlink import (
    FAMILIES,
    INT,
    NETLINK_ROUTE,
    NETLINK_XFRM,
    STRANGE_MESSAGE,
    UNSIGNED,
    Fields,
    Netlink,
    address_of,
    attributes,
    mac_of,
    request,
    text_of,
    u32,
    u32_of,
)
from dockernet_doctor.snapshot.sock_diag import read_listeners

DEFAULT_RULES = (
    RoutingRule(family=4, priority=0, table=255),
    RoutingRule(family=4, priority=32766, table=254),
    RoutingRule(family=4, priority=32767, table=253),
    RoutingRule(family=6, priority=0, table=255),
    RoutingRule(family=6, priority=32766, table=254),
)


class StackReading(Record, frozen=True, kw_only=True):
    """A stack without its firewall, and what could not be read of it."""

    stack: NetworkStack
    problems: tuple[str, ...] = ()  # "neighbours: Operation not permitted"


def read_stack() -> StackReading:
    """Links, addresses, routes of all tables, rules, neighbours, listeners and the sysctls of each interface.

    Kernel noise is left out: table `local` where it only repeats the addresses, and neighbours without ARP. Nothing is
    raised; what fails is empty (listeners: None) and named among the problems.
    """
    try:
        with Netlink(NETLINK_ROUTE) as rtnetlink:
            return _read_stack(rtnetlink)
    except (OSError, *STRANGE_MESSAGE) as error:
        return StackReading(stack=NetworkStack(), problems=(f"network stack: {error}",))


def _read_stack(rtnetlink: Netlink) -> StackReading:
    problems: list[str] = []

    def dump(what: str, question: bytes) -> tuple[bytes, ...]:
        try:
            return rtnetlink.dump(question)
        except OSError as error:
            problems.append(f"{what}: {error.strerror or error}")
            return ()

    links, sysctls = parse_links(dump("links", LINKS_REQUEST))
    names = {link.index: link.name for link in links}
    addresses = parse_addresses(dump("addresses", ADDRESSES_REQUEST), names)
    routes = parse_routes(dump("routes", ROUTES_REQUEST), names, {address.address for address in addresses})
    rules = parse_rules(dump("rules", RULES_REQUEST))
    neighbours = parse_neighbours(dump("neighbours", NEIGHBOURS_REQUEST), names)
    sysctls.update(parse_netconf(dump("sysctls", NETCONF_REQUEST)))
    listeners, listener_problems = read_listeners()
    stack = NetworkStack(
        links=links,
        addresses=addresses,
        routes=routes,
        rules=rules,
        neighbours=neighbours,
        listeners=listeners,
        sysctls=sysctls,
    )
    return StackReading(stack=stack, problems=(*problems, *listener_problems))


def without_default_rules(rules: tuple[RoutingRule, ...]) -> tuple[RoutingRule, ...]:
    """() where the rules are those that every namespace starts with (a kernel without IPv6 has three), else all."""
    return () if rules in (DEFAULT_RULES, DEFAULT_RULES[:3]) else rules


# ifinfomsg, and IFLA_EXT_MASK with RTEXT_FILTER_SKIP_STATS: half of each message would be counters.
LINKS_REQUEST = request(18, struct.pack("=BBHiII", 0, 0, 0, 0, 0, 0) + struct.pack("=HHI", 8, 29, 8))
ADDRESSES_REQUEST = request(22, bytes(8))
ROUTES_REQUEST = request(26, bytes(12))
RULES_REQUEST = request(34, bytes(12))
NEIGHBOURS_REQUEST = request(30, bytes(12))
FORWARDING_REQUEST = request(30, struct.pack("=B11x", socket.AF_BRIDGE))
POLICIES_REQUEST = request(0x15, b"")  # XFRM_MSG_GETPOLICY
NETCONF_REQUEST = request(82, struct.pack("=B3x", socket.AF_INET))


# --- links ------------------------------------------------------------------------------------------------------------

_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINK, _IFLA_MASTER, _IFLA_LINKINFO, _IFLA_AF_SPEC = 1, 3, 4, 5, 10, 18, 26
_IFLA_INET_CONF, _IFLA_INET6_CONF = 1, 2
_INFO_KIND, _INFO_DATA, _INFO_SLAVE_KIND, _INFO_SLAVE_DATA = 1, 2, 4, 5
_BRPORT_STATE, _BRPORT_HAIRPIN, _BRPORT_LEARNING, _BRPORT_FLOOD, _BRPORT_BROADCASTS, _BRPORT_ISOLATED = 1, 4, 8, 9, 30, 33
_VXLAN_ID, _VXLAN_PORT = 1, 15
_LINK = Fields(
    (_IFLA_IFNAME,),
    (_IFLA_ADDRESS,),
    (_IFLA_MTU,),
    (_IFLA_MASTER,),
    (_IFLA_LINK,),
    (_IFLA_AF_SPEC, socket.AF_INET, _IFLA_INET_CONF),
    (_IFLA_AF_SPEC, socket.AF_INET6, _IFLA_INET6_CONF),
    (_IFLA_LINKINFO, _INFO_KIND),
    (_IFLA_LINKINFO, _INFO_DATA, _VXLAN_ID),
    (_IFLA_LINKINFO, _INFO_DATA, _VXLAN_PORT),
    (_IFLA_LINKINFO, _INFO_SLAVE_KIND),
    (_IFLA_LINKINFO, _INFO_SLAVE_DATA, _BRPORT_STATE),
    (_IFLA_LINKINFO, _INFO_SLAVE_DATA, _BRPORT_HAIRPIN),
    (_IFLA_LINKINFO, _INFO_SLAVE_DATA, _BRPORT_ISOLATED),
    (_IFLA_LINKINFO, _INFO_SLAVE_DATA, _BRPORT_LEARNING),
    (_IFLA_LINKINFO, _INFO_SLAVE_DATA, _BRPORT_FLOOD),
    (_IFLA_LINKINFO, _INFO_SLAVE_DATA, _BRPORT_BROADCASTS),
)
_IFF_UP, _IFF_NOARP, _IFF_LOWER_UP = 0x1, 0x80, 0x10000

# Positions in these arrays of 32 bits a value: linux/ip.h (IPV4_DEVCONF_*, from 1) and linux/ipv6.h (DEVCONF_*).
_SYSCTLS_V4 = (
    ("forwarding", 0),
    ("proxy_arp", 2),
    ("rp_filter", 7),
    ("arp_ignore", 18),
    ("accept_local", 22),
    ("src_valid_mark", 23),
    ("route_localnet", 25),
)
_SYSCTLS_V6 = (("forwarding", 0), ("accept_ra", 3), ("disable_ipv6", 26))


def parse_links(answers: Iterable[bytes]) -> tuple[tuple[Link, ...], dict[str, str]]:
    """RTM_NEWLINK: the links, and the sysctls net.ipv4.conf.NAME.* and net.ipv6.conf.NAME.* that matter here."""
    raw = [(_IFINFO.unpack_from(data), _LINK.of(data[16:])) for data in answers]
    names = {head[3]: text_of(fields[0]) for head, fields in raw}
    sysctls: dict[str, str] = {}
    links = []
    for (_, _, _, index, flags, _), (_, mac, mtu, master, peer, v4, v6, *info) in raw:
        name = names[index]
        sysctls.update(_interface_sysctls(name, v4, v6))
        links.append(
            Link(
                index=index,
                name=name,
                up=bool(flags & _IFF_UP),
                carrier=bool(flags & _IFF_LOWER_UP),
                mtu=u32_of(mtu) or 0,
                mac=mac_of(mac),
                master=names.get(number, f"if{number}") if (number := u32_of(master)) is not None else None,
                peer_index=u32_of(peer) or None,
                arp=not flags & _IFF_NOARP,
                **_link_info(*info),
            )
        )
    return tuple(links), sysctls


def parse_netconf(answers: Iterable[bytes]) -> dict[str, str]:
    """RTM_NEWNETCONF: net.ipv4.conf.{all,default}.{forwarding,rp_filter}; the links bring their own."""
    found: dict[str, str] = {}
    for data in answers:
        found.update(_netconf(data))
    return found


@lru_cache(maxsize=256)
def _netconf(data: bytes) -> dict[str, str]:
    """The same few in every sandbox, hence the cache."""
    values = attributes(data, 4)
    name = _NETCONF_NAMES.get(values.get(_NETCONF_IFINDEX, b""))
    return {
        f"net.ipv4.conf.{name}.{key}": str(INT.unpack_from(values[number])[0])
        for key, number in (("forwarding", 2), ("rp_filter", 3))
        if name and number in values
    }


_NETCONF_IFINDEX = 1
_NETCONF_NAMES = {INT.pack(-1): "all", INT.pack(-2): "default"}
_IFINFO = struct.Struct("=BBHiII")


class _LinkInfo(TypedDict, total=False):
    kind: str
    hairpin: bool
    isolated: bool
    blocked: bool
    learning: bool
    flooded: bool
    broadcasts: bool
    vxlan_id: int
    vxlan_port: int


@lru_cache(maxsize=1024)
def _link_info(
    kind: bytes,
    vxlan_id: bytes,
    vxlan_port: bytes,
    port_of: bytes,
    state: bytes,
    hairpin: bytes,
    isolated: bytes,
    learning: bytes,
    flooded: bytes,
    broadcasts: bytes,
) -> _LinkInfo:
    """What IFLA_LINKINFO says. The attributes of another kind of link have the numbers of those of vxlan."""
    info: _LinkInfo = {"kind": text_of(kind)}
    if port_of.startswith(b"bridge") and state:
        info["hairpin"] = any(hairpin)
        info["isolated"] = any(isolated)
        info["blocked"] = state[0] in (0, 4)  # BR_STATE_DISABLED, BR_STATE_BLOCKING
        info["learning"], info["flooded"] = learning != b"\0", flooded != b"\0"
        info["broadcasts"] = broadcasts != b"\0"  # older kernels do not say
    if info["kind"] == "vxlan":
        if (number := u32_of(vxlan_id)) is not None:
            info["vxlan_id"] = number
        if vxlan_port:
            info["vxlan_port"] = int.from_bytes(vxlan_port[:2], "big")
    return info


@lru_cache(maxsize=1024)
def _interface_sysctls(name: str, v4: bytes, v6: bytes) -> dict[str, str]:
    """The same for `lo` and `eth0` of nearly every sandbox, hence the cache."""
    found = {}
    for version, values, wanted in ((4, v4, _SYSCTLS_V4), (6, v6, _SYSCTLS_V6)):
        for key, position in wanted:
            if len(values) >= 4 * position + 4:
                found[f"net.ipv{version}.conf.{name}.{key}"] = str(INT.unpack_from(values, 4 * position)[0])
    return found


# --- addresses, routes, rules, neighbours -----------------------------------------------------------------------------

_SCOPES = {253: "link", 254: "host"}
_IFADDR = struct.Struct("=BBBBI")


def parse_addresses(answers: Iterable[bytes], names: dict[int, str]) -> tuple[Address, ...]:
    """RTM_NEWADDR, the own address and not the peer's."""
    found = []
    for data in answers:
        domain, prefix, _, scope, index = _IFADDR.unpack_from(data)
        family = FAMILIES.get(domain)
        values = attributes(data, 8)
        address = values.get(2, values.get(1))  # IFA_LOCAL; IFA_ADDRESS is the peer's on a point-to-point link
        if family and address:
            found.append(
                Address(
                    link=names.get(index, f"if{index}"),
                    address=address_of(address),
                    prefix=prefix,
                    family=family,
                    scope=_SCOPES.get(scope, "global"),
                )
            )
    return tuple(found)


_ROUTE_KINDS = (
    "unspec",
    "unicast",
    "local",
    "broadcast",
    "anycast",
    "multicast",
    "blackhole",
    "unreachable",
    "prohibit",
    "throw",
    "nat",
)
_RTMSG = struct.Struct("=BBBBBBBBI")
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_PREFSRC, _RTA_MULTIPATH, _RTA_TABLE, _RTA_VIA = (
    1,
    4,
    5,
    6,
    7,
    9,
    15,
    18,
)
_NEXT_HOP = struct.Struct("=HBBi")
_LOCAL_TABLE = 255
_NOISE = frozenset({"broadcast", "anycast", "multicast"})
_DEAD = 0x1  # RTNH_F_DEAD: the kernel does not use this route or next hop


def parse_routes(answers: Iterable[bytes], names: dict[int, str], own: Set[str] = frozenset()) -> tuple[Route, ...]:
    """RTM_NEWROUTE; a multipath route becomes one record a next hop.

    Of table `local` only what the addresses (`own`) do not tell by themselves, such as a whole subnet made local.
    """
    found: list[Route] = []
    for data in answers:
        read = _route(data)
        if read is None:
            continue
        route, hops = read
        if route.table == _LOCAL_TABLE and route.kind == "local" and _is_plain_local(route.destination, own):
            continue
        for link, gateway in hops:
            name = None if link is None else names.get(link, f"if{link}")
            found.append(replace(route, link=name, gateway=gateway))
    return tuple(found)


@lru_cache(maxsize=4096)
def _route(data: bytes) -> tuple[Route, list[tuple[int | None, str | None]]] | None:
    """A route without its next hops, and these (index of the link, gateway); None for noise.

    More than half of the routes are the same in every sandbox, hence the cache.
    """
    domain, prefix, _, _, small_table, _, _, number, flags = _RTMSG.unpack_from(data)
    family = FAMILIES.get(domain)
    kind = _ROUTE_KINDS[number] if number < len(_ROUTE_KINDS) else str(number)
    if not family or flags & _DEAD or (small_table == _LOCAL_TABLE and kind in _NOISE):
        return None
    values = attributes(data, 12)
    destination = address_of(values[_RTA_DST]) if _RTA_DST in values else ("0.0.0.0" if family == 4 else "::")
    table = u32(values, _RTA_TABLE)
    source = values.get(_RTA_PREFSRC)
    route = Route(
        family=family,
        destination=f"{destination}/{prefix}",
        source=address_of(source) if source else None,
        table=small_table if table is None else table,
        metric=u32(values, _RTA_PRIORITY) or 0,
        kind=kind,
    )
    return route, _next_hops(values)


def _is_plain_local(destination: str, own: Set[str]) -> bool:
    if destination.startswith("127."):
        return True
    address, _, prefix = destination.partition("/")
    return address in own and prefix == ("128" if ":" in address else "32")


def _next_hops(values: dict[int, bytes]) -> list[tuple[int | None, str | None]]:
    paths = values.get(_RTA_MULTIPATH)
    if paths is None:
        return [(u32(values, _RTA_OIF), _gateway(values))]
    hops: list[tuple[int | None, str | None]] = []
    offset = 0
    while offset + 8 <= len(paths):
        length, flags, _, index = _NEXT_HOP.unpack_from(paths, offset)
        if length < 8:
            break
        if not flags & _DEAD:
            hops.append((index, _gateway(attributes(paths[offset + 8 : offset + length]))))
        offset += (length + 3) & ~3
    return hops


def _gateway(values: dict[int, bytes]) -> str | None:
    if _RTA_GATEWAY in values:
        return address_of(values[_RTA_GATEWAY])
    if _RTA_VIA in values:  # an IPv4 route by an IPv6 gateway: family, then address
        return address_of(values[_RTA_VIA][2:])
    return None


_RULE_ACTIONS = {1: "lookup", 2: "goto", 3: "nop", 6: "blackhole", 7: "unreachable", 8: "prohibit"}
_RULE = struct.Struct("=BBBBBBBBI")
_FRA_DST, _FRA_SRC, _FRA_IIF, _FRA_GOTO, _FRA_PRIORITY, _FRA_MARK = 1, 2, 3, 4, 6, 10
_FRA_SUPPRESS, _FRA_TABLE, _FRA_MASK, _FRA_OIF = 14, 15, 16, 17
_FRA_L3MDEV, _FRA_UIDS, _FRA_PROTOCOL, _FRA_SPORT, _FRA_DPORT = 19, 20, 22, 23, 24
_INVERTED = 0x2


@lru_cache(maxsize=256)
def parse_rules(answers: tuple[bytes, ...]) -> tuple[RoutingRule, ...]:
    """RTM_NEWRULE of both families, in the order in which the kernel asks them.

    Every namespace begins with the same five, hence the cache.
    """
    found = [rule for data in answers if (rule := _rule(data))]
    return tuple(sorted(found, key=lambda rule: (rule.family, rule.priority)))


def _rule(data: bytes) -> RoutingRule | None:
    domain, dst_len, src_len, tos, small_table, _, _, action, flags = _RULE.unpack_from(data)
    family = FAMILIES.get(domain)
    if not family:
        return None
    values = attributes(data, 12)
    table = u32(values, _FRA_TABLE)
    suppress = u32(values, _FRA_SUPPRESS)
    return RoutingRule(
        family=family,
        priority=u32(values, _FRA_PRIORITY) or 0,
        table=small_table if table is None else table,
        source=f"{address_of(values[_FRA_SRC])}/{src_len}" if _FRA_SRC in values else None,
        destination=f"{address_of(values[_FRA_DST])}/{dst_len}" if _FRA_DST in values else None,
        in_interface=text_of(values[_FRA_IIF]) if _FRA_IIF in values else None,
        out_interface=text_of(values[_FRA_OIF]) if _FRA_OIF in values else None,
        mark=u32(values, _FRA_MARK),
        mark_mask=u32(values, _FRA_MASK),
        action=_RULE_ACTIONS.get(action, str(action)),
        inverted=bool(flags & _INVERTED),
        suppress_prefix_length=None if suppress in (None, 0xFFFFFFFF) else suppress,
        selectors=_further_selectors(values, tos),
    )


def _further_selectors(values: dict[int, bytes], tos: int) -> tuple[str, ...]:
    found = []
    if tos:
        found.append(f"tos {tos:#x}")
    if _FRA_UIDS in values:
        found.append("uidrange {}-{}".format(*struct.unpack_from("=II", values[_FRA_UIDS])))
    if _FRA_PROTOCOL in values:
        found.append(f"ipproto {values[_FRA_PROTOCOL][0]}")
    for name, key in (("sport", _FRA_SPORT), ("dport", _FRA_DPORT)):
        if key in values:
            low, high = struct.unpack_from("=HH", values[key])
            found.append(f"{name} {low}" if low == high else f"{name} {low}-{high}")
    if any(values.get(_FRA_L3MDEV, b"")):
        found.append("l3mdev")
    if _FRA_GOTO in values:
        found.append(f"goto {u32(values, _FRA_GOTO)}")
    return tuple(found)


_STATES = {
    0x01: "incomplete",
    0x02: "reachable",
    0x04: "stale",
    0x08: "delay",
    0x10: "probe",
    0x20: "failed",
    0x80: "permanent",
}
_NOARP, _PERMANENT = 0x40, 0x80
_NDMSG = struct.Struct("=BBHiHBB")


def parse_neighbours(answers: Iterable[bytes], names: dict[int, str]) -> tuple[Neighbour, ...]:
    """RTM_NEWNEIGH as `ip neigh` shows it: without the entries that need no ARP (multicast, loopback)."""
    found = []
    for data in answers:
        domain, _, _, index, state, _, _ = _NDMSG.unpack_from(data)
        family = FAMILIES.get(domain)
        if not family or state & _NOARP or not state:
            continue
        values = attributes(data, 12)
        if 1 in values:  # NDA_DST
            failed = state in (_INCOMPLETE, _FAILED) and len(values.get(_NDA_CACHEINFO, b"")) >= 12
            found.append(
                Neighbour(
                    family=family,
                    link=names.get(index, f"if{index}"),
                    address=address_of(values[1]),
                    mac=mac_of(values[2]) if 2 in values else None,
                    state=_STATES.get(state, str(state)),
                    age=UNSIGNED.unpack_from(values[_NDA_CACHEINFO], 8)[0] // _TICKS if failed else 0,
                )
            )
    return tuple(found)


_INCOMPLETE, _FAILED = 0x01, 0x20
_NTF_SELF = 0x2
_NDA_MAC, _NDA_CACHEINFO, _NDA_VLAN, _NDA_MASTER = 2, 3, 5, 9
_TICKS = 100  # USER_HZ, of every architecture that Docker runs on


def read_forwarding(links: tuple[Link, ...]) -> tuple[ForwardingEntry, ...]:
    """What is set in the forwarding tables of the namespace's bridges. Raises OSError with what the kernel answered."""
    with Netlink(NETLINK_ROUTE) as rtnetlink:
        return parse_forwarding(rtnetlink.dump(FORWARDING_REQUEST), links)


def parse_forwarding(answers: Iterable[bytes], links: tuple[Link, ...]) -> tuple[ForwardingEntry, ...]:
    """RTM_NEWNEIGH of AF_BRIDGE, without what a bridge knows by itself: its ports' own addresses, and what it learnt by ports
    that go on learning."""
    names = {link.index: link.name for link in links}
    own = {link.mac for link in links}
    deaf = {link.index for link in links if not link.learning}
    found = []
    for data in answers:
        _, _, _, index, state, flags, _ = _NDMSG.unpack_from(data)
        if flags & _NTF_SELF or not (state & (_NOARP | _PERMANENT) or index in deaf):
            continue
        values = attributes(data, 12)
        mac, bridge = mac_of(values.get(_NDA_MAC, b"")), u32(values, _NDA_MASTER)
        if not mac or bridge is None or _NDA_VLAN in values or (state & _PERMANENT and mac in own):
            continue
        kind: Literal["static", "permanent", "learned"]
        kind = "static" if state & _NOARP else "permanent" if state & _PERMANENT else "learned"
        at = names.get(bridge, f"if{bridge}")
        found.append(ForwardingEntry(bridge=at, port=names.get(index, f"if{index}"), mac=mac, state=kind))
    return tuple(found)


# --- IPsec ------------------------------------------------------------------------------------------------------------

# xfrm_selector (daddr, saddr, ports with masks, family, prefix lengths, proto, ifindex, user), xfrm_lifetime_cfg and _cur;
# then priority, index, dir, action.
_SELECTOR = struct.Struct("=16s16s4s4sHBBBxxxiI")
_POLICY = struct.Struct("=IIBB")
_OF_POLICY = 56 + 64 + 32
_PORTS = struct.Struct(">HH")
_XFRMA_TMPL, _XFRMA_MARK = 5, 21
_DIRECTIONS: dict[int, Literal["in", "out", "fwd"]] = {0: "in", 1: "out", 2: "fwd"}
_TEMPLATE, _OPTIONAL = 64, 50


def read_ipsec(links: tuple[Link, ...]) -> tuple[IpsecPolicy, ...]:
    """The namespace's IPsec policies; none where the kernel has no IPsec. Raises OSError with what the kernel answered."""
    try:
        xfrm = Netlink(NETLINK_XFRM)
    except OSError as error:
        if error.errno == errno.EPROTONOSUPPORT:
            return ()
        raise
    with xfrm:
        return parse_ipsec(xfrm.dump(POLICIES_REQUEST), links)


def parse_ipsec(answers: Sequence[bytes], links: tuple[Link, ...]) -> tuple[IpsecPolicy, ...]:
    """XFRM_MSG_NEWPOLICY, in the order in which the kernel asks them: by priority, of equal ones the oldest, which it lists
    last."""
    names = {link.index: link.name for link in links}
    found = [policy for data in reversed(answers) if (policy := _policy(data, names))]
    return tuple(sorted(found, key=lambda policy: policy.priority))


def _policy(data: bytes, names: dict[int, str]) -> IpsecPolicy | None:
    daddr, saddr, dports, sports, domain, dst_len, src_len, protocol, index, _user = _SELECTOR.unpack_from(data)
    priority, _, direction, action = _POLICY.unpack_from(data, _OF_POLICY)
    family = FAMILIES.get(domain)
    if family is None or direction not in _DIRECTIONS:
        return None
    values, size = attributes(data, _OF_POLICY + 16), 4 if family == 4 else 16
    (sport, sport_mask), (dport, dport_mask) = _PORTS.unpack(sports), _PORTS.unpack(dports)
    mark, mask = struct.unpack_from("=II", values[_XFRMA_MARK]) if _XFRMA_MARK in values else (0, 0)
    templates = values.get(_XFRMA_TMPL, b"")
    needed = (not templates[at + _OPTIONAL] for at in range(0, len(templates) - _TEMPLATE + 1, _TEMPLATE))
    return IpsecPolicy(
        family=family,
        direction=_DIRECTIONS[direction],
        source=f"{address_of(saddr[:size])}/{src_len}",
        destination=f"{address_of(daddr[:size])}/{dst_len}",
        protocol=protocol,
        sport=sport,
        sport_mask=sport_mask,
        dport=dport,
        dport_mask=dport_mask,
        link=names.get(index, f"if{index}") if index else None,
        mark=mark,
        mark_mask=mask,
        priority=priority,
        blocks=action == 1,  # XFRM_POLICY_BLOCK
        transforms=any(needed),
    )
