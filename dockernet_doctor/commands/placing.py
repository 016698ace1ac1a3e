"""On which host a question is asked, where several are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from dockernet_doctor.errors import CommandLineError
from dockernet_doctor.report.words import listed

if TYPE_CHECKING:
    from dockernet_doctor.diagnosis.question import Question
    from dockernet_doctor.snapshot.model import Snapshot


def placed(question: Question, snapshots: Sequence[Snapshot]) -> Question:
    """The question with its source's host; as it is where one host is read.

    CommandLineError where @HOST is none of the hosts, or where it must be said and is not.
    """
    names = [snapshot.name for snapshot in snapshots]
    for name in (question.source.host, question.target.host):
        if name and name not in names:
            raise CommandLineError(f"no host that is read is called {name!r}: there is {listed(names)}")
    if question.source.host or len(snapshots) == 1:
        return question
    source = question.source
    wanted = source.name if source.kind == "container" else question.target.name
    fitting = [snapshot.name for snapshot in snapshots if any(c.name == wanted for c in snapshot.containers)]
    if source.kind != "container" and question.target.host:
        fitting = [question.target.host]
    if len(fitting) > 1 or (not fitting and source.kind != "container"):
        ways = listed((f"{source}@{name}" for name in fitting or names), "or")
        raise CommandLineError(f"several hosts are read: say {ways}")
    return replace(question, source=replace(source, host=fitting[0] if fitting else names[0]))
