"""The port of a setting that names a host alone: PGHOST=db, DB_HOST=localhost, REDIS_HOST=10.0.0.5.

Whether the program really takes the usual port nobody knows. So it is asked only where that could not raise a false alarm: at
a port that is served where the setting meant it, or where the way ends at the name or the address, whatever the port.
"""

from __future__ import annotations

from dockernet_doctor.snapshot.model import Container, Reference

from .facts import HostFacts
from .names import HOST_NAMES, hosts_addresses, is_address, meant
from .neighbours import SERVICES, is_loopback, neighbours, usual_ports


def implied_port(facts: HostFacts, container: Container, reference: Reference) -> int | None:
    """A port to ask for; None where there is none that is safe to ask for."""
    if reference.where not in ("environment", "command") or not reference.host:
        return None
    host, usual = reference.host.lower(), usual_ports(reference.key)
    if is_loopback(host):
        return next((port for port in usual if _is_next_door(facts, container, port)), None)
    named = _holder(facts, host) if is_address(host) else meant(facts, host, container)
    if named is not None:
        listening = sorted({li.port for li in facts.listeners(named, "tcp") or () if not is_loopback(li.address)})
        return next((port for port in (*usual, *listening) if port in listening), None)
    if is_address(host) and (network := facts.network_containing(host)) is not None:
        served = {li.port for member in facts.members(network) for li in facts.listeners(member, "tcp") or ()}
        return next((port for port in usual if port in served and not facts.is_own(host)), None)
    unmapped = not is_address(host) and ("." not in host or host in HOST_NAMES) and not any(hosts_addresses(container, host))
    return next(iter(usual), None) if unmapped else None


def _is_next_door(facts: HostFacts, container: Container, port: int) -> bool:
    """Whether nothing listens on the port in the container, and something does in one that it shares a network with."""
    own = facts.listeners(container)
    if own is None or any(li.port in SERVICES for li in own):
        return False
    found = neighbours(facts, container, port)[:1]
    return any(
        facts.common_networks(container, other) and any(li.port == port for li in facts.listeners(other) or ())
        for other in found
    )


def _holder(facts: HostFacts, address: str) -> Container | None:
    found = facts.holder(address)
    return found[0] if found else None
