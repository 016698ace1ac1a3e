"""The dump of `ipset save`, and whether a packet is in a set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockernet_doctor.decoding import is_number
from dockernet_doctor.netfilter.model import NamedSet
from dockernet_doctor.netfilter.terms import (
    PORTS,
    State,
    Truth,
    every,
    network_bits,
    network_interval,
    port_inside,
    protocol_number,
    some,
)
from dockernet_doctor.once import once_for_each

if TYPE_CHECKING:
    from collections.abc import Sequence

Element = tuple[tuple[str, ...], bool]
"""The parts of an element, and whether it is `nomatch`."""


def parse_ipset_save(text: str) -> dict[str, NamedSet]:
    """Sets by name. Lines that are neither `create` nor `add` are ignored."""
    created: dict[str, tuple[str, tuple[str, ...]]] = {}
    elements: dict[str, list[Element]] = {}
    for line in text.split("\n"):
        words = line.split()
        if len(words) < 3:
            continue
        if words[0] == "create":
            created[words[1]] = (words[2], tuple(words[3:]))
            elements[words[1]] = []
        elif words[0] == "add" and words[1] in elements:
            elements[words[1]].append((tuple(words[2].split(",")), "nomatch" in words[3:]))
    return {
        name: NamedSet(name=name, type=kind, options=options, elements=tuple(elements[name]))
        for name, (kind, options) in created.items()
    }


def in_set(name: str, directions: Sequence[str], state: State) -> Truth:
    """`-m set --match-set NAME src,dst`: what xt_set and ip_set_test answer; None where the set is not known."""
    context = state.context
    if context is None or not context.ipsets_known or name in state.touched_sets:
        return None
    found = context.ipsets.get(name)
    if found is None or not found.complete:
        return None
    if found.type == "list:set":
        return some(in_set(parts[0], directions, state) for parts, _ in found.elements)
    return _in_plain_set(found, directions, state)


def _in_plain_set(found: NamedSet, directions: Sequence[str], state: State) -> Truth:
    dimensions = found.type.partition(":")[2].split(",")
    family = 6 if _option(found, "family") == "inet6" else 4
    if len(directions) < len(dimensions) or (family != state.family and found.type != "bitmap:port"):
        return False
    if dimensions in (["ip"], ["net"]):
        return _in_addresses(found, directions[0], state)
    hits = []
    for parts, nomatch in found.elements:
        held = every(
            _part_holds(kind, part, direction, state)
            for kind, part, direction in zip(dimensions, parts, directions, strict=False)
        )
        if held is not False:
            hits.append((held, nomatch, parts))
    if not any(nomatch for _, nomatch, _ in hits):
        return some(held for held, _, _ in hits)
    if any(held is None for held, _, _ in hits):
        return None
    # ip_set_hash_gen tries the longest prefixes first, and the first element found decides.
    return not max(hits, key=lambda hit: _specificity(hit[2]))[1]


def _in_addresses(found: NamedSet, direction: str, state: State) -> Truth:
    index = _index(found)
    value = state.source if direction == "src" else state.destination
    if netmask := _option(found, "netmask"):
        value &= network_bits(f"{'0.0.0.0' if state.family == 4 else '::'}/{netmask}")[1]
    for shift, networks in index.items():
        if (matched := networks.get(value >> shift)) is not None:
            return matched
    return False


@once_for_each
def _index(found: NamedSet) -> dict[int, dict[int, bool]]:
    """Bits after the prefix → network number → whether it counts; the longest prefixes first."""
    width = 128 if _option(found, "family") == "inet6" else 32
    index: dict[int, dict[int, bool]] = {}
    for parts, nomatch in found.elements:
        first, last = network_interval(parts[0])
        while first <= last:
            shift = min((first & -first).bit_length() - 1 if first else width, (last - first + 1).bit_length() - 1)
            index.setdefault(shift, {})[first >> shift] = not nomatch
            first += 1 << shift
    return dict(sorted(index.items()))


def _part_holds(kind: str, part: str, direction: str, state: State) -> Truth:
    source = direction == "src"
    if kind in ("ip", "net"):
        first, last = network_interval(part)
        return first <= (state.source if source else state.destination) <= last
    if kind == "port":
        return _port_holds(part, state.packet.sport if source else state.packet.dport, state)
    if kind == "iface":
        if part.startswith("physdev:"):
            name = state.packet.physdev_in if source else state.packet.physdev_out
            return None if name is None else name == part.removeprefix("physdev:")
        return part == (state.inside if source else state.outside)
    if kind == "mark":
        return state.mark == int(part, 0) if state.mark_known == 0xFFFFFFFF else None
    return None


def _port_holds(part: str, port: int | None, state: State) -> Truth:
    protocol, colon, ports = part.rpartition(":")
    if colon and protocol_number(protocol) != state.protocol:
        return False
    if state.protocol not in PORTS:
        return None if colon else False
    low, _, high = ports.partition("-")
    if not is_number(low) or (high and not is_number(high)):
        return None
    return port_inside(((int(low), int(high or low)),), port)


def _specificity(parts: tuple[str, ...]) -> int:
    return sum(int(part.partition("/")[2]) if "/" in part else 128 for part in parts)


def _option(found: NamedSet, name: str) -> str | None:
    options = found.options
    return options[options.index(name) + 1] if name in options[:-1] else None
