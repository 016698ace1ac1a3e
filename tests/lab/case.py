"""A fault as data, and the one way all of them are proven: truth with plain tools before and after the tool is asked.

CASES = [
    FaultCase(
        cause="port-bound-to-loopback",
        healthy="docker run -d --name web -p 8080:80 net-test httpd -f -p 80",
        broken="docker rm -f web; docker run -d --name web -p 127.0.0.1:8080:80 net-test httpd -f -p 80",
        symptom="curl -fsS -m 2 http://$HOST:8080",
        vantage="neighbour",
        reach="outside web:80",
        check="info",
    ),
]

@faults(CASES)
def test_publishing(host: Host, case: FaultCase) -> None:
    prove(host, case)
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from tests.lab.host import Doctor, Host
from tests.lab.machine import Completed
from tests.lab.packages import ENGINES, PODMANS

BUNDLE = "/run/home/bundle"

Step = str | Callable[[Host], object]
"""A shell script for the host, run with `sh -e`, or a function of the host."""


@dataclass(frozen=True, kw_only=True)
class FaultCase:
    """One fault with its healthy twin.

    cause     the id that must come first
    healthy   builds the healthy twin
    broken    turns it into the broken one; may remove and make containers anew
    symptom   a plain command that succeeds on the twin and fails while it is broken; $HOST and $NEIGHBOUR are addresses
    vantage   where the symptom is seen: on the host, or on its neighbour, which is "another machine"
    reach     SRC DST of the question whose path is broken; "" where none can be asked
    check     how `check` shows the cause: "first" (errors and warnings), "listed" among others, "info", "absent"
    fix       whether fixes[0].commands can be run and repair; otherwise `heal`, where given, must end the symptom
    replay    whether a bundle must give the findings of the live host (seen on the last of `engines`: it costs time)
    engines   those on which the fault exists
    quiet     whether the twin must be without a finding (off where the twin itself has a blemish, to be said there)
    verify    further asserts on the broken host: called with the host and what reach (else check) answered
    options   further options of the tool, for every run
    patience  seconds that the twin, the symptom and the fix may each take to show
    """

    cause: str
    healthy: Step
    broken: Step
    symptom: Step
    name: str = ""
    vantage: Literal["host", "neighbour"] = "host"
    reach: str = ""
    check: Literal["first", "listed", "info", "absent"] = "first"
    fix: bool = True
    heal: Step = ""
    replay: bool = True
    engines: tuple[str, ...] = ENGINES
    quiet: bool = True
    verify: Callable[[Host, Doctor], object] | None = None
    options: str = ""
    patience: float = 10.0

    @property
    def id(self) -> str:
        return self.name or self.cause

    @property
    def questions(self) -> tuple[str, ...]:
        """What the tool is asked: check, and reach where a path can be asked for."""
        return ("check", f"reach {self.reach}") if self.reach else ("check",)


def faults(cases: list[FaultCase]) -> pytest.MarkDecorator:
    """Parametrise a test over the cases and the engines each of them exists on; the engine leads the test's id."""
    return pytest.mark.parametrize(
        ("engine", "case"),
        [pytest.param(engine, case, id=f"{engine}-{case.id}") for case in cases for engine in case.engines],
        indirect=["engine"],
    )


def prove(host: Host, case: FaultCase) -> None:
    """Build the twin, hear silence; break it, see the symptom, hear the cause; run the printed fix, see it work; undo it, see
    the symptom again."""
    _do(host, case.healthy)
    host.wait(lambda: _works(host, case), case.patience, f"the healthy twin: {case.symptom}")
    host.state = f"{case.id} healthy"
    if case.quiet:
        _expect_silence(host, case)

    host.state = f"{case.id} broken"
    _do(host, case.broken)
    host.wait(lambda: not _works(host, case), case.patience, f"the symptom: {case.symptom} still succeeds")
    asked = _expect_cause(host, case)
    if case.verify:
        case.verify(host, asked)

    host.state = f"{case.id} mended"
    if case.fix:
        _run_fix(host, asked)
    elif case.heal:
        _do(host, case.heal)
    if case.fix or case.heal:
        host.wait(lambda: _works(host, case), case.patience, f"after the fix {case.symptom} still fails: {_fix(asked)}")
        if case.fix and case.reach:
            [after] = _ask(host, case, [f"reach {case.reach}"])
            _expect(after.report["verdict"] == "reachable", "after the fix the tool does not see it reachable", after)
    if case.fix and host.engine == case.engines[-1] and os.environ.get("LAB_UNDO"):
        _run_undo(host, case, asked)


def prove_in_turn(host: Host, cases: list[FaultCase]) -> None:
    """Those of the host's engine one after the other, for cases that leave no host behind that another test could use."""
    for case in cases:
        if host.engine in case.engines:
            prove(host, case)
            for machine in (host, host.neighbour):
                machine.end_served()
            host.run("docker ps -aq | xargs -r docker rm -fv; docker network prune -f")


# --- what is expected of the tool ---


def _expect_silence(host: Host, case: FaultCase) -> None:
    checked, *reached = _ask(host, case, case.questions)
    loud = [finding["id"] for finding in checked.findings if finding["severity"] != "info"]
    _expect(not loud, f"a false alarm on the healthy twin: {loud}", checked)
    for asked in reached:
        _expect(asked.report["verdict"] == "reachable", "the healthy twin is not reachable", asked)
        _expect(not asked.findings, f"a finding on the healthy path: {asked.causes}", asked)
        status = 3 if host.engine in PODMANS else 0  # Docker's checks do not apply there
        _expect(asked.status == status, f"exit {asked.status} for a healthy path", asked)


