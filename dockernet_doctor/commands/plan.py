"""`plan check|reach …`: every probe that would be sent, none sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from .options import ALL, Settings, examples, options, settings
from .reach import ARGUMENTS, SAMPLING, question_of, sampling
from .shell import container_names

if TYPE_CHECKING:
    from dockernet_doctor.diagnosis.question import Question

_EXAMPLES = examples(
    ("dockernet-doctor plan check", "what a check of the daemon would send"),
    ("dockernet-doctor plan reach api db:5432", "what this question would send"),
    ("dockernet-doctor plan check --format json", "for a machine"),
)


@click.group("plan", epilog=_EXAMPLES, subcommand_metavar="check|reach [ARGUMENTS]…", no_args_is_help=False)
@options(ALL)
def command() -> None:
    """Print every probe that check or reach would send, and send none."""


@command.command("check", epilog=_EXAMPLES)
@click.argument("containers", nargs=-1, metavar="[CONTAINER]…", shell_complete=container_names)
@options(ALL)
@click.pass_context
def plan_check(ctx: click.Context, containers: tuple[str, ...]) -> None:
    """What `check` would send."""
    ctx.exit(run(settings(ctx), (), containers, ("check", *containers)))


@command.command("reach", epilog=_EXAMPLES)
@options(ARGUMENTS, SAMPLING)
@options(ALL)
@click.pass_context
def plan_reach(ctx: click.Context, source: str, destination: str, repeat: int | None, duration: float | None) -> None:
    """What `reach` would send."""
    questions = (question_of(source, destination),)
    times, _ = sampling(repeat, duration)
    ctx.exit(run(settings(ctx), questions, (), ("reach", source, destination), repeat=times))


def run(
    settings: Settings,
    questions: Sequence[Question],
    subjects: Sequence[str],
    arguments: Sequence[str],
    *,
    repeat: int = 1,
) -> int:
    """Reads the hosts and prints the plan. 0, or 3 where a host or container asked for could not be read."""
    settings.formats("text", "json")
    from dockernet_doctor.report import json, plan

    from .output import rendered, write
    from .session import Session

    ports = [question.target.port for question in questions if question.target.port]
    with Session(settings, ports=ports, sending=False) as session:
        case, probes = session.planned(questions, asked=bool(questions), subjects=subjects, repeat=repeat)
        found = plan.build(case, probes, session.invocation("plan", arguments))
        render: dict[str, Callable[[], str]] = {"text": lambda: plan.text(found), "json": lambda: json.render(found)}
        texts = rendered(lambda name, _colour, _width: render[name](), settings)
    write(texts, settings, by=session.end)
    return 0 if found.complete else 3
