"""Error texts that a container's start, or the daemon's log, shows."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dockernet_doctor.plugin import Evidence, HostFacts, daemon, model


def said(facts: HostFacts, pattern: str) -> tuple[tuple[model.Container, ...], tuple[Evidence, ...]]:
    """Containers that did not start with such an error, and what shows it: their state, the last start of the daemon."""
    hurt = tuple(c for c in facts.containers if not c.state.running and re.search(pattern, c.state.error, re.IGNORECASE))
    return hurt, tuple(_evidence(facts, pattern, hurt))


def _evidence(facts: HostFacts, pattern: str, hurt: tuple[model.Container, ...]) -> Iterator[Evidence]:
    for container in hurt[:3]:
        yield Evidence(fact="State.Error", value=container.state.error, source=f"inspection of {container.name}")
    failure = daemon.last_failure(facts)
    if failure is not None and re.search(pattern, failure.text, re.IGNORECASE):
        yield from daemon.log_evidence(facts, failure)
