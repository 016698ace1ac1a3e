"""Within the timeout and a second there is a report of what is known by then, with a blind spot for the rest.

How long it took is what the program itself says (`duration_s`); what merely waits has a second to spare even on a busy machine.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from dockernet_doctor.snapshot import bundle, daemon, daemon_log, programs
from dockernet_doctor.snapshot.cluster_store import read_store

from .program import (
    DOCTOR,
    WHOLE,
    Outcome,
    fake,
    hang,
    number_in,
    patiently,
    python,
    run,
    runs,
    tcp_server,
    wait_for,
)

ENDLESS = "[n for n in iter(int, 1) if n]"  # computes, and takes no memory


Sees = Callable[[Outcome], object]


def in_time(*arguments: str, sees: Sees = bool, program: tuple[str, ...] = DOCTOR, **more: Any) -> Outcome:
    """What is reported within the timeout and a second; `sees`: what must have come by then where the machine is not busy."""
    outcomes = []

    def attempt(timeout: float) -> None:
        command = [*program, *arguments, "--timeout", f"{timeout:g}", "--no-probes", "--format", "json"]
        done = run(command, **more)
        assert done.stderr == b"", done.stderr
        outcome = Outcome(done.status, done.report())
        assert outcome.report["duration_s"] < timeout + 1 + done.starved_s
        assert sees(outcome)
        outcomes.append(outcome)

    patiently(attempt)
    return outcomes[-1]


def _said(head: bytes, endless: bytes, pause: float = 0.0) -> object:
    def serve(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(head)
        while True:
            connection.sendall(endless)
            time.sleep(pause)

    return serve


def _finds(cause: str) -> Sees:
    """That there is a finding of this cause, or of any."""
    return lambda outcome: any(cause in finding["cause"] for finding in outcome.report["findings"])


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
DAEMONS = {
    "hangs": hang,
    "sends a byte a second": _said(b"", b"H", 1.0),
    "sends headers without end": _said(OK, b"A: b\r\n", 0.001),
    "sends one header without end": _said(OK, b"A" * 1000, 0.001),
    "sends chunks without end": _said(CHUNKED, b"1\r\n{\r\n", 0.001),
    "sends a chunk's size without end": _said(CHUNKED, b"0" * 1000, 0.001),
    "sends trailers without end": _said(CHUNKED + b"0\r\n", b"A: b\r\n", 0.001),
    "says to continue without end": _said(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.001),
    "sends a body without end": _said(OK + b"\r\n", b"x" * 1000, 0.001),
}


@pytest.mark.parametrize("fault", DAEMONS)
def test_a_daemon_that_never_comes_to_an_end(fault: str) -> None:
    with tcp_server(DAEMONS[fault]) as port:  # type: ignore[arg-type]
        status, report = in_time("check", "-H", f"tcp://127.0.0.1:{port}")
    assert (status, report["complete"], report["hosts"][0]["engine"]) == (3, False, None)


def test_a_handshake_of_tls_that_hangs(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes((resources.files("certifi") / "cacert.pem").read_bytes())
    with tcp_server(hang) as port:
        environment = {**os.environ, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path)}
        status, report = in_time("check", "-H", f"tcp://127.0.0.1:{port}", env=environment)
    assert (status, report["hosts"][0]["engine"]) == (3, None)


@pytest.mark.parametrize("host", ["tcp://daemon.example:2375", "ssh://daemon.example"])
def test_a_name_that_is_looked_up_for_ever(host: str, tmp_path: Path) -> None:
    program = python("socket.getaddrinfo = lambda *_, **__: time.sleep(600)")
    environment = fake(tmp_path, "ssh", "exec sleep 600")
    status, report = in_time("check", "-H", host, program=program, env=environment)
    assert (status, report["hosts"][0]["engine"]) == (3, None)


@pytest.mark.parametrize("last", ["sleep 600", "while :; do :; done"])
def test_an_ssh_that_hangs_ends_with_all_that_it_started(last: str, tmp_path: Path) -> None:
    environment = fake(tmp_path, "ssh", f"sleep 600 &\necho $! > {tmp_path}/pid\n{last}")
    outcome = in_time("check", "-H", "ssh://host", env=environment)
    assert outcome.status == 3
    assert any("ssh failed: it did not end in time" in spot for spot in outcome.blind())
    assert wait_for(lambda: not runs(number_in(tmp_path / "pid")))


def test_an_ssh_that_prints_without_end(tmp_path: Path) -> None:
    def sees(outcome: Outcome) -> bool:
        return any(f"more than {bundle.COMPRESSED_LIMIT >> 20} MiB" in spot for spot in outcome.blind())

    assert in_time("check", "-H", "ssh://host", sees=sees, env=fake(tmp_path, "ssh", "exec yes")).status == 3


@pytest.mark.parametrize("script", ["exec sleep 600", "exec yes", "while :; do echo x; done", "yes >&2", "kill -9 $$"])
def test_programs_that_tell_of_the_daemon(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("journalctl", "systemctl"):
        monkeypatch.setenv("PATH", fake(tmp_path, name, script)["PATH"])
    started = time.monotonic()
    assert daemon._service_state(started + 0.3) == ""
    lines, _, blind = daemon_log.read_log(started + 0.6, files=())
    assert (lines, len(blind)) == ((), 1)
    assert time.monotonic() - started < 10  # they would go on for ever


@pytest.mark.parametrize("source", ["-", "pipe"])
def test_a_bundle_that_never_comes(source: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reading, writing = os.pipe()
    try:
        outcome = in_time("check", "--bundle", source, stdin=reading, cwd=tmp_path)
    finally:
        os.close(reading)
        os.close(writing)
    assert outcome.status == 3
    assert any("did not come to an end in time" in spot for spot in outcome.blind())


@pytest.mark.parametrize("how", ["time.sleep(600)", ENDLESS])
def test_a_reader_that_never_comes_to_an_end(how: str) -> None:
    program = python(f"from dockernet_doctor.snapshot import collect\ncollect.collect = lambda *_: {how}")
    outcome = in_time("check", program=program)
    assert outcome.status == 3
    assert any("reading it did not end in time" in spot for spot in outcome.blind())


@pytest.mark.parametrize("name", ["_read_machine", "read_client"])
def test_a_part_of_a_host_that_never_comes_does_not_cost_the_others(name: str, tmp_path: Path) -> None:
    program = python(f"from dockernet_doctor.snapshot import collect\ncollect.{name} = lambda *_: time.sleep(600)")
    status, report = in_time(
        "check", "-H", f"unix://{tmp_path}/docker.sock", sees=_finds("daemon-not-running"), program=program
    )
    assert (status, report["complete"]) == (3, False)


@pytest.mark.parametrize("said", ["hangs", "sends a byte a second", "sends headers without end"])
def test_a_store_that_never_comes_to_an_end(said: str) -> None:
    started = time.monotonic()
    with tcp_server(DAEMONS[said]) as port:  # type: ignore[arg-type]
        (node,) = read_store(f"consul://127.0.0.1:{port}", started + 1.0).nodes
    assert (node.port, node.healthy) == (port, None)
    assert time.monotonic() - started < 5


def test_what_a_program_prints_is_bounded() -> None:
    soon = time.monotonic() + 20
    assert programs.run(["echo", "hello"], soon) == (0, b"hello\n", b"")
    assert programs.run(["sh", "-c", "echo no >&2; exit 3"], soon).complaints == ["no"]
    with pytest.raises(programs.ProgramError, match="more than 1 MiB"):
        programs.run(["yes"], soon, limit=1 << 20)
    with pytest.raises(programs.ProgramError, match="did not end in time"):
        programs.run(["sleep", "600"], time.monotonic() + 0.05)
    with pytest.raises(programs.ProgramError, match="No such file"):
        programs.run(["/no/such/program"], soon)


def test_computing_ends_in_time_and_what_was_not_examined_is_not_clear() -> None:
    """Rules that take longer to read than there is time; what needs none of them is found all the same."""
    program = python(f"import dockernet_doctor.diagnosis.facts.host as module\nmodule.rulesets_of = lambda *_: {ENDLESS}")
    outcome = in_time("check", "--bundle", WHOLE, sees=_finds(""), program=program)
    assert outcome.status == 3
    assert any(spot.startswith("run: ") for spot in outcome.blind())
    assert {check["result"] for check in outcome.report["checks"]} <= {"found", "not-examined", "not-applicable"}


@pytest.mark.parametrize(
    ("module", "name", "what"),
    [
        ("diagnosis.run", "own_questions", "the paths to look at"),
        ("diagnosis.paths.all_questions", "walk", "some of the paths"),
        ("diagnosis.run", "rank", "which findings are the cause of others"),
        ("diagnosis.run", "lacks", "checks look for"),
        ("report.build", "_path", "all findings but the first"),
    ],
)
def test_each_stage_of_computing_ends(module: str, name: str, what: str) -> None:
    program = python(f"import dockernet_doctor.{module} as module\nmodule.{name} = lambda *_, **__: {ENDLESS}")

    def sees(outcome: Outcome) -> bool:
        return any(spot.startswith("run: ") and what in spot for spot in outcome.blind()) and bool(_finds("")(outcome))

    outcome = in_time("check", "--bundle", WHOLE, sees=sees, program=program)
    assert (outcome.status, outcome.report["complete"]) == (3, False)
    clear = [check["cause"] for check in outcome.report["checks"] if check["result"] == "clear"]
    assert bool(clear) is (name in ("rank", "_path"))


def test_other_verbs_end_in_one_line_of_their_own() -> None:
    program = python(f"import dockernet_doctor.report.map as m\nm.build = lambda *_: {ENDLESS}")
    command = [*program, "map", "--bundle", WHOLE, "--timeout", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    assert "the time of the run was over" in done.stderr
