"""The man page and the completions of the Debian package."""

from __future__ import annotations

import subprocess

import pytest

from dockernet_doctor.cli import VERBS, cli
from dockernet_doctor.commands.completion import SHELLS, script
from dockernet_doctor.packaging import man


def test_every_verb_and_option_is_in_the_man_page() -> None:
    page = man.page().replace("\\-", "-")
    sections = {line.split()[1] for line in page.splitlines() if line.startswith(".SS ")}
    assert sections >= set(VERBS)
    options = {name for parameter in cli.params for name in parameter.opts if name.startswith("--")}
    assert len(options) > 10
    assert [name for name in options if name not in page] == []


def test_no_line_of_the_text_is_a_request() -> None:
    requests = {line.split()[0] for line in man.page().splitlines() if line[:1] in (".", "'")}
    assert requests == {".TH", ".SH", ".SS", ".B", ".BR", ".PP", ".TP"}
    assert man._escaped(".x") == "\\&.x"


@pytest.mark.parametrize("shell", SHELLS)
def test_completions(shell: str) -> None:
    assert "_DOCKERNET_DOCTOR_COMPLETE" in script(shell)
    if shell == "bash":
        assert subprocess.run(["bash", "-n"], input=script(shell), text=True, capture_output=True).stderr == ""
