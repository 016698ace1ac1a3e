"""The insides of containers, read by a second process while this one asks the daemon.

Visiting the namespaces of 200 containers keeps a process as busy as all that the daemon answers. So one is forked before
there is any thread; the pids of the containers come to it over a pipe, one a line, and when that ends it sends back what it
found.
"""

from __future__ import annotations

import os
from contextlib import suppress

import msgspec

from dockernet_doctor.forked import Forked, alone
from dockernet_doctor.snapshot.sandbox import SandboxReading, read_sandboxes


class Visitor:
    """Reads the sandboxes of the processes it is told of.

    Where no process may be forked, since threads run already, this one reads them when they are wanted.
    """

    def __init__(self) -> None:
        self._pids: list[int] = []
        self._child = _Child() if alone() else None

    def visit(self, pid: int) -> None:
        """A container's main process. Several threads may call this."""
        self._pids.append(pid)
        if self._child is not None:
            self._child.tell(pid)

    def sandboxes(self) -> SandboxReading:
        """All of them. Called once, and never raises."""
        found = self._child.result() if self._child is not None else None
        return found or read_sandboxes(self._pids)

    def dismiss(self) -> None:
        """None of them is wanted."""
        if self._child is not None:
            self._child.end()


class _Child:
    """The forked process."""

    def __init__(self) -> None:
        pids, self._pids = os.pipe()
        self.process = Forked(lambda: self._serve(pids))
        os.close(pids)

    def _serve(self, pids: int) -> bytes:
        os.close(self._pids)
        with os.fdopen(pids, "rb") as lines:
            return msgspec.msgpack.encode(read_sandboxes(map(int, lines)))

    def tell(self, pid: int) -> None:
        with suppress(BrokenPipeError):
            os.write(self._pids, b"%d\n" % pid)

    def result(self) -> SandboxReading | None:
        """What it read; None where it did not come to an end."""
        os.close(self._pids)
        answer = self.process.result()
        return None if answer is None else msgspec.msgpack.decode(answer, type=SandboxReading)

    def end(self) -> None:
        os.close(self._pids)
        self.process.end()
