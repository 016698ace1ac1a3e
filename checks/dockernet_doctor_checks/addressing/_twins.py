"""Who has which address and MAC on one bridge, by what stands in the sandboxes themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from dockernet_doctor.plugin import HostFacts, addressing, links, model


class Twins(NamedTuple):
    """Several interfaces of one network with the same address (or the same MAC)."""

    network: model.Network
    kind: str  # "address", "MAC"
    value: str
    holders: tuple[model.Container, ...]
    gateway: bool = False  # the bridge itself has it, too


def twins(facts: HostFacts) -> Iterator[Twins]:
    by_network: dict[str, list[model.Container]] = {}
    for container, _endpoint, network in addressing.served(facts, drivers=(*links.BRIDGED, *links.ON_PARENT)):
        by_network.setdefault(network.id, []).append(container)
    for network in facts.snapshot.networks:
        held: dict[tuple[str, str], list[model.Container]] = {}
        for container in by_network.get(network.id, ()):
            for key in _of(facts, container, network):
                held.setdefault(key, []).append(container)
        bridge = facts.bridge(network)
        own = {a.address for a in facts.stack.addresses if a.link == bridge.name} if facts.stack and bridge else set()
        for (kind, value), holders in held.items():
            gateway = kind == "address" and value in own
            if len({c.sandbox.namespace for c in holders if c.sandbox}) > 1 or gateway:
                yield Twins(network, kind, value, tuple(holders), gateway)


def _of(facts: HostFacts, container: model.Container, network: model.Network) -> Iterator[tuple[str, str]]:
    """Addresses and MAC of the container's interface on the network."""
    stack = facts.stack_of(container)
    endpoint = next((e for e in container.endpoints if facts.network_of(e) is network), None)
    link = facts.sandbox_link(container, endpoint) if endpoint else None
    if stack is None or link is None or not link.up:
        return
    if link.mac and link.kind != "ipvlan":
        yield "MAC", link.mac
    for address in stack.addresses:
        if address.link == link.name and address.scope == "global":
            yield "address", address.address
