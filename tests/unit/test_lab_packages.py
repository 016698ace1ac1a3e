"""The lab's package sources, from both forms that Debian machines have."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.packages import NFTABLES, PackagesError, _suite_source, engine_tree

_DEB822 = """\
# a comment
Types: deb
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.test/debian-security
Suites: bookworm-security
Components: main
"""


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d/vendor.sources").write_text("Types: deb\nURIs: http://vendor.test/apt\nSuites: stable\n")
    return tmp_path


def test_first_debian_stanza_is_taken_with_another_suite(etc: Path) -> None:
    (etc / "sources.list.d/debian.sources").write_text(_DEB822)
    assert _suite_source("sid", etc) == (
        "Types: deb\nURIs: http://mirror.test/debian\nSuites: sid\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
    )


@pytest.mark.parametrize("options", ["", "[signed-by=/usr/share/keyrings/a.gpg arch=amd64] "])
def test_one_line_source_keeps_its_options(etc: Path, options: str) -> None:
    (etc / "sources.list").write_text(
        f"# deb http://old.test/debian x main\ndeb-src http://mirror.test/debian trixie main\n"
        f"deb {options}http://mirror.test/debian trixie main non-free\n"
    )
    assert _suite_source("bullseye", etc) == f"deb {options}http://mirror.test/debian bullseye main\n"


def test_machine_of_another_distribution_is_refused(etc: Path) -> None:
    with pytest.raises(PackagesError, match="no Debian package source"):
        _suite_source("sid", etc)


def test_a_folder_with_a_real_29_becomes_a_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LAB_DOCKERD", str(tmp_path / "docker"))
    with pytest.raises(PackagesError, match="there is no dockerd in"):
        engine_tree(NFTABLES)
    (tmp_path / "docker").mkdir()
    for program in ("dockerd", "docker", "runc"):
        (tmp_path / "docker" / program).write_text(program)
    [tree] = engine_tree(NFTABLES)
    assert sorted(str(file.relative_to(tree)) for file in tree.glob("usr/*/*")) == [
        "usr/bin/docker",
        "usr/bin/runc",
        "usr/sbin/dockerd",
    ]
    assert engine_tree(NFTABLES) == [tree]
