"""`licences`: what the single file holds, and under which licences."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dockernet_doctor.errors import CommandLineError, NotExaminableError

from .options import DISPLAY, Settings, examples, options, settings


@click.command(
    "licences",
    epilog=examples(
        ("dockernet-doctor licences", "a table of all parts"),
        ("dockernet-doctor licences libssl3", "the licence of one, in full"),
    ),
)
@click.argument("part", required=False)
@options(DISPLAY)
@click.pass_context
def command(ctx: click.Context, part: str | None) -> None:
    """List what the single file holds beside dockernet-doctor, with the licence of each part; of one part, its text.

    The file holds neither scapy nor python-nmap nor nmap. Where pip installed dockernet-doctor, pip knows what it installed.
    """
    ctx.exit(run(settings(ctx), part))


def run(settings: Settings, part: str | None) -> int:
    del settings  # it has one form
    from .output import show

    show(shown(_parts(), part))
    return 0


def shown(parts: list[dict[str, str]], name: str | None) -> str:
    """The table of parts, or the text of one. CommandLineError for a part that is none."""
    if name is not None:
        found = next((part for part in parts if part["name"].lower() == name.lower()), None)
        if found is None:
            raise CommandLineError(f"no part is called {name!r}; dockernet-doctor licences lists all")
        return f"{found['text'].rstrip()}\n"
    from tabulate import tabulate

    rows = [(part["name"], part["version"], part["licence"]) for part in parts]
    return f"{tabulate(rows, headers=('part', 'version', 'licence'), tablefmt='plain')}\n"


def _parts() -> list[dict[str, str]]:
    try:
        text = (Path(__file__).parent.parent / "licences.json").read_text("utf-8")
    except FileNotFoundError:
        raise NotExaminableError(
            "this is not the single file: its parts were installed one by one, and pip knows them"
        ) from None
    parts: list[dict[str, str]] = json.loads(text)
    return parts
