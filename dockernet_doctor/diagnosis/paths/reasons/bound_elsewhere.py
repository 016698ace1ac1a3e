"""Why a port is published on other addresses than the one dialled: one reason for each, decided here for all its checks."""

from __future__ import annotations

from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.path import BindingReason, PublishedElsewhere
from dockernet_doctor.notation import UNSPECIFIED, is_loopback
from dockernet_doctor.snapshot.model import Container, Network

GATEWAY_MODE = "com.docker.network.bridge.gateway_mode_ipv4"


def reason_of(facts: HostFacts, obstacle: PublishedElsewhere) -> BindingReason:
    """The one reason."""
    addresses = [p.host_ip for p in obstacle.published]
    if facts.stack and all(is_missing(facts, address) for address in addresses):
        return "missing"
    only_ipv6 = all(":" in a for a in addresses) and ":" not in obstacle.dialled
    if only_ipv6 and routed_networks(facts, obstacle.container):
        return "routed"
    networks = facts.networks_of(obstacle.container)
    if only_ipv6 and networks and not any(n.ipv4 for n in networks):
        return "no-ipv4"
    if all(is_loopback(address) for address in addresses) and not is_loopback(obstacle.dialled):
        return "loopback"
    return "other"


def is_missing(facts: HostFacts, address: str) -> bool:
    """True if no interface of the host has the address."""
    return bool(facts.stack) and address not in ("", *UNSPECIFIED) and not facts.is_own(address)


def routed_networks(facts: HostFacts, container: Container) -> list[Network]:
    """Networks of the container whose gateway mode makes no host port (engines from 27)."""
    return [n for n in facts.networks_of(container) if n.options.get(GATEWAY_MODE) in ("routed", "isolated")]
