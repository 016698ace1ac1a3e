"""Which process holds a socket, as far as /proc shows it."""

# Plain strings instead of Path objects: this is the hot path, and it opens thousands of files of /proc.
# ruff: noqa: PTH115, PTH116, PTH123, PTH208
from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress

from msgspec.structs import replace

from dockernet_doctor.decoding import as_text, is_number
from dockernet_doctor.regex import regex
from dockernet_doctor.snapshot.model import Process
from dockernet_doctor.snapshot.trusted import others_write, owner


def owners(inodes: Iterable[int], user: int = 0) -> dict[int, Process]:
    """The process that holds each socket: socket inode → process, those nobody visible holds left out.

    Looks through /proc/PID/fd, so it is asked for wanted sockets only, and at docker-proxy first, which holds most of
    them. Of several holders the one with the lowest pid counts (a master before its workers), and pid 1 last, which
    keeps the sockets of what it activates. `user`: whose daemon it is that is asked about; 0 is root's.
    """
    wanted = {f"socket:[{inode}]": inode for inode in inodes if inode}
    found: dict[int, Process] = {}
    if not wanted:
        return found
    try:
        pids = sorted(int(name) for name in os.listdir("/proc") if is_number(name))
    except OSError:
        return found
    descriptor = ""  # at which the proxy before holds its only socket, and so does the next
    for pid in pids:
        if _comm(pid) == PROXY:
            descriptor, inode = next(_sockets_of(pid, wanted, descriptor), (descriptor, 0))
            if inode:
                found[inode] = Process(pid=pid, name=PROXY, halted=halted(pid), of_daemon=_is_of_daemon(pid, user))
    for pid in (*pids[1:], *pids[:1]):
        if len(found) == len(wanted):
            break
        for _, inode in _sockets_of(pid, wanted):
            if inode not in found and (process := read_process(pid)) is not None:
                named = process.name.startswith(PARTS_OF_DOCKER)
                found[inode] = replace(process, of_daemon=_is_of_daemon(pid, user)) if named else process
    return found


def may_see_all_sockets() -> bool:
    """True if the file descriptors of other users' processes can be looked at (CAP_SYS_PTRACE), so that a socket
    without an owner really has none in this PID namespace."""
    try:
        os.listdir("/proc/1/fd")
        return True
    except OSError:
        return False


def read_process(pid: int) -> Process | None:
    """Name and container of a process; None when it has ended."""
    name = _comm(pid)
    if name is None:
        return None
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="replace") as file:
            container = _CONTAINER_ID.search(file.read(16384))
    except OSError:
        return None
    return Process(pid=pid, name=name, container=container.group(1) if container else None, halted=halted(pid))


_HALTS = {"do_signal_stop": "stopped", "__refrigerator": "frozen", "do_freezer_trap": "frozen"}


def halted(pid: int) -> str:
    """Whether the process is stopped (SIGSTOP) or frozen, by the kernel function that it waits in; "" where it runs."""
    waits_in = _line(pid, "wchan")
    if waits_in in (None, "", "0"):  # this kernel has no names, or the process runs
        return "stopped" if (_line(pid, "stat") or "").rpartition(") ")[2].startswith("T") else ""
    return _HALTS.get(waits_in or "", "")


def _comm(pid: int) -> str | None:
    return _line(pid, "comm")


def _line(pid: int, name: str) -> str | None:
    try:
        fd = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return as_text(os.read(fd, 512)).removesuffix("\n")
    except OSError:
        return None
    finally:
        os.close(fd)


# --- owners -----------------------------------------------------------------------------------------------------------

PROXY = "docker-proxy"
PARTS_OF_DOCKER = (PROXY, "dockerd", "rootlesskit", "rootlessport")

# Below user.slice everybody names cgroups as he likes; a rootless daemon's containers listen in no namespace but their own.
_CONTAINER_ID = regex(r"^(?!.*/user\.slice/).*?\b([0-9a-f]{64})\b", re.MULTILINE)


def _is_of_daemon(pid: int, user: int) -> bool:
    """True if a process runs as root, or as that user or this one: what it is called, it chose itself.

    Nor may its program be anybody's to change, or one that any user runs as root, as sudo is.
    """
    try:
        program = os.stat(f"/proc/{pid}/exe")
        of_its_user = owner(pid) in (0, user, os.geteuid())
    except (OSError, ValueError):
        return False
    return of_its_user and not others_write(program) and not program.st_mode & (stat.S_ISUID | stat.S_ISGID)


def _sockets_of(pid: int, wanted: dict[str, int], first: str = "") -> Iterator[tuple[str, int]]:
    """The descriptors at which a process holds wanted sockets, and these."""
    for descriptor in _descriptors(pid, first):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{descriptor}")
        except OSError:
            continue
        if target in wanted:
            yield descriptor, wanted[target]


def _descriptors(pid: int, first: str) -> Iterator[str]:
    """`first` before they are listed, which takes ten times as long as looking at one."""
    if first:
        yield first
    with suppress(OSError):
        yield from reversed(os.listdir(f"/proc/{pid}/fd"))  # which begins with the standard streams
