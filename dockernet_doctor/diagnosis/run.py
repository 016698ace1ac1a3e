"""Snapshot → Case → checks → findings: the one way from what is known to the findings, live and from a bundle."""

from __future__ import annotations

import fnmatch
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Literal, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from dockernet_doctor.diagnosis.facts.clients import classes_left_out
from dockernet_doctor.diagnosis.facts.host import HostFacts, not_understood, rulesets, rulesets_beside_dns
from dockernet_doctor.diagnosis.findings.accepted import COMMAND_LINE, Acceptance, Suppressed
from dockernet_doctor.diagnosis.findings.accepted import accepted as findings_accepted
from dockernet_doctor.diagnosis.findings.rank import about, merge, ordered, rank, with_hosts
from dockernet_doctor.diagnosis.fixes.podman import in_words_of_podman
from dockernet_doctor.diagnosis.own_questions import questions as own_questions
from dockernet_doctor.diagnosis.paths.all_questions import walk_all
from dockernet_doctor.diagnosis.paths.bearing import bears
from dockernet_doctor.diagnosis.paths.reasons import settled
from dockernet_doctor.diagnosis.third_party import StrangerError, guarded
from dockernet_doctor.probe.model import OUT_OF_TIME, Answer, Probe
from dockernet_doctor.shell import command
from dockernet_doctor.snapshot.model import BlindSpot, Snapshot

from .allotment import Allotment
from .case import Case
from .check import Check, Registered
from .finding import SEVERITIES, Finding, Fix, Origin
from .needs import Lack, hides, lacks
from .path import Path
from .question import Question
from .registry import Registry

ROUNDS = 4
_TELLING_S = 0.15  # of the time to compute, for ranking and judging what was found

T = TypeVar("T")
Send = Callable[[Sequence[Probe]], Mapping[Probe, Answer]]
Result = Literal["clear", "found", "not-examined", "not-applicable", "skipped", "failed"]


class CheckResult(Struct, frozen=True, kw_only=True):
    cause: str
    result: Result


class HostBlindSpot(Struct, frozen=True, kw_only=True):
    """A blind spot with the host it belongs to ("" for none in particular), and the causes that it may hide."""

    host: str
    spot: BlindSpot
    hides: tuple[str, ...] = ()


class Diagnosis(Struct, frozen=True, kw_only=True):
    case: Case
    findings: tuple[Finding, ...]
    suppressed: tuple[Suppressed, ...]
    checks: tuple[CheckResult, ...]
    blind_spots: tuple[HostBlindSpot, ...]
    answers: tuple[Answer, ...]
    complete: bool  # everything asked for was examined
    duration_s: float


