"""masquerade-disabled: the network does not hide its members behind the host's address, and it is their only way out."""

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
    daemon,
    docker_rules,
    dockerd,
    filtering,
    model,
    names,
    network_subject,
    obstacles,
    probe_evidence,
    remedy,
    unreached,
)


def find(case: Case) -> Iterator[Finding]:
    """Networks made so, whose members leave unmasqueraded; and the paths that die of it."""
    for facts in case.hosts:
        if docker_rules.switched_off(facts):
            continue
        broken = [(p, o) for p, o in case.broken_by(obstacles.NoMasquerade) if p.host == facts.name]
        for network in facts.snapshot.networks:
            if network.driver != "bridge" or network.internal or docker_rules.masquerades(network):
                continue
            # with another way out it is wrong-gateway-network
            paths = tuple(
                p for p, o in broken if o.network is network and not addressing.other_way_out(facts, o.container, network)
            )
            hurt = _leaving_by(facts, network)
            if paths or hurt:
                yield _finding(facts, network, paths, hurt)


def _finding(facts: HostFacts, network: model.Network, paths: tuple[Path, ...], hurt: tuple[model.Container, ...]) -> Finding:
    missed = names.barred(facts, hurt)
    subnet = next((s.subnet for s in network.subnets if ":" not in s.subnet), "its subnet")
    reason = f"the network {network.name} was created without masquerade, and nobody answers to {subnet}"
    shown = {k: v for k, v in network.options.items() if k in (docker_rules.MASQUERADE, *docker_rules.GATEWAY_MODE.values())}
    return Finding(
        severity="error" if paths or missed else "info",
        confidence="proven" if any(p.basis == "probed" for p in paths) else "likely",
        subject=network_subject(facts, network),
        affects=affected(facts, *hurt),
        summary=(
            f"{unreached(paths[0])}: {reason}."
            if paths
            else f"{missed[0]} cannot reach {missed[1].host}, which {missed[1].key} names: {reason}."
            if missed
            else f"Containers on {network.name} leave {facts.here} with their own addresses: it was created without masquerade."
        ),
        evidence=(
            *(Evidence(fact=k, value=v, source=f"inspection of network {network.name}") for k, v in shown.items()),
            *daemon.setting_evidence(daemon.option(facts, "ip-masq") if network.name == "bridge" else None),
            *probe_evidence(*paths),
        ),
        fixes=tuple(_fixes(facts, network, subnet)),
        hop="filter",
        explains=paths,
    )


def _leaving_by(facts: HostFacts, network: model.Network) -> tuple[model.Container, ...]:
    found = []
    for container in facts.members(network):
        if container.state.running and not addressing.other_way_out(facts, container, network):
            obstacle = filtering.egress(facts, container).obstacle
            if isinstance(obstacle, obstacles.NoMasquerade) and obstacle.network is network:
                found.append(container)
    return tuple(found)


def _fixes(facts: HostFacts, network: model.Network, subnet: str) -> Iterator[Fix]:
    if network.name == "bridge":
        yield dockerd.set_option(facts, "ip-masq", None, summary="Remove the option ip-masq, and restart Docker.")
    elif network.scope != "swarm":
        modes = docker_rules.GATEWAY_MODE.values()
        yield remedy.recreate_network(
            facts,
            network,
            summary=f"Recreate {network.name} with masquerade.",
            options={docker_rules.MASQUERADE: "true"},
            without=tuple(m for m in modes if network.options.get(m) in ("routed", "isolated")),
        )
    yield Fix(summary=f"Or give the routers of the other machines a route to {subnet} by {facts.here}.", runnable=False)


check = Check(
    cause="masquerade-disabled",
    title="The network has no masquerade",
    subjects=("network",),
    needs=(
        "engine",
        "daemon.process",
        "daemon.files",
        "host.network",
        "host.conntrack",
        "firewall",
        "sandbox.network",
        "sandbox.firewall",
        "filter",
    ),
    find=find,
    phrases=("enable_ip_masquerade", "ip-masq=false", "container has no internet"),
)
