"""Which containers a command line means, and on which host where several are read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from dockernet_doctor.errors import CommandLineError
from dockernet_doctor.notation import listed

if TYPE_CHECKING:
    from dockernet_doctor.diagnosis.facts.host import HostFacts
    from dockernet_doctor.diagnosis.question import Question
    from dockernet_doctor.snapshot.model import Snapshot


def placed(questions: Iterable[Question], snapshots: Sequence[Snapshot]) -> list[Question]:
    """The questions with their sources' hosts, once for each member where the source is a service.

    CommandLineError where @HOST is none of the hosts, or where it must be said and is not.
    """
    hosts = _facts(snapshots)
    return [each for question in questions for each in _placed(question, hosts)]


def _placed(question: Question, hosts: Sequence[HostFacts]) -> list[Question]:
    for name in (question.source.host, question.target.host):
        if name:
            _known(name, hosts)
    source = question.source
    if not source.host and len(hosts) > 1:
        source = replace(source, host=_host_of(question, hosts))
    if source.kind != "container":
        return [replace(question, source=source)]
    return [replace(question, source=replace(source, name=name)) for name in _names(source.name, _on(source.host, hosts))]


def _host_of(question: Question, hosts: Sequence[HostFacts]) -> str:
    from dockernet_doctor.diagnosis.asked_for import containers

    source, names = question.source, [facts.name for facts in hosts]
    wanted = source.name if source.kind == "container" else question.target.name
    fitting = [facts.name for facts in hosts if containers([facts], wanted)]
    if source.kind != "container" and question.target.host:
        fitting = [question.target.host]
    if len(fitting) > 1 or (not fitting and source.kind != "container"):
        ways = listed((f"{source}@{name}" for name in fitting or names), "or")
        raise CommandLineError(f"several hosts are read: say {ways}")
    return fitting[0] if fitting else names[0]


def named(words: Iterable[str], snapshots: Sequence[Snapshot]) -> list[str]:
    """NAME or NAME@HOST of each container that words of the command line mean: by its name, id, or the beginning of one, or
    by its service; the word itself where nothing is called that. CommandLineError where @HOST is none of the hosts."""
    hosts = _facts(snapshots)
    return [name for word in words for name in _named(word, hosts)]


def _named(word: str, hosts: Sequence[HostFacts]) -> list[str]:
    reference, at, host = word.partition("@")
    if not reference:
        raise CommandLineError(f"{word!r} names no container")
    return [f"{name}{at}{host}" for name in _names(reference, _on(host, hosts))]


def _names(word: str, hosts: Sequence[HostFacts]) -> list[str]:
    """The names of the containers that the word means; the word itself where nothing is called that."""
    from dockernet_doctor.diagnosis.asked_for import containers

    return list(dict.fromkeys(container.name for container in containers(hosts, word))) or [word]


def _facts(snapshots: Sequence[Snapshot]) -> list[HostFacts]:
    from dockernet_doctor.diagnosis.facts.host import HostFacts

    return [HostFacts(snapshot) for snapshot in snapshots]


def _on(host: str, hosts: Sequence[HostFacts]) -> Sequence[HostFacts]:
    return [_known(host, hosts)] if host else hosts


def _known(host: str, hosts: Sequence[HostFacts]) -> HostFacts:
    for facts in hosts:
        if facts.name == host:
            return facts
    raise CommandLineError(f"no host that is read is called {host!r}: there is {listed(facts.name for facts in hosts)}")
