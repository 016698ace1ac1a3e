"""`ports`: published ports × addresses of the host, expected and observed."""

from __future__ import annotations

import time
from collections.abc import Callable

import click

from .options import (
    DISPLAY,
    OUTPUT,
    PROBES,
    SOURCES,
    VERDICT,
    Settings,
    examples,
    option_format,
    options,
    settings,
)
from .shell import container_names


@click.command(
    "ports",
    epilog=examples(
        ("dockernet-doctor ports", "every published port at every address of this host"),
        ("dockernet-doctor ports web", "the ports of web"),
        ("dockernet-doctor ports --no-probes", "what is expected, nothing scanned"),
        ("dockernet-doctor ports --format json", "for a machine"),
    ),
)
@click.argument("containers", nargs=-1, metavar="[CONTAINER]…", shell_complete=container_names)
@options(SOURCES, PROBES, VERDICT, option_format("text, json"), OUTPUT, DISPLAY)
@click.pass_context
def command(ctx: click.Context, containers: tuple[str, ...]) -> None:
    """Show for every published port and every address of the host: bound, by whom, expected and observed. Status 1 where one
    leads nowhere.

    "From outside" is predicted from what this host decides. TCP is seen by nmap (a connect scan), UDP by one datagram.
    Where nmap is not installed, TCP is seen by plain connections.
    """
    ctx.exit(run(settings(ctx), containers))


def run(settings: Settings, containers: tuple[str, ...]) -> int:
    """Reads the hosts, scans, prints. 0, 1 where a published port leads nowhere, 3 where not all asked for was read."""
    settings.formats("text", "json")
    from dockernet_doctor.diagnosis import ports
    from dockernet_doctor.report import json
    from dockernet_doctor.report import ports as report

    from .output import rendered, say, write
    from .session import Session

    with Session(settings) as session:
        case = session.case(containers)
        answers = session.ask(ports.wanted(case))
        if connections := ports.instead_of_scans(answers.values()):
            say("nmap is not installed: each port is seen by a plain connection instead")
            answers = {**answers, **session.ask(connections)}
        matrix = ports.matrix(case, answers)
        found = report.build(
            case,
            matrix,
            session.invocation("ports", containers),
            duration_s=time.monotonic() - session.started,
        )
        render: dict[str, Callable[[], str]] = {"text": lambda: report.text(found), "json": lambda: json.render(found)}
        texts = rendered(lambda name, _colour, _width: render[name](), settings)
    write(texts, settings, by=session.end)
    return report.exit_status(found, lost=matrix.lost, strict=settings.strict)
