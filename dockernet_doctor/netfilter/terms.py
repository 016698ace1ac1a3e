"""What a rule is made of once it is read: tests, effects and verdicts, and the state of the packet they work on.

A test answers True, False, or None where the answer depends on something that neither packet nor context tells.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_pton
from typing import Any, Literal

import msgspec

from dockernet_doctor.decoding import is_number
from dockernet_doctor.netfilter.model import Context, NamedSet, Packet

Truth = bool | None
Test = Callable[["State"], Truth]
Intervals = tuple[tuple[int, int], ...]

EPHEMERAL = (32768, 60999)
ALL_BITS = 0xFFFFFFFF
PROTOCOLS = {
    "icmp": 1, "igmp": 2, "ipip": 4, "ipencap": 4, "tcp": 6, "egp": 8, "udp": 17, "dccp": 33, "ipv6": 41, "gre": 47,
    "esp": 50, "ipv6-crypt": 50, "ah": 51, "ipv6-auth": 51, "ipv6-icmp": 58, "icmpv6": 58, "ospf": 89, "pim": 103,
    "vrrp": 112, "l2tp": 115, "sctp": 132, "mobility-header": 135, "udplite": 136, "comp": 108, "ipcomp": 108,
}  # fmt: skip
TCP_FLAGS = {"FIN": 1, "SYN": 2, "RST": 4, "PSH": 8, "ACK": 16, "URG": 32, "ECN": 64, "CWR": 128}
ARP = 0x0806
"""The protocol of ARP, as Ethernet numbers it: no packet of IP has one so large."""
IP_HEADER = {4: 20, 6: 40}
PORTS = frozenset({6, 17, 33, 132, 136})
"""Protocols whose header begins with two ports."""


class Match(msgspec.Struct, frozen=True):
    test: Test
    what: str


class Verdict(msgspec.Struct, frozen=True):
    kind: Literal["accept", "drop", "reject", "return", "continue", "jump", "goto"]
    target: str = ""
    reject_with: str | None = None


class Effect(msgspec.Struct, frozen=True):
    """Changes the state; the flag says whether the rule surely matched."""

    apply: Callable[[State, bool], None]


class Nat(msgspec.Struct, frozen=True):
    """A translation. `resolve` answers the new address and port (None: unchanged), None where it cannot be told, or
    False where the rule does not apply to this packet."""

    kind: Literal["dnat", "redirect", "snat", "masquerade", "netmap"]
    resolve: Callable[[State], tuple[str | None, int | None] | Literal[False] | None]
    what: str


class Choice(msgspec.Struct, frozen=True):
    """A verdict map: the first entry that holds."""

    entries: Callable[[State], tuple[tuple[Truth, Verdict], ...]]
    what: str


class Doubt(msgspec.Struct, frozen=True):
    """A target whose outcome lies outside the rules."""

    what: str
    possible: tuple[str, ...] = ("accept", "drop")


Step = Match | Verdict | Effect | Nat | Choice | Doubt


class State:
    """A packet on its way through the chains of a hook, and what rules have changed about it so far."""

    tracked = True
    """Connection tracking has seen the packet: false in raw, and in whatever is hooked before priority -200."""
    doubtful_tracking = False
    hook = ""
    sets: Mapping[str, NamedSet] = {}
    """The sets of the table whose chain is asked."""
    mark_known = ALL_BITS
    hops: int | None = None
    """The TTL or hop limit that a rule has set; None: what the sender gave it."""
    zones = 0, 0
    """Zones of connection tracking, for packets of the connection's first direction and for their answers (CT --zone)."""
    zone_set = False

    def __init__(self, packet: Packet, context: Context | None) -> None:
        self.context = context
        self.mark = packet.mark
        self.connmark = packet.connmark or 0
        self.connmark_known = ALL_BITS if packet.connmark is not None else 0
        self.touched_sets: set[str] = set()
        self.take(packet)

    def take(self, packet: Packet) -> None:
        """Goes on with this packet, as it is after a translation or at another hook."""
        self.packet = packet
        self.family = 0 if packet.arp else packet.family
        self.protocol = ARP if packet.arp else protocol_number(packet.protocol)
        self.source = address_number(packet.source)
        self.destination = address_number(packet.destination)
        self.inside = packet.in_interface or ""
        self.outside = packet.out_interface or ""
        self.inside_known = self.outside_known = True
        self.ctstate = packet.ctstate

    @property
    def local(self) -> bool:
        """Made on this host, so that it has a socket."""
        return self.packet.in_interface is None

    def visible_ctstate(self) -> str:
        """Before connection tracking a packet that is not yet known is INVALID (xt_conntrack, nft_ct)."""
        if self.ctstate != "UNTRACKED" and self.astray:
            return "INVALID" if self.protocol == PROTOCOLS["tcp"] else "NEW"
        return self.ctstate if self.tracked or self.ctstate == "UNTRACKED" else "INVALID"

    def has_conntrack(self) -> bool:
        return self.tracked and self.ctstate not in ("UNTRACKED", "INVALID") and not self.astray

    @property
    def astray(self) -> bool:
        """An answer that is looked for in another zone than its connection's: it belongs to none (nf_ct_zone_equal)."""
        return self.packet.reply and self.zones[1] != self.packet.answer_zone

    def address_type(self, address: str) -> str | None:
        return self.context.locality(address) if self.context else None

    def tcp_flags(self) -> int | None:
        if self.ctstate == "NEW" or (not self.packet.reply and self.ctstate == "UNTRACKED"):
            return TCP_FLAGS["SYN"]
        if self.ctstate == "ESTABLISHED":
            # The first answer is the one that decides whether the connection opens.
            return TCP_FLAGS["ACK"] | (TCP_FLAGS["SYN"] if self.packet.reply else 0)
        return None

    @property
    def length(self) -> int | None:
        """With the IP header: Linux opens a connection, and answers to that, with 40 bytes of TCP (tcp_syn_options)."""
        flags = self.tcp_flags() if self.protocol == PROTOCOLS["tcp"] else None
        if self.packet.length is None and flags is not None and flags & TCP_FLAGS["SYN"]:
            return 40 + IP_HEADER[self.packet.family]
        return self.packet.length

    def original(self, field: str) -> str | int | None:
        """source, destination, sport or dport of the connection's first packet."""
        packet = self.packet
        mirrored = {"source": "destination", "destination": "source", "sport": "dport", "dport": "sport"}
        known: str | int | None = None if field == "sport" else getattr(packet, f"original_{field}")
        if known is None:
            known = getattr(packet, mirrored[field] if packet.reply else field)
        return known

    def answered(self, field: str) -> str | int | None:
        """source, destination, sport or dport that an answer carries when it arrives."""
        mirrored = {"source": "destination", "destination": "source", "sport": "dport", "dport": "sport"}
        value: str | int | None = getattr(self.packet, field if self.packet.reply else mirrored[field])
        return value


