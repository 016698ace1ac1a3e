"""`map`: networks, containers and published ports as a picture."""

from __future__ import annotations

import click

from .options import DISPLAY, OUTPUT, SOURCES, Settings, examples, option_format, options, settings


@click.command(
    "map",
    epilog=examples(
        ("dockernet-doctor map", "as text"),
        ("dockernet-doctor map --format svg > map.svg", "as a picture"),
        ("dockernet-doctor map --format mermaid", "for a wiki page"),
        ("dockernet-doctor map --format dot | dot -Tpng > map.png", "with Graphviz"),
    ),
)
@options(SOURCES, option_format("text, json, mermaid, dot, svg"), OUTPUT, DISPLAY)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Draw which container is on which network, with which address, and what is published."""
    ctx.exit(run(settings(ctx)))


def run(settings: Settings) -> int:
    """Reads the hosts and prints the map. 0, or 3 where a host could not be read."""
    settings.formats("text", "json", "mermaid", "dot", "svg")
    from dockernet_doctor.diagnosis.case import Case
    from dockernet_doctor.report import map as picture

    from .output import rendered, write
    from .session import Session

    with Session(settings, sending=False) as session:
        found = picture.build(Case.of(session.snapshots()))
        texts = rendered(lambda name, _colour, _width: picture.render(found, name), settings)
    write(texts, settings, by=session.end)
    return 0 if found.complete else 3
