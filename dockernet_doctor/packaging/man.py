"""The man page, from click's own commands: dockernet-doctor(1)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click

from dockernet_doctor import __version__
from dockernet_doctor.cli import VERBS, cli


def page() -> str:
    """roff, for man(7)."""
    # With the settings of a run: click keeps the help option that a command gave first.
    root = click.Context(cli, info_name="dockernet-doctor", **cli.context_settings)
    lines = [
        f'.TH DOCKERNET-DOCTOR 1 "" "dockernet-doctor {__version__}" "User Commands"',
        ".SH NAME",
        "dockernet\\-doctor \\- why can't I reach this container?",
        ".SH SYNOPSIS",
        ".B dockernet\\-doctor",
        "[\\fIVERB\\fR] [\\fIARGUMENTS\\fR]...",
        ".SH DESCRIPTION",
        *_prose(cli.help or ""),
        ".SH OPTIONS",
        "They stand before or after the verb.",
        *_options(cli, root),
        ".SH VERBS",
    ]
    common = {option for parameter in cli.params for option in parameter.opts}
    for verb in VERBS:
        command = cli.get_command(root, verb)
        assert command is not None
        lines += _verb(command, root, common)
    lines += [".SH SEE ALSO", ".BR docker (1),", ".BR iptables (8),", ".BR nft (8),", ".BR nmap (1)"]
    return "\n".join(lines) + "\n"


def _verb(command: click.Command, root: click.Context, known: set[str]) -> Iterator[str]:
    context = click.Context(command, info_name=command.name, parent=root)
    usage = " ".join(command.collect_usage_pieces(context)).replace("[OPTIONS]", "").strip()
    yield f".SS {_escaped(f'{command.name} {usage}'.strip())}"
    yield from _prose(command.help or "")
    yield from _options(command, context, known)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None and name not in VERBS:
                yield from _verb(below, context, known)


def _options(command: click.Command, context: click.Context, known: set[str] | None = None) -> Iterator[str]:
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record and not (known and known.issuperset(parameter.opts)):
            yield from (".TP", f"\\fB{_escaped(record[0])}\\fR", *_lines(record[1]))


def _prose(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(re.split(r"\n\s*\n", text.strip())):
        if number:
            yield ".PP"
        yield from _lines(paragraph.replace("\b", ""))


def _lines(paragraph: str) -> list[str]:
    return [_escaped(" ".join(paragraph.split()))] if paragraph.strip() else []


def _escaped(text: str) -> str:
    """Text that roff takes as it is: no line of it is a request, and a hyphen can be copied."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text
