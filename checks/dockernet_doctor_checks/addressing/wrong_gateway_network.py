"""wrong-gateway-network: of a container's networks, the default route leaves by one that leads nowhere (article rule 25)."""

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
    Probe,
    addressing,
    affected,
    container_subject,
    docker_rules,
    links,
    model,
    obstacles,
    probe_evidence,
    remedy,
    routing,
)


def probes(case: Case) -> Iterator[Probe]:
    """Asks whether this host's gateway answers to the address of such a container: its network may be routed, not hidden."""
    for facts in case.hosts if not case.asked else ():
        for container, network, _better in _leaving(facts):
            if _is_bare(network) and (probe := _asking(case, facts, container)):
                yield probe


def find(case: Case) -> Iterator[Finding]:
    """Containers whose default route leaves by a network without masquerade, though they have another way out."""
    for facts in case.hosts:
        broken = [(p, o) for p, o in case.broken_by(obstacles.NoMasquerade, obstacles.NoAnswer) if p.host == facts.name]
        for container, network, better in _leaving(facts):
            paths = tuple(p for p, o in broken if p.source is container and _by_gateway(facts, p, o, network))
            if paths or (_is_bare(network) and not _is_answered(case, facts, container)):
                yield _finding(facts, container, network, better, paths)


def _leaving(facts: HostFacts) -> Iterator[tuple[model.Container, model.Network, model.Endpoint]]:
    """Containers, the network of their default route, and another one by which they could leave."""
    for container in facts.running:
        if len(container.endpoints) < 2 or container.network_mode.startswith("container:"):
            continue
        endpoint = addressing.default_endpoint(facts, container)
        network = facts.network_of(endpoint) if endpoint else None
        if network is None:
            continue
        better = addressing.other_way_out(facts, container, network)
        if better is not None:
            yield container, network, better


def _is_bare(network: model.Network) -> bool:
    return network.driver in links.BRIDGED and not network.internal and not docker_rules.masquerades(network)


def _asking(case: Case, facts: HostFacts, container: model.Container) -> Probe | None:
    gateway = routing.lookup(facts.stack, routing.ANYWHERE[4]).gateway if facts.stack else None
    return Probe(kind="icmp", vantage=case.vantage(facts, container), address=gateway) if gateway else None


def _is_answered(case: Case, facts: HostFacts, container: model.Container) -> bool:
    probe = _asking(case, facts, container)
    answer = case.answer(probe) if probe else None
    return answer is not None and answer.result == "reply"


def _by_gateway(facts: HostFacts, path: Path, obstacle: obstacles.Obstacle, network: model.Network) -> bool:
    """Left by the default route's network, and unmasqueraded, or by a macvlan whose gateway does not answer."""
    if isinstance(obstacle, obstacles.NoMasquerade):
        return obstacle.network is network
    return (
        isinstance(obstacle, obstacles.NoAnswer)
        and obstacle.beyond
        and network.driver in links.ON_PARENT
        and facts.network_containing(path.destination.address or "") is None
    )


def _finding(
    facts: HostFacts, container: model.Container, network: model.Network, better: model.Endpoint, paths: tuple[Path, ...]
) -> Finding:
    no_way = "which leads to no other machine" if network.driver in links.ON_PARENT else "which does not masquerade"
    return Finding(
        severity="warning",
        confidence="proven" if any(p.basis == "probed" for p in paths) or not paths else "likely",
        subject=container_subject(facts, container),
        affects=affected(facts, container),
        summary=(
            f"{container} leaves by the network {network.name}, {no_way}, although it is also on {better.network}, which "
            "has a way out."
        ),
        evidence=(
            Evidence(fact="default route", value=f"by {network.name}", source=f"rtnetlink in {container.name}"),
            *(
                Evidence(fact=k, value=v, source=f"inspection of network {network.name}")
                for k, v in network.options.items()
                if k == docker_rules.MASQUERADE
            ),
            *probe_evidence(*paths),
        ),
        fixes=tuple(_fixes(facts, container, better)),
        hop="route",
        explains=paths,
    )


def _fixes(facts: HostFacts, container: model.Container, better: model.Endpoint) -> Iterator[Fix]:
    link = facts.sandbox_link(container, better)
    if facts.generation >= (28, 0) and not container.compose and not container.swarm:
        names = {container.name, container.id[:12]}
        yield from remedy.join_network(
            facts,
            container,
            better.network,
            aliases=[a for a in better.aliases if a not in names],
            address=better.requested_ipv4 or None,
            gateway_priority=max(e.gateway_priority for e in container.endpoints) + 1,
            summary=f"Let {container} leave by the network {better.network}.",
        )
    if link is not None and better.ipv4_gateway:
        stack = facts.stack_of(container)
        yield addressing.networking(
            addressing.default_route(stack, 4, better.ipv4_gateway, link.name, inside=container.name),
            summary=f"Point the default route of {container} at {better.network}, until it is restarted.",
            lasts="until-restart",
        )
    yield Fix(
        summary=(
            "For good: before engine 28 the network whose name comes first is the gateway, so name it accordingly; "
            "from 28 on, --gw-priority (Compose: gw_priority) decides."
        ),
        runnable=False,
    )


check = Check(
    cause="wrong-gateway-network",
    title="The default route uses the wrong network",
    subjects=("container", "service"),
    needs=("engine", "host.network", "sandbox.network", "answer"),
    find=find,
    probes=probes,
    phrases=("network is unreachable", "no route to host"),
    article=(25,),
)
