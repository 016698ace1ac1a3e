"""hard-coded-container-ip: settings hold the address of a container, which changes with the order of starts (rule 21)."""

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
    model,
    names,
    neighbours,
    remedy,
)

from ._words import service_name


def find(case: Case) -> Iterator[Finding]:
    """Settings that name another container by its present address, unless that was given by `--ip`."""
    for facts, container in case.running():
        for reference in container.references:
            found = facts.holder(reference.host) if names.is_address(reference.host) else None
            if found is None or reference.where not in ("environment", "command"):
                continue
            holder, endpoint = found
            fixed = reference.host in (endpoint.requested_ipv4, endpoint.requested_ipv6)
            if fixed or holder is facts.namespace_owner(container) or _is_stale(case, facts, container, reference.host):
                continue
            yield _finding(facts, container, reference, holder)


def _is_stale(case: Case, facts: HostFacts, container: model.Container, address: str) -> bool:
    """True if the container dials the address in vain, since who is meant has another by now."""
    dialled = (p for p in case.paths if p.host == facts.name and p.source is container and p.destination.address == address)
    return any(neighbours.dials_stale_address(facts, path) for path in dialled)


def _finding(facts: HostFacts, container: model.Container, reference: model.Reference, holder: model.Container) -> Finding:
    return Finding(
        severity="warning",
        confidence="proven",
        subject=container_subject(facts, container),
        affects=affected(facts, container),
        summary=(
            f"{container}: {reference.key} holds {reference.host}, the address that {holder.name} happens to have now; it "
            f"changes when containers are started in another order."
        ),
        evidence=(
            Evidence(fact=reference.key, value=_value(reference), source=f"{reference.where} of {container.name}"),
            Evidence(fact=f"address of {holder.name}", value=reference.host, source=f"inspection of {holder.name}"),
        ),
        fixes=(by_name(facts, container, reference, holder),),
    )


def by_name(facts: HostFacts, container: model.Container, reference: model.Reference, target: model.Container) -> Fix:
    """The setting with the target's name in it, on a custom network that both are on."""
    name = service_name(container, target)
    summary = f"Change {reference.host} to {name} in {reference.key} of {container}."
    if any(n.has_dns for n in facts.common_networks(container, target)):
        return remedy.point_at(facts, container, reference, name, summary=summary)
    network, changes = remedy.resettle(facts, target, container)
    own = remedy.joining(facts, container, network)
    fix = remedy.point_at(facts, container, reference, name, networks=(network,), summary=summary)
    return remedy.after([change for change in changes if change not in own], fix)


def _value(reference: model.Reference) -> str:
    return f"{reference.host}:{reference.port}" if reference.port else reference.host


check = Check(
    cause="hard-coded-container-ip",
    title="Settings hold the address of a container",
    subjects=("container", "service"),
    needs=("engine", "host.network", "sandbox.network", "listener"),
    find=find,
    article=(21,),
)
