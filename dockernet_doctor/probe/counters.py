"""Which firewall rules saw packets between two readings."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator

from dockernet_doctor.netfilter.dumps import rulesets_of
from dockernet_doctor.netfilter.model import Ruleset
from dockernet_doctor.probe.model import CounterMove
from dockernet_doctor.snapshot.firewall import start_dumps

_FAMILIES = {"ip": 4, "ip6": 6}
_TIMEOUT_S = 3.0


def read(until: float = math.inf) -> tuple[Ruleset, ...]:
    """This host's rules with their counters, as they are now; none where they cannot be read by `until` (monotonic)."""
    return rulesets_of(start_dumps().result(min(_TIMEOUT_S, until - time.monotonic())).dumps or ())


def moved(before: Iterable[Ruleset], after: Iterable[Ruleset]) -> tuple[CounterMove, ...]:
    """Rules and policies whose counter grew, in the order of the rules. One that changed its place is left out."""
    earlier = dict(_readings(before))
    return tuple(
        CounterMove(
            tool=tool,
            family=_FAMILIES.get(family, 0),
            table=table,
            chain=chain,
            rule=rule,
            packets=packets - earlier[tool, family, table, chain, position, rule],
        )
        for (tool, family, table, chain, position, rule), packets in _readings(after)
        if packets > earlier.get((tool, family, table, chain, position, rule), packets)
    )


# tool, family, table, chain, position and text (a rule of nft holds its own counter, and would not be the same); 0: the policy
_Counted = tuple[str, str, str, str, int, str]


def _readings(rulesets: Iterable[Ruleset]) -> Iterator[tuple[_Counted, int]]:
    for ruleset in rulesets:
        for table in ruleset.tables:
            for chain in table.chains.values():
                place = (ruleset.backend, table.family, table.name, chain.name)
                for rule in chain.rules:
                    if rule.packets is not None:
                        yield (*place, rule.position, rule.text), rule.packets
                if chain.packets is not None:
                    yield (*place, 0, ""), chain.packets
