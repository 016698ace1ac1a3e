"""The servers behind a container's names: which are asked, from where, and who told it so."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import NamedTuple

from dockernet_doctor.plugin import Case, HostFacts, Probe, daemon, model, names

ANY_NAME = "probe.invalid"  # RFC 6761: never exists, so that every answer is one


class Server(NamedTuple):
    address: str
    by_host: bool  # asked from the host's namespace


def servers_of(facts: HostFacts, container: model.Container) -> tuple[Server, ...]:
    """The servers that answer for names beyond Docker's, in the order in which they are asked.

    "ExtServers: [host(10.0.0.2)]" is asked from the host's namespace, "[10.0.0.2]" from the container's. Engines before 25
    leave no such comment: there the options decide, then the host's own file.
    """
    conf = names.resolv_conf(facts, container)
    if conf is None:
        return ()
    if names.EMBEDDED not in conf.nameservers:
        return tuple(Server(a, container.network_mode == "host") for a in conf.nameservers)
    if conf.ext_servers:
        return tuple(Server(text.removeprefix("host(").rstrip(")"), text.startswith("host(")) for text in conf.ext_servers)
    told = container.dns or daemon_dns(facts)
    if told:
        return tuple(Server(a, by_host=False) for a in told)
    host = facts.host.resolv_conf if facts.host else None
    return tuple(Server(a, is_loopback(a)) for a in (host.nameservers if host else ()))


def daemon_dns(facts: HostFacts) -> tuple[str, ...]:
    said = daemon.option(facts, "dns")
    return tuple(said.values) if said else ()


def told_by(facts: HostFacts, container: model.Container) -> str:
    """Who chose the servers: the container's own option, the daemon's, or the host's file."""
    return "container" if container.dns else "daemon" if daemon_dns(facts) else "host"


def probe_of(case: Case, facts: HostFacts, container: model.Container, server: Server) -> Probe:
    vantage = case.vantage(facts, None if server.by_host else container)
    return Probe(kind="dns", vantage=vantage, address=server.address, port=53, name=ANY_NAME)


def askers(facts: HostFacts) -> Iterator[tuple[model.Container, Server]]:
    """Each server once for each network it is asked from, by the first container there (64 at most)."""
    seen: set[tuple[Server, str]] = set()
    for container in facts.running:
        if container.sandbox is None or container.state.paused or facts.namespace_lost(container):
            continue
        networks = facts.networks_of(container)
        if not networks or all(n.internal or n.driver == "null" for n in networks):
            continue  # no way out, by design
        for server in servers_of(facts, container):
            key = (server, "" if server.by_host else networks[0].id)
            if key not in seen and is_unicast(server.address) and len(seen) < 64:
                seen.add(key)
                yield container, server


def is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"


def is_unicast(address: str) -> bool:
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return not ip.is_unspecified and not ip.is_multicast and not ip.is_link_local
