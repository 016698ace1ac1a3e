"""The way as far as the API tells it, where the kernel's own state could not be read."""

from __future__ import annotations

from dockernet_doctor.diagnosis.facts.listeners import mapping_text
from dockernet_doctor.diagnosis.path import AddressOfNobody, NoCommonNetwork, NoEgress, NoNetwork
from dockernet_doctor.diagnosis.paths.packet.mapping import published_at
from dockernet_doctor.diagnosis.paths.packet.member import enter, to_process
from dockernet_doctor.diagnosis.paths.packet.trail import Walk
from dockernet_doctor.snapshot.model import Container


def by_inspection(walk: Walk, address: str, port: int) -> None:
    """To an address from the host or beyond: a published port, a container's own address, or neither."""
    trail, facts = walk.trail, walk.facts
    if published := published_at(walk, address, port):
        container, mapping = published
        trail.published = mapping
        trail.say("mapping", mapping_text(mapping))
        endpoint = next(iter(facts.endpoints(container)), None)
        enter(walk, container, endpoint, None, (endpoint.ipv4 if endpoint else None) or address, mapping.port)
    elif holder := facts.holder(address):
        enter(walk, holder[0], holder[1], None, address, port)
    elif (network := facts.network_containing(address)) and network.driver == "bridge":
        if address not in {s.gateway for s in network.subnets}:
            trail.stop(
                "network",
                AddressOfNobody(address=address, network=network, proven=True),
                f"no running container has {address} on {network.name}",
            )
    elif not facts.is_own(address):
        trail.beyond = True
    elif facts.apart and facts.machine:
        to_process(walk, facts.machine, address, port)  # RootlessKit's namespace passes it on
    else:
        trail.doubt("listener", f"listeners of {facts.here} could not be read")


def stop_inside(walk: Walk, source: Container, address: str) -> None:
    """The source has internal networks only. Nothing leads out; to a container elsewhere, a way out would not lead either."""
    networks, holder = walk.facts.networks_of(source), walk.facts.holder(address)
    if holder is not None:
        text = f"{holder[0].name} has {address} on {holder[1].network}, which {source.name} is not on"
        walk.trail.stop("network", NoCommonNetwork(source=source, target=holder[0], proven=True), text)
        return
    stopped = NoEgress(container=source, networks=networks, proven=True)
    walk.trail.stop("network", stopped, f"{source.name} is on internal networks only")


def from_container_by_inspection(walk: Walk, source: Container, address: str, port: int) -> None:
    """The same from a container: first to its neighbours."""
    facts, trail = walk.facts, walk.trail
    networks = facts.networks_of(source)
    holder = facts.holder(address)
    if holder and facts.network_of(holder[1]) in networks:
        enter(walk, holder[0], holder[1], None, address, port)
    elif not [n for n in networks if n.driver != "null"]:
        trail.stop("network", NoNetwork(container=source, proven=True), f"{source.name} has no network")
    elif networks and all(n.internal for n in networks):
        stop_inside(walk, source, address)
    else:
        by_inspection(walk, address, port)
