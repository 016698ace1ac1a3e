"""Limits of processes, files and memory: there is a report, or one line."""

from __future__ import annotations

import os
import resource
import shutil
from pathlib import Path

import pytest

from .engine import RUNS, attempt_of
from .program import patiently, python

LIMITS = {
    "16 open files": (resource.RLIMIT_NOFILE, 16),
    "20 open files": (resource.RLIMIT_NOFILE, 20),
    "24 open files": (resource.RLIMIT_NOFILE, 24),
    "32 open files": (resource.RLIMIT_NOFILE, 32),
    "64 open files": (resource.RLIMIT_NOFILE, 64),
    "150 MB of memory": (resource.RLIMIT_AS, 150 << 20),
    "200 MB of memory": (resource.RLIMIT_AS, 200 << 20),
    "400 MB of memory": (resource.RLIMIT_AS, 400 << 20),
    "1 MB in a file": (resource.RLIMIT_FSIZE, 1 << 20),
    "1 MB of stack": (resource.RLIMIT_STACK, 1 << 20),
    "no core, no locked memory": (resource.RLIMIT_MEMLOCK, 0),
}


@pytest.mark.fault
@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("asked", RUNS)
def test_limits(asked: str, limit: str, tmp_path: Path) -> None:
    which, most = LIMITS[limit]
    patiently(lambda timeout: attempt_of(asked, timeout, tmp_path, preexec_fn=lambda: resource.setrlimit(which, (most, most))))


USER = 64_988  # of whom nothing else runs: the limit counts all processes and threads of a user


@pytest.mark.fault
@pytest.mark.parametrize("most", [1, 2, 3, 4, 6, 10])
@pytest.mark.parametrize("asked", RUNS)
def test_a_user_s_limit_of_processes(asked: str, most: int, tmp_path: Path) -> None:
    """RLIMIT_NPROC, which does not hold for root."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("only root can be another user")
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    before = ("setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups")
    limit = (resource.RLIMIT_NPROC, (most, most))
    patiently(lambda timeout: attempt_of(asked, timeout, tmp_path, before, preexec_fn=lambda: resource.setrlimit(*limit)))


# For root, whom most of this is about, that limit does not hold.
_NO_MORE = "def none(*_, **__): raise BlockingIOError(11, 'Resource temporarily unavailable')\n"
_NO_THREAD = (
    'import threading\ndef no_thread(_): raise RuntimeError("can\'t start new thread")\nthreading.Thread.start = no_thread\n'
)
NO_MORE = {
    "processes": f"import os\n{_NO_MORE}os.fork = none",
    "programs": f"import subprocess\n{_NO_MORE}subprocess.Popen._execute_child = none",
    "threads": _NO_THREAD,
    "of any": f"import os, subprocess\n{_NO_MORE}{_NO_THREAD}os.fork = subprocess.Popen._execute_child = none",
}


@pytest.mark.fault
@pytest.mark.parametrize("what", NO_MORE)
@pytest.mark.parametrize("asked", RUNS)
def test_no_more_processes_or_threads(asked: str, what: str, tmp_path: Path) -> None:
    patiently(lambda timeout: attempt_of(asked, timeout, tmp_path, program=python(NO_MORE[what])))
