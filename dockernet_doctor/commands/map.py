"""`map`: networks, containers and published ports as a picture."""

from __future__ import annotations

import click

from .options import DISPLAY, OUTPUT, SOURCES, Settings, examples, option_format, options, settings
from .shell import container_names


@click.command(
    "map",
    epilog=examples(
        ("dockernet-doctor map", "as text"),
        ("dockernet-doctor map web", "web, its networks and who is on them"),
        ("dockernet-doctor map --format svg > map.svg", "as a picture"),
        ("dockernet-doctor map --format mermaid", "for a wiki page"),
        ("dockernet-doctor map --format dot | dot -Tpng > map.png", "with Graphviz"),
    ),
)
@click.argument("containers", nargs=-1, metavar="[CONTAINER]…", shell_complete=container_names)
@options(SOURCES, option_format("text, json, mermaid, dot, svg"), OUTPUT, DISPLAY)
@click.pass_context
def command(ctx: click.Context, containers: tuple[str, ...]) -> None:
    """Draw which container is on which network, with which address, what is published, and what is wrong where.

    Nothing is sent. The picture of a hundred containers is folded by Compose project; with CONTAINER only these, their networks
    and those on them are drawn.
    """
    ctx.exit(run(settings(ctx), containers))


def run(settings: Settings, containers: tuple[str, ...] = ()) -> int:
    """Reads the hosts and prints the map. 0, or 3 where a host or a container that is named could not be read."""
    settings.formats("text", "json", "mermaid", "dot", "svg")
    from dockernet_doctor.report import map as picture

    from .output import rendered, say, write
    from .session import Session

    with Session(settings, sending=False) as session:
        case = session.case(containers)
        found = picture.build(case, session.diagnose().findings)
        absent = case.absent()
        texts = rendered(lambda name, _colour, _width: picture.render(found, name), settings)
    write(texts, settings, by=session.end)
    for one in absent:
        say(": ".join(filter(None, (one.spot.what, one.spot.why))) + (f" ({one.spot.remedy})" if one.spot.remedy else ""))
    return 0 if found.complete and not absent else 3
