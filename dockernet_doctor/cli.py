"""The command line: verbs, found lazily, and the options that stand before or after them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from typing import Any, cast

import click

from . import __version__
from .commands.options import ALL, examples, options, settings
from .errors import CommandLineError

#: verb → what it is for; the module is `commands/<verb>.py`, its click command `command`.
VERBS = {
    "check": "Check the whole daemon, or what bears on some containers.",
    "reach": "Why can't SRC reach DST?",
    "ports": "Published ports × host addresses: expected and observed.",
    "map": "Networks, containers, published ports as a picture.",
    "plan": "Every probe that would be sent, none sent.",
    "collect": "A bundle for someone else to look at, secrets removed.",
    "diff": "What changed between two bundles or reports.",
    "fix": "The script that fixes a finding, printed and never run.",
    "explain": "What a cause or an error text means, and how to fix it.",
    "checks": "What is installed, built-in and third-party.",
    "schema": "JSON Schema of what this tool writes.",
    "demo": "The main job on a recorded broken host: no Docker, no root.",
    "licences": "What the single file holds, and under which licences.",
    "completion": "Completion for bash, zsh or fish.",
}


class Verbs(click.Group):
    """Imports a verb's module when it is asked for, and only that one."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"dockernet_doctor.commands.{cmd_name}")
        return cast(click.Command, module.command)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in VERBS and not name.startswith("-") and not ctx.resilient_parsing:
            from difflib import get_close_matches

            near = get_close_matches(name, VERBS, 1)
            meant = f"did you mean {near[0]}?" if near else f"to look at a container: check {name}"
            ctx.fail(f"no verb is called {name!r}; {meant}")
        return super().resolve_command(ctx, args)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(
    cls=Verbs,
    invoke_without_command=True,
    subcommand_metavar="[VERB] [ARGUMENTS]…",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        ("dockernet-doctor", "check the whole daemon"),
        ("dockernet-doctor reach outside web:80", "why can't other machines reach web?"),
        ("dockernet-doctor reach api db:5432", "why can't api reach db?"),
        ("dockernet-doctor collect host.bundle", "everything, for someone else to look at"),
        ("dockernet-doctor --bundle host.bundle", "look at what somebody else collected"),
    ),
)
@click.version_option(__version__, message="%(prog)s %(version)s")
@options(ALL)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Answers "why can't I reach this container?": reads the Docker daemon and the host's kernel, asks the network a few
    bounded questions, and names the likeliest cause, the evidence and the commands that fix it.

    Without a verb it checks the whole daemon. Nothing is changed, nothing is started.

    Exit status: 0 nothing found; 1 found; 2 the command line is wrong; 3 something asked for could not be examined;
    4 internal error; 130 interrupted, 143 terminated (128 and the signal's number).
    """
    if ctx.invoked_subcommand is None:
        from .commands import check

        ctx.exit(check.run(settings(ctx), ()))


def invoke(arguments: list[str] | None, **extra: Any) -> int:
    """Runs a command line and returns its exit status. Raises what click and `errors` raise."""
    _ensure_text(sys.argv[1:] if arguments is None else arguments)
    status = cli.main(arguments, prog_name="dockernet-doctor", standalone_mode=False, **extra)
    return status if isinstance(status, int) else 0


def _ensure_text(words: Iterable[str]) -> None:
    """CommandLineError where bytes were typed that are no text here: no report could repeat them."""
    for word in words:
        try:
            if b"\0" not in word.encode():
                continue
        except UnicodeEncodeError:
            pass
        raise CommandLineError(f"{word!r} is no text: write it in UTF-8")
