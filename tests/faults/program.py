"""The whole program among misbehaving peers and programs: started as its users start it, and looked at from outside."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple

import msgspec

from dockernet_doctor.commands.demo import BUNDLE
from dockernet_doctor.report.model import Report

DOCTOR = (sys.executable, "-m", "dockernet_doctor")
WHOLE = str(resources.files("dockernet_doctor") / BUNDLE)
"""The demo's bundle."""
PATIENCE_S = 60  # for a machine that is busy with other things; what must be quick is measured by the program itself


class Outcome(NamedTuple):
    status: int
    report: dict[str, Any]

    def blind(self) -> list[str]:
        return [f"{spot['area']}: {spot['what']}: {spot['why']}" for spot in self.report["blind_spots"]]


class Done(NamedTuple):
    """A run of the program that came to its end. `starved_s`: how long it would have worked, and others had the processor;
    `took_s`: from its start to its end."""

    status: int
    stdout: bytes
    stderr: bytes
    starved_s: float
    took_s: float

    def report(self) -> dict[str, Any]:
        """The JSON report, which is as its schema has it."""
        assert self.stdout.startswith(b"{"), self.stderr
        report = json.loads(self.stdout)
        assert json.loads(msgspec.json.encode(msgspec.json.decode(self.stdout, type=Report))) == report
        assert isinstance(report, dict)
        return report

    def is_one_line(self) -> bool:
        """Whether it said one line on standard error, and that no internal one."""
        return self.stderr.count(b"\n") == 1 and self.stderr.endswith(b"\n") and b"internal error" not in self.stderr


def run(command: Sequence[str], **more: Any) -> Done:
    """The program run to its end, with nothing on standard input; `more` as subprocess has it."""
    with TemporaryFile() as out, TemporaryFile() as errors:
        begun = time.monotonic()
        streams = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": errors}
        with subprocess.Popen(command, **{**streams, **more}) as process:
            try:
                ended = os.WEXITED | os.WNOWAIT | os.WNOHANG
                assert wait_for(lambda: os.waitid(os.P_PID, process.pid, ended) is not None), "it does not end"
                took = time.monotonic() - begun
                starved = int(Path(f"/proc/{process.pid}/schedstat").read_text().split()[1]) / 1e9
            finally:
                process.kill()
        for file in (out, errors):
            file.seek(0)
        return Done(process.returncode, out.read(), errors.read(), starved, took)


def patiently(attempt: Callable[[float], object]) -> None:
    """The attempt, with a timeout of the program for which it must hold; on a busy machine that may be a long one."""
    for timeout in (2.0, 8.0):
        with suppress(AssertionError):
            attempt(timeout)
            return
    attempt(30.0)


def report_of(*arguments: str, program: tuple[str, ...] = DOCTOR, **more: Any) -> Outcome:
    """The JSON report, and nothing on standard error."""
    done = run([*program, *arguments, "--format", "json"], **more)
    assert done.stderr == b"", done.stderr
    return Outcome(done.status, done.report())


def python(script: str) -> tuple[str, ...]:
    """The program after this preparation: a fault that cannot be had from outside."""
    return (sys.executable, "-c", f"import socket, sys, time\n{script}\nfrom dockernet_doctor.__main__ import main\nmain()")


def fake(folder: Path, name: str, script: str) -> dict[str, str]:
    """The environment in which a program of this name is that shell script."""
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}


@contextmanager
def tcp_server(serve: Callable[[socket.socket], object]) -> Iterator[int]:
    """The port on which `serve` has each connection that comes, in a thread of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = int(listener.getsockname()[1])
    with serving(listener, serve):
        yield port


@contextmanager
def serving(listener: socket.socket, serve: Callable[[socket.socket], object]) -> Iterator[None]:
    """`serve` has each connection that comes to the listener, in a thread of its own."""

    def talk(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            serve(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=talk, args=listener.accept()[:1], daemon=True).start()

    with listener:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def hang(connection: socket.socket) -> None:
    """Says nothing until the other side hangs up."""
    while connection.recv(1000):
        pass


def wait_for(condition: Callable[[], bool]) -> bool:
    """Whether it comes true while there is patience."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def runs(pid: int) -> bool:
    """Whether there is such a process, and it is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def number_in(file: Path) -> int:
    """The number that a fake program writes into a file, once it is there."""
    assert wait_for(lambda: file.exists() and file.read_text().endswith("\n"))
    return int(file.read_text())


def ended_by(number: signal.Signals, ready: Callable[[], object], command: list[str], **more: Any) -> tuple[int, bytes, bytes]:
    """(status, standard output, standard error) of a program that gets this signal when it is `ready`."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more) as process:
        try:
            ready()
            process.send_signal(number)
            said = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
    return process.returncode, *said
