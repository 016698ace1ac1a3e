"""The kernel's own tables of the calling thread's network namespace, by rtnetlink and sock_diag.

Read with `struct` instead of a library: visiting 200 namespaces takes some 40 ms this way and half a second with
pyroute2 (which opens, binds and parses far more than is needed here). Message layouts are those of linux/rtnetlink.h,
if_link.h, fib_rules.h, neighbour.h and inet_diag.h; integers are in host order unless a comment says otherwise.
"""

# Plain strings instead of Path objects: this is the hot path, and it opens thousands of files of /proc.
# ruff: noqa: PTH115, PTH116, PTH123, PTH208
from __future__ import annotations

import errno
import os
import re
import socket
import stat
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import ExitStack, suppress
from functools import lru_cache
from operator import itemgetter
from typing import Literal, TypedDict, TypeVar

from msgspec.structs import replace

from dockernet_doctor.decoding import as_text, is_number
from dockernet_doctor.regex import regex
from dockernet_doctor.snapshot.model import (
    Address,
    Family,
    ForwardingEntry,
    IpsecPolicy,
    Link,
    Listener,
    Neighbour,
    NetworkStack,
    Process,
    Protocol,
    Record,
    Route,
    RoutingRule,
)
from dockernet_doctor.snapshot.trusted import others_write, owner

_Socket = TypeVar("_Socket", bound="Netlink")

NETLINK_ROUTE, NETLINK_SOCK_DIAG, NETLINK_XFRM, NETLINK_NETFILTER = 0, 4, 6, 12
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


STRANGE_MESSAGE = (struct.error, LookupError, ValueError)
"""What parsers raise over a message of another form than the kernel's headers have; readers name it as what they could not
read."""


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


def read_listeners() -> tuple[tuple[Listener, ...] | None, list[str]]:
    """TCP sockets that listen and UDP sockets without a peer, and what went wrong.

    A kernel without sock_diag for a protocol (module absent) is asked through /proc/thread-self/net instead.
    """
    found: list[Listener] = []
    problems: list[str] = []
    with ExitStack() as closing:
        diag: Netlink | None = None
        for protocol, files, question in _LISTENER_QUESTIONS:
            if question is UDP6_REQUEST and not _has_udp6_sockets():
                continue
            try:
                diag = diag or closing.enter_context(Netlink(NETLINK_SOCK_DIAG))
                found += parse_listeners(diag.dump(question), protocol)
            except (OSError, *STRANGE_MESSAGE) as error:
                instead = _proc_listeners(protocol, files)
                if instead is None:
                    problems.append(f"listeners ({', '.join(files)}): {getattr(error, 'strerror', None) or error}")
                else:
                    found += instead
    return (tuple(found) if len(problems) < len(_LISTENER_QUESTIONS) else None), problems


def listening_paths(user: int) -> tuple[str, ...]:
    """The paths on which UNIX sockets of this user listen in this network namespace. Raises OSError.

    Before Linux 5.3 the kernel does not say whose they are, and there are none.
    """
    with Netlink(NETLINK_SOCK_DIAG) as diag:
        found = [attributes(data, 16) for data in diag.dump(UNIX_REQUEST)]
    return tuple(
        as_text(values[_UNIX_DIAG_NAME].rstrip(b"\0"))
        for values in found
        if values.get(_UNIX_DIAG_NAME, b"").startswith(b"/") and _number(values, _UNIX_DIAG_UID) == user
    )


