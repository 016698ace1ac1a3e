"""A time by which computing ends, however much there is to compute.

An alarm raises OutOfTimeError in the main thread, wherever that is: also in a search of `re`, and in a read that nothing comes
to. Other threads know nothing of it; whoever waits for one does so until a moment of its own.
"""

from __future__ import annotations

import math
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_AGAIN_S = 0.1
"""An exception that is raised in a finaliser or a callback is lost: the alarm rings until somebody hears it."""

_moments: list[float] = []


class OutOfTimeError(BaseException):
    """The time is over. No Exception: nothing that copes with errors may take it for one."""


@contextmanager
def until(moment: float) -> Iterator[None]:
    """The block ends by `moment` of time.monotonic(), or by that of a block around it: OutOfTimeError is raised in it then.

    In another thread than the main one it does nothing.
    """
    if math.isinf(moment) or threading.current_thread() is not threading.main_thread():
        yield
        return
    depth = len(_moments)
    try:
        _moments.append(min([moment, *_moments]))
        signal.signal(signal.SIGALRM, _ring)
        _set()
        yield
    finally:
        # Before all else: an alarm that rings from here on would be heard by whoever comes after the block.
        del _moments[depth:]
        signal.setitimer(signal.ITIMER_REAL, 0)
        if _moments:
            _set()


def _set() -> None:
    signal.setitimer(signal.ITIMER_REAL, max(1e-6, _moments[-1] - time.monotonic()), _AGAIN_S)


def _ring(_signal: int, frame: FrameType | None) -> None:
    """Not inside the import machinery, whose callbacks print what they lose; the alarm rings again in a moment."""
    if frame is not None and frame.f_code.co_filename.startswith("<frozen importlib"):
        return
    if _moments and time.monotonic() >= _moments[-1]:
        raise OutOfTimeError


def hook(what: sys.UnraisableHookArgs, /) -> None:
    """`sys.unraisablehook` that keeps off standard error what is lost in a finaliser: the alarm rings again."""
    if not isinstance(what.exc_value, OutOfTimeError):
        sys.__unraisablehook__(what)
