"""The container in which dockernet-doctor itself runs."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from dockernet_doctor.snapshot import collect, own_container
from dockernet_doctor.snapshot.endpoint import DaemonEndpoint
from dockernet_doctor.snapshot.engine import EngineReading
from dockernet_doctor.snapshot.model import BY_ROOT, BlindSpot, Container, Daemon, EngineProblem, State

ALL = {"--privileged", "--pid=host", "--network=host"}


def _started(
    monkeypatch: pytest.MonkeyPatch,
    shares: dict[tuple[int, str], bool | None],
    *,
    admin: bool = True,
    files: dict[tuple[str, int | str], bytes] | None = None,
) -> None:
    monkeypatch.setattr(own_container, "_of", lambda file, pid: (files or {}).get((file, pid), b""))
    monkeypatch.setattr(own_container, "is_one", lambda: True)
    monkeypatch.setattr(own_container, "_shares", lambda pid, kind: shares.get((pid, kind)))
    monkeypatch.setattr(own_container, "_may_administrate", lambda: admin)


@pytest.mark.parametrize(
    ("shares", "admin", "missing"),
    [
        ({(1, "mnt"): False, (1, "net"): True}, True, ()),
        ({(1, "mnt"): False, (1, "net"): False}, True, ("--network=host",)),
        ({(1, "mnt"): True, (1, "net"): True}, True, ("--pid=host",)),
        ({(1, "mnt"): None, (1, "net"): None}, False, ("--privileged",)),
        ({(1, "mnt"): True, (1, "net"): True}, False, ("--privileged", "--pid=host")),
    ],
)
def test_an_option_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, shares: dict[tuple[int, str], bool | None], admin: bool, missing: tuple[str, ...]
) -> None:
    _started(monkeypatch, shares, admin=admin)
    assert own_container.missing_options(None) == missing
    assert all(option in own_container.COMMAND for option in ALL)


def test_a_socket_that_was_not_mounted_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _started(monkeypatch, {(1, "mnt"): False, (1, "net"): True})
    gone = str(tmp_path / "docker.sock")
    assert own_container.missing_options(gone) == (f"-v {gone}:{gone}",)


def test_files_are_the_hosts_and_only_a_forked_process_enters_their_root(monkeypatch: pytest.MonkeyPatch) -> None:
    entered: list[str] = []
    monkeypatch.setattr(os, "chroot", entered.append)
    monkeypatch.setattr(os, "chdir", entered.append)
    assert own_container.hosts_root() == "/"
    _started(monkeypatch, {(1, "mnt"): False})
    assert own_container.hosts_root() == "/proc/1/root"
    own_container.enter_hosts_root()
    assert entered == []
    monkeypatch.setattr("dockernet_doctor.ending.leads", lambda: False)
    own_container.enter_hosts_root()
    assert entered == ["/proc/1/root", "/"]


@pytest.mark.parametrize(
    ("shared", "files", "examines", "hides"),
    [
        (False, {}, True, False),
        (True, {("comm", 1): b"dockernet-docto\n"}, True, True),  # without --pid=host
        (True, {("comm", 1): b"dockerd\n"}, False, False),
        (None, {("cgroup", 1): b"0::/../../init.scope\n"}, True, True),  # without --privileged
        (None, {("cgroup", "self"): b"4:memory:/docker/" + b"d" * 64 + b"\n"}, True, True),
        (None, {("cgroup", 1): b"0::/init.scope\n", ("cgroup", "self"): b"0::/user.slice\n"}, False, False),
    ],
)
def test_only_a_container_that_looks_at_a_host_is_no_host(
    monkeypatch: pytest.MonkeyPatch,
    shared: bool | None,
    files: dict[tuple[str, int | str], bytes],
    examines: bool,
    hides: bool,
) -> None:
    _started(monkeypatch, {(1, "mnt"): shared}, files=files)
    assert (own_container.examines_host(), own_container.hides_host()) == (examines, hides)


def test_a_host_out_of_sight_is_a_blind_spot_and_no_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without any of the four options: what this container has itself is not taken for the host's."""
    _started(monkeypatch, {(1, "mnt"): True}, admin=False, files={("comm", 1): b"dockernet-docto\n"})
    path = f"{tmp_path}/docker.sock"
    found = collect.collect(DaemonEndpoint(url=f"unix://{path}"), collect.Options(deadline=time.monotonic() + 60))
    mount = f"-v {path}:{path}"
    assert found.problem == EngineProblem(kind="usage", detail=f"the container of dockernet-doctor was started without {mount}")
    assert (found.local, found.host, found.daemon) == (False, None, Daemon())
    spots = {spot.area: spot for spot in found.blind_spots}
    assert (spots["engine"].remedy, set(spots)) == (f"start it with {mount}", {"engine", "host", "daemon"})
    assert "--privileged, --pid=host and -v " in spots["host"].why


