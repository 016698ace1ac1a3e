"""`check`: the whole daemon, or what bears on some containers."""

from __future__ import annotations

import click

from .options import ALL, REPORT_FORMATS, Settings, examples, options, settings
from .shell import container_names


@click.command(
    "check",
    epilog=examples(
        ("dockernet-doctor check", "the whole daemon"),
        ("dockernet-doctor check web db", "what bears on web and db"),
        ("dockernet-doctor check --no-probes --format json", "nothing sent, for a machine"),
        ("dockernet-doctor check --skip 'random-*' --output junit=r.xml", "for CI, in two formats"),
        ("dockernet-doctor check --baseline monday.json", "only what is new since then counts"),
        ("dockernet-doctor check --bundle a --bundle b", "two hosts, read together"),
    ),
)
@click.argument("containers", nargs=-1, metavar="[CONTAINER]…", shell_complete=container_names)
@options(ALL)
@click.pass_context
def command(ctx: click.Context, containers: tuple[str, ...]) -> None:
    """Check the whole daemon: every published port, every address that a container's settings name, every network.

    With CONTAINER, or a service for all its members: what is wrong with these, their ports and networks, and what bears on
    them. Several hosts: CONTAINER@HOST for the one there.
    """
    ctx.exit(run(settings(ctx), containers))


def run(settings: Settings, containers: tuple[str, ...]) -> int:
    """Checks and reports. The exit status."""
    settings.formats(*REPORT_FORMATS)
    from .session import Session

    with Session(settings) as session:
        from .accepted import accepted, tell_left  # while the hosts are read

        meant = accepted(settings)
        diagnosis = session.diagnose(subjects=containers, accepted=meant)
        tell_left(meant, diagnosis, whole=not containers)
        return session.report(diagnosis, "check", containers)
