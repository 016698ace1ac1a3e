"""What `make lab-long` adds to pytest: it goes on where it was interrupted, and ends with figures.

The state is a file of one JSON line for each test that ended, in the lab's cache, or LAB_STATE. It is named after the commit,
and after what differs from it, so that another commit starts afresh. What passed is left out the next time.
"""

from __future__ import annotations

import json
import os
import subprocess
import zlib
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.lab import packages


class Ended(NamedTuple):
    """One test: passed, failed or skipped; the seconds of all its tries; how often it was tried again."""

    test: str
    outcome: str
    seconds: float
    reruns: int


def commit() -> str:
    """The commit, and where files differ from it, a number made of the differences."""
    head = _git("rev-parse", "HEAD").strip()
    differing = _git("status", "--porcelain") and _git("diff", "HEAD") + _git("status", "--porcelain")
    return f"{head}+{zlib.crc32(differing.encode()):08x}" if differing else head


def _git(*words: str) -> str:
    root = Path(__file__).parents[2]
    return subprocess.run(["git", "-C", root, *words], check=True, capture_output=True, text=True, errors="replace").stdout


def read(state: Path) -> dict[str, Ended]:
    """What of each test is known last; a line that an interruption cut off is none."""
    ended: dict[str, Ended] = {}
    for line in state.read_text().splitlines() if state.exists() else ():
        try:
            entry = Ended(**json.loads(line))
        except ValueError:
            continue
        ended[entry.test] = entry
    return ended


def figures(ended: dict[str, Ended]) -> list[str]:
    """A line for each module, and one for all."""
    counted: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    for entry in ended.values():
        for row in (entry.test.partition("::")[0], "all"):
            counted[row][entry.outcome] += 1
            counted[row]["reruns"] += entry.reruns
            counted[row]["minutes"] += entry.seconds / 60
    columns = ("passed", "failed", "skipped", "reruns")
    lines = [" " * 32 + "".join(f"{column:>9}" for column in (*columns, "minutes"))]
    for row in sorted(counted, key=lambda row: (row == "all", row)):
        numbers = "".join(f"{counted[row][column]:9.0f}" for column in columns)
        lines.append(f"{row:32}{numbers}{counted[row]['minutes']:9.1f}")
    return lines


class Recorder:
    """In the process that reports: writes the state while the tests run."""

    def __init__(self, commit: str, state: Path) -> None:
        self.commit, self.state = commit, state
        self.passed = sorted(test for test, entry in read(state).items() if entry.outcome == "passed")
        self._running: defaultdict[str, list[pytest.TestReport]] = defaultdict(list)
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._reruns: defaultdict[str, int] = defaultdict(int)

    def pytest_report_header(self) -> str:
        return f"state: {self.state}, {len(self.passed)} tests passed before"

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Give each of xdist's workers the same tests to leave out."""
        node.workerinput["passed"] = self.passed

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._running[report.nodeid].append(report)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        reports = self._running.pop(nodeid)
        outcomes: list[str] = [report.outcome for report in reports]
        self._seconds[nodeid] += sum(report.duration for report in reports)
        if "rerun" in outcomes:  # there will be another try
            self._reruns[nodeid] += 1
            return
        outcome = next((outcome for outcome in ("failed", "skipped") if outcome in outcomes), "passed")
        entry = Ended(nodeid, outcome, round(self._seconds[nodeid], 2), self._reruns[nodeid])
        with self.state.open("a") as file:
            file.write("\n" + json.dumps(entry._asdict()))  # what was cut off stays a line of its own

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and self.passed:
            session.exitstatus = pytest.ExitCode.OK

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section(f"the lab at {self.commit}")
        for line in figures(read(self.state)):
            terminalreporter.line(line)


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return
    at = commit()
    state = Path(os.environ.get("LAB_STATE") or packages.cache_dir() / f"long-{at}.jsonl")
    state.parent.mkdir(parents=True, exist_ok=True)
    config.pluginmanager.register(Recorder(at, state), "recorder of the lab's state")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    recorder = config.pluginmanager.get_plugin("recorder of the lab's state")
    passed = set(recorder.passed if recorder else config.workerinput["passed"])  # type: ignore[attr-defined]
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in passed])
    items[:] = [item for item in items if item.nodeid not in passed]
