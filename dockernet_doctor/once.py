"""Results kept for each object itself: what a snapshot holds never changes, and compares or hashes slowly if at all."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

A = TypeVar("A")
R = TypeVar("R")

_KEPT = 65536
"""Objects whose results are kept at once: several for each container of a large host."""


_all: list[dict[int, Any]] = []


def once_for_each(function: Callable[[A], R]) -> Callable[[A], R]:
    """The function, computed once for each object it is given, by identity."""
    kept: dict[int, tuple[A, R]] = {}
    _all.append(kept)

    @wraps(function)
    def asked(it: A) -> R:
        found = kept.get(id(it))
        if found is None:
            if len(kept) >= _KEPT:
                kept.clear()
            # The object is kept alive with its result, so that nothing else comes to bear its id.
            found = kept[id(it)] = it, function(it)
        return found[1]

    return asked


def forget() -> None:
    """Empties what is kept of every function."""
    for kept in _all:
        kept.clear()
