"""What the single file changes: the environment of what it starts, third-party checks, and the list of licences."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from dockernet_doctor import single_file
from dockernet_doctor.__main__ import run
from dockernet_doctor.commands import licences
from dockernet_doctor.diagnosis import registry
from dockernet_doctor.errors import CommandLineError
from dockernet_doctor.single_file import restore_environment

PARTS = [
    {"name": "docker", "version": "7.2.0", "licence": "Apache-2.0", "text": "Apache License"},
    {"name": "libssl3", "version": "3.0.19", "licence": "Apache-2.0", "text": "The OpenSSL licence\n"},
]


def test_the_loaders_copy_goes_and_tmpdir_is_the_users_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    copy = tmp_path / "dockernet-doctor-1/dockernet-doctor"
    copy.parent.mkdir()
    copy.touch()
    set_by_start = {"TMPDIR": "/run", "DOCKERNET_DOCTOR_FILE": "/usr/bin/x", "DOCKERNET_DOCTOR_COPY": str(copy)}
    for before in ({}, {"DOCKERNET_DOCTOR_TMPDIR": "/full"}):
        with monkeypatch.context() as patch:
            patch.setattr(os, "environ", {"HOME": "/root", **set_by_start, **before})
            restore_environment()
            assert os.environ == {"HOME": "/root", **({"TMPDIR": "/full"} if before else {})}
        assert single_file.path() == "/usr/bin/x"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("before", "after"), [({}, "none"), ({"LD_LIBRARY_PATH_ORIG": "/opt/lib"}, "/opt/lib")])
def test_programs_get_the_hosts_libraries(monkeypatch: pytest.MonkeyPatch, before: dict[str, str], after: str) -> None:
    loaders = {"LD_LIBRARY_PATH": "/tmp/_MEI1", "_PYI_ARCHIVE_FILE": "/tmp/x", "STATICX_BUNDLE_DIR": "/tmp/staticx-1"}
    with monkeypatch.context() as patch:
        patch.setattr(os, "environ", {**os.environ, **loaders, **before})
        restore_environment()
        seen = dict(os.environ)
    assert {name for name in seen if name.startswith(("_PYI_", "STATICX_", "LD_"))} <= {"LD_LIBRARY_PATH"}
    assert seen.get("LD_LIBRARY_PATH", "none") == after


def test_third_party_checks_are_left_out_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: pytest.fail("a stranger was looked for"))
    assert all(entry.builtin for entry in registry.load().registered.values())
    assert run(["checks"]) == 0
    assert "The single file takes none; pip install dockernet-doctor does." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "why"),
    [(["-H", "unix:///x"], "a host behind ssh"), ([], "a host behind ssh"), (["-H", "ssh://h"], "run the single file")],
)
def test_what_cannot_be_sent(capsys: pytest.CaptureFixture[str], words: list[str], why: str) -> None:
    assert run(["collect", "--send", *words, "x.bundle"]) == 2
    assert why in capsys.readouterr().err


def test_licences() -> None:
    assert licences.shown(PARTS, None).splitlines()[1].split() == ["docker", "7.2.0", "Apache-2.0"]
    assert licences.shown(PARTS, "LIBSSL3") == "The OpenSSL licence\n"
    with pytest.raises(CommandLineError, match="no part is called 'nmap'"):
        licences.shown(PARTS, "nmap")


def test_elsewhere_pip_knows(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["licences"]) == 3
    shown = capsys.readouterr()
    assert (shown.out, "pip knows them" in shown.err) == ("", True)
