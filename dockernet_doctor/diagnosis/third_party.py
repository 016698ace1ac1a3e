"""Code of third parties, run so that it can cost a line in the report and no more: a deadline, and no standard output."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

SECONDS = 5.0  # that a third-party module may take to import, or its check to run

T = TypeVar("T")


class StrangerError(Exception):
    """What a stranger's code did instead of giving a result; for the report."""


def guarded(function: Callable[[], T], name: str) -> T:
    """The result of `function`, run in a daemon thread. Raises StrangerError for whatever it raises, or where it hangs.

    What it prints goes to standard error.
    """
    outcome: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            outcome.append(function())
        except BaseException as error:  # noqa: BLE001 - sys.exit in a plugin must not end the run
            errors.append(error)

    thread = threading.Thread(target=work, name=name, daemon=True)
    with contextlib.redirect_stdout(sys.stderr):
        thread.start()
        thread.join(SECONDS)
    if errors:
        raise StrangerError(f"{type(errors[0]).__name__}: {errors[0]}")
    if not outcome:
        raise StrangerError(f"no result within {SECONDS:g} s")
    return outcome[0]
