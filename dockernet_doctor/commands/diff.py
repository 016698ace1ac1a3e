"""`diff OLD [NEW]`: what changed between two bundles or reports."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from dockernet_doctor.deadline import until
from dockernet_doctor.errors import NotExaminableError

from .options import CHECKS, DISPLAY, OUTPUT, PROBES, SOURCES, Settings, examples, option_format, options, settings

if TYPE_CHECKING:
    from dockernet_doctor.report.difference import Side

LARGEST_REPORT = 64 << 20  # bytes
_LEAST_S = 0.2  # of the second side
_RENDERING_S = 0.3  # beyond the deadline


@click.command(
    "diff",
    epilog=examples(
        ("dockernet-doctor diff monday.bundle today.bundle", "what is new, gone and changed"),
        ("dockernet-doctor diff before.json", "the daemon at hand against a report"),
        ("dockernet-doctor diff before.bundle -H ssh://root@h1", "another daemon"),
        ("dockernet-doctor diff a.json b.json --format json", "for a machine"),
    ),
)
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="[NEW]", required=False)
@options(SOURCES, PROBES, CHECKS, option_format("text, json"), OUTPUT, DISPLAY)
@click.pass_context
def command(ctx: click.Context, old: str, new: str | None) -> None:
    """Compare two bundles or JSON reports: findings that are new, gone or changed; of bundles also the networks, containers,
    ports, addresses, names, rules, routes, sysctls and daemon options. Without NEW, OLD is compared with the daemon at hand.

    Exit status: 0 no new finding; 1 new findings; 3 the newer side could not be examined.
    """
    ctx.exit(run(settings(ctx), old, new))


def run(settings: Settings, old: str, new: str | None) -> int:
    """Prints the difference. 0, 1 or 3."""
    settings.formats("text", "json")
    if settings.bundle and new:
        raise click.UsageError("two files are compared: leave out --bundle")
    from dockernet_doctor.report import difference, json, status

    from .output import rendered, write

    # One run has one deadline: the second side gets what the first has left.
    end = time.monotonic() + settings.timeout
    before = stored_side(settings, old)
    rest = settings._replace(timeout=max(_LEAST_S, end - time.monotonic()))
    after = stored_side(rest, new) if new else diagnosed_side(rest)
    with until(max(end, time.monotonic()) + _RENDERING_S):
        found = difference.build(before, after)
        render: dict[str, Callable[[], str]] = {"text": lambda: difference.text(found), "json": lambda: json.render(found)}
        texts = rendered(lambda name, _colour, _width: render[name](), settings)
    write(texts, settings, by=end + _RENDERING_S, paged=True)
    if not found.new.complete:
        return status.NOT_EXAMINED
    return status.FOUND if any(finding.confidence != "possible" for finding in found.new_findings) else status.CLEAR


def stored_side(settings: Settings, path: str) -> Side:
    """What a file or a directory holds: a report as it is, a bundle diagnosed."""
    from dockernet_doctor.report import stored
    from dockernet_doctor.report.difference import Side

    if path != "-" and not os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises for a name that is too long
        try:
            # a pipe that nobody writes to ends the run as a whole: there is nothing to report
            with until(time.monotonic() + settings.timeout), open(path, "rb") as file:  # noqa: PTH123
                data = file.read(LARGEST_REPORT)
            if stored.is_report(data):
                return Side(report=stored.loads(data, path))
        except OSError as error:
            raise NotExaminableError(f"{path}: {error.strerror or error}") from error
    side = diagnosed_side(settings._replace(bundle=(path,), host=(), context=None))
    unreadable = [it.problem.detail for it in side.snapshots if it.problem is not None and it.problem.kind == "usage"]
    if len(unreadable) == len(side.snapshots):
        raise NotExaminableError(f"{path}: {unreadable[0]}")
    return side


def diagnosed_side(settings: Settings) -> Side:
    """What `check` reports of these hosts."""
    from dockernet_doctor.report.difference import Side

    from .session import Session

    with Session(settings) as session:
        view = session.view(session.diagnose(), "check", ())
        return Side(report=view.report, snapshots=session.snapshots())
