"""What a rule asks for and does, in one vocabulary for iptables and nft, read from what the host's own tools print.

Whoever wants to know something about a rule asks these; its text is for people, and for commands that repeat it. A rule of
another shape than any known one asks for something "not understood"; nothing here raises.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from dockernet_doctor.netfilter.iptables_syntax import EXTENSIONS, HEAD, ONE_PORT, Option, endpoint, modules
from dockernet_doctor.netfilter.nft_syntax import JSON, bare, expression_text

NOT_UNDERSTOOD = (ValueError, TypeError, LookupError, AttributeError, RecursionError, OverflowError)
"""What reading a rule of another shape raises."""


class Term(msgspec.Struct, frozen=True):
    """One thing that a rule asks of a packet."""

    field: str
    """source, destination, inside, outside (interfaces), protocol, sport, dport, port (either), state (of the connection),
    original-source, -destination, -sport, -dport (before translation), mark, connmark, source-type, destination-type,
    comment, …; of what has no name here, the module of iptables or the expression of nft."""
    values: tuple[str, ...] = ()
    """Any of them will do: `10.0.0.0/8`, `10.0.0.1-10.0.0.9`, `80`, `80-90`, `eth*`, `ESTABLISHED`, `LOCAL`."""
    negated: bool = False
    set_name: str = ""
    """The set that holds the values instead."""
    part: int = 0
    """Which part of the set's elements."""


class Target(msgspec.Struct, frozen=True):
    """What a rule does with a packet that it matches."""

    verdict: str = ""
    """accept, drop, reject, return, continue, jump, goto, dnat, snat, masquerade, redirect, netmap, queue, map (any of a
    verdict map); log, mark, connmark, …: the packet goes on to the next rule; any other by its own name; empty: no target."""
    chain: str = ""
    """Where it jumps or goes to; of a verdict map that has a name, that: `@filter-forward-in-jumps`."""
    address: str = ""
    port: str = ""
    """What it translates to, a range too; empty: unchanged."""
    options: tuple[str, ...] = ()
    """What else it says: `--random`, `--reject-with`, `tcp-reset`."""

    @property
    def jumps_to(self) -> str:
        return self.chain if self.verdict in ("jump", "goto") else ""


class Record(NamedTuple):
    terms: tuple[Term, ...]
    target: Target


_STRANGE = Record((Term("not understood"),), Target())


# --- iptables


@lru_cache(maxsize=65536)
def of_line(line: str) -> Record:
    """The record of a rule as iptables-save prints it, from `-A CHAIN` on."""
    try:
        return _of_line(line)
    except NOT_UNDERSTOOD:
        return _STRANGE


def target_of(line: str) -> Target:
    """The target alone, which costs a tenth."""
    _, jump, tail = line.partition(" -j ")
    return _target_of(tail) if jump and '"' not in line and " -j " not in tail else of_line(line).target


@lru_cache(maxsize=4096)
def _target_of(tail: str) -> Target:
    try:
        return _of_tail(f" -j {tail}").target
    except NOT_UNDERSTOOD:
        return _STRANGE.target


def _of_line(line: str) -> Record:
    found = HEAD.match(line)
    if found is None:
        return _of_tail(" ".join(line.split(" ")[2:]))
    no_source, source, no_destination, destination, no_in, inside, no_out, outside, no_protocol, protocol = found.groups()
    head: list[Term] = []
    if source is not None:
        head.append(_term("source", source, no_source is not None))
    if destination is not None:
        head.append(_term("destination", destination, no_destination is not None))
    if inside is not None:
        head.append(_term("inside", inside, no_in is not None))
    if outside is not None:
        head.append(_term("outside", outside, no_out is not None))
    if protocol is not None:
        head.append(_term("protocol", protocol, no_protocol is not None))
    end = found.end()
    if port := ONE_PORT.match(line, end):  # as Docker asks for each published port: the rest is the same for many
        head.append(_term("dport", port[1], False))
        end = port.end()
    tail = _of_tail(line[end:])
    return Record((*head, *tail.terms), tail.target)


@lru_cache(maxsize=4096)
def _of_tail(tail: str) -> Record:
    words = tail.split()
    if len(words) == 4 and words[0] == "-j" and words[2] in _TO and words[1] in EXTENSIONS:
        return Record((), _translation(words[1], words[2], words[3]))  # as each published port has one of its own
    terms: list[Term] = []
    target = Target()
    for module, options in modules(tail):
        if module == "-j":
            target = _target(options[0].name, options[1:])
        elif module == "-g":
            target = Target("goto", options[0].name)
        elif not options:
            terms.extend([] if module in _TRANSPORT else [Term(module)])
        else:
            terms.extend(_option_term(module, option) for option in options)
    return Record(tuple(terms), target)


