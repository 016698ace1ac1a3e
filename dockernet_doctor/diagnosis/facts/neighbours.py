"""Whom a container means that dials its own loopback: `localhost` in a container is that container (article rule 1)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import get_args

from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.facts.listeners import listeners_on
from dockernet_doctor.diagnosis.path import NothingListens, Path
from dockernet_doctor.notation import is_loopback
from dockernet_doctor.regex import regex
from dockernet_doctor.snapshot.model import Container, Listener, Protocol, Reference

# What usually serves a port, as images and containers are called.
SERVICES = {
    53: ("dns", "unbound", "coredns", "pihole"),
    389: ("ldap",),
    1433: ("mssql", "sqlserver"),
    1521: ("oracle",),
    1883: ("mqtt", "mosquitto"),
    2181: ("zookeeper",),
    2379: ("etcd",),
    3306: ("mysql", "mariadb", "percona"),
    4222: ("nats",),
    5432: ("postgres", "postgis", "timescale", "pgbouncer", "pgvector"),
    5672: ("rabbit",),
    5984: ("couch",),
    6379: ("redis", "valkey", "keydb", "dragonfly"),
    8086: ("influx",),
    8123: ("clickhouse",),
    8500: ("consul",),
    9000: ("minio", "clickhouse", "fpm"),
    9042: ("cassandra", "scylla"),
    9092: ("kafka", "redpanda"),
    9200: ("elastic", "opensearch"),
    11211: ("memcache",),
    26257: ("cockroach",),
    27017: ("mongo",),
}
# By word of a key. DNS_HOST is a server of names and has no service beside it; what else listens on 9000 is many things.
_USUAL = {word: port for port, words in SERVICES.items() if port not in (53, 9000) for word in words} | {"pg": 5432}
_DATABASES = (5432, 3306, 27017, 1433, 1521)
_ADDRESS = regex(r"(?:host|hostname|addr|address|server|servers|hosts|url|uri|endpoint|brokers?)$")
_OF_THE_WEB = ("", "http", "https", "ws", "wss")
_PROXY = re.compile(r"(?:^|[/_-])(nginx|nginx-proxy|openresty|traefik|haproxy|caddy|envoy|httpd|apache2?)(?:$|[:/@_.-])")


def reverse_proxy(container: Container) -> str:
    """`nginx`, `traefik`, …; "" for what is no reverse proxy by its image's name."""
    found = _PROXY.search(container.image.lower())
    return found[1] if found else ""


def neighbours(facts: HostFacts, source: Container, port: int, protocol: Protocol = "tcp") -> list[Container]:
    """Other containers that serve the port, or are known for it and do not run: the likeliest first.

    What another project serves on networks of its own, at a port that does not tell a service, is nobody's neighbour.
    """
    return [entry[3] for entry in sorted(_ranked(facts, source, port, protocol), key=lambda entry: entry[:3])]


def _ranked(facts: HostFacts, source: Container, port: int, protocol: Protocol) -> Iterator[tuple[int, bool, str, Container]]:
    home = facts.namespace_owner(source)
    for container, rank in _likely(facts, port, protocol):
        if container is source or (home is not None and facts.namespace_owner(container) is home):
            continue
        shares = bool(facts.common_networks(source, container))
        if shares or port in SERVICES or _is_of_project(source, container) or _is_published_at(container, port, protocol):
            yield rank, not shares, container.name, container


@lru_cache(maxsize=4096)
def _likely(facts: HostFacts, port: int, protocol: Protocol) -> tuple[tuple[Container, int], ...]:
    """Containers that may be meant by the port, each with its likeness, whoever asks."""
    found = facts.containers if port in SERVICES else _with_port(facts).get(port, {}).values()
    ranked = ((c, _likeness(facts, c, port, protocol)) for c in found if c.network_mode != "host")
    return tuple((container, rank) for container, rank in ranked if rank is not None)


@lru_cache(maxsize=16)
def _with_port(facts: HostFacts) -> dict[int, dict[str, Container]]:
    """Containers, by id, that have to do with a port of any protocol: they listen on it, expose or publish it."""
    found: dict[int, dict[str, Container]] = {}
    for container in facts.containers:
        ports = {listener.port for listener in facts.listeners(container) or ()} | {port for port, _ in container.exposed}
        ports |= {port for p in container.ports for port in (p.port, p.host_port)} | {b.port for b in container.bindings}
        ports |= {int(b.host_port) for b in container.bindings if b.host_port.isdecimal()}
        for port in ports:
            found.setdefault(port, {})[container.id] = container
    return found


