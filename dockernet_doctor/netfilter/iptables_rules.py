"""What the text of an iptables rule means: its matches and its target.

Sources: the kernel's net/netfilter/xt_*.c and net/ipv4/netfilter/ipt_*.c for what a match does, iptables' extensions for
how `iptables-save` writes it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from dockernet_doctor.decoding import is_number
from dockernet_doctor.netfilter.ipset import in_set
from dockernet_doctor.netfilter.iptables_syntax import HARMLESS, HEAD, ONE_PORT, Option, endpoint, modules, written
from dockernet_doctor.netfilter.terms import (
    ALL_BITS,
    TCP_FLAGS,
    Doubt,
    Effect,
    Intervals,
    Match,
    Nat,
    State,
    Step,
    Test,
    Truth,
    Verdict,
    address_number,
    always,
    bits_equal,
    every,
    inside,
    merged,
    name_matches,
    negate,
    network_bits,
    network_interval,
    port_inside,
    protocol_number,
    some,
)

if TYPE_CHECKING:
    from dockernet_doctor.netfilter.model import Rule


class Head(NamedTuple):
    """What a rule asks for before anything else, by cheap tests."""

    between: tuple[Test, ...]  # of protocol and interfaces
    addresses: tuple[Test, ...]
    address: int | None  # the one destination without which the rule neither matches nor does anything
    port: int | None  # the same of ports
    source: tuple[int, int] | None  # value and mask of the sources
    inside: str | None  # the one interface that the packet has to come in by
    outside: str | None  # that it has to go out by
    tail: str  # the rest of the rule, unread


def read_head(rule: Rule) -> Head:
    found = HEAD.match(rule.line)
    if found is None:
        return Head((), (), None, None, None, None, None, rule.line[4 + len(rule.chain) :])
    no_source, source, no_destination, destination, no_in, inside, no_out, outside, no_protocol, protocol = found.groups()
    between: list[Test] = []
    if outside is not None:
        between.append(_interface_test("outside", outside, bool(no_out)))
    if inside is not None:
        between.append(_interface_test("inside", inside, bool(no_in)))
    if protocol is not None:
        between.append(_protocol_test(protocol, bool(no_protocol)))
    addresses: list[Test] = []
    address = None
    if destination is not None:
        addresses.append(_address_test("destination", destination, bool(no_destination)))
        value, mask = network_bits(destination)
        if not no_destination and mask == ((1 << 128) - 1 if rule.family == "ip6" else ALL_BITS):
            address = value
    if source is not None:
        addresses.append(_address_test("source", source, bool(no_source)))
    port = ONE_PORT.match(rule.line, found.end())
    return Head(
        tuple(between),
        tuple(addresses),
        address,
        int(port[1]) if port else None,
        network_bits(source) if source is not None and not no_source else None,
        _one(inside, no_in),
        _one(outside, no_out),
        rule.line[found.end() :],
    )


def _one(interface: str | None, negated: str | None) -> str | None:
    return interface if interface and not negated and not interface.endswith("+") else None


@lru_cache(maxsize=4096)
def tail_steps(tail: str, family: str) -> tuple[Step, ...]:
    """Matches and target after the head, in order; many rules differ in their heads alone."""
    steps: list[Step] = []
    for module, options in modules(tail):
        if module == "-j":
            steps.extend(_target(options[0].name, options[1:], family))
        elif module == "-g":
            steps.append(Verdict("goto", options[0].name))
        else:
            what = written(module, options)
            reader = MATCHES.get(module)
            steps.append(Match(reader(options) if reader else always(None), what))
    return tuple(steps)


# --- the head


@lru_cache(maxsize=256)
def _protocol_test(text: str, negated: bool) -> Test:
    number = protocol_number(text)
    if number < 0:
        return always(None)
    if number == 0:
        return always(not negated)
    return lambda state: None if state.protocol < 0 else (state.protocol == number) is not negated


def _address_test(field: str, text: str, negated: bool) -> Test:
    value, mask = network_bits(text)
    if field == "source":
        return lambda state: (state.source & mask == value) is not negated
    return lambda state: (state.destination & mask == value) is not negated


@lru_cache(maxsize=1024)
def _interface_test(field: str, pattern: str, negated: bool) -> Test:
    if field == "inside":
        if pattern.endswith("+"):
            return lambda state: name_matches(pattern, state.inside) is not negated
        return lambda state: (state.inside == pattern) is not negated
    if pattern.endswith("+"):
        return lambda state: name_matches(pattern, state.outside) is not negated
    return lambda state: (state.outside == pattern) is not negated


# --- matches: each reader turns the options of one `-m` into a test


def _all(options: list[Option], test_of: Callable[[Option], Test]) -> Test:
    tests = []
    for option in options:
        test = test_of(option)
        tests.append((lambda state, test=test: negate(test(state))) if option.negated else test)
    return tests[0] if len(tests) == 1 else lambda state: every(test(state) for test in tests)


def _ports(text: str) -> Intervals:
    found = []
    for part in text.split(","):
        low, colon, high = part.partition(":")
        found.append((int(low or 0), int(high or 65535) if colon else int(low)))
    return merged(found)


def _transport(options: list[Option]) -> Test:
    return _all(options, _transport_option)


def _transport_option(option: Option) -> Test:
    if option.name in ("--dport", "--destination-port"):
        wanted = _ports(option.value)
        return lambda state: port_inside(wanted, state.packet.dport)
    if option.name in ("--sport", "--source-port"):
        wanted = _ports(option.value)
        return lambda state: port_inside(wanted, state.packet.sport)
    if option.name == "--tcp-flags" and len(option.values) == 2:
        mask, flags = (_flags(value) for value in option.values)

        def flagged(state: State) -> Truth:
            present = state.tcp_flags()
            return None if present is None else present & mask == flags

        return flagged
    return always(None)


def _flags(text: str) -> int:
    names = {"NONE": 0, "ALL": 63, **TCP_FLAGS}
    return sum(names.get(name, 0) for name in text.split(","))


SEGMENTS = 536, 8960
"""What TCP announces as the most it takes in one segment: from what every host must take (RFC 9293) to jumbo frames."""


def _tcpmss(options: list[Option]) -> Test:
    """xt_tcpmss.c: packets without the option match where it is negated; a SYN that no host would send is not thought of."""

    def announced(option: Option) -> Test:
        low, high = _ports(option.value)[0]
        least, most = SEGMENTS
        return always(True if low <= least and most <= high else None if low <= most and least <= high else False)

    told = _all(options, announced)
    untold = all(option.negated for option in options)

    def tested(state: State) -> Truth:
        flags = state.tcp_flags()
        return None if flags is None else told(state) if flags & TCP_FLAGS["SYN"] else untold

    return tested


def _length(options: list[Option]) -> Test:
    """xt_length.c: IPv6 counts its header, too."""

    def of(option: Option) -> Test:
        wanted = _ports(option.value)
        return lambda state: None if state.length is None else inside(wanted, state.length)

    return _all(options, of)


def _multiport(options: list[Option]) -> Test:
    return _all(options, _multiport_option)


def _multiport_option(option: Option) -> Test:
    wanted = _ports(option.value)
    if option.name == "--dports":
        return lambda state: port_inside(wanted, state.packet.dport)
    if option.name == "--sports":
        return lambda state: port_inside(wanted, state.packet.sport)
    if option.name == "--ports":
        return lambda state: some((port_inside(wanted, state.packet.sport), port_inside(wanted, state.packet.dport)))
    return always(None)


def _icmp(options: list[Option]) -> Test:
    return _all(options, _icmp_option)


def _icmp_option(option: Option) -> Test:
    kind, _, code = option.value.partition("/")
    if kind in ("any", "255"):
        return always(True)
    if not is_number(kind) or (code and not is_number(code)):
        return always(None)

    def typed(state: State) -> Truth:
        if state.packet.icmp_type is None:
            return None
        return state.packet.icmp_type == int(kind) and (not code or state.packet.icmp_code == int(code))

    return typed


def _conntrack(options: list[Option]) -> Test:
    tests = _all(options, _conntrack_option)
    names_state = any(option.name in ("--ctstate", "--state") for option in options)

    def tracked(state: State) -> Truth:
        if state.doubtful_tracking and state.tracked:
            return None
        if state.has_conntrack():
            return tests(state)
        # xt_conntrack.c: without a connection only --ctstate is asked, and every other option fails.
        return (
            every(_all([option], _conntrack_option)(state) for option in options if option.name in ("--ctstate", "--state"))
            if names_state
            else False
        )

    return tracked


def _conntrack_option(option: Option) -> Test:
    value = option.value
    if option.name in ("--ctstate", "--state"):
        return _ctstate(frozenset(value.split(",")))
    if option.name == "--ctdir":
        return lambda state: state.packet.reply is (value == "REPLY")
    if option.name == "--ctproto":
        return _protocol_test(value, negated=False)
    if option.name == "--ctstatus":
        return _ctstatus(frozenset(value.split(",")))
    fields = {
        "src": "source", "dst": "destination", "srcport": "sport", "dstport": "dport",
    }  # fmt: skip
    for prefix, ask in (("--ctorig", State.original), ("--ctrepl", State.answered)):
        field = fields.get(option.name.removeprefix(prefix)) if option.name.startswith(prefix) else None
        if field in ("source", "destination"):
            return _tuple_address(ask, field, value)
        if field:
            return _tuple_port(ask, field, _ports(value))
    return always(None)


def _tuple_address(ask: Callable[[State, str], str | int | None], field: str, value: str) -> Test:
    wanted, mask = network_bits(value)
    return lambda state: address_number(str(ask(state, field))) & mask == wanted


def _tuple_port(ask: Callable[[State, str], str | int | None], field: str, wanted: Intervals) -> Test:
    def tested(state: State) -> Truth:
        port = ask(state, field)
        return port_inside(wanted, int(port) if port is not None else None)

    return tested


def _ctstate(wanted: frozenset[str]) -> Test:
    def tested(state: State) -> Truth:
        if state.visible_ctstate() in wanted:
            return True
        translated = ("DNAT" in wanted and state.packet.dnat) or ("SNAT" in wanted and state.packet.snat)
        return translated and state.has_conntrack()

    return tested


def _ctstatus(wanted: frozenset[str]) -> Test:
    def tested(state: State) -> Truth:
        new = state.ctstate == "NEW"
        known = {
            "EXPECTED": False if new else None,
            "SEEN_REPLY": not new,
            "ASSURED": False if new else None,
            "CONFIRMED": not new,
        }
        return some(known.get(name, False) for name in wanted)

    return tested


def _addrtype(options: list[Option]) -> Test:
    limited = any(option.name.startswith("--limit-iface") for option in options)
    test = _all([option for option in options if not option.name.startswith("--limit-iface")], _addrtype_option)
    # With the limit an address of another interface is not LOCAL, and the locality does not tell interfaces apart.
    return (lambda state: None if test(state) is not False else False) if limited else test


def _addrtype_option(option: Option) -> Test:
    wanted = frozenset(option.value.split(","))
    if option.name not in ("--src-type", "--dst-type"):
        return always(None)

    def typed(state: State) -> Truth:
        address = state.packet.source if option.name == "--src-type" else state.packet.destination
        kind = state.address_type(address)
        if kind is None:
            return None
        return kind in wanted if state.family == 4 else _is_type6(kind, wanted)

    return typed


def _is_type6(kind: str, wanted: frozenset[str]) -> bool:
    """xt_addrtype.c, match_type6: in IPv6 an address of this host is UNICAST as well, and several types must all hold."""
    if ("MULTICAST" in wanted and kind != "MULTICAST") or ("UNICAST" in wanted and kind == "MULTICAST"):
        return False
    routed = wanted & {"ANYCAST", "LOCAL", "UNREACHABLE"}
    return kind in routed if routed else True


def _value_and_mask(text: str) -> tuple[int, int]:
    value, _, mask = text.partition("/")
    return int(value, 0), int(mask, 0) if mask else ALL_BITS


def _mark(options: list[Option]) -> Test:
    def of(option: Option) -> Test:
        wanted, mask = _value_and_mask(option.value)
        return lambda state: bits_equal(state.mark, state.mark_known, wanted, mask)

    return _all(options, of)


def _connmark(options: list[Option]) -> Test:
    def of(option: Option) -> Test:
        wanted, mask = _value_and_mask(option.value)
        return lambda state: bits_equal(state.connmark, state.connmark_known, wanted, mask)

    test = _all(options, of)
    # xt_connmark.c: without a connection it never matches, negated or not.
    return lambda state: None if state.doubtful_tracking else test(state) if state.has_conntrack() else False


def _set(options: list[Option]) -> Test:
    plain = len(options) == 1 and options[0].name == "--match-set" and len(options[0].values) == 2
    if not plain:
        return always(None)
    return _all(options, lambda option: lambda state: in_set(option.values[0], option.values[1].split(","), state))


def _physdev(options: list[Option]) -> Test:
    """xt_physdev.c: a packet that crosses no bridge matches where every option is negated, else not."""

    def of(option: Option) -> Test:
        if option.name == "--physdev-is-bridged":
            return lambda state: state.packet.bridged
        if option.name in ("--physdev-in", "--physdev-is-in"):
            pattern = option.value or "+"
            return lambda state: _port_of_bridge(pattern, state.packet.physdev_in, surely_none=_past_iptables(state))
        if option.name in ("--physdev-out", "--physdev-is-out"):
            pattern = option.value or "+"
            return lambda state: _port_of_bridge(pattern, state.packet.physdev_out, surely_none=not state.packet.bridged)
        return always(None)

    return _all(options, of)


def _past_iptables(state: State) -> bool:
    """True if no port is remembered: of what is made here, and of what bridge-nf-call-iptables does not hand over."""
    handed_over = state.context is None or state.packet.family in state.context.bridge_netfilter
    return state.local or not handed_over


def _port_of_bridge(pattern: str, name: str | None, *, surely_none: bool) -> Truth:
    if surely_none:
        return False
    return None if name is None else name_matches(pattern, name)


def _pkttype(options: list[Option]) -> Test:
    def of(option: Option) -> Test:
        def typed(state: State) -> Truth:
            kind = state.address_type(state.packet.destination)
            if kind is None:
                return None
            actual = kind.lower() if kind in ("BROADCAST", "MULTICAST") else "unicast"
            return actual == option.value.lower()

        return typed

    return _all(options, of)


def _iprange(options: list[Option]) -> Test:
    def of(option: Option) -> Test:
        first, last = network_interval(option.value if "-" in option.value else f"{option.value}-{option.value}")
        if option.name == "--src-range":
            return lambda state: first <= state.source <= last
        return lambda state: first <= state.destination <= last

    return _all(options, of)


def _owner(options: list[Option]) -> Test:
    """xt_owner.c: a forwarded packet has no socket, and matches only where every option is negated."""
    answer = all(option.negated for option in options)
    return lambda state: None if state.local else answer


def _helper(options: list[Option]) -> Test:
    answer = any(option.negated for option in options)
    return lambda state: answer if state.ctstate == "NEW" else None


def _rpfilter(options: list[Option]) -> Test:
    names = {option.name for option in options}
    if names - {"--loose", "--invert", "--validmark"}:
        return always(None)

    def tested(state: State) -> Truth:
        if state.inside == "lo":
            return "--invert" not in names
        route = state.context.route_back(state.packet) if state.context else None
        if route is None or route.kind == "unknown":
            return None
        valid = route.kind != "none" and ("--loose" in names or route.out_interface == state.inside)
        return valid is not ("--invert" in names)

    return tested


def _recent(options: list[Option]) -> Test:
    """xt_recent.c: --set notes the address and matches; what was noted before decides the rest, and no dump holds it."""
    asks = [option for option in options if option.name in ("--set", "--rcheck", "--update", "--remove")]
    return always(not asks[0].negated if [option.name for option in asks] == ["--set"] else None)


def _cgroup(_options: list[Option]) -> Test:
    """xt_cgroup.c: a forwarded packet has no socket, and never matches."""
    return lambda state: None if state.local else False


def _mac(_options: list[Option]) -> Test:
    """xt_mac.c: a packet made on this host has no sender's address yet, and never matches."""
    return lambda state: False if state.local else None


