"""engine-bug-known: a defect of this engine's version, which a later one has mended. The table `BUGS` is all it knows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    Path,
    affected,
    daemon_subject,
    model,
    obstacles,
    probe_evidence,
    sufferers,
)

Version = tuple[int, int, int]


class Bug(NamedTuple):
    """One defect: in versions from `since` (all before it, too, where that is not known) up to `mended`, which has it no more.

    `meets`: true for a broken path that shows it. `text`: an error of a container that shows it. `standing`: true for a host on
    which it is worth telling before anything shows it.
    """

    since: Version
    mended: Version
    what: str
    reference: str
    meets: Callable[[HostFacts, Path], bool] = lambda _facts, _path: False
    text: str = ""
    standing: Callable[[HostFacts], bool] = lambda _facts: False


def _outside_name(facts: HostFacts, path: Path) -> bool:
    """A name of the world that Docker's own DNS does not resolve."""
    obstacle = path.obstacle
    return (
        isinstance(obstacle, obstacles.NameUnanswered)
        and obstacle.meant is None
        and "." in obstacle.name
        and path.source is not None
        and any(n.has_dns and n.driver == "bridge" for n in facts.networks_of(path.source))
    )


def _name_of_a_container(facts: HostFacts, path: Path) -> bool:
    obstacle = path.obstacle
    return isinstance(obstacle, obstacles.NameUnanswered) and obstacle.meant is not None and _in_swarm(facts)


def _in_swarm(facts: HostFacts) -> bool:
    engine = facts.snapshot.engine
    return engine is not None and engine.swarm.state == "active" and bool(_custom(facts))


def _custom(facts: HostFacts) -> list[model.Network]:
    return [n for n in facts.snapshot.networks if n.driver == "bridge" and n.scope == "local" and n.has_dns]


BUGS = (
    Bug(
        since=(29, 1, 0),
        mended=(29, 1, 1),
        what="containers on custom bridge networks do not resolve names outside Docker",
        reference="moby/moby#51615",
        meets=_outside_name,
        standing=lambda facts: bool(_custom(facts)),
    ),
    Bug(
        since=(29, 0, 0),
        mended=(29, 0, 1),
        what="names of containers on local networks do not resolve once the node is in a Swarm",
        reference="moby/moby#51515",
        meets=_name_of_a_container,
        standing=_in_swarm,
    ),
    Bug(
        since=(0, 0, 0),
        mended=(28, 1, 0),
        what="a container is now and then refused its network with 'bridge port not forwarding'",
        reference="moby/moby#49705",
        text=r"[Bb]ridge port not forwarding",
    ),
)
"""From the release notes of Docker Engine 28 and 29 (docs.docker.com/engine/release-notes): what each release mended."""


def find(case: Case) -> Iterator[Finding]:
    """The defects of each engine's version that show, or that stand to show; one finding a host: the first that shows."""
    for facts in case.hosts:
        version = _version(facts)
        if version is None or facts.of_podman:
            continue
        told = [found for bug in BUGS if bug.since <= version < bug.mended and (found := _told(case, facts, bug))]
        told.sort(key=lambda finding: finding.severity != "error")
        yield from told[:1]


def _version(facts: HostFacts) -> Version | None:
    engine = facts.snapshot.engine
    numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", engine.version) if engine else None
    return (int(numbers[1]), int(numbers[2]), int(numbers[3])) if numbers else None


def _told(case: Case, facts: HostFacts, bug: Bug) -> Finding | None:
    paths = tuple(p for p in case.paths if p.host == facts.name and p.verdict == "unreachable" and bug.meets(facts, p))
    hurt = [c for c in facts.containers if bug.text and re.search(bug.text, c.state.error)]
    if not paths and not hurt and not bug.standing(facts):
        return None
    shows = bool(paths or hurt)
    engine = facts.snapshot.engine
    assert engine is not None
    mended = ".".join(map(str, bug.mended))
    return Finding(
        severity="error" if shows else "info",
        confidence="likely" if shows else "possible",
        subject=daemon_subject(facts),
        affects=sufferers(*paths) or affected(facts, *hurt),
        summary=f"Docker {engine.version} on {facts.name} has a known defect, fixed in {mended}: {bug.what}.",
        evidence=(
            Evidence(fact="version", value=engine.version, source="version of the API"),
            Evidence(fact="reference", value=bug.reference, source=f"release notes of {mended}"),
            *(Evidence(fact="error", value=c.state.error, source=f"inspection of {c.name}") for c in hurt),
            *probe_evidence(*paths),
        ),
        fixes=(Fix(summary=f"Upgrade Docker to {mended} or later.", impacts=("restarts-daemon",), runnable=False),),
        hop="name" if paths else "target",
        explains=paths,
    )


check = Check(
    cause="engine-bug-known",
    title="A known defect of this version of Docker",
    subjects=("daemon",),
    needs=("engine", "name"),
    find=find,
    phrases=("bridge port not forwarding", "dns broken after upgrade to docker 29.1"),
)
