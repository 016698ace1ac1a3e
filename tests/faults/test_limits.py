"""Limits of processes, files and memory: there is a report, or one line."""

from __future__ import annotations

import resource
import shlex
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from dockernet_doctor.commands.demo import BUNDLE

from .engine import but, engine, well
from .program import DOCTOR, patiently, python, run

WHOLE = str(resources.files("dockernet_doctor") / BUNDLE)
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
ASKED = (
    "check -H unix",
    "check -H tcp",
    "check -H ssh://host",
    f"check --bundle {WHOLE}",
    f"map --bundle {WHOLE}",
    "ports -H unix",
)


def _attempt(
    asked: str, timeout: float, folder: Path, before: tuple[str, ...] = (), program: tuple[str, ...] = DOCTOR, **more: Any
) -> None:
    with engine("tcp" if " tcp" in asked else "unix", folder, but("", well)) as url:
        words = [url if word in ("unix", "tcp") else word for word in shlex.split(asked)]
        done = run([*before, *program, *words, "--timeout", f"{timeout:g}", "--format", "json"], **more)
    if done.stdout or done.status != 3:
        assert (done.stderr, done.status in (0, 1, 3), done.stdout[:1]) == (b"", True, b"{")
    else:
        assert done.is_one_line(), done.stderr


@pytest.mark.fault
@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("asked", ASKED)
def test_limits(asked: str, limit: str, tmp_path: Path) -> None:
    which, most = LIMITS[limit]
    patiently(lambda timeout: _attempt(asked, timeout, tmp_path, preexec_fn=lambda: resource.setrlimit(which, (most, most))))


# RLIMIT_NPROC does not hold for root, whom most of this is about.
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
@pytest.mark.parametrize("asked", ASKED)
def test_no_more_processes_or_threads(asked: str, what: str, tmp_path: Path) -> None:
    patiently(lambda timeout: _attempt(asked, timeout, tmp_path, program=python(NO_MORE[what])))
