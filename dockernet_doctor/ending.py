"""The end of this process, by a signal or its own: nothing that it started, or wrote half, is left behind.

A program or a forked process leads a session of its own, so that what it starts in turn is known by its process group. What a
forked process starts stays in that process's group, and ends with it. Whoever waits for a leader ends its group first: until
then no other process can get its number.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_leaders: set[int] = set()
_files: set[str] = set()
_forked = False
# Lists, since appending and popping is one step whatever the other threads do.
_unbroken: list[None] = []
_wanted: list[int] = []


def catch_signals() -> None:
    """SIGINT, SIGTERM and SIGHUP end this process silently, with status 128 + their number, unless its parent ignores them."""
    for number in SIGNALS:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, by_signal)


def by_signal(number: int, _frame: FrameType | None) -> None:
    """Ends this process with 128 + the signal's number."""
    _wanted.append(number)
    if not _unbroken:
        _end_by_signal()


def now(status: int) -> NoReturn:
    """Ends this process with that exit status. Threads that wait for the network must not hold up the end."""
    for leader in tuple(_leaders):
        kill(leader)
    for file in tuple(_files):
        with suppress(OSError):
            os.unlink(file)  # noqa: PTH108 - pathlib is not imported when the first signal comes
    os._exit(status)


@contextmanager
def unbroken() -> Iterator[None]:
    """A signal ends this process after the block: what it starts or creates is noted then. The block must be short."""
    _unbroken.append(None)
    try:
        yield
    finally:
        _unbroken.pop()
        if _wanted and not _unbroken:
            _end_by_signal()


def leads() -> bool:
    """True where a process that is started here must lead a session: everywhere but in a forked process."""
    return not _forked


def started(pid: int) -> None:
    """Notes a process that ends with this one. To be called in the `unbroken` block that starts it."""
    _leaders.add(pid)


def kill(pid: int) -> None:
    """Ends a process that was noted, with all that it started. To be called before anybody waits for it."""
    with suppress(ProcessLookupError, PermissionError):
        (os.kill if _forked else os.killpg)(pid, signal.SIGKILL)
    _leaders.discard(pid)


def creates(file: str) -> None:
    """Notes a file that is not whole yet, before it is created."""
    _files.add(file)


def keeps(file: str) -> None:
    """The file is whole, or gone."""
    _files.discard(file)


def in_forked() -> None:
    """What a forked process does first: it has started nothing yet, and these signals end it silently."""
    global _forked  # noqa: PLW0603 - it is this process's own
    if not _forked:
        os.setsid()
    _forked = True
    for kept in (_leaders, _files, _unbroken, _wanted):
        kept.clear()
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def _end_by_signal() -> NoReturn:
    with suppress(OSError):
        if os.isatty(2):
            os.write(2, b"\r\x1b[K")  # the line of progress
    now(128 + _wanted[0])
