"""`demo`: the main job on a recorded broken host, by the very code that a live host gets."""

from __future__ import annotations

from importlib import resources

import click

from dockernet_doctor.errors import NotExaminableError

from .options import CHECKS, DISPLAY, FORMAT, OUTPUT, REPORT_FORMATS, Settings, examples, options, settings

BUNDLE = "demo.bundle.json.gz"


@click.command(
    "demo",
    epilog=examples(
        ("dockernet-doctor demo", "what a check of a broken host looks like"),
        ("dockernet-doctor demo -v", "with all fixes and all evidence"),
        ("dockernet-doctor demo --format html > demo.html", "the same as a page"),
    ),
)
@options(CHECKS, FORMAT, OUTPUT, DISPLAY)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Check a host that was recorded while it was broken: no Docker, no root, and exit status 0."""
    ctx.exit(run(settings(ctx)))


def run(settings: Settings) -> int:
    """Reports as `check` would; 0 where the report could be written."""
    settings.formats(*REPORT_FORMATS)
    from .session import Session

    with resources.as_file(resources.files("dockernet_doctor") / BUNDLE) as path:
        if not path.is_file():
            raise NotExaminableError("the recorded host is not in this installation")
        here = settings._replace(bundle=(str(path),), host=(), context=None)
        with Session(here) as session:
            session.report(session.diagnose(), "demo", ())
    return 0
