"""A Case: snapshots, questions and the answers so far. Checks read it; nothing here touches the network."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.once import once_for_each
from dockernet_doctor.probe.model import Answer, Probe, Vantage
from dockernet_doctor.snapshot.model import Container, Snapshot

from .asked_for import Absent, absent
from .path import Obstacle, Path
from .question import Question

ObstacleT = TypeVar("ObstacleT", bound=Obstacle)


class Case(Struct, frozen=True, kw_only=True, eq=False):
    """What a check sees. Nothing of it changes: answers make another case of it, by `told`.

    hosts        facts of each snapshot, in the order given
    questions    what is asked: by the user (`asked` is True), or by `check` itself
    subjects     containers named on the command line of `check` and `ports`: NAME or NAME@HOST
    repetitions  how often each connection is tried (`reach --repeat`)
    answers      probe → answer, as far as they are known
    paths        the questions walked with these answers
    """

    hosts: tuple[HostFacts, ...]
    questions: tuple[Question, ...] = ()
    asked: bool = False
    probing: bool = True
    subjects: tuple[str, ...] = ()
    repetitions: int = 1
    answers: Mapping[Probe, Answer] = {}
    paths: tuple[Path, ...] = ()

    @classmethod
    def of(
        cls,
        snapshots: Sequence[Snapshot],
        questions: Iterable[Question] = (),
        *,
        asked: bool = False,
        probing: bool = True,
        subjects: Iterable[str] = (),
        repetitions: int = 1,
    ) -> Case:
        """The case of these hosts; nothing is answered yet."""
        return cls(
            hosts=tuple(HostFacts(snapshot, alone=len(snapshots) == 1) for snapshot in snapshots),
            questions=tuple(questions),
            asked=asked,
            probing=probing,
            subjects=tuple(subjects),
            repetitions=repetitions,
        )

    def told(self, answers: Mapping[Probe, Answer], walk: Callable[[Case], tuple[Path, ...]]) -> Case:
        """The case with these answers, too, and the paths that `walk` finds with them; it sees those of before."""
        known = replace(self, answers={**self.answers, **answers})
        return replace(known, paths=walk(known))

    def facts(self, host: str) -> HostFacts:
        """The facts of the host of that name; of the only one for "". Raises KeyError."""
        if not host and len(self.hosts) == 1:
            return self.hosts[0]
        for facts in self.hosts:
            if facts.name == host:
                return facts
        raise KeyError(host)

    def is_subject(self, name: str, host: str) -> bool:
        """True if the command line named the container of this name on this host."""
        return name in self.subjects or f"{name}@{host}" in self.subjects

    def absent(self) -> list[Absent]:
        """The containers that the command line named, as subjects or to ask from, and that no host has."""
        wanted = [(name, host) for name, _, host in (subject.partition("@") for subject in self.subjects)]
        if self.asked:
            wanted += [(s.name, s.host) for s in (q.source for q in self.questions) if s.kind == "container"]
        meant = [(name, host, (self.facts(host),) if host else self.hosts) for name, host in dict.fromkeys(wanted)]
        return [absent(hosts, name, host) for name, host, hosts in meant if not any(f.container(name) for f in hosts)]

    def answer(self, probe: Probe) -> Answer | None:
        return self.answers.get(probe) if self.answers else None

    def broken_by(self, *kinds: type[ObstacleT], reasons: Collection[str] = ()) -> Iterator[tuple[Path, ObstacleT]]:
        """Paths whose first broken hop holds an obstacle of one of these kinds and, where some are given, for these reasons."""
        for path, obstacle in _broken(self.paths):
            if isinstance(obstacle, kinds) and (not reasons or obstacle.reason in reasons):
                yield path, obstacle

    def containers(self) -> Iterator[tuple[HostFacts, Container]]:
        for facts in self.hosts:
            for container in facts.containers:
                yield facts, container

    def running(self) -> Iterator[tuple[HostFacts, Container]]:
        for facts in self.hosts:
            for container in facts.running:
                yield facts, container

    @staticmethod
    def vantage(facts: HostFacts, container: Container | None = None) -> Vantage:
        return Vantage(facts.name, container.id if container else "")


@once_for_each
def _broken(paths: tuple[Path, ...]) -> list[tuple[Path, Obstacle]]:
    """Nearly every check asks for them, and nearly all paths are in order."""
    return [(path, obstacle) for path in paths if (obstacle := path.obstacle)]
