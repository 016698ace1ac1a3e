"""Who has which address and MAC on one bridge, by what stands in the sandboxes themselves."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from msgspec import Struct

from dockernet_doctor.plugin import HostFacts, addressing, links, model


class Twins(Struct, frozen=True):
    """Several interfaces of one network with the same address (or the same MAC)."""

    network: model.Network
    kind: str  # "address", "MAC"
    value: str
    holders: tuple[model.Container, ...]
    gateway: bool = False  # the bridge itself has it, too


@lru_cache(maxsize=8)
def twins(facts: HostFacts) -> tuple[Twins, ...]:
    """All of a host."""
    return tuple(_twins(facts))


def _twins(facts: HostFacts) -> Iterator[Twins]:
    by_network: dict[str, list[tuple[model.Container, model.Endpoint]]] = {}
    for container, endpoint, network in addressing.served(facts, drivers=(*links.BRIDGED, *links.ON_PARENT)):
        by_network.setdefault(network.id, []).append((container, endpoint))
    for network in facts.snapshot.networks:
        held: dict[tuple[str, str], list[model.Container]] = {}
        for container, endpoint in by_network.get(network.id, ()):
            for key in _of(facts, container, endpoint):
                held.setdefault(key, []).append(container)
        bridge = facts.bridge(network)
        own = {a.address for a in facts.stack.addresses if a.link == bridge.name} if facts.stack and bridge else set()
        for (kind, value), holders in held.items():
            gateway = kind == "address" and value in own
            if len({c.sandbox.namespace for c in holders if c.sandbox}) > 1 or gateway:
                yield Twins(network, kind, value, tuple(holders), gateway)


def _of(facts: HostFacts, container: model.Container, endpoint: model.Endpoint) -> Iterator[tuple[str, str]]:
    """Addresses and MAC of the container's interface that serves the endpoint."""
    stack, link = facts.stack_of(container), facts.sandbox_link(container, endpoint)
    if stack is None or link is None or not link.up:
        return
    if link.mac and link.kind != "ipvlan":
        yield "MAC", link.mac
    for address in stack.addresses:
        if address.link == link.name and address.scope == "global":
            yield "address", address.address
