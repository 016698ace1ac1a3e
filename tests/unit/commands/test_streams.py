"""Standard output, standard error, terminals and pipes, as whole processes see them."""

from __future__ import annotations

import io
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dockernet_doctor.commands import output
from dockernet_doctor.commands.progress import Progress

DOCTOR = [sys.executable, "-m", "dockernet_doctor"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_cleared_and_holds_nothing_that_a_terminal_obeys() -> None:
    stream = Terminal()
    with Progress(stream) as progress:
        progress("reading \x1b[31mweb")
    written = stream.getvalue()
    assert r"\x1b[31mweb" in written
    assert written.endswith("\r\x1b[K")


def test_progress_is_silent_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    with Progress(stream) as progress:
        progress("reading")
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("choice", "environment", "terminal", "coloured"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": ""}, True, True),
        ("auto", {"TERM": "dumb"}, True, False),
        ("always", {"NO_COLOR": "1"}, False, True),
        ("never", {}, True, False),
    ],
)
def test_when_there_are_colours(
    choice: str, environment: dict[str, str], terminal: bool, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", Terminal() if terminal else io.StringIO())
    assert output.colours(choice) is coloured


def test_where_the_encoding_lacks_a_character_plain_ones_stand_for_it() -> None:
    done = subprocess.run(
        [*DOCTOR, "demo"], env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, check=True, timeout=120
    )
    assert done.stdout.startswith(b"x ")
    assert done.stdout.isascii()


@pytest.mark.parametrize("arguments", [["demo"], ["demo", "--format", "json"], ["--help"], ["explain", "no-listener"]])
@pytest.mark.parametrize("closed", [">&-", "</dev/null >/dev/full", "<&- >&-"])
def test_a_report_that_cannot_be_written_is_one_line_and_status_4(arguments: list[str], closed: str) -> None:
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", *DOCTOR, *arguments]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (4, 1)
    assert "could not be written" in done.stderr


def test_without_standard_error_or_input_the_report_is_written() -> None:
    command = ["sh", "-c", 'exec "$@" <&- 2>&-', "sh", *DOCTOR, "demo"]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=120, check=True)
    assert done.stdout.startswith("✗ ".encode())


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    process = subprocess.Popen([*DOCTOR, "demo", "--format", "json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout, process.stderr:
        process.stdout.close()
        assert process.wait(120) == 0
        assert process.stderr.read() == b""


def test_standard_output_that_is_full_gives_4() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([*DOCTOR, "demo"], stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=120)
    assert done.returncode == 4
    assert done.stderr == ("dockernet-doctor: the report could not be written: standard output: No space left on device\n")


def test_interrupting_ends_at_once_with_130() -> None:
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [*DOCTOR, "--bundle", "-", "check"], stdin=reading, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    os.close(reading)
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout, process.stderr:
        deadline = time.monotonic() + 60
        while not _waits_for_input(process.pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        status = process.wait(120)  # the pipe that it reads is open still: what does not heed the signal waits for ever
        os.close(writing)
        assert (status, process.stdout.read(), process.stderr.read().strip()) == (130, b"", b"")


def _waits_for_input(pid: int) -> bool:
    """Whether one of its threads sleeps in a read of the pipe."""
    return any("pipe" in path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/wchan"))


def test_on_a_terminal_there_are_colours_and_a_cleared_progress_line() -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*DOCTOR, "demo"], stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm", "NO_COLOR": ""}
    )
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 65536):
            seen += chunk
    except OSError:  # how a terminal says that its other end is closed
        pass
    os.close(ours)
    assert process.wait(120) == 0
    assert "\x1b[31;1m✗".encode() in seen
    progress, _, report = seen.partition("✗".encode())
    assert b"reading" in progress
    assert b"\r\x1b[K" in progress
    assert b"\x1b[K" not in report
