"""A port that is published on other addresses than the one dialled: why, decided once for the checks that share it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from dockernet_doctor.plugin import Case, Evidence, HostFacts, Path, mapping_text, model, neighbours, obstacles

HOST_BINDING = "com.docker.network.bridge.host_binding_ipv4"
GATEWAY_MODE = "com.docker.network.bridge.gateway_mode_ipv4"

Why = Literal["missing", "routed", "no-ipv4", "loopback", "other"]


class Elsewhere(Struct, frozen=True):
    facts: HostFacts
    path: Path
    container: model.Container
    published: tuple[model.PublishedPort, ...]
    dialled: str  # "" for any address of the host
    why: Why


def elsewhere(case: Case, *reasons: Why) -> Iterator[Elsewhere]:
    """Paths that stop since the port is bound elsewhere, for one of these reasons."""
    for path, obstacle in case.broken_by(obstacles.PublishedElsewhere):
        facts = case.facts(path.host)
        why = _why(facts, obstacle)
        if why in reasons:
            yield Elsewhere(facts, path, obstacle.container, obstacle.published, obstacle.dialled, why)


def _why(facts: HostFacts, obstacle: obstacles.PublishedElsewhere) -> Why:
    addresses = [p.host_ip for p in obstacle.published]
    if facts.stack and all(is_missing(facts, address) for address in addresses):
        return "missing"
    if all(":" in a for a in addresses) and ":" not in obstacle.dialled and routed_networks(facts, obstacle.container):
        return "routed"
    networks = facts.networks_of(obstacle.container)
    if all(":" in a for a in addresses) and ":" not in obstacle.dialled and networks and not any(n.ipv4 for n in networks):
        return "no-ipv4"
    if all(neighbours.is_loopback(address) for address in addresses) and not neighbours.is_loopback(obstacle.dialled):
        return "loopback"
    return "other"


def is_missing(facts: HostFacts, address: str) -> bool:
    """Whether no interface of the host has the address."""
    return bool(facts.stack) and address not in ("", "0.0.0.0", "::") and not facts.is_own(address)


def routed_networks(facts: HostFacts, container: model.Container) -> list[model.Network]:
    """Networks of the container whose gateway mode makes no host port (engines from 27)."""
    return [n for n in facts.networks_of(container) if n.options.get(GATEWAY_MODE) in ("routed", "isolated")]


def evidence(found: Elsewhere) -> Iterator[Evidence]:
    source = f"inspection of {found.container.name}"
    for mapping in found.published:
        yield Evidence(fact="published", value=mapping_text(mapping), source=source)
    for network in found.facts.networks_of(found.container):
        if neighbours.is_loopback(address := network.options.get(HOST_BINDING, "")):
            yield Evidence(fact=HOST_BINDING, value=address, source=f"inspection of network {network.name}")


def bindings_of(found: Elsewhere) -> list[model.PortBinding]:
    """What was asked for that became these mappings."""
    first = found.published[0]
    ports = {str(p.host_port) for p in found.published}
    same = [b for b in found.container.bindings if b.port == first.port and b.protocol == first.protocol]
    return [b for b in same if b.host_port in ports or not b.host_port.isdecimal()] or same
