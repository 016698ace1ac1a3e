"""internal-network-no-egress: a container on internal networks only has no way out, by design."""

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
    model,
    network_subject,
    obstacles,
    probe_evidence,
    remedy,
    wanted,
)

_SUMMARY = "Connect {} to the network bridge as well, which leads out."


def find(case: Case) -> Iterator[Finding]:
    """Internal networks whose members have no other: info, and an error where one of them asks for something outside."""
    for facts in case.hosts:
        closed = [c for c in facts.running if is_closed(facts, c)]
        for network in facts.snapshot.networks:
            members = [c for c in closed if network in facts.networks_of(c)]
            if network.internal and members:
                yield _finding(facts, network, members, _paths(case, facts, network))


def is_closed(facts: HostFacts, container: model.Container) -> bool:
    """True if all networks of the container are internal."""
    networks = facts.networks_of(container)
    return bool(networks) and all(n.internal for n in networks) and not facts.namespace_lost(container)


def _paths(case: Case, facts: HostFacts, network: model.Network) -> tuple[Path, ...]:
    """Paths that stop since their source is closed in, and would leave by this network first of all."""
    return tuple(
        path
        for path in case.paths
        if path.host == facts.name
        and path.source is not None
        and is_closed(facts, path.source)
        and facts.networks_of(path.source)[0] is network
        and _is_stopped(facts, path)
    )


def _is_stopped(facts: HostFacts, path: Path) -> bool:
    obstacle = path.obstacle
    if isinstance(obstacle, obstacles.NoEgress):
        return True
    if isinstance(obstacle, obstacles.NameUnanswered):
        # the embedded DNS cannot pass on what it does not know itself: ≤ 20.10 times out, later SERVFAIL
        outside = obstacle.meant is None and "." in obstacle.name.rstrip(".")
        return outside and obstacle.resolver == "embedded" and obstacle.result in ("timeout", "servfail")
    if isinstance(obstacle, obstacles.Dropped) and path.target is None and obstacle.where == "host":
        rule = obstacle.decision.rule
        if facts.is_own(path.destination.address or ""):
            return False  # a port published here: what keeps it from that container is no want of a way out
        return rule is not None and rule.chain.startswith(("DOCKER-ISOLATION", "DOCKER-INTERNAL"))
    return False


def _finding(facts: HostFacts, network: model.Network, members: list[model.Container], paths: tuple[Path, ...]) -> Finding:
    hurt = [path.source for path in paths if path.source] or members
    names = ", ".join(dict.fromkeys(str(c) for c in hurt))
    to = f" to {wanted(paths[0])}" if paths else ""
    return Finding(
        severity="error" if paths else "info",
        confidence="proven",
        subject=network_subject(facts, network),
        affects=affected(facts, *hurt),
        summary=f"{names} cannot get out{to}: the only network, {network.name}, is internal.",
        evidence=(
            Evidence(fact="Internal", value="true", source=f"inspection of network {network.name}"),
            *probe_evidence(*paths),
        ),
        fixes=remedy.join_network(facts, hurt[0], "bridge", summary=_SUMMARY.format(hurt[0])),
        hop=paths[0].broken.hop if paths and paths[0].broken else "network",
        explains=paths,
    )


check = Check(
    cause="internal-network-no-egress",
    title="An internal network has no way out",
    subjects=("network",),
    needs=("engine", "host.network", "sandbox.network", "listener"),
    find=find,
    phrases=("container has no internet", "no internet access", "network is unreachable", "server misbehaving"),
)
