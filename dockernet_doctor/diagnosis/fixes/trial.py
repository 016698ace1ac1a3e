"""The first fix of a finding alone repairs: it is made on the snapshot, the question is walked again, and what is still in
the way joins it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.change import all_applied
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.facts.routing import ANYWHERE
from dockernet_doctor.diagnosis.finding import Finding, Fix
from dockernet_doctor.diagnosis.path import Dropped, Path
from dockernet_doctor.diagnosis.paths import filtering
from dockernet_doctor.diagnosis.paths.packet import flow
from dockernet_doctor.diagnosis.paths.packet.trail import Sender, Trail
from dockernet_doctor.diagnosis.paths.reasons import settled
from dockernet_doctor.diagnosis.paths.walk import walk

Judge = Callable[[Case], Iterable[Finding]]

_STEPS = 24
"""Obstacles that one fix takes away at most: every hook of the host and of two containers, there and back."""


def tried(case: Case, finding: Finding, judge: Judge) -> Finding:
    """The finding with a first fix that repairs what it explains, made of its own fixes and of those for what is behind.

    `judge` finds the faults of a changed case. What is left in the way of some paths is said; where none of them opens, the
    fix is not runnable. A finding whose fixes nobody can foretell stays as it is.
    """
    fixes = finding.fixes
    if not fixes or not fixes[0].runnable or not _is_foretold(case, finding, fixes[0]):
        return finding
    trials = [_Trial(case=case, finding=finding, judge=judge).run(fix) for fix in fixes if _is_foretold(case, finding, fix)]
    best = min(trials, key=lambda trial: (bool(trial.left), not trial.opens))
    fix, others = best.fix, tuple(fix for fix in fixes if fix is not best.first)
    if best.left:
        said = f"{fix.summary} Still in the way after that: {best.left}"
        fix = replace(fix, summary=said, runnable=best.opens)
    return replace(finding, fixes=(fix, *others))


def _is_foretold(case: Case, finding: Finding, fix: Fix) -> bool:
    return bool(fix.changes) and fix.runnable and _changed(case, finding.subject.host, fix) is not None


def _changed(case: Case, host: str, fix: Fix) -> Case | None:
    """The case once the fix was made there, with no answers but those of DNS; None where nobody can foretell it."""
    here = case.facts(fix.host or host)
    snapshot = all_applied(fix.changes, here.snapshot)
    if snapshot is None:
        return None
    facts = HostFacts(snapshot, alone=len(case.hosts) == 1)
    answers = {probe: answer for probe, answer in case.answers.items() if probe.kind == "dns" and answer.positive}
    return replace(case, hosts=tuple(facts if it is here else it for it in case.hosts), answers=answers, paths=())


class _Result(Struct, frozen=True, kw_only=True):
    first: Fix
    fix: Fix
    left: str  # what is still in the way, "" for nothing
    opens: bool  # some of the paths, at least


class _Trial(Struct, frozen=True, kw_only=True):
    case: Case
    finding: Finding
    judge: Judge

    def run(self, fix: Fix) -> _Result:
        """The fix with all that has to join it."""
        first = fix
        for _ in range(_STEPS):
            after = _changed(self.case, self.finding.subject.host, fix)
            assert after is not None
            left, opens, nexts = self._left(after)
            more = next((it for it in nexts if _adds(fix, it)), None)
            if more is None:
                return _Result(first=first, fix=fix, left=left, opens=opens)
            fix = fix.then(more)
        return _Result(first=first, fix=fix, left=left, opens=opens)

    def _left(self, after: Case) -> tuple[str, bool, Iterator[Fix]]:
        """What is in the way of the finding's paths after the fix, whether some are open, and the fixes for what is in the way
        of these and of other paths asked for."""
        paths = self.finding.explains
        if not paths:
            return self._left_unasked(after)
        again = _again(after, paths)
        broken = [path for path in again if path.verdict == "unreachable"]
        left = next((_said(path) for path in broken), "") or next(self._behind_names(after, again), ("", None))[0]
        return left, len(broken) < len(again), self._nexts(after, again, broken)

    def _nexts(self, after: Case, again: Sequence[Path], broken: Sequence[Path]) -> Iterator[Fix]:
        if self.case.asked:
            asked = {path.question for path in self.finding.explains}
            others = [p for p in self.case.paths if p.verdict == "unreachable" and p.question in asked]
            again = _again(after, (*self.finding.explains, *others))
            broken = [path for path in again if path.verdict == "unreachable"]
        if broken:
            yield from self._fixes(replace(after, paths=tuple(broken)), broken)
        for _said_of, fix in self._behind_names(after, again):
            if fix is not None:
                yield fix

    def _fixes(self, after: Case, broken: Sequence[Path]) -> Iterator[Fix]:
        wanted = {id(path) for path in broken}  # the very paths of the case that is judged
        for found in self.judge(after):
            if any(id(path) in wanted for path in found.explains):
                yield from (fix for fix in found.fixes[:1] if _is_foretold(after, found, fix))

    def _left_unasked(self, after: Case) -> tuple[str, bool, Iterator[Fix]]:
        """For a finding that explains no path: what the checks find afterwards at the same hop for the same containers."""
        known = self.finding
        found = [
            it
            for it in self.judge(replace(after, answers=self.case.answers, paths=self.case.paths))
            if it.hop == known.hop and it.cause == known.cause and not it.explains and set(it.affects) & set(known.affects)
        ]
        left = next((it.summary for it in found), "")
        return left, not found, (fix for it in found for fix in it.fixes[:1] if _is_foretold(after, it, fix))

    def _behind_names(self, after: Case, again: Sequence[Path]) -> Iterator[tuple[str, Fix | None]]:
        """Where a name could not be asked until now, no address is known: some address beyond the gateway stands for it."""
        for path in again:
            port, source = path.destination.port, path.source
            if path.destination.address is not None or source is None or port is None or path.target is not None:
                continue
            trail, facts = Trail(), after.facts(path.host)
            source = facts.container(source.id) or source
            flow(facts, Sender(container=source), ANYWHERE[4], port, path.destination.protocol, trail)
            if isinstance(trail.obstacle, Dropped):
                decision = filtering.to_anywhere(trail.obstacle.decision, port=port)
                inside = facts.container(trail.obstacle.where) if trail.obstacle.where != "host" else None
                fixes = filtering.changes(facts, [decision], inside=inside)
                yield trail.predicted.get("filter", ""), next(fixes, None)


def _again(after: Case, paths: Sequence[Path]) -> list[Path]:
    """These paths, walked in the changed case."""
    wanted = {_way(path) for path in paths}
    questions = dict.fromkeys(path.question for path in paths)
    return [path for question in questions for path in settled(tuple(walk(after, question))) if _way(path) in wanted]


def _way(path: Path) -> tuple[object, ...]:
    at = path.destination
    return path.question, path.source.id if path.source else "", at.name, at.address, at.port, at.protocol


def _adds(fix: Fix, more: Fix) -> bool:
    return any(change not in fix.changes for change in more.changes)


def _said(path: Path) -> str:
    """What breaks it, in a sentence."""
    broken = path.broken
    text = broken.predicted or broken.observed if broken else ""
    return f"{text}." if text else ""
