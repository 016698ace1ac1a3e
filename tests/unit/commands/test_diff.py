"""`diff`: findings that come and go between two bundles or reports, and what changed on the host."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dockernet_doctor.__main__ import run
from dockernet_doctor.snapshot import bundle
from tests.corpus import cases

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A recorded host before a rule of its firewall dropped what leaves, with it, and without it again."""
    directory = tmp_path_factory.mktemp("states")
    found = {}
    for case in cases("firewall"):
        name, state = case.key.partition("@")[0].split("/")[1:3]
        if name == "answers-dropped" and state not in found:
            found[state] = str(directory / state)
            bundle.save(found[state], bundle.Bundle(snapshot=case.snapshots[0], answers=case.answers))
    return found


def difference(capture: Capture, *words: str) -> tuple[int, dict[str, Any]]:
    status = run(["diff", *words, "--format", "json"])
    parsed: dict[str, Any] = json.loads(capture.readouterr().out)
    return status, parsed


def test_a_new_rule_and_the_finding_that_it_makes(states: dict[str, str], capsys: Capture) -> None:
    status, found = difference(capsys, states["healthy"], states["broken"])
    assert status == 1
    assert found["new_findings"][0]["cause"] == "firewall-drops-traffic"
    assert not found["gone_findings"]
    rules = [change for change in found["changes"] if change["area"] == "rules"]
    assert [(rule["old"], "-j DROP" in rule["what"]) for rule in rules] == [(None, True)]


def test_a_mended_host_has_nothing_new(states: dict[str, str], capsys: Capture) -> None:
    status, found = difference(capsys, states["broken"], states["mended"])
    assert status == 0
    assert "firewall-drops-traffic" in {finding["cause"] for finding in found["gone_findings"]}
    assert {change["area"] for change in found["changes"]} == {"rules"}


def test_nothing_changes_between_a_bundle_and_itself(states: dict[str, str], capsys: Capture) -> None:
    status, found = difference(capsys, states["broken"], states["broken"])
    assert status == 0
    assert not any(found[key] for key in ("new_findings", "gone_findings", "changed_findings", "changes"))


def test_reports_are_compared_too(states: dict[str, str], tmp_path: Path, capsys: Capture) -> None:
    old, new = (str(tmp_path / f"{state}.json") for state in ("healthy", "broken"))
    for state, path in (("healthy", old), ("broken", new)):
        run(["check", "--bundle", states[state], "--output", f"json={path}"])
    capsys.readouterr()
    assert run(["diff", old, new]) == 1
    assert capsys.readouterr().out.startswith("✗ ")
    assert run(["diff", old, states["broken"]]) == 1


def test_another_severity_is_a_change(states: dict[str, str], tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "old.json"
    run(["check", "--bundle", states["broken"], "--output", f"json={path}"])
    report = json.loads(path.read_text())
    report["findings"][0]["severity"] = "info"
    path.write_text(json.dumps(report))
    capsys.readouterr()
    status, found = difference(capsys, str(path), states["broken"])
    assert status == 0
    assert [pair["old"]["severity"] for pair in found["changed_findings"]] == ["info"]


@pytest.mark.parametrize(
    "text", ["", "{}", '{"schema": "dockernet-doctor/report/2"}', '{"schema": "dockernet-doctor/report/1"}', "["]
)
def test_what_is_neither_is_refused_in_a_line(text: str, states: dict[str, str], tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "file"
    path.write_text(text)
    assert run(["diff", states["broken"], str(path)]) == 3
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert run(["diff", str(tmp_path / "missing"), states["broken"]]) == 3