def owners(inodes: Iterable[int], user: int = 0) -> dict[int, Process]:
    """The process that holds each socket: socket inode → process, those nobody visible holds left out.

    Looks through /proc/PID/fd, so it is asked for wanted sockets only, and at docker-proxy first, which holds most of
    them. Of several holders the one with the lowest pid counts (a master before its workers), and pid 1 last, which
    keeps the sockets of what it activates. `user`: whose daemon it is that is asked about; 0 is root's.
    """
    wanted = {f"socket:[{inode}]": inode for inode in inodes if inode}
    found: dict[int, Process] = {}
    if not wanted:
        return found
    try:
        pids = sorted(int(name) for name in os.listdir("/proc") if is_number(name))
    except OSError:
        return found
    descriptor = ""  # at which the proxy before holds its only socket, and so does the next
    for pid in pids:
        if _comm(pid) == PROXY:
            descriptor, inode = next(_sockets_of(pid, wanted, descriptor), (descriptor, 0))
            if inode:
                found[inode] = Process(pid=pid, name=PROXY, of_daemon=_is_of_daemon(pid, user))
    for pid in (*pids[1:], *pids[:1]):
        if len(found) == len(wanted):
            break
        for _, inode in _sockets_of(pid, wanted):
            if inode not in found and (process := read_process(pid)) is not None:
                named = process.name.startswith(PARTS_OF_DOCKER)
                found[inode] = replace(process, of_daemon=_is_of_daemon(pid, user)) if named else process
    return found


def may_see_all_sockets() -> bool:
    """True if the file descriptors of other users' processes can be looked at (CAP_SYS_PTRACE), so that a socket
    without an owner really has none in this PID namespace."""
    try:
        os.listdir("/proc/1/fd")
        return True
    except OSError:
        return False


def read_process(pid: int) -> Process | None:
    """Name and container of a process; None when it has ended."""
    name = _comm(pid)
    if name is None:
        return None
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="replace") as file:
            container = _CONTAINER_ID.search(file.read(16384))
    except OSError:
        return None
    return Process(pid=pid, name=name, container=container.group(1) if container else None)


def _comm(pid: int) -> str | None:
    try:
        fd = os.open(f"/proc/{pid}/comm", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return as_text(os.read(fd, 64)).removesuffix("\n")
    except OSError:
        return None
    finally:
        os.close(fd)


# --- requests ---------------------------------------------------------------------------------------------------------

_NLM_F_REQUEST, _NLM_F_DUMP, _NLM_F_DUMP_INTR = 0x1, 0x300, 0x10
_NLMSG_DONE = 3  # below it: NOOP and ERROR; an acknowledgement is an error of 0
_HEADER = struct.Struct("=IHHII")  # length, kind, flags, number, sender
_HEAD = struct.Struct("=IHH")
_INT = struct.Struct("=i")
_UNSIGNED = struct.Struct("=I")


def request(kind: int, payload: bytes, flags: int = _NLM_F_DUMP) -> bytes:
    """One netlink request, a dump unless the flags say otherwise."""
    return _HEADER.pack(16 + len(payload), kind, _NLM_F_REQUEST | flags, 1, 0) + payload


# ifinfomsg, and IFLA_EXT_MASK with RTEXT_FILTER_SKIP_STATS: half of each message would be counters.
LINKS_REQUEST = request(18, struct.pack("=BBHiII", 0, 0, 0, 0, 0, 0) + struct.pack("=HHI", 8, 29, 8))
ADDRESSES_REQUEST = request(22, bytes(8))
ROUTES_REQUEST = request(26, bytes(12))
RULES_REQUEST = request(34, bytes(12))
NEIGHBOURS_REQUEST = request(30, bytes(12))
FORWARDING_REQUEST = request(30, struct.pack("=B11x", socket.AF_BRIDGE))
POLICIES_REQUEST = request(0x15, b"")  # XFRM_MSG_GETPOLICY
NETCONF_REQUEST = request(82, struct.pack("=B3x", socket.AF_INET))

_TCP_LISTEN, _CLOSE = 10, 7  # an unconnected UDP socket is in state CLOSE


# TCPDIAG_GETSOCK with an inet_diag_req: the old form of the question, which alone asks for both families at once.
TCP_REQUEST = request(18, struct.pack("=BBBB48xII", socket.AF_UNSPEC, 0, 0, 0, 1 << _TCP_LISTEN, 0))
# SOCK_DIAG_BY_FAMILY with an inet_diag_req_v2.
UDP_REQUEST = request(20, struct.pack("=BBBBI48x", socket.AF_INET, socket.IPPROTO_UDP, 0, 0, 1 << _CLOSE))
UDP6_REQUEST = request(20, struct.pack("=BBBBI48x", socket.AF_INET6, socket.IPPROTO_UDP, 0, 0, 1 << _CLOSE))
# SOCK_DIAG_BY_FAMILY with a unix_diag_req (unix_diag.h), which wants names and owners.
UNIX_REQUEST = request(20, struct.pack("=BBHIIIII", socket.AF_UNIX, 0, 0, 1 << _TCP_LISTEN, 0, 0x41, 0, 0))
_UNIX_DIAG_NAME, _UNIX_DIAG_UID = 0, 7


class Netlink:
    """A netlink socket in the namespace of the thread that opens it."""

    def __init__(self, family: int) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family)

    def __enter__(self: _Socket) -> _Socket:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def dump(self, message: bytes) -> tuple[bytes, ...]:
        """The messages that answer a dump, each without its header. Raises OSError with what the kernel answered.

        A table that changed meanwhile is read again, and the third answer is taken as it is.
        """
        answers: list[bytes] = []
        for _ in range(3):
            self._socket.send(message)
            answers.clear()
            changed = done = False
            while not done:
                done, interrupted = split(self._receive(), answers)
                changed = changed or interrupted
            if not changed:
                break
        return tuple(answers)

    def _receive(self) -> bytes:
        try:
            # The kernel answers before `send` or the last `recv` returns: there is nothing to wait for.
            return self._socket.recv(65536, socket.MSG_DONTWAIT)
        except BlockingIOError as error:
            raise TimeoutError(errno.ETIMEDOUT, "the kernel did not answer") from error


