"""Results kept for each object itself: what a snapshot holds never changes, and compares or hashes slowly if at all."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Generic, TypeVar

A = TypeVar("A")
R = TypeVar("R")

_KEPT = 512
"""Objects whose results are kept; so many sandboxes, long chains and rule sets one host rarely has."""


class _Itself(Generic[A]):
    """A key that is equal only where it stands for the same object, which it keeps alive."""

    __slots__ = ("it",)

    def __init__(self, it: A) -> None:
        self.it = it

    def __hash__(self) -> int:
        return id(self.it)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and self.it is other.it


def once_for_each(function: Callable[[A], R]) -> Callable[[A], R]:
    """The function, computed once for each object it is given."""
    kept = lru_cache(maxsize=_KEPT)(lambda key: function(key.it))

    @wraps(function)
    def asked(it: A) -> R:
        return kept(_Itself(it))

    return asked
