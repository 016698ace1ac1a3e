"""routed-gateway-mode: the network's gateway mode is `routed` or `isolated`, so no host port is made (engines from 27)."""

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
    bound_elsewhere,
    model,
    obstacles,
    port_subject,
    probe_evidence,
    remedy,
    who,
)

from ._binding import elsewhere


def find(case: Case) -> Iterator[Finding]:
    """Paths that stop at a mapping asked for and not made, on such a network."""
    for path, obstacle in case.broken_by(obstacles.PublishedInVain):
        facts = case.facts(path.host)
        if networks := bound_elsewhere.routed_networks(facts, obstacle.container):
            yield _finding(case, facts, path, obstacle.container, networks[0], obstacle.port)
    for found in elsewhere(case, "routed"):
        networks = bound_elsewhere.routed_networks(found.facts, found.container)
        yield _finding(case, found.facts, found.path, found.container, networks[0], found.published[0].port)


def _finding(
    case: Case, facts: HostFacts, path: Path, container: model.Container, network: model.Network, port: int
) -> Finding:
    mode = network.options[bound_elsewhere.GATEWAY_MODE]
    asked = [b for b in container.bindings if b.port == port] or list(container.bindings)
    protocol = asked[0].protocol if asked else "tcp"
    endpoint = next((e for e in facts.endpoints(container) if facts.network_of(e) is network), None)
    address = endpoint.ipv4 if endpoint and endpoint.ipv4 else container.name
    return Finding(
        severity="error" if case.asked else "info",
        confidence="proven",
        subject=port_subject(facts, container, port, protocol),
        affects=affected(facts, container),
        summary=(
            f"{container}:{port} cannot be reached from {who(path)} through a port of {facts.here}: the gateway mode of "
            f"{network.name} is {mode}, which publishes none."
        ),
        evidence=(
            Evidence(fact=bound_elsewhere.GATEWAY_MODE, value=mode, source=f"inspection of network {network.name}"),
            Evidence(fact=f"HostPort of {port}/{protocol}", value='""', source=f"inspection of {container.name}"),
            *probe_evidence(path),
        ),
        fixes=(
            _fix(facts, container, network),
            Fix(
                summary=f"Or dial {address}:{port} itself, with a route to its subnet by {facts.here} on the machines that do.",
                runnable=False,
            ),
        ),
        hop="publish",
        explains=(path,),
    )


def _fix(facts: HostFacts, container: model.Container, network: model.Network) -> Fix:
    if network.internal:
        summary = f"Connect {container} to the network bridge as well, where its port is published."
        return remedy.join_network(facts, container, "bridge", summary=summary)[0]
    summary = f"Recreate the network {network.name} in gateway mode nat, with all its containers."
    return remedy.recreate_network(facts, network, summary=summary, options={bound_elsewhere.GATEWAY_MODE: "nat"})


check = Check(
    cause="routed-gateway-mode",
    title="Gateway mode routed or isolated publishes no host port",
    subjects=("port",),
    needs=("engine", "publish"),
    find=find,
    engines="≥ 27",
    phrases=("gateway_mode_ipv4=routed", "gateway_mode_ipv4=isolated"),
)