_MOST_ERRNO = 4095  # of Linux


def split(data: bytes, answers: list[bytes]) -> tuple[bool, bool]:
    """Adds the messages of one datagram; whether the dump is done, and whether its table changed meanwhile.

    Raises OSError where the kernel answers with one.
    """
    offset, size, changed = 0, len(data), 0
    while offset + 16 <= size:
        length, kind, flags = _HEAD.unpack_from(data, offset)
        changed |= flags & _NLM_F_DUMP_INTR
        if kind <= _NLMSG_DONE:
            (code,) = _INT.unpack_from(data, offset + 16)
            if code < 0:
                raise OSError(-code, os.strerror(min(-code, _MOST_ERRNO)))
            return True, bool(changed)
        if length < 16:
            break
        answers.append(data[offset + 16 : offset + length])
        offset += (length + 3) & ~3
    return False, bool(changed)


def attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """Type → value of the attributes from `offset` on; the flags for nesting and byte order are taken off."""
    found: dict[int, bytes] = {}
    end = len(data)
    while offset + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < 4:
            break
        found[kind & _KIND] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


_ATTRIBUTE = struct.Struct("=HH")
_KIND = 0x3FFF


class Fields:
    """Where in nested attributes the values at two or more paths stand.

    A link has sixty attributes, those of its families included, and nearly every link the same sixty. So each message that
    is read serves as a form: in another of its length, all of whose attributes begin alike, the values stand where they did.
    """

    def __init__(self, *paths: tuple[int, ...]) -> None:
        self._paths = paths
        self._forms: dict[int, list[tuple[_Cut, tuple[bytes, ...], _Cut]]] = {}  # by length: the headers, and what they were

    def of(self, data: bytes) -> tuple[bytes, ...]:
        """The values in the order of the paths, b"" where there is none."""
        forms = self._forms.setdefault(len(data), [])
        for headers, expected, values in forms:
            if headers(data) == expected:
                return values(data)
        headers, values = self._cuts(data)
        forms.append((headers, headers(data), values))
        return values(data)

    def _cuts(self, data: bytes) -> tuple[_Cut, _Cut]:
        """What cuts the headers out of such a message, and what cuts out the values."""
        places: dict[tuple[int, ...], slice] = {}
        headers = self._walk(data, 0, len(data), (), places)
        return (
            itemgetter(*headers, _NOWHERE, _NOWHERE),  # given one item it would make no tuple
            itemgetter(*(places.get(path, _NOWHERE) for path in self._paths)),
        )

    def _walk(
        self, data: bytes, offset: int, end: int, above: tuple[int, ...], places: dict[tuple[int, ...], slice]
    ) -> Iterator[slice]:
        """The headers on the way to the paths; puts into `places` where the values are."""
        while offset + 4 <= end:
            yield slice(offset, offset + 4)
            length, kind = _ATTRIBUTE.unpack_from(data, offset)
            if length < 4:
                break
            path = (*above, kind & _KIND)
            places[path] = slice(offset + 4, min(offset + length, end))
            if any(path == longer[: len(path)] for longer in self._paths if len(longer) > len(path)):
                yield from self._walk(data, offset + 4, min(offset + length, end), path, places)
            offset += (length + 3) & ~3


