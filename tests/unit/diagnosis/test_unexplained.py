"""The two causes without a row: what was seen and nobody explains, and what answers although it was predicted not to."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from dockernet_doctor.diagnosis import registry
from dockernet_doctor.diagnosis.question import Question, parse_source, parse_target
from dockernet_doctor.diagnosis.run import Diagnosis, diagnose
from dockernet_doctor.probe.model import OUT_OF_TIME, Answer, Probe
from dockernet_doctor.snapshot.model import Engine, Listener, Snapshot
from tests.unit.diagnosis.test_walk import APP, container

ENGINE = Engine(version="28.5.2")


TAKEN = "2026-01-02T03:00:08Z"


def asked(port: int, result: str, listening: int, *, detail: str = "", **state: object) -> Diagnosis:
    """`reach api web:PORT` where web listens on `listening` (0: on nothing) and the probe comes back with `result`."""
    web, api = container("web", 2), container("api", 3)
    assert web.sandbox is not None
    listener = Listener(protocol="tcp", family=4, address="0.0.0.0", port=listening)
    stack = replace(web.sandbox.stack, listeners=(listener,) if listening else ())
    web = replace(web, sandbox=replace(web.sandbox, stack=stack), state=replace(web.state, **state))
    snapshot = Snapshot(name="h", taken_at=TAKEN, endpoint="", engine=ENGINE, networks=(APP,), containers=(web, api))

    def probe(wanted: Sequence[Probe]) -> dict[Probe, Answer]:
        names = {p: Answer(probe=p, result="reply", addresses=("172.18.0.2",)) for p in wanted if p.kind == "dns"}
        return {p: names.get(p) or Answer(probe=p, result=result, detail=detail) for p in wanted}

    question = Question(source=parse_source("api"), target=parse_target(f"web:{port}"))
    return diagnose([snapshot], [question], registry=registry.load(), asked=True, probe=probe)


def test_an_answer_against_the_prediction_is_a_finding_and_the_path_is_reachable() -> None:
    found = asked(8080, "open", listening=80)
    assert [p.verdict for p in found.case.paths] == ["reachable"]
    assert [(f.cause, f.severity) for f in found.findings] == [("prediction-contradicted", "info")]
    assert "api reaches web:8080" in found.findings[0].summary


def test_silence_against_the_prediction_is_told_as_it_was_seen() -> None:
    found = asked(80, "timeout", listening=80)
    assert [p.verdict for p in found.case.paths] == ["unreachable"]
    assert [(f.cause, f.severity, f.confidence) for f in found.findings] == [("unexplained-failure", "error", "proven")]
    assert "172.18.0.2:80 timeout" in found.findings[0].summary


@pytest.mark.parametrize(("result", "listening"), [("timeout", 80), ("refused", 0)])
def test_what_is_missing_of_a_container_that_keeps_ending_is_that(result: str, listening: int) -> None:
    found = asked(80, result, listening=listening, started_at="2026-01-02T03:00:05Z", restart_count=4)
    assert [f.id for f in found.findings] == ["container-not-running=container:web@h"]
    assert "was restarted 4 times so far" in found.findings[0].summary


def test_a_service_that_came_up_after_it_was_read_contradicts_nothing() -> None:
    assert asked(8080, "open", listening=80, started_at="2026-01-02T03:00:05Z").findings == ()
    assert asked(8080, "open", listening=80, started_at="2026-01-02T02:00:00Z").findings != ()


def test_what_was_predicted_and_answered_needs_no_words() -> None:
    assert asked(80, "open", listening=80).findings == ()


def test_what_there_was_no_time_to_ask_is_a_blind_spot() -> None:
    assert asked(7, "not-sent", listening=7).blind_spots == ()
    (late,) = asked(7, "not-sent", listening=7, detail=OUT_OF_TIME).blind_spots
    assert late.spot.what == "the answer to a probe"
