"""Work done by a forked process beside this one.

Python runs one thread at a time, so what keeps it busy gains from a process of its own and nothing from a thread.
"""

# ruff: noqa: PTH208 - plain strings and descriptors: this is the hot path
from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO, Protocol, TypeVar

import msgspec

from dockernet_doctor import ending
from dockernet_doctor.threaded import Threaded

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_PR_SET_PDEATHSIG = 1  # linux/prctl.h

_ours: set[int] = set()
"""This process's ends of the pipes to its children. The next child closes them, or its sister would never read to an end."""


def alone() -> bool:
    """True if this thread is the only one. What others lock would stay locked in a forked process."""
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False


class Result(Protocol[T_co]):
    def __call__(self, until: float | None = None, /) -> T_co:
        """Waits for it. TimeoutError where it is not there by `until` of time.monotonic()."""


def beside(work: Callable[[], T], kind: type[T]) -> Result[T]:
    """Starts the work, in a process of its own or, where threads forbid to fork, in a thread; what is returned waits for its
    result and may be called once. What work in a process raises is met again by doing it here.

    `kind` is of the types that msgspec encodes.
    """
    if not alone():
        return Threaded(work).result
    try:
        process = Forked(lambda _: msgspec.msgpack.encode(work()))
    except OSError:  # a limit of processes or of open files
        return Threaded(work).result

    def result(until: float | None = None, /) -> T:
        decoder = msgspec.msgpack.Decoder(kind)  # made while the process is at work
        answer = process.result(until)
        return work() if answer is None else decoder.decode(answer)

    return result


class Forked:
    """A forked process at `work`: it receives items, and sends bytes back. It ends with this one; to be made while `alone`.
    OSError where there can be none.

    `work` receives them as a stream, which ends when the result is asked for.
    """

    def __init__(self, work: Callable[[BinaryIO], bytes]) -> None:
        told, self._told = os.pipe()
        self._answer, answer = os.pipe()
        _ours.update((self._told, self._answer))
        parent = os.getpid()
        try:
            with ending.unbroken():
                self.pid = os.fork()
                if not self.pid:
                    _work(work, parent, told, answer)
                ending.started(self.pid)
        except OSError:
            for end in (told, self._told, self._answer, answer):
                _close(end)
            raise
        os.close(told)
        os.close(answer)

    def tell(self, data: bytes) -> None:
        """Less than a pipe holds at a time (4 KiB on Linux, pipe(7)): then it is one piece whatever other threads tell."""
        with suppress(BrokenPipeError):
            os.write(self._told, data)

    def result(self, until: float | None = None) -> bytes | None:
        """What the work gave; None where it did not come to its end, for whatever reason. Asked once.

        TimeoutError where it is not there by `until` of time.monotonic(); the process is ended then.
        """
        _close(self._told)
        try:
            answer = _read(self._answer, until)
        except BaseException:
            self._leave()
            raise
        _close(self._answer)
        # It has closed its end, and does nothing more than to end itself.
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        ending.kill(self.pid)
        _, status = os.waitpid(self.pid, 0)
        return answer if status == 0 else None

    def end(self) -> None:
        """Its work is not wanted."""
        _close(self._told)
        self._leave()

    def _leave(self) -> None:
        _close(self._answer)
        ending.kill(self.pid)
        for _ in range(20):
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                return
            time.sleep(0.005)  # what hangs in the kernel is left there: its number stays its own


def _work(work: Callable[[BinaryIO], bytes], parent: int, told: int, answer: int) -> None:
    """The life of the forked process."""
    status = 1
    try:
        for end in _ours:
            os.close(end)
        _ours.clear()
        ending.in_forked()
        _end_with(parent)
        with open(told, "rb") as words, open(answer, "wb") as pipe:
            pipe.write(work(words))
        status = 0
    finally:
        os._exit(status)


def _read(end: int, until: float | None) -> bytes:
    """All that comes."""
    if until is None:
        with open(end, "rb", closefd=False) as pipe:
            return pipe.read()
    parts: list[bytes] = []
    poll = select.poll()
    poll.register(end, select.POLLIN)
    while poll.poll(max(0.0, until - time.monotonic()) * 1000):
        part = os.read(end, 1 << 20)
        if not part:
            return b"".join(parts)
        parts.append(part)
    raise TimeoutError


def _close(end: int) -> None:
    _ours.discard(end)
    os.close(end)


def _end_with(parent: int) -> None:
    """The end of the one that forked it ends this process, too."""
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
