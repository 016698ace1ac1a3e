"""Each example of `--help`, of the README and of the quick start is a command line that runs, here on the recorded host."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import dockernet_doctor
from dockernet_doctor.__main__ import run
from dockernet_doctor.cli import VERBS, cli

ROOT = Path(__file__).parents[3]
DEMO = Path(dockernet_doctor.__file__).with_name("demo.bundle.json.gz")
WORDS = {
    "CAUSE=port:web:80/tcp@h1": "container-paused=container:search@shop",
    "CAUSE": "firewall-drops-traffic",
    "SRC": "api",
    "DST": "db:5432",
    "api@h1": "api@shop",
    "db:5432@h2": "db:5432@shop",
}
ELSEWHERE = ("licences", "completion")  # `licences` is in the single file only; completion is tried in test_command_line
# A pipe is read in test_streams and test_explain, the file is sent in test_endpoint; a bundle is not asked again.
NOT_HERE = ("-", "--send", "--repeat", "--for", "VERB")


def lines() -> Iterator[str]:
    with click.Context(cli, **cli.context_settings) as context:  # click keeps the help option that it met first
        for command in (cli, *(cli.get_command(context, verb) for verb in VERBS)):
            assert command is not None
            yield from command.get_help(context).partition("Examples:")[2].splitlines()
    for document in ("README.md", "docs/quick-start.md"):
        yield from re.findall(r"^    (dockernet-doctor.*)$", (ROOT / document).read_text(encoding="utf-8"), re.MULTILINE)


def examples() -> list[str]:
    """The words behind the program's name, each once: without pipes, redirections and what is said of them."""
    found: dict[str, None] = {}
    for line in lines():
        for part in re.split(r" {2,}|(?<!\S)[|<>](?!\S)", line):
            match = re.match(r"(?:ssh HOST )?dockernet-doctor\b(.*)", part.strip())
            if match and not {*ELSEWHERE, *NOT_HERE} & set(match[1].split()):
                found.setdefault(match[1].strip())
    return list(found)


def test_there_are_examples_of_each_verb() -> None:
    text = " ".join(examples()).split()
    assert [verb for verb in VERBS if verb not in text and verb not in ELSEWHERE] == []


@pytest.mark.parametrize("example", examples())
def test_an_example_runs(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bundles").mkdir()
    for name in ("host.bundle", "monday.bundle", "today.bundle", "before.bundle", "old.bundle", "a", "b", "bundles/h1.bundle"):
        shutil.copy(DEMO, name)
    for name in re.findall(r"\w+\.json\b", example):
        run(["check", "--bundle", "host.bundle", "--no-probes", "--format", "json", "--output", f"json={name}"])
    words = [WORDS.get(word, word) for word in shlex.split(example)]
    words = ["--bundle" if word in ("-H", "--host") else "host.bundle" if word.startswith("ssh://") else word for word in words]
    reads = not {"explain", "checks", "schema", "demo"} & set(words)
    if reads and "--bundle" not in words and not ("diff" in words and len(words) > 2):
        words += ["--bundle", "host.bundle"]
    capfd.readouterr()
    status = run(words)
    shown = capfd.readouterr()
    assert status in (0, 1, 3), shown.err
    assert "Traceback" not in shown.err
