"""A process beside this one: what it gives, and that it never outlives the one that forked it."""

from __future__ import annotations

import os
import signal
import subprocess
import textwrap
import time
from pathlib import Path

import pytest

from tests.unit.scripts import started

A_THREAD = "threading.Thread(target=time.sleep, args=(600,), daemon=True).start()"


def python(script: str) -> subprocess.Popen[str]:
    return started(f"import os, time\nfrom dockernet_doctor.forked import Forked, alone, beside\n{textwrap.dedent(script)}")


@pytest.mark.parametrize(
    ("work", "result"), [("b'x' * 1_000_000", "1000000"), ("1 / 0", "None"), ("os.kill(os.getpid(), 9)", "None")]
)
def test_what_came_to_its_end_counts(work: str, result: str) -> None:
    with python(f"answer = Forked(lambda _: {work}).result(); print(answer and len(answer))") as process:
        assert process.communicate(timeout=120)[0].strip() == result


def test_threads_forbid_it() -> None:
    with python(f"import threading; print(alone()); {A_THREAD}; print(alone())") as process:
        assert process.communicate(timeout=120)[0].split() == ["True", "False"]


@pytest.mark.parametrize("threads", ["", f"import threading; {A_THREAD}"])
def test_beside_is_a_process_or_a_thread(threads: str) -> None:
    with python(f"""
        here = os.getpid()
        {threads}
        number, words = beside(lambda: (os.getpid(), ("a", "b")), tuple[int, tuple[str, ...]])()
        try:
            beside(lambda: 1 / 0, float)()
        except ZeroDivisionError:
            print(number == here, words)
    """) as process:
        assert process.communicate(timeout=120)[0] == f"{bool(threads)} ('a', 'b')\n"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_its_parent(how: signal.Signals) -> None:
    with python("print(Forked(lambda _: time.sleep(600) or b'').pid, flush=True); time.sleep(600)") as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        os.kill(child, 0)
        process.send_signal(how)
        end = time.monotonic() + 60
        while _runs(child) and time.monotonic() < end:
            time.sleep(0.02)
        assert not _runs(child)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
