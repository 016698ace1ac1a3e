"""via-published-port: a container reaches another through the host's published port instead of a shared network (rule 15)."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    affected,
    container_subject,
    is_loopback,
    mapping_text,
    model,
    names,
    remedy,
)


def find(case: Case) -> Iterator[Finding]:
    """Settings with an address of this host and a port that another container publishes."""
    for facts, container in case.running():
        if container.network_mode in ("host", "none"):
            continue
        for reference in container.references:
            found = _target(facts, container, reference)
            if found is not None:
                yield _finding(facts, container, reference, *found)


def _target(
    facts: HostFacts, container: model.Container, reference: model.Reference
) -> tuple[model.Container, model.PublishedPort] | None:
    if reference.where not in ("environment", "command") or reference.port is None:
        return None
    home = facts.namespace_owner(container)
    others = (
        (other, published)
        for other, published in facts.published_on(reference.port, "tcp")
        if other is not home and not is_loopback(published.host_ip)
    )
    found = next(others, None)
    return found if found and _is_host(facts, container, reference) else None


def _is_host(facts: HostFacts, container: model.Container, reference: model.Reference) -> bool:
    host = reference.host.lower()
    addresses = [host] if names.is_address(host) else list(names.hosts_addresses(container, host))
    return any((facts.is_own(a) or _is_gateway(facts, a)) and not is_loopback(a) for a in addresses)


def _is_gateway(facts: HostFacts, address: str) -> bool:
    """True for the gateway of a bridge: that of a macvlan network is a router of the LAN."""
    bridges = (network for network in facts.snapshot.networks if network.driver == "bridge")
    return any(subnet.gateway == address for network in bridges for subnet in network.subnets)


def _finding(
    facts: HostFacts,
    container: model.Container,
    reference: model.Reference,
    target: model.Container,
    published: model.PublishedPort,
) -> Finding:
    return Finding(
        severity="info",
        confidence="proven",
        subject=container_subject(facts, container),
        affects=affected(facts, container),
        summary=(
            f"{container.name}: {reference.key} reaches {target} through {facts.here}'s published port "
            f"{published.host_port}; a shared network would do."
        ),
        evidence=(
            Evidence(
                fact=reference.key, value=f"{reference.host}:{reference.port}", source=f"{reference.where} of {container.name}"
            ),
            Evidence(fact="published", value=mapping_text(published), source=f"inspection of {target.name}"),
        ),
        fixes=(_fix(facts, container, reference, target, published),),
    )


def _fix(
    facts: HostFacts,
    container: model.Container,
    reference: model.Reference,
    target: model.Container,
    published: model.PublishedPort,
) -> Fix:
    summary = f"Change {reference.key} of {container.name} to {target}:{published.port}, on a network that both share."
    if any(n.has_dns for n in facts.common_networks(container, target)):
        return remedy.point_at(facts, container, reference, target.name, published.port, summary=summary)
    network, changes = remedy.resettle(facts, target, container)
    own = remedy.joining(facts, container, network)
    fix = remedy.point_at(facts, container, reference, target.name, published.port, networks=(network,), summary=summary)
    return remedy.after([change for change in changes if change not in own], fix)


check = Check(
    cause="via-published-port",
    title="Another container is reached by the host's published port",
    subjects=("container", "service"),
    needs=("engine", "host.network", "sandbox.network", "sandbox.files"),
    find=find,
    article=(15,),
)