def _expect_cause(host: Host, case: FaultCase) -> Doctor:
    """What reach (else check) answered."""
    replayed = case.replay and host.engine == case.engines[-1]
    with ThreadPoolExecutor() as threads:
        collecting = threads.submit(host.doctor, ["collect", BUNDLE]) if replayed else None
        checked, *reached = _ask(host, case, case.questions)
    _expect_in_check(case, checked)
    for asked in reached:
        _expect_in_reach(case, asked)
    if collecting:
        _expect_replay(host, case, collecting.result(), [checked, *reached])
    return [checked, *reached][-1]


def _expect_in_check(case: FaultCase, checked: Doctor) -> None:
    severities = {finding["cause"]: finding["severity"] for finding in reversed(checked.findings)}
    found = severities.get(case.cause)
    match case.check:
        case "first":
            _expect(checked.causes[:1] == [case.cause], f"check says {checked.causes}, not {case.cause} first", checked)
            _expect(found in ("error", "warning"), f"{case.cause} is {found} in check", checked)
        case "listed":
            _expect(found is not None, f"check says {checked.causes}, without {case.cause}", checked)
        case "info":
            _expect(found == "info", f"check has {case.cause} as {found}, not as info", checked)
            loud = [finding["id"] for finding in checked.findings if finding["severity"] != "info"]
            _expect(not loud, f"check also says {loud}", checked)
        case "absent":
            _expect(found is None, f"check has {case.cause}", checked)


def _expect_in_reach(case: FaultCase, asked: Doctor) -> None:
    _expect(asked.causes[:1] == [case.cause], f"reach says {asked.causes}, not {case.cause} first", asked)
    _expect(asked.findings[0]["severity"] == "error", "what breaks the asked path is an error", asked)
    _expect(asked.report["verdict"] in ("unreachable", "partly"), f"verdict {asked.report['verdict']}", asked)


def _expect_replay(host: Host, case: FaultCase, collected: Doctor, answers: list[Doctor]) -> None:
    _expect(collected.status in (0, 1), f"collect: exit {collected.status}", collected)
    again = _ask(host, case, [f"{question} --bundle {BUNDLE}" for question in case.questions])
    for question, live, replayed in zip(case.questions, answers, again, strict=True):
        differ = _ids(live) ^ _ids(replayed) if question == "check" else set(live.causes[:1]) ^ set(replayed.causes[:1])
        _expect(not differ, f"{question}: the bundle and the live host differ in {sorted(differ)}", replayed)
    host.run(["rm", "-f", BUNDLE])


def _run_fix(host: Host, answer: Doctor) -> None:
    fixes = answer.findings[0]["fixes"]
    _expect(bool(fixes) and fixes[0]["runnable"], "no fix that can be run", answer)
    for command in fixes[0]["commands"]:
        done = host.run(command, check=False)
        _expect(done.ok, f"the fix fails: {command}\n{done.output}", answer)


def _run_undo(host: Host, case: FaultCase, answer: Doctor) -> None:
    """The fault comes back with the undo of the fix, where there is one, and goes again with the fix: others use the host."""
    fix = answer.findings[0]["fixes"][0]
    undo = fix["undo"]
    for command in undo:
        done = host.run(command, check=False)
        # what it brings back may be that the daemon does not start, which its last command then says
        _expect(done.ok or command is undo[-1], f"the undo fails: {command}\n{done.output}", answer)
    if undo:
        host.wait(lambda: not _works(host, case), case.patience, f"after the undo {case.symptom} still succeeds: {undo}")
        for command in fix["commands"]:
            host.run(command, check=False)


# --- plumbing ---


def _do(host: Host, step: Step) -> object:
    if callable(step):
        return step(host)
    return host.run(["sh", "-ec", step], timeout=90) if step else None


def _works(host: Host, case: FaultCase) -> bool:
    if callable(case.symptom):
        result = case.symptom(host)
        return result.ok if isinstance(result, Completed) else bool(result)
    return (host if case.vantage == "host" else host.neighbour).ok(case.symptom, timeout=15)


def _ask(host: Host, case: FaultCase, questions: Sequence[str]) -> list[Doctor]:
    """The answers to all of them, asked at once: most of the time goes into probes that wait for a silent peer."""
    with ThreadPoolExecutor() as threads:
        return list(threads.map(lambda question: host.doctor(f"{question} --format json {case.options}"), questions))


def _ids(answer: Doctor) -> set[str]:
    return {finding["id"] for finding in answer.findings}


def _fix(answer: Doctor) -> Any:
    return next((finding["fixes"][:1] for finding in answer.findings), "no finding")


def _expect(condition: bool, what: str, answer: Doctor) -> None:
    """Fail with the whole answer of the tool, which a reader of the test's output needs."""
    if not condition:
        try:
            shown = json.dumps({key: answer.report[key] for key in _SHOWN if key in answer.report}, indent=1)
        except AssertionError:
            shown = answer.stdout
        raise AssertionError(f"{what}\nexit status {answer.status}\n{shown}\n{answer.stderr}")


_SHOWN = ("verdict", "complete", "paths", "findings", "blind_spots", "probes")
