"""A daemon whose lists are not true any more when what they name is asked for: containers and networks come and go."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dockernet_doctor.snapshot import bundle

from .engine import ANSWERS, ASKED, NO_SUCH, Answer, engine, recorded, well
from .program import DOCTOR, patiently, run

_INSPECTION = re.compile(r"/(?:containers/(\w{64})/json|networks/(\w{25,64})(?:\?.*)?)")
_LISTS = (ASKED["containers"].path, ASKED["networks"].path)
There = Callable[[str, bool], bool]
"""Tells of an id whether it is there, and gets whether that is asked by a list."""


def daemon(there: There) -> Callable[[str], tuple[Answer, bytes]]:
    """What it answers: as recorded, of those that are there."""

    def answer(path: str) -> tuple[Answer, bytes]:
        asked = _INSPECTION.fullmatch(path)
        if asked and not there(asked[1] or asked[2], False):
            return NO_SUCH, b""
        if path in _LISTS:
            return well, json.dumps([entry for entry in json.loads(ANSWERS[path]) if there(entry["Id"], True)]).encode()
        return recorded(path)

    return answer


def _number(identity: str) -> int:
    return sum(identity.encode())


_asked: dict[str, int] = {}


def _other_each_time(identity: str, _: bool) -> bool:
    """There at every other question for it."""
    _asked[identity] = _asked.get(identity, _number(identity)) + 1
    return _asked[identity] % 2 == 0


MOVING: dict[str, There] = {
    "20 come and go a second": lambda identity, _: (_number(identity) + int(time.monotonic() * 20)) % 2 == 0,
    "another each time": _other_each_time,
    "all that was listed is gone": lambda _, listed: listed,
    "half of what was listed is gone": lambda identity, listed: listed or _number(identity) % 2 == 0,
    "nothing is listed that is there": lambda _, listed: not listed,
    "half of what is there is not listed": lambda identity, listed: not listed or _number(identity) % 2 == 0,
}
GONE = {name for name in MOVING if name.endswith("gone")}


@pytest.mark.fault
@pytest.mark.parametrize("transport", ["unix", "tcp"])
@pytest.mark.parametrize("verb", ["check", "map", "ports", "plan check", "reach outside web:80"])
@pytest.mark.parametrize("how", MOVING)
def test_there_is_a_report_of_those_that_stayed(how: str, verb: str, transport: str, tmp_path: Path) -> None:
    def attempt(timeout: float) -> None:
        with engine(transport, tmp_path, daemon(MOVING[how])) as url:
            done = run([*DOCTOR, *verb.split(), "-H", url, "--timeout", f"{timeout:g}", "--format", "json"])
        report = json.loads(done.stdout)
        assert (done.stderr, done.status in (0, 1, 3)) == (b"", True)
        assert report["hosts"][0]["engine"] is not None
        if verb == "check":
            assert done.report()["duration_s"] < timeout + 1 + done.starved_s
            if how in GONE:
                assert any("vanished" in spot["why"] for spot in report["blind_spots"]), report["blind_spots"]

    patiently(attempt)


@pytest.mark.fault
@pytest.mark.parametrize("how", MOVING)
def test_a_bundle_is_whole(how: str, tmp_path: Path) -> None:
    def attempt(timeout: float) -> None:
        with engine("unix", tmp_path, daemon(MOVING[how])) as url:
            done = run([*DOCTOR, "collect", "-", "-H", url, "--timeout", f"{timeout:g}"])
        assert (done.status, done.stderr.startswith(b"-: ")) == (0, True), done.stderr
        assert bundle.loads(done.stdout, "").snapshot.engine is not None

    patiently(attempt)
