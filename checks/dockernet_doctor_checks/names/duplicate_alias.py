"""duplicate-alias: one name, several different containers, so that every other request goes astray.

Docker's DNS answers with all of them, in turns; a source on several networks may always get the wrong project's (all engines).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from msgspec import Struct

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    Path,
    affected,
    container_subject,
    listed,
    model,
    remedy,
)


class Clash(Struct, frozen=True):
    """A name as one source hears it, and who answers to it by which endpoint."""

    name: str
    bearers: tuple[tuple[model.Container, model.Endpoint], ...]


def find(case: Case) -> Iterator[Finding]:
    """One finding for each name and set of bearers; the containers that may ask for it are affected."""
    for facts in case.hosts:
        if not _any_twice(facts):
            continue
        sources: dict[tuple[str, tuple[str, ...]], tuple[Clash, list[model.Container]]] = {}
        for source in facts.running:
            for clash in clashes(facts, source):
                key = (clash.name, tuple(sorted(c.id for c, _e in clash.bearers)))
                sources.setdefault(key, (clash, []))[1].append(source)
        for clash, heard in sources.values():
            hearing = {source.id for source in heard}
            paths = tuple(p for p in _paths(case, facts, clash) if p.source and p.source.id in hearing)
            if paths or matters(clash, heard):
                yield _finding(facts, clash, heard, paths)


def _any_twice(facts: HostFacts) -> bool:
    """True if two containers have a name in common at all; on most hosts none have, and no source need be asked."""
    bearers: dict[str, str] = {}
    return any(
        bearers.setdefault(name, container.id) != container.id
        for container in facts.running
        for endpoint in container.endpoints
        for name in given(container, endpoint)
    )


def matters(clash: Clash, heard: list[model.Container]) -> bool:
    """True if somebody dials the name, or somebody gave it on one network.

    A reverse proxy on the networks of many projects hears `web` and `db` of each, and dials none of them by name. Nor is a
    hostname given for others to dial.
    """
    if any(r.host.lower() == clash.name for source in heard for r in source.references):
        return True
    if all(c.hostname.lower() == clash.name for c, _e in clash.bearers):
        return False
    one_network = len({e.network_id or e.network for _c, e in clash.bearers}) == 1
    return one_network and not all(c.compose or c.swarm for c, _e in clash.bearers)


def clashes(facts: HostFacts, source: model.Container) -> Iterator[Clash]:
    """Names that mean several different containers to the source, and are not its own."""
    ends = facts.endpoints(source)
    heard_on = dict.fromkeys(n.id for e in ends if (n := facts.network_of(e)) and n.has_dns)
    own = frozenset().union(*(given(source, e) for e in ends))
    return (clash for clash in _clashes_on(facts, tuple(heard_on)) if clash.name not in own)


@lru_cache(maxsize=256)
def _clashes_on(facts: HostFacts, networks: tuple[str, ...]) -> tuple[Clash, ...]:
    """Those that somebody hears who is on these networks, by id: thousands may be on the same ones."""
    heard: dict[str, list[tuple[model.Container, model.Endpoint]]] = {}
    for network in (n for wanted in networks for n in facts.snapshot.networks if n.id == wanted):
        for container in facts.members(network):
            for endpoint in container.endpoints if container.state.running else ():
                if facts.network_of(endpoint) is network:
                    for name in given(container, endpoint):
                        heard.setdefault(name, []).append((container, endpoint))
    distinct = {name: {c.id: c for c, _e in bearers} for name, bearers in heard.items()}
    return tuple(
        Clash(name, tuple(heard[name]))
        for name, bearers in distinct.items()
        if len(bearers) > 1 and len({_kind(facts, c) for c in bearers.values()}) > 1
    )


def given(container: model.Container, endpoint: model.Endpoint) -> frozenset[str]:
    """Names under which others may dial it, `--hostname` among them (article rule 2): not the id."""
    return frozenset(n.lower() for n in (container.name, container.hostname, *endpoint.aliases) if n and n != container.id[:12])


def _kind(facts: HostFacts, container: model.Container) -> tuple[object, ...]:
    """What makes replicas alike: one service, or one image, of whatever version, that listens on the same ports."""
    if container.compose:
        return ("compose", container.compose.project, container.compose.service)
    if container.swarm:
        return ("swarm", container.swarm.service)
    listeners = facts.listeners(container)
    ports = frozenset((li.port, li.protocol) for li in listeners or () if li.port < 32768)
    folder, slash, name = container.image.partition("@")[0].rpartition("/")
    image = container.image_id if name.startswith("sha256:") else f"{folder}{slash}{name.partition(':')[0]}"
    return (image, ports or frozenset(container.exposed))


def _paths(case: Case, facts: HostFacts, clash: Clash) -> tuple[Path, ...]:
    bearers = {c.id for c, _e in clash.bearers}
    return tuple(
        p
        for p in case.paths
        if p.host == facts.name
        and p.question.target.name.lower() == clash.name
        and p.target is not None
        and p.target.id in bearers
        # a name that nobody answers to leads nobody astray
        and not any(hop.hop == "name" and hop.status == "broken" for hop in p.hops)
    )


def _finding(facts: HostFacts, clash: Clash, heard: list[model.Container], paths: tuple[Path, ...]) -> Finding:
    odd = _odd_one(clash)
    others = [c.name for c in {c.id: c for c, _e in clash.bearers}.values()]
    networks = sorted({e.network for _c, e in clash.bearers})
    return Finding(
        severity="warning",
        confidence="proven",
        subject=container_subject(facts, odd),
        affects=affected(facts, *heard),
        summary=(
            f"{clash.name} means {listed(others)} to {_some(heard)}, which are different services: each request for "
            f"{clash.name} may go to either."
        ),
        evidence=tuple(
            Evidence(
                fact=f"{clash.name} on {e.network}", value=f"{c.name}, {e.ipv4 or e.ipv6}", source=f"inspection of {c.name}"
            )
            for c, e in clash.bearers
        ),
        fixes=tuple(_fixes(facts, clash, odd, networks)),
        hop="name",
        explains=paths,
    )


def _odd_one(clash: Clash) -> model.Container:
    """The one to lose the name: it has it as an alias only, and came last."""
    ranked = sorted(
        {c.id: c for c, _e in clash.bearers}.values(), key=lambda c: (c.name.lower() != clash.name, c.created, c.name)
    )
    return ranked[-1]


def _some(heard: list[model.Container]) -> str:
    names_ = sorted(c.name for c in heard)
    return names_[0] if len(names_) == 1 else f"{names_[0]} and {len(names_) - 1} more" if len(names_) > 2 else listed(names_)


def _fixes(facts: HostFacts, clash: Clash, odd: model.Container, networks: list[str]) -> Iterator[Fix]:
    endpoint = next(e for c, e in clash.bearers if c is odd)
    if odd.compose or odd.swarm or clash.name in (odd.name.lower(), odd.hostname.lower()):
        yield Fix(
            summary=f"Give {odd} another name, hostname or alias than {clash.name} on {listed(networks)}.",
            runnable=False,
        )
        return
    kept = tuple(a for a in endpoint.aliases if a.lower() != clash.name and a != odd.id[:12])
    summary = f"Reconnect {odd} to {endpoint.network} without the alias {clash.name}."
    yield from remedy.join_network(facts, odd, endpoint.network, aliases=kept, address=_static(endpoint), summary=summary)


def _static(endpoint: model.Endpoint) -> str | None:
    return endpoint.requested_ipv4 or endpoint.requested_ipv6


check = Check(
    cause="duplicate-alias",
    title="One name, several different containers",
    subjects=("container", "service"),
    needs=("engine", "sandbox.network"),
    find=find,
    phrases=("connection refused", "every other request fails", "502 bad gateway"),
)
