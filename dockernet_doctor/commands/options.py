"""The options that verbs share. They stand before or after the verb: each is on the group and on its verbs, and what is
said last counts, while what can be repeated adds up.

A verb takes them with `@options(SOURCES, REPORT)` and reads `settings(ctx)`. Nothing here imports more than click.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click
from click.core import ParameterSource

from dockernet_doctor.regex import regex

if TYPE_CHECKING:
    _Seconds = click.ParamType[float]
    _Pair = click.ParamType[tuple[str, str]]
else:  # older releases of click cannot be subscripted
    _Seconds = _Pair = click.ParamType

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

REPORT_FORMATS = ("text", "json", "markdown", "html", "junit")
FAIL_ON = ("error", "warning", "info", "never")
DEFAULT_TIMEOUT_S = 30.0


class Settings(NamedTuple):
    """What the shared options say, merged. `timeout` in seconds; `demo`: the bundle is the recorded host of `demo`; `send`: the
    program that hosts behind ssh get for the time of the run."""

    bundle: tuple[str, ...] = ()
    host: tuple[str, ...] = ()
    context: str | None = None
    no_probes: bool = False
    timeout: float = DEFAULT_TIMEOUT_S
    format: str = "text"
    output: tuple[tuple[str, str], ...] = ()
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    fail_on: str = "error"
    strict: bool = False
    color: str = "auto"
    verbose: bool = False
    brief: bool = False
    baseline: str | None = None
    config: str | None = None
    demo: bool = False
    fix: bool = False
    send: str = ""

    def again(self, verb: str, arguments: Sequence[str]) -> list[str]:
        """The words of a command line that asks the same of the same hosts."""
        if self.demo:
            return ["dockernet-doctor", *(["demo"] if verb != "demo" else []), verb, *arguments]
        return ["dockernet-doctor", verb, *arguments, *self._sources]

    @property
    def _sources(self) -> list[str]:
        words = [word for path in self.bundle for word in ("--bundle", path)]
        words += [word for url in self.host for word in ("--host", url)]
        return [*words, "--context", self.context] if self.context else words

    @property
    def all_formats(self) -> tuple[str, ...]:
        """The format of standard output, and those of files."""
        return (self.format, *(name for name, _ in self.output))

    def formats(self, *allowed: str) -> Settings:
        """These settings, where every format asked for is one of those; UsageError otherwise."""
        for name in self.all_formats:
            if name not in allowed:
                raise click.UsageError(f"unknown format {name!r} here; choose {', '.join(allowed)}")
        return self


class Duration(_Seconds):
    """`30`, `30s`, `5m`, `1m30s`, `500ms`, `2h`; becomes seconds."""

    name = "duration"
    _UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}  # noqa: RUF012
    _PART = regex(r"(\d+(?:\.\d+)?)(ms|s|m|h)")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float | int):
            return float(value)
        text = str(value).strip()
        if re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII):
            seconds = float(text)
        elif re.fullmatch(rf"({self._PART.pattern})+", text, re.ASCII):
            seconds = sum(float(number) * self._UNITS[unit] for number, unit in self._PART.findall(text))
        else:
            self.fail(f"{text!r} is no duration: say 30, 30s, 5m or 1m30s", param, ctx)
        if not 0 < seconds <= 86400:
            self.fail(f"{text!r}: a duration is more than 0 and at most 24h", param, ctx)
        return seconds


class FormatFile(_Pair):
    """`FORMAT=FILE`"""

    name = "format=file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, separator, path = str(value).partition("=")
        if not separator or not path or not name:
            self.fail(f"{value!r}: say FORMAT=FILE, as in json=report.json", param, ctx)
        return name, path


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Into the one dictionary that the group and its verbs share."""
    given: dict[str, Any] = ctx.ensure_object(dict)
    name = param.name
    if ctx.get_parameter_source(name) in (ParameterSource.DEFAULT, None) or ctx.resilient_parsing:
        return
    given[name] = (*given.get(name, ()), *value) if getattr(param, "multiple", False) else value


def _option(*names: str, **attributes: Any) -> Callable[[CommandT], CommandT]:
    return click.option(*names, expose_value=False, callback=_keep, **attributes)


