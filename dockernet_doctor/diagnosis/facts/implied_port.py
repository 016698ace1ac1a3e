"""The port of a setting that names a host alone: PGHOST=db, DB_HOST=localhost, REDIS_HOST=10.0.0.5.

Whether the program really takes the usual port nobody knows. So it is asked only where that could not raise a false alarm: at
a port that is served where the setting meant it, or where the way ends at the name or the address, whatever the port.
"""

from __future__ import annotations

from collections.abc import Iterable

from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.facts.neighbours import usual_ports
from dockernet_doctor.diagnosis.paths.names import HOST_NAMES, hosts_addresses, is_address, meant
from dockernet_doctor.notation import is_loopback
from dockernet_doctor.snapshot.model import Container, Reference


def implied_port(facts: HostFacts, container: Container, reference: Reference) -> int | None:
    """A port to ask for; None where there is none that is safe to ask for."""
    if reference.where not in ("environment", "command") or not reference.host:
        return None
    host, usual = reference.host.lower(), usual_ports(reference.key)
    if is_loopback(host):
        own = facts.listeners(container)
        if not usual or own is None or any(li.port in usual for li in own):
            return None
        return _first(usual, (c for n in facts.networks_of(container) for c in facts.members(n) if c is not container), facts)
    named = _holder(facts, host) if is_address(host) else meant(facts, host, container)
    if named is not None and not named.state.running:
        return next(iter((*usual, *(port for port, protocol in named.exposed if protocol == "tcp"))), None)
    if named is not None:
        bound = facts.listeners(named, "tcp") or ()
        listening = sorted({li.port for li in bound if not is_loopback(li.address)})
        if not listening:  # what listens to itself alone is what was meant, if it is the usual port
            return next((port for port in usual if any(li.port == port for li in bound)), None)
        return next((port for port in (*usual, *listening) if port in listening), None)
    if is_address(host):
        network = facts.network_containing(host)
        return None if network is None or facts.is_own(host) else _first(usual, facts.members(network), facts)
    unmapped = ("." not in host or host in HOST_NAMES) and not any(hosts_addresses(container, host))
    return next(iter(usual), None) if unmapped else None


def _first(ports: tuple[int, ...], containers: Iterable[Container], facts: HostFacts) -> int | None:
    """The first of the ports that one of the containers listens on."""
    served = {li.port for container in containers for li in facts.listeners(container, "tcp") or ()}
    return next((port for port in ports if port in served), None)


def _holder(facts: HostFacts, address: str) -> Container | None:
    found = facts.holder(address)
    return found[0] if found else None
