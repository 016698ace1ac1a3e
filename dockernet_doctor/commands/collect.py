"""`collect`: a bundle for someone else to look at."""

from __future__ import annotations

import sys

import click

from dockernet_doctor.errors import CommandLineError, ReportNotWrittenError

from .options import DISPLAY, PROBES, SOURCES, Settings, examples, options, settings


@click.command(
    "collect",
    epilog=examples(
        ("dockernet-doctor collect host.bundle", "this host"),
        ("dockernet-doctor collect --pseudonymise host.bundle", "IP and MAC addresses replaced, subnets kept"),
        ("ssh HOST dockernet-doctor collect - > HOST.bundle", "another host"),
        ("dockernet-doctor --bundle host.bundle reach api db", "a question, asked later"),
    ),
)
@click.argument("file", metavar="FILE", type=click.Path(allow_dash=True))
@click.option("--pseudonymise", is_flag=True, help="Replace IP and MAC addresses, keeping subnets.")
@options(SOURCES, PROBES, DISPLAY)
@click.pass_context
def command(ctx: click.Context, file: str, pseudonymise: bool) -> None:
    """Write all that is known about a host, and what its network answered, to FILE (- for standard output).

    Secrets are removed while reading, and the finished bundle is looked over once more; what was removed is listed.
    It replays to the diagnosis that the host itself gets.
    """
    ctx.exit(run(settings(ctx), file, pseudonymise=pseudonymise))


def run(settings: Settings, file: str, *, pseudonymise: bool = False) -> int:
    """Collects one host and writes the bundle. 0, or 3 where its daemon did not answer (the bundle is written)."""
    settings.formats("text")
    if len(settings.host) + len(settings.bundle) > 1:
        raise CommandLineError("a bundle holds one host: collect each by its own command")
    if file == "-" and sys.stdout.isatty():
        raise CommandLineError("a bundle is binary: name a file, or pipe standard output somewhere")
    from dockernet_doctor.report.words import count
    from dockernet_doctor.snapshot import bundle, last_look

    from .output import say, show_bytes
    from .session import Session

    with Session(settings) as session:
        diagnosis = session.diagnose()
        snapshot, *others = session.snapshots()
        if others:
            raise CommandLineError("a bundle holds one host: collect each by its own command")
        made, late = last_look.masked(bundle.Bundle(snapshot=snapshot, answers=diagnosis.answers))
        made = bundle.pseudonymise(made) if pseudonymise else made
    try:
        if file == "-":
            show_bytes(bundle.dumps(made), session.end)
        else:
            bundle.save(file, made, by=session.end)
    except OSError as error:
        raise ReportNotWrittenError(f"{file}: {error.strerror or error}") from error
    if late:
        say(f"also masked, as it looked like a secret: {', '.join(late)}")
    held = f"{count(len(snapshot.containers), 'container')}, {count(len(made.answers), 'answer')} of the network"
    why = f"; the daemon gave no answer: {snapshot.problem.detail}" if snapshot.problem else ""
    say(f"{file}: {held}; {count(len(made.snapshot.removed), 'secret')} removed{why}")
    return 0 if snapshot.engine else 3
