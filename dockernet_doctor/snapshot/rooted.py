"""Reading a file inside a container's root without ever leaving it.

The container decides what its /etc holds: a link to the host's files, a FIFO that never answers, a device whose mere
opening does something. So links are resolved as the container sees them (openat2 with RESOLVE_IN_ROOT, or by hand on
kernels before 5.6), the file is looked at before it is opened, and no more than `LIMIT` bytes are read.
"""

# Plain strings instead of Path objects: this is the hot path, and it opens thousands of files of /proc.
from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct

from dockernet_doctor.decoding import as_text
from dockernet_doctor.snapshot import trusted

LIMIT = 64 * 1024


def open_root(pid: int) -> int:
    """File descriptor of the root directory of a process; the caller closes it. Raises OSError."""
    return os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def builder(pid: int) -> int:
    """The user with whose rights root reads inside the root of this process: who has a user namespace of his own can mount
    there what he cannot read. Raises OSError."""
    if os.geteuid() != 0 or os.readlink(f"/proc/{pid}/ns/user") == os.readlink("/proc/self/ns/user"):  # noqa: PTH115
        return 0
    uid = trusted.owner(pid)
    return uid if uid >= 0 else trusted.NOBODY


def read_inside(root: int, path: str) -> str:
    """The beginning of a regular file, `path` being relative to `root`; "" of /dev/null, which is mounted to empty a file.

    Raises OSError (ELOOP, ENOENT, EACCES, …).
    """
    fd = _resolve(root, path)
    try:
        return as_text(trusted.contents(fd, LIMIT).data)
    finally:
        os.close(fd)


def is_inside(root: int, path: str) -> bool:
    """True if there is something at `path`, relative to `root`; it is not opened."""
    try:
        os.close(_resolve(root, path))
    except OSError:
        return False
    return True


_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.syscall.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t)
_OPENAT2 = 437  # the same on every architecture but alpha
_NO_MAGICLINKS, _IN_ROOT = 0x02, 0x10
_HOW = struct.pack("=QQQ", os.O_PATH | os.O_CLOEXEC, 0, _NO_MAGICLINKS | _IN_ROOT)


def _resolve(root: int, path: str) -> int:
    fd = int(_libc.syscall(_OPENAT2, root, path.encode(), _HOW, len(_HOW)))
    if fd >= 0:
        return fd
    code = ctypes.get_errno()
    # Kernels before 5.6 do not know the call, and some seccomp profiles answer EPERM for what they do not know.
    if code in (errno.ENOSYS, errno.EPERM):
        return walk(root, path)
    raise OSError(code, os.strerror(code), path)


def walk(root: int, path: str) -> int:
    """The same by hand, one component at a time, none of them followed by the kernel. Raises OSError."""
    pending = [part for part in path.split("/") if part][::-1]
    above = [os.dup(root)]  # the directories that lead here, so that `..` cannot leave the root
    links = 0
    try:
        while pending:
            part = pending.pop()
            if part == ".":
                continue
            if part == "..":
                if len(above) > 1:
                    os.close(above.pop())
                continue
            fd = os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above[-1])
            if not stat.S_ISLNK(os.fstat(fd).st_mode):
                above.append(fd)
                continue
            target = os.readlink("", dir_fd=fd)
            os.close(fd)
            links += 1
            if links > trusted.MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            if target.startswith("/"):
                while len(above) > 1:
                    os.close(above.pop())
            pending += [step for step in target.split("/") if step][::-1]
        return above.pop()
    finally:
        for fd in above:
            os.close(fd)
