"""On which host a question is asked, and a container is meant, where several are read."""

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
    for name in (question.source.host, question.target.host):
        if name:
            _known(name, snapshots)
    names = [snapshot.name for snapshot in snapshots]
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


def named(word: str, snapshots: Sequence[Snapshot]) -> str:
    """NAME or NAME@HOST of the container that a word of the command line means by its name, id, or the beginning of one;
    the word itself where nothing is called that. CommandLineError where @HOST is none of the hosts."""
    from dockernet_doctor.diagnosis.facts import HostFacts

    reference, at, host = word.partition("@")
    if not reference:
        raise CommandLineError(f"{word!r} names no container")
    name = next((c.name for s in _on(host, snapshots) if (c := HostFacts(s).container(reference))), reference)
    return f"{name}{at}{host}"


def _on(host: str, snapshots: Sequence[Snapshot]) -> Sequence[Snapshot]:
    return [_known(host, snapshots)] if host else snapshots


def _known(host: str, snapshots: Sequence[Snapshot]) -> Snapshot:
    for snapshot in snapshots:
        if snapshot.name == host:
            return snapshot
    raise CommandLineError(f"no host that is read is called {host!r}: there is {listed(s.name for s in snapshots)}")
