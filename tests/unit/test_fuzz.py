"""The targets of the fuzzer, without it: their seeds, what once was a crash, and what the size of an input costs."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from tests.fuzz.limit import tried
from tests.fuzz.targets import TARGETS

REGRESSIONS = Path(__file__).parents[1] / "fuzz/regressions"
FOUND = sorted(REGRESSIONS.glob("*/*"))


def of(target: str, data: bytes) -> str:
    """The traceback of what the input raises; "" where all is well."""
    error = tried(TARGETS[target].once, data)
    return "" if error is None else "".join(traceback.format_exception(error))


@pytest.mark.parametrize("target", TARGETS)
def test_seeds(target: str) -> None:
    seeds = TARGETS[target].seeds()
    assert seeds
    assert [said for data in seeds[:12] if (said := of(target, data))] == []


@pytest.mark.parametrize("file", FOUND, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_what_once_was_a_crash(file: Path) -> None:
    assert of(file.parent.name, file.read_bytes()) == ""


_COMMENT = b'*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -m comment --comment "x\n'


@pytest.mark.parametrize(
    ("target", "head", "repeated", "tail"),
    [
        ("daemon_json", b'{"a": "b', b" ,", b"x"),
        ("daemon_json", b'{"a": "b', b" ", b"x"),
        ("daemon_json", b'{"a": ', b"1.", b"x"),
        ("daemon_json", b"{\xc2\xa0", b'\\"', b""),
        ("daemon_json", b'{"k": 1', b',\n"k": 1', b"}"),
        ("iptables", _COMMENT, b"a b\n", b""),
        ("iptables", _COMMENT, b'a\\"\\\n', b""),
        ("references", b"", b"a=b\n", b""),
    ],
)
def test_what_a_size_costs(target: str, head: bytes, repeated: bytes, tail: bytes) -> None:
    """60,000 times the same: what costs the square of that takes minutes, else a fraction of a second."""
    assert of(target, head + repeated * 60_000 + tail) == ""
