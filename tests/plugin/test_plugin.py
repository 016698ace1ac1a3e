"""Third-party checks, installed as a stranger would: a good package works, a bad one is named and the run goes on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dockernet_doctor.snapshot.bundle import Bundle, save
from tests.unit.report.cases import SNAPSHOT

HERE = Path(__file__).parent
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def doctor(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The command line, where both packages are installed."""
    work = tmp_path_factory.mktemp("plugins")
    for name in ("acme", "broken"):
        shutil.copytree(HERE / name, work / name)
        shutil.copy(HERE / "wheel.py", work / name)
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--disable-pip-version-check"]
    environment = os.environ | {"PIP_ROOT_USER_ACTION": "ignore"}
    subprocess.run([*install, "--target", work / "site", work / "acme", work / "broken"], check=True, env=environment)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "dockernet_doctor", *arguments],
            env=os.environ | {"PYTHONPATH": str(work / "site")},
            capture_output=True,
            text=True,
            encoding="utf-8",
        )

    return run


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("bundles") / "bundle")
    save(path, Bundle(snapshot=SNAPSHOT))
    return path


@pytest.fixture(scope="module")
def report(doctor: Run, bundle: str) -> tuple[dict[str, Any], str]:
    """What `check` says, and what stood on standard error."""
    done = doctor("check", "--bundle", bundle, "--format", "json")
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout), done.stderr


def test_a_good_check_finds(report: tuple[dict[str, Any], str]) -> None:
    found = [finding for finding in report[0]["findings"] if finding["cause"] == "acme/no-restart-policy"]
    assert [(f["id"], f["origin"]) for f in found] == [
        ("acme/no-restart-policy=container:web@h1", {"package": "acme-checks", "version": "1.2"})
    ]


def test_a_good_check_is_listed_explained_and_chosen(doctor: Run, bundle: str) -> None:
    listed = doctor("checks", "--format", "json")
    (entry,) = [check for check in json.loads(listed.stdout)["checks"] if check["cause"] == "acme/no-restart-policy"]
    assert (entry["family"], entry["package"]) == ("third-party", "acme-checks")
    assert "does not come back" in doctor("explain", "gone after the Monday reboot").stdout
    only = json.loads(doctor("check", "--bundle", bundle, "--format", "json", "--only", "acme/*").stdout)
    assert {finding["cause"] for finding in only["findings"]} == {"acme/no-restart-policy"}


BAD = {
    "broken_checks.exits": "SystemExit: broken: not on this machine",
    "broken_checks.takes_ours": "the cause 'no-listener' must have the form vendor/slug",
    "broken_checks.twice": "the cause 'broken/raises' is already offered by broken-checks",
    "broken-entirely": "No module named 'broken_no_such_package'",
    "the check broken/raises": "RuntimeError: the moon is full",
    "the check broken/hangs": "no result within 5 s",
    "the check broken/severe": "fatal",
}


def test_a_bad_one_is_named_and_the_run_goes_on(report: tuple[dict[str, Any], str]) -> None:
    said = {spot["what"]: spot["why"] for spot in report[0]["blind_spots"] if spot["area"] == "check"}
    assert said.keys() == BAD.keys()
    assert {what: why for what, why in said.items() if BAD[what] not in why} == {}
    results = {check["cause"]: check["result"] for check in report[0]["checks"]}
    assert {c for c, result in results.items() if result == "failed"} == {"broken/raises", "broken/hangs", "broken/severe"}
    assert results["broken/prints"] == "not-examined"  # it declares no needs, and not all was seen here
    assert results["no-listener"] != "failed"


def test_what_they_print_stays_out_of_the_report(report: tuple[dict[str, Any], str]) -> None:
    assert "broken: imported" in report[1]
    assert "broken: printed" in report[1]


def test_the_example_package_is_the_one_of_the_documents() -> None:
    text = (HERE.parents[1] / "docs" / "writing-a-check.md").read_text(encoding="utf-8")
    assert '[project.entry-points."dockernet_doctor.checks"]\nacme = "acme_checks"' in text
