"""All questions walked: by two processes where there are many, since a large host has hundreds of paths and Python runs one
thread at a time."""

from __future__ import annotations

import io
import math
import os
import pickle
from collections.abc import Iterator
from typing import Any

from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.path import Path
from dockernet_doctor.diagnosis.paths.walk import walk
from dockernet_doctor.diagnosis.question import Question
from dockernet_doctor.forked import Forked, alone

_MANY = 100
"""Questions from which on a second process is worth its making, some 10 ms."""

_PART = 100


def walk_all(case: Case) -> Iterator[Path]:
    """The paths of all questions, in their order, with what is known now; each as soon as it was walked."""
    questions = case.questions
    own = len(questions)
    helper: _Helper | None = None
    if own >= _MANY and len(os.sched_getaffinity(0)) > 1 and alone():
        own = math.ceil(own / 2)
        helper = _Helper(case, questions[own:])
    try:
        for question in questions[:own]:
            yield from walk(case, question)
    except BaseException:
        if helper:
            helper.end()
        raise
    if helper:
        for question, paths in zip(questions[own:], helper.found(), strict=True):
            yield from paths or walk(case, question)


class _Helper:
    """The process that walks some of the questions.

    It gives the paths on which nothing stands in the way. What an obstacle holds, rules above all, is known by its identity:
    those are walked by who asks.
    """

    def __init__(self, case: Case, questions: tuple[Question, ...]) -> None:
        self._questions = questions
        self._shared = _shared(case)
        self._process = Forked(lambda _: self._walked(case))

    def _walked(self, case: Case) -> bytes:
        file = io.BytesIO()
        pickler = _Pickler(file, self._shared)
        for some in _parts(self._questions):  # each by itself: what was written down need not be kept
            found = [walk(case, question) for question in some]
            pickler.dump([paths if all(map(_is_clear, paths)) else [] for paths in found])
            pickler.clear_memo()
        return file.getvalue()

    def found(self) -> Iterator[list[Path]]:
        """The paths of each question; none where they are to be walked again."""
        answer = self._process.result()
        file = io.BytesIO(answer or b"")
        for some in _parts(self._questions):
            yield from _Unpickler(file, self._shared).load() if answer else [[] for _ in some]

    def end(self) -> None:
        """Nobody wants its paths."""
        self._process.end()


def _parts(questions: tuple[Question, ...]) -> Iterator[tuple[Question, ...]]:
    """So many that what their paths have in common is written down once, and so few that it is soon forgotten."""
    for start in range(0, len(questions), _PART):
        yield questions[start : start + _PART]


def _is_clear(path: Path) -> bool:
    return path.contradiction is None and path.undecided is None and all(hop.obstacle is None for hop in path.hops)


def _shared(case: Case) -> list[object]:
    """The records that both processes have, and that are compared by identity: a fork has everything at the same place."""
    found: list[object] = [*case.questions]
    for facts in case.hosts:
        found += facts.snapshot.networks
        for container in facts.containers:
            found += (container, *container.endpoints, *container.ports)
    return found


class _Pickler(pickle.Pickler):
    """Writes the place of a shared record instead of the record."""

    def __init__(self, file: io.BytesIO, shared: list[object]) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self._places = {id(record): place for place, record in enumerate(shared)}
        # By type: a `persistent_id` is asked about every number and text, which takes longer than writing them.
        self.dispatch_table = {type(record): self._reduced for record in shared}

    def _reduced(self, record: object) -> Any:
        place = self._places.get(id(record))
        return record.__reduce__() if place is None else (_at, (place,))


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, shared: list[object]) -> None:
        super().__init__(file)
        self._shared = shared

    def find_class(self, module: str, name: str) -> Any:
        return self._shared.__getitem__ if name == _at.__name__ else super().find_class(module, name)


def _at(place: int) -> object:
    """Stands for the table of shared records, which each process has for itself."""
    raise NotImplementedError(place)