def diagnose(
    snapshots: Sequence[Snapshot],
    questions: Sequence[Question] = (),
    *,
    registry: Registry,
    asked: bool = False,
    probe: Send | None = None,
    recorded: Mapping[Probe, Answer] | None = None,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    subjects: Sequence[str] = (),
    repetitions: int = 1,
    end: float = math.inf,
    accepted: Sequence[Acceptance] = (),
) -> Diagnosis:
    """Ask what is to be asked, let every check look, and rank what they found.

    `accepted` are findings that do not count, but for a question: what breaks its path is its answer.
    `questions` are those of `reach` (then `asked`); without them `check` asks its own. `probe` sends one round of probes and
    may be None (no probes). `recorded` are the answers of a bundle. `only` and `skip` are globs of causes or finding ids.
    Computing ends at `end` of time.monotonic(); what was not looked at by then is a blind spot, and not examined.
    """
    started = time.monotonic()
    allotment = Allotment(end - _TELLING_S)
    case = Case.of(snapshots, questions, asked=asked, probing=probe is not None, subjects=subjects, repetitions=repetitions)
    if not asked:
        nothing: tuple[Question, ...] = ()
        case = replace(case, questions=allotment.take(partial(_own_questions, case), nothing, "the paths to look at"))
    runner = _Runner(case, registry, skip=skip, allotment=allotment)
    _ask(runner, recorded or {}, probe)
    case = runner.case
    if allotment.lost:
        runner.cut.update(runner.registered)  # any cause may lie on a path that was not walked
    found = runner.findings()
    allotment.end = end
    unranked = tuple({f.id: f for f in sorted(found, key=lambda f: SEVERITIES.index(f.severity))}.values())
    ranked = allotment.take(partial(_ranked, case, found, runner), unranked, "which findings are the cause of others")
    runner.narrow()
    wanted = tuple(f for f in ranked if _selected(f, only, skip))
    why = "--skip" if skip else "--only"
    hidden = [Suppressed(finding=f, reason=why, origin=COMMAND_LINE) for f in ranked if f not in wanted]
    meant = () if asked else tuple(findings_accepted(case, wanted, accepted, registry.registered))
    shown = tuple(f for f in wanted if f.id not in {it.finding.id for it in meant})
    kept = {f.id for f in shown}
    shown = tuple(f if f.because_of in kept else replace(f, because_of=None) for f in shown)
    shown = allotment.take(partial(_tried, case, runner, shown), shown, "whether the first fixes suffice")
    spots = [HostBlindSpot(host=name, spot=spot) for name, spot in _podman_spots(case)]
    spots += [HostBlindSpot(host=s.name, spot=spot) for s in snapshots for spot in s.blind_spots]
    spots += allotment.take(lambda: list(_spots_of_rules(case)), [], "which rules are not understood")
    spots += [HostBlindSpot(host="", spot=spot) for spot in (*_outside_spot(case), *_late_spot(case))]
    spots = runner.blind_spots(spots)
    if runner.cut:
        allotment.lose(f"what {len(runner.cut)} of the checks look for")
    spots += [HostBlindSpot(host="", spot=spot, hides=tuple(sorted(runner.cut))) for spot in allotment.lost]
    # what was not shown, or not listed, is a blind spot already
    spots += [HostBlindSpot(host=missing.host, spot=missing.spot) for missing in case.absent() if missing.why == "none"]
    return Diagnosis(
        case=runner.case,
        findings=shown,
        suppressed=(*hidden, *meant),
        checks=runner.results({f.cause for f in wanted}, only),
        blind_spots=tuple(spots),
        answers=tuple(case.answers.values()),
        complete=_complete(case) and not allotment.lost,
        duration_s=time.monotonic() - started,
    )


def planned(
    snapshots: Sequence[Snapshot],
    questions: Sequence[Question] = (),
    *,
    registry: Registry,
    asked: bool = False,
    subjects: Sequence[str] = (),
    repetitions: int = 1,
) -> tuple[Case, list[Probe]]:
    """The case, and every probe of its first round, none sent. What later rounds ask depends on the answers."""
    case = Case.of(snapshots, questions, asked=asked, subjects=subjects, repetitions=repetitions)
    runner = _Runner(case if asked else replace(case, questions=_own_questions(case)), registry)
    runner.tell({})
    return runner.case, runner.wanted()


def _own_questions(case: Case) -> tuple[Question, ...]:
    return tuple(own_questions(case))


def _ask(runner: _Runner, recorded: Mapping[Probe, Answer], probe: Send | None) -> None:
    """Walk, ask, walk again, until nothing new is wanted."""
    if not runner.tell(recorded) or probe is None:
        return
    for _round in range(ROUNDS):
        wanted = runner.wanted()
        if not wanted or not runner.tell(probe(wanted)):
            break


def _ranked(case: Case, found: list[Finding], runner: _Runner) -> tuple[Finding, ...]:
    """With what no check explains; of `check CONTAINER` what concerns it, out of what is found for all."""
    ranked = rank(case, found, {cause: r.check for cause, r in runner.registered.items()})
    ranked = ordered(merge((*ranked, *runner.remains(ranked))))
    ranked = about(case, ranked) if case.subjects else ranked
    return with_hosts(ranked) if len(case.hosts) > 1 else ranked