def _fragment(options: list[Option]) -> Test:
    return always(options[0].negated)


MATCHES: dict[str, Callable[[list[Option]], Test]] = {
    "tcp": _transport,
    "udp": _transport,
    "sctp": _transport,
    "udplite": _transport,
    "dccp": _transport,
    "multiport": _multiport,
    "length": _length,
    "tcpmss": _tcpmss,
    "icmp": _icmp,
    "icmp6": _icmp,
    "conntrack": _conntrack,
    "state": _conntrack,
    "addrtype": _addrtype,
    "mark": _mark,
    "connmark": _connmark,
    "comment": lambda _options: always(True),
    "set": _set,
    "physdev": _physdev,
    "pkttype": _pkttype,
    "iprange": _iprange,
    "owner": _owner,
    "helper": _helper,
    "rpfilter": _rpfilter,
    "recent": _recent,
    "cgroup": _cgroup,
    "mac": _mac,
    # headers that no packet which opens a connection carries: without them these never match, negated or not
    "rt": lambda _options: always(False),
    "frag": lambda _options: always(False),
    "hbh": lambda _options: always(False),
    "dst": lambda _options: always(False),
    "-f": _fragment,
    "-s": lambda options: _address_test("source", options[0].value, options[0].negated),
    "-d": lambda options: _address_test("destination", options[0].value, options[0].negated),
    "-i": lambda options: _interface_test("inside", options[0].value, options[0].negated),
    "-o": lambda options: _interface_test("outside", options[0].value, options[0].negated),
    "-p": lambda options: _protocol_test(options[0].value, options[0].negated),
}


