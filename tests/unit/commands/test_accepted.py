"""Findings that are meant to be so: --config, --baseline and the label."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from dockernet_doctor.__main__ import run
from dockernet_doctor.commands.demo import BUNDLE
from dockernet_doctor.snapshot import bundle
from dockernet_doctor.snapshot.model import Container

Capture = pytest.CaptureFixture[str]
DEMO = str(Path(__file__).parents[3] / "dockernet_doctor" / BUNDLE)
EXPOSED = "sensitive-port-exposed"


def check(capture: Capture, *words: str, path: str = DEMO) -> tuple[int, dict[str, Any], str]:
    status = run(["check", "--bundle", path, "--format", "json", *words])
    shown = capture.readouterr()
    parsed: dict[str, Any] = json.loads(shown.out)
    return status, parsed, shown.err


def causes(findings: list[dict[str, Any]]) -> set[str]:
    return {finding["cause"] for finding in findings}


def config(directory: Path, text: str) -> str:
    path = directory / "accepted.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("subject", ["search", "container:search", "container:search@shop", "sea*"])
def test_a_subject_is_named_as_one_would(subject: str, tmp_path: Path, capsys: Capture) -> None:
    """Seen failing: a plain name fitted nothing."""
    text = f'[[accept]]\ncause = "container-paused"\nsubject = "{subject}"\nreason = "x"\n'
    _, report, _ = check(capsys, "--config", config(tmp_path, text))
    assert causes(report["suppressed"]) == {"container-paused"}


def test_what_is_accepted_is_listed_and_does_not_count(tmp_path: Path, capsys: Capture) -> None:
    text = f'[[accept]]\ncause = "{EXPOSED}"\nsubject = "port:search:*"\nreason = "inside the site"\nuntil = 2999-12-31\n'
    _, report, told = check(capsys, "--config", config(tmp_path, text))
    assert EXPOSED not in causes(report["findings"])
    (only,) = report["suppressed"]
    assert only["suppression"] == {"reason": "inside the site", "until": "2999-12-31", "from": str(tmp_path / "accepted.toml")}
    assert told == ""
    assert run(["check", "--bundle", DEMO, "--config", str(tmp_path / "accepted.toml")]) == 1
    assert f"Accepted: {EXPOSED} of search:9200/tcp: inside the site" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ('cause = "container-paused"\nreason = "x"\nuntil = 2020-01-31', "was accepted until 2020-01-31"),
        ('cause = "mtu-mismatch"\nreason = "x"', "is accepted, and was not found"),
        ('cause = "container-paused"\nsubject = "container:other"\nreason = "x"', "is accepted, and was not found"),
    ],
)
def test_what_has_expired_or_fits_nothing_is_told(entry: str, told: str, tmp_path: Path, capsys: Capture) -> None:
    _, report, errors = check(capsys, "--config", config(tmp_path, f"[[accept]]\n{entry}\n"))
    assert "container-paused" in causes(report["findings"])
    assert not report["suppressed"]
    assert told in errors


@pytest.mark.parametrize(
    "text",
    [
        "[[accept]",
        "accept = 1",
        "[[accept]]\ncause = 1\nreason = 'x'",
        "[[accept]]\ncause = 'x'",
        "[[accept]]\ncause = 'x'\nreason = 'y'\nuntil = 'soon'",
        "[[accept]]\ncause = 'x'\nreason = 'y'\nuntill = 2027-01-01",
        "[other]\n",
        "a = " + "[" * 5000,
    ],
)
def test_a_file_that_means_nothing_is_refused_in_a_line(text: str, tmp_path: Path, capsys: Capture) -> None:
    assert run(["check", "--bundle", DEMO, "--config", config(tmp_path, text)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1


def test_only_what_the_baseline_does_not_have_counts(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "old.json"
    run(["check", "--bundle", DEMO, "--skip", EXPOSED, "--output", f"json={path}"])
    capsys.readouterr()
    status, report, _ = check(capsys, "--baseline", str(path))
    assert (status, causes(report["findings"])) == (0, {EXPOSED})
    status, report, _ = check(capsys, "--baseline", DEMO)
    assert (status, report["findings"]) == (0, [])
    for name in ("text", "html", "markdown"):  # seen failing: "no fault found" on a host with eleven
        assert run(["check", "--bundle", DEMO, "--baseline", DEMO, "--format", name]) == 0
        shown = capsys.readouterr().out.lower()
        assert "no new fault found" in shown
        assert "no fault found" not in shown
    assert run(["check", "--bundle", DEMO, "--baseline", str(tmp_path / "missing")]) == 3


def labelled(directory: Path, name: str, *accepts: str) -> str:
    """The demo's host, where this container has the label."""

    def of(container: Container) -> Container:
        return replace(container, accepts=accepts) if container.name == name else container

    read = bundle.load(DEMO)
    snapshot = replace(read.snapshot, containers=tuple(map(of, read.snapshot.containers)))
    path = directory / "labelled.bundle"
    bundle.save(str(path), replace(read, snapshot=snapshot))
    return str(path)


def test_a_label_accepts_what_is_on_its_container(tmp_path: Path, capsys: Capture) -> None:
    path = labelled(tmp_path, "search", "container-paused", EXPOSED)
    _, report, _ = check(capsys, path=path)
    assert [found["cause"] for found in report["suppressed"]] == ["container-paused"]
    assert report["suppressed"][0]["suppression"]["from"] == "label dockernet-doctor.accept of search"
    assert EXPOSED in causes(report["findings"])  # whoever made the container cannot say that its exposure is fine


def test_a_label_accepts_nothing_on_others(tmp_path: Path, capsys: Capture) -> None:
    _, report, _ = check(capsys, path=labelled(tmp_path, "cache", "container-paused", "firewall-drops-traffic"))
    assert report["suppressed"] == []


def test_a_question_is_answered_whatever_is_accepted(tmp_path: Path, capsys: Capture) -> None:
    path = labelled(tmp_path, "search", "container-paused")
    assert run(["reach", "outside", "search:9200", "--bundle", path, "--format", "json"]) == 1
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert causes(report["findings"]) == {"container-paused"}
