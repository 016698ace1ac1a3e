"""SIGINT, SIGTERM and SIGHUP end the program at once, whatever it does, and leave no process, file or word behind."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.scripts import printed

from .engine import engine, recorded
from .program import DOCTOR, PATIENCE_S, WHOLE, ended_by, fake, hang, number_in, python, runs, tcp_server, wait_for

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
NOTHING = (b"", b"")


@pytest.mark.parametrize("number", SIGNALS)
def test_while_ssh_is_waited_for(number: signal.Signals, tmp_path: Path) -> None:
    environment = fake(tmp_path, "ssh", f"sleep 600 &\necho $! > {tmp_path}/pid\nwait")
    command = [*DOCTOR, "check", "-H", "ssh://host"]
    status, *said = ended_by(number, lambda: number_in(tmp_path / "pid"), command, env=environment)
    assert (status, tuple(said)) == (128 + number, NOTHING)
    assert wait_for(lambda: not runs(number_in(tmp_path / "pid")))


@pytest.mark.parametrize("number", SIGNALS)
def test_while_a_daemon_is_waited_for(number: signal.Signals) -> None:
    asked: list[int] = []

    def serve(peer: socket.socket) -> None:
        asked.append(1)
        hang(peer)

    with tcp_server(serve) as port:
        command = [*DOCTOR, "check", "-H", f"tcp://127.0.0.1:{port}"]
        status, *said = ended_by(number, lambda: wait_for(lambda: bool(asked)), command)
    assert (status, tuple(said)) == (128 + number, NOTHING)


@pytest.mark.parametrize("number", SIGNALS)
def test_while_it_computes(number: signal.Signals, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    script = (
        "from pathlib import Path\nfrom dockernet_doctor.diagnosis import run\n"
        f"run.rank = lambda *_: Path({str(begun)!r}).touch() or [n for n in iter(int, 1) if n]"
    )
    command = [*python(script), "check", "--bundle", WHOLE]
    status, *said = ended_by(number, lambda: wait_for(begun.exists), command)
    assert (status, tuple(said)) == (128 + number, NOTHING)


# --- while probes are sent: with the recorded engine taken for one of this machine

_HERE = "from dockernet_doctor.snapshot import collect\ncollect._Here.is_here = lambda *_: True"


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("more", [(), ("--repeat", "1000"), ("--trace",)])
def test_while_an_answer_to_a_datagram_is_waited_for(more: tuple[str, ...], number: signal.Signals, tmp_path: Path) -> None:
    with (
        engine("unix", tmp_path, recorded) as url,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent,
    ):
        silent.bind(("127.0.0.1", 0))
        silent.settimeout(PATIENCE_S)
        destination = f"127.0.0.1:{silent.getsockname()[1]}/udp"
        command = [*python(_HERE), "reach", "host", destination, "-H", url, "--timeout", "600", *more]
        status, *said = ended_by(number, lambda: silent.recv(1000), command)
    assert (status, tuple(said)) == (128 + number, NOTHING)


@pytest.mark.parametrize("number", SIGNALS)
def test_while_nmap_scans(number: signal.Signals, tmp_path: Path) -> None:
    script = (
        f'case "$*" in *-V*) echo "Nmap version 7.93";; *) sleep 600 & echo $! > {tmp_path}/$$; '
        f"mv {tmp_path}/$$ {tmp_path}/pid; wait;; esac"  # two scans run at once: each writes a file of its own
    )
    environment = fake(tmp_path, "nmap", script)
    ours = f"{_HERE}\nfrom dockernet_doctor.snapshot import programs\nprograms.SEARCH_PATH = {str(tmp_path)!r}"
    with engine("unix", tmp_path, recorded) as url:
        command = [*python(ours), "ports", "-H", url, "--timeout", "600"]
        status, *said = ended_by(number, lambda: number_in(tmp_path / "pid"), command, env=environment)
    assert (status, tuple(said)) == (128 + number, NOTHING)
    assert wait_for(lambda: not runs(number_in(tmp_path / "pid")))


# --- while a report is written, whose reader takes a byte and no more

WRITTEN = (
    *(f"check --format {name}" for name in ("text", "json", "markdown", "html", "junit")),
    *(f"map --format {name}" for name in ("text", "json", "mermaid", "dot", "svg")),
    *(f"{verb} --format {name}" for verb in ("ports", "plan check") for name in ("text", "json")),
    "collect -",
)


@pytest.mark.fault
@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("line", WRITTEN)
@pytest.mark.parametrize("where", ["standard output", "a pipe"])
def test_while_a_report_is_written(where: str, line: str, number: signal.Signals, tmp_path: Path) -> None:
    command = [*DOCTOR, *line.split(), "--bundle", WHOLE, "--timeout", "600"]
    if where == "a pipe":
        os.mkfifo(tmp_path / "pipe")
        if line == "collect -":
            command[command.index("-")] = str(tmp_path / "pipe")
        else:
            command += ["--output", f"{command[command.index('--format') + 1]}={tmp_path}/pipe"]
        reading = os.open(tmp_path / "pipe", os.O_RDWR)
        writing = os.open(os.devnull, os.O_WRONLY)
    else:
        reading, writing = os.pipe()
    # All but a byte of the pipe is taken, so that the shortest report does not go in.
    size = fcntl.fcntl(reading, fcntl.F_SETPIPE_SZ, 4096)
    filler = os.open(f"/proc/self/fd/{reading}", os.O_WRONLY)
    os.write(filler, b"x" * size)
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=writing, stderr=subprocess.PIPE) as process:
        try:
            assert wait_for(lambda: _waits_to_write(process.pid))
            process.send_signal(number)
            _, said = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
            for end in (reading, writing, filler):
                os.close(end)
    assert (process.returncode, said) == (128 + number, b"")
    assert sorted(file.name for file in tmp_path.iterdir()) == (["pipe"] if where == "a pipe" else [])


def _waits_to_write(pid: int) -> bool:
    """Whether its main thread sleeps in a write to a pipe."""
    return "pipe_write" in Path(f"/proc/{pid}/wchan").read_text()


@pytest.mark.parametrize("number", SIGNALS)
def test_while_its_modules_are_imported(number: signal.Signals, tmp_path: Path) -> None:
    """The first module of others that it imports is one that sends the signal."""
    (tmp_path / "click.py").write_text(f"import os, time\nos.kill(os.getpid(), {number:d})\ntime.sleep(60)\n")
    done = subprocess.run([*DOCTOR], env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, *NOTHING)


@pytest.mark.parametrize("number", [8, 9, 10, 12, 15, 20, 25, 30, 40, 50])
def test_ctrl_c_in_its_first_lines(number: int, tmp_path: Path) -> None:
    """The signal comes before that line of ours is run; there are seven until Python's own handler is off."""
    (tmp_path / "run.py").write_text(
        "import os, runpy, signal, sys\nlines = 0\n"
        "def traced(frame, event, _):\n"
        "    global lines\n"
        "    if event == 'line' and frame.f_code.co_filename.endswith(('dockernet_doctor/__main__.py', '/ending.py')):\n"
        "        lines += 1\n"
        f"        if lines == {number}:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "    return traced\n"
        "sys.settrace(traced)\n"
        "runpy.run_module('dockernet_doctor', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, tmp_path / "run.py"], capture_output=True, timeout=60)
    assert (done.stdout, done.stderr) == NOTHING
    assert done.returncode in (130, -signal.SIGINT)  # to a shell both are 130


def test_who_is_started_with_a_signal_ignored_goes_on_ignoring_it() -> None:
    script = "trap '' INT HUP; exec \"$@\""
    command = ["sh", "-c", script, "sh", sys.executable, "-c", (
        "import os, signal, sys\nfrom dockernet_doctor import ending\nending.catch_signals()\n"
        "os.kill(os.getpid(), signal.SIGINT)\nos.kill(os.getpid(), signal.SIGHUP)\nprint('on', flush=True)\n"
        "os.kill(os.getpid(), signal.SIGTERM)"
    )]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (143, "on\n", "")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_file_that_is_half_written_goes_and_the_old_one_stays(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("old")
    script = f"import os\nos.fsync = lambda _: os.kill(os.getpid(), {number:d})"
    command = [*python(script), "demo", "--output", f"json={tmp_path}/report.json"]
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, *NOTHING)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("report.json", "old")]


def test_what_a_forked_process_started_ends_with_the_run() -> None:
    said = printed("""
        import os, subprocess, time
        from dockernet_doctor import ending
        from dockernet_doctor.forked import Forked
        from dockernet_doctor.snapshot.programs import Program
        reading, writing = os.pipe()
        def work(_):
            program = Program(["sh", "-c", "sleep 600 & echo $!; wait"])
            while not (found := os.pread(program._output, 100, 0).strip(b"\\0")).endswith(b"\\n"):
                time.sleep(0.01)
            os.write(writing, found)
            time.sleep(600)
            return b""
        Forked(work)
        pid = int(os.read(reading, 100))
        os.kill(pid, 0)
        if os.fork():
            os.wait()
            end = time.monotonic() + 30
            while time.monotonic() < end:
                try:
                    if open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] == "Z":
                        break
                except OSError:
                    break
                time.sleep(0.01)
            else:
                raise SystemExit("it is still there")
            print("gone")
        else:
            ending.now(0)
    """)
    assert said == "gone\n"
