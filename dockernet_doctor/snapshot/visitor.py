"""The insides of containers, read by two processes while this one asks the daemon.

Visiting the namespaces of 200 containers keeps a process longer busy than all that the daemon answers. So they are forked
before there is any thread; the pids of the containers come to them over a pipe, one a line, and when that ends they send back
what they found.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from contextlib import suppress
from functools import reduce

import msgspec

from dockernet_doctor.forked import Forked, alone
from dockernet_doctor.snapshot.sandbox import SandboxReading, read_sandboxes, unread

_CHILDREN = 2


class Visitor:
    """Reads the sandboxes of the given processes.

    Where no process may be forked, since threads run already, this one reads them when they are wanted.
    """

    def __init__(self) -> None:
        self._pids: list[int] = []
        self._children: list[Forked] = []
        if alone():
            with suppress(OSError):  # a limit of processes or of open files: those that there are do it
                for _ in range(_CHILDREN):
                    self._children.append(Forked(_serve))

    def visit(self, pid: int) -> None:
        """A container's main process. Several threads may call this."""
        self._pids.append(pid)
        if self._children:
            self._children[len(self._pids) % len(self._children)].tell(b"%d\n" % pid)

    def sandboxes(self, until: float | None = None) -> SandboxReading:
        """All of them; those are missing that were not read by `until` of time.monotonic(). Called once, and never raises."""
        if not self._children:
            return read_sandboxes(self._pids)
        decoder = msgspec.msgpack.Decoder(SandboxReading)  # made while the children still read
        found = []
        for number, child in enumerate(self._children):
            pids = [pid for index, pid in enumerate(self._pids, 1) if index % len(self._children) == number]
            try:
                answer = child.result(until)
                found.append(read_sandboxes(pids) if answer is None else decoder.decode(answer))
            except TimeoutError:
                found.append(unread(pids, "reading it did not end in time"))
        return reduce(operator.add, found)

    def dismiss(self) -> None:
        """None of them is wanted."""
        for child in self._children:
            child.end()


def _serve(pids: Iterable[bytes]) -> bytes:
    return msgspec.msgpack.encode(read_sandboxes(map(int, pids)))
