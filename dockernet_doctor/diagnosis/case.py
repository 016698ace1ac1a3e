"""A Case: snapshots, questions and the answers so far. Checks read it; nothing here touches the network."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TypeVar

from dockernet_doctor.once import once_for_each
from dockernet_doctor.probe.model import Answer, Probe, Vantage
from dockernet_doctor.snapshot.model import Container, Snapshot

from .facts import HostFacts
from .path import Obstacle, Path
from .question import Question

ObstacleT = TypeVar("ObstacleT", bound=Obstacle)


class Case:
    """What a check sees.

    hosts      facts of each snapshot, in the order given
    questions  what is asked: by the user (`asked` is True), or by `check` itself
    answers    probe → answer, as far as they are known
    paths      the questions walked with what is known now
    """

    def __init__(
        self,
        snapshots: Iterable[Snapshot],
        *,
        asked: bool = False,
        probing: bool = True,
        subjects: Iterable[str] = (),
        repetitions: int = 1,
    ) -> None:
        read = tuple(snapshots)
        self.hosts: tuple[HostFacts, ...] = tuple(HostFacts(s, alone=len(read) == 1) for s in read)
        self.asked = asked
        self.probing = probing
        self.subjects = tuple(subjects)  # containers named on the command line of `check` and `ports`: NAME or NAME@HOST
        self.repetitions = repetitions  # how often each connection is tried (`reach --repeat`)
        self.questions: tuple[Question, ...] = ()
        self.answers: Mapping[Probe, Answer] = {}
        self.paths: tuple[Path, ...] = ()

    def facts(self, host: str) -> HostFacts:
        """The facts of the host of that name; of the only one for "". Raises KeyError."""
        if not host and len(self.hosts) == 1:
            return self.hosts[0]
        for facts in self.hosts:
            if facts.name == host:
                return facts
        raise KeyError(host)

    def is_subject(self, name: str, host: str) -> bool:
        """Whether the command line named the container of this name on this host."""
        return name in self.subjects or f"{name}@{host}" in self.subjects

    def unknown_subjects(self) -> list[str]:
        """What the command line named and no host has."""
        known = {word for facts, c in self.containers() for word in (c.name, f"{c.name}@{facts.name}")}
        return [subject for subject in self.subjects if subject not in known]

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
