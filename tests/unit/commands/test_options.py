from __future__ import annotations

import contextlib

import click
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from dockernet_doctor.commands.options import ALL, Duration, FormatFile, Settings, options
from dockernet_doctor.commands.options import settings as merged


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30", 30), ("30s", 30), ("5m", 300), ("1m30s", 90), ("500ms", 0.5), ("1.5", 1.5), ("2h", 7200), (" 5s ", 5)],
)
def test_durations(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "0", "0s", "-1", "5x", "s", "1e3", "5 m", "25h", "nan", "inf", "٣"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Duration().convert(text, None, None)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=12))
def test_any_text_is_a_duration_or_an_error_of_the_command_line(text: str) -> None:
    with contextlib.suppress(click.BadParameter):
        assert 0 < Duration().convert(text, None, None) <= 86400


def test_format_and_file() -> None:
    assert FormatFile().convert("json=a=b.json", None, None) == ("json", "a=b.json")
    for wrong in ("json", "json=", "=file"):
        with pytest.raises(click.BadParameter):
            FormatFile().convert(wrong, None, None)


def asked(*arguments: str) -> Settings:
    """What a verb gets of this command line."""
    seen: list[Settings] = []

    @click.group(invoke_without_command=True)
    @options(ALL)
    @click.pass_context
    def group(ctx: click.Context) -> None:
        if ctx.invoked_subcommand is None:
            seen.append(merged(ctx))

    @group.command("verb")
    @options(ALL)
    @click.pass_context
    def verb(ctx: click.Context) -> None:
        seen.append(merged(ctx))

    result = CliRunner().invoke(group, list(arguments), standalone_mode=False)
    if result.exception:
        raise result.exception
    return seen[0]


def test_options_stand_before_and_after_the_verb() -> None:
    expected = Settings(format="json", no_probes=True, timeout=5.0)
    assert asked("--format", "json", "--no-probes", "--timeout", "5", "verb") == expected
    assert asked("verb", "--format", "json", "--no-probes", "--timeout", "5s") == expected
    assert asked("--no-probes", "--format", "json", "verb", "--timeout", "5") == expected
    assert asked("--format", "json", "--no-probes", "--timeout", "5") == expected
    assert asked("verb") == asked() == Settings()


def test_the_last_counts_and_repeatable_ones_add_up() -> None:
    found = asked("--format", "text", "--host", "a", "--skip", "x", "verb", "--format", "json", "-H", "b", "--skip", "y")
    assert (found.format, found.host, found.skip) == ("json", ("a", "b"), ("x", "y"))


@pytest.mark.parametrize("arguments", [("--host", "a", "verb", "--context", "c"), ("--bundle", "-", "verb", "--bundle", "-")])
def test_what_contradicts_itself_is_refused(arguments: tuple[str, ...]) -> None:
    with pytest.raises(click.UsageError):
        asked(*arguments)
