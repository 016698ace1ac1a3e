"""What the expressions of a native nft rule mean (libnftables-json(5); the kernel's net/netfilter/nft_*.c)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from typing import Any, Literal, TypeVar

import msgspec

from dockernet_doctor.decoding import is_number
from dockernet_doctor.netfilter.iptables_rules import mapped, notrack, one_port, set_hops, zoned
from dockernet_doctor.netfilter.nft_syntax import JSON, bare, expression_text, reject_with
from dockernet_doctor.netfilter.terms import (
    ALL_BITS,
    ARP,
    EPHEMERAL,
    IP_HEADER,
    PORTS,
    Choice,
    Doubt,
    Effect,
    Match,
    Nat,
    State,
    Step,
    Test,
    Truth,
    Verdict,
    address_number,
    always,
    every,
    inside,
    merged,
    name_matches,
    negate,
    network_bits,
    network_interval,
    port_inside,
    protocol_number,
)

Value = tuple[Any, int]
"""A value and which of its bits are known: -1 all of them, 0 none."""
Reader = Callable[[State], Value | None]
"""None: the packet has no such field, so that the rule does not apply to it."""
Within = Callable[[Any, State], Truth]
"""True if a value is among what stands on the right of a match. The value None is a port that the kernel picks."""

CT_STATES = {"invalid": 1, "established": 2, "related": 4, "new": 8, "untracked": 64}
CT_STATUS = {"expected": 1, "seen-reply": 2, "assured": 4, "confirmed": 8, "snat": 16, "dnat": 32, "dying": 512}
TCP_BITS = {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ecn": 64, "cwr": 128}
ICMP_TYPES = {
    "echo-reply": 0, "destination-unreachable": 3, "source-quench": 4, "redirect": 5, "echo-request": 8,
    "router-advertisement": 9, "router-solicitation": 10, "time-exceeded": 11, "parameter-problem": 12,
    "timestamp-request": 13, "timestamp-reply": 14, "info-request": 15, "info-reply": 16, "address-mask-request": 17,
    "address-mask-reply": 18,
}  # fmt: skip
ICMPV6_TYPES = {
    "destination-unreachable": 1, "packet-too-big": 2, "time-exceeded": 3, "parameter-problem": 4, "echo-request": 128,
    "echo-reply": 129, "mld-listener-query": 130, "mld-listener-report": 131, "mld-listener-done": 132,
    "mld-listener-reduction": 132, "nd-router-solicit": 133, "nd-router-advert": 134, "nd-neighbor-solicit": 135,
    "nd-neighbor-advert": 136, "nd-redirect": 137, "router-renumbering": 138, "ind-neighbor-solicit": 141,
    "ind-neighbor-advert": 142, "mld2-listener-report": 143,
}  # fmt: skip
ICMP_CODES = {
    "net-unreachable": 0, "host-unreachable": 1, "prot-unreachable": 2, "port-unreachable": 3, "frag-needed": 4,
    "net-prohibited": 9, "host-prohibited": 10, "admin-prohibited": 13,
}  # fmt: skip
ARP_OPERATIONS = {"request": 1, "reply": 2, "rrequest": 3, "rreply": 4, "inrequest": 8, "inreply": 9, "nak": 10}
ETHER_TYPES = {"ip": 0x0800, "arp": 0x0806, "ip6": 0x86DD, "8021q": 0x8100, "vlan": 0x8100, "8021ad": 0x88A8}
NFPROTO = {"ipv4": 2, "ipv6": 10}
PKTTYPES = {"host": 0, "unicast": 0, "broadcast": 1, "multicast": 2, "other": 3}
SERVICES = {"ftp": 21, "ssh": 22, "domain": 53, "http": 80, "https": 443}
UNKNOWN: Value = (0, 0)
T = TypeVar("T")

HARMLESS = frozenset(
    {"counter", "log", "last", "comment", "dup", "ct helper", "ct timeout", "ct expectation", "secmark", "flow"}
)


@lru_cache(maxsize=4096)
def rule_steps(expressions: bytes) -> tuple[Step, ...]:
    """The steps of a rule in order, up to the one that ends it."""
    return tuple(step for expression in JSON.decode(expressions) for step in _steps(expression))


def _steps(expression: dict[str, Any]) -> Iterator[Step]:
    [(kind, body)] = list(expression.items())[:1] or [("", None)]
    if kind == "match":
        yield _match(body)
    elif kind in ("accept", "drop", "return", "continue", "jump", "goto"):
        yield _verdict(expression)
    elif kind == "reject":
        yield Verdict("reject", "", reject_with(body))
    elif kind == "vmap":
        yield _vmap(body)
    elif kind in ("dnat", "snat", "masquerade", "redirect"):
        yield _nat(kind, body or {})
    elif kind == "mangle":
        yield from _mangle(body)
    elif kind == "notrack":
        yield Effect(notrack)
    elif kind == "set":
        yield Effect(_touching(str(body.get("set", ""))))
    elif kind in ("queue", "tproxy", "synproxy", "fwd") or _xt_target(expression):
        yield Doubt(expression_text(expression))
    elif kind not in HARMLESS:
        # limit, quota, ct count, meter, xt and whatever is invented later.
        yield Match(always(None), expression_text(expression))


def _xt_target(expression: dict[str, Any]) -> bool:
    body = expression.get("xt")
    return isinstance(body, dict) and body.get("type") == "target"


def _touching(name: str) -> Callable[[State, bool], None]:
    return lambda state, _sure: state.touched_sets.add(name)


def _verdict(expression: dict[str, Any]) -> Verdict:
    [(kind, body)] = list(expression.items())[:1]
    return Verdict(kind, body["target"] if kind in ("jump", "goto") else "")  # type: ignore[arg-type]


# --- the left side of a match: what is read from the packet


class Field(msgspec.Struct, frozen=True):
    """A field of the packet: how it is read, and how what stands on the right is to be understood."""

    read: Reader
    symbol: Callable[[Any], Any] = lambda value: int(value, 0) if isinstance(value, str) else int(value)
    name: bool = False
    """Text to compare, where `*` at the end stands for anything; else numbers."""
    port: bool = False
    """Where the port is not known, the kernel picks it."""


def _known(value: int) -> Value:
    return value, -1


def _field(left: Any) -> Field:
    """The field that an expression reads; one that is never known where it is none of those below."""
    if isinstance(left, dict) and len(left) == 1:
        [(kind, body)] = left.items()
        reader = FIELDS.get(kind)
        if reader is not None:
            return reader(body)
    return Field(always(UNKNOWN))


def _payload(body: dict[str, Any]) -> Field:
    protocol, name = body.get("protocol"), body.get("field")
    if protocol in ("ip", "ip6"):
        return _ip_field(4 if protocol == "ip" else 6, str(name))
    if protocol in ("tcp", "udp", "sctp", "dccp", "udplite", "th"):
        return _transport_field(str(protocol), str(name))
    if protocol in ("icmp", "icmpv6"):
        return _icmp_field(1 if protocol == "icmp" else 58, str(name))
    if protocol == "ether" and name == "type":
        return _ether_type()
    if protocol == "arp":
        return _arp_field(str(name))
    return Field(always(UNKNOWN), symbol=lambda _value: 0)


def _ip_field(family: int, name: str) -> Field:
    def read(state: State) -> Value | None:
        if state.family != family:
            return None
        if name in ("saddr", "daddr"):
            return _known(state.source if name == "saddr" else state.destination)
        if name == "length":
            return _length_without(state, 0 if family == 4 else IP_HEADER[6])  # IPv6 tells that of what it carries
        if name in ("protocol", "nexthdr"):
            return UNKNOWN if state.protocol < 0 else _known(state.protocol)
        return _known(family) if name == "version" else _known(0) if name == "frag-off" else UNKNOWN

    if name in ("saddr", "daddr"):
        return Field(read, symbol=lambda value: address_number(str(value)))
    return Field(read, symbol=_protocol_symbol if name in ("protocol", "nexthdr") else _lenient)


def _lenient(value: Any) -> int:
    """For fields that are never known: the names of their values do not matter."""
    try:
        return int(value, 0) if isinstance(value, str) else int(value)
    except ValueError:
        return -1


def _protocol_symbol(value: Any) -> int:
    return protocol_number(str(value))


def _service(value: Any) -> int:
    return SERVICES.get(value, -1) if isinstance(value, str) and not is_number(value) else int(value)


def _transport_field(protocol: str, name: str) -> Field:
    number = None if protocol == "th" else protocol_number(protocol)

    def read(state: State) -> Value | None:
        if state.packet.arp or (number is not None and state.protocol != number):
            return None if state.protocol >= 0 else UNKNOWN
        if name in ("dport", "sport") and state.protocol in PORTS:
            port = state.packet.dport if name == "dport" else state.packet.sport
            return UNKNOWN if port is None else _known(port)
        if name == "flags" and protocol == "tcp":
            flags = state.tcp_flags()
            return UNKNOWN if flags is None else _known(flags)
        return UNKNOWN

    if name == "flags":
        return Field(read, symbol=_named_bits(TCP_BITS))
    return Field(read, symbol=_service if name in ("dport", "sport") else _lenient, port=name in ("dport", "sport"))


def _icmp_field(protocol: int, name: str) -> Field:
    types = ICMP_TYPES if protocol == 1 else ICMPV6_TYPES

    def read(state: State) -> Value | None:
        if state.protocol not in (protocol, {1: 58, 58: 1}[protocol]) or (state.family == 4) != (protocol == 1):
            return None
        if name == "type":
            return UNKNOWN if state.packet.icmp_type is None else _known(state.packet.icmp_type)
        return _known(state.packet.icmp_code) if name == "code" else UNKNOWN

    return Field(read, symbol=_named(types if name == "type" else ICMP_CODES if protocol == 1 else {}))


def _ether_type() -> Field:
    types = {4: ETHER_TYPES["ip"], 6: ETHER_TYPES["ip6"], 0: ARP}
    return Field(lambda state: _known(types[state.family]), symbol=_named(ETHER_TYPES))


def _arp_field(name: str) -> Field:
    """A field of an ARP packet for IPv4 on Ethernet (RFC 826); the addresses of interfaces are not known."""
    sizes = {"htype": 1, "ptype": ETHER_TYPES["ip"], "hlen": 6, "plen": 4}

    def read(state: State) -> Value | None:
        if not state.packet.arp:
            return None
        if name in ("saddr ip", "daddr ip"):
            return _known(state.source if name == "saddr ip" else state.destination)
        return _known(state.packet.arp if name == "operation" else sizes[name]) if name in (*sizes, "operation") else UNKNOWN

    if name in ("saddr ip", "daddr ip"):
        return Field(read, symbol=_address_symbol)
    return Field(read, symbol=_named(ARP_OPERATIONS if name == "operation" else ETHER_TYPES))


def _named(names: dict[str, int]) -> Callable[[Any], int]:
    def symbol(value: Any) -> int:
        return names[value] if value in names else _lenient(value)

    return symbol


def _named_bits(names: dict[str, int]) -> Callable[[Any], int]:
    """Flags may stand as a list or joined by commas."""

    def symbol(value: Any) -> int:
        if isinstance(value, str):
            value = value.replace("|", ",").split(",")
        if isinstance(value, list):
            bits = 0
            for name in value:
                bits |= names[name.strip()] if isinstance(name, str) and name.strip() in names else _lenient(name)
            return bits
        return int(value)

    return symbol


def _meta(body: dict[str, Any]) -> Field:
    key = body.get("key")
    fields: dict[Any, Field] = {
        "iifname": Field(lambda state: (state.inside, -1 if state.inside_known else 0), str, name=True),
        "iif": Field(lambda state: (state.inside, -1 if state.inside_known else 0), str, name=True),
        "oifname": Field(lambda state: (state.outside, -1 if state.outside_known else 0), str, name=True),
        "oif": Field(lambda state: (state.outside, -1 if state.outside_known else 0), str, name=True),
        "l4proto": Field(_l4proto, _protocol_symbol),
        "nfproto": Field(lambda state: _known(2 if state.family == 4 else 10), _named(NFPROTO)),
        "protocol": _ether_type(),
        "length": Field(lambda state: _length_without(state, 0)),
        "mark": Field(lambda state: (state.mark, _partly(state.mark_known))),
        "pkttype": Field(_pkttype, _named(PKTTYPES)),
        "skuid": Field(_of_socket, _lenient),
        "skgid": Field(_of_socket, _lenient),
        "cgroup": Field(_of_socket, _lenient),
        "ibrname": Field(
            lambda state: _bridge(state.packet.in_interface, state.inside or not state.inside_known), str, name=True
        ),
        "obrname": Field(
            lambda state: _bridge(state.packet.out_interface, state.outside or not state.outside_known), str, name=True
        ),
    }
    return fields.get(key, Field(always(UNKNOWN), _lenient))


def _bridge(name: str | None, has_port: str | bool) -> Value:
    """A frame has a bridge on the sides of it where it has a port: one that the host itself sends has none that it came by."""
    return (name or "") if has_port else "", -1


def _length_without(state: State, header: int) -> Value:
    return UNKNOWN if state.length is None else _known(state.length - header)


def _l4proto(state: State) -> Value | None:
    if state.packet.arp:
        return None
    return UNKNOWN if state.protocol < 0 else _known(state.protocol)


def _partly(known: int) -> int:
    return known | ~ALL_BITS


def _of_socket(state: State) -> Value | None:
    """A forwarded packet has no socket, and nft_meta then breaks off."""
    return UNKNOWN if state.local else None


def _pkttype(state: State) -> Value:
    if state.packet.arp:
        return _known(PKTTYPES["broadcast" if state.packet.arp == ARP_OPERATIONS["request"] else "host"])
    kind = state.address_type(state.packet.destination)
    return UNKNOWN if kind is None else _known({"BROADCAST": 1, "MULTICAST": 2}.get(kind, 0))


def _ct(body: dict[str, Any]) -> Field:
    key, direction = str(body.get("key")), body.get("dir", body.get("direction"))
    if key == "state":
        return Field(_tracked(lambda state: _known(CT_STATES[state.visible_ctstate().lower()])), _named_bits(CT_STATES))
    if key in ("saddr", "daddr", "ip saddr", "ip daddr", "ip6 saddr", "ip6 daddr"):
        return Field(_connection(lambda state: _tuple_address(state, key, direction)), symbol=_address_symbol)
    if key in ("proto-src", "proto-dst"):
        return Field(_connection(lambda state: _tuple_port(state, key, direction)), symbol=_service, port=True)
    fields = {
        "status": Field(_connection(_ct_status), _named_bits(CT_STATUS)),
        "mark": Field(_connection(lambda state: (state.connmark, _partly(state.connmark_known)))),
        "direction": Field(_connection(lambda state: _known(int(state.packet.reply))), _named({"original": 0, "reply": 1})),
        "protocol": Field(_connection(lambda state: _known(state.protocol)), _protocol_symbol),
        "l3proto": Field(_connection(lambda state: _known(2 if state.family == 4 else 10)), _named(NFPROTO)),
        "helper": Field(_connection(lambda state: ("", -1) if state.ctstate == "NEW" else ("", 0)), str, name=True),
    }
    return fields.get(key, Field(always(UNKNOWN), _lenient))


def _tracked(read: Callable[[State], Value | None]) -> Reader:
    return lambda state: UNKNOWN if state.doubtful_tracking and state.tracked else read(state)


def _connection(read: Callable[[State], Value | None]) -> Reader:
    return _tracked(lambda state: read(state) if state.has_conntrack() else None)


def _ct_status(state: State) -> Value:
    packet, new = state.packet, state.ctstate == "NEW"
    value = 32 * packet.dnat + 16 * packet.snat + (0 if new else 2 + 8)
    # Whether it is expected or assured is known of a new connection only.
    return value, -1 if new else ~(1 | 4)


def _address_symbol(value: Any) -> int:
    return address_number(str(value))


def _tuple_address(state: State, key: str, direction: str | None) -> Value | None:
    wanted = {"ip": 4, "ip6": 6}.get(key.partition(" ")[0])
    if wanted not in (None, state.family):
        return None
    field = "source" if key.endswith("saddr") else "destination"
    address = _of_tuple(state, field, direction)
    return UNKNOWN if address is None else _known(address_number(str(address)))


def _tuple_port(state: State, key: str, direction: str | None) -> Value:
    port = _of_tuple(state, "sport" if key == "proto-src" else "dport", direction)
    return UNKNOWN if port is None else _known(int(port))


def _of_tuple(state: State, field: str, direction: str | None) -> str | int | None:
    reply = state.packet.reply if direction is None else direction == "reply"
    return state.answered(field) if reply else state.original(field)


def _fib(body: dict[str, Any]) -> Field:
    flags = body.get("flags") or []
    flags = [flags] if isinstance(flags, str) else flags
    if body.get("result") == "type":
        return Field(lambda state: _fib_type(state, flags), str, name=True)
    return Field(
        lambda state: _fib_oif(state, flags), lambda value: value if isinstance(value, bool) else str(value), name=True
    )


def _fib_type(state: State, flags: list[str]) -> Value:
    kind = state.address_type(state.packet.source if "saddr" in flags else state.packet.destination)
    if kind is None or (kind == "LOCAL" and ("iif" in flags or "oif" in flags)):
        return "", 0
    return kind.lower(), -1


def _fib_oif(state: State, flags: list[str]) -> Value:
    """The interface of the way back; False where there is none."""
    if "saddr" not in flags or state.context is None:
        return False, 0
    if state.inside == "lo":
        return "lo", -1
    route = state.context.route_back(state.packet)
    if route.kind == "unknown":
        return False, 0
    if route.kind == "none" or ("iif" in flags and route.out_interface != state.inside):
        return False, -1
    return route.out_interface or "lo", -1


def _masked(operator: str) -> Callable[[Any], Field]:
    def field(body: Any) -> Field:
        if not (isinstance(body, list) and len(body) == 2):
            return Field(always(UNKNOWN), _lenient)
        inner = _field(body[0])
        try:
            mask = int(inner.symbol(body[1]))
        except (ValueError, TypeError, KeyError):
            return Field(always(UNKNOWN), _lenient)

        def read(state: State) -> Value | None:
            found = inner.read(state)
            if found is None or not isinstance(found[0], int):
                return found
            value, known = found
            if operator == "&":
                return value & mask, known | ~mask
            return (value | mask, known | mask) if operator == "|" else (value ^ mask, known)

        return Field(read, inner.symbol)

    return field


FIELDS: dict[str, Callable[[Any], Field]] = {
    "payload": _payload,
    "meta": _meta,
    "ct": _ct,
    "fib": _fib,
    "&": _masked("&"),
    "|": _masked("|"),
    "^": _masked("^"),
    # Not fragmented and without extension headers, as any packet that opens a connection.
    "exthdr": lambda body: Field(always(None) if "field" in body else always((False, -1)), bool),
}


# --- the right side: what the field may be


def _once_for_each(read: Callable[[Any], T]) -> Callable[[Any], T]:
    """What is read of the elements of a set, kept with them for as long as the same set is asked."""
    kept: list[tuple[Any, T]] = []

    def asked(elements: Any) -> T:
        if not kept or kept[0][0] is not elements:
            kept[:] = [(elements, read(elements))]
        return kept[0][1]

    return asked


def _within(field: Field, right: Any) -> Within:
    """A test for `80`, `80-90`, `10.0.0.0/8`, `{ … }`, `@name` or flags."""
    if isinstance(right, str) and right.startswith("@"):
        return _within_named(field, right[1:])
    if isinstance(right, dict) and "set" in right:
        entries = right["set"]
        if isinstance(entries, str):
            return _within_named(field, entries.removeprefix("@"))
        return _within_any(field, entries if isinstance(entries, list) else [entries])
    return _within_any(field, [right])


def _within_named(field: Field, name: str) -> Within:
    read = _once_for_each(lambda elements: _within_any(field, elements))

    def test(value: Any, state: State) -> Truth:
        found = state.sets.get(name)
        if found is None or not found.complete or f"@{name}" in state.touched_sets:
            return None
        return read(found.elements)(value, state)

    return test


def _within_any(field: Field, entries: Iterable[Any]) -> Within:
    plain = [bare(entry) for entry in entries]
    if "*" in plain and not field.name:
        return lambda _value, _state: True
    if field.name:
        return _within_names(field, plain)
    intervals = merged(_interval(field, entry) for entry in plain)
    return lambda value, _state: port_inside(intervals, None) if value is None else inside(intervals, value)


def _within_names(field: Field, entries: list[Any]) -> Within:
    wanted = [field.symbol(entry) for entry in entries]
    exact = frozenset(wanted)
    wild = tuple(name for name in wanted if isinstance(name, str) and name.endswith("*"))

    def test(value: Any, _state: State) -> Truth:
        if True in exact and value is not False:
            return True
        return value in exact or any(name_matches(pattern, str(value), "*") for pattern in wild)

    return test


def _interval(field: Field, entry: Any) -> tuple[int, int]:
    if isinstance(entry, dict):
        if "prefix" in entry:
            return network_interval(f"{entry['prefix']['addr']}/{entry['prefix']['len']}")
        if "range" in entry:
            low, high = entry["range"]
            return int(field.symbol(low)), int(field.symbol(high))
        return -2, -2
    value = int(field.symbol(entry))
    return value, value


def _match(body: dict[str, Any]) -> Match:
    what = expression_text({"match": body})
    left, right, operator = body.get("left"), body.get("right"), body.get("op", "==")
    try:
        return Match(_tested(left, operator, right), what)
    except (ValueError, TypeError, KeyError):
        return Match(always(None), what)


def _tested(left: Any, operator: str, right: Any) -> Test:
    if not (isinstance(left, dict) and "concat" in left):
        return _compared(_field(left), operator, right)
    fields = [_field(part) for part in left["concat"]]
    test = _concat_test(fields, right)
    if operator != "!=":
        return test
    return lambda state: False if any(field.read(state) is None for field in fields) else negate(test(state))


def _compared(field: Field, operator: str, right: Any) -> Test:
    if operator in ("<", ">", "<=", ">="):
        return _ordered(field, operator, right)
    if isinstance(right, dict) and isinstance(right.get("|"), list):
        right = right["|"]
    if operator in ("in", "!") or (isinstance(right, list) and operator in ("==", "!=")):
        return _flags_test(field, operator, right)
    within = _within(field, right)
    negated = operator == "!="
    scalar = right if not isinstance(right, (dict, list)) and not str(right).startswith("@") else None

    def test(state: State) -> Truth:
        found = field.read(state)
        if found is None:
            return False
        truth = _truth(field, found, within, scalar, state)
        return negate(truth) if negated else truth

    return test


def _truth(field: Field, found: Value, within: Within, scalar: Any, state: State) -> Truth:
    value, known = found
    if known == -1:
        return within(value, state)
    if field.port:
        return within(None, state)
    if scalar is not None and isinstance(value, int) and known and (value ^ int(field.symbol(scalar))) & known:
        return False
    return None


def _ordered(field: Field, operator: str, right: Any) -> Test:
    limit = int(field.symbol(right))
    compare: dict[str, Callable[[int], bool]] = {
        "<": lambda value: value < limit,
        ">": lambda value: value > limit,
        "<=": lambda value: value <= limit,
        ">=": lambda value: value >= limit,
    }

    def within(value: Any, _state: State) -> Truth:
        if value is not None:
            return compare[operator](value)
        first, last = (compare[operator](port) for port in EPHEMERAL)
        return first if first == last else None

    def test(state: State) -> Truth:
        found = field.read(state)
        return False if found is None else _truth(field, found, within, None, state)

    return test


def _flags_test(field: Field, operator: str, right: Any) -> Test:
    """`ct state established,related`: one of the bits; with `!` none of them; with `==`, exactly these bits."""
    bits = int(field.symbol(right))

    def test(state: State) -> Truth:
        found = field.read(state)
        if found is None:
            return False
        value, known = found
        if operator in ("in", "!"):
            held = True if value & known & bits else None if bits & ~known else False
            return held if operator == "in" else negate(held)
        if known != -1:
            return None
        return (value == bits) is (operator == "==")

    return test


def _concat_test(fields: list[Field], right: Any) -> Test:
    named = right[1:] if isinstance(right, str) and right.startswith("@") else None
    entries = right["set"] if isinstance(right, dict) and "set" in right else [right]
    fixed = None if named else [_tuple_tests(fields, entry) for entry in entries]
    read = _once_for_each(lambda elements: [_tuple_tests(fields, entry) for entry in elements])

    def test(state: State) -> Truth:
        rows = fixed if named is None else _named_rows(named, state, read)
        if rows is None:
            return None
        found = [field.read(state) for field in fields]
        if any(value is None for value in found):
            return False
        values = [value for value in found if value is not None]
        unknown = False
        for row in rows:
            truth = _row_truth(fields, values, row, state)
            if truth:
                return True
            unknown = unknown or truth is None
        return None if unknown else False

    return test


def _named_rows(name: str, state: State, read: Callable[[Any], list[list[Within]]]) -> list[list[Within]] | None:
    found = state.sets.get(name)
    if found is None or not found.complete or f"@{name}" in state.touched_sets:
        return None
    return read(found.elements)


def _tuple_tests(fields: list[Field], entry: Any) -> list[Within]:
    entry = bare(entry)
    if entry == "*":
        return [lambda _value, _state: True for _ in fields]
    return [_within_any(field, [part]) for field, part in zip(fields, entry["concat"], strict=True)]


def _row_truth(fields: list[Field], values: list[Value], row: list[Within], state: State) -> Truth:
    return every(_truth(field, value, within, None, state) for field, value, within in zip(fields, values, row, strict=True))


# --- maps


def _vmap(body: dict[str, Any]) -> Choice:
    what = expression_text({"vmap": body})
    lookup = _lookup(body)

    def entries(state: State) -> tuple[tuple[Truth, Verdict], ...]:
        found = lookup(state)
        if found is None:
            # Nobody knows the map: any verdict may come of it.
            return (None, Verdict("accept")), (None, Verdict("drop"))
        return tuple((truth, _verdict(data)) for truth, data in found)

    return Choice(entries, what)


def _lookup(body: dict[str, Any]) -> Callable[[State], list[tuple[Truth, Any]] | None]:
    """The entries of a map that hold for the packet or may hold; None where the map or its key cannot be read."""
    key, data = body.get("key"), body.get("data")
    parts = key["concat"] if isinstance(key, dict) and "concat" in key else None
    fields = [_field(part) for part in parts] if parts else [_field(key)]

    @_once_for_each
    def rows(entries: Iterable[Any]) -> list[tuple[list[Within], Any]]:
        made: list[tuple[list[Within], Any]] = []
        catch_all: list[tuple[list[Within], Any]] = []
        for left, value in entries:
            wild = bare(left) == "*"
            tests = _tuple_tests(fields, left) if parts or wild else [_within_any(fields[0], [left])]
            (catch_all if wild else made).append((tests, value))
        return made + catch_all

    def find(state: State) -> list[tuple[Truth, Any]] | None:
        found = _map_entries(data, state)
        if found is None:
            return None
        try:
            table = rows(found)
        except (ValueError, TypeError, KeyError):
            return None
        values = [field.read(state) for field in fields]
        if any(value is None for value in values):
            return []
        known = [value for value in values if value is not None]
        hits = ((_row_truth(fields, known, tests, state), value) for tests, value in table)
        return [(truth, value) for truth, value in hits if truth is not False]

    return find


def _map_entries(data: Any, state: State) -> Iterable[Any] | None:
    if isinstance(data, str):
        found = state.sets.get(data.removeprefix("@"))
        return found.elements if found is not None and found.complete and data not in state.touched_sets else None
    if isinstance(data, dict) and isinstance(data.get("set"), list):
        entries: list[Any] = data["set"]
        return entries
    return None


# --- translations and marks


Pair = tuple[str | None, int | None]


def _nat(kind: str, body: dict[str, Any]) -> Nat:
    what = expression_text({kind: body})
    address, port, family = body.get("addr"), body.get("port"), body.get("family")

    def resolve(state: State) -> Pair | Literal[False] | None:
        if family is not None and {"ip": 4, "ip6": 6}.get(family) != state.family:
            return False
        found = _nat_address(address, state, source=kind == "snat")
        if found is None or found is False:
            return (None, None) if kind == "snat" and found is None else found
        new_address, new_port = found
        if port is None:
            return new_address, new_port
        sure, fixed = _nat_port(port, state)
        if not sure:
            return (new_address, None) if kind in ("snat", "masquerade") else None
        return new_address, fixed

    return Nat(kind, resolve, what)  # type: ignore[arg-type]


def _nat_address(address: Any, state: State, *, source: bool) -> Pair | Literal[False] | None:
    if address is None:
        return None, None
    if isinstance(address, str):
        return address, None
    if not isinstance(address, dict):
        return None
    if "map" in address:
        hits = _lookup(address["map"])(state)
        if hits is None or (hits and hits[0][0] is None):
            return None
        return _pair(hits[0][1], state, source=source) if hits else False
    return _pair(address, state, source=source)


def _pair(data: Any, state: State, *, source: bool) -> Pair | None:
    """What a map gives: an address, an address and a port, or a network to move into."""
    if isinstance(data, str):
        return data, None
    if isinstance(data, dict) and "concat" in data and len(data["concat"]) == 2:
        address, port = data["concat"]
        return (str(address), _service(port)) if isinstance(address, str) else None
    if isinstance(data, dict) and "prefix" in data:
        value, mask = network_bits(f"{data['prefix']['addr']}/{data['prefix']['len']}")
        return mapped(state.source if source else state.destination, value, mask, state.family), None
    return None


def _nat_port(port: Any, state: State) -> tuple[bool, int | None]:
    if isinstance(port, dict) and "range" in port:
        low, high = port["range"]
        return one_port(f"{low}-{high}", state.packet.dport)
    if isinstance(port, dict) and "map" in port:
        hits = _lookup(port["map"])(state)
        return (True, _service(hits[0][1])) if hits and hits[0][0] and isinstance(hits[0][1], (int, str)) else (False, None)
    return (True, _service(port)) if isinstance(port, (int, str)) else (False, None)


def _mangle(body: dict[str, Any]) -> Iterator[Step]:
    key, value = body.get("key"), body.get("value")
    target = None
    if isinstance(key, dict):
        target = ("meta" in key and key["meta"].get("key") == "mark" and "mark") or (
            "ct" in key and key["ct"].get("key") == "mark" and "connmark"
        )
        if "payload" in key and key["payload"].get("field") in ("ttl", "hoplimit") and isinstance(value, int):
            yield Effect(partial(set_hops, value))
        if "ct" in key and key["ct"].get("key") == "zone":
            of = {"original": (0,), "reply": (1,)}.get(str(key["ct"].get("dir", key["ct"].get("direction"))), (0, 1))
            yield Effect(partial(zoned, value if isinstance(value, int) else None, of))
    if not target:
        return
    read = _number(value)

    def apply(state: State, sure: bool) -> None:
        if target == "connmark" and not state.has_conntrack():
            return
        found = read(state) if sure else UNKNOWN
        if found is None:
            return
        setattr(state, target, found[0] & ALL_BITS)
        setattr(state, f"{target}_known", found[1] & ALL_BITS)

    yield Effect(apply)


def _number(value: Any) -> Reader:
    if isinstance(value, int):
        return always((value, -1))
    if isinstance(value, dict) and len(value) == 1:
        [(kind, body)] = value.items()
        if kind in ("&", "|", "^") and isinstance(body, list) and len(body) == 2 and isinstance(body[1], int):
            left, right = _number(body[0]), body[1]
            return _arithmetic(kind, left, right)
        if kind in ("meta", "ct"):
            return _field(value).read
    return always(UNKNOWN)


def _arithmetic(kind: str, left: Reader, right: int) -> Reader:
    def read(state: State) -> Value | None:
        found = left(state)
        if found is None:
            return None
        value, known = found
        if kind == "&":
            return value & right, known | ~right
        return (value | right, known | right) if kind == "|" else (value ^ right, known)

    return read
