"""bind-address-missing: the address that a port is to be bound to is not (any more) on this host."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    affected,
    bound_elsewhere,
    mapping_text,
    model,
    obstacles,
    port_subject,
    probe_evidence,
    remedy,
)

from ._binding import elsewhere
from ._host_port import Refusal, refusal


def find(case: Case) -> Iterator[Finding]:
    """Containers that could not start for that, and running ones whose address has gone since."""
    for facts, container in case.containers():
        refused = refusal(container)
        if refused and refused.kind == "no-address":
            paths = tuple(p for p, o in case.broken_by(obstacles.NotRunning) if o.container.id == container.id)
            yield _not_started(facts, refused, paths)
    lost: set[tuple[str, str, model.PublishedPort]] = set()
    for found in elsewhere(case, "missing"):
        lost |= {(found.facts.name, found.container.id, p) for p in found.published}
        yield _gone(found.facts, found.container, found.published[0], (found.path,))
    for facts, container in case.running():
        for published in container.ports:
            if bound_elsewhere.is_missing(facts, published.host_ip) and (facts.name, container.id, published) not in lost:
                yield _gone(facts, container, published, ())


def _not_started(facts: HostFacts, refused: Refusal, paths: tuple[obstacles.Path, ...]) -> Finding:
    container = refused.container
    back = facts.stack is not None and facts.is_own(refused.address)  # an address that came up late, or came back
    lack = f"{facts.here} did not have when it was started, and has now" if back else f"is not an address of {facts.here}"
    cannot = "did not start" if back else "cannot start"
    return Finding(
        severity="error",
        confidence="proven",
        subject=port_subject(facts, container, refused.container_port, refused.protocol),
        affects=affected(facts, container),
        summary=(f"{container} {cannot}: its port {refused.container_port} is published on {refused.address}, which {lack}."),
        evidence=(
            Evidence(fact="State.Error", value=container.state.error, source=f"inspection of {container.name}"),
            *_addresses(facts),
        ),
        fixes=(remedy.start(container),)
        if back
        else _fixes(facts, container, refused.address, [refused.binding] if refused.binding else []),
        hop="publish" if not paths else "target",
        explains=paths,
    )


def _gone(
    facts: HostFacts, container: model.Container, published: model.PublishedPort, paths: tuple[obstacles.Path, ...]
) -> Finding:
    bindings = [b for b in container.bindings if b.host_ip == published.host_ip and b.port == published.port]
    return Finding(
        severity="error",
        confidence="proven",
        subject=port_subject(facts, container, published.port, published.protocol),
        affects=affected(facts, container),
        summary=(
            f"{container}:{published.port} cannot be reached: it is published on {published.host_ip}, which is no longer "
            f"an address of {facts.here}."
        ),
        evidence=(
            Evidence(fact="published", value=mapping_text(published), source=f"inspection of {container.name}"),
            *_addresses(facts),
            *probe_evidence(*paths),
        ),
        fixes=_fixes(facts, container, published.host_ip, bindings),
        hop="publish",
        explains=paths,
    )


def _addresses(facts: HostFacts) -> Iterator[Evidence]:
    if facts.stack:
        addresses = sorted(a for a in facts.own_addresses if not a.startswith("fe80"))
        yield Evidence(fact="addresses of the host", value=", ".join(addresses), source="the host's interfaces")


def _fixes(facts: HostFacts, container: model.Container, missing: str, bindings: list[model.PortBinding]) -> tuple[Fix, ...]:
    address = _nearest(facts, missing)
    stale = [b for b in container.bindings if b.host_ip == missing] or bindings
    right = [
        model.PortBinding(port=b.port, protocol=b.protocol, host_ip=address or "127.0.0.1", host_port=b.host_port)
        for b in stale
    ]
    back = Fix(summary=f"Or give {facts.here} the address {missing} again, and start {container}.", runnable=False)
    return (*remedy.republish(facts, container, add=right, remove=stale), back)


def _nearest(facts: HostFacts, missing: str) -> str:
    """The host's address that most likely took the place of the missing one: of its subnet, else the first of its family."""
    family = 6 if ":" in missing else 4
    docker = set(facts.bridges) | {"lo"}
    ours = [
        a
        for a in (facts.stack.addresses if facts.stack else ())
        if a.family == family and a.scope == "global" and a.link not in docker
    ]
    for own in ours:
        if ipaddress.ip_address(missing) in ipaddress.ip_network(f"{own.address}/{own.prefix}", strict=False):
            return own.address
    return ours[0].address if ours else ""


check = Check(
    cause="bind-address-missing",
    title="The address to publish on is not on this host",
    subjects=("port",),
    needs=("engine", "host.network", "target", "publish"),
    podman=True,
    find=find,
    phrases=(
        "failed to bind host port … cannot assign requested address",
        "failed programming external connectivity on endpoint … failed to bind host port … cannot assign requested address",
        "bind: cannot assign requested address",
        "cannot assign requested address",
    ),
)
