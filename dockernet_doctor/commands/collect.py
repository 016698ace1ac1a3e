"""`collect`: a bundle for someone else to look at."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from dockernet_doctor.errors import CommandLineError, ReportNotWrittenError
from dockernet_doctor.files import write_file

from .options import DISPLAY, PROBES, SOURCES, Settings, examples, options, settings

if TYPE_CHECKING:
    from dockernet_doctor.snapshot.bundle import Bundle
    from dockernet_doctor.snapshot.pseudonymised import Pseudonymised


@click.command(
    "collect",
    epilog=examples(
        ("dockernet-doctor collect host.bundle", "this host"),
        ("dockernet-doctor collect --preview", "what a bundle would hold, and what is taken out"),
        ("dockernet-doctor collect --pseudonymise host.bundle", "names and addresses replaced, subnets kept"),
        ("dockernet-doctor collect --bundle host.bundle --pseudonymise --map back.json out.bundle", "an existing one again"),
        ("dockernet-doctor collect -H ssh://ops@web1 web1.bundle", "another host"),
        ("dockernet-doctor collect -H ssh://ops@web1 --send web1.bundle", "one without dockernet-doctor"),
        ("dockernet-doctor --bundle host.bundle reach api db", "a question, asked later"),
    ),
)
@click.argument("file", metavar="[FILE]", required=False, type=click.Path(allow_dash=True))
@click.option("--pseudonymise", is_flag=True, help="Replace names, IP and MAC addresses, keeping subnets.")
@click.option("--map", "way_back", metavar="FILE", type=click.Path(), help="Keep the way back here: pseudonym → real.")
@click.option("--preview", is_flag=True, help="Print what the bundle would hold and what is taken out; write nothing.")
@click.option("--send", is_flag=True, help="Take the single file to the ssh:// host for this run, and remove it afterwards.")
@options(SOURCES, PROBES, DISPLAY)
@click.pass_context
def command(ctx: click.Context, file: str | None, pseudonymise: bool, way_back: str | None, preview: bool, send: bool) -> None:
    """Write all that is known about a host, and what its network answered, to FILE (- for standard output).

    Secrets are removed while reading, and the finished bundle is looked over once more; what was removed is listed.
    It replays to the diagnosis that the host itself gets. With --bundle an existing one is looked over and written again.
    """
    if way_back and not pseudonymise:
        raise CommandLineError("--map keeps the way back of --pseudonymise: ask for both")
    if way_back == "-" or (
        way_back and os.path.realpath(way_back) in map(os.path.realpath, (file or "-", *settings(ctx).bundle))
    ):
        raise CommandLineError("--map wants a file of its own: the way back stays with you when the bundle leaves")
    if not file and not preview:
        raise CommandLineError("name the FILE to write (- for standard output), or ask for --preview")
    asked = settings(ctx)
    if send:
        asked = asked._replace(send=_single_file(asked))
    ctx.exit(run(asked, file or "", pseudonymise=pseudonymise, way_back=way_back or "", preview=preview))


def _single_file(settings: Settings) -> str:
    """The path of what --send sends. CommandLineError where there is nothing to send, or nowhere to."""
    from dockernet_doctor import single_file

    if not settings.host or any(not url.startswith("ssh://") for url in settings.host):
        raise CommandLineError("--send takes the single file to a host behind ssh: name it, -H ssh://USER@HOST")
    if not single_file.path():
        raise CommandLineError(
            "--send takes the single file along, and this is an installed dockernet-doctor: run the single file"
        )
    return single_file.path()


def run(settings: Settings, file: str, *, pseudonymise: bool = False, way_back: str = "", preview: bool = False) -> int:
    """Collects one host and writes the bundle. 0, or 3 where its daemon did not answer (the bundle is written)."""
    settings.formats("text")
    if len(settings.host) + len(settings.bundle) > 1:
        raise CommandLineError("a bundle holds one host: collect each by its own command")
    if file == "-" and sys.stdout.isatty() and not preview:
        raise CommandLineError("a bundle is binary: name a file, or pipe standard output somewhere")
    from dockernet_doctor.report.words import count
    from dockernet_doctor.snapshot import bundle, last_look, pseudonymised

    from .output import deliver, say, show_bytes
    from .session import Session

    with Session(settings) as session:
        diagnosis = session.diagnose()
        snapshot, *others = session.snapshots()
        if others:
            raise CommandLineError("a bundle holds one host: collect each by its own command")
        made, late = last_look.masked(bundle.Bundle(snapshot=snapshot, answers=diagnosis.answers))
        mapped = pseudonymised.pseudonymise(made) if pseudonymise else None
        made = mapped.bundle if mapped else made
    if preview:
        shown = "".join(f"{line}\n" for line in _preview(made, mapped, len(bundle.dumps(made))))
        deliver(lambda _name, _colour, _width: shown, settings)
        return 0 if snapshot.engine else 3
    target = way_back
    try:
        if mapped and way_back:
            write_file(way_back, mapped.way_back(), mode=0o600, by=session.end)
        target = file
        if file == "-":
            show_bytes(bundle.dumps(made), session.end)
        else:
            bundle.save(file, made, by=session.end)
    except OSError as error:
        raise ReportNotWrittenError(f"{target}: {error.strerror or error}") from error
    if late:
        say(f"also masked, as it looked like a secret: {', '.join(late)}")
    held = f"{count(len(snapshot.containers), 'container')}, {count(len(made.answers), 'answer')} of the network"
    why = f"; the daemon gave no answer: {snapshot.problem.detail}" if snapshot.problem else ""
    say(f"{file}: {held}; {count(len({*made.snapshot.removed} - {bundle.PSEUDONYMS}), 'secret')} removed{why}")
    return 0 if snapshot.engine else 3


def _preview(made: Bundle, mapped: Pseudonymised | None, size: int) -> Iterator[str]:
    """What a security officer wants to know of a bundle before it leaves the house, line by line."""
    from dockernet_doctor.report.words import count, visible

    snapshot = made.snapshot
    held = [
        count(len(snapshot.containers), "container"),
        count(len(snapshot.networks), "network"),
        f"{count(len(made.answers), 'answer')} of the network",
    ]
    yield f"Nothing was written. The bundle would hold {', '.join(held)}, in {max(size // 1024, 1)} KiB."
    yield ""
    yield f"Taken out ({len(snapshot.removed)}):" if snapshot.removed else "Taken out: nothing looked like a secret."
    yield from (f"  {visible(what)}" for what in snapshot.removed)
    for word, replaced in (("Names", mapped.names), ("Addresses", mapped.addresses)) if mapped else ():
        yield ""
        yield f"{word} replaced ({len(replaced)}), by other words each time:"
        yield from (f"  {visible(real)} → {visible(pseudonym)}" for pseudonym, real in replaced.items())
    if not mapped:
        yield ""
        yield "Kept: names and addresses (--pseudonymise replaces them)."
    yield ""
    yield "Kept in any case, as a diagnosis needs it:"
    yield f"  images: {visible(', '.join(sorted({c.image for c in snapshot.containers}))) or 'none'}"
    yield "  firewall rules, routes, interfaces, ports, kernel settings, versions, names of programs"
    yield "  the daemon's options and log, the last lines of containers that stopped, compose files without values"