SOURCES = (
    _option(
        "--bundle",
        metavar="FILE",
        multiple=True,
        help="Read a bundle (- for a pipe), or a directory of them, not a daemon; repeatable.",
    ),
    _option("--host", "-H", metavar="URL", multiple=True, help="The daemon to ask: unix://, tcp://, ssh://; repeatable."),
    _option("--context", metavar="NAME", help="The docker context to use."),
    _option("--timeout", type=Duration(), metavar="DURATION", help="Time limit of the whole run: 30, 30s, 5m (default 30s)."),
)
PROBES = (_option("--no-probes", is_flag=True, help="Send no packets; judge by what can be read."),)
CHECKS = (
    _option("--only", metavar="ID", multiple=True, help="Only these causes or findings (globs); repeatable."),
    _option("--skip", metavar="ID", multiple=True, help="All but these causes or findings (globs); repeatable."),
)
ACCEPTED = (
    _option("--baseline", metavar="FILE", help="A bundle or JSON report: only findings that it does not have count."),
    _option("--config", metavar="FILE", help="Accepted findings (default /etc/dockernet-doctor.toml)."),
)
VERDICT = (
    _option("--fail-on", type=click.Choice(FAIL_ON), help="Lowest severity that gives exit status 1 (default error)."),
    _option("--strict", is_flag=True, help="A blind spot counts as not examined (exit status 3)."),
)


def option_format(names: str) -> tuple[Callable[[CommandT], CommandT]]:
    """--format, with the formats that a verb knows in its help."""
    return (_option("--format", metavar="FORMAT", help=f"Format of standard output: {names} (default text)."),)


FORMAT = option_format("text, json, markdown, html, junit")
BRIEF = (_option("--brief", is_flag=True, help="JSON with id, severity, summary, confidence and first fix only."),)
OUTPUT = (_option("--output", type=FormatFile(), metavar="FORMAT=FILE", multiple=True, help="Write a file too; repeatable."),)
DISPLAY = (
    _option("--color", type=click.Choice(("auto", "always", "never")), help="Colours (default auto; NO_COLOR is respected)."),
    _option("-v", "--verbose", is_flag=True, help="All fixes, all commands, all evidence."),
)
FIX = (_option("--fix", is_flag=True, help="Print the fixes as a commented script, not the report; nothing is run."),)
REPORT = (*PROBES, *CHECKS, *ACCEPTED, *VERDICT, *FORMAT, *BRIEF, *OUTPUT, *DISPLAY)
ALL = (*SOURCES, *REPORT, *FIX)


def options(*groups: tuple[Callable[[Any], Any], ...]) -> Callable[[CommandT], CommandT]:
    """Adds these groups of shared options to a command."""

    def decorate(command: CommandT) -> CommandT:
        for option in reversed([option for group in groups for option in group]):
            command = option(command)
        return command

    return decorate


def settings(ctx: click.Context) -> Settings:
    """What was said before and after the verb. UsageError where it contradicts itself."""
    given = Settings(**(ctx.obj or {}))
    if given.host and given.context:
        raise click.UsageError("--host and --context cannot be given together: both choose the daemon")
    if given.brief and "json" not in given.all_formats:
        raise click.UsageError("--brief is a kind of JSON: add --format json")
    if given.demo and (given.host or given.context or len(given.bundle) > 1):
        raise click.UsageError("demo brings its own host: leave out --bundle, --host and --context")
    if given.fix and given.format != "text":
        raise click.UsageError("--fix prints a script: leave out --format, or have the report in a file with --output")
    if given.bundle.count("-") > 1:
        raise click.UsageError("--bundle - can be given once: there is one standard input")
    return given


def examples(*lines: tuple[str, str]) -> str:
    """The end of a help page: (command line, what it tells)."""
    width = max(len(line) for line, _ in lines)
    if all(width + len(what) < 74 for _, what in lines):
        shown = [f"  {line.ljust(width)}  {what}" for line, what in lines]
    else:
        shown = [f"  {line}\n      {what}" for line, what in lines]
    return "\b\nExamples:\n" + "\n".join(shown)
