"""Which containers a command line means, and on which host where several are read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from dockernet_doctor.errors import CommandLineError
from dockernet_doctor.report.words import listed

if TYPE_CHECKING:
    from dockernet_doctor.diagnosis.question import Question
    from dockernet_doctor.snapshot.model import Snapshot


def placed(questions: Iterable[Question], snapshots: Sequence[Snapshot]) -> list[Question]:
    """The questions with their sources' hosts, once for each member where the source is a service.

    CommandLineError where @HOST is none of the hosts, or where it must be said and is not.
    """
    return [each for question in questions for each in _placed(question, snapshots)]


def _placed(question: Question, snapshots: Sequence[Snapshot]) -> list[Question]:
    for name in (question.source.host, question.target.host):
        if name:
            _known(name, snapshots)
    source = question.source
    if not source.host and len(snapshots) > 1:
        source = replace(source, host=_host_of(question, snapshots))
    if source.kind != "container":
        return [replace(question, source=source)]
    members = _members(source.name, _on(source.host, snapshots))
    return [replace(question, source=replace(source, name=name)) for name in members or [source.name]]


def _host_of(question: Question, snapshots: Sequence[Snapshot]) -> str:
    source, names = question.source, [snapshot.name for snapshot in snapshots]
    wanted = source.name if source.kind == "container" else question.target.name
    fitting = [s.name for s in snapshots if any(c.name == wanted for c in s.containers) or _members(wanted, [s])]
    if source.kind != "container" and question.target.host:
        fitting = [question.target.host]
    if len(fitting) > 1 or (not fitting and source.kind != "container"):
        ways = listed((f"{source}@{name}" for name in fitting or names), "or")
        raise CommandLineError(f"several hosts are read: say {ways}")
    return fitting[0] if fitting else names[0]


def named(words: Iterable[str], snapshots: Sequence[Snapshot]) -> list[str]:
    """NAME or NAME@HOST of each container that words of the command line mean: by its name, id, or the beginning of one, or
    by its service; the word itself where nothing is called that. CommandLineError where @HOST is none of the hosts."""
    return [name for word in words for name in _named(word, snapshots)]


def _named(word: str, snapshots: Sequence[Snapshot]) -> list[str]:
    from dockernet_doctor.diagnosis.facts import HostFacts

    reference, at, host = word.partition("@")
    if not reference:
        raise CommandLineError(f"{word!r} names no container")
    there = _on(host, snapshots)
    own = next((c.name for s in there if (c := HostFacts(s).container(reference))), None)
    names = [own] if own else _members(reference, there) or [reference]
    return [f"{name}{at}{host}" for name in names]


def _members(word: str, snapshots: Sequence[Snapshot]) -> list[str]:
    """The containers of the service that the word names, `service:shop/web`, `shop/web` or `web`; none where a container is
    called so."""
    from dockernet_doctor.diagnosis.dials.target import members_of_service
    from dockernet_doctor.diagnosis.facts import HostFacts

    hosts = [HostFacts(snapshot) for snapshot in snapshots]
    if any(facts.container(word) for facts in hosts):
        return []
    return [c.name for facts in hosts for c in members_of_service(facts, word.removeprefix("service:"))]


def _on(host: str, snapshots: Sequence[Snapshot]) -> Sequence[Snapshot]:
    return [_known(host, snapshots)] if host else snapshots


def _known(host: str, snapshots: Sequence[Snapshot]) -> Snapshot:
    for snapshot in snapshots:
        if snapshot.name == host:
            return snapshot
    raise CommandLineError(f"no host that is read is called {host!r}: there is {listed(s.name for s in snapshots)}")