_Cut = Callable[[bytes], tuple[bytes, ...]]
_NOWHERE = slice(0)


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
    names = {head[3]: _text(fields[0]) for head, fields in raw}
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
                mtu=_integer(mtu) or 0,
                mac=_mac(mac),
                master=names.get(number, f"if{number}") if (number := _integer(master)) is not None else None,
                peer_index=_integer(peer) or None,
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
        f"net.ipv4.conf.{name}.{key}": str(_INT.unpack_from(values[number])[0])
        for key, number in (("forwarding", 2), ("rp_filter", 3))
        if name and number in values
    }


_NETCONF_IFINDEX = 1
_NETCONF_NAMES = {_INT.pack(-1): "all", _INT.pack(-2): "default"}
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
    info: _LinkInfo = {"kind": _text(kind)}
    if port_of.startswith(b"bridge") and state:
        info["hairpin"] = any(hairpin)
        info["isolated"] = any(isolated)
        info["blocked"] = state[0] in (0, 4)  # BR_STATE_DISABLED, BR_STATE_BLOCKING
        info["learning"], info["flooded"] = learning != b"\0", flooded != b"\0"
        info["broadcasts"] = broadcasts != b"\0"  # older kernels do not say
    if info["kind"] == "vxlan":
        if (number := _integer(vxlan_id)) is not None:
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
                found[f"net.ipv{version}.conf.{name}.{key}"] = str(_INT.unpack_from(values, 4 * position)[0])
    return found


# --- addresses, routes, rules, neighbours -----------------------------------------------------------------------------

_SCOPES = {253: "link", 254: "host"}
_IFADDR = struct.Struct("=BBBBI")


