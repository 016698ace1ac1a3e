"""The daemon as its process, files and log show it: works while the API is down, hangs, or never came up.

The process is found by its pid file, or by the peer credentials of the socket where that process is dockerd (behind
systemd's socket activation it is pid 1), or by looking through /proc for a dockerd in this process's own mount and
network namespaces. Any user's process may call itself dockerd: the kernel's word on its owner and its program decides.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
import stat
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from dockernet_doctor.decoding import as_text, is_number
from dockernet_doctor.moments import of_clock
from dockernet_doctor.regex import regex
from dockernet_doctor.snapshot import sock_diag, trusted
from dockernet_doctor.snapshot.daemon_files import read_files, without_secrets
from dockernet_doctor.snapshot.daemon_log import read_log
from dockernet_doctor.snapshot.daemon_options import parse_flags
from dockernet_doctor.snapshot.model import BY_ROOT, BlindSpot, Daemon, Record
from dockernet_doctor.snapshot.programs import ProgramError, find_program, run

DEFAULT_SOCKET = "/var/run/docker.sock"
PID_FILES = ("/var/run/docker.pid", "/run/docker.pid")
_LARGEST_PID = 1 << 22  # PID_MAX_LIMIT of 64-bit kernels
_PROC = Path("/proc")
_MOST_STRINGS = 1 << 20  # bytes
_LITTLE = 4096  # bytes
_STATES = ("active", "reloading", "inactive", "failed", "activating", "deactivating")


class _Process(Record, frozen=True, kw_only=True):
    pid: int
    name: str  # comm
    arguments: tuple[str, ...] = ()
    executable: str = ""
    started_at: str = ""
    uid: int = -1  # -1 where its user ids differ, as those of a set-user-ID program may
    installed: bool = False  # whether nobody but root can have made its executable what it is

    def is_dockerd(self, user: int = 0) -> bool:
        """True if it is root's daemon, or that of this user, or of who runs this."""
        named = self.name.startswith("dockerd") or (self.name == "docker" and "daemon" in self.arguments[1:2])
        return named and (self.installed if self.uid == 0 else self.uid in (user, os.geteuid()))


def read_daemon(endpoint_url: str, deadline: float) -> tuple[Daemon, list[BlindSpot]]:
    """The daemon behind `endpoint_url`, and what could not be seen of it. `deadline` is of time.monotonic().

    A remote endpoint gives Daemon(readable=False) and no blind spot: who called knows that it is remote.
    """
    if not is_local(endpoint_url):
        return Daemon(), []
    pid_file, owner = _pid_file(endpoint_url)
    process = _daemon_process(endpoint_url, owner)
    blind: list[BlindSpot] = []
    if process and process.executable == "" and os.geteuid() != 0:
        blind.append(
            BlindSpot(
                area="daemon.process", what=f"the executable of dockerd (pid {process.pid})", why="Permission denied",
                remedy=BY_ROOT,
            )
        )  # fmt: skip
    if process is None and not _is_default(endpoint_url):
        return Daemon(), []  # a socket that this host's files say nothing of: forwarded, or of another product
    user = _rootless_user(endpoint_url)
    home = Path(user.pw_dir) if user else None
    rights_of = process.uid if process else user.pw_uid if user else 0
    files, unread = read_files(process.arguments if process else (), home, rights_of)
    log, log_source, unlogged = read_log(deadline, process.started_at if process else "") if home is None else ((), "", [])
    return (
        Daemon(
            pid=process.pid if process else None,
            started_at=process.started_at if process else "",
            arguments=tuple(without_secrets(a) for a in process.arguments) if process else (),
            executable=process.executable if process else "",
            files=files,
            log=log,
            log_source=log_source,
            service_state=_service_state(deadline) if home is None else "",
            readable=True,
            pid_file=pid_file,
            pid_file_process=owner.name if owner else "",
            socket_group=_socket_group(endpoint_url),
            proxies=_proxies(process.pid) if process and process.uid == 0 else (),
            engine_sockets=_engine_sockets() if process and process.uid == 0 else (),
        ),
        [*blind, *unread, *unlogged],
    )


def is_local(endpoint_url: str) -> bool:
    """True if the daemon of this endpoint runs on this machine, as far as its address tells: a UNIX socket, or a
    loopback address on which a dockerd here says that it listens (it may as well be a tunnel)."""
    parts = urlsplit(endpoint_url)
    if parts.scheme in ("", "unix", "fd"):
        return True
    if parts.scheme not in ("tcp", "http", "https") or parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        return False
    return any(_serves(process, endpoint_url) for process in _dockerds())


