"""One host as a whole: the API of a real engine replayed, everything else of this machine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec
import pytest

from dockernet_doctor.snapshot.collect import Options, collect, unreachable
from dockernet_doctor.snapshot.endpoint import DaemonEndpoint
from dockernet_doctor.snapshot.model import EngineProblem

from .replay import recording, replayed

if TYPE_CHECKING:
    from pathlib import Path


def options(seconds: float = 10) -> Options:
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
    assert "no-listener" in hidden["sandbox"].hides
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
