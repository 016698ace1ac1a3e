"""Work done by a forked process beside this one.

Python runs one thread at a time, so what keeps it busy gains from a process of its own and nothing from a thread.
"""

# ruff: noqa: PTH123, PTH208 - plain strings and descriptors: this is the hot path
from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO, TypeVar

import msgspec

from dockernet_doctor.threaded import Threaded

T = TypeVar("T")

_PR_SET_PDEATHSIG = 1  # linux/prctl.h

_ours: set[int] = set()
"""This process's ends of the pipes to its children. The next child closes them, or its sister would never read to an end."""


def alone() -> bool:
    """Whether this thread is the only one. What others lock would stay locked in a forked process."""
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False


def beside(work: Callable[[], T], kind: type[T]) -> Callable[[], T]:
    """Starts the work, in a process of its own or, where threads forbid to fork, in a thread; what is returned waits for its
    result and may be called once. What work in a process raises is met again by doing it here.

    `kind` is of the types that msgspec encodes.
    """
    if not alone():
        return Threaded(work).result
    process = Forked(lambda _: msgspec.msgpack.encode(work()))

    def result() -> T:
        decoder = msgspec.msgpack.Decoder(kind)  # made while the process is at work
        answer = process.result()
        return work() if answer is None else decoder.decode(answer)

    return result


class Forked:
    """A forked process at `work`: it is told things, and sends bytes back. It ends with this one; to be made while `alone`.

    `work` gets what is told as a stream, which ends when the result is asked for.
    """

    def __init__(self, work: Callable[[BinaryIO], bytes]) -> None:
        told, self._told = os.pipe()
        self._answer, answer = os.pipe()
        _ours.update((self._told, self._answer))
        parent = os.getpid()
        self.pid = os.fork()
        if not self.pid:
            status = 1
            try:
                for end in _ours:
                    os.close(end)
                _ours.clear()
                _end_with(parent)
                with open(told, "rb") as words, open(answer, "wb") as pipe:
                    pipe.write(work(words))
                status = 0
            finally:
                os._exit(status)
        os.close(told)
        os.close(answer)

    def tell(self, data: bytes) -> None:
        """Less than a pipe holds at a time (4 KiB on Linux, pipe(7)): then it is one piece whatever other threads tell."""
        with suppress(BrokenPipeError):
            os.write(self._told, data)

    def result(self) -> bytes | None:
        """What the work gave; None where it did not come to its end, for whatever reason. Asked once."""
        _close(self._told)
        with open(self._answer, "rb", closefd=False) as pipe:
            answer = pipe.read()
        _close(self._answer)
        _, status = os.waitpid(self.pid, 0)
        return answer if status == 0 else None

    def end(self) -> None:
        """Its work is not wanted."""
        _close(self._told)
        _close(self._answer)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def _close(end: int) -> None:
    _ours.discard(end)
    os.close(end)


def _end_with(parent: int) -> None:
    """Ctrl-C ends this process without a word, and so does the end of the one that forked it."""
    import ctypes

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
