"""`checks`: what is installed, built-in and third-party."""

from __future__ import annotations

import click

from .options import DISPLAY, OUTPUT, Settings, examples, option_format, options, settings


@click.command(
    "checks",
    epilog=examples(
        ("dockernet-doctor checks", "a table of all causes"),
        ("dockernet-doctor checks --format json", "for a machine"),
    ),
)
@options(option_format("text, json"), OUTPUT, DISPLAY)
@click.pass_context
def command(ctx: click.Context) -> None:
    """List the causes that this installation knows: family, engines, subjects, and whose check it is."""
    ctx.exit(run(settings(ctx)))


def run(settings: Settings) -> int:
    settings.formats("text", "json")
    from dockernet_doctor.diagnosis import registry
    from dockernet_doctor.report import catalogue, json

    from .output import deliver

    found = catalogue.build(registry.load())
    deliver(lambda name, _colour, width: json.render(found) if name == "json" else catalogue.text(found, width), settings)
    return 0
