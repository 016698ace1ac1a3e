"""One run: read the hosts, diagnose, report. Holds the deadline and the progress line that all of it shares."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from msgspec.structs import replace

from dockernet_doctor.deadline import OutOfTimeError, until
from dockernet_doctor.probe.model import Answer, Probe
from dockernet_doctor.snapshot.model import BlindSpot, Snapshot

from .output import Render, Texts, in_files, rendered, write
from .placing import named, placed
from .progress import Progress
from .selection import ensure_known
from .sources import Reader

if TYPE_CHECKING:
    from types import TracebackType

    from dockernet_doctor.diagnosis.case import Case
    from dockernet_doctor.diagnosis.findings.accepted import Acceptance
    from dockernet_doctor.diagnosis.question import Question
    from dockernet_doctor.diagnosis.run import Diagnosis
    from dockernet_doctor.report.model import Invocation, View

    from .options import Settings


#: Seconds beyond the deadline, of the one that the report may take: when computing ends, when it is rendered, and
#: when what nobody reads is given up.
_COMPUTING_S = 0.4
_REPORTING_S = 0.8
_WRITING_S = 0.85
_FEW = 50


class Session:
    """What one command line needs of the world. Reading begins at once; the checks are imported beside it.

    sampling_s  how long a repeated question may take beyond the timeout
    ports       host ports that a question names
    names       containers and services that a question names
    sending     False: nothing may be sent, whatever the settings say
    """

    def __init__(
        self,
        settings: Settings,
        *,
        sampling_s: float = 0.0,
        ports: Sequence[int] = (),
        names: Sequence[str] = (),
        sending: bool = True,
    ) -> None:
        self.settings = settings
        self._sending = sending and not settings.no_probes
        self.started = time.monotonic()
        self.deadline = self.started + settings.timeout + sampling_s
        self.progress = Progress()
        self._alarm = ExitStack()
        read_by = self.started + settings.timeout
        reader = Reader(settings, self.started, read_by, tuple(ports), frozenset(names), self._sending, self.progress)
        self._sources = reader.begin()
        from dockernet_doctor.diagnosis import registry, run  # noqa: F401 - both while the hosts are read
        from dockernet_doctor.report import build, formats, status  # noqa: F401

        with until(self.deadline):  # what strangers' modules do while they are imported
            self.registry = registry.load()
        for option, patterns in (("--only", settings.only), ("--skip", settings.skip)):
            ensure_known(patterns, self.registry.causes(), option)

    def __enter__(self) -> Session:
        """What the block computes ends in time: OutOfTimeError, where nothing inside knows what to report then."""
        self._alarm.enter_context(until(self.deadline + _REPORTING_S))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._alarm.close()
        self.progress.clear()

    @property
    def end(self) -> float:
        """When a report that nobody reads is given up, by time.monotonic()."""
        return self.deadline + _WRITING_S

    def snapshots(self) -> tuple[Snapshot, ...]:
        """The hosts, in the order given: bundles, then daemons; their names are unique."""
        return tuple(source.snapshot for source in self._sources())

    def _recorded(self) -> dict[Probe, Answer]:
        """What the networks of the bundles answered when they were collected."""
        return {answer.probe: answer for source in self._sources() for answer in source.answers}

    # --- diagnosing

    def diagnose(
        self,
        questions: Sequence[Question] = (),
        *,
        asked: bool = False,
        subjects: Sequence[str] = (),
        repeat: int = 1,
        interval_s: float = 0.0,
        accepted: Sequence[Acceptance] = (),
    ) -> Diagnosis:
        """Everything that is asked, walked and checked. `repeat` and `interval_s` sample each connection of a question;
        findings that are `accepted` do not count."""
        from dockernet_doctor.diagnosis import run

        snapshots = self.snapshots()
        questions = placed(questions, snapshots)
        subjects = named(subjects, snapshots)
        self.progress("thinking")
        return run.diagnose(
            snapshots,
            questions,
            asked=asked,
            registry=self.registry,
            probe=self._prober(snapshots, questions, interval_s),
            only=self.settings.only,
            skip=self.settings.skip,
            subjects=subjects,
            recorded=self._recorded(),
            repetitions=repeat,
            end=self.deadline + _COMPUTING_S,
            accepted=accepted,
        )

    def traced(self, diagnosis: Diagnosis) -> Diagnosis:
        """With the packets of `reach --trace` followed, where something may be sent."""
        from dockernet_doctor.probe.schedule import vantages

        from .tracing import traced

        if not self._sending:
            return diagnosis
        return traced(diagnosis, vantages(self.snapshots()), self.progress, self.deadline + _COMPUTING_S)

    def planned(
        self, questions: Sequence[Question] = (), *, asked: bool = False, subjects: Sequence[str] = (), repeat: int = 1
    ) -> tuple[Case, Sequence[Probe]]:
        """The hosts, and what the first round would send; nothing is sent."""
        from dockernet_doctor.diagnosis import run

        snapshots = self.snapshots()
        questions = placed(questions, snapshots)
        subjects = named(subjects, snapshots)
        plan = run.planned(snapshots, questions, asked=asked, registry=self.registry, subjects=subjects, repetitions=repeat)
        self.progress.clear()
        return plan

    def case(self, subjects: Sequence[str]) -> Case:
        """The hosts, and the containers that are meant of them."""
        from dockernet_doctor.diagnosis.case import Case

        snapshots = self.snapshots()
        return Case.of(snapshots, subjects=named(subjects, snapshots))

    def ask(self, probes: Sequence[Probe]) -> Mapping[Probe, Answer]:
        """One round of probes, with what the networks of the bundles answered; nothing is sent where nothing may be."""
        send = self._prober(self.snapshots(), (), 0.0)
        return self._recorded() | dict(send(probes) if send else {})

    def _prober(
        self, snapshots: Sequence[Snapshot], questions: Sequence[Question], interval_s: float
    ) -> Callable[[Sequence[Probe]], Mapping[Probe, Answer]] | None:
        """Sends probes from the live hosts of this machine; None where there is none, or nothing may be sent."""
        if not self._sending or not any(s.local and s.source == "live" for s in snapshots):
            return None
        from dockernet_doctor.probe import counters
        from dockernet_doctor.probe.permission import Permission
        from dockernet_doctor.probe.schedule import Scheduler, vantages

        scheduler = Scheduler(
            vantages(snapshots),
            deadline=self.deadline,
            gate=Permission(snapshots, [question.target.name for question in questions]),
            rulesets=lambda: counters.read(self.deadline),
            on_progress=lambda done, wanted: self.progress(f"probing: {done} of {wanted}"),
        )
        return lambda probes: scheduler.run(probes, interval_s=interval_s)

    # --- reporting

    def invocation(self, verb: str, arguments: Sequence[str]) -> Invocation:
        from dockernet_doctor.report.model import Invocation

        settings = self.settings
        return Invocation(
            verb=verb,
            arguments=tuple(arguments),
            only=settings.only,
            skip=settings.skip,
            fail_on=settings.fail_on,  # type: ignore[arg-type]  # click has checked it
            probes=not settings.no_probes,
        )

    def report(self, diagnosis: Diagnosis, verb: str, arguments: Sequence[str]) -> int:
        """Writes the report in every format asked for; the exit status."""
        from dockernet_doctor.report import status

        settings = self.settings
        try:
            view, texts = self._rendered(diagnosis, verb, arguments)
        except OutOfTimeError:
            self._alarm.close()
            view, texts = self._rendered(_brief(diagnosis), verb, arguments)
        self._alarm.close()
        self.progress.clear()
        write(texts, settings, by=self.end)
        return status.exit_status(view.report, strict=settings.strict)

    def view(self, diagnosis: Diagnosis, verb: str, arguments: Sequence[str]) -> View:
        """The report, and what people need told beside it."""
        from dockernet_doctor.report import build

        return build.build(
            diagnosis,
            self.invocation(verb, arguments),
            duration_s=time.monotonic() - self.started,
            verbose=self.settings.verbose,
            brief=self.settings.brief,
            with_map="html" in self.settings.all_formats,
            again=self.settings.again(verb, arguments),
        )

    def _rendered(self, diagnosis: Diagnosis, verb: str, arguments: Sequence[str]) -> tuple[View, Texts]:
        from dockernet_doctor.report import formats

        view = self.view(diagnosis, verb, arguments)
        render: Render = lambda name, colour, width: formats.render(view, name, colour=colour, width=width)  # noqa: E731
        if self.settings.fix:
            from dockernet_doctor.report import script

            return view, Texts(in_files(render, self.settings), script.render(view.report))
        return view, rendered(render, self.settings)


def _brief(diagnosis: Diagnosis) -> Diagnosis:
    """As much of it as can surely be written in no time."""
    from dockernet_doctor.diagnosis.run import HostBlindSpot

    what = f"all findings but the first {_FEW}, all paths and answers"
    spot = BlindSpot(area="run", what=what, why="the time of the run was over", remedy="give it more: --timeout 2m")
    return replace(
        diagnosis,
        case=replace(diagnosis.case, paths=()),
        findings=diagnosis.findings[:_FEW],
        suppressed=(),
        answers=(),
        blind_spots=(*diagnosis.blind_spots[:_FEW], HostBlindSpot(host="", spot=spot)),
        complete=False,
    )
