"""Which firewall rules saw packets between two readings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dockernet_doctor.netfilter.model import Ruleset
from dockernet_doctor.probe.model import CounterMove

_FAMILIES = {"ip": 4, "ip6": 6}


def moved(before: Iterable[Ruleset], after: Iterable[Ruleset]) -> tuple[CounterMove, ...]:
    """Rules and policies whose counter grew, in the order of the rules. One that changed its place is left out."""
    earlier = dict(_readings(before))
    found = []
    for move, packets in _readings(after):
        known = earlier.get(move)
        if known is not None and packets > known:
            found.append(_move(*move, packets - known))
    return tuple(found)


_Key = tuple[str, str, str, str, int, str]  # tool, family, table, chain, position (0 the policy), text


def _readings(rulesets: Iterable[Ruleset]) -> Iterator[tuple[_Key, int]]:
    for ruleset in rulesets:
        for table in ruleset.tables:
            for chain in table.chains.values():
                place = (ruleset.backend, table.family, table.name, chain.name)
                for rule in chain.rules:
                    if rule.packets is not None:
                        yield (*place, rule.position, rule.text), rule.packets
                if chain.packets is not None:
                    yield (*place, 0, ""), chain.packets


def _move(tool: str, family: str, table: str, chain: str, _position: int, text: str, packets: int) -> CounterMove:
    return CounterMove(tool=tool, family=_FAMILIES.get(family, 0), table=table, chain=chain, rule=text, packets=packets)
