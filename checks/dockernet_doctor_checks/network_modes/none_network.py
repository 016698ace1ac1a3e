"""none-network: a container on `none` has no connectivity by design, and can join nothing else (article rule 31)."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    HostFacts,
    Path,
    affected,
    container_subject,
    model,
    obstacles,
    probe_evidence,
    remedy,
)

# What a path to or from a container on `none` breaks at; its own loopback, and the state of the other end, are not of it.
ISOLATED = (
    obstacles.NoNetwork,
    obstacles.NameUnanswered,
    obstacles.NoRoute,
    obstacles.NotPublished,
    obstacles.PublishedInVain,
)


def find(case: Case) -> Iterator[Finding]:
    """Containers on `none`: info, and an error where a question runs into one."""
    for facts, container in case.running():
        if not on_none(container):
            continue
        paths = tuple(p for p in case.paths if _is_cut(facts, p, container))
        yield Finding(
            severity="error" if paths else "info",
            confidence="proven",
            subject=container_subject(facts, container),
            affects=affected(facts, container),
            summary=f"{container} is on the network none: nothing reaches it and it reaches nothing.",
            evidence=(
                Evidence(fact="networks", value="none", source=f"inspection of {container.name}"),
                *probe_evidence(*paths),
            ),
            fixes=remedy.join_network(facts, container, _network(facts, paths, container)),
            hop="network",
            explains=paths,
        )


def on_none(container: model.Container) -> bool:
    attached = {e.network for e in container.endpoints}
    return attached == {"none"} or (not attached and container.network_mode == "none")


def _is_cut(facts: HostFacts, path: Path, container: model.Container) -> bool:
    obstacle = path.obstacle
    if path.host != facts.name or path.verdict != "unreachable" or not isinstance(obstacle, ISOLATED):
        return False
    if isinstance(obstacle, obstacles.NameUnanswered) and obstacle.reason != "network-none":
        return False
    ends = (path.source, path.target)
    if isinstance(obstacle, (obstacles.NotPublished, obstacles.PublishedInVain)):
        ends = (obstacle.container, None)
    return any(end is not None and _lives_in(facts, end, container) for end in ends)


def _lives_in(facts: HostFacts, end: model.Container, container: model.Container) -> bool:
    """True if the end is the container, or shares its network."""
    return (facts.namespace_owner(end) or end).id == container.id


def _network(facts: HostFacts, paths: tuple[Path, ...], container: model.Container) -> str:
    """A network of whoever is at the other end of the question; `bridge` where that is the host or another machine."""
    named = False
    for path in paths:
        named = named or isinstance(path.obstacle, obstacles.NameUnanswered)
        for end in (path.source, path.target):
            if end is None or _lives_in(facts, end, container):
                continue
            networks = [n for n in facts.networks_of(end) if n.driver not in ("null", "host")]
            for network in sorted(networks, key=lambda n: (n.name == "bridge", n.internal)):
                return network.name
    return "bridge"


check = Check(
    cause="none-network",
    title="The network none connects nothing",
    subjects=("container",),
    needs=("engine", "listener"),
    podman=True,
    find=find,
    phrases=(
        "container cannot be connected to multiple networks with one of the networks in private (none) mode",
        "network is unreachable",
        "network unreachable",
    ),
    article=(31,),
)
