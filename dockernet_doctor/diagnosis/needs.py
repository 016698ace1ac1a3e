"""What a check needs and was not seen: then its cause is `not-examined`, never `clear`; and what a blind spot hides.

A need is an area of the snapshot, a hop of paths, `probe`, or `path`: what lies between another machine and this host, which
nobody sees from here. See `Check.needs`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dockernet_doctor.snapshot.model import AREAS, BlindSpot

from .case import Case
from .check import Check
from .path import HOPS
from .seen import spanned, unseen_anywhere

PROBE = "probe"
PATH = "path"
EVERYTHING = (*AREAS, HOPS[-1], PROBE)

Lack = tuple[str, str]
"""The host, and the area of it that was not seen."""


def lacking(case: Case, check: Check) -> frozenset[Lack]:
    """What the check needs and could not be seen in this case; `check` declares nothing where it needs all."""
    needs = check.needs or (() if check.explain_only else EVERYTHING)
    beyond = [("", PATH)] if PATH in needs and case.asked and any(q.source.kind == "outside" for q in case.questions) else []
    probes = _probes(case, check) if PROBE in needs else ()
    return frozenset((*_areas(case, needs), *_hops(case, needs), *probes, *beyond))


def hides(spot: BlindSpot, host: str, lacks: dict[str, frozenset[Lack]]) -> tuple[str, ...]:
    """The causes that cannot be told without what the blind spot is about; `lacks` is what each lacks, by cause."""
    if spot.gone:
        return ()
    areas = spanned(spot.area) or {spot.area}
    return tuple(cause for cause, lack in lacks.items() if any(area in areas and host in ("", of) for of, area in lack))


def _areas(case: Case, needs: Iterable[str]) -> Iterator[Lack]:
    for facts in case.hosts:
        for area in unseen_anywhere(facts).intersection(needs):
            yield facts.name, area


def _hops(case: Case, needs: Iterable[str]) -> Iterator[Lack]:
    """Of every path up to the last of the hops that the check judges: behind what was not seen all may be broken."""
    last = max((HOPS.index(need) for need in needs if need in HOPS), default=-1)
    for path in case.paths:
        for hop in path.hops[: last + 1]:
            for area in hop.unseen:
                yield path.host, area


def _probes(case: Case, check: Check) -> Iterator[Lack]:
    """The probes that would settle it and have no answer: its own, or those of the paths."""
    wanted = check.probes(case) if check.probes else (probe for path in case.paths for probe in path.probes)
    for probe in wanted:
        answer = case.answer(probe)
        if answer is None or not answer.sent:
            yield probe.vantage.host, PROBE
