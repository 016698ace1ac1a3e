"""stale-neighbour: a neighbour table still holds the MAC of whoever had the address before (up to 26; 28 announces itself)."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    Path,
    addressing,
    affected,
    container_subject,
    host_subject,
    model,
    obstacles,
    probe_evidence,
    remedy,
    shell,
)

from ._twins import twins


def find(case: Case) -> Iterator[Finding]:
    """Entries that a question ran into, and those of whoever shares a network with it. Not where two have the address."""
    for facts in case.hosts:
        shared = {t.value for t in twins(facts)}
        seen: set[tuple[str, str]] = set()
        for path, obstacle in case.broken_by(obstacles.StaleNeighbour):
            if _in_passing(facts, obstacle) or any(answer.result == "refused" for answer in path.answers):
                continue  # whoever refuses is there
            if path.host == facts.name and obstacle.address not in shared and obstacle.actual not in shared:
                seen.add((obstacle.where, obstacle.address))
                yield _finding(facts, obstacle, (path,))
        for obstacle in _standing(facts):
            known = (obstacle.where, obstacle.address) in seen or _in_passing(facts, obstacle)
            if not known and not {obstacle.address, obstacle.actual} & shared:
                yield _finding(facts, obstacle, ())


def _in_passing(facts: HostFacts, obstacle: obstacles.StaleNeighbour) -> bool:
    """True if the container came up between the reading of the table and of its MAC; 28 announces it, whatever stood there."""
    return facts.generation >= (28, 0) and obstacle.container is not None and facts.coming_up(obstacle.container)


def _standing(facts: HostFacts) -> Iterator[obstacles.StaleNeighbour]:
    """In the table of the host, and in those of containers on the network of whoever has the address now."""
    at: dict[tuple[str, str], tuple[model.Container, str]] = {}
    for container, endpoint, network in addressing.served(facts):
        link = facts.sandbox_link(container, endpoint)
        if link is not None and link.mac and link.up:
            at |= {(network.id, a): (container, link.mac) for a in (endpoint.ipv4, endpoint.ipv6) if a}
    proxies = {link.mac for link in facts.stack.links} if facts.stack else set()  # proxy_arp answers for others
    for where, network, entry in _entries(facts):
        holder, actual = at.get((network.id, entry.address), (None, ""))
        if holder is not None and entry.mac not in (None, actual, *proxies):
            yield obstacles.StaleNeighbour(
                where=where,
                address=entry.address,
                known=entry.mac or "",
                actual=actual,
                link=entry.link,
                container=holder,
                proven=True,
            )


def _entries(facts: HostFacts) -> Iterator[tuple[str, model.Network, model.Neighbour]]:
    bridges = facts.bridges
    for entry in facts.stack.neighbours if facts.stack else ():
        if network := bridges.get(entry.link):
            yield "host", network, entry
    for container, endpoint, network in addressing.served(facts):
        link, stack = facts.sandbox_link(container, endpoint), facts.stack_of(container)
        for entry in stack.neighbours if stack and link else ():
            if link and entry.link == link.name:
                yield container.name, network, entry


def _finding(facts: HostFacts, obstacle: obstacles.StaleNeighbour, paths: tuple[Path, ...]) -> Finding:
    where = _container(facts, obstacle)
    holder = obstacle.container.name if obstacle.container else "the gateway"
    believes = where.name if where else facts.name
    return Finding(
        severity="error",
        confidence="proven",
        subject=container_subject(facts, where) if where else host_subject(facts),
        affects=affected(facts, *([where] if where else [obstacle.container] if obstacle.container else [])),
        summary=(
            f"{believes} sends packets for {obstacle.address} ({holder}) to the MAC {obstacle.known} of a former holder; "
            f"it is {obstacle.actual} now."
        ),
        evidence=(
            Evidence(
                fact=f"neighbour {obstacle.address} dev {obstacle.link}",
                value=obstacle.known,
                source=f"rtnetlink in {where.name}" if where else "rtnetlink on the host",
            ),
            Evidence(fact=f"MAC of {holder}", value=obstacle.actual, source=f"rtnetlink in {holder}"),
            *probe_evidence(*paths),
        ),
        fixes=(_fix(obstacle, where),),
        hop="link",
        explains=paths,
    )


def _container(facts: HostFacts, obstacle: obstacles.StaleNeighbour) -> model.Container | None:
    return facts.container(obstacle.where) if obstacle.where != "host" else None


def _fix(obstacle: obstacles.StaleNeighbour, where: model.Container | None) -> Fix:
    words = ("ip", "neigh", "del", obstacle.address, "dev", obstacle.link)
    return Fix(
        summary=f"Delete the neighbour entry for {obstacle.address}.",
        commands=(remedy.enter_namespace(where, *words) if where else shell.command(*words),),
        impacts=("changes-network",),
    )


check = Check(
    cause="stale-neighbour",
    title="A neighbour table holds an outdated MAC",
    subjects=("host", "container", "service"),
    needs=("engine", "host.network", "sandbox.network", "link"),
    find=find,
    phrases=("no route to host",),
    engines="≤ 26",
)
