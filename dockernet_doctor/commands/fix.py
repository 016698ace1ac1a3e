"""`fix FINDING`: the script that fixes one finding, printed and never run."""

from __future__ import annotations

import sys
import time

import click

from dockernet_doctor.deadline import until
from dockernet_doctor.errors import NotExaminableError
from dockernet_doctor.notation import listed

from .options import CHECKS, PROBES, SOURCES, Settings, examples, options, settings


@click.command(
    "fix",
    epilog=examples(
        ("dockernet-doctor fix 'CAUSE=port:web:80/tcp@h1'", "a finding of check, by its id"),
        ("dockernet-doctor fix CAUSE", "by its cause, where only one finding has it"),
        ("dockernet-doctor fix CAUSE --alternative 2", "the second of its fixes"),
        ("dockernet-doctor reach a b --format json | dockernet-doctor fix ID --from -", "a finding of a report"),
    ),
)
@click.argument("finding", metavar="FINDING")
@click.option("--alternative", type=click.IntRange(1, 99), default=1, metavar="N", help="The Nth fix (default 1).")
@click.option("--from", "stored", metavar="REPORT", help="From a JSON report (- for a pipe) or a bundle, not the daemon.")
@options(SOURCES, PROBES, CHECKS)
@click.pass_context
def command(ctx: click.Context, finding: str, alternative: int, stored: str | None) -> None:
    """Print a commented POSIX script that fixes a finding: what it does, why, what it costs, how to undo it. Nothing is run.

    FINDING is the id of a finding of check or of the report, or a cause that only one finding has.

    Exit status: 0 a script that can be run; 1 a change by hand comes first; 3 there is no such finding.
    """
    ctx.exit(run(settings(ctx), finding, alternative, stored))


def run(settings: Settings, name: str, number: int = 1, stored: str | None = None) -> int:
    """Prints the script. 0, 1 or 3."""
    settings.formats("text")
    from dockernet_doctor.report import status
    from dockernet_doctor.report.script import is_runnable, script
    from dockernet_doctor.report.stored import loads

    from .diff import LARGEST_REPORT, diagnosed_side, stored_side
    from .output import deliver

    made_elsewhere = ""
    if stored == "-":
        made_elsewhere = "standard input"
        with until(time.monotonic() + settings.timeout):
            report = loads(sys.stdin.buffer.read(LARGEST_REPORT), "standard input")
    else:
        side = stored_side(settings, stored) if stored else diagnosed_side(settings)
        report = side.report
        made_elsewhere = stored if stored and not side.snapshots else ""
    found = [it for it in report.findings if name in (it.id, it.id.removesuffix(f"@{it.subject.host}"))]
    found = found or [it for it in report.findings if it.cause == name]
    where = stored or "check"
    if not found:
        raise NotExaminableError(f"{where} has no finding {name}. For one of reach: dockernet-doctor reach SRC DST --fix")
    if len(found) > 1:
        raise NotExaminableError(f"{where} has {len(found)} findings {name}; choose {listed([it.id for it in found], 'or')}")
    if number > len(found[0].fixes):
        from dockernet_doctor.report.words import count

        raise click.UsageError(f"{found[0].id} has {count(len(found[0].fixes), 'fix', 'fixes')}")
    fix = found[0].fixes[number - 1]
    text = script([(found[0], fix)], of=made_elsewhere)
    deliver(lambda _name, _colour, _width: text, settings)
    return status.CLEAR if is_runnable(fix) else status.FOUND
