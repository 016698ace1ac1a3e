"""The container in which dockernet-doctor itself runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dockernet_doctor.snapshot import own_container

ALL = {"--privileged", "--pid=host", "--network=host"}


def _started(monkeypatch: pytest.MonkeyPatch, shares: dict[tuple[int, str], bool | None], *, admin: bool = True) -> None:
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
