"""Full disks and closed pipes: status 4 where the report could not be written, and one line about it; else as without them."""

from __future__ import annotations

import fcntl
import os
import resource
import shlex
import socket
import subprocess
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from .program import DOCTOR, WHOLE, patiently, python, run

_FORMATS = {
    "check": ("text", "json", "markdown", "html", "junit"),
    "reach api db:5432": ("text", "json", "markdown", "html", "junit"),
    "plan check": ("text", "json"),
    "ports": ("text", "json"),
    "map": ("text", "json", "mermaid", "dot", "svg"),
    "explain 'connection refused'": ("text", "json", "markdown"),
    "checks": ("text", "json"),
}
COMMANDS = [
    *(f"{verb} --format {name}" for verb, names in _FORMATS.items() for name in names),
    "collect -",
    "schema",
    "completion bash",
    "--help",
    "--version",
]


def _command(line: str) -> list[str]:
    verb, *more = shlex.split(line)
    asks = verb in ("check", "reach", "plan", "ports", "map", "collect")
    return [*DOCTOR, verb, *more, *(("--bundle", WHOLE) if asks else ())]


@cache
def _without_fault(line: str) -> tuple[int, bytes, bytes]:
    """(status, standard output, standard error)"""
    done = run(_command(line))
    assert done.status in (0, 1, 3)
    return done.status, done.stdout, done.stderr


# --- one stream at a time


def _as(number: int, path: str, flags: int) -> None:
    os.dup2(os.open(path, flags), number)


def _without_reader(number: int) -> None:
    reading, writing = os.pipe()
    os.dup2(writing, number)
    for end in (reading, writing):
        os.close(end)


def _without_peer(number: int) -> None:
    ours, theirs = socket.socketpair()
    os.dup2(ours.fileno(), number)
    for end in (ours, theirs):
        end.close()


def _limited(number: int) -> None:
    """A file that may have 100 bytes, as with a quota."""
    _as(number, "unnamed", os.O_WRONLY | os.O_CREAT)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))


STREAMS: dict[str, Callable[[int], object]] = {
    "is full": lambda number: _as(number, "/dev/full", os.O_WRONLY),
    "is closed": os.close,
    "is for reading": lambda number: _as(number, "/dev/null", os.O_RDONLY),
    "has no reader": _without_reader,
    "is a socket without a peer": _without_peer,
}
UNHEARD = ("has no reader", "is a socket without a peer")  # who has seen enough: no error


@pytest.mark.fault
@pytest.mark.parametrize("fault", STREAMS)
@pytest.mark.parametrize("line", COMMANDS)
def test_standard_output(line: str, fault: str) -> None:
    status, _, said = _without_fault(line)
    done = run(_command(line), preexec_fn=lambda: STREAMS[fault](1))
    if fault in UNHEARD:
        assert (done.status, done.stderr) == (status, said)
    else:
        assert (done.status, done.is_one_line()) == (4, True), done.stderr


@pytest.mark.fault
@pytest.mark.parametrize("fault", STREAMS)
@pytest.mark.parametrize("line", COMMANDS)
def test_standard_error(line: str, fault: str) -> None:
    status, whole, _ = _without_fault(line)
    done = run(_command(line), preexec_fn=lambda: STREAMS[fault](2))
    assert done.status == status
    assert abs(len(done.stdout) - len(whole)) < 200  # moments and durations differ


BOTH = {"check --format json": 4, "--help": 4, "check --no-such-option": 2}


@pytest.mark.fault
@pytest.mark.parametrize("fault", STREAMS)
@pytest.mark.parametrize("line", BOTH)
def test_both_streams(line: str, fault: str) -> None:
    def both() -> None:
        STREAMS[fault](2)
        STREAMS[fault](1)

    heard = fault not in UNHEARD or BOTH[line] != 4
    assert run(_command(line), preexec_fn=both).status == (BOTH[line] if heard else _without_fault(line)[0])


@pytest.mark.fault
@pytest.mark.parametrize("streams", [(0,), (0, 1), (0, 2), (1, 2), (0, 1, 2)])
@pytest.mark.parametrize("line", ["check --format json", "collect -", "schema", "--help"])
def test_streams_that_are_closed_together(line: str, streams: tuple[int, ...]) -> None:
    def close() -> None:
        for number in streams:
            os.close(number)

    done = run(_command(line), preexec_fn=close)
    assert done.status == (4 if 1 in streams else _without_fault(line)[0])
    assert done.is_one_line() or done.stderr == b""


@pytest.mark.fault
@pytest.mark.parametrize("line", COMMANDS)
def test_a_reader_that_has_seen_enough(line: str) -> None:
    """It reads a byte, and hangs up while the rest is written."""
    status, whole, said = _without_fault(line)
    with subprocess.Popen(_command(line), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.read(1) == whole[:1]
        process.stdout.close()
        told = process.stderr.read()
    assert (process.returncode, told) == (status, said)


# --- pipes whose readers do not read


_WITH_TIMEOUT = [line for line in COMMANDS if line.split()[0] in ("check", "reach", "plan", "ports", "map", "collect")]
_START_S = 1.0  # of Python, which is not the program's time


def _unread(number: int) -> None:
    """A full pipe; its other end stays open in the program itself, to be started with close_fds=False."""
    reading, writing = os.pipe()
    os.write(writing, b"x" * fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096))
    os.dup2(writing, number)
    os.dup2(reading, 100 + number)
    for end in (reading, writing):
        os.close(end)


