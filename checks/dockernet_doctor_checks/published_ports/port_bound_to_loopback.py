"""port-bound-to-loopback: published on 127.0.0.1 or ::1 only, so other machines cannot come in (article rule 10)."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    HostFacts,
    affected,
    mapping_text,
    model,
    obstacles,
    port_subject,
    probe_evidence,
    remedy,
    who,
)

HOST_BINDING = "com.docker.network.bridge.host_binding_ipv4"


def find(case: Case) -> Iterator[Finding]:
    """Paths that stop at `publish` since every mapping of the port is on a loopback address."""
    for path, obstacle in case.broken_by(obstacles.PublishedElsewhere):
        if not all(is_loopback(p.host_ip) for p in obstacle.published):
            continue
        facts = case.facts(path.host)
        container, published = obstacle.container, obstacle.published[0]
        yield Finding(
            severity="error" if case.asked else "info",
            confidence="proven",
            subject=port_subject(facts, container, published.port, published.protocol),
            affects=affected(facts, container),
            summary=(
                f"{container.name}:{published.port} cannot be reached from {who(path)}: its port {published.host_port} "
                f"is published on {published.host_ip} only."
            ),
            evidence=(*_evidence(facts, container, obstacle.published), *probe_evidence(path)),
            fixes=remedy.republish(
                facts,
                container,
                add=[model.PortBinding(port=published.port, protocol=published.protocol, host_port=str(published.host_port))],
                remove=[b for b in container.bindings if b.port == published.port and b.protocol == published.protocol],
            ),
            hop="publish",
            explains=(path,),
        )


def is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"


def _evidence(facts: HostFacts, container: model.Container, published: tuple[model.PublishedPort, ...]) -> Iterator[Evidence]:
    for mapping in published:
        yield Evidence(fact="published", value=mapping_text(mapping), source=f"inspection of {container.name}")
    for network in facts.networks_of(container):
        if address := network.options.get(HOST_BINDING):
            yield Evidence(fact=HOST_BINDING, value=address, source=f"inspection of network {network.name}")


check = Check(
    cause="port-bound-to-loopback",
    title="A port published on loopback only is closed to other machines",
    subjects=("port",),
    find=find,
    phrases=("works on localhost but not from outside", "connection refused"),
    article=(10,),
)
