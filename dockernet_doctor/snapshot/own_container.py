"""The container in which dockernet-doctor itself may run, and how it must be started to see its host.

The host is what is examined: the files that its process 1 sees, its processes, its network, the daemon behind the mounted
socket. The firewall is printed by the image's own programs, since the host may have none.
"""

from __future__ import annotations

import contextlib
import os
from functools import lru_cache
from importlib import import_module

from dockernet_doctor import ending
from dockernet_doctor.regex import regex

COMMAND = "docker run --rm --privileged --pid=host --network=host -v /var/run/docker.sock:/var/run/docker.sock dockernet-doctor"
_MARKS = ("/.dockerenv", "/run/.containerenv")
_CONTAINERS_ID = regex(rb"[0-9a-f]{64}")
_SYS_ADMIN = 21  # capability.h


@lru_cache(maxsize=1)
def is_one() -> bool:
    """True where this process runs in a container."""
    return any(os.path.exists(mark) for mark in _MARKS)  # noqa: PTH110 - on the hot path


def examines_host() -> bool:
    """True where this container was started to look at its host. Any other is a host itself, as Docker in Docker is."""
    if not is_one():
        return False
    shared = _shares(1, "mnt")
    if shared is None:  # without --privileged; the control groups of a host and of a container show to everybody
        return b"/.." in _of("cgroup", 1) or bool(_CONTAINERS_ID.search(_of("cgroup", "self")))
    return not shared or _of("comm", 1).startswith(b"dockernet-docto")  # 15 bytes of a name are kept


def hides_host() -> bool:
    """True where the host that this container is to examine cannot be seen: for want of its process 1, or of the rights."""
    return examines_host() and hosts_root() == "/"


def missing_options(socket_path: str | None) -> tuple[str, ...]:
    """The options of COMMAND without which this container was started; () anywhere else.

    The network cannot be told where the host's processes are not seen.
    """
    if not is_one():
        return ()
    sees_host = _shares(1, "mnt") is not True
    missing = {
        "--privileged": not _may_administrate(),
        "--pid=host": not sees_host,
        "--network=host": sees_host and _shares(1, "net") is False,
        mount(socket_path or ""): socket_path is not None and not os.path.exists(socket_path),  # noqa: PTH110
    }
    return tuple(option for option, is_missing in missing.items() if is_missing)


def mount(socket_path: str) -> str:
    """The option that brings a socket of the host into this container."""
    return f"-v {socket_path}:{socket_path}"


def hosts_root() -> str:
    """Where the examined host's files begin: "/", and from a container what the host's process 1 calls so."""
    return "/proc/1/root" if is_one() and _shares(1, "mnt") is False else "/"


def enter_hosts_root() -> None:
    """Lets this process see the host's files and programs. Only for a forked one: ours are out of its reach from here on."""
    if hosts_root() == "/" or ending.leads():
        return
    for module in ("encodings.idna", "encodings.utf_16", "grp"):  # what is needed later can be imported now only
        import_module(module)

    os.chroot("/proc/1/root")
    os.chdir("/")


def holds(pid: int) -> bool:
    """True where this process runs in the same container as that one."""
    return is_one() and pid > 1 and _shares(pid, "mnt") is True


@lru_cache(maxsize=1)
def id_by_mounts() -> str:
    """The id by which the daemon knows this container, from the files of its own that it mounted; "" where that does not show.

    It is told without --pid=host, too, where the daemon's process of this container cannot be found.
    """
    names = (b"/etc/hostname", b"/etc/hosts", b"/etc/resolv.conf")
    mounts = (line.split(b" ") for line in _of("mountinfo", "self").splitlines()) if is_one() else ()
    sources = (fields[3] for fields in mounts if fields[4] in names)
    return next((found[0].decode("ascii") for source in sources if (found := _CONTAINERS_ID.search(source))), "")


def _of(file: str, pid: int | str) -> bytes:
    """A file of a process that all may read; b"" of one that has ended."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/{file}", "rb") as opened:  # noqa: PTH123
        return opened.read()
    return b""


def _may_administrate() -> bool:
    with open("/proc/self/status", "rb") as status:  # noqa: PTH123
        capabilities = status.read().partition(b"\nCapEff:")[2].split(b"\n", 1)[0]
    return bool(int(capabilities or b"0", 16) >> _SYS_ADMIN & 1)


def _shares(pid: int, kind: str) -> bool | None:
    """True if a process lives in this one's namespace of that kind; None where that cannot be seen."""
    try:
        return os.readlink(f"/proc/{pid}/ns/{kind}") == os.readlink(f"/proc/self/ns/{kind}")  # noqa: PTH115
    except OSError:
        return None
