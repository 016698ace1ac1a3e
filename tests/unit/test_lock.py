"""What `make` installs: requirements/ holds each dependency that pyproject.toml declares, in its range, with a hash."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
LOCKS = ("build", "runtime", "test", "fuzz", "dist")
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
HERE = {"sys_platform": "linux", "platform_machine": "x86_64"}


def declared() -> dict[str, list[Requirement]]:
    """Lock → what it must hold."""
    toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    with (ROOT / "pyproject.toml").open("rb") as file:
        read = toml.load(file)
    runtime, extras = read["project"]["dependencies"], read["project"]["optional-dependencies"]
    lists = {
        "build": [*read["dependency-groups"]["build"], *read["build-system"]["requires"]],
        "dist": read["dependency-groups"]["dist"],
        "runtime": runtime,
        **{name: [*runtime, *extra] for name, extra in extras.items()},
    }
    return {name: [Requirement(text) for text in texts] for name, texts in lists.items()}


def locked(name: str) -> list[tuple[Requirement, int]]:
    """Each pinned requirement of a lock, and how many hashes it has."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    entries = re.findall(r"^(?![\s#])(.+?)((?: \\\n    --hash=sha256:[0-9a-f]{64})*)$", text, re.MULTILINE)
    return [(Requirement(head), hashes.count("--hash=")) for head, hashes in entries]


def versions(name: str, python: str) -> dict[str, str]:
    """Package → the version that the lock gives to a release of Python."""
    where = {"python_version": python, "python_full_version": f"{python}.0"} | HERE
    pins = [pin for pin, _ in locked(name) if pin.marker is None or pin.marker.evaluate(where)]
    found = {pin.name.lower(): str(pin.specifier).removeprefix("==") for pin in pins}
    assert len(found) == len(pins), f"a package has two versions on {python}"
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_every_line_is_one_version_with_a_hash(name: str) -> None:
    lines = locked(name)
    assert lines
    assert [str(pin) for pin, hashes in lines if not hashes or not re.fullmatch(r"==[\w.+!]+", str(pin.specifier))] == []


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("name", LOCKS)
def test_what_is_declared_is_locked_in_its_range(name: str, python: str) -> None:
    there = versions(name, python)
    wanted = [one for one in declared()[name] if one.marker is None or one.marker.evaluate({"python_version": python} | HERE)]
    assert len(wanted) > 2
    assert [str(one) for one in wanted if not one.specifier.contains(there.get(one.name.lower(), "0"))] == []


@pytest.mark.parametrize("python", PYTHONS)
def test_no_lock_contradicts_another(python: str) -> None:
    test = versions("test", python)
    for name in LOCKS:
        assert {pin: version for pin, version in versions(name, python).items() if test.get(pin, version) != version} == {}


@pytest.mark.parametrize("python", PYTHONS)
def test_each_python_has_a_fuzzer(python: str) -> None:
    assert "atheris" in versions("fuzz", python)


@pytest.mark.parametrize("name", LOCKS)
def test_no_host_and_no_path_is_named(name: str) -> None:
    """A lock says what is installed; where from is for each machine to say."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    assert re.findall(r"://|^-|@ |(?<![\w.])/", text, re.MULTILINE) == []


def test_the_single_file_holds_nothing_that_its_licences_forbid() -> None:
    """scapy is GPL-2.0-only, python-nmap GPL-3, the Docker SDK Apache-2.0: these cannot be shipped together."""
    names = {pin.name.lower() for pin, _ in locked("dist")}
    assert {"docker", "dpkt"} <= names
    assert not names & {"scapy", "python-nmap"}
