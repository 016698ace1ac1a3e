"""Podman's Docker-compatible socket: what its answers leave out or say otherwise (seen: Podman 5.8.6, netavark 1.17).

Its networks call themselves `EnableIPv4: false`; its bridges are podman0, podman1, …, whatever the network's id.
"""

from __future__ import annotations

from msgspec.structs import replace

from dockernet_doctor.snapshot.model import Network, Snapshot


def adapted(snapshot: Snapshot) -> Snapshot:
    """The snapshot with each network of a Podman at the bridge that has its gateway's address, and without the daemon's files
    among what was not seen, since it has none; any other as it is."""
    if snapshot.engine is None or not snapshot.engine.podman:
        return snapshot
    held = {a.address: a.link for a in snapshot.host.stack.addresses} if snapshot.host else {}
    spots = tuple(spot for spot in snapshot.blind_spots if spot.area.partition(".")[0] != "daemon")
    return replace(snapshot, networks=tuple(_adapted(network, held) for network in snapshot.networks), blind_spots=spots)


def _adapted(network: Network, held: dict[str, str]) -> Network:
    gateways = (subnet.gateway for subnet in network.subnets if subnet.gateway)
    bridge = next((held[gateway] for gateway in gateways if gateway in held), None)
    return replace(network, ipv4=any("." in subnet.subnet for subnet in network.subnets), bridge=bridge)