def _is_of_project(source: Container, container: Container) -> bool:
    return source.compose is not None and container.compose is not None and source.compose.project == container.compose.project


def _is_published_at(container: Container, port: int, protocol: Protocol) -> bool:
    """True if the host has it at that port, or would where the container ran."""
    if container.state.running:
        return any(p.host_port == port and p.protocol == protocol for p in container.ports)
    return any(b.host_port == str(port) and b.protocol == protocol for b in container.bindings)


def _likeness(facts: HostFacts, container: Container, port: int, protocol: Protocol) -> int | None:
    if any(li.port == port and li.protocol == protocol for li in facts.listeners(container) or ()):
        return 0
    published = _is_published_at(container, port, protocol)
    if published and container.state.running:
        return 1
    text = f"{container.name} {container.image} {container.compose.service if container.compose else ''}".lower()
    exposed = (port, protocol) in container.exposed or any(b.port == port for b in container.bindings)
    if exposed or any(re.search(rf"\b{word}|{word}\b", text) for word in SERVICES.get(port, ())):
        return 2 if container.state.running else 3
    return 3 if published else None


def usual_ports(key: str) -> tuple[int, ...]:
    """The ports of the service that a setting's key speaks of (PGHOST, REDIS_HOST, DB_HOST), likeliest first; () for most."""
    words = [_ADDRESS.sub("", word) for word in re.split(r"[^a-z0-9]+", key.lower())]
    ports = [
        port for word in words for name, port in _USUAL.items() if word == name or (name != "pg" and word.startswith(name))
    ]
    return tuple(dict.fromkeys((*ports, *(_DATABASES if {"db", "database"} & {*words} else ()))))


def host_listener(facts: HostFacts, port: int, protocol: Protocol = "tcp") -> Listener | None:
    """What of the host itself, not of Docker, listens on the port."""
    if any(facts.published_on(port, kind) for kind in get_args(Protocol)):
        return None
    listeners = (facts.stack.listeners if facts.stack else None) or ()
    return next(iter(listeners_on(listeners, port, protocol)), None)


def means_neighbour(facts: HostFacts, path: Path) -> bool:
    """True if a path that ends at nothing on the source's own loopback was meant for somebody else.

    So where another container or the host serves that port, or is known for it, and where the setting is one of a service that
    nobody runs inside (postgres://localhost). Never for a health check, which means the container itself.
    """
    obstacle, source = path.obstacle, path.source
    if not isinstance(obstacle, NothingListens) or source is None or obstacle.container is None:
        return False
    if source.network_mode == "host" or obstacle.elsewhere or not is_loopback(path.destination.address):
        return False
    reference = path.question.reference
    if reference is not None and reference.where == "health check":
        return False
    return is_elsewhere(facts, source, reference, obstacle.port, obstacle.protocol)


def dials_stale_address(facts: HostFacts, path: Path) -> bool:
    """True if a container dials a written address whose holder does not serve the port: it was somebody else's once.

    A typed address counts only where another container of that network serves the port; a static one (`--ip`) so, and where
    the port tells the service: whoever knows that address may have mistaken the port.
    """
    obstacle, source, address = path.obstacle, path.source, path.destination.address
    if not isinstance(obstacle, NothingListens) or obstacle.container is None or source is None or address is None:
        return False
    holder, network = facts.holder(address), facts.network_containing(address)
    if path.question.target.kind != "address" or obstacle.elsewhere or holder is None or network is None:
        return False
    static = address in (holder[1].requested_ipv4, holder[1].requested_ipv6)
    if obstacle.container is source or (static and obstacle.port not in SERVICES):
        return False
    if any(p.host_port == obstacle.port and p.protocol == obstacle.protocol for p in holder[0].ports):
        return False  # the right one, at the port that only the host knows
    if path.question.reference is not None and not static:
        return True
    return any(
        li.port == obstacle.port and li.protocol == obstacle.protocol and not is_loopback(li.address)
        for member in facts.members(network)
        if member is not source
        for li in facts.listeners(member) or ()
    )


def is_elsewhere(
    facts: HostFacts, source: Container, reference: Reference | None, port: int, protocol: Protocol = "tcp"
) -> bool:
    """True if `localhost:port`, where nothing listens in the source, is served elsewhere or known for a service."""
    if any(_ranked(facts, source, port, protocol)):
        return True
    if host_listener(facts, port, protocol) is not None and port not in {p.host_port for p in source.ports}:
        return True
    if protocol == "udp":
        return False  # a datagram that nobody takes, as of metrics and logs: nobody waits for an answer
    return port in SERVICES or (reference is not None and reference.scheme.partition("+")[0] not in _OF_THE_WEB)
