"""The insides of containers, read by a second process while this one asks the daemon.

Visiting the namespaces of 200 containers keeps a process as busy as all that the daemon answers. So one is forked before
there is any thread; the pids of the containers come to it over a pipe, one a line, and when that ends it sends back what it
found.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from dockernet_doctor.forked import Forked, alone
from dockernet_doctor.snapshot.sandbox import SandboxReading, read_sandboxes


class Visitor:
    """Reads the sandboxes of the processes it is told of.

    Where no process may be forked, since threads run already, this one reads them when they are wanted.
    """

    def __init__(self) -> None:
        self._pids: list[int] = []
        self._child = Forked(_serve) if alone() else None

    def visit(self, pid: int) -> None:
        """A container's main process. Several threads may call this."""
        self._pids.append(pid)
        if self._child is not None:
            self._child.tell(b"%d\n" % pid)

    def sandboxes(self) -> SandboxReading:
        """All of them. Called once, and never raises."""
        answer = self._child.result() if self._child is not None else None
        return read_sandboxes(self._pids) if answer is None else msgspec.msgpack.decode(answer, type=SandboxReading)

    def dismiss(self) -> None:
        """None of them is wanted."""
        if self._child is not None:
            self._child.end()


def _serve(pids: Iterable[bytes]) -> bytes:
    return msgspec.msgpack.encode(read_sandboxes(map(int, pids)))
