"""`explain CAUSE|"error text"`: what it means, how to see it, how to fix it."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from dockernet_doctor import shell
from dockernet_doctor.deadline import until
from dockernet_doctor.errors import CommandLineError, NotExaminableError
from dockernet_doctor.notation import listed

from .options import DISPLAY, OUTPUT, SOURCES, Settings, examples, option_format, options, settings
from .shell import causes

if TYPE_CHECKING:
    from dockernet_doctor.diagnosis.check import Registered
    from dockernet_doctor.diagnosis.registry import Registry

_LARGEST = 1 << 20  # bytes of a ticket
_BRIEF = 200  # characters of a text that are repeated


class _Explain(click.Command):
    """Takes an argument with spaces for a text, even where it begins with dashes as an option does."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" not in args:
            known = {name for parameter in self.params for name in parameter.opts}
            texts = [arg for arg in args if arg.startswith("-") and " " in arg and arg.partition("=")[0] not in known]
            if texts:
                args = [*(arg for arg in args if arg not in texts), "--", *texts]
        return super().parse_args(ctx, args)


@click.command(
    "explain",
    cls=_Explain,
    epilog=examples(
        ("dockernet-doctor explain CAUSE", "its page; reports name the cause of each finding"),
        ('dockernet-doctor explain "port is already allocated"', "what an error text means"),
        ("docker logs web 2>&1 | dockernet-doctor explain -", "a ticket or a log, from a pipe"),
        ("dockernet-doctor explain - --bundle host.bundle < ticket", "what that host shows of it comes first"),
        ("dockernet-doctor explain --format json connection refused", "for a machine"),
    ),
)
@click.argument("words", nargs=-1, required=True, metavar='CAUSE|"ERROR TEXT"', shell_complete=causes)
@options(SOURCES, option_format("text, json, markdown"), OUTPUT, DISPLAY)
@click.pass_context
def command(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Explain a cause, or find the causes behind an error text or a whole ticket (- for a pipe), whatever names and numbers it
    holds. With --bundle, --host or --context, what that host shows comes first.

    Exit status: 0 explained; 3 nothing known matches.
    """
    given = settings(ctx)
    ctx.exit(run(given, _piped(given) if words == ("-",) else " ".join(words)))


def run(settings: Settings, query: str) -> int:
    """Prints the page, or the causes that fit. NotExaminableError where none does."""
    settings.formats("text", "json", "markdown")
    from dockernet_doctor.diagnosis import registry
    from dockernet_doctor.report import explanation, json

    from .output import deliver

    installed = registry.load()
    shown: dict[str, str] = {}
    if settings.bundle or settings.host or settings.context or settings.demo:
        shown = _findings(settings)
    with until(time.monotonic() + settings.timeout):  # a ticket can be as long as it likes
        found = sorted(find(query, installed), key=lambda entry: entry.check.cause not in shown)
    shown = {entry.check.cause: shown[entry.check.cause] for entry in found if entry.check.cause in shown}

    def render(name: str, colour: bool, width: int) -> str:
        if name == "json":
            return json.render(explanation.explanation(query, found))
        if name == "markdown":
            return "\n".join(explanation.page_of(entry) for entry in found)
        return text(query, found, shown, colour=colour, width=width)

    deliver(render, settings, paged=True)
    return 0


def _piped(settings: Settings) -> str:
    """Standard input as text, to a limit and in time. CommandLineError on a terminal, where nobody would end it."""
    if sys.stdin.isatty():
        raise CommandLineError("- reads a pipe: docker logs web 2>&1 | dockernet-doctor explain -")
    with until(time.monotonic() + settings.timeout):
        return sys.stdin.buffer.read(_LARGEST).decode("utf-8", "replace")


def _findings(settings: Settings) -> dict[str, str]:
    """Cause → the first sentence that a check of these hosts says of it."""
    from .session import Session

    with Session(settings) as session:
        diagnosis = session.diagnose()
    return {finding.cause: finding.summary for finding in reversed(diagnosis.findings)}


def find(query: str, registry: Registry) -> list[Registered]:
    """The cause of that name, or the causes behind that text."""
    from dockernet_doctor.report import ticket
    from dockernet_doctor.report.explanation import causes_of

    from .selection import closest

    name = query.strip().partition("=")[0]
    if name in registry.registered:
        return [registry.registered[name]]
    told = ticket.lines(query)
    containers = [line for line in told if not ticket.is_of_the_daemon(line)]
    found = causes_of("\n".join(containers), registry.registered)
    if not found and len(containers) < len(told):
        raise NotExaminableError(
            "This is about the daemon's own connection to a registry or proxy, not a container's network. Test it on the host: "
            f"{shell.command('curl', '-sSI', f'https://{ticket.registry_of(query)}/v2/')}"
        )
    if not found:
        brief = query if len(query) <= _BRIEF else f"{query[:_BRIEF]}…"
        close = closest(name, registry.causes())
        hint = f"Did you mean {listed(close, 'or')}?" if close else "Test the path itself: dockernet-doctor reach SRC DST"
        raise NotExaminableError(f"Nothing known matches {brief!r}. {hint}")
    return found


def text(query: str, found: Sequence[Registered], shown: Mapping[str, str], *, colour: bool, width: int) -> str:
    """One page, or the causes to choose from; `shown` are those that a host shows, with its sentence."""
    from dockernet_doctor.report import explanation

    def heading(line: str) -> str:
        return click.style(line, bold=True, fg="cyan") if colour else line

    def code(line: str) -> str:
        return click.style(line, bold=True) if colour else line

    if len(found) == 1:
        return explanation.page_text(explanation.page_of(found[0]), width=width, heading=heading, code=code)
    return explanation.choice_text(query, found, shown, width=width, heading=heading)