# --- targets


def _target(name: str, options: list[Option], family: str) -> list[Step]:
    simple = {
        "ACCEPT": Verdict("accept"),
        "DROP": Verdict("drop"),
        "TARPIT": Verdict("drop"),
        "RETURN": Verdict("return"),
    }
    if name in simple:
        return [simple[name]]
    if name in HARMLESS:
        return []
    if name == "REJECT":
        default = "icmp-port-unreachable" if family == "ip" else "icmp6-port-unreachable"
        return [Verdict("reject", "", _option(options, "--reject-with") or default)]
    if name in TARGETS:
        return TARGETS[name](options)
    if name in NAT_TARGETS:
        return [NAT_TARGETS[name](options)]
    if name in ("NFQUEUE", "QUEUE", "SYNPROXY", "TPROXY", "CLUSTERIP"):
        return [Doubt(written(f"-j {name}", options))]
    return [Verdict("jump", name)]


def _option(options: list[Option], name: str) -> str | None:
    return next((option.value for option in options if option.name == name), None)


def _set_mark(options: list[Option]) -> list[Step]:
    text = _option(options, "--set-xmark") or _option(options, "--set-mark")
    if text is None:
        return [Effect(forget_mark)]
    value, mask = _value_and_mask(text)

    def apply(state: State, sure: bool) -> None:
        state.mark = (state.mark & ~mask) ^ value
        state.mark_known = state.mark_known | mask if sure else state.mark_known & ~(mask | value)

    return [Effect(apply)]


