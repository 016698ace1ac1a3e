"""Work done by a thread beside this one, for what waits more than it computes."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Threaded(Generic[T]):
    """A thread at `work`. In place of concurrent.futures, which brings logging with it: importing that takes 4 ms.

    Where no thread can be started (a limit of processes or of memory), the work is done here and at once, or, where it must be
    done `apart`, since it changes what its thread may do, OSError is the result.
    """

    def __init__(self, work: Callable[[], T], *, apart: bool = False) -> None:
        self._work = work
        self._results: list[T] = []
        self._errors: list[BaseException] = []
        self._started = True
        self._thread = threading.Thread(target=self._run, daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            self._started = False
            if apart:
                self._errors.append(BlockingIOError(errno.EAGAIN, "no thread can be started"))
            else:
                self._run()

    def _run(self) -> None:
        try:
            self._results.append(self._work())
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            self._errors.append(error)

    def wait(self) -> None:
        """Until the work is done, whatever came of it."""
        if self._started:
            self._thread.join()

    def result(self, until: float | None = None) -> T:
        """What the work returns or raises. TimeoutError where it is not done by `until` of time.monotonic(): the thread is
        left to itself then, and ends with the process."""
        if self._started:
            self._thread.join(None if until is None else max(0.0, until - time.monotonic()))
        if self._errors:
            raise self._errors[0]
        if not self._results:
            raise TimeoutError
        return self._results[0]
