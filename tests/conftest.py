"""For all tests: under pytest-xdist all tests of one engine go to one worker, so that each worker runs one lab host; those of
the corpus are shared out."""

from __future__ import annotations

import os
import random
import re
import signal
from typing import Any

import docker  # noqa: F401 - whole, before a test's deadline interrupts its import: what is left then is half a package
import pytest
from hypothesis import settings

# A loaded machine is no fault, and what CI tries does not change from run to run; elsewhere examples are new each time.
settings.register_profile("project", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("project")

# What the samples of the lab's generators are drawn with, the same in all of xdist's workers, which inherit it.
os.environ.setdefault("LAB_SEED", "1" if "CI" in os.environ else str(random.randrange(1_000_000)))


# `nohup` and a shell's `&` have these ignored, and what a test starts inherits that: it could not be interrupted.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def pytest_report_header() -> str:
    return f"generators of the lab: LAB_SEED={os.environ['LAB_SEED']}"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Schedule by engine where the test's id names one, else by module; the largest groups, the engines, go first."""
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

    class ByEngine(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            engine = re.search(r"[\[-](oldest|middle|newest)[\]-]", nodeid)
            module = nodeid.partition("::")[0]
            return engine[1] if engine else nodeid if module.endswith("test_corpus.py") else module

    return ByEngine(config, log)


# --- faults: a sample of the tables, which is another each time; FAULTS=all has all, FAULTS_SEED=… that sample again

_SAMPLE = 48


def pytest_configure() -> None:
    os.environ.setdefault("FAULTS_SEED", "1" if "CI" in os.environ else f"{random.randrange(1_000_000)}")  # workers inherit it


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    faults = [item for item in items if item.get_closest_marker("fault")]
    if os.environ.get("FAULTS") == "all" or len(faults) <= _SAMPLE:
        return
    chosen = set(random.Random(os.environ["FAULTS_SEED"]).sample([item.nodeid for item in faults], _SAMPLE))
    config.hook.pytest_deselected(items=[item for item in faults if item.nodeid not in chosen])
    items[:] = [item for item in items if item not in faults or item.nodeid in chosen]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    right, wrong = (
        sum("fault" in report.keywords and report.when == "call" for report in terminalreporter.stats.get(outcome, ()))
        for outcome in ("passed", "failed")
    )
    if right or wrong:
        seed = "all" if os.environ.get("FAULTS") == "all" else f"FAULTS_SEED={os.environ['FAULTS_SEED']}"
        terminalreporter.line(f"faults: {right + wrong} run ({seed}), {right} right")
