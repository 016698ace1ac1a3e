"""A block that is out of time ends, and whoever comes after it hears nothing of its alarm."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest

from dockernet_doctor import deadline
from dockernet_doctor.deadline import OutOfTimeError, until


def test_a_block_ends_by_its_moment_and_not_later_than_the_block_around_it() -> None:
    with pytest.raises(OutOfTimeError), until(time.monotonic() + 0.05), until(time.monotonic() + 600):
        signal.pause()
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_an_alarm_that_rings_while_the_block_ends_is_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = signal.setitimer
    rang = []

    def late(which: Any, seconds: float, interval: float = 0.0) -> tuple[float, float]:
        before = plain(which, seconds, interval)
        if not seconds:
            rang.append(seconds)
            deadline._ring(signal.SIGALRM, None)
        return before

    with until(time.monotonic() + 600):
        monkeypatch.setattr(signal, "setitimer", late)
        monkeypatch.setattr(time, "monotonic", lambda: float("inf"))
    monkeypatch.undo()
    assert rang == [0]
    with until(time.monotonic() + 600):
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 600
