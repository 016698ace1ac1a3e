"""A container's root may hold anything; no link leads out of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dockernet_doctor.snapshot import rooted


@pytest.fixture
def root(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    inside = tmp_path / "root"
    (inside / "etc").mkdir(parents=True)
    (tmp_path / "secret").write_text("outside")
    fd = os.open(inside, os.O_PATH | os.O_DIRECTORY)
    yield fd, inside
    os.close(fd)


def _read_by_hand(root: int, path: str) -> str:
    fd = rooted.walk(root, path)
    try:
        return Path(f"/proc/self/fd/{fd}").read_text()
    finally:
        os.close(fd)


Reader = Callable[[int, str], str]
READERS = pytest.mark.parametrize("read", [rooted.read_inside, _read_by_hand], ids=["openat2", "by hand"])


@READERS
def test_links_are_followed_as_the_container_sees_them(root: tuple[int, Path], read: Reader) -> None:
    fd, inside = root
    (inside / "run").mkdir()
    (inside / "run/resolv.conf").write_text("nameserver 10.0.0.1\n")
    (inside / "etc/resolv.conf").symlink_to("/run/resolv.conf")
    (inside / "etc/relative").symlink_to("../run/./resolv.conf")
    assert read(fd, "etc/resolv.conf") == "nameserver 10.0.0.1\n"
    assert read(fd, "etc/relative") == "nameserver 10.0.0.1\n"


@READERS
@pytest.mark.parametrize("target", ["../../secret", "../../../../../../../../secret", "{outside}/secret"])
def test_no_link_leads_out(root: tuple[int, Path], read: Reader, target: str) -> None:
    fd, inside = root
    (inside / "etc/hosts").symlink_to(target.format(outside=inside.parent))
    with pytest.raises(FileNotFoundError):
        read(fd, "etc/hosts")


@READERS
def test_a_circle_of_links_ends(root: tuple[int, Path], read: Reader) -> None:
    fd, inside = root
    (inside / "etc/hosts").symlink_to("hosts2")
    (inside / "etc/hosts2").symlink_to("hosts")
    with pytest.raises(OSError, match="symbolic links"):
        read(fd, "etc/hosts")


def test_a_fifo_is_not_opened(root: tuple[int, Path]) -> None:
    fd, inside = root
    os.mkfifo(inside / "etc/hosts")
    with pytest.raises(OSError, match="not a regular file"):
        rooted.read_inside(fd, "etc/hosts")


def test_the_null_device_is_an_empty_file_and_no_other_device_is_opened() -> None:
    outside = os.open("/dev", os.O_PATH | os.O_DIRECTORY)
    try:
        assert rooted.read_inside(outside, "null") == ""
        with pytest.raises(OSError, match="not a regular file"):
            rooted.read_inside(outside, "zero")
    finally:
        os.close(outside)


def test_no_more_than_the_limit_is_read(root: tuple[int, Path]) -> None:
    fd, inside = root
    (inside / "etc/hosts").write_text("x" * (rooted.LIMIT + 10))
    assert len(rooted.read_inside(fd, "etc/hosts")) == rooted.LIMIT
