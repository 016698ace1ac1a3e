"""Firewall rules, packets and decisions: the words that the evaluator and its callers share.

Nothing here does I/O. A `Ruleset` is what one dump holds: the tables of one backend and one address family for
iptables, the native tables of every family for nft. A `Packet` is what one hook of the kernel would see.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from dockernet_doctor.netfilter.nft_syntax import rule_text
from dockernet_doctor.netfilter.records import Record, Target, Term, of_expressions, of_line, target_of
from dockernet_doctor.once import once_for_each

Family = Literal[4, 6]
Backend = Literal["iptables-legacy", "iptables-nft", "nft"]
Verdict = Literal["accept", "drop", "reject", "unknown"]
CtState = Literal["NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED"]
AddressType = Literal["LOCAL", "UNICAST", "BROADCAST", "MULTICAST", "ANYCAST", "BLACKHOLE", "UNREACHABLE", "PROHIBIT"]
Hook = Literal["ingress", "prerouting", "input", "forward", "output", "postrouting", "egress"]

Locality = Callable[[str], AddressType | None]
"""What the host's own routing says an address is; None where that is not known."""


class Packet(msgspec.Struct, frozen=True, kw_only=True):
    """One packet as a hook sees it. Addresses are plain text without prefix length."""

    family: Family = 4
    protocol: str = "tcp"
    """tcp, udp, icmp, icmpv6 (either spelling of iptables is understood), sctp, esp, …"""
    source: str
    destination: str
    sport: int | None = None
    """None: a port the kernel picks (1024 and above): a match that depends on which one is unknown."""
    dport: int | None = None
    icmp_type: int | None = None
    """8 or 128 for an echo request."""
    icmp_code: int = 0
    arp: int = 0
    """The operation of an ARP packet, 1 for a request and 2 for an answer; the addresses are those that it tells. 0: no ARP."""
    in_interface: str | None = None
    """None: made on this host."""
    out_interface: str | None = None
    """None: not leaving this host, or not routed yet."""
    physdev_in: str | None = None
    physdev_out: str | None = None
    """Ports of the bridge that the packet crosses, or comes from and goes to where it is routed; None: not known."""
    bridged: bool = False
    length: int | None = None
    """Bytes with the IP header; None: what the packet that opens a connection has, or its answer."""
    ctstate: CtState = "NEW"
    reply: bool = False
    """Goes in the direction opposite to the connection's first packet."""
    dnat: bool = False
    snat: bool = False
    """The connection's address was translated (iptables `--ctstate DNAT`, nft `ct status dnat`)."""
    original_source: str | None = None
    original_destination: str | None = None
    original_dport: int | None = None
    """What the connection's first packet carried before any translation; None: what this packet carries."""
    mark: int = 0
    connmark: int | None = 0
    """None: not known, as for a connection that is already there."""
    answer_zone: int = 0
    """The zone of connection tracking in which the connection expects this answer."""
    zoned_by: Rule | None = None
    """and the rule that said so."""


class Rule(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One rule, named as the operator's own tools name it. Its matches are read only when a packet comes to it."""

    table: str
    chain: str
    position: int
    """1-based, as `iptables -L --line-numbers` counts."""
    backend: Backend
    family: str
    """ip, ip6, inet, bridge, netdev, arp"""
    packets: int | None = None
    bytes: int | None = None
    """Counters; None where the rule has none (nft without `counter`)."""
    handle: int | None = None
    """nft only: what `nft delete rule` takes."""
    line: str = ""
    """iptables only: as `iptables -S` prints it."""
    expressions: msgspec.Raw = msgspec.Raw(b"[]")
    """nft only: the JSON of the rule's expressions."""
    comment: str = ""
    """nft only; that of iptables is one of its matches."""

    @property
    def text(self) -> str:
        """For people. iptables: as `iptables -S` prints it, `-A FORWARD -j DROP`. nft: nearly as `nft list ruleset` does."""
        return self.line or rule_text(bytes(self.expressions), self.comment)

    @property
    def terms(self) -> tuple[Term, ...]:
        """What the rule asks of a packet, in its order."""
        return self._record.terms

    @property
    def target(self) -> Target:
        """What it does with a packet that it matches."""
        return target_of(self.line) if self.line else self._record.target

    @property
    def may_ask_for_state(self) -> bool:
        """True if the state of connections occurs in it: of many rules sooner told than by its terms."""
        return "state " in self.line or b'"state"' in bytes(self.expressions)

    @property
    def may_ask_for_length(self) -> bool:
        """The same of the length of packets."""
        return " length " in self.line or b'"length"' in bytes(self.expressions)

    def asks(self, *fields: str) -> tuple[Term, ...]:
        """Its terms on any of these fields."""
        return tuple(term for term in self.terms if term.field in fields)

    @property
    def _record(self) -> Record:
        return of_line(self.line) if self.line else of_expressions(bytes(self.expressions))

    @property
    def _identity(self) -> tuple[Any, ...]:
        return self.backend, self.family, self.table, self.chain, self.position, self.line, bytes(self.expressions)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rule) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    table: str
    name: str
    backend: Backend
    family: str
    rules: tuple[Rule, ...] = ()
    policy: str | None = None
    """ACCEPT or DROP for a base chain (built-in of iptables, hooked of nft); None: a chain that is only jumped to."""
    packets: int | None = None
    bytes: int | None = None
    """Counters of the policy (iptables)."""
    hook: str | None = None
    priority: int | None = None
    type: str | None = None
    """nft: filter, nat or route"""
    devices: tuple[str, ...] = ()
    """netdev chains: the interfaces they are hooked at."""
    handle: int | None = None
    """nft, and iptables-nft after `combine`: grows in the order in which the table's chains were made."""


