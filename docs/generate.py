"""Writes what is generated in docs/: a page for each cause, the command reference, the JSON Schemas, the plugin API.
`--check` only compares.

The pages' one source are the `.md` files beside the checks; the commands' is click; the schemas' are the records; the API's is
the code.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

DOCS = Path(__file__).resolve().parent
GENERATED = ("causes", "schema")
_SHOWN_BLOCKS = 4

_FAMILIES = {
    "published_ports": "Publishing a port",
    "names": "Names",
    "network_modes": "Network modes and states",
    "firewall": "Firewall and forwarding",
    "addressing": "Addresses and links",
    "overlay": "Multi-host: cluster store and Swarm",
    "engine": "The daemon and its configuration",
    "application": "Network fine, application not",
    "general": "Where no cause was found",
}


def pages() -> dict[str, str]:
    """Path below docs/ → text, of everything that is generated."""
    return {
        **dict(_causes()),
        "commands.md": _commands(),
        "gotchas.md": _gotchas(),
        "plugin-api.txt": _plugin_api(),
        **dict(_schemas()),
        "../README.md": _readme(),
    }


def stale() -> list[str]:
    """What is missing, differs, or is there and should not be; relative to docs/."""
    wanted = pages()
    there = {str(path.relative_to(DOCS)) for name in GENERATED for path in (DOCS / name).rglob("*") if path.is_file()}
    differs = {name for name, text in wanted.items() if not _same(DOCS / name, text)}
    return sorted(differs | (there - set(wanted)))


def write() -> None:
    for name in GENERATED:
        shutil.rmtree(DOCS / name, ignore_errors=True)
    for name, text in pages().items():
        path = DOCS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _same(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def _causes() -> Iterator[tuple[str, str]]:
    from dockernet_doctor.diagnosis import registry
    from dockernet_doctor.report.explanation import page_of

    builtin = [entry for entry in registry.load().registered.values() if entry.builtin]
    index = ["# Causes", "", "What `dockernet-doctor explain CAUSE` shows, by family.", ""]
    for family, title in _FAMILIES.items():
        index += [f"## {title}", ""]
        for entry in builtin:
            if entry.family == family:
                index.append(f"- [{entry.check.cause}]({entry.check.cause}.md): {entry.check.title}")
        index.append("")
    yield "causes/README.md", "\n".join(index)
    for entry in builtin:
        yield f"causes/{entry.check.cause}.md", f"{page_of(entry).rstrip()}\n"


def _gotchas() -> str:
    """The article's rules, from the table that the lab's tests run."""
    sys.path.insert(0, str(DOCS.parent))
    from dockernet_doctor.diagnosis import registry
    from tests.lab import article

    taught: dict[int, list[str]] = {}
    for entry in registry.load().registered.values():
        for number in entry.check.article if entry.builtin else ():
            taught.setdefault(number, []).append(entry.check.cause)
    return article.page(taught)


def _plugin_api() -> str:
    sys.path.insert(0, str(DOCS))
    import plugin_api

    return plugin_api.page()


def _commands() -> str:
    import click

    from dockernet_doctor.cli import VERBS, cli

    parts = ["# Commands", "", "Generated from the command line's own help.", ""]
    root = click.Context(
        cli, info_name="dockernet-doctor", terminal_width=100, max_content_width=100, help_option_names=["-h", "--help"]
    )
    for verb in ["", *VERBS]:
        command = cli.get_command(root, verb) if verb else cli
        assert command is not None
        context = click.Context(command, info_name=verb, parent=root, max_content_width=100) if verb else root
        parts += [f"## dockernet-doctor {verb}".rstrip(), "", "```text", command.get_help(context).rstrip(), "```", ""]
        if isinstance(command, click.Group) and verb:
            for name in command.list_commands(context):
                below = command.get_command(context, name)
                assert below is not None
                inner = click.Context(below, info_name=name, parent=context, max_content_width=100)
                title = f"## dockernet-doctor {verb} {name}"
                parts += [title, "", "```text", below.get_help(inner).rstrip(), "```", ""]
    return "\n".join(parts)


def _readme() -> str:
    """The README with what the demo prints now: its first findings and its last line."""
    text = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    before, _, rest = text.partition("<!-- demo -->\n")
    _, _, after = rest.partition("<!-- /demo -->")
    blocks = _demo().split("\n\n")
    shown = "\n\n".join([*blocks[:_SHOWN_BLOCKS], "…", blocks[-1]]).rstrip()
    return f"{before}<!-- demo -->\n```text\n$ dockernet-doctor demo\n{shown}\n```\n<!-- /demo -->{after}"


def _demo() -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dockernet_doctor", "demo"], capture_output=True, text=True, check=True, encoding="utf-8"
    )
    return re.sub(r"\b\d+\.\d s\b", "0.1 s", done.stdout)


def _schemas() -> Iterator[tuple[str, str]]:
    from dockernet_doctor.commands.schema import NAMES, schema_text

    for name in NAMES:
        yield f"schema/{name}.json", schema_text(name)


if __name__ == "__main__":
    if "--check" in sys.argv:
        found = stale()
        print("\n".join(f"docs/{name} is missing or stale: make docs" for name in found))
        sys.exit(bool(found))
    write()
