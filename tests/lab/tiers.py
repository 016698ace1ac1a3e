"""Which of the lab's tests `make test` runs: a rule decides, so that a new case lands in its tier by itself.

Of the cases that prove one cause on one engine the first is short, and all further ones are long; the Podmans count as one
engine. Any other test is short unless it carries the mark `long` itself, as the whole of each generator does: a sample of it,
drawn by LAB_SEED, is short. `make test` runs the short ones, `make lab-long` all.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.lab.case import FaultCase
from tests.lab.packages import NFTABLES, PODMANS

Proof = tuple[str, str]
"""A cause, and the engine on which it is proven."""


def proof(item: pytest.Item) -> Proof | None:
    """What a case proves; None for a test that is none, or of the played engine: its module says which of them are long."""
    params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    case = params.get("case")
    if not isinstance(case, FaultCase) or params["engine"] == NFTABLES:
        return None
    return case.cause, "podman" if params["engine"] in PODMANS else str(params["engine"])


def mark(items: Iterable[pytest.Item]) -> None:
    """Mark as `long` each case whose cause an earlier one has proven on the same engine."""
    proven: set[Proof] = set()
    for item in items:
        if (proves := proof(item)) in proven:
            item.add_marker(pytest.mark.long)
        elif proves:
            proven.add(proves)
