"""stale-container-ip: settings hold an address of a Docker subnet that is nobody's, or somebody else's, now (rule 21)."""

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
    Subject,
    addressing,
    affected,
    container_subject,
    is_loopback,
    model,
    obstacles,
    probe_evidence,
    who,
)

from .hard_coded_container_ip import by_name
from .no_shared_network import is_isolation


def find(case: Case) -> Iterator[Finding]:
    """Paths to a written address that no container has, or whose holder does not serve the port."""
    for path, obstacle in case.broken_by(obstacles.AddressOfNobody):
        given = addressing.may_be_given(case.facts(path.host), obstacle.network, obstacle.address)
        if path.question.target.kind == "address" and given:  # else it is another machine's: subnet-overlap
            yield _finding(case.facts(path.host), path, None)
    for path, dropped in case.broken_by(obstacles.Dropped):
        if is_isolation(dropped) and _nobody_has(case.facts(path.host), path):
            yield _finding(case.facts(path.host), path, None)
    for path, nothing in case.broken_by(obstacles.NothingListens, reasons=("stale-address",)):
        yield _finding(case.facts(path.host), path, nothing.container)


def _nobody_has(facts: HostFacts, path: Path) -> bool:
    """True if the address is one of a network that its source is not on, and no container's: Docker's rules come first."""
    address = path.destination.address or ""
    network = facts.network_containing(address)
    if path.target is not None or network is None or network.driver != "bridge" or facts.is_own(address):
        return False
    taken = facts.holder(address) is not None or address in {subnet.gateway for subnet in network.subnets}
    return not taken and addressing.may_be_given(facts, network, address)


def _finding(facts: HostFacts, path: Path, holder: model.Container | None) -> Finding:
    address, port = path.destination.address or "", path.destination.port
    network = facts.network_containing(address)
    reference, source = path.question.reference, path.source
    reference = reference or (_setting_of(source, address, port) if source else None)
    target = _meant(facts, path, holder)
    whose = f"{holder} has that address now and does not listen on {port}" if holder else "no container has that address now"
    says = f"{reference.key} of {source} holds" if reference and source else f"{who(path)} dials"
    offer = f"; {target} listens on {port}" if target else ""
    return Finding(
        severity="error",
        confidence="proven",
        subject=_subject(facts, path, address),
        affects=affected(facts, source) if source else (),
        summary=f"{says} {address}:{port}, but {whose}{offer}.",
        evidence=(
            Evidence(
                fact=f"holder of {address}",
                value=holder.name if holder else "nobody",
                source=f"inspection of the network {network.name if network else ''}",
            ),
            *probe_evidence(path),
        ),
        fixes=(_fix(facts, path, reference, target),),
        hop=path.broken.hop if path.broken else None,
        explains=(path,),
    )


def _setting_of(source: model.Container, address: str, port: int | None) -> model.Reference | None:
    return next((r for r in source.references if r.host == address and r.port in (port, None)), None)


def _subject(facts: HostFacts, path: Path, address: str) -> Subject:
    if path.source is not None:
        return container_subject(facts, path.source)
    return Subject(kind="destination", name=address, host=facts.name)


def _meant(facts: HostFacts, path: Path, holder: model.Container | None) -> model.Container | None:
    """The one container that serves the port; of several, the one on the address's network."""
    source, port = path.source, path.destination.port
    if source is None or port is None:
        return None
    found = [
        c
        for c in facts.running
        if c not in (source, holder) and any(li.port == port and not is_loopback(li.address) for li in facts.listeners(c) or ())
    ]
    network = facts.network_containing(path.destination.address or "")
    near = [c for c in found if network in facts.networks_of(c)] or found
    return near[0] if len(near) == 1 else None


def _fix(facts: HostFacts, path: Path, reference: model.Reference | None, target: model.Container | None) -> Fix:
    if target is None or path.source is None:
        return Fix(summary="Write the name of the container instead of its address.", runnable=False)
    if reference is None:
        return Fix(summary=f"Dial {target}:{path.destination.port} instead of the address.", runnable=False)
    return by_name(facts, path.source, reference, target)


check = Check(
    cause="stale-container-ip",
    title="An address that the container no longer has",
    subjects=("container", "service", "destination"),
    needs=("engine", "host.network", "host.sockets", "sandbox.network", "listener"),
    find=find,
    phrases=("no route to host", "destination host unreachable", "connection refused", "host is unreachable", "ehostunreach"),
    article=(21,),
)
