"""By the ports that a container publishes, or by its own address where the host can."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.facts.links import ON_PARENT
from dockernet_doctor.diagnosis.facts.listeners import best_listener, binds, is_docker_proxy, mapping_text
from dockernet_doctor.diagnosis.path import NoNetwork, NotPublished, Obstacle, PublishedElsewhere, PublishedInVain
from dockernet_doctor.diagnosis.paths.destination.by_mesh import by_mesh, service_of
from dockernet_doctor.diagnosis.paths.destination.model import Dial
from dockernet_doctor.diagnosis.paths.destination.target import (
    MAX_PORTS,
    no_port,
    no_such_container,
    ports_of,
    running_text,
    stopped_before,
)
from dockernet_doctor.diagnosis.question import Target
from dockernet_doctor.notation import is_loopback
from dockernet_doctor.snapshot.model import Container, Network, Protocol, PublishedPort


def published_or_direct(
    base: Dial, facts: HostFacts, container: Container | None, target: Target, *, outside: bool
) -> Iterator[Dial]:
    meshed = container is None or any(n.ingress for n in facts.networks_of(container))
    service = service_of(facts, target.name, container) if meshed else None
    if service is not None and (container is None or container.state.running):
        yield from by_mesh(base, facts, service, target)
        return
    if container is None:
        yield no_such_container(base, facts, target.name)
        return
    named = replace(base, target=container, not_applicable=frozenset({"name"}))
    if stopped := stopped_before(named, container):
        yield stopped
        return
    if facts.in_host_mode(container):
        yield from _host_mode(named, facts, container, target, outside=outside)
        return
    owner = facts.namespace_owner(container) or container
    for way in _ways(facts, container, owner, target, outside=outside):
        yield from _by_way(named, facts, container, owner, way, outside=outside)


class Way(Struct, frozen=True, kw_only=True):
    """A port of the container and the mappings that lead to it; port 0: none is known."""

    port: int
    protocol: Protocol
    mappings: tuple[PublishedPort, ...] = ()
    note: str = ""
    whole: bool = False  # no port was asked for


def _ways(facts: HostFacts, container: Container, owner: Container, target: Target, *, outside: bool) -> Iterator[Way]:
    """The way to the port asked, else to each of the published, the listening or the exposed ones.

    `owner` is the container whose network namespace it is: ports are published there.
    """
    if target.port is None:
        yield from _ways_to_all(facts, container, owner, target)
        return
    port, protocol = target.port, target.protocol
    of_protocol = tuple(p for p in owner.ports if p.protocol == protocol)
    if direct := tuple(p for p in of_protocol if p.port == port):
        yield Way(port=port, protocol=protocol, mappings=direct)
        return
    listening = {li.port for li in facts.listeners(container, protocol) or () if not is_loopback(li.address)}
    taken_as = f"{port} is a published host port of {container.name}: taken as that"
    by_host_port = tuple(p for p in of_protocol if p.host_port == port)
    if by_host_port and not (port in listening and not outside):
        yield Way(port=by_host_port[0].port, protocol=protocol, mappings=by_host_port, note=taken_as)
        return
    in_vain = [b for b in owner.bindings if b.protocol == protocol and b.host_port == str(port)]
    if in_vain and not of_protocol and port not in listening:
        yield Way(port=in_vain[0].port, protocol=protocol, note=taken_as)
        return
    dead = tuple(p for p in of_protocol if p.port not in listening)
    if outside and port in listening and dead and len(dead) == len(of_protocol):
        note = f"{port} is not published; the port of {container.name} that is published, {dead[0].port}, was taken"
        yield Way(port=dead[0].port, protocol=protocol, mappings=tuple(p for p in dead if p.port == dead[0].port), note=note)
        return
    yield Way(port=port, protocol=protocol)


def _ways_to_all(facts: HostFacts, container: Container, owner: Container, target: Target) -> Iterator[Way]:
    wanted = ("udp",) if target.protocol == "udp" else ("tcp", "udp", "sctp")
    published = dict.fromkeys((p.port, p.protocol) for p in owner.ports if p.protocol in wanted)
    bound = dict.fromkeys((b.port, b.protocol) for b in owner.bindings if b.protocol in wanted)
    for port, protocol in list(published or bound)[:MAX_PORTS]:
        mappings = tuple(p for p in owner.ports if (p.port, p.protocol) == (port, protocol))
        yield Way(port=port, protocol=protocol, mappings=mappings, whole=True)
    if not published and not bound:
        for number in ports_of(facts, container, target):
            yield Way(port=number or 0, protocol=target.protocol, whole=True)


def _by_way(base: Dial, facts: HostFacts, container: Container, owner: Container, way: Way, *, outside: bool) -> Iterator[Dial]:
    running = running_text(container)
    more = replace(base, container_port=way.port or None, note=way.note, protocol=way.protocol)
    if way.mappings:
        text = ", ".join(mapping_text(p) for p in way.mappings)
        more = replace(more, published=way.mappings[0], predicted={**running, "publish": text})
        chosen = _dialled(facts, container, way.mappings, outside=outside)
        for mapping, address in chosen:
            yield replace(more, published=mapping, address=address, port=mapping.host_port)
        if outside and chosen and _routed(facts, container) and all(":" in address for _m, address in chosen):
            yield unpublished(more, container, owner, way, in_vain=True)  # by IPv4
        if not chosen:
            nowhere = PublishedElsewhere(container=owner, published=way.mappings, dialled="", proven=True)
            yield replace(more, hop="publish", obstacle=nowhere)
        return
    in_vain = any(b.protocol == way.protocol and (not way.port or b.port == way.port) for b in owner.bindings)
    on_parent = [n for n in facts.networks_of(container) if n.driver in ON_PARENT]
    if on_parent and not way.note:
        yield _direct(more, facts, container, way.port, running)  # it is on the wire itself
    elif any(n.ingress for n in facts.networks_of(container)):
        yield replace(more, unknown=("publish", f"{container.name} is published by Swarm's routing mesh"))
    elif outside or (in_vain and (way.whole or way.note or not owner.endpoints)):
        yield unpublished(more, container, owner, way, in_vain=in_vain)
    elif all(_gateway_mode(n) == "isolated" for n in facts.networks_of(container)) and owner.endpoints:
        yield unpublished(more, container, owner, way, in_vain=True)  # the host has no address there
    elif owner.endpoints and all(n.driver == "overlay" for n in facts.networks_of(container)):
        yield unpublished(more, container, owner, way, in_vain=False)  # nor there: its bridge is in a namespace of its own
    else:
        yield _direct(more, facts, container, way.port, running)


def _routed(facts: HostFacts, container: Container) -> bool:
    """True if the gateway mode of a network of its own makes no host port on IPv4 (engines from 27)."""
    return any(_gateway_mode(network) in ("routed", "isolated") for network in facts.networks_of(container))


def _gateway_mode(network: Network) -> str:
    return network.options.get("com.docker.network.bridge.gateway_mode_ipv4", "nat")


def unpublished(base: Dial, container: Container, owner: Container, way: Way, *, in_vain: bool) -> Dial:
    obstacle: Obstacle = NotPublished(
        container=container,
        port=way.port,
        protocol=way.protocol,
        exposed=(way.port, way.protocol) in container.exposed,
        other_protocol=any(p.port == way.port for p in owner.ports),
        proven=True,
    )
    if in_vain:
        obstacle = PublishedInVain(container=owner, port=way.port, protocol=way.protocol, proven=True)
    text = f"{way.port}/{way.protocol} is not published" if way.port else "no port is published"
    return replace(base, hop="publish", obstacle=obstacle, predicted={**running_text(container), "publish": text})


def _direct(base: Dial, facts: HostFacts, container: Container, port: int, running: dict[str, str]) -> Dial:
    """From the host, to the container's own address."""
    owner = facts.namespace_owner(container)
    endpoints = [e for e in (owner.endpoints if owner else ()) if e.ipv4 or e.ipv6]
    endpoint = next(iter(endpoints), None)
    if endpoint is None:
        return replace(
            base,
            hop="network",
            obstacle=NoNetwork(container=container, proven=True),
            predicted={**running, "network": f"{container.name} has no network"},
        )
    network = facts.network_of(endpoint)
    applicable = frozenset({"name", "publish"})
    return replace(
        base,
        not_applicable=applicable,
        address=endpoint.ipv4 or endpoint.ipv6,
        port=port or None,
        endpoint=endpoint,
        network=network,
        unknown=None if port else no_port(container),
        predicted={**running, "network": network.name if network else endpoint.network},
    )


