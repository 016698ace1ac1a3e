"""Many conversations in one thread.

A conversation with the network is a generator: it opens its socket, yields a `Wait` whenever it would have to wait, is
told whether that came true, and returns what it found. A `Loop` carries hundreds of them on side by side. Nothing is
left behind when it is interrupted: closing a generator closes its socket.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol, TypeVar

T = TypeVar("T")

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE


class HasFileno(Protocol):
    def fileno(self) -> int: ...


class Wait(NamedTuple):
    """Until `file` can be read or written (True is sent back), or the clock says `until` (False).

    Where `until` is past already the clock wins: who sends without end does not prolong a conversation.
    """

    file: HasFileno
    events: int
    until: float  # time.monotonic()


Steps = Generator[Wait, bool, T]

#: Enters a network namespace for as long as the block lasts. Sockets opened in it stay there.
Enter = Callable[[], AbstractContextManager[None]]


class Loop:
    """Conversations under way. A context: leaving it ends what has not ended."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._waits: dict[Steps[Any], tuple[Wait, Callable[[Any], None]]] = {}
        self._late: set[Steps[Any]] = set()  # began to wait when their time was over

    def __enter__(self) -> Loop:
        return self

    def __exit__(self, *_: object) -> None:
        for steps in list(self._waits):
            steps.close()
        self._selector.close()

    def __len__(self) -> int:
        return len(self._waits)

    def start(self, steps: Steps[T], done: Callable[[T], None]) -> None:
        """Carry `steps` on from now; `done` gets what it returns."""
        self._resume(steps, done, None)

    def turn(self, until: float) -> None:
        """Wait for the next thing to happen, at most until `until` (monotonic), and carry on what it concerns."""
        wake = min((wait.until for wait, _ in self._waits.values()), default=until)
        events = self._selector.select(max(0.0, min(wake, until) - time.monotonic()))
        for key, _ in events:
            self._carry_on(key.data, key.data not in self._late)
        now = time.monotonic()
        for steps in [steps for steps, (wait, _) in self._waits.items() if wait.until <= now]:
            self._carry_on(steps, False)

    def _carry_on(self, steps: Steps[Any], came: bool) -> None:
        wait, done = self._waits.pop(steps)
        self._late.discard(steps)
        self._selector.unregister(wait.file)
        self._resume(steps, done, came)

    def _resume(self, steps: Steps[Any], done: Callable[[Any], None], came: bool | None) -> None:
        try:
            wait = next(steps) if came is None else steps.send(came)
        except StopIteration as end:
            done(end.value)
            return
        self._selector.register(wait.file, wait.events, steps)
        self._waits[steps] = wait, done
        if wait.until <= time.monotonic():
            self._late.add(steps)


def finish(steps: Steps[T]) -> T:
    """Carry one conversation on to its end and return its result."""
    results: list[T] = []
    with Loop() as loop:
        loop.start(steps, results.append)
        while not results:
            loop.turn(time.monotonic() + 1)
    return results[0]
