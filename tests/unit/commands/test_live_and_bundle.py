"""A bundle gives the report that its host gave: live against engines that answer as recorded, and for recorded diagnoses.

The lab's cases say the same of real hosts, after each fault; and `tests/lab/test_live_and_bundle.py` of whole reports.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from dockernet_doctor.__main__ import run
from dockernet_doctor.snapshot import bundle
from tests.corpus import cases, lasting, modules, replay
from tests.unit.snapshot.replay import ENGINES, recording, replayed

Capture = pytest.CaptureFixture[str]

OF_EACH = 4
"""Cases of each module of the corpus: reading and writing all of them takes a minute."""


def report(words: list[str], capsys: Capture) -> dict[str, Any]:
    status = run([*words, "--format", "json"])
    shown = json.loads(capsys.readouterr().out)
    return lasting(shown) | {"status": status}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("verb", ["check", "check web", "reach outside web:80", "reach web host"])
def test_a_bundle_gives_the_report_of_the_live_run(engine: str, verb: str, tmp_path: Path, capsys: Capture) -> None:
    collected = str(tmp_path / "host.bundle")
    words = [*shlex.split(verb), "--no-probes"]
    with replayed(tmp_path, recording(engine)["answers"]) as (endpoint, _requests):
        live = report([*words, "--host", endpoint.url], capsys)
        assert run(["collect", collected, "--host", endpoint.url, "--no-probes"]) == 0
    offline = report([*words, "--bundle", collected], capsys)
    assert live["paths" if verb.startswith("reach") else "findings"]
    assert live["hosts"]
    assert offline == live


@pytest.mark.parametrize("module", modules())
def test_a_recorded_diagnosis_is_the_same_from_its_bundles(module: str, tmp_path: Path, capsys: Capture) -> None:
    """The way through files: written without secrets, read with every limit, and diagnosed from the command line."""
    asked = [case for case in cases(module) if len(case.questions) <= 1 and case.repeat == 1]
    for case in asked[:: max(1, len(asked) // OF_EACH)][:OF_EACH]:
        words = shlex.split(case.question)
        for index, snapshot in enumerate(case.snapshots):
            path = str(tmp_path / f"{index}.bundle")
            answers = case.answers if index == 0 else ()
            bundle.save(path, bundle.Bundle(snapshot=snapshot, answers=answers))
            words += ["--bundle", path]
        offline = report(words, capsys)
        offline.pop("status")
        assert offline == json.loads(json.dumps(replay(case))), case.key