def _tried(case: Case, runner: _Runner, findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """With first fixes that repair by themselves, as far as what they do can be foretold, and with what keeps them."""
    if not any(fix.changes for finding in findings for fix in finding.fixes):
        return findings
    from .fixes.keeping import kept
    from .fixes.trial import tried

    def lasting(found: Finding, fix: Fix) -> Fix:
        return kept(case.facts(fix.host or found.subject.host), fix) if fix.changes else fix

    repairing = (tried(case, finding, runner.judged) for finding in findings)
    return tuple(replace(it, fixes=tuple(lasting(it, fix) for fix in it.fixes)) for it in repairing)


def _selected(finding: Finding, only: Sequence[str], skip: Sequence[str]) -> bool:
    def matches(globs: Sequence[str]) -> bool:
        return any(fnmatch.fnmatchcase(name, glob) for glob in globs for name in (finding.cause, finding.id))

    return (not only or matches(only)) and not (skip and matches(skip))


def _podman_spots(case: Case) -> Iterator[tuple[str, BlindSpot]]:
    """Host and blind spot: first of all, since it says what the rest of the report is worth."""
    for facts in case.hosts:
        if facts.of_podman:
            what = "networks, names and firewall rules"
            why = f"the socket of {facts.name} is Podman's, and Docker's checks do not apply to these"
            yield facts.name, BlindSpot(area="engine", what=what, why=why)


def _spots_of_rules(case: Case) -> Iterator[HostBlindSpot]:
    """Rules that were read and are not understood: as if they had not been read."""
    for facts in case.hosts:
        if facts.machine and (errors := not_understood(rulesets(facts.machine))):
            spot = BlindSpot(area="firewall", what=f"the firewall rules of {facts.name}", why=_first_of(errors))
            yield HostBlindSpot(host=facts.name, spot=spot)
        for container in facts.running:
            sandbox = container.sandbox
            if sandbox and (errors := not_understood(rulesets_beside_dns(sandbox.stack))):
                what = f"the firewall rules inside {container.name}"
                spot = BlindSpot(area="sandbox.firewall", what=what, why=_first_of(errors), containers=(container.name,))
                yield HostBlindSpot(host=facts.name, spot=spot)


def _first_of(errors: Sequence[str]) -> str:
    more = f"; and {len(errors) - 1} more" if len(errors) > 1 else ""
    return f"not understood: {errors[0][:200]}{more}"


def _outside_spot(case: Case) -> list[BlindSpot]:
    asked = next((question for question in case.questions if question.source.kind == "outside"), None)
    if not case.asked or asked is None:
        return []
    host = asked.source.host or "this host"
    return [
        BlindSpot(
            area="path",
            what=f"the way from the other machine to {host}",
            why=f"it was predicted from what {host} decides, not probed",
            remedy="dial it from the other machine",
        ),
        *_unlisted_spot(case),
        *_left_out_spot(case.facts(asked.source.host), host),
    ]


def _unlisted_spot(case: Case) -> list[BlindSpot]:
    more = sum(path.unlisted for path in case.paths)
    what, why = f"{more} more kinds of clients that the routes tell apart", "they were judged; a report lists only so many"
    return [BlindSpot(area="path", what=what, why=why, remedy="ask for one address of the host")] if more else []


def _left_out_spot(facts: HostFacts, host: str) -> list[BlindSpot]:
    more = classes_left_out(facts)
    what, why = (
        f"{more} more kinds of clients that the routes of {host} tell apart",
        "there are too many routes to ask for each",
    )
    return [BlindSpot(area="path", what=what, why=why, remedy="ask for one address of the host")] if more else []


def _late_spot(case: Case) -> list[BlindSpot]:
    late = sum(answer.detail == OUT_OF_TIME for answer in case.answers.values())
    what = f"the answers to {late} probes" if late > 1 else "the answer to a probe"
    return [BlindSpot(area="probe", what=what, why="the time of the run was over", remedy="--timeout 2m")] if late else []


def _complete(case: Case) -> bool:
    if any(facts.snapshot.engine is None or facts.of_podman for facts in case.hosts):
        return False
    return not case.absent() and not (case.asked and any(path.verdict == "unknown" for path in case.paths))


class _Runner:
    """Runs the checks on the case as far as it is known: ours directly, strangers' in daemon threads with a deadline."""

    def __init__(self, case: Case, registry: Registry, *, skip: Sequence[str] = (), allotment: Allotment | None = None) -> None:
        self.case = case
        self.skip = skip
        self.registered = registry.registered
        self.failed: dict[str, str] = {}
        self.problems = registry.problems
        self.cut: set[str] = set()  # causes that were not looked for to the end, since the time was over
        self._allotment = allotment or Allotment()

    def tell(self, answers: Mapping[Probe, Answer]) -> bool:
        """Walks with these answers, too. False where there was no time for all paths: a question of the user's is answered by
        all of its paths or by none."""
        paths: list[Path] = []
        whole = True

        def walk(case: Case) -> tuple[Path, ...]:
            nonlocal whole
            _, whole = self._allotment.try_to(lambda: paths.extend(walk_all(case)), None)
            if whole:
                return settled(tuple(paths))
            return case.paths if case.asked else max(case.paths, settled(tuple(paths)), key=len)

        self.case = self.case.told(answers, walk)
        if not whole:
            self._allotment.lose("some of the paths")
        return whole

    def wanted(self) -> list[Probe]:
        """What paths and checks want to know, and was not asked yet."""
        nothing: list[Probe] = []
        return self._allotment.take(self._all_wanted, nothing, "what to probe")

    def _all_wanted(self) -> list[Probe]:
        probes = [probe for path in self.case.paths if bears(self.case, path) for probe in path.probes]
        return [p for p in dict.fromkeys((*probes, *self.probes())) if p not in self.case.answers]

    def probes(self) -> Iterable[Probe]:
        for cause, entry in self.registered.items():
            if entry.check.probes is not None and not self._skipped(cause):
                yield from self._run(entry, entry.check.probes)

    def findings(self) -> list[Finding]:
        result: list[Finding] = []
        for cause, entry in self.registered.items():
            if entry.check.find is None or self._skipped(cause) or cause in self.failed:
                continue
            result.extend(self._applying(entry, self._run(entry, entry.check.find)))
        return result

    def judged(self, case: Case) -> list[Finding]:
        """What our own checks find in another case."""
        ours = ((cause, entry) for cause, entry in self.registered.items() if entry.builtin and not self._skipped(cause))
        found = (self._applying(entry, entry.check.find(case)) for _, entry in ours if entry.check.find)
        return [finding for findings in found for finding in findings]

    def _applying(self, entry: Registered, found: Iterable[Finding]) -> Iterator[Finding]:
        """What a check found, but for what it says of Podman's hosts and only knows of Docker's."""
        of_podman = {facts.name for facts in self.case.hosts if facts.of_podman}
        for finding in _originated(entry, found):
            if finding.subject.host not in of_podman:
                yield finding
            elif entry.check.podman:
                yield replace(finding, fixes=tuple(map(in_words_of_podman, finding.fixes)))

    def remains(self, others: Sequence[Finding]) -> list[Finding]:
        """What the checks that come last make of what the others left."""
        result: list[Finding] = []
        for cause, entry in self.registered.items():
            last = entry.check.remains
            if last is None or self._skipped(cause) or cause in self.failed:
                continue
            found = self._run(entry, lambda case, last=last: last(case, others))  # type: ignore[misc]
            result.extend(self._applying(entry, found))
        return result

    def narrow(self) -> None:
        """Leaves of the paths those that bear on the containers of `check CONTAINER`: what is judged by them is done."""
        if self.case.subjects:
            self.case = replace(self.case, paths=tuple(path for path in self.case.paths if bears(self.case, path)))

    def _applies(self, entry: Registered) -> bool:
        """True where a host is of an engine that the check knows."""
        return entry.check.podman or not all(facts.of_podman for facts in self.case.hosts)

    def results(self, found: set[str], only: Sequence[str]) -> tuple[CheckResult, ...]:
        def result(cause: str, entry: Registered) -> Result:
            if cause in self.failed:
                return "failed"
            if cause in found:
                return "found"
            if self._skipped(cause) or (only and not any(fnmatch.fnmatchcase(cause, g.split("=")[0]) for g in only)):
                return "skipped"
            if entry.check.explain_only or not self._applies(entry):
                return "not-applicable"
            return "not-examined" if self.lacks[cause] or cause in self.cut else "clear"

        return tuple(CheckResult(cause=c, result=result(c, entry)) for c, entry in self.registered.items())

    @cached_property
    def lacks(self) -> dict[str, frozenset[Lack]]:
        """What each check needed and was not seen, by cause; once all answers are there."""
        checks = [entry.check for entry in self.registered.values()]
        unknown: dict[str, frozenset[Lack]] = dict.fromkeys(self.registered, frozenset())
        found, whole = self._allotment.try_to(lambda: lacks(self.case, checks, self._wanted_by), unknown)
        if not whole:
            self.cut.update(self.registered)
        return found

    def _wanted_by(self, check: Check) -> list[Probe]:
        entry = self.registered[check.cause]
        return [] if check.probes is None or check.cause in self.failed else self._run(entry, check.probes)

    def blind_spots(self, known: Iterable[HostBlindSpot]) -> list[HostBlindSpot]:
        """Those that are known, each with what it hides, and the checks that are broken."""
        # before the broken ones are listed: it asks checks, too
        lacking = {cause: lack for cause, lack in self.lacks.items() if self._applies(self.registered[cause])}
        broken: list[tuple[str, str, tuple[str, ...]]] = [(problem.origin, problem.why, ()) for problem in self.problems]
        broken += [(f"the check {cause}", why, (cause,)) for cause, why in self.failed.items()]
        return [
            *(replace(spot, hides=hides(spot.spot, spot.host, lacking)) for spot in known),
            *(
                HostBlindSpot(
                    host="",
                    spot=BlindSpot(area="check", what=what, why=why, remedy="report it to its author"),
                    hides=causes,
                )
                for what, why, causes in broken
            ),
        ]

    def _skipped(self, cause: str) -> bool:
        return any("=" not in glob and fnmatch.fnmatchcase(cause, glob) for glob in self.skip)

    def _run(self, entry: Registered, function: Callable[[Case], Iterable[T]]) -> list[T]:
        if not entry.builtin:
            return self._run_stranger(entry, function)
        try:
            return self._in_time(entry, lambda: list(function(self.case)))
        except Exception as error:  # noqa: BLE001 - one broken check must not cost the report
            self.failed[entry.check.cause] = f"{type(error).__name__}: {error}"
            return []

    def _run_stranger(self, entry: Registered, function: Callable[[Case], Iterable[T]]) -> list[T]:
        try:
            found = self._in_time(entry, lambda: guarded(lambda: list(function(self.case)), entry.check.cause))
            return [_checked(item) for item in found]
        except (StrangerError, msgspec.ValidationError, TypeError) as error:
            self.failed[entry.check.cause] = str(error)
            return []

    def _in_time(self, entry: Registered, work: Callable[[], list[T]]) -> list[T]:
        nothing: list[T] = []
        found, whole = self._allotment.try_to(work, nothing)
        if not whole:
            self.cut.add(entry.check.cause)
        return found


def _originated(entry: Registered, found: Iterable[object]) -> Iterator[Finding]:
    origin = Origin(package=entry.package, version=entry.version)
    return (replace(f, cause=entry.check.cause, origin=origin) for f in found if isinstance(f, Finding))


def _checked(item: T) -> T:
    """What a stranger's check returned, if it is of the right make: records do not look at their values themselves.

    Raises TypeError, or msgspec.ValidationError.
    """
    if isinstance(item, Finding):
        plain = msgspec.to_builtins(replace(item, explains=(), behind=()), enc_hook=str)
        msgspec.convert(plain, Finding, dec_hook=lambda _command, text: command(text))
        if not all(isinstance(path, Path) for path in (*item.explains, *item.behind)):
            raise TypeError("what a finding explains, and is behind, are paths of the case")
    elif not isinstance(item, Probe):
        raise TypeError(f"a check gave {type(item).__name__} for a finding or a probe")
    return item