@once_for_each
def jumped_to(chain: Chain) -> frozenset[str]:
    """The chains that its rules jump or go to."""
    return frozenset(rule.target.jumps_to for rule in chain.rules) - {""}


class NamedSet(msgspec.Struct, frozen=True, kw_only=True):
    """An ipset, or a named set or map of an nft table."""

    name: str
    type: str
    """ipset: `hash:ip,port`; nft: the types joined by ` . `"""
    elements: tuple[Any, ...] = ()
    options: tuple[str, ...] = ()
    complete: bool = True
    """False: rules add elements as packets pass, or the dump does not hold them."""
    data: str | None = None
    """nft maps: the type that keys are mapped to (`verdict`, `ipv4_addr . inet_service`)."""


class Table(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    backend: Backend
    family: str
    chains: dict[str, Chain]
    sets: dict[str, NamedSet] = {}
    dormant: bool = False
    handle: int | None = None
    """nft, and iptables-nft after `combine`: grows in the order in which tables were made."""


class Ruleset(msgspec.Struct, frozen=True, kw_only=True):
    """What one dump holds. For iptables `family` is ip or ip6, for nft `mixed`."""

    backend: Backend
    family: str
    tables: tuple[Table, ...] = ()
    errors: tuple[str, ...] = ()
    """Lines that could not be read."""

    def table(self, name: str, family: str | None = None) -> Table | None:
        """The table of that name; `family` tells nft tables of equal name apart."""
        for table in self.tables:
            if table.name == name and family in (None, table.family):
                return table
        return None

    def chain(self, table: str, chain: str, family: str | None = None) -> Chain | None:
        found = self.table(table, family)
        return found.chains.get(chain) if found else None

    def rules(self, table: str, chain: str, family: str | None = None) -> tuple[Rule, ...]:
        found = self.chain(table, chain, family)
        return found.rules if found else ()


class Unknown(msgspec.Struct, frozen=True, kw_only=True):
    """Why an outcome cannot be told."""

    what: str
    """The match or target, as the rule writes it: `-m recent --rcheck`, `-j NFQUEUE`."""
    rule: Rule | None = None
    standing: bool = False
    """The same for every packet: a state of the host that no reading holds, and no mood of the rule."""


class Translation(msgspec.Struct, frozen=True, kw_only=True):
    """An address translation that a rule makes. A field that stays as it was is None."""

    kind: Literal["dnat", "redirect", "snat", "masquerade"]
    rule: Rule
    address: str | None = None
    port: int | None = None


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What a chain does to a packet."""

    verdict: Verdict
    rule: Rule | None = None
    """The rule that decided; None: the policy did, or nothing hooked there objected."""
    policy: str | None = None
    """The base chain whose policy decided."""
    reject_with: str | None = None
    translation: Translation | None = None
    unknown: Unknown | None = None
    possible: tuple[str, ...] = ()
    """Verdicts that remain where `verdict` is unknown."""
    stops: tuple[Decision, ...] = ()
    """Where `verdict` is unknown: the rules and policies that may drop or reject it."""
    trace: tuple[Rule, ...] = ()
    """The rules that matched, in order; the last is the one that decided."""
    packet: Packet | None = None
    """The packet afterwards (mark, untracked)."""
    chain: Chain | None = None
    """The base chain that was evaluated."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """What routing does with a packet at this host."""

    kind: Literal["local", "forward", "none", "unknown"]
    out_interface: str | None = None
    """For `local`, `lo` where this host made the packet itself."""
    physdev_out: str | None = None


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What the journey asks of the caller, who knows links, routes and addresses."""

    locality: Locality
    route: Callable[[Packet], Route]
    interface_address: Callable[[str, Family], str | None] = lambda _interface, _family: None
    """The primary address of an interface, that REDIRECT and MASQUERADE take."""
    route_back: Callable[[Packet], Route] = lambda _packet: Route(kind="unknown")
    """By which interface this host would reach the packet's source: decides rpfilter and nft `fib saddr … oif`."""
    ipsets: dict[str, NamedSet] = {}
    ipsets_known: bool = True
    """False: `ipset save` could not be read; a match on a set is unknown."""
    bridge_netfilter: frozenset[int] = frozenset((4, 6))
    """The families whose packets come to iptables where they are only bridged (bridge-nf-call-iptables)."""
    bridges: frozenset[str] = frozenset()
    """The bridges of this host: what comes in or goes out by one of them crosses it as a frame, too."""


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """One base chain that the packet went through."""

    hook: Hook
    table: str
    chain: str
    backend: Backend
    family: str
    decision: Decision


class Journey(msgspec.Struct, frozen=True, kw_only=True):
    """The way of a packet through this host's hooks, in the kernel's order."""

    verdict: Verdict
    decision: Decision | None = None
    """The decision that ended it (drop, reject) or that cannot be told; None where all accept."""
    hook: Hook | None = None
    """Where it ended; None where all accept."""
    destiny: Literal["local", "forward", "none", "unknown"] = "unknown"
    """What routing did with it, after translation."""
    packet: Packet
    """As it is delivered, leaves, or was when it ended."""
    connmark: int | None = None
    """What its connection is marked with from then on; None: not known."""
    answer_zone: int = 0
    """The zone of connection tracking that its connection expects answers in,"""
    zoned_by: Rule | None = None
    """and the rule that said so; None where that is the zone that all are in."""
    dnat: Translation | None = None
    snat: Translation | None = None
    stages: tuple[Stage, ...] = ()
