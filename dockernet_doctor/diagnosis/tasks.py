"""What people call a Swarm task: `web.1`, as `docker service ps` lists it, without the id that Swarm makes up each time."""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec.structs import replace

from dockernet_doctor.snapshot.model import Container

from .case import Case
from .facts import HostFacts
from .finding import Finding


def spoken(case: Case, findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings whose sentences call tasks so; evidence and commands keep the names that Docker wants."""
    called = {c.name: _called(facts, c) for facts in case.hosts for c in facts.containers if c.swarm}
    if not called:
        return tuple(findings)
    pattern = re.compile("|".join(map(re.escape, called)))

    def shortened(text: str) -> str:
        return pattern.sub(lambda found: called[found[0]], text)

    return tuple(
        replace(
            finding,
            summary=shortened(finding.summary),
            fixes=tuple(replace(fix, summary=shortened(fix.summary)) for fix in finding.fixes),
        )
        for finding in findings
    )


def _called(facts: HostFacts, task: Container) -> str:
    """`web.1` for web.1.TASK; `web` for a task of a global service, web.NODE.TASK, of which each host has one."""
    place = re.sub(r"(\.[a-z0-9]{25}){1,2}$", "", task.name)
    return f"an earlier {place}" if facts.set_aside(task) else place
