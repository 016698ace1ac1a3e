"""Processes that call themselves what they are not, or what is no text: real ones, of a user who has no rights."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest

from dockernet_doctor.snapshot import daemon, socket_owners
from dockernet_doctor.snapshot.model import Process

USER = 64_987
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")

HOLDER = """
import ctypes, os, socket, sys
uid, name, dumpable = int(sys.argv[1]), os.fsencode(sys.argv[2]), int(sys.argv[3])
with socket.create_server(("127.0.0.1", 0)) as server:
    if uid != os.getuid():
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid if dumpable else 0, uid)
    ctypes.CDLL(None).prctl(15, name)  # PR_SET_NAME
    print(os.fstat(server.fileno()).st_ino, flush=True)
    sys.stdin.read()
"""

LISTENER = """
import os, socket, sys
held = []
for path in sys.argv[1:]:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    held.append(socket.socket(socket.AF_UNIX))
    held[-1].bind(path)
    held[-1].listen()
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def holding(name: bytes, uid: int, *, alike: bool = True) -> Iterator[tuple[int, int]]:
    """(pid, inode of its socket) of a process; `alike`: all its user ids are the same."""
    words: list[str | bytes] = [sys.executable, "-c", HOLDER, str(uid), name, str(int(alike))]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        try:
            yield child.pid, int(child.stdout.readline())
        finally:
            child.stdin.close()


@as_root
@pytest.mark.parametrize("name", ["docker-proxy", "dockerd", "rootlesskit", "rootlessport"])
def test_whose_program_it_is_decides_what_is_believed_of_its_name(name: str) -> None:
    with holding(name.encode(), USER) as (pid, inode):
        assert socket_owners.owners([inode])[inode] == Process(pid=pid, name=name, of_daemon=False)
        assert socket_owners.owners([inode], USER)[inode].of_daemon is True
        assert socket_owners.owners([inode], USER + 1)[inode].of_daemon is False
    with holding(name.encode(), 0) as (_, inode):
        assert socket_owners.owners([inode])[inode].of_daemon is True


@as_root
def test_a_process_of_two_users_is_not_root_s() -> None:
    """As a set-user-ID program is that a user started by another name."""
    with holding(b"docker-proxy", USER, alike=False) as (pid, inode):
        assert Path(f"/proc/{pid}").stat().st_uid == 0
        assert socket_owners.owners([inode])[inode].of_daemon is False
        assert socket_owners.owners([inode], USER)[inode].of_daemon is False


@pytest.mark.parametrize(
    ("name", "text"), [(b"\xff\xfe", r"\xff\xfe"), (b"nc\xc3", r"nc\xc3"), ("ñ".encode(), "ñ"), (b"x (pid 1", "x (pid 1")]
)
def test_a_holder_may_call_itself_anything(name: bytes, text: str) -> None:
    with holding(name, os.getuid()) as (_, inode):
        found = socket_owners.owners([inode])[inode]
    assert (found.name, found.of_daemon) == (text, None)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Process) == found


LAYING_OVER = """
import ctypes, mmap, sys
memory = mmap.mmap(-1, 256 << 20)
begin = ctypes.addressof(ctypes.c_char.from_buffer(memory))
libc = ctypes.CDLL(None)
for option, where in ((9, begin + (256 << 20) - 1), (8, begin)):  # PR_SET_MM_ARG_END, PR_SET_MM_ARG_START
    if libc.prctl(35, option, ctypes.c_ulong(where), 0, 0):
        print("no", flush=True)
        sys.exit()
print("yes", flush=True)
sys.stdin.read()
"""


@as_root
def test_arguments_that_are_all_of_a_process_s_memory() -> None:
    with subprocess.Popen([sys.executable, "-c", LAYING_OVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        if child.stdout.readline() != b"yes\n":
            pytest.skip("this kernel lets nobody lay arguments elsewhere")
        words = daemon.strings_of(Path(f"/proc/{child.pid}/cmdline"))
        child.communicate(b"")
    assert sum(map(len, words)) <= 1 << 20


@as_root
def test_only_root_s_sockets_are_engines() -> None:
    """Any user can listen on a path like an engine's, and name a socket so that a line of /proc/net/unix holds another's."""
    with TemporaryDirectory(prefix="e", dir="/tmp") as top, socket.socket(socket.AF_UNIX) as own:
        folder = Path(top, "libnetwork")
        folder.mkdir()
        for each in (Path(top), folder):
            each.chmod(0o777)
        own.bind(str(folder / "ab12.sock"))
        own.listen()
        words = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", sys.executable, "-c", LISTENER]
        paths = (f"{folder}/cd34.sock", f"{top}/x {folder}/ef56.sock")
        with subprocess.Popen([*words, *paths], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            assert child.stdin is not None
            try:
                assert child.stdout.readline() == b"ready\n"
                seen = [path for path in daemon._engine_sockets() if path.startswith(top)]
            finally:
                child.stdin.close()
    assert seen == [str(folder / "ab12.sock")]