@pytest.mark.parametrize(
    ("mounts", "own"),
    [  # of 28.5.2: docker run --network=host
        ("612 590 0:52 /containers/{id}/resolv.conf /etc/resolv.conf rw,relatime - tmpfs tmpfs rw", True),
        ("612 590 8:1 /var/lib/docker/containers/{id}/hostname /etc/hostname rw - ext4 /dev/sda1 rw", True),
        ("612 590 8:1 /srv/{id} /data rw - ext4 /dev/sda1 rw", False),
        ("", False),
    ],
)
def test_a_container_of_its_own_is_no_part_of_the_host(monkeypatch: pytest.MonkeyPatch, mounts: str, own: bool) -> None:
    """Without --pid=host it was reported as a container with a random name and the host's network."""
    ours, other = (Container(id=digit * 64, name=digit, state=State(status="running", running=True)) for digit in "ab")
    _started(monkeypatch, {(1, "mnt"): True}, files={("mountinfo", "self"): mounts.format(id=ours.id).encode()})
    own_container.id_by_mounts.cache_clear()
    left = collect._without_own(EngineReading(containers=(ours, other)), 0).containers
    own_container.id_by_mounts.cache_clear()
    assert left == ((other,) if own else (ours, other))


@pytest.mark.parametrize(
    ("daemon", "kind"),
    [
        (Daemon(readable=True, pid=7, socket_group="docker"), "usage"),
        (Daemon(readable=True, pid=7), "no-socket"),  # the host has none either
    ],
)
def test_a_socket_that_the_host_has_is_not_mounted(monkeypatch: pytest.MonkeyPatch, daemon: Daemon, kind: str) -> None:
    reading = EngineReading(problem=EngineProblem(kind="no-socket", detail="there is no socket /run/docker.sock"))
    endpoint = DaemonEndpoint(url="unix:///run/docker.sock")
    _started(monkeypatch, {(1, "mnt"): False, (1, "net"): True})
    problem = collect._without_mount(reading, daemon, endpoint).problem
    assert problem is not None
    assert problem.kind == kind
    _started(monkeypatch, {(1, "mnt"): True})  # Docker in Docker, whose daemon is down
    assert collect._without_mount(reading, daemon, endpoint) == reading


@pytest.mark.parametrize(("admin", "remedy"), [(False, "--privileged"), (True, BY_ROOT)])
def test_rights_that_are_missing_are_those_of_an_option(monkeypatch: pytest.MonkeyPatch, admin: bool, remedy: str) -> None:
    spots = [
        BlindSpot(area="firewall", what="the firewall rules", why="Operation not permitted", remedy=BY_ROOT),
        BlindSpot(area="log", what="the log", why="it has none"),
    ]
    _started(monkeypatch, {(1, "mnt"): False, (1, "net"): True}, admin=admin)
    first, second = collect._by_option(spots)
    assert remedy in first.remedy
    assert "sudo" not in first.remedy
    assert second == spots[1]
