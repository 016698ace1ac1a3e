"""`demo [VERB …]`: any verb on a recorded broken host, by the very code that a live host gets."""

from __future__ import annotations

from importlib import resources

import click

from dockernet_doctor.errors import CommandLineError, NotExaminableError

from .options import ALL, REPORT_FORMATS, Settings, examples, options, settings

BUNDLE = "demo.bundle.json.gz"


def verbs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
    """What may follow: a verb, and nothing that we know after it."""
    group = ctx.parent.command if ctx.parent else None
    if ctx.params.get("words") or not isinstance(group, click.Group):
        return []
    return [verb for verb in group.list_commands(ctx) if verb.startswith(incomplete) and verb != "demo"]


@click.command(
    "demo",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog=examples(
        ("dockernet-doctor demo", "what a check of a broken host looks like"),
        ("dockernet-doctor demo -v", "with all fixes and all evidence"),
        ("dockernet-doctor demo reach outside metrics:9090", "a question about that host"),
        ("dockernet-doctor demo map --format svg > demo.svg", "its networks as a picture"),
    ),
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[VERB [ARGUMENTS]…]", shell_complete=verbs)
@options(ALL)
@click.pass_context
def command(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Run VERB on a host that was recorded while it was broken: no Docker, no root. Without a verb it is checked, and the exit
    status is 0."""
    path = ctx.with_resource(resources.as_file(resources.files("dockernet_doctor") / BUNDLE))
    if not path.is_file():
        raise NotExaminableError("the recorded host is not in this installation")
    ctx.obj.update(bundle=(*ctx.obj.get("bundle", ()), str(path)), demo=True)
    if not words:
        ctx.exit(run(settings(ctx)))
    verb, *arguments = words
    assert ctx.parent is not None
    assert isinstance(ctx.parent.command, click.Group)
    found = None if verb == "demo" else ctx.parent.command.get_command(ctx.parent, verb)
    if found is None:
        raise CommandLineError(f"demo {verb}: no such verb; dockernet-doctor --help lists them")
    with found.make_context(f"demo {verb}", arguments, parent=ctx.parent) as inner:
        ctx.exit(found.invoke(inner))


def run(settings: Settings) -> int:
    """Reports as `check` would; 0 where the report could be written."""
    settings.formats(*REPORT_FORMATS)
    from .session import Session

    with Session(settings) as session:
        session.report(session.diagnose(), "demo", ())
    return 0
