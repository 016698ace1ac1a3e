"""The programs of this machine: where they are, and what they print, within a time and a size.

A program writes into memory, so that none waits to be read and several run side by side. That memory cannot grow: who prints
without end gets an error, and is ended.
"""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import subprocess
import time
from collections.abc import Sequence
from typing import NamedTuple

from dockernet_doctor import ending
from dockernet_doctor.decoding import as_text
from dockernet_doctor.snapshot.trusted import MOST_LINKS, others_write, roots

SEARCH_PATH = "/usr/sbin:/sbin:/usr/bin:/bin:/usr/local/sbin:/usr/local/bin"
LIMIT = 64 << 20  # bytes of what a program prints
_ERRORS_LIMIT = 64 << 10
_MARGIN = 64 << 10  # beyond the limit, so that who passes it is told from who just reaches it


def find_program(name: str) -> str:
    """Path of a program, looked for in PATH and in the directories of the administrator's programs; "" when absent.

    Root passes over those that another user can have put there, or can change: PATH may lead through anybody's directories.
    """
    # Not by shutil, which brings the archive formats with it.
    paths = (f"{folder}/{name}" for folder in f"{os.environ.get('PATH', '')}:{SEARCH_PATH}".split(":") if folder)
    found = (path for path in paths if os.access(path, os.X_OK) and os.path.isfile(path))  # noqa: PTH113
    return next((path for path in found if os.geteuid() != 0 or _is_only_roots(path)), "")


def _is_only_roots(path: str) -> bool:
    """True if every directory, link and file on the way is root's, and none of them writable by others.

    In a sticky directory such as /tmp anybody makes names, but nobody else's are replaced there: a directory of root's
    in it is taken, a file or a link is not, which may be another name of one from elsewhere.
    """
    root = roots()
    pending = os.path.abspath(path).split("/")[::-1]  # noqa: PTH100
    at, links = "", 0
    try:
        while pending:
            part = pending.pop()
            if part in ("", ".", ".."):
                at = at.rpartition("/")[0] if part == ".." else at
                continue
            above, state = os.lstat(at or "/"), os.lstat(f"{at}/{part}")
            shared = others_write(above) and not (above.st_mode & stat.S_ISVTX and stat.S_ISDIR(state.st_mode))
            if shared or state.st_uid not in root:
                return False
            if stat.S_ISLNK(state.st_mode):
                links += 1
                target = os.readlink(f"{at}/{part}")  # noqa: PTH115
                at = "" if target.startswith("/") else at
                pending += target.split("/")[::-1]
            else:
                at = f"{at}/{part}"
            if links > MOST_LINKS:
                return False
    except OSError:
        return False
    return not others_write(state)


class ProgramError(Exception):
    """A program could not be started, did not end in time, or printed too much; str() is a sentence without its subject."""


class Printed(NamedTuple):
    status: int
    output: bytes
    errors: bytes

    @property
    def complaints(self) -> list[str]:
        """The lines on standard error, else one about the exit status."""
        return as_text(self.errors).strip().splitlines() or [f"exit status {self.status}"]


class Program:
    """A program at work, started in the network namespace of the calling thread. It ends with this process."""

    def __init__(
        self, command: Sequence[str], *, limit: int = LIMIT, plain: bool = False, fed: int = subprocess.DEVNULL
    ) -> None:
        """`plain`: in the C locale, with the environment of nobody in particular; `fed`: the open file that it reads. Never
        raises."""
        self.command = tuple(command)
        self._limit = limit
        self._failure = ""
        self._output = self._errors = -1
        try:
            self._output, self._errors = _memory(limit), _memory(_ERRORS_LIMIT)
            with ending.unbroken():
                self._process = subprocess.Popen(
                    command,
                    stdin=fed,
                    stdout=self._output,
                    stderr=self._errors,
                    env={"LC_ALL": "C", "PATH": SEARCH_PATH} if plain else None,
                    cwd="/" if plain else None,
                    start_new_session=ending.leads(),
                )
                ending.started(self._process.pid)
        except OSError as error:
            self._failure = error.strerror or str(error)

    def printed(self, until: float) -> Printed:
        """What it printed until it ended. ProgramError where that is later than `until` of time.monotonic(). Called once."""
        try:
            if self._failure:
                raise ProgramError(self._failure)
            status = self._status(until)
            if _written(self._output) > self._limit:
                raise ProgramError(f"it printed more than {self._limit >> 20} MiB")
            return Printed(status, _content(self._output), _content(self._errors))
        finally:
            for memory in (self._output, self._errors):
                if memory >= 0:
                    os.close(memory)

    def _status(self, until: float) -> int:
        pid, pause = self._process.pid, 0.0005
        try:
            while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
                left = until - time.monotonic()
                if _written(self._output) > self._limit:
                    break
                if left <= 0:
                    raise ProgramError("it did not end in time")
                time.sleep(min(pause, left))
                pause = min(pause * 2, 0.02)
        finally:
            ending.kill(pid)
            try:
                self._process.wait(0.2)
            except subprocess.TimeoutExpired:  # it hangs in the kernel
                self._process.returncode = -signal.SIGKILL
        return self._process.returncode


def run(command: Sequence[str], until: float, *, limit: int = LIMIT, fed: int = subprocess.DEVNULL) -> Printed:
    """What the program prints until it ends. ProgramError where it does not by `until` of time.monotonic()."""
    return Program(command, limit=limit, fed=fed).printed(until)


def _memory(limit: int) -> int:
    memory = os.memfd_create("printed", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(memory, limit + _MARGIN)
        fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
    except OSError:  # a limit of what a file holds
        os.close(memory)
        raise
    return memory


def _written(memory: int) -> int:
    """The program writes through the very same open file, position included."""
    return os.lseek(memory, 0, os.SEEK_CUR)


def _content(memory: int) -> bytes:
    parts: list[bytes] = []
    offset, size = 0, _written(memory)
    while offset < size and (part := os.pread(memory, size - offset, offset)):
        parts.append(part)
        offset += len(part)
    return b"".join(parts)