_TRANSPORT = ("tcp", "udp", "sctp", "dccp", "udplite")
_FIELDS = {
    "-s": "source", "-d": "destination", "-i": "inside", "-o": "outside", "-p": "protocol", "--src-range": "source",
    "--dst-range": "destination", "--dport": "dport", "--destination-port": "dport", "--dports": "dport", "--sport": "sport",
    "--source-port": "sport", "--sports": "sport", "--ports": "port", "--ctstate": "state", "--state": "state",
    "--ctstatus": "status", "--ctdir": "direction", "--ctorigsrc": "original-source", "--ctorigdst": "original-destination",
    "--ctorigsrcport": "original-sport", "--ctorigdstport": "original-dport", "--src-type": "source-type",
    "--dst-type": "destination-type", "--icmp-type": "icmp-type", "--icmpv6-type": "icmp-type", "--comment": "comment",
}  # fmt: skip
_PORTS = frozenset({"dport", "sport", "port", "original-sport", "original-dport"})
_NAMES = frozenset({"state", "status", "source-type", "destination-type"})


def _option_term(module: str, option: Option) -> Term:
    if option.name == "--match-set" and len(option.values) == 2:
        # What further parts of an element are, the address or the port of that side, only the set's type tells.
        side = option.values[1].partition(",")[0]
        field = "source" if side == "src" else "destination"
        return Term(field, negated=option.negated, set_name=option.values[0])
    if option.name == "--mark":
        return Term(module, option.values, option.negated)
    field = _FIELDS.get(option.name, "")
    return _term(field, option.value, option.negated) if field else Term(module, (option.name, *option.values), option.negated)


@lru_cache(maxsize=4096)
def _term(field: str, text: str, negated: bool) -> Term:
    if field in _PORTS:
        return Term(field, tuple(text.replace(":", "-").split(",")), negated)
    if field in _NAMES:
        return Term(field, tuple(text.split(",")), negated)
    if field in ("inside", "outside") and text.endswith("+"):
        text = f"{text[:-1]}*"
    return Term(field, ("icmpv6" if field == "protocol" and text == "ipv6-icmp" else text,), negated)


_VERDICTS = {"TARPIT": "drop", "NFLOG": "log", "ULOG": "log", "NFQUEUE": "queue"}
_TO = {"--to-destination", "--to-source", "--to-ports", "--to"}


def _target(name: str, options: list[Option]) -> Target:
    rest = tuple(word for option in options if option.name not in _TO for word in (option.name, *option.values))
    if name not in EXTENSIONS:
        return Target("jump", name, options=rest)
    to = next((option for option in options if option.name in _TO), None)
    return _translation(name, to.name, to.value, rest) if to else Target(_VERDICTS.get(name, name.lower()), options=rest)


def _translation(name: str, option: str, to: str, rest: tuple[str, ...] = ()) -> Target:
    address, port = (None, to) if option == "--to-ports" else endpoint(to)
    return Target(name.lower(), "", address or "", port or "", rest)


# --- nft


@lru_cache(maxsize=4096)
def of_expressions(expressions: bytes) -> Record:
    """The record of a native rule from the JSON of its expressions."""
    try:
        return _of_expressions(JSON.decode(expressions))
    except NOT_UNDERSTOOD:
        return _STRANGE


_ENDS = frozenset(
    {"accept", "drop", "reject", "return", "continue", "jump", "goto", "queue", "dnat", "snat", "masquerade", "redirect"}
)
_GO_ON = frozenset({"log", "notrack", "set", "dup", "flow", "tproxy", "synproxy", "fwd", "secmark"})
_SILENT = frozenset({"counter", "last", "comment"})


def _of_expressions(expressions: list[dict[str, Any]]) -> Record:
    terms: list[Term] = []
    target = Target()
    for expression in expressions:
        [(kind, body)] = list(expression.items())[:1] or [("", None)]
        if kind == "match":
            terms.extend(_match_terms(body, terms))
        elif kind == "vmap":
            return Record((*terms, *_key_terms(body)), Target("map", chain=_named_map(body)))
        elif kind in _ENDS:
            return Record(tuple(terms), _native_target(kind, body or {}))
        elif kind in _GO_ON or kind == "mangle" or (kind == "xt" and isinstance(body, dict) and body.get("type") == "target"):
            target = Target(_going_on(kind, body))
        elif kind not in _SILENT:
            terms.append(Term(kind, (expression_text(expression),)))
    return Record(tuple(terms), target)


def _going_on(kind: str, body: Any) -> str:
    if kind == "mangle":
        field = _name(body["key"])
        return field if field in ("mark", "connmark") else kind
    return str(body["name"]).lower() if kind == "xt" else kind


