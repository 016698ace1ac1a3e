"""The lab's tiers: what `make test` leaves to `make lab-long` proves nothing that a case of `make test` does not prove, too."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

Collected = dict[str, "tuple[str, str] | None"]
"""The id of a test that would run → what it proves; in their order."""

_COLLECT = """
import json, sys, pytest

class Collector:
    def pytest_collection_finish(self, session):
        self.items = session.items

collector = Collector()
pytest.main([*sys.argv[2:], "--collect-only", "-q"], plugins=[collector])
from tests.lab import tiers  # after pytest, which rewrites its asserts

with open(sys.argv[1], "w") as file:
    json.dump({item.nodeid: tiers.proof(item) for item in collector.items}, file)
"""


def _collected(directory: Path, *words: str) -> Collected:
    found = directory / "collected.json"
    environment = {**os.environ, "LAB_STATE": str(directory / "state.jsonl")}
    command = [sys.executable, "-c", _COLLECT, str(found), *words]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    return {test: proof and (proof[0], proof[1]) for test, proof in json.loads(found.read_text()).items()}


def _recipe(target: str) -> list[str]:
    """The words that the Makefile gives pytest for this target, its tests narrowed to the lab's, all in one process."""
    recipe = (ROOT / "Makefile").read_text().partition(f"\n{target}:")[2].partition("\n\n")[0]
    words = shlex.split(recipe.partition("/pytest ")[2])
    return ["tests/lab" if word == "tests" else word for word in words if word not in ("-n", "3", "--dist", "loadgroup")]


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Collected:
    return _collected(tmp_path_factory.mktemp("short"), *_recipe("test"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Collected:
    return _collected(tmp_path_factory.mktemp("whole"), *_recipe("lab-long"))


def test_lab_long_leaves_nothing_out(short: Collected, whole: Collected, tmp_path: Path) -> None:
    assert whole == _collected(tmp_path, "tests/lab")
    assert short.keys() < whole.keys()


def test_each_cause_and_engine_is_proven_by_one_case_of_make_test(short: Collected, whole: Collected) -> None:
    proven = Counter(filter(None, short.values()))
    assert proven.keys() == {*filter(None, whole.values())}
    assert set(proven.values()) == {1}


def test_make_test_leaves_cases_and_whole_generators_to_lab_long(short: Collected, whole: Collected) -> None:
    """A sample of each generator stays."""
    left = {test.partition("[")[0] for test, proof in whole.items() if test not in short and not proof}
    assert left == {
        "tests/lab/test_agreement.py::test_prediction_and_reality_agree",
        "tests/lab/test_agreement.py::test_worlds_and_reality_agree",
        "tests/lab/test_deletions.py::test_every_deletion_of_iptables",
        "tests/lab/test_deletions.py::test_every_deletion_of_nft",
        "tests/lab/test_engine29.py::test_faults",
        "tests/lab/test_engine29.py::test_faults_of_names",
        "tests/lab/test_evaluator.py::test_prediction_is_what_the_kernel_does",
        "tests/lab/test_kept_rules.py::test_what_is_mended_stays_mended",
        "tests/lab/test_every_hook.py::test_the_first_fix_alone_opens_what_was_asked",
        "tests/lab/test_live_and_bundle.py::test_a_bundle_gives_the_whole_report_of_its_host",
        "tests/lab/test_not_installed.py::test_in_a_debian_without_python",
        "tests/lab/test_not_installed.py::test_the_file_goes_over_a_real_ssh_and_leaves_nothing",
        "tests/lab/test_not_installed.py::test_the_image_says_what_the_installed_tool_says",
        "tests/lab/test_not_installed.py::test_the_single_file_says_what_the_installed_tool_says",
        "tests/lab/test_not_installed.py::test_where_the_single_file_unpacks",
        "tests/lab/test_real_tickets.py::test_healthy_setups_are_silent",
        "tests/lab/test_real_tickets.py::test_the_cause_comes_first",
        "tests/lab/test_recreated.py::test_the_same_but_for_what_changed",
    }
    sampled = {test.partition("[")[0] for test in short}
    assert sampled >= {
        "tests/lab/test_agreement.py::test_prediction_and_reality_agree",
        "tests/lab/test_agreement.py::test_worlds_and_reality_agree",
        "tests/lab/test_engine29.py::test_faults",
        "tests/lab/test_evaluator.py::test_a_sample_of_predictions",
        "tests/lab/test_every_hook.py::test_the_first_fix_alone_opens_what_was_asked",
        "tests/lab/test_live_and_bundle.py::test_a_bundle_gives_the_whole_report_of_its_host",
        "tests/lab/test_real_tickets.py::test_healthy_setups_are_silent",
        "tests/lab/test_real_tickets.py::test_the_cause_comes_first",
        "tests/lab/test_recreated.py::test_the_same_but_for_what_changed",
    }


def test_make_test_stays_within_its_time(short: Collected) -> None:
    """Cases grow with causes only; whoever adds other tests beyond this marks some as `long`. An engine's run one by one."""
    engines = [re.search(r"[\[-](oldest|middle|newest)[\]-]", test) for test, proof in short.items() if not proof]
    assert max(Counter(engine[1] for engine in engines if engine).values()) <= 90
    assert sum(engine is None for engine in engines) <= 100


# --- the state of `make lab-long`

_TESTS = """
import pathlib, pytest

def test_that_passes():
    pass

@pytest.mark.flaky(reruns=1)
def test_that_interrupts_once():
    seen = pathlib.Path("seen")
    if not seen.exists():
        seen.touch()
        raise KeyboardInterrupt

@pytest.mark.flaky(reruns=1)
def test_that_passes_when_tried_again(tries=[]):
    tries.append(1)
    assert len(tries) == 2

def test_that_fails():
    assert pathlib.Path("mended").exists()
"""


def test_it_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    state = tmp_path / "state.jsonl"
    (tmp_path / "test_it.py").write_text(_TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    environment = {**os.environ, "LAB_STATE": str(state), "PYTHONPATH": str(ROOT)}

    def run() -> tuple[int, list[list[str]], list[str]]:
        """The exit status, the figures, and which tests ended in this run."""
        before = len(state.read_text()) if state.exists() else 0
        command = [sys.executable, "-m", "pytest", "-p", "tests.lab.long", "-p", "no:cacheprovider", "-n", "1", "test_it.py"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True)
        figures = [line.split()[:5] for line in done.stdout.splitlines() if re.match(r"(test_it.py|all)  ", line)]
        ended = re.findall(r"::(\w+)", state.read_text()[before:])
        return done.returncode, figures, ended

    status, figures, ended = run()
    assert (status, ended) == (pytest.ExitCode.INTERRUPTED, ["test_that_passes"])
    assert figures == [["test_it.py", "1", "0", "0", "0"], ["all", "1", "0", "0", "0"]]

    others = ["test_that_interrupts_once", "test_that_passes_when_tried_again", "test_that_fails"]
    status, figures, ended = run()
    assert (status, ended) == (pytest.ExitCode.TESTS_FAILED, others)
    assert figures[-1] == ["all", "3", "1", "0", "1"]

    with state.open("a") as file:
        file.write('\n{"test": "cut o')
    (tmp_path / "mended").touch()
    status, figures, _ = run()
    assert (status, figures[-1]) == (pytest.ExitCode.OK, ["all", "4", "0", "0", "1"])
    assert run()[::2] == (pytest.ExitCode.OK, [])