def parse_addresses(answers: Iterable[bytes], names: dict[int, str]) -> tuple[Address, ...]:
    """RTM_NEWADDR, the own address and not the peer's."""
    found = []
    for data in answers:
        domain, prefix, _, scope, index = _IFADDR.unpack_from(data)
        family = _FAMILIES.get(domain)
        values = attributes(data, 8)
        address = values.get(2, values.get(1))  # IFA_LOCAL; IFA_ADDRESS is the peer's on a point-to-point link
        if family and address:
            found.append(
                Address(
                    link=names.get(index, f"if{index}"),
                    address=_address(address),
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
    family = _FAMILIES.get(domain)
    kind = _ROUTE_KINDS[number] if number < len(_ROUTE_KINDS) else str(number)
    if not family or flags & _DEAD or (small_table == _LOCAL_TABLE and kind in _NOISE):
        return None
    values = attributes(data, 12)
    destination = _address(values[_RTA_DST]) if _RTA_DST in values else ("0.0.0.0" if family == 4 else "::")
    table = _number(values, _RTA_TABLE)
    source = values.get(_RTA_PREFSRC)
    route = Route(
        family=family,
        destination=f"{destination}/{prefix}",
        source=_address(source) if source else None,
        table=small_table if table is None else table,
        metric=_number(values, _RTA_PRIORITY) or 0,
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
        return [(_number(values, _RTA_OIF), _gateway(values))]
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
        return _address(values[_RTA_GATEWAY])
    if _RTA_VIA in values:  # an IPv4 route by an IPv6 gateway: family, then address
        return _address(values[_RTA_VIA][2:])
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
    family = _FAMILIES.get(domain)
    if not family:
        return None
    values = attributes(data, 12)
    table = _number(values, _FRA_TABLE)
    suppress = _number(values, _FRA_SUPPRESS)
    return RoutingRule(
        family=family,
        priority=_number(values, _FRA_PRIORITY) or 0,
        table=small_table if table is None else table,
        source=f"{_address(values[_FRA_SRC])}/{src_len}" if _FRA_SRC in values else None,
        destination=f"{_address(values[_FRA_DST])}/{dst_len}" if _FRA_DST in values else None,
        in_interface=_text(values[_FRA_IIF]) if _FRA_IIF in values else None,
        out_interface=_text(values[_FRA_OIF]) if _FRA_OIF in values else None,
        mark=_number(values, _FRA_MARK),
        mark_mask=_number(values, _FRA_MASK),
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
        found.append(f"goto {_number(values, _FRA_GOTO)}")
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
        family = _FAMILIES.get(domain)
        if not family or state & _NOARP or not state:
            continue
        values = attributes(data, 12)
        if 1 in values:  # NDA_DST
            failed = state == 0x20 and len(values.get(_NDA_CACHEINFO, b"")) >= 12
            found.append(
                Neighbour(
                    family=family,
                    link=names.get(index, f"if{index}"),
                    address=_address(values[1]),
                    mac=_mac(values[2]) if 2 in values else None,
                    state=_STATES.get(state, str(state)),
                    age=_UNSIGNED.unpack_from(values[_NDA_CACHEINFO], 8)[0] // _TICKS if failed else 0,
                )
            )
    return tuple(found)


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
        mac, bridge = _mac(values.get(_NDA_MAC, b"")), _number(values, _NDA_MASTER)
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
    family = _FAMILIES.get(domain)
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
        source=f"{_address(saddr[:size])}/{src_len}",
        destination=f"{_address(daddr[:size])}/{dst_len}",
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


# --- listeners --------------------------------------------------------------------------------------------------------

_DIAG_ID = struct.Struct(">H2x16s")
_MAPPED = bytes(10) + b"\xff\xff"
_INET_DIAG_SKV6ONLY = 11


def parse_listeners(answers: Iterable[bytes], protocol: Protocol) -> list[Listener]:
    """inet_diag_msg. A socket on ::ffff:A.B.C.D takes IPv4 only, so it is listed as A.B.C.D."""
    found = []
    for data in answers:
        port, address = _DIAG_ID.unpack_from(data, 4)
        if port == 0:
            continue
        (inode,) = _INT.unpack_from(data, 68)
        waiting = _UNSIGNED.unpack_from(data, 56)[0] if protocol == "tcp" else 0
        domain = data[0]
        options = attributes(data, 72) if domain == socket.AF_INET6 else {}
        v6only = any(options.get(_INET_DIAG_SKV6ONLY, b""))
        found.append(_listener(protocol, domain, address, port, inode & 0xFFFFFFFF, waiting, v6only=v6only))
    return found


def _listener(
    protocol: Protocol, domain: int, address: bytes, port: int, inode: int, waiting: int, *, v6only: bool = False
) -> Listener:
    if domain == socket.AF_INET or address.startswith(_MAPPED):
        plain = address[12:16] if domain == socket.AF_INET6 else address[:4]
        return Listener(protocol=protocol, family=4, address=_address(plain), port=port, inode=inode, waiting=waiting)
    return Listener(
        protocol=protocol, family=6, address=_address(address), port=port, v6only=v6only, inode=inode, waiting=waiting
    )


_LISTENER_QUESTIONS: tuple[tuple[Protocol, tuple[str, ...], bytes], ...] = (
    ("tcp", ("tcp", "tcp6"), TCP_REQUEST),
    ("udp", ("udp",), UDP_REQUEST),
    ("udp", ("udp6",), UDP6_REQUEST),
)


def _has_udp6_sockets() -> bool:
    """A dump of UDP walks a table that all namespaces share (64 thousand buckets on a large host): ask first."""
    text = read_proc("/proc/thread-self/net/sockstat6")
    return text is not None and "UDP6: inuse 0\n" not in text


def _proc_listeners(protocol: Protocol, files: Iterable[str]) -> list[Listener] | None:
    texts = [read_proc(f"/proc/thread-self/net/{file}") for file in files]
    if texts[0] is None and files != ("udp6",):
        return None
    return [listener for text in texts if text for listener in parse_proc_sockets(text, protocol)]


def read_proc(path: str) -> str | None:
    """The whole of a small file of /proc; None where it is absent or forbidden."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        parts = []
        while part := os.read(fd, 1 << 20):
            parts.append(part)
        return as_text(b"".join(parts))
    except OSError:
        return None
    finally:
        os.close(fd)


def parse_proc_sockets(text: str, protocol: Protocol) -> list[Listener]:
    """The listeners of /proc/net/{tcp,tcp6,udp,udp6}, which does not say whether a socket on :: is for IPv6 only."""
    found = []
    state = "0A" if protocol == "tcp" else "07"
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 10 or fields[3] != state or not fields[2].endswith(":0000"):
            continue
        with suppress(ValueError, struct.error):  # a line that this kernel writes otherwise
            digits, _, port = fields[1].partition(":")
            # Each group of four bytes is printed as a number in host order.
            words = [int(digits[i : i + 8], 16) for i in range(0, len(digits), 8)]
            address = struct.pack(f"={len(words)}I", *words)
            domain = socket.AF_INET if len(address) == 4 else socket.AF_INET6
            if int(port, 16):
                waiting = int(fields[4].partition(":")[2], 16) if protocol == "tcp" else 0
                found.append(_listener(protocol, domain, address, int(port, 16), int(fields[9]), waiting))
    return found


# --- values -----------------------------------------------------------------------------------------------------------

_FAMILIES: dict[int, Family] = {socket.AF_INET: 4, socket.AF_INET6: 6}


def _number(values: dict[int, bytes], key: int) -> int | None:
    return _integer(values.get(key, b""))


def _integer(value: bytes) -> int | None:
    return _UNSIGNED.unpack_from(value)[0] if len(value) >= 4 else None


def _text(value: bytes) -> str:
    return as_text(value.rstrip(b"\0"))


def _mac(value: bytes) -> str:
    return value.hex(":") if len(value) == 6 else ""


def _address(value: bytes) -> str:
    if len(value) == 4:
        return socket.inet_ntop(socket.AF_INET, value)
    return socket.inet_ntop(socket.AF_INET6, value) if len(value) == 16 else value.hex()


# --- owners -----------------------------------------------------------------------------------------------------------

PROXY = "docker-proxy"
PARTS_OF_DOCKER = (PROXY, "dockerd", "rootlesskit", "rootlessport")

# Below user.slice everybody names cgroups as he likes; a rootless daemon's containers listen in no namespace but their own.
_CONTAINER_ID = regex(r"^(?!.*/user\.slice/).*?\b([0-9a-f]{64})\b", re.MULTILINE)


def _is_of_daemon(pid: int, user: int) -> bool:
    """True if a process runs as root, or as that user or this one: what it is called, it chose itself.

    Nor may its program be anybody's to change, or one that any user runs as root, as sudo is.
    """
    try:
        program = os.stat(f"/proc/{pid}/exe")
        of_its_user = owner(pid) in (0, user, os.geteuid())
    except (OSError, ValueError):
        return False
    return of_its_user and not others_write(program) and not program.st_mode & (stat.S_ISUID | stat.S_ISGID)


def _sockets_of(pid: int, wanted: dict[str, int], first: str = "") -> Iterator[tuple[str, int]]:
    """The descriptors at which a process holds wanted sockets, and these."""
    for descriptor in _descriptors(pid, first):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{descriptor}")
        except OSError:
            continue
        if target in wanted:
            yield descriptor, wanted[target]


def _descriptors(pid: int, first: str) -> Iterator[str]:
    """`first` before they are listed, which takes ten times as long as looking at one."""
    if first:
        yield first
    with suppress(OSError):
        yield from reversed(os.listdir(f"/proc/{pid}/fd"))  # which begins with the standard streams