def forget_mark(state: State, _sure: bool) -> None:
    state.mark_known = 0


def _set_connmark(options: list[Option]) -> list[Step]:
    names = {option.name for option in options}
    nf_mask, ct_mask = (int(_option(options, name) or "0xffffffff", 0) for name in ("--nfmask", "--ctmask"))
    text = _option(options, "--set-xmark") or _option(options, "--set-mark")

    def apply(state: State, sure: bool) -> None:
        if not state.has_conntrack():
            return
        if "--restore-mark" in names:
            known = (state.mark_known | nf_mask) & (state.connmark_known | ~ct_mask)
            state.mark = (state.mark & ~nf_mask) ^ (state.connmark & ct_mask)
            state.mark_known = known & ALL_BITS if sure else state.mark_known & ~(nf_mask | ct_mask)
        elif "--save-mark" in names:
            known = (state.connmark_known | ct_mask) & (state.mark_known | ~nf_mask)
            state.connmark = (state.connmark & ~ct_mask) ^ (state.mark & nf_mask)
            state.connmark_known = known & ALL_BITS if sure else state.connmark_known & ~(nf_mask | ct_mask)
        elif text is not None:
            value, mask = _value_and_mask(text)
            state.connmark = (state.connmark & ~mask) ^ value
            state.connmark_known = state.connmark_known | mask if sure else state.connmark_known & ~(mask | value)

    return [Effect(apply)]


