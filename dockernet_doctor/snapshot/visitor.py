"""The insides of containers, read by a second process while this one asks the daemon.

Python runs one thread at a time, and visiting the namespaces of 200 containers keeps it as busy as all that the daemon
answers: a thread would gain nothing. So a process is forked before there is any thread; the pids of the containers come to
it over a pipe, one a line, and when that ends it sends back what it found.
"""

# ruff: noqa: PTH123, PTH208 - plain strings and descriptors: this is the hot path
from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from dockernet_doctor.snapshot.sandbox import SandboxReading


class Visitor:
    """Reads the sandboxes of the processes it is told of.

    Where no process may be forked, since threads run already (what they lock would stay locked in it), this one reads them
    when they are wanted.
    """

    def __init__(self) -> None:
        self._pids: list[int] = []
        self._child = _Child() if len(os.listdir("/proc/self/task")) == 1 else None

    def visit(self, pid: int) -> None:
        """A container's main process. Several threads may call this."""
        self._pids.append(pid)
        if self._child is not None:
            self._child.tell(pid)

    def sandboxes(self) -> SandboxReading:
        """All of them. Called once, and never raises."""
        found = self._child.result() if self._child is not None else None
        if found is None:
            from dockernet_doctor.snapshot.sandbox import read_sandboxes

            found = read_sandboxes(self._pids)
        return found

    def dismiss(self) -> None:
        """None of them is wanted."""
        if self._child is not None:
            self._child.end()


class _Child:
    """The forked process. It ends with this one: then nobody writes to its pipe, or reads from it."""

    def __init__(self) -> None:
        pids, self._pids = os.pipe()
        self._answer, answer = os.pipe()
        self._pid = os.fork()
        if not self._pid:
            try:
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                os.close(self._pids)
                os.close(self._answer)
                _serve(pids, answer)
            finally:
                os._exit(0)
        os.close(pids)
        os.close(answer)

    def tell(self, pid: int) -> None:
        with suppress(BrokenPipeError):
            os.write(self._pids, b"%d\n" % pid)

    def result(self) -> SandboxReading | None:
        """What it read; None where it did not come to an end."""
        from dockernet_doctor.snapshot.sandbox import SandboxReading

        os.close(self._pids)
        with open(self._answer, "rb") as pipe:
            answer = pipe.read()
        os.waitpid(self._pid, 0)
        return msgspec.msgpack.decode(answer, type=SandboxReading) if answer else None

    def end(self) -> None:
        os.close(self._pids)
        os.close(self._answer)
        os.waitpid(self._pid, 0)


def _serve(pids: int, answer: int) -> None:
    from dockernet_doctor.snapshot.sandbox import read_sandboxes

    with open(pids, "rb") as lines, open(answer, "wb") as pipe:
        pipe.write(msgspec.msgpack.encode(read_sandboxes(map(int, lines))))
