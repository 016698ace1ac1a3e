"""`explain CAUSE|"error text"`: what it means, how to see it, how to fix it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from dockernet_doctor.errors import NotExaminableError

from .options import DISPLAY, OUTPUT, Settings, examples, option_format, options, settings
from .shell import causes

if TYPE_CHECKING:
    from dockernet_doctor.diagnosis.check import Registered
    from dockernet_doctor.diagnosis.registry import Registry

_BRIEF = 200  # characters of a text that are repeated


@click.command(
    "explain",
    epilog=examples(
        ("dockernet-doctor explain CAUSE", "its page; reports name the cause of each finding"),
        ('dockernet-doctor explain "port is already allocated"', "what an error text means"),
        ("dockernet-doctor explain --format json connection refused", "for a machine"),
    ),
)
@click.argument("words", nargs=-1, required=True, metavar='CAUSE|"ERROR TEXT"', shell_complete=causes)
@options(option_format("text, json, markdown"), OUTPUT, DISPLAY)
@click.pass_context
def command(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Explain a cause, or find the causes behind an error text, whatever names and numbers it holds."""
    ctx.exit(run(settings(ctx), " ".join(words)))


def run(settings: Settings, query: str) -> int:
    """Prints the page, or the causes that fit. NotExaminableError where none does."""
    settings.formats("text", "json", "markdown")
    from dockernet_doctor.diagnosis import registry
    from dockernet_doctor.report import explanation, json

    from .output import deliver

    found = find(query, registry.load())

    def render(name: str, colour: bool, width: int) -> str:
        if name == "json":
            return json.render(explanation.explanation(query, found))
        if name == "markdown":
            return "\n".join(explanation.page_of(entry) for entry in found)
        return text(query, found, colour=colour, width=width)

    deliver(render, settings, paged=True)
    return 0


def find(query: str, registry: Registry) -> list[Registered]:
    """The cause of that name, or the causes behind that text."""
    from dockernet_doctor.report.explanation import causes_of

    from .selection import closest

    name = query.strip().partition("=")[0]
    if name in registry.registered:
        return [registry.registered[name]]
    found = causes_of(query, registry.registered)
    if not found:
        brief = query if len(query) <= _BRIEF else f"{query[:_BRIEF]}…"
        close = closest(name, registry.causes())
        hint = f"Did you mean {' or '.join(close)}?" if close else "Test the path itself: dockernet-doctor reach SRC DST"
        raise NotExaminableError(f"Nothing known matches {brief!r}. {hint}")
    return found


def text(query: str, found: Sequence[Registered], *, colour: bool, width: int) -> str:
    from dockernet_doctor.report import explanation

    def heading(line: str) -> str:
        return click.style(line, bold=True, fg="cyan") if colour else line

    def code(line: str) -> str:
        return click.style(line, bold=True) if colour else line

    if len(found) == 1:
        return explanation.page_text(explanation.page_of(found[0]), width=width, heading=heading, code=code)
    return explanation.choice_text(query, found, width=width, heading=heading)