@lru_cache(maxsize=65536)
def address_number(address: str) -> int:
    """Raises ValueError where the text is no address."""
    address = address.partition("%")[0]
    try:
        return int.from_bytes(inet_pton(AF_INET6 if ":" in address else AF_INET, address), "big")
    except OSError as error:
        raise ValueError(f"not an address: {address!r}") from error


@lru_cache(maxsize=65536)
def network_bits(text: str) -> tuple[int, int]:
    """Value and mask of `10.0.0.0/8`, `10.0.0.1`, `10.0.0.0/255.0.255.0` or `fd00::/8`."""
    address, _, mask = text.partition("/")
    bits = 128 if ":" in address else 32
    full = (1 << bits) - 1
    number = address_number(address)
    if not mask:
        return number, full
    width = full ^ (full >> int(mask)) if is_number(mask) else address_number(mask)
    return number & width, width


def network_interval(text: str) -> tuple[int, int]:
    """First and last address of a network, or of a range `A-B`."""
    first, dash, last = text.partition("-")
    if dash:
        return address_number(first), address_number(last)
    value, mask = network_bits(text)
    return value, value | (mask ^ ((1 << (128 if ":" in text else 32)) - 1))


@lru_cache(maxsize=256)
def protocol_number(name: str) -> int:
    """-1 where the name is none of ours."""
    return int(name) if is_number(name) else PROTOCOLS.get(name.lower(), -1)


def merged(intervals: Iterable[tuple[int, int]]) -> Intervals:
    """Sorted and without overlaps, as `inside` wants them."""
    found: list[tuple[int, int]] = []
    for low, high in sorted(intervals):
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return tuple(found)


def inside(intervals: Intervals, value: int) -> bool:
    index = bisect_right(intervals, value, key=lambda pair: pair[0]) - 1
    return index >= 0 and value <= intervals[index][1]


def port_inside(intervals: Intervals, port: int | None) -> Truth:
    """For a port that the kernel picks: decided where all ports it may pick agree."""
    if port is not None:
        return inside(intervals, port)
    low, high = EPHEMERAL
    if any(first <= low and high <= last for first, last in intervals):
        return True
    return None if any(first <= high and low <= last for first, last in intervals) else False


def name_matches(pattern: str, name: str, wildcard: str = "+") -> bool:
    """An interface name against `eth0`, `eth+` (iptables) or `eth*` (nft)."""
    return name.startswith(pattern[:-1]) if pattern.endswith(wildcard) else name == pattern


def negate(value: Truth) -> Truth:
    return None if value is None else not value


def every(values: Iterable[Truth]) -> Truth:
    """Three-valued and."""
    unknown = False
    for value in values:
        if value is False:
            return False
        unknown = unknown or value is None
    return None if unknown else True


def some(values: Iterable[Truth]) -> Truth:
    """Three-valued or."""
    unknown = False
    for value in values:
        if value:
            return True
        unknown = unknown or value is None
    return None if unknown else False


def bits_equal(value: int, known: int, wanted: int, mask: int) -> Truth:
    """True if the bits under the mask are the wanted ones, as far as they are known."""
    if (value ^ wanted) & mask & known:
        return False
    if wanted & ~mask:
        return False
    return True if mask & ~known == 0 else None


def always(answer: Any) -> Callable[[State], Any]:
    return lambda _state: answer