def _is_default(endpoint_url: str) -> bool:
    path = urlsplit(endpoint_url).path
    return not path or _same_file(path, DEFAULT_SOCKET) or _rootless_user(endpoint_url) is not None


def _rootless_user(endpoint_url: str) -> pwd.struct_passwd | None:
    """The user whose own daemon this socket belongs to (/run/user/UID/docker.sock); None for root's."""
    parts = Path(urlsplit(endpoint_url).path).parts
    if parts[1:3] != ("run", "user") or len(parts) != 5 or not is_number(parts[3]):
        return None
    try:
        return pwd.getpwuid(int(parts[3]))
    except (KeyError, OverflowError):
        return None


def user_of(endpoint_url: str) -> int:
    """The user id whose daemon this may be, where it is not root's: the owner of its socket."""
    if endpoint_url.startswith("unix://"):
        with contextlib.suppress(OSError, ValueError):
            return Path(urlsplit(endpoint_url).path).stat().st_uid
    user = _rootless_user(endpoint_url)
    return user.pw_uid if user else 0


def _pid_file(endpoint_url: str) -> tuple[int | None, _Process | None]:
    """What the pid file says, and the process that has this pid now."""
    folder = Path(urlsplit(endpoint_url).path).parent if endpoint_url.startswith("unix://") else Path("/run")
    beside = str(folder / "docker.pid")  # a rootless daemon keeps both in its runtime directory
    for path in dict.fromkeys((beside, *PID_FILES) if folder != Path("/") else PID_FILES):
        with contextlib.suppress(OSError, ValueError):
            pid = int(trusted.read(path, 20).data)
            if 0 < pid <= _LARGEST_PID:
                return pid, _process(pid)
    return None, None


def _daemon_process(endpoint_url: str, owner: _Process | None) -> _Process | None:
    uid = user_of(endpoint_url)
    if owner and owner.is_dockerd(uid) and _serves(owner, endpoint_url):
        return owner
    peer = _peer(endpoint_url)
    if peer and peer.is_dockerd(uid):
        return peer
    candidates = [process for process in _dockerds(uid) if _same_namespaces(process.pid)]
    serving = [process for process in candidates if _serves(process, endpoint_url)]
    return serving[0] if len(serving) == 1 else None


def _dockerds(user: int = 0) -> Iterator[_Process]:
    for entry in _PROC.iterdir():
        if not is_number(entry.name):
            continue
        with contextlib.suppress(OSError):
            if (entry / "comm").read_bytes().startswith((b"dockerd", b"docker\n")):
                process = _process(int(entry.name))
                if process and process.is_dockerd(user):
                    yield process


def _serves(process: _Process, endpoint_url: str) -> bool:
    """True if the process listens at this endpoint as far as its flags say; without one for a UNIX socket, at the
    default (the same path that docker.socket gives it)."""
    hosts = [value for s in parse_flags(process.arguments[1:]).settings if s.key == "hosts" for value in s.values]
    wanted = urlsplit(endpoint_url)
    if wanted.scheme in ("", "unix", "fd"):
        paths = [urlsplit(host).path for host in hosts if host.startswith("unix")] or [DEFAULT_SOCKET]
        return any(_same_file(path or DEFAULT_SOCKET, wanted.path or DEFAULT_SOCKET) for path in paths)
    return any(host.startswith(("tcp", ":", "0.0.0.0")) and host.endswith(f":{wanted.port}") for host in hosts)


def _same_file(one: str, other: str) -> bool:
    if os.path.realpath(one) == os.path.realpath(other):
        return True
    with contextlib.suppress(OSError):
        return Path(one).samefile(other)
    return False


def _peer(endpoint_url: str) -> _Process | None:
    """Who opened the listening socket, told by the kernel; nothing is sent over it."""
    if not endpoint_url.startswith("unix://"):
        return None
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(0.3)  # a full backlog would block for ever
        connection.connect(urlsplit(endpoint_url).path)
        pid, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return _process(pid) if pid > 0 else None
    return None


def _same_namespaces(pid: int) -> bool:
    return all(in_namespace(pid, kind) for kind in ("mnt", "net"))


