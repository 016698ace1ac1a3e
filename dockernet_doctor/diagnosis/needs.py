"""What a check needs and was not seen: then its cause is `not-examined`, never `clear`; and what a blind spot hides.

A need is an area of the snapshot, a hop of paths, `probe`, or `path`: what lies between another machine and this host, which
nobody sees from here. See `Check.needs`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate

from dockernet_doctor.diagnosis.facts.seen import spanned, unseen_anywhere
from dockernet_doctor.probe.model import Probe
from dockernet_doctor.snapshot.model import AREAS, BlindSpot

from .case import Case
from .check import Check
from .path import HOPS

PROBE = "probe"
PATH = "path"
_EVERYTHING = (*AREAS, HOPS[-1], PROBE)

Lack = tuple[str, str]
"""The host ("" for none in particular), and what of it was not seen."""


def lacks(case: Case, checks: Iterable[Check], wanted: Callable[[Check], Iterable[Probe]]) -> dict[str, frozenset[Lack]]:
    """What each check needs and could not be seen in this case, by cause. `wanted`: the probes that a check asks for itself."""
    areas = {(facts.name, area) for facts in case.hosts for area in unseen_anywhere(facts)}
    hops = _unseen_hops(case)
    if case.asked and any(question.source.kind == "outside" for question in case.questions):
        areas.add(("", PATH))

    def lacking(check: Check) -> Iterator[Lack]:
        needs = check.needs or (() if check.explain_only else _EVERYTHING)
        yield from (lack for lack in areas if lack[1] in needs)
        yield from hops[max((HOPS.index(need) + 1 for need in needs if need in HOPS), default=0)]
        if PROBE in needs:
            yield from _unanswered(case, wanted(check) if check.probes else _of_paths(case))

    return {check.cause: frozenset(lacking(check)) for check in checks}


def hides(spot: BlindSpot, host: str, lacking: Mapping[str, frozenset[Lack]]) -> tuple[str, ...]:
    """The causes that cannot be told without what the blind spot is about, of those that lack something (see `lacks`)."""
    if spot.gone:
        return ()
    areas = spanned(spot.area) or {spot.area}
    return tuple(cause for cause, lack in lacking.items() if any(area in areas and host in ("", of) for of, area in lack))


def _unseen_hops(case: Case) -> list[frozenset[Lack]]:
    """What was not seen of the first hops of all paths, by their number: behind it all may be broken."""
    at_hop: list[set[Lack]] = [set() for _ in HOPS]
    for path in case.paths:
        for number, hop in enumerate(path.hops):
            at_hop[number].update((path.host, area) for area in hop.unseen)
    nothing: frozenset[Lack] = frozenset()
    return list(accumulate(at_hop, lambda before, here: before | here, initial=nothing))


def _of_paths(case: Case) -> Iterator[Probe]:
    return (probe for path in case.paths for probe in path.probes)


def _unanswered(case: Case, wanted: Iterable[Probe]) -> Iterator[Lack]:
    for probe in wanted:
        answer = case.answer(probe)
        if answer is None or not answer.sent:
            yield probe.vantage.host, PROBE
