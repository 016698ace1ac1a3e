"""Who owns a process, and what is read of files in whose place another user may have put something else.

A path leads root through directories of other users: a rootless daemon's file, a compose file in a home, a configuration below
somebody's HOME. So every component is looked at before the next is opened. A link is followed only where nobody else can have
made it; from the first directory of another user on, everything is done with that user's rights; and only a regular file
is opened, which cannot block.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from dockernet_doctor.snapshot.own_container import hosts_root
from dockernet_doctor.threaded import Threaded

T = TypeVar("T")

NOBODY = 65534  # the user and the group without rights
_NULL = os.makedev(1, 3)
MOST_LINKS, _LONGEST_PATH = 40, 4096  # path_resolution(7)
_SETGROUPS = {
    "x86_64": 116, "aarch64": 159, "riscv64": 159, "loongarch64": 159, "armv7l": 206, "i686": 206, "s390x": 206, "ppc64le": 81,
}  # fmt: skip
"""Number of the system call by machine. That of the C library changes the groups of all threads."""


class Contents(NamedTuple):
    data: bytes
    changed_at: float  # seconds of the system clock; a file that was moved here counts as changed


class _ForeignError(Exception):
    def __init__(self, uid: int) -> None:
        self.uid = uid


def read(path: str, limit: int, uid: int = 0) -> Contents:
    """The first `limit` bytes of the regular file at this absolute path; nothing of /dev/null, to which masked units lead.

    `uid` is the user who names the path: root reads it with no more than that user's rights. Raises OSError, whose strerror
    says why where the file is refused.
    """
    if not path.startswith("/") or "\0" in path or len(path) > _LONGEST_PATH:
        raise OSError(errno.EINVAL, "not the absolute path of a file", path)
    own = os.geteuid()
    if own == 0 and uid != 0:
        return with_rights_of(uid, lambda: _read(path, limit, roots(), borrowed=True))
    try:
        return _read(path, limit, roots() | {own}, borrowed=False)
    except _ForeignError as foreign:
        uid = foreign.uid
    return read(path, limit, uid)


def with_rights_of(uid: int, work: Callable[[], T]) -> T:
    """What the work returns or raises, done by root in a thread that meets files as that user does; OSError where it cannot."""

    def do() -> T:
        _take_rights_of(uid)
        return work()

    return Threaded(do, apart=True).result()  # the thread's rights end with it


def contents(fd: int, limit: int) -> Contents:
    """What a descriptor of a path (O_PATH) leads to: a regular file, or /dev/null. Raises OSError."""
    state = os.fstat(fd)
    changed_at = max(state.st_mtime, state.st_ctime)
    if stat.S_ISCHR(state.st_mode) and state.st_rdev == _NULL:
        return Contents(b"", changed_at)
    if not stat.S_ISREG(state.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    readable = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        return Contents(os.read(readable, limit), changed_at)
    finally:
        os.close(readable)


def owner(pid: int) -> int:
    """The user of a process; -1 where its user ids differ. Raises OSError, ValueError.

    The owner of /proc/PID is the effective one alone, which is root for a set-user-ID program that anybody started.
    """
    with open(f"/proc/{pid}/status", "rb", 0) as status:  # noqa: PTH123 - this is asked of hundreds
        uids = set(status.read(4096).partition(b"\nUid:")[2].partition(b"\n")[0].split())
    return int(uids.pop()) if len(uids) == 1 else -1


def only_root_changes(state: os.stat_result) -> bool:
    return state.st_uid in roots() and not others_write(state)


def others_write(state: os.stat_result) -> bool:
    """True if users other than its owner and root may write to it."""
    return bool(state.st_mode & stat.S_IWOTH or (state.st_mode & stat.S_IWGRP and state.st_gid != 0))


def roots() -> frozenset[int]:
    """The user ids that stand for root: in a user namespace whose maker did not map root, it is nobody's."""
    return frozenset((0, Path("/").stat().st_uid))


def _take_rights_of(uid: int) -> None:
    """Makes this thread meet files as that user does, without any group; it can never go back. Raises OSError.

    The kernel takes root's power over files away with the user id: credentials(7), capabilities(7).
    """
    import ctypes

    libc = ctypes.CDLL(None)
    number = _SETGROUPS.get(os.uname().machine)
    if number is not None:
        libc.syscall(ctypes.c_long(number), ctypes.c_long(0), None)
    for set_id, wanted in ((libc.setfsgid, NOBODY), (libc.setfsuid, uid)):
        set_id.argtypes, set_id.restype = (ctypes.c_uint,), ctypes.c_uint
        set_id(wanted)
        if set_id(0xFFFFFFFF) != wanted:  # which changes nothing, and returns what is
            raise OSError(errno.EPERM, "the rights of its owner cannot be taken")
    if os.getgroups():
        raise OSError(errno.EPERM, "the rights of its owner cannot be taken")


def _read(path: str, limit: int, owners: frozenset[int], *, borrowed: bool) -> Contents:
    """`owners` are the users who are not foreign here; `borrowed`: this thread has the rights of a foreign user."""
    fd = _open(path, owners, borrowed=borrowed)
    try:
        return contents(fd, limit)
    finally:
        os.close(fd)


def _open(path: str, owners: frozenset[int], *, borrowed: bool) -> int:
    """A descriptor of the path (O_PATH). _ForeignError where root meets what is another user's."""
    pending = _steps(path)
    above = [os.open(hosts_root(), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)]
    ours = True  # whether nobody else can have put anything here; once lost, no `..` brings it back
    links = 0
    try:
        while pending:
            part = pending.pop()
            if part == "..":
                _leave(above, above[1:][-1:])
                continue
            fd = os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above[-1])
            above.append(fd)
            state = os.fstat(fd)
            foreign = state.st_uid not in owners
            if foreign and not borrowed and os.geteuid() == 0 and (stat.S_ISDIR(state.st_mode) or not ours):
                raise _ForeignError(state.st_uid)
            if stat.S_ISLNK(state.st_mode):
                links += 1
                if foreign or not ours or links > MOST_LINKS:
                    raise OSError(errno.ELOOP, "a link leads there, which another user can change", path)
                target = os.readlink("", dir_fd=fd)
                _leave(above, above[1:] if target.startswith("/") else [fd])
                pending += _steps(target)
            elif stat.S_ISDIR(state.st_mode):
                ours = ours and not foreign and (not others_write(state) or _is_read_only(fd))
            elif not ours and not borrowed and state.st_nlink > 1:
                raise OSError(errno.EMLINK, "the file has another name, and another user can have given it this one", path)
        return above.pop()
    finally:
        _leave(above, above)


def _steps(path: str) -> list[str]:
    """Its components, the first of them last."""
    return [part for part in path.split("/") if part not in ("", ".")][::-1]


def _leave(above: list[int], left: list[int]) -> None:
    """Closes the last of these descriptors."""
    for fd in tuple(left):
        os.close(fd)
        above.remove(fd)


def _is_read_only(fd: int) -> bool:
    """As the store of NixOS is, below whose mount a group of builders might write."""
    return bool(os.fstatvfs(fd).f_flag & os.ST_RDONLY)