def in_namespace(pid: int, kind: str) -> bool | None:
    """True if a process lives in this one's namespace of that kind ("net", "mnt"); None where that cannot be seen.

    One thread there is enough. Those in which dockerd (up to 20.10) watched an overlay network of a cluster store stay in
    that network's namespace, and one of them may be the first, which is what /proc/PID/ns shows.
    """
    folder = _PROC / str(pid)
    try:
        own = (_PROC / "self" / "ns" / kind).readlink()
        return (folder / "ns" / kind).readlink() == own or any(
            (task / "ns" / kind).readlink() == own for task in (folder / "task").iterdir()
        )
    except OSError:
        return None


def _process(pid: int) -> _Process | None:
    """None where there is no such process."""
    folder = _PROC / str(pid)
    try:
        name = as_text((folder / "comm").read_bytes()).removesuffix("\n")
        words = strings_of(folder / "cmdline")
        started_at = _started_at(folder)
        uid = trusted.owner(pid)
    except (OSError, ValueError, IndexError):
        return None
    executable = ""
    with contextlib.suppress(OSError):
        executable = as_text(str((folder / "exe").readlink()))
    return _Process(
        pid=pid,
        name=name,
        arguments=tuple(map(as_text, words)),
        executable=executable,
        started_at=started_at,
        uid=uid,
        installed=_is_installed(folder / "exe"),
    )


def strings_of(file: Path) -> list[bytes]:
    """The arguments or variables of a process, which may lay them over as much of its memory as it likes (prctl(2),
    PR_SET_MM): the first MiB, of which the last may be cut off. Raises OSError."""
    with file.open("rb") as opened:
        return opened.read(_MOST_STRINGS).rstrip(b"\0").split(b"\0")


def _is_installed(executable: Path) -> bool:
    """True if this is a program of root's by the name of Docker, which no user runs as root, as sudo is.

    Who is not root is not let to see it, and cannot be made to read what is root's either.
    """
    try:
        status = executable.stat()
        named = executable.readlink().name.startswith("docker")
    except PermissionError:
        return os.geteuid() != 0
    except OSError:
        return False
    return named and trusted.only_root_changes(status) and not status.st_mode & (stat.S_ISUID | stat.S_ISGID)


def _started_at(folder: Path) -> str:
    # proc(5): field 22, in clock ticks since boot; the name in field 2 may hold anything but a closing bracket after it
    fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return of_clock(time.time() - age)


def _proxies(pid: int) -> tuple[str, ...]:
    """Each docker-proxy on the PATH of root's daemon, in that order, as this mount namespace has them, and root's own."""
    with contextlib.suppress(OSError):
        for variable in strings_of(_PROC / str(pid) / "environ"):
            if variable.startswith(b"PATH="):
                folders = dict.fromkeys(os.fsdecode(variable[5:]).split(":"))
                paths = [Path(folder, "docker-proxy") for folder in folders if folder.startswith("/")]
                real = {path.resolve(): path for path in reversed(paths) if _is_program(path)}
                return tuple(as_text(str(path)) for path in paths if path in real.values())
    return ()


def _engine_sockets() -> tuple[str, ...]:
    """The sockets on which each engine of this network namespace listens for its own helpers: EXEC-ROOT/libnetwork/ID.sock.

    A rootless engine has its networks in a namespace of its own, also where it listens here; and any user can listen on a path
    that looks like an engine's. So only root's sockets count, by the kernel's account.
    """
    with contextlib.suppress(OSError):
        return tuple(sorted({path for path in sock_diag.listening_paths(0) if _ENGINE_SOCKET.fullmatch(path)}))
    return ()


_ENGINE_SOCKET = regex(r"/.*/libnetwork/[0-9a-f]+\.sock")


def _is_program(path: Path) -> bool:
    try:
        return os.access(path, os.X_OK) and trusted.only_root_changes(path.stat())
    except OSError:
        return False


def _socket_group(endpoint_url: str) -> str:
    """The group that may use the socket; "" where there is none."""
    import grp

    if not endpoint_url.startswith("unix://"):
        return ""
    try:
        status = Path(urlsplit(endpoint_url).path).stat()
    except OSError:
        return ""
    if not stat.S_ISSOCK(status.st_mode):
        return ""
    try:
        return grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        return str(status.st_gid)


def _service_state(deadline: float) -> str:
    """What systemd says of docker.service: active, failed, inactive, activating; "" where systemd does not run."""
    program = find_program("systemctl")
    seconds = min(1.0, deadline - time.monotonic())
    if not program or seconds <= 0:
        return ""
    with contextlib.suppress(ProgramError):
        printed = run([program, "is-active", "docker.service"], time.monotonic() + seconds, limit=_LITTLE)
        said = as_text(printed.output).strip()
        return said if said in _STATES else ""
    return ""
