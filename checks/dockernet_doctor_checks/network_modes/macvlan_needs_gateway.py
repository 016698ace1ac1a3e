"""macvlan-needs-gateway: from 29 a macvlan or ipvlan network without `--gateway` gives its containers no default route."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    Path,
    affected,
    links,
    model,
    network_subject,
    obstacles,
    probe_evidence,
    remedy,
    routing,
    unreached,
)


def find(case: Case) -> Iterator[Finding]:
    """Networks whose members have no way out for want of a gateway; an error where a path needs one."""
    for facts in case.hosts:
        lacking: dict[str, list[model.Container]] = {}
        for container in facts.running:
            if network := links.without_gateway(facts, container):
                lacking.setdefault(network.id, []).append(container)
        stopped: dict[str, list[Path]] = {}
        for path, obstacle in case.broken_by(obstacles.NoRoute):
            whose = obstacle.container
            if path.host == facts.name and whose and (network := links.without_gateway(facts, whose)):
                stopped.setdefault(network.id, []).append(path)
        for network in facts.snapshot.networks:
            if network.id in lacking:
                yield _finding(facts, network, lacking[network.id], tuple(stopped.get(network.id, ())))


def _finding(facts: HostFacts, network: model.Network, members: list[model.Container], paths: tuple[Path, ...]) -> Finding:
    without = f"the {network.driver} network {network.name} has no gateway, and so no default route"
    first = next(iter(paths), None)
    return Finding(
        severity="error" if paths else "info",
        confidence="proven",
        subject=network_subject(facts, network),
        affects=affected(facts, *members),
        summary=(
            f"{unreached(first)}: {without}."
            if first
            else f"Containers on {network.name} reach their own subnet only: {without}."
        ),
        evidence=(
            Evidence(
                fact="IPAM",
                value=", ".join(f"{subnet.subnet} without a gateway" for subnet in network.subnets),
                source=f"inspection of network {network.name}",
            ),
            *(Evidence(fact="routes", value=_routes(c), source=f"rtnetlink in {c.name}") for c in members[:4]),
            *probe_evidence(*paths),
        ),
        fixes=(_recreate(facts, network),),
        hop="route",
        explains=paths,
    )


def _routes(container: model.Container) -> str:
    stack = container.sandbox.stack if container.sandbox else None
    return ", ".join(routing.route_text(r) for r in (stack.routes if stack else ()) if r.table == routing.MAIN) or "none"


def _recreate(facts: HostFacts, network: model.Network) -> Fix:
    """With the host's own router, where that is in the subnet: the network is part of the LAN of its parent."""
    way = routing.lookup(facts.stack, routing.ANYWHERE[4]) if facts.stack else None
    router = way.route.gateway if way and way.route else None
    if router is None or not any(routing.within(router, subnet.subnet) for subnet in network.subnets):
        summary = f"Recreate {network.name} with --gateway, the address of the router in its subnet: a restart does not help."
        return Fix(summary=summary, impacts=("changes-network",), runnable=False)
    given = [replace(s, gateway=router) if routing.within(router, s.subnet) else s for s in network.subnets]
    return remedy.recreate_network(facts, network, summary=f"Recreate {network.name} with the gateway {router}.", subnets=given)


check = Check(
    cause="macvlan-needs-gateway",
    title="A macvlan or ipvlan network has no gateway",
    subjects=("network",),
    needs=("engine", "host.network", "sandbox.network", "route"),
    find=find,
    phrases=("macvlan no default route", "macvlan has no internet after upgrade", "ipvlan no default route"),
    engines="≥ 29",
)
