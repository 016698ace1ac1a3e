"""The command line as a user meets it: statuses, streams, and what is not imported."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from dockernet_doctor import __version__
from dockernet_doctor.__main__ import run
from dockernet_doctor.cli import VERBS
from dockernet_doctor.commands.schema import NAMES

HEAVY = ("docker", "scapy", "nmap", "asyncio", "msgspec", "tabulate", "requests")


def modules_after(*arguments: str) -> set[str]:
    code = (
        "import sys; from dockernet_doctor.__main__ import run\n"
        f"run({list(arguments)!r}); print('\\n'.join(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    return set(done.stderr.split())


@pytest.mark.parametrize("argument", ["--version", "--help"])
def test_start_up_imports_nothing_heavy(argument: str) -> None:
    loaded = modules_after(argument)
    assert "dockernet_doctor.cli" in loaded
    assert not loaded & set(HEAVY)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"dockernet-doctor {__version__}\n"


def test_the_version_is_the_one_of_the_package() -> None:
    from importlib.metadata import version

    assert version("dockernet-doctor") == __version__


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_examples(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([verb, "--help"]) == 0
    shown = capsys.readouterr()
    assert f"Usage: dockernet-doctor {verb}" in shown.out
    assert "Examples:" in shown.out
    assert shown.err == ""


USAGE_ERRORS = [
    ["chek"],
    ["web"],
    ["--no-such-option"],
    ["check", "--timeout", "soon"],
    ["check", "--timeout", "0"],
    ["check", "--format", "xml"],
    ["check", "--output", "json"],
    ["check", "--output", "xml=file"],
    ["check", "--only", "no-such-cause"],
    ["check", "--skip", "port-bound-to-lopback"],
    ["check", "--only", "no-such-cause=port:web:80/tcp@h1"],
    ["check", "--only", "no-such-*"],
    ["check", "--host", "ssh://"],
    ["check", "--host", "unix:///nowhere", ""],
    ["check", "--fail-on", "fatal"],
    ["check", "--host", "unix:///a", "--context", "b"],
    ["check", "--host", "gopher://a"],
    ["check", "--context", "no-such-context"],
    ["reach", "host"],
    ["reach", "host", "web:http"],
    ["reach", "host", "web:99999"],
    ["reach", "host", "web:80", "--repeat", "0"],
    ["plan"],
    ["explain"],
    ["schema", "nothing"],
    ["completion", "tcsh"],
    ["map", "--format", "html"],
]


@pytest.mark.parametrize("arguments", USAGE_ERRORS, ids=" ".join)
def test_a_wrong_command_line_gets_one_line_and_nothing_on_standard_output(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1
    assert shown.err.startswith("dockernet-doctor: ")


def test_a_wrong_word_is_answered_with_the_right_one(capsys: pytest.CaptureFixture[str]) -> None:
    run(["chek"])
    assert "did you mean check?" in capsys.readouterr().err
    run(["check", "--skip", "port-bound-to-lopback"])
    assert "did you mean port-bound-to-loopback" in capsys.readouterr().err


def test_control_characters_in_arguments_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "\x1b[31mred\x07"]) == 3
    assert "\x1b" not in capsys.readouterr().err


def test_a_text_that_no_cause_explains_is_3_and_says_what_to_try(capsys: pytest.CaptureFixture[str]) -> None:
    for text, hint in (
        ("the cat is on the roof", "Test the path itself: dockernet-doctor reach SRC DST"),
        ("port-bound-to-lopback", "Did you mean port-bound-to-loopback"),
    ):
        assert run(["explain", text]) == 3
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.startswith(f"dockernet-doctor: Nothing known matches {text!r}. {hint}")
        assert len(shown.err.splitlines()) == 1


def test_checks_as_text_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["checks"]) == 0
    assert "port-bound-to-loopback" in capsys.readouterr().out
    assert run(["checks", "--format", "json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["schema"] == "dockernet-doctor/checks/1"
    entry = next(check for check in listed["checks"] if check["cause"] == "port-bound-to-loopback")
    assert (entry["family"], entry["subjects"], entry["builtin"]) == ("published_ports", ["port"], True)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0
    assert "_DOCKERNET_DOCTOR_COMPLETE" in capsys.readouterr().out


@pytest.mark.parametrize(("typed", "offered"), [("explain port-b", "port-bound-to-loopback"), ("demo re", "reach")])
def test_completion_of_causes_and_verbs(typed: str, offered: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dockernet_doctor"],
        env={"_DOCKERNET_DOCTOR_COMPLETE": "bash_complete", "COMP_WORDS": f"dockernet-doctor {typed}", "COMP_CWORD": "2"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert f"plain,{offered}" in done.stdout.splitlines()


@pytest.mark.parametrize("name", NAMES)
def test_schemas_are_json_schema(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema", name]) == 0
    schema = json.loads(capsys.readouterr().out)
    definition = schema["$defs"][schema["$ref"].rpartition("/")[2]]
    assert definition["properties"]["schema"]
    if name != "bundle":  # a bundle leaves out what has its default
        assert definition["required"] == list(definition["properties"])


def test_closed_sets_are_closed_and_open_ones_open(capsys: pytest.CaptureFixture[str]) -> None:
    run(["schema"])
    definitions = json.loads(capsys.readouterr().out)["$defs"]
    finding = definitions["ReportFinding"]["properties"]
    assert finding["severity"]["enum"] == ["error", "info", "warning"]
    assert set(definitions["ReportCheck"]["properties"]["result"]["enum"]) == {
        "clear",
        "found",
        "not-examined",
        "not-applicable",
        "skipped",
        "failed",
    }
    for kind, name in (
        ("ReportFinding", "cause"),
        ("ReportSubject", "kind"),
        ("ReportHop", "hop"),
        ("ReportBlindSpot", "area"),
        ("ReportProbe", "answer"),
    ):
        assert definitions[kind]["properties"][name] == {"type": "string"}
    assert definitions["ReportFix"]["properties"]["impacts"]["items"] == {"type": "string"}


def test_an_internal_error_is_one_line_and_a_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: object
) -> None:
    from dockernet_doctor.commands import checks

    def broken(_settings: object) -> int:
        raise RuntimeError("boom")

    monkeypatch.setattr(checks, "run", broken)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert run(["checks"]) == 4
    line = capsys.readouterr().err
    assert line.startswith("dockernet-doctor: internal error: RuntimeError: boom; please report it with ")
    with open(line.split()[-1], encoding="utf-8") as log:  # noqa: PTH123
        assert "RuntimeError: boom" in log.read()
    assert run(["checks", "-v"]) == 4
    assert "Traceback" in capsys.readouterr().err


def test_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    from dockernet_doctor.commands import checks

    def interrupted(_settings: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(checks, "run", interrupted)
    assert run(["checks"]) == 130


@pytest.mark.parametrize(
    "arguments",
    [
        ["reach", "host", f"web:{'9' * 5000}"],
        ["reach", "host", "web:²"],
        ["reach", "host", "[::1"],
        ["reach", "", "web"],
        ["reach", "\udcff", "web"],
        ["check", "web\0"],
        ["check", "--timeout", "1e999"],
        ["check", "--timeout", "nan"],
        ["check", "--timeout", "9" * 5000],
        ["reach", "host", "web", "--repeat", "9" * 5000],
        ["check", "--only", ""],
        ["check", "--only", "9" * 5000],
        ["-H", "tcp://[::1"],
        ["-H", "ssh://[::1"],
        ["--bundle", "-", "--bundle", "-"],
    ],
)
def test_an_argument_that_cannot_be_is_refused_in_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert len(shown.err) < 700


def test_a_bundle_of_a_name_that_no_file_can_have_could_not_be_examined(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--bundle", "x" * 5000]) == 3
    assert "File name too long" in capsys.readouterr().out
