"""direct-access-blocked: another machine dials a container's own address, which this host does not let in."""

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
    affected,
    model,
    obstacles,
    port_subject,
    remedy,
)

from ._listening import free_port


def find(case: Case) -> Iterator[Finding]:
    """Questions from outside to a container's own address that Docker's own rules, or the policy of FORWARD, drop."""
    for path, obstacle in case.broken_by(obstacles.DirectlyDialled):
        facts, container, port = case.facts(path.host), obstacle.container, path.destination.port or 0
        protocol = path.destination.protocol
        hop = path.broken
        published = [p for p in container.ports if p.port == port and p.protocol == protocol]
        instead = f"; its port is published on host port {published[0].host_port}" if published else ""
        yield Finding(
            severity="error",
            confidence="proven",
            subject=port_subject(facts, container, port, protocol),
            affects=affected(facts, container),
            summary=(
                f"{container} cannot be reached from other machines at its own address, {obstacle.address}: {facts.here} drops "
                f"outside packets for container addresses{instead}."
            ),
            evidence=(
                Evidence(fact="decided by", value=hop.predicted if hop else "", source="iptables-save"),
                Evidence(fact="address", value=obstacle.address, source=f"inspection of {container.name}"),
            ),
            fixes=_fixes(facts, container, path, published),
            hop="filter",
            explains=(path,),
        )


def _fixes(facts: HostFacts, container: model.Container, path: Path, published: list[model.PublishedPort]) -> tuple[Fix, ...]:
    port, protocol = path.destination.port or 0, path.destination.protocol
    fixes: tuple[Fix, ...] = ()
    if published:
        host = next(iter(facts.uplink_addresses), facts.here)
        text = f"Dial {host}:{published[0].host_port} instead, where {container} is published."
        fixes = (Fix(summary=text, runnable=False),)
    elif port:
        binding = model.PortBinding(port=port, protocol=protocol, host_port=str(free_port(facts, port, protocol)))
        fixes = remedy.republish(
            facts,
            container,
            add=[binding],
            summary=f"Publish {remedy.publish_flag(binding)} at {container}, and dial that port of {facts.here}.",
        )
    if facts.generation < (28, 2):
        return fixes
    routing = remedy.edit_daemon_json(
        facts,
        {"allow-direct-routing": True},
        summary="Let other machines reach published ports at the containers' own addresses (all networks).",
    )
    return (routing, *fixes) if published else (*fixes, routing)


check = Check(
    cause="direct-access-blocked",
    title="Other machines may not dial a container's own address",
    subjects=("port",),
    needs=("engine", "daemon.process", "daemon.files", "host.network", "filter", "host.sockets"),
    find=find,
    phrases=("connection timed out", "cannot reach container ip from another machine", "direct routing"),
)
