"""For all tests: under pytest-xdist all tests of one engine go to one worker, so that each worker runs one lab host; those of
the corpus are shared out."""

from __future__ import annotations

import os
import random
import re
from typing import Any

import pytest
from hypothesis import settings

# A loaded machine is no fault, and what CI tries does not change from run to run; elsewhere examples are new each time.
settings.register_profile("project", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("project")

# What the samples of the lab's generators are drawn with, the same in all of xdist's workers, which inherit it.
os.environ.setdefault("LAB_SEED", "1" if "CI" in os.environ else str(random.randrange(1_000_000)))


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
