"""Where packets may go (design, *Bounds and safety*): to what the snapshots hold, and to what the user named."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from ipaddress import ip_address

from dockernet_doctor.probe.model import Answer, Probe
from dockernet_doctor.snapshot import daemon_options
from dockernet_doctor.snapshot.model import (
    ClusterStore,
    Container,
    Daemon,
    Engine,
    Network,
    NetworkStack,
    ResolvConf,
    Service,
    Snapshot,
)


class Permission:
    """Says of each probe whether it may be sent.

    snapshots  hold containers, networks, this host, resolvers, the cluster store, and what settings name
    named      addresses and names that the user wrote on the command line

    Names become addresses when DNS answers (`learn`): any address for a name of the user's, private ones only for a
    name that merely stands in a setting, so that nobody's public service is dialled unasked.
    """

    def __init__(self, snapshots: Iterable[Snapshot], named: Iterable[str] = ()) -> None:
        self._named = frozenset(name.rstrip(".").lower() for name in named)
        self._addresses = {normal for name in self._named if (normal := _normal(name))}
        for snapshot in snapshots:
            self._addresses.update(normal for text in _addresses(snapshot) if (normal := _normal(text)))

    def __call__(self, probe: Probe) -> str:
        """Why the probe may not be sent; "" when it may."""
        address = _normal(probe.address)
        if not address:
            return f"{probe.address!r} is not an address"
        if address in self._addresses or ip_address(address).is_loopback:
            return ""
        return f"{address} is no address of this host, its containers or their settings, and was not asked for"

    def learn(self, answer: Answer) -> None:
        """Take note of what a name resolved to."""
        asked = answer.probe.name.rstrip(".").lower()
        by_user = any(asked == name or asked.startswith(f"{name}.") for name in self._named)
        self._addresses.update(a for a in map(_normal, answer.addresses) if a and (by_user or ip_address(a).is_private))


def _normal(text: str) -> str:
    """As `ipaddress` prints it, without zone; "" for what is no unicast address."""
    try:
        address = ip_address(text.partition("%")[0].partition("/")[0])
    except ValueError:
        return ""
    return "" if address.is_unspecified or address.is_multicast else str(address)


def _addresses(snapshot: Snapshot) -> Iterator[str]:
    for container in snapshot.containers:
        yield from _of_container(container)
    for network in snapshot.networks:
        yield from _of_network(network)
    for service in snapshot.services:
        yield from _of_service(service)
    if host := snapshot.host:
        yield from _of_stack(host.stack)
        yield from _of_resolvers(host.resolv_conf)
        yield from _of_resolvers(host.upstream_resolv_conf)
    yield from _of_daemon(snapshot.daemon)
    if snapshot.engine:
        yield from _of_engine(snapshot.engine)
    if snapshot.store:
        yield from _of_store(snapshot.store)


def _of_container(container: Container) -> Iterator[str]:
    for endpoint in container.endpoints:
        for text in (
            endpoint.ipv4,
            endpoint.ipv6,
            endpoint.ipv4_gateway,
            endpoint.ipv6_gateway,
            endpoint.requested_ipv4,
            endpoint.requested_ipv6,
        ):
            yield text or ""
    yield from (published.host_ip for published in container.ports)
    yield from (binding.host_ip for binding in container.bindings)
    yield from (reference.host for reference in container.references)
    yield from container.dns
    yield from (extra.partition(":")[2].strip("[]") for extra in container.extra_hosts)
    if sandbox := container.sandbox:
        yield from _of_stack(sandbox.stack)
        yield from _of_resolvers(sandbox.resolv_conf)
        yield from (entry.address for entry in sandbox.hosts or ())


def _of_network(network: Network) -> Iterator[str]:
    for subnet in network.subnets:
        yield subnet.gateway or ""
        yield from subnet.auxiliary.values()
    for member in network.members:
        yield member.ipv4 or ""
        yield member.ipv6 or ""
    yield from (address for _, address in network.peers)


def _of_service(service: Service) -> Iterator[str]:
    yield from service.virtual_ips.values()
    yield from (reference.host for reference in service.references)


def _of_stack(stack: NetworkStack) -> Iterator[str]:
    yield from (address.address for address in stack.addresses)
    yield from (route.gateway or "" for route in stack.routes)


def _of_resolvers(resolv_conf: ResolvConf | None) -> Iterator[str]:
    if resolv_conf:
        yield from resolv_conf.nameservers
        # "host(127.0.0.53)": asked from the host's namespace
        yield from (server.removeprefix("host(").rstrip(")") for server in resolv_conf.ext_servers)


def _of_daemon(daemon: Daemon) -> Iterator[str]:
    """Its DNS servers, which Docker asks for the containers: engines up to 20.10 do not write them into their files."""
    said = (daemon_options.running(daemon) or daemon_options.written(daemon)).get("dns")
    if said:
        yield from said.values


def _of_engine(engine: Engine) -> Iterator[str]:
    swarm = engine.swarm
    yield swarm.node_address
    yield from (_host_of(address) for _, address in swarm.remote_managers)
    for node in swarm.node_list:
        yield node.address
        yield _host_of(node.manager_address)
    yield _host_of(engine.cluster_advertise)
    yield from _hosts_in(engine.cluster_store)
    yield from (proxy.host for proxy in engine.proxies)


def _of_store(store: ClusterStore) -> Iterator[str]:
    yield from _hosts_in(store.url)
    for node in store.nodes:
        yield node.address
        yield from (host for url in node.members or () for host in _hosts_in(url))
    yield from (_host_of(host) for host in store.hosts or ())
    for endpoint in store.endpoints or ():
        yield endpoint.address
        yield endpoint.host


def _hosts_in(url: str) -> Iterator[str]:
    """`etcd://10.0.0.1:2379,10.0.0.2:2379/path`"""
    authority = re.sub(r"^\w+://", "", url).partition("/")[0]
    return (_host_of(part) for part in authority.split(","))


def _host_of(text: str) -> str:
    """The host of `HOST:PORT`, `[IPv6]:PORT` or a bare address."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.rpartition(":")[0] if text.count(":") == 1 else text