def notrack(state: State, sure: bool) -> None:
    """Only meant before connection tracking; where it is not sure, what tracking says later is not known either."""
    if state.zone_set:
        return  # the first rule counts, see below
    if sure:
        state.ctstate = "UNTRACKED"
        state.packet = msgspec.structs.replace(state.packet, ctstate="UNTRACKED")
    else:
        state.doubtful_tracking = True


def zoned(zone: int | None, directions: tuple[int, ...], state: State, sure: bool) -> None:
    """Tracked apart: an answer that goes to another zone is of no known connection, and no address is translated back. None
    is a zone that is not known. The first rule counts, as a packet that has a template is not given another (xt_ct_target)."""
    if not sure or zone is None:
        state.doubtful_tracking = True
    elif not state.zone_set:
        state.zone_set = True
        state.zones = tuple(zone if direction in directions else 0 for direction in (0, 1))  # type: ignore[assignment]


def _ct(options: list[Option]) -> list[Step]:
    names = {option.name for option in options}
    if "--notrack" in names:
        return [Effect(notrack)]
    for name, directions in (("--zone", (0, 1)), ("--zone-orig", (0,)), ("--zone-reply", (1,))):
        if name in names:
            text = _option(options, name) or ""
            return [Effect(partial(zoned, int(text) if is_number(text) else None, directions))]
    return []


