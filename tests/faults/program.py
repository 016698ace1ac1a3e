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
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

DOCTOR = (sys.executable, "-m", "dockernet_doctor")
PATIENCE_S = 60  # for a machine that is busy with other things; what must be quick is measured by the program itself


class Outcome(NamedTuple):
    status: int
    report: dict[str, Any]

    def blind(self) -> list[str]:
        return [f"{spot['area']}: {spot['what']}: {spot['why']}" for spot in self.report["blind_spots"]]


def report_of(*arguments: str, program: tuple[str, ...] = DOCTOR, **more: Any) -> Outcome:
    """The JSON report, and nothing on standard error."""
    command = [*program, *arguments, "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, **{"stdin": subprocess.DEVNULL, **more})
    assert done.stderr == ""
    return Outcome(done.returncode, json.loads(done.stdout))


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
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                serve(connection)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=talk, args=listener.accept()[:1], daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
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