def _native_target(kind: str, body: dict[str, Any]) -> Target:
    if kind in ("jump", "goto"):
        return Target(kind, body["target"])
    address, port = body.get("addr"), body.get("port")
    to, at = ("" if value is None else expression_text(value) for value in (address, port))
    rest = (expression_text(value) for name, value in body.items() if name not in ("addr", "port", "family"))
    return Target(kind, "", to, at, tuple(rest))


def _match_terms(body: dict[str, Any], before: list[Term]) -> Iterator[Term]:
    left, right, operator = body.get("left"), body.get("right"), body.get("op", "==")
    protocol = left["payload"].get("protocol") if isinstance(left, dict) and "payload" in left else None
    if protocol in _TRANSPORT and Term("protocol", (protocol,)) not in before:
        yield Term("protocol", (protocol,))  # `tcp dport 80` asks for TCP as well
    negated = operator in ("!=", "!")
    if operator in ("<", ">", "<=", ">="):
        yield Term(_name(left), (f"{operator}{expression_text(right)}",))
    else:
        yield from _terms_of(left, _right(right), negated)


def _named_map(body: dict[str, Any]) -> str:
    data = body.get("data")
    return data if isinstance(data, str) else ""


def _key_terms(body: dict[str, Any]) -> Iterator[Term]:
    """What a map is asked for: a packet with another key is left to the rules that follow."""
    data = body["data"]
    yield from _terms_of(body["key"], data if isinstance(data, str) else [entry[0] for entry in data["set"]], negated=False)


def _terms_of(left: Any, right: Any, negated: bool) -> Iterator[Term]:
    """A term of each part on the left, for the entries on the right or the set that they name."""
    parts = left["concat"] if isinstance(left, dict) and "concat" in left else [left]
    for number, part in enumerate(parts):
        field = _name(part)
        if isinstance(right, str):
            yield Term(field, (), negated, right.removeprefix("@"), number)
            continue
        entries = [bare(entry) for entry in right]
        if len(parts) > 1:
            entries = [entry["concat"][number] if isinstance(entry, dict) else entry for entry in entries]
        yield Term(field, tuple(_value(field, part, entry) for entry in entries), negated)


def _right(right: Any) -> Any:
    """The name of a set, or entries."""
    if isinstance(right, dict) and "set" in right:
        right = right["set"]
    elif isinstance(right, dict) and isinstance(right.get("|"), list):
        right = right["|"]
    if isinstance(right, str) and right.startswith("@"):
        return right
    return right if isinstance(right, list) else [right]


def _value(field: str, part: Any, entry: Any) -> str:
    text = expression_text(entry)
    if isinstance(part, dict) and isinstance(part.get("&"), list):
        return f"{text}/{expression_text(part['&'][1])}"
    return text.upper() if field in _NAMES else text


_PAYLOAD = {"saddr": "source", "daddr": "destination", "protocol": "protocol", "nexthdr": "protocol"}
_META = {
    "iifname": "inside", "iif": "inside", "oifname": "outside", "oif": "outside", "l4proto": "protocol", "mark": "mark",
    "nfproto": "family",
}  # fmt: skip
_CT = {"state": "state", "status": "status", "direction": "direction", "mark": "connmark"}
_CT_TUPLE = {"saddr": "source", "daddr": "destination", "proto-src": "sport", "proto-dst": "dport"}


def _name(left: Any) -> str:
    """The field that stands on the left of a match, where it has a name here; else as nft writes it."""
    [(kind, body)] = left.items()
    name = None
    if kind == "payload":
        protocol, key = body.get("protocol"), body.get("field")
        if protocol in ("ip", "ip6"):
            name = _PAYLOAD.get(key)
        elif protocol in ("th", *_TRANSPORT):
            name = key if key in ("dport", "sport") else None
        elif protocol in ("icmp", "icmpv6") and key == "type":
            name = "icmp-type"
    elif kind == "meta":
        name = _META.get(body.get("key"))
    elif kind == "ct":
        key = str(body.get("key"))
        name = _CT.get(key)
        if name is None and body.get("dir") == "original" and (field := _CT_TUPLE.get(key.rpartition(" ")[2])):
            name = f"original-{field}"
    elif kind == "fib" and body.get("result") == "type":
        name = "source-type" if "saddr" in body.get("flags", ()) else "destination-type"
    elif kind == "&":
        return _name(body[0])
    return name or expression_text(left)


def element_part(element: Any, part: int) -> str:
    """One part of an element of a set, as terms write values: of an ipset a tuple of parts and a flag."""
    if isinstance(element, tuple):
        return str(element[0][part])
    value = bare(element)
    return expression_text(value["concat"][part] if isinstance(value, dict) and "concat" in value else value)