def _touch_set(options: list[Option]) -> list[Step]:
    def apply(state: State, _sure: bool) -> None:
        state.touched_sets.update(option.value for option in options if option.name in ("--add-set", "--del-set"))

    return [Effect(apply)]


def _set_hops(options: list[Option]) -> list[Step]:
    value = _option(options, "--ttl-set") or _option(options, "--hl-set")
    return [Effect(partial(set_hops, int(value)))] if value else []  # from what the sender gave it, one takes away or adds


def set_hops(hops: int, state: State, sure: bool) -> None:
    if sure:
        state.hops = hops


TARGETS: dict[str, Callable[[list[Option]], list[Step]]] = {
    "MARK": _set_mark,
    "HMARK": lambda _options: [Effect(forget_mark)],
    "CONNMARK": _set_connmark,
    "CT": _ct,
    "NOTRACK": lambda _options: [Effect(notrack)],
    "SET": _touch_set,
    "TTL": _set_hops,
    "HL": _set_hops,
}


def one_address(text: str | None) -> tuple[bool, str | None]:
    """Tells whether the kernel has no choice, and the address that it takes."""
    if text is None:
        return True, None
    first, dash, last = text.partition("-")
    return not dash or first == last, first


def one_port(text: str | None, current: int | None) -> tuple[bool, int | None]:
    """The same for a port: one that lies in the range already stays (nf_nat_core.c, get_unique_tuple)."""
    if text is None:
        return True, None
    if "/" in text:
        return False, None
    first, _, last = text.partition("-")
    low, high = int(first), int(last or first)
    if low == high:
        return True, low
    return (True, None) if current is not None and low <= current <= high else (False, None)


def _dnat(options: list[Option]) -> Nat:
    address, port = endpoint(_option(options, "--to-destination") or "")

    def resolve(state: State) -> tuple[str | None, int | None] | None:
        sure_address, new_address = one_address(address)
        sure_port, new_port = one_port(port, state.packet.dport)
        return (new_address, new_port) if sure_address and sure_port else None

    return Nat("dnat", resolve, written("-j DNAT", options))


def _redirect(options: list[Option]) -> Nat:
    ports = _option(options, "--to-ports")

    def resolve(state: State) -> tuple[str | None, int | None] | None:
        sure, port = one_port(ports, state.packet.dport)
        return (None, port) if sure else None

    return Nat("redirect", resolve, written("-j REDIRECT", options))


def _snat(options: list[Option]) -> Nat:
    address, port = endpoint(_option(options, "--to-source") or "")
    sure, new_address = one_address(address)
    new_port = int(port) if port and is_number(port) else None
    return Nat("snat", always((new_address if sure else None, new_port)), written("-j SNAT", options))


def _masquerade(options: list[Option]) -> Nat:
    return Nat("masquerade", always((None, None)), written("-j MASQUERADE", options))


def _netmap(options: list[Option]) -> Nat:
    value, mask = network_bits(_option(options, "--to") or "0.0.0.0/32")

    def resolve(state: State) -> tuple[str | None, int | None]:
        address = state.source if state.hook in ("postrouting", "input") else state.destination
        return mapped(address, value, mask, state.family), None

    return Nat("netmap", resolve, written("-j NETMAP", options))


def mapped(address: int, value: int, mask: int, family: int) -> str:
    """The address with its network part replaced."""
    width = ALL_BITS if family == 4 else (1 << 128) - 1
    number = (address & ~mask & width) | value
    return str(ip_address(number.to_bytes(4 if family == 4 else 16, "big")))


NAT_TARGETS: dict[str, Callable[[list[Option]], Nat]] = {
    "DNAT": _dnat,
    "REDIRECT": _redirect,
    "SNAT": _snat,
    "MASQUERADE": _masquerade,
    "NETMAP": _netmap,
}
