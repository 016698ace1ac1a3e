"""Which programs root runs: those that nobody else can have put there, or can change."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dockernet_doctor.snapshot import programs

USER = 64_987
NAME = "dockernet-doctor-test"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be misled by others")


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory of root's below /tmp, first in PATH, in which there is a program."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        _program(folder / NAME)
        monkeypatch.setenv("PATH", name, prepend=":")
        yield folder


def _program(path: Path) -> Path:
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def _given_away(folder: Path) -> None:
    os.chown(folder, USER, USER)


def _of_a_group(folder: Path) -> None:
    os.chown(folder, 0, USER)
    folder.chmod(0o775)


def _program_of_a_user(folder: Path) -> None:
    os.chown(folder / NAME, USER, 0)


def _program_for_all(folder: Path) -> None:
    (folder / NAME).chmod(0o777)


def _below_a_user(folder: Path) -> None:
    """Their directory holds root's."""
    (folder / "theirs").mkdir()
    (folder / "theirs/bin").mkdir()
    _program(folder / "theirs/bin" / NAME)
    _given_away(folder / "theirs")
    (folder / NAME).unlink()
    (folder / NAME).symlink_to(f"theirs/bin/{NAME}")


def _link_of_a_user(folder: Path) -> None:
    (folder / NAME).rename(folder / "real")
    (folder / NAME).symlink_to("real")
    os.lchown(folder / NAME, USER, USER)


def _link_in_a_circle(folder: Path) -> None:
    (folder / NAME).unlink()
    (folder / NAME).symlink_to(NAME)


def _another_name_in_a_shared_directory(folder: Path) -> None:
    """As `ln /usr/bin/anything /tmp/nmap` makes one where hard links are not protected."""
    folder.chmod(0o1777)


@pytest.mark.parametrize(
    "spoil",
    [
        _given_away,
        _of_a_group,
        _program_of_a_user,
        _program_for_all,
        _below_a_user,
        _link_of_a_user,
        _link_in_a_circle,
        _another_name_in_a_shared_directory,
    ],
)
def test_root_passes_over_what_others_can_change(spoil: Callable[[Path], None], folder: Path) -> None:
    assert programs.find_program(NAME) == str(folder / NAME)
    spoil(folder)
    assert programs.find_program(NAME) == ""


def test_root_takes_the_next_one_that_is_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "own").mkdir()
    (folder / "own/deeper").mkdir()
    _program(folder / "real")
    (folder / "own" / NAME).symlink_to("deeper/../../real")
    _program_of_a_user(folder)
    monkeypatch.setenv("PATH", f"{folder}:{folder}/own")
    assert programs.find_program(NAME) == f"{folder}/own/{NAME}"


def test_a_user_takes_any(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: USER)
    _given_away(folder)
    assert programs.find_program(NAME) == str(folder / NAME)