def _dialled(
    facts: HostFacts, container: Container, mappings: tuple[PublishedPort, ...], *, outside: bool
) -> list[tuple[PublishedPort, str]]:
    """Mappings taken and addresses dialled: from the host 127.0.0.1 where it is bound, from outside an uplink's.

    IPv6 as well where the container has it; else docker-proxy leads both families to the one address.
    """
    loopback = ("127.0.0.1", "::1") if "::1" in facts.own_addresses else ("127.0.0.1",)
    ours = facts.uplink_addresses if outside else loopback
    found = [(mapping, address) for address in ours for mapping in mappings if binds(mapping.host_ip, address)]
    first = {":" in address: (mapping, address) for mapping, address in reversed(found)}
    if first:
        both = any(endpoint.ipv6 for endpoint in facts.endpoints(container)) and (outside or _proxied6(facts, mappings[0]))
        return [first[six] for six in (False, True) if six in first][: None if both else 1]
    if not outside and (facts.stack is None or facts.is_own(mappings[0].host_ip)):
        return [(mappings[0], mappings[0].host_ip)]
    if facts.stack is None:
        return [(mapping, mapping.host_ip) for mapping in mappings if not is_loopback(mapping.host_ip)][:1]
    return []


def _proxied6(facts: HostFacts, mapping: PublishedPort) -> bool:
    """True if docker-proxy takes what the host sends to ::1: the kernel translates none of that (no route_localnet there)."""
    listeners = facts.stack.listeners if facts.stack else None
    taker = best_listener(listeners, "::1", mapping.host_port, mapping.protocol)
    return taker is not None and taker.process is not None and is_docker_proxy(taker.process)


def _host_mode(base: Dial, facts: HostFacts, container: Container, target: Target, *, outside: bool) -> Iterator[Dial]:
    address = next(iter(facts.uplink_addresses), None) if outside else "127.0.0.1"
    exposed = [port for port, protocol in container.exposed if protocol == target.protocol]
    ports = [target.port] if target.port else _listened_by(facts, container, target.protocol) or exposed
    for port in ports[:MAX_PORTS] or (None,):
        yield replace(
            base,
            address=address,
            port=port,
            container_port=port,
            unknown=None if port and address else ("listener", "say which port: host mode shares the host's listeners"),
            predicted={**running_text(container), "network": "RootlessKit's own" if facts.apart else "the host's own"},
        )


def _listened_by(facts: HostFacts, container: Container, protocol: Protocol) -> list[int]:
    """Ports of the host's listeners that are known to be the container's."""
    listeners = facts.listeners(container, protocol) or ()
    return sorted({li.port for li in listeners if li.process and li.process.container == container.id})
