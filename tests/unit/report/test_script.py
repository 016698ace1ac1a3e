"""Scripts of the corpus' fixes: every shell at hand takes them, and each says what, why, what it costs and the way back."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator

import msgspec
import pytest

from dockernet_doctor.report.model import ReportFinding, ReportFix
from dockernet_doctor.report.script import is_runnable, script
from tests.corpus import modules, reports

SHELLS = [words for words in (["sh"], ["dash"], ["bash", "--posix"], ["busybox", "sh"]) if shutil.which(words[0])]
_ORIGIN = {"package": "dockernet-doctor", "version": "0"}
_NUMBERS = re.compile(r"[0-9a-f]{4,}|\d+")


def fixes(module: str) -> Iterator[tuple[ReportFinding, ReportFix]]:
    """The fixes of recorded reports, one of each form: those that differ in numbers alone are one."""
    seen = set()
    for stored in reports(module).values():
        for found in stored["findings"]:
            finding = msgspec.convert({**found, "origin": _ORIGIN}, ReportFinding)  # which the corpus does not keep
            for fix in finding.fixes:
                form = (finding.cause, *(_NUMBERS.sub("", line) for line in (*fix.commands, "", *fix.undo)))
                if form not in seen:
                    seen.add(form)
                    yield finding, fix


@pytest.mark.parametrize("module", modules())
def test_every_shell_takes_it_and_a_reader_learns_what_it_does(module: str) -> None:
    for finding, fix in fixes(module):
        text = script([(finding, fix)])
        said = f"{finding.id}\n{text}"
        for shell in SHELLS:
            checked = subprocess.run([*shell, "-n"], input=text, text=True, capture_output=True, check=False)
            assert (checked.returncode, checked.stderr) == (0, ""), f"{shell}: {said}"
        # each line for itself, too: what one leaves open, the next could close
        for line in (*(fix.commands if is_runnable(fix) else ()), *fix.undo):
            checked = subprocess.run(["sh", "-n", "-c", line], text=True, capture_output=True, check=False)
            assert (checked.returncode, checked.stderr) == (0, ""), said
        code = [line for line in text.splitlines() if line and not line.startswith("#")]
        assert code == ([f"{line} || exit" for line in fix.commands] if is_runnable(fix) else []), said
        for word in ("What", "Why", "Cost"):
            assert re.search(rf"^# {word}: \S.*[.!?:]$", text, re.MULTILINE), f"{word}: {said}"
        assert ("# To undo it:" in text) is bool(fix.undo), said
        assert ("# Nothing here undoes it." in text) is not bool(fix.undo), said
