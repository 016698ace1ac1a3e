"""One host as a whole: the API of a real engine replayed, everything else of this machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from dockernet_doctor.snapshot import collect as collecting
from dockernet_doctor.snapshot.collect import Options, collect, unreachable
from dockernet_doctor.snapshot.endpoint import DaemonEndpoint
from dockernet_doctor.snapshot.engine import EngineReading
from dockernet_doctor.snapshot.model import Container, Daemon, Engine, EngineProblem, State
from dockernet_doctor.snapshot.visitor import Visitor

from .replay import recording, replayed

if TYPE_CHECKING:
    from collections.abc import Mapping


def options(seconds: float = 60) -> Options:
    return Options(deadline=time.monotonic() + seconds)


def test_containers_of_another_machine_are_blind_spots_and_no_faults(tmp_path: Path) -> None:
    with replayed(tmp_path, recording("28.5")["answers"]) as (endpoint, requests):
        snapshot = collect(endpoint, options())
    assert {method for method, _ in requests} == {"GET"}
    assert snapshot.engine is not None
    assert len(snapshot.containers) == len(recording("28.5")["snapshot"]["containers"])
    assert not snapshot.local
    assert snapshot.host is None
    assert all(container.sandbox is None for container in snapshot.containers)
    hidden = {spot.area: spot for spot in snapshot.blind_spots}
    assert "no processes of this machine" in hidden["host"].why or "in a container" in hidden["host"].why
    assert "sandbox" in hidden
    assert "pl4nted" not in msgspec.json.encode(snapshot).decode()


def test_no_daemon_leaves_what_the_host_tells(tmp_path: Path) -> None:
    snapshot = collect(DaemonEndpoint(url=f"unix://{tmp_path}/docker.sock"), options())
    assert snapshot.problem is not None
    assert snapshot.problem.kind == "no-socket"
    assert snapshot.engine is None
    assert snapshot.host is not None
    assert any(link.name == "lo" for link in snapshot.host.stack.links)


@pytest.mark.parametrize("url", ["tcp://127.0.0.1:9", "tcp://127.0.0.1:9?x"])
def test_a_remote_daemon_that_is_not_there(url: str) -> None:
    snapshot = collect(DaemonEndpoint(url=url), options(2))
    assert snapshot.problem is not None
    assert not snapshot.local
    assert {spot.area for spot in snapshot.blind_spots} == {"host", "daemon"}


def test_a_host_of_which_nothing_is_known() -> None:
    snapshot = unreachable(DaemonEndpoint(url="ssh://u@far"), EngineProblem(kind="unreachable", detail="no route"))
    assert (snapshot.name, snapshot.engine, snapshot.local) == ("far", None, False)


# A container is told by its shim's arguments; this process stands for one, and pid 1 for whoever got the pid of a dead one.
OURS = {os.getpid(): Path(f"/proc/{os.getppid()}/cmdline").read_text().partition("\0")[0]}
GONE, REUSED = {(1 << 22) + 1: "a" * 64}, {1: "b" * 64}
DOCKERD, NOT_FOUND = Daemon(pid=os.getpid()), Daemon()
HERE, THERE = socket.gethostname(), "far"


@pytest.mark.parametrize(
    ("containers", "daemon", "engine", "here"),
    [
        (OURS, DOCKERD, Engine(version="28", name=HERE), True),
        (OURS, DOCKERD, Engine(version="28", name=THERE), True),  # the hostname was changed under the daemon
        (OURS, NOT_FOUND, Engine(version="28", name=THERE), True),  # behind systemd's socket; dockerd not told apart
        ({**GONE, **REUSED, **OURS}, DOCKERD, Engine(version="28", name=HERE), True),
        (GONE, DOCKERD, Engine(version="28", name=HERE), True),  # the only one crashes again and again
        (REUSED, DOCKERD, Engine(version="28", name=HERE), True),
        ({}, DOCKERD, Engine(version="28", name=THERE), True),
        ({}, NOT_FOUND, Engine(version="28", name=HERE), True),
        ({}, NOT_FOUND, Engine(version="28", name=THERE), False),  # a forwarded socket
        (GONE, NOT_FOUND, Engine(version="28", name=HERE), False),  # in a container with the host's network, not its pids
        (REUSED, NOT_FOUND, Engine(version="28", name=THERE), False),
        ({}, DOCKERD, Engine(version="28", name="docker-desktop", operating_system="Docker Desktop"), False),
        ({}, DOCKERD, Engine(version="28", name=HERE, operating_system="Docker Desktop"), True),  # run inside its machine
        ({}, DOCKERD, None, True),  # down, or it hangs
    ],
)  # fmt: skip
def test_whether_the_daemon_is_here(containers: Mapping[int, str], daemon: Daemon, engine: Engine | None, here: bool) -> None:
    assert _is_here(containers, daemon, engine) is here


def test_a_container_without_a_cgroup_is_told_by_its_shim() -> None:
    """A rootless daemon on cgroup v1 has the cgroup driver `none`."""
    own = "c" * 64
    with subprocess.Popen(
        ["sh", "-c", "sleep 9 & echo $!; wait", "shim", "-id", own], stdout=subprocess.PIPE, text=True
    ) as shim:
        assert shim.stdout
        pid = int(shim.stdout.readline())
        here = [_is_here({pid: container}, NOT_FOUND, Engine(version="28", name=THERE)) for container in (own, "d" * 64)]
        os.kill(pid, signal.SIGKILL)
    assert here == [True, False]


CGROUPS = [
    ("0::/docker/{}", 0, True),
    ("0::/system.slice/docker-{}.scope", 0, True),
    ("12:pids:/user.slice\n1:name=systemd:/docker/{}", 0, True),
    ("0::/user.slice/user-1000.slice/user@1000.service/{}", 0, False),  # whoever it is
    ("0::/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{}.scope", 1000, True),  # a rootless daemon's
]


@pytest.mark.parametrize(("cgroups", "user", "believed"), CGROUPS)
def test_a_cgroup_that_its_own_user_may_have_named_is_no_proof(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cgroups: str, user: int, believed: bool
) -> None:
    own = "c" * 64
    (tmp_path / "100").mkdir()
    (tmp_path / "100/cgroup").write_text(cgroups.format(own) + "\n")
    (tmp_path / "100/stat").write_text("100 (web) S 1 100")
    (tmp_path / "1").mkdir()
    (tmp_path / "1/cmdline").write_text("init")
    monkeypatch.setattr(collecting, "Path", lambda path: tmp_path / path.removeprefix("/proc/"))
    assert collecting._is_of_container(100, own, user) is believed


def test_a_daemon_or_this_process_in_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker in Docker asked from its host; and from a container with the host's pids but not its network."""
    monkeypatch.setattr("dockernet_doctor.snapshot.daemon.in_namespace", lambda *_: False)
    engine = Engine(version="28", name=HERE)
    assert not _is_here(OURS, DOCKERD, engine)
    assert not _is_here(OURS, NOT_FOUND, engine)
    assert _is_here(OURS, DOCKERD, msgspec.structs.replace(engine, rootless=True))


def test_processes_that_proc_hides_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """hidepid: what others run is not shown to this user, pid 1 neither."""
    monkeypatch.setattr("os.access", lambda *_: False)
    assert _is_here(GONE, NOT_FOUND, Engine(version="28", name=HERE))
    assert not _is_here(GONE, NOT_FOUND, Engine(version="28", name=THERE))


def _is_here(containers: Mapping[int, str], daemon: Daemon, engine: Engine | None) -> bool:
    visitor = Visitor()
    here = collecting._Here(near=True, user=0, visitor=visitor)
    for pid, container in containers.items():
        here.on_running(pid, container)
    visitor.dismiss()
    return here.is_here(EngineReading(engine=engine), daemon)


def test_whatever_a_host_listens_on_may_be_of_a_container_in_host_mode() -> None:
    apart, part = (
        Container(id="1", name="web", network_mode=mode, state=State(status="running", running=True))
        for mode in ("app", "host")
    )
    assert 0 not in collecting._host_ports([apart])[0]
    assert 0 in collecting._host_ports([apart, part])[0]
