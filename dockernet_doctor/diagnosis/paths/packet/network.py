"""Out of the sandbox and onto a network: its bridge, or what another driver has instead."""

from __future__ import annotations

from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.facts.links import BRIDGED, ON_PARENT
from dockernet_doctor.diagnosis.path import IsolatedFromHost
from dockernet_doctor.diagnosis.paths.packet.filter import bridged_drop
from dockernet_doctor.diagnosis.paths.packet.host import through_host
from dockernet_doctor.diagnosis.paths.packet.link import bridge_broken, veth_broken
from dockernet_doctor.diagnosis.paths.packet.member import to_member
from dockernet_doctor.diagnosis.paths.packet.route import answers_bypass, by_shim
from dockernet_doctor.diagnosis.paths.packet.trail import Walk
from dockernet_doctor.snapshot.model import Container, Endpoint, Link, Network


def onto_network(
    walk: Walk,
    source: Container,
    network: Network,
    link: Link,
    address: str,
    port: int,
    origin: str,
    *,
    gateway: str | None,
) -> None:
    """By `link` of the source to a neighbour (`gateway` is None), or to the host, which takes it further."""
    facts = walk.facts
    if network.driver not in BRIDGED:
        _onto_other_driver(walk, source, network, address, port, gateway)
        return
    family = 6 if ":" in address else 4
    if bridge_broken(walk, network, needs_address=False) or veth_broken(walk, source, link, network):
        return
    if gateway is not None and bridge_broken(walk, network, family=family):
        return
    walk.trail.say("link", f"{link.name} on {network.bridge or network.name}")
    if gateway is None and not facts.is_own(address):
        if bridged_drop(walk, network, address, port, origin):
            return
        to_member(walk, network, address, port, origin)
        return
    if answers_bypass(walk, source, network, origin, address):
        return
    through_host(walk, walk.packet(origin, address, port, in_interface=network.bridge))


def _onto_other_driver(walk: Walk, source: Container, network: Network, address: str, port: int, gateway: str | None) -> None:
    """Drivers without a bridge on this host; overlay members reach what is not theirs by docker_gwbridge."""
    facts, trail = walk.facts, walk.trail
    own = _endpoint_of(facts, source, network)
    if network.driver in ON_PARENT and facts.is_own(address) and not (own and own.ipv4 and by_shim(facts, own.ipv4)):
        trail.stop(
            "network",
            IsolatedFromHost(container=source, network=network),
            f"{network.driver} {network.name}: its members cannot talk to their own host",
        )
        return
    holder = facts.holder(address)
    if network.driver in ON_PARENT and facts.is_own(address):
        through_host(walk, walk.packet("", address, port))
        return
    if gateway is None and holder is not None:
        to_member(walk, network, address, port, "")
        return
    if network.driver == "overlay" and gateway is not None:
        through_host(walk, walk.packet("", address, port, in_interface="docker_gwbridge"))
        return
    trail.say("route", f"leaves by the {network.driver} network {network.name}")
    trail.beyond = True


def _endpoint_of(facts: HostFacts, container: Container, network: Network) -> Endpoint | None:
    return next((e for e in facts.endpoints(container) if facts.network_of(e) is network), None)
