"""The paths that stop since a port is published on other addresses than the one dialled, and what their checks say alike."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from dockernet_doctor.plugin import (
    Case,
    Evidence,
    HostFacts,
    Path,
    is_loopback,
    mapping_text,
    model,
    obstacles,
)

HOST_BINDING = "com.docker.network.bridge.host_binding_ipv4"


class Elsewhere(Struct, frozen=True):
    facts: HostFacts
    path: Path
    container: model.Container
    published: tuple[model.PublishedPort, ...]
    dialled: str  # "" for any address of the host


def elsewhere(case: Case, *reasons: obstacles.BindingReason) -> Iterator[Elsewhere]:
    """Paths that stop since the port is bound elsewhere, for one of these reasons."""
    for path, obstacle in case.broken_by(obstacles.PublishedElsewhere, reasons=reasons):
        yield Elsewhere(case.facts(path.host), path, obstacle.container, obstacle.published, obstacle.dialled)


def evidence(found: Elsewhere) -> Iterator[Evidence]:
    source = f"inspection of {found.container.name}"
    for mapping in found.published:
        yield Evidence(fact="published", value=mapping_text(mapping), source=source)
    for network in found.facts.networks_of(found.container):
        if is_loopback(address := network.options.get(HOST_BINDING, "")):
            yield Evidence(fact=HOST_BINDING, value=address, source=f"inspection of network {network.name}")


def bindings_of(found: Elsewhere) -> list[model.PortBinding]:
    """What was asked for that became these mappings."""
    first = found.published[0]
    ports = {str(p.host_port) for p in found.published}
    same = [b for b in found.container.bindings if b.port == first.port and b.protocol == first.protocol]
    return [b for b in same if b.host_port in ports or not b.host_port.isdecimal()] or same
