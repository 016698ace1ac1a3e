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
    link: str = ""  # of the host, which has it, too: the bridge or another


@lru_cache(maxsize=8)
def twins(facts: HostFacts) -> tuple[Twins, ...]:
    """All of a host."""
    return tuple(_twins(facts))


def _twins(facts: HostFacts) -> Iterator[Twins]:
    by_network: dict[str, list[tuple[model.Container, model.Endpoint]]] = {}
    for container, endpoint, network in addressing.served(facts, drivers=(*links.BRIDGED, *links.ON_PARENT)):
        by_network.setdefault(network.id, []).append((container, endpoint))
    own = {a.address: a.link for a in facts.stack.addresses if a.scope == "global"} if facts.stack else {}
    for network in facts.snapshot.networks:
        held: dict[tuple[str, str], list[model.Container]] = {}
        for container, endpoint in by_network.get(network.id, ()):
            for key in _of(facts, container, endpoint):
                held.setdefault(key, []).append(container)
        for (kind, value), holders in held.items():
            link = own.get(value, "") if kind == "address" else ""
            if len({c.sandbox.namespace for c in holders if c.sandbox}) > 1 or link:
                yield Twins(network, kind, value, tuple(holders), link)


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
