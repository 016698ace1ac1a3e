"""`reach`: why can't SRC reach DST?"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import click

from dockernet_doctor.errors import CommandLineError

from .options import ALL, REPORT_FORMATS, Duration, Settings, examples, options, settings
from .shell import destination_names, source_names

#: Samples a second where the command line does not say otherwise.
RATE = 2.0

ARGUMENTS: tuple[Callable[[Any], Any], ...] = (
    click.argument("source", metavar="SRC", shell_complete=source_names),
    click.argument("destination", metavar="DST", shell_complete=destination_names),
)
SAMPLING: tuple[Callable[[Any], Any], ...] = (
    click.option("--repeat", type=click.IntRange(1, 10000), metavar="N", help="Ask N times, twice a second."),
    click.option("--for", "duration", type=Duration(), metavar="DURATION", help="Keep asking for that long (5m)."),
)


@click.command(
    "reach",
    epilog=examples(
        ("dockernet-doctor reach outside web:80", "other machines to the port that web publishes"),
        ("dockernet-doctor reach host web", "this host to every published port of web"),
        ("dockernet-doctor reach api db:5432", "one container to another, by the name it uses"),
        ("dockernet-doctor reach api example.org:443", "a container to the world"),
        ("dockernet-doctor reach api 10.0.0.5:53/udp", "an address, over UDP"),
        ("dockernet-doctor reach api@h1 db:5432@h2 --bundle bundles", "across two hosts, from their bundles"),
        ("dockernet-doctor reach api db:5432 --repeat 50", "a fault that comes and goes"),
    ),
)
@options(ARGUMENTS, SAMPLING)
@click.option("--trace", is_flag=True, help="Follow the packet through the interfaces on its way; say why the kernel drops it.")
@options(ALL)
@click.pass_context
def command(ctx: click.Context, source: str, destination: str, repeat: int | None, duration: float | None, trace: bool) -> None:
    """Walk from SRC to DST and name the first broken hop.

    SRC: host, outside (any other machine), a container, or a service: then each of its members.

    DST: [container:|service:|name:]NAME[:PORT[/udp]], host:PORT, IP:PORT or [IPv6]:PORT. Several hosts: NAME@HOST.
    """
    count, interval = sampling(repeat, duration)
    ctx.exit(run(settings(ctx), source, destination, count=count, interval_s=interval, trace=trace))


def sampling(repeat: int | None, duration: float | None) -> tuple[int, float]:
    """How often to ask, and how many seconds apart."""
    if repeat is None and duration is None:
        return 1, 0.0
    if duration is None:
        return repeat or 1, 1 / RATE
    count = repeat or max(2, math.ceil(duration * RATE))
    return count, duration / count


def question_of(source: str, destination: str) -> Any:
    from dockernet_doctor.diagnosis.question import Question, QuestionError, parse_source, parse_target

    try:
        return Question(source=parse_source(source), target=parse_target(destination))
    except QuestionError as error:
        raise CommandLineError(str(error)) from error


def named(question: Any) -> list[str]:
    """The containers and services that the question may be about."""
    return [name for end in (question.source, question.target) if (name := end.name.rpartition("/")[2])]


def run(
    settings: Settings, source: str, destination: str, *, count: int = 1, interval_s: float = 0.0, trace: bool = False
) -> int:
    """Walks and reports. The exit status."""
    settings.formats(*REPORT_FORMATS)
    question = question_of(source, destination)
    from .session import Session

    ports = [question.target.port] if question.target.port else []
    names = named(question)
    with Session(settings, sampling_s=count * interval_s, ports=ports, names=names) as session:
        diagnosis = session.diagnose([question], asked=True, repeat=count, interval_s=interval_s)
        if trace:
            diagnosis = session.traced(diagnosis)
        return session.report(diagnosis, "reach", (source, destination))
