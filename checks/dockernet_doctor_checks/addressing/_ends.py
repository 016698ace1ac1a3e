"""The two ends of a container's link, as far as they are broken: one entry for each container and network."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from msgspec import Struct

from dockernet_doctor.plugin import Case, HostFacts, Path, addressing, links, model, obstacles


class Broken(Struct, frozen=True):
    facts: HostFacts
    container: model.Container
    endpoint: model.Endpoint
    network: model.Network
    problem: obstacles.LinkBroken
    paths: tuple[Path, ...]


def broken_ends(case: Case, problems: tuple[str, ...]) -> Iterator[Broken]:
    """Endpoints of running containers whose interface or veth has one of these problems, with the paths that die of it."""
    for facts in case.hosts:
        yield from _broken_ends(case, facts, problems)


def _broken_ends(case: Case, facts: HostFacts, problems: tuple[str, ...]) -> Iterator[Broken]:
    asked = [(p, o) for p, o in case.broken_by(obstacles.LinkBroken) if p.host == facts.name and o.container is not None]
    for container, endpoint, network, standing in _ends(facts):
        met = (o for _p, o in asked if o.container is container and o.network is network)
        problem = standing or next(met, None)
        if problem is None or problem.problem not in problems:
            continue
        paths = tuple(p for p, o in asked if o.container is container and o.network is network and o.problem == problem.problem)
        yield Broken(facts, container, endpoint, network, problem, paths)


@lru_cache(maxsize=8)
def _ends(
    facts: HostFacts,
) -> tuple[tuple[model.Container, model.Endpoint, model.Network, obstacles.LinkBroken | None], ...]:
    """Every end of a host, with what can be seen to be wrong with it."""
    served = addressing.served(facts, drivers=(*links.BRIDGED, *links.ON_PARENT, "overlay"))
    return tuple((c, e, n, problem_of(facts, c, e, n)) for c, e, n in served)


def problem_of(
    facts: HostFacts, container: model.Container, endpoint: model.Endpoint, network: model.Network
) -> obstacles.LinkBroken | None:
    stack = facts.stack_of(container)
    if stack is None:
        return None
    found = links.endpoint_problem(facts, container, stack, endpoint)
    link = facts.sandbox_link(container, endpoint)
    if found is None and link is not None and network.driver in links.BRIDGED:
        found = links.veth_problem(facts, container, link, network)
    return found[0] if found else None
