"""Entering network namespaces.

`setns` moves the calling thread and no other: sockets that it opens afterwards, /proc/sys/net and /proc/thread-self/net
as it reads them, and processes that it starts then belong to that namespace. Whoever enters comes back, and `in_thread`
keeps the main thread (whose namespace /proc/self shows to everybody) out of it altogether.
"""

# Plain strings instead of Path objects: this is the hot path, and it opens thousands of files of /proc.
# ruff: noqa: PTH116
from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from dockernet_doctor.threaded import Threaded

T = TypeVar("T")

CLONE_NEWNET = 0x40000000


class NamespaceError(Exception):
    """A network namespace could not be entered or named; str() is a sentence for the operator."""


class NamespaceForbiddenError(NamespaceError):
    """This process may not: it takes CAP_SYS_ADMIN here and ptrace access to the process."""


class NamespaceGoneError(NamespaceError):
    """The process has ended."""


def own_namespace() -> int:
    """Inode of the network namespace that the calling thread is in."""
    return os.stat("/proc/thread-self/ns/net").st_ino


def namespace_of(pid: int) -> int:
    """Inode of the network namespace of a process. Raises NamespaceError."""
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino
    except OSError as error:
        raise _explained(f"the network namespace of process {pid}", error) from error


def open_namespace(pid: int) -> int:
    """File descriptor of the network namespace of a process; the caller closes it. Raises NamespaceError."""
    try:
        return os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise _explained(f"the network namespace of process {pid}", error) from error


@contextmanager
def inside(pid: int) -> Iterator[None]:
    """The calling thread is in the network namespace of that process until the block ends. Raises NamespaceError."""
    fd = open_namespace(pid)
    try:
        with inside_fd(fd):
            yield
    finally:
        os.close(fd)


@contextmanager
def inside_fd(fd: int) -> Iterator[None]:
    """The same for an open namespace file. Raises NamespaceError."""
    with travelling() as enter:
        enter(fd)
        yield


@contextmanager
def travelling() -> Iterator[Callable[[int], None]]:
    """For a thread that visits many: yields a function that enters the namespace of a file descriptor.

    However the block ends, the thread is back where it started. Not being able to go back raises NamespaceError, since
    everything that this thread would read later were another host's.
    """
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    away = False

    def enter(fd: int) -> None:
        nonlocal away
        _enter(fd)
        away = True

    try:
        yield enter
    finally:
        try:
            if away:
                _enter(home)
        finally:
            os.close(home)


def in_thread(work: Callable[[], T]) -> T:
    """What `work` returns or raises, run in a thread of its own, which may change its namespace as it likes."""
    return Threaded(work, apart=True).result()


_libc = ctypes.CDLL(None, use_errno=True)


def _enter(fd: int) -> None:
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise _explained("a network namespace", OSError(code, os.strerror(code)))


def _explained(what: str, error: OSError) -> NamespaceError:
    if error.errno in (errno.EPERM, errno.EACCES):
        return NamespaceForbiddenError(f"no right to enter {what}")
    if error.errno in (errno.ENOENT, errno.ESRCH):
        return NamespaceGoneError(f"the process behind {what} has ended")
    return NamespaceError(f"{what} cannot be entered: {error.strerror}")
