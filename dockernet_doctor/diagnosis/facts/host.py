"""One snapshot, indexed for the questions that a diagnosis asks of it. No I/O, no judgement."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import cached_property

from dockernet_doctor.moments import moment
from dockernet_doctor.netfilter.dumps import rulesets_of
from dockernet_doctor.netfilter.evaluate import locality
from dockernet_doctor.netfilter.ipset import parse_ipset_save
from dockernet_doctor.netfilter.model import Locality, NamedSet, Ruleset
from dockernet_doctor.netfilter.terms import address_number, network_bits
from dockernet_doctor.notation import is_loopback
from dockernet_doctor.once import once_for_each
from dockernet_doctor.snapshot.model import (
    Container,
    Endpoint,
    FirewallDump,
    Host,
    Link,
    Listener,
    Network,
    NetworkStack,
    PortBinding,
    Protocol,
    PublishedPort,
    Snapshot,
)

PREDEFINED = ("bridge", "host", "none")


class HostFacts:
    """What is known about one host, by name, id and address. Everything is computed once and only when asked."""

    def __init__(self, snapshot: Snapshot, *, alone: bool = True) -> None:
        self.snapshot = snapshot
        self._alone = alone  # False where several hosts are read together

    @property
    def name(self) -> str:
        return self.snapshot.name

    @property
    def here(self) -> str:
        """The host in a sentence: "this host"; its name where several are read together."""
        return "this host" if self._alone else self.name

    @property
    def generation(self) -> tuple[int, int]:
        """(major, minor) of the engine; (0, 0) where it did not answer."""
        return self.snapshot.engine.generation if self.snapshot.engine else (0, 0)

    @property
    def host(self) -> Host | None:
        return self.snapshot.host

    @property
    def apart(self) -> bool:
        """True if the daemon is rootless: its networks are not in the host's namespace but RootlessKit's, which is not read."""
        return self.snapshot.engine is not None and self.snapshot.engine.rootless

    @property
    def of_podman(self) -> bool:
        """True where the socket is Podman's: its networks, names and rules are not Docker's."""
        return self.snapshot.engine is not None and self.snapshot.engine.podman

    @cached_property
    def stack(self) -> NetworkStack | None:
        """The network stack that the daemon's networks are part of, the host's own; None where it could not be read."""
        return None if self.apart else self.machine

    @cached_property
    def machine(self) -> NetworkStack | None:
        """The host's own network stack, on which ports are published, also those of a daemon that is `apart`."""
        return self.snapshot.host.stack if self.snapshot.host else None

    # --- containers

    @property
    def containers(self) -> tuple[Container, ...]:
        return self.snapshot.containers

    @cached_property
    def running(self) -> tuple[Container, ...]:
        return tuple(c for c in self.snapshot.containers if c.state.running)

    def just_started(self, container: Container, *, within: int = 10) -> bool:
        """True if it runs since less than ten seconds (moby: those are a success): what it does next was not read."""
        state = container.state
        if not (state.running and state.started_at):
            return False
        started, taken = (moment(t[:19] + "+00:00") for t in (state.started_at, self.snapshot.taken_at))
        return taken - started < timedelta(seconds=within)

    def keeps_ending(self, container: Container) -> bool:
        """True if the daemon starts it again and again: it was read between two deaths, or while it was being started."""
        state = container.state
        return state.restarting or (state.restart_count > 0 and self.just_started(container))

    def unsettled(self, container: Container) -> bool:
        """True if it may have been between two lives when its links or rules were read, the first one among them."""
        restarts = container.restart_policy not in ("", "no")
        return self.keeps_ending(container) or (restarts and self.coming_up(container))

    def coming_up(self, container: Container) -> bool:
        """True if it runs since so short a time that two of its parts may have been read before and after it came."""
        return self.just_started(container, within=3)

    def set_aside(self, container: Container) -> bool:
        """True if another is in its place: it was made anew by a fix of ours and stays as NAME-before (see recreate), or is a
        task that Swarm has replaced, on this node or another."""
        if container.swarm and not container.state.running:
            return self._is_past(container)
        name, before, number = container.name.rpartition("-before")
        aside = bool(before) and (not number or number[1:].isdecimal())
        return aside and not container.state.running and container.restart_policy == "no" and name in self._by_name

    def spoken(self, container: Container) -> str:
        """The container in a sentence that may be about one in whose place Swarm has put another."""
        return f"an earlier {container}" if container.swarm and self.set_aside(container) else str(container)

    def _is_past(self, task: Container) -> bool:
        """Swarm tries a place (`web.1`) again every few seconds: only the last that could not start tells of something now."""
        place = task.name.rpartition(".")[0]
        replaced = any(c.swarm and c.created > task.created and c.name.rpartition(".")[0] == place for c in self.containers)
        lately = moment(self.snapshot.taken_at) - timedelta(minutes=2)
        return replaced or not task.state.error or task.created[:19] < lately.isoformat()

    @cached_property
    def _by_name(self) -> dict[str, Container]:
        return {c.name: c for c in self.snapshot.containers}

    @cached_property
    def _by_id(self) -> dict[str, Container]:
        return {c.id: c for c in self.snapshot.containers}

    def unread(self, name: str) -> bool:
        """True if the daemon lists a container of this name, and did not show it: a blind spot, not a name that nobody has."""
        return any(spot.area == "engine" and spot.what == f"the container {name}" for spot in self.snapshot.blind_spots)

    def container(self, reference: str) -> Container | None:
        """By name, full id or unambiguous id prefix, as the engine takes it."""
        reference = reference.lstrip("/")
        if found := self._by_name.get(reference) or self._by_id.get(reference):
            return found
        if not reference or any(c not in "0123456789abcdef" for c in reference):
            return None
        matching = [c for c in self.snapshot.containers if c.id.startswith(reference)]
        return matching[0] if len(matching) == 1 else None

    def called(self, name: str) -> tuple[Container, ...]:
        """Containers that somebody may call by this lower-case name, whether or not it resolves anywhere."""
        return tuple(self._called.get(name, ()))

    @cached_property
    def _called(self) -> dict[str, list[Container]]:
        found: dict[str, list[Container]] = {}
        lent = {self.host.hostname if self.host else "", self.snapshot.engine.name if self.snapshot.engine else ""}
        for container in self.snapshot.containers:
            names = {container.name, container.id, container.id[:12]}
            if container.hostname not in lent:  # in mode host the host's own name is lent to the container
                names.add(container.hostname)
                if container.domainname:
                    names.add(f"{container.hostname}.{container.domainname}")
            if container.compose:
                names.add(container.compose.service)
            if container.swarm:
                names.add(container.swarm.service)
            for endpoint in container.endpoints:
                own = {*endpoint.aliases, *(endpoint.dns_names or ())}
                names |= own | {f"{n}.{endpoint.network}" for n in {container.name, *own}}
            for name in {n.lower() for n in names if n}:
                found.setdefault(name, []).append(container)
        return found

    def namespace_owner(self, container: Container) -> Container | None:
        """The container whose network `container` lives in: itself, or X of `--network container:X`; None if gone."""
        if not container.network_mode.startswith("container:"):
            return container
        seen = {container.id}
        while container.network_mode.startswith("container:"):
            owner = self.container(container.network_mode.removeprefix("container:"))
            if owner is None or owner.id in seen:
                return None
            seen.add(owner.id)
            container = owner
        return container

    @cached_property
    def sharing(self) -> dict[str, list[Container]]:
        """The running containers of mode container:X, by the id of the container whose network they live in."""
        found: dict[str, list[Container]] = {}
        for container in self.running:
            if container.network_mode.startswith("container:") and (owner := self.namespace_owner(container)):
                found.setdefault(owner.id, []).append(container)
        return found

    def in_host_mode(self, container: Container) -> bool:
        """True if its network is the host's: in mode host itself, or by sharing that of one which is."""
        owner = self.namespace_owner(container)
        return owner is not None and owner.network_mode == "host"

    def namespace_lost(self, container: Container) -> bool:
        """True if the namespace that `--network container:X` shares is not X's any more, which leaves `lo` alone there.

        So where X is gone, does not run, or was started anew; by the namespaces where they could be read, else by the times.
        """
        if not container.network_mode.startswith("container:") or not container.state.running:
            return False
        owner = self.container(container.network_mode.removeprefix("container:"))
        if owner is None or not owner.state.running:
            return self.snapshot.engine is not None
        if container.sandbox and owner.sandbox:
            return container.sandbox.namespace != owner.sandbox.namespace
        return owner.state.started_at > container.state.started_at

    def stack_of(self, container: Container) -> NetworkStack | None:
        """The stack that the container's processes see: its sandbox's, or the host's in mode host."""
        if self.in_host_mode(container) and not self.apart:
            return self.stack
        return container.sandbox.stack if container.sandbox else None

    def listeners(self, container: Container, protocol: Protocol | None = None) -> tuple[Listener, ...] | None:
        """What listens in the container; None where that could not be read. Docker's own DNS on 127.0.0.11 is left out."""
        stack = self.stack_of(container)
        if stack is None or stack.listeners is None:
            return None
        return tuple(
            listener
            for listener in stack.listeners
            if protocol in (None, listener.protocol) and listener.address != "127.0.0.11"
        )

    def published_on(self, port: int, protocol: Protocol) -> Sequence[tuple[Container, PublishedPort]]:
        """What running containers publish on this port of the host, at whatever address."""
        return self._published.get((port, protocol), ())

    @cached_property
    def _published(self) -> dict[tuple[int, Protocol], list[tuple[Container, PublishedPort]]]:
        found: dict[tuple[int, Protocol], list[tuple[Container, PublishedPort]]] = {}
        for container in self.running:
            for mapping in container.ports:
                found.setdefault((mapping.host_port, mapping.protocol), []).append((container, mapping))
        return found

    @cached_property
    def has_proxies(self) -> bool:
        """True if something listens on the host at a port that is published, whichever."""
        published = {port for port, _ in self._published}
        return any(listener.port in published for listener in (self.stack.listeners or () if self.stack else ()))

    def asking_for(self, port: int, protocol: Protocol) -> Sequence[tuple[Container, PortBinding]]:
        """The bindings of this port of the host that containers were made with, whether they run or not."""
        return self._asking.get((str(port), protocol), ())

    @cached_property
    def _asking(self) -> dict[tuple[str, Protocol], list[tuple[Container, PortBinding]]]:
        found: dict[tuple[str, Protocol], list[tuple[Container, PortBinding]]] = {}
        for container in self.containers:
            for binding in container.bindings:
                found.setdefault((binding.host_port, binding.protocol), []).append((container, binding))
        return found

    @cached_property
    def asked_addresses(self) -> frozenset[str]:
        """The addresses of the host that bindings name."""
        return frozenset(binding.host_ip for container in self.containers for binding in container.bindings)

    def reserving(self, address: str) -> Sequence[Container]:
        """The containers that were made with this address of theirs."""
        return self._reserving.get(address, ())

    @cached_property
    def _reserving(self) -> dict[str, list[Container]]:
        found: dict[str, list[Container]] = {}
        for container in self.containers:
            for address in {a for e in container.endpoints for a in (e.requested_ipv4, e.requested_ipv6) if a}:
                found.setdefault(address, []).append(container)
        return found

    # --- networks

    @cached_property
    def networks(self) -> dict[str, Network]:
        """By name; of two equal names the last."""
        return {n.name: n for n in self.snapshot.networks}

    @cached_property
    def _network_by_id(self) -> dict[str, Network]:
        return {n.id: n for n in self.snapshot.networks}

    @property
    def network_ids(self) -> Collection[str]:
        return self._network_by_id.keys()

    def network_with_id(self, identity: str) -> Network | None:
        return self._network_by_id.get(identity)

    def network_of(self, endpoint: Endpoint) -> Network | None:
        return self._network_by_id.get(endpoint.network_id) or self.networks.get(endpoint.network)

    def networks_of(self, container: Container) -> tuple[Network, ...]:
        """The networks of the container's namespace."""
        owner = self.namespace_owner(container)
        if owner is None:
            return ()
        return tuple(n for e in owner.endpoints if (n := self.network_of(e)))

    def endpoints(self, container: Container) -> tuple[Endpoint, ...]:
        """Endpoints of the container's namespace."""
        owner = self.namespace_owner(container)
        return owner.endpoints if owner else ()

    def way_out_of_overlays(self, container: Container) -> Endpoint | None:
        """Its endpoint on `docker_gwbridge`, by which members of overlay networks are published; no inspection lists it."""
        network = self.networks.get("docker_gwbridge")
        if network is None or container.sandbox is None:
            return None
        if not any((n := self.network_of(e)) and n.driver == "overlay" for e in container.endpoints):
            return None
        addresses = (a.address for a in container.sandbox.stack.addresses if self.network_containing(a.address) is network)
        return next((Endpoint(network=network.name, network_id=network.id, ipv4=a) for a in addresses), None)

    def common_networks(self, one: Container, other: Container) -> tuple[Network, ...]:
        """Networks on which both have an endpoint; `host` and `none` connect nobody."""
        theirs = {n.id for n in self.networks_of(other)}
        return tuple(n for n in self.networks_of(one) if n.id in theirs and n.driver not in ("host", "null"))

    def members(self, network: Network) -> tuple[Container, ...]:
        """Containers of this host with an endpoint on the network, running or not."""
        return tuple(self._members.get(id(network), ()))

    @cached_property
    def _members(self) -> dict[int, list[Container]]:
        """By the identity of the network: of two with equal names each has its own."""
        found: dict[int, list[Container]] = {}
        for container in self.snapshot.containers:
            for key in {id(self.network_of(endpoint)) for endpoint in container.endpoints}:
                found.setdefault(key, []).append(container)
        return found

    @cached_property
    def has_isolated_ports(self) -> bool:
        """True if some port of a bridge of this host is isolated."""
        return self.stack is not None and any(link.isolated for link in self.stack.links)

    def held_elsewhere(self, network: Network, address: str) -> bool:
        """True if the daemon lists a member of the overlay network that has the address: another host's container may."""
        return network.driver == "overlay" and any(member.ipv4 == address for member in network.members)

    def bridge(self, network: Network) -> Link | None:
        """The network's Linux bridge, where it is there."""
        return self.link(network.bridge) if network.bridge else None

    @cached_property
    def bridges(self) -> dict[str, Network]:
        """Linux bridge name → Docker network."""
        return {n.bridge: n for n in self.snapshot.networks if n.bridge}

    # --- addresses

    @cached_property
    def _by_address(self) -> dict[str, tuple[Container, Endpoint]]:
        found: dict[str, tuple[Container, Endpoint]] = {}
        for container in self.snapshot.containers:
            if not container.state.running:
                continue
            way = self.way_out_of_overlays(container)
            for endpoint in (*container.endpoints, *([way] if way else [])):
                for address in (endpoint.ipv4, endpoint.ipv6):
                    if address:
                        found.setdefault(address, (container, endpoint))
        return found

    def holder(self, address: str) -> tuple[Container, Endpoint] | None:
        """The running container that has this address, and the endpoint that gives it."""
        return self._by_address.get(address)

    @cached_property
    def _subnets(self) -> list[tuple[int, int, bool, Network]]:
        """Value, mask and whether it is IPv6; the longest prefix first."""
        found = []
        for network in self.snapshot.networks:
            for subnet in network.subnets:
                with suppress(ValueError):
                    found.append((*network_bits(subnet.subnet), ":" in subnet.subnet, network))
        return sorted(found, key=lambda entry: -entry[1].bit_count())

    def network_containing(self, address: str) -> Network | None:
        """The Docker network whose subnet holds the address; the longest prefix wins."""
        if address not in self._containing:
            self._containing[address] = self._network_containing(address)
        return self._containing[address]

    @cached_property
    def _containing(self) -> dict[str, Network | None]:
        return {}

    def _network_containing(self, address: str) -> Network | None:
        try:
            number, six = address_number(address), ":" in address
        except ValueError:
            return None
        return next((n for value, mask, is_six, n in self._subnets if number & mask == value and six == is_six), None)

    @cached_property
    def own_addresses(self) -> frozenset[str]:
        """All addresses of the host itself, loopback and bridges included."""
        return frozenset(a.address for a in self.machine.addresses) if self.machine else frozenset()

    @cached_property
    def locality(self) -> Locality:
        """What the host's own routing says an address is: its own, a broadcast of one of its subnets, or neither."""
        subnets = (a for a in (self.machine.addresses if self.machine else ()) if a.family == 4)
        nets = (ipaddress.IPv4Network(f"{a.address}/{a.prefix}", strict=False) for a in subnets)
        return locality(self.own_addresses, [str(net.broadcast_address) for net in nets])

    def is_own(self, address: str) -> bool:
        """True if the host itself holds the address (all of 127.0.0.0/8 does)."""
        return address in self.own_addresses or is_loopback(address)

    @cached_property
    def uplink_addresses(self) -> tuple[str, ...]:
        """Global addresses of the host on links that are not Docker's, IPv4 first: how other machines know it."""
        if not self.machine:
            return ()
        docker = set(self.bridges) | {"lo"}
        ports = {link.name for link in self.machine.links if link.master}
        return tuple(
            a.address
            for family in (4, 6)
            for a in self.machine.addresses
            if a.family == family and a.scope == "global" and a.link not in docker and a.link not in ports
        )

    # --- links, firewall

    @cached_property
    def _links(self) -> dict[str, Link]:
        return {link.name: link for link in self.stack.links} if self.stack else {}

    def link(self, name: str | None) -> Link | None:
        return self._links.get(name) if name else None

    def host_side(self, link: Link) -> Link | None:
        """The veth of the host that is the other end of `link` of the container's sandbox."""
        return self._veths.get(link.peer_index) if link.peer_index is not None else None

    @cached_property
    def _veths(self) -> dict[int, Link]:
        return {link.index: link for link in (self.stack.links if self.stack else ()) if link.kind == "veth"}

    def sandbox_link(self, container: Container, endpoint: Endpoint) -> Link | None:
        """The interface inside the container that serves the endpoint: by address, else by MAC."""
        sandbox = container.sandbox
        if sandbox is None:
            return None
        key = id(sandbox), id(endpoint)
        if key not in self._sandbox_links:
            names = {a.link for a in sandbox.stack.addresses if a.address in (endpoint.ipv4, endpoint.ipv6)}
            serving = (li for li in sandbox.stack.links if li.name in names or (endpoint.mac and li.mac == endpoint.mac))
            self._sandbox_links[key] = next(serving, None)
        return self._sandbox_links[key]

    @cached_property
    def _sandbox_links(self) -> dict[tuple[int, int], Link | None]:
        """By the identity of a sandbox and an endpoint, both kept alive by the snapshot."""
        return {}

    @cached_property
    def rulesets(self) -> tuple[Ruleset, ...] | None:
        """The host's firewall, parsed; None where it could not be read, or is not understood."""
        found = rulesets(self.stack) if self.stack and self.stack.firewall is not None else None
        return None if found is None or not_understood(found) else found

    def sandbox_rulesets(self, container: Container) -> tuple[Ruleset, ...]:
        """Rules in the container's own namespace; none where they are only those of Docker's DNS, as in most containers."""
        return rulesets_beside_dns(container.sandbox.stack) if container.sandbox else ()

    @cached_property
    def ipsets(self) -> dict[str, NamedSet]:
        dumps = (self.machine.firewall or ()) if self.machine else ()
        return {name: found for d in dumps if d.tool == "ipset" for name, found in parse_ipset_save(d.text).items()}

    def sysctl(self, key: str) -> str | None:
        return self.stack.sysctls.get(key) if self.stack else None


@once_for_each
def rulesets_beside_dns(stack: NetworkStack) -> tuple[Ruleset, ...]:
    """The rulesets of a sandbox; () where it holds nothing but the rules of Docker's DNS."""
    return rulesets(stack) if any(map(_has_rules_beside_dns, stack.firewall or ())) else ()


def _has_rules_beside_dns(dump: FirewallDump) -> bool:
    lines = dump.text.splitlines()
    return dump.tool == "nft" or any("-A " in line and "DOCKER_" not in line for line in lines) or " DROP [" in dump.text


@once_for_each
def rulesets(stack: NetworkStack) -> tuple[Ruleset, ...]:
    """The rulesets of one network namespace."""
    return rulesets_of(stack.firewall or ())


def not_understood(found: Iterable[Ruleset]) -> tuple[str, ...]:
    """What of these rulesets is of another shape than the programs write."""
    return tuple(error for ruleset in found for error in ruleset.errors)
