"""The time that a diagnosis has to compute, and what it did not suffice for: that is a blind spot, and never "clear"."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TypeVar

from dockernet_doctor.deadline import OutOfTimeError, until
from dockernet_doctor.snapshot.model import BlindSpot

T = TypeVar("T")


class Allotment:
    """Gives each piece of work half of what is left, so that one that never ends leaves time for the others.

    end   of time.monotonic()
    lost  what was not done, or not to its end
    """

    def __init__(self, end: float = math.inf) -> None:
        self.end = end
        self.lost: list[BlindSpot] = []

    def take(self, work: Callable[[], T], instead: T, what: str) -> T:
        """What the work gives; `instead`, and `what` in `lost`, where its time was over before."""
        result, done = self.try_to(work, instead)
        if not done:
            self.lose(what)
        return result

    def try_to(self, work: Callable[[], T], instead: T) -> tuple[T, bool]:
        """What the work gives, and True; `instead`, and False, where its time was over before."""
        now = time.monotonic()
        try:
            with until(now + (self.end - now) / 2):
                return work(), True
        except OutOfTimeError:
            return instead, False

    def lose(self, what: str) -> None:
        """Notes what was not done."""
        why, remedy = "the time of the run was over", "give it more: --timeout 2m"
        self.lost.append(BlindSpot(area="run", what=what, why=why, remedy=remedy))