@pytest.mark.fault
@pytest.mark.parametrize("line", _WITH_TIMEOUT)
def test_standard_output_that_nobody_reads(line: str) -> None:
    def attempt(timeout: float) -> None:
        done = run([*_command(line), "--timeout", f"{timeout:g}"], preexec_fn=lambda: _unread(1), close_fds=False)
        assert (done.status, done.is_one_line()) == (4, True), done.stderr
        assert b"nobody read it in time" in done.stderr
        assert timeout < done.took_s < timeout + 1 + _START_S + done.starved_s

    patiently(attempt)


_SOON = """
from dockernet_doctor.commands import output
write, output.DEFAULT_TIMEOUT_S = output.write, 0.5
output.write = lambda texts, settings, **more: write(texts, settings._replace(timeout=0.5), **more)
"""


@pytest.mark.fault
@pytest.mark.parametrize("line", ["schema", "checks", "explain 'connection refused'", "completion bash"])
def test_what_has_no_timeout_of_its_own_does_not_wait_for_ever(line: str) -> None:
    done = run([*python(_SOON), *shlex.split(line)], preexec_fn=lambda: _unread(1), close_fds=False)
    assert (done.status, done.is_one_line()) == (4, True), done.stderr
    assert b"nobody read it in time" in done.stderr


@pytest.mark.fault
@pytest.mark.parametrize("kind", ["text", "json", "markdown", "html", "junit", "collect"])
def test_a_pipe_that_nobody_opens(kind: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    asked = ["collect", "--bundle", WHOLE, "pipe"]
    if kind != "collect":
        asked = ["check", "--bundle", WHOLE, "--format", "json", "--output", f"{kind}=pipe", "--output", "json=report"]

    def attempt(timeout: float) -> None:
        done = run([*DOCTOR, *asked, "--timeout", f"{timeout:g}"], cwd=tmp_path)
        assert (done.status, done.is_one_line()) == (4, True), done.stderr
        assert b"pipe: nobody read it in time" in done.stderr
        assert timeout < done.took_s < timeout + 1 + _START_S + done.starved_s
        assert kind == "collect" or done.stdout == (tmp_path / "report").read_bytes()  # what can be written is
        assert kind == "collect" or done.report()["findings"]

    patiently(attempt)


@pytest.mark.fault
def test_a_reader_who_comes_late_and_reads_slowly_gets_all(tmp_path: Path) -> None:
    _, whole, _ = _without_fault("check --format json")
    os.mkfifo(tmp_path / "pipe")
    command = [*DOCTOR, "check", "--bundle", WHOLE, "--output", f"json={tmp_path}/pipe", "--timeout", "30"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process, (tmp_path / "pipe").open("rb", buffering=0) as pipe:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 4096)
        read = b""
        while part := pipe.read(1000):
            read += part
            time.sleep(0.001)
    assert process.returncode == 1
    assert abs(len(read) - len(whole)) < 200  # moments and durations differ


@pytest.mark.fault
@pytest.mark.parametrize(
    "line", ["check --format json", "collect -", "explain 'the cat is on the roof'", "check --no-such-option"]
)
def test_standard_error_that_nobody_reads(line: str) -> None:
    command = [*DOCTOR, *shlex.split(line)] if "explain" in line or "no-such" in line else _command(line)
    heard = run(command)
    done = run(command, preexec_fn=lambda: _unread(2), close_fds=False)
    assert done.status == heard.status
    assert abs(len(done.stdout) - len(heard.stdout)) < 200  # moments and durations differ


# --- files


FILES = {
    "is full": "/dev/full",
    "is in no folder": "nowhere/report",
    "is a folder": ".",
    "is in a file": "file/report",
    "is in /proc": "/proc/report",
    "is in /sys": "/sys/report",
    "has a name too long": "n" * 300,
    "has a path too long": "n/" * 5000 + "n",
}


@pytest.mark.fault
@pytest.mark.parametrize("fault", FILES)
@pytest.mark.parametrize("kind", ["text", "json", "markdown", "html", "junit", "collect"])
def test_a_file_that_cannot_be_written(kind: str, fault: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    written = ["collect", "--bundle", WHOLE, FILES[fault]]
    if kind != "collect":
        written = ["check", "--bundle", WHOLE, "--format", "json", "--output", f"{kind}={FILES[fault]}"]
    done = run([*DOCTOR, *written], cwd=tmp_path)
    assert (done.status, done.is_one_line()) == (4, True), done.stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file"]
    assert kind == "collect" or done.report()["findings"]  # what can be written is


@pytest.mark.fault
@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize("line", [line for line in COMMANDS if not line.startswith("--")])
def test_a_quota_of_100_bytes(line: str, buffered: str, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": buffered}
    done = run(_command(line), cwd=tmp_path, preexec_fn=lambda: _limited(1), env=environment)
    assert (done.status, done.is_one_line()) == (4, True), done.stderr


@pytest.mark.fault
@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize("line", ["check --format json", "check --format html", "collect -", "schema", "map --format svg"])
def test_a_reader_that_is_slow_on_a_pipe_that_does_not_wait(line: str, buffered: str) -> None:
    status, whole, _ = _without_fault(line)
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writing, False)
    with (
        os.fdopen(reading, "rb") as pipe,
        subprocess.Popen(_command(line), stdout=writing, env={**os.environ, "PYTHONUNBUFFERED": buffered}) as process,
    ):
        os.close(writing)
        read = b""
        while part := pipe.read(1000):
            read += part
            time.sleep(0.0005)
    assert process.returncode == status
    assert abs(len(read) - len(whole)) < 200  # moments and durations differ
