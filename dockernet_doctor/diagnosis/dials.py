"""What a question really dials: which address and port, from whom, by which published port (design, *The walk*).

A `Dial` is one address and one port. Where the question already fails on the way there (no such container, a name that does
not resolve, a port that is not published), the dial carries the obstacle instead.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from functools import partial
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from dockernet_doctor.probe.model import Answer, Probe, is_lost
from dockernet_doctor.snapshot.model import Container, Endpoint, Network, Protocol, PublishedPort

from . import fleet
from .case import Case
from .facts import HostFacts
from .flow import best_listener, binds
from .links import ON_PARENT
from .names import Resolution, embedded_names, meant, resolve
from .neighbours import is_loopback
from .path import (
    HostsApart,
    NameMisleads,
    NamespaceLost,
    NameUnanswered,
    NoCommonNetwork,
    NoEgress,
    NoNetwork,
    NoSuchTarget,
    NotPublished,
    NotRunning,
    Obstacle,
    Paused,
    PublishedElsewhere,
    PublishedInVain,
)
from .question import Question, Target

MAX_PORTS = 16  # paths of one question that names no port


class Dial(Struct, frozen=True, kw_only=True):
    facts: HostFacts
    name: str
    source: Container | None = None
    target: Container | None = None
    address: str | None = None
    port: int | None = None
    container_port: int | None = None
    endpoint: Endpoint | None = None
    network: Network | None = None
    published: PublishedPort | None = None
    hop: str = ""
    obstacle: Obstacle | None = None
    unknown: tuple[str, str] | None = None  # hop and why
    predicted: dict[str, str] = {}
    not_applicable: frozenset[str] = frozenset()
    probes: tuple[Probe, ...] = ()
    note: str = ""
    protocol: Protocol | None = None  # where it is not the one of the question: a port that only UDP is published for
    far: str = ""  # the other host that the target lives on, where several are read
    at: str = ""  # the host that the obstacle is on, where that is not this one


def dials(case: Case, question: Question) -> list[Dial]:
    """All dials of a question; at least one."""
    there = question.target.host if question.source.kind == "outside" else ""
    facts = case.facts(there or question.source.host or question.target.host)
    source = facts.container(question.source.name) if question.source.kind == "container" else None
    if question.source.kind == "container":
        if source is None:
            return [Dial(facts=facts, name=str(question.target), unknown=("target", f"no container {question.source.name}"))]
        stopped = _stopped(Dial(facts=facts, name=str(question.target), source=source), source)
        if stopped and (stopped.hop == "target" or not is_loopback(question.target.name)):
            return [stopped]
    if question.source.kind == "container" and source is not None:
        return list(_from_container(case, facts, source, question.target))
    return list(_from_host_or_outside(case, facts, question))


# --- from a container


def _from_container(case: Case, facts: HostFacts, source: Container, target: Target) -> Iterator[Dial]:
    base = Dial(facts=facts, source=source, name=str(target))
    if elsewhere := fleet.home(case, facts, source, target):
        yield from _across(case, base, facts, source, target, *elsewhere)
    elif _is_far(facts, target) and target.kind in ("plain", "container", "service"):
        far = case.facts(target.host)
        yield replace(_no_such(base, far, target.name), far=far.name, at=far.name)
    elif target.kind == "host":
        host = case.facts(target.host) if _is_far(facts, target) else facts
        address = next((a for a in (fleet.address_of(host), *host.uplink_addresses) if host.is_own(a)), None)
        address = address if host is not facts else next(iter(facts.uplink_addresses), None)
        yield from _ports_of_host(base, facts, target, address)
    elif target.kind == "address":
        yield from _address(base, facts, target, target.name)
    elif target.kind == "service":
        for member in _service(facts, target.name) or (None,):
            yield from _to_container(base, facts, source, member, target)
    elif target.kind == "container":
        yield from _to_container(base, facts, source, facts.container(target.name), target)
    else:
        yield from _by_name(case, base, facts, source, target)


def _is_far(facts: HostFacts, target: Target) -> bool:
    return target.host not in ("", facts.name)


def _across(
    case: Case, base: Dial, facts: HostFacts, source: Container, target: Target, far: HostFacts, container: Container
) -> Iterator[Dial]:
    """To a container of another host: by an overlay network that both are on, else by a port that is published there."""
    named = replace(base, target=container, far=far.name, not_applicable=frozenset({"name", "publish"}))
    if stopped := _stopped(replace(named, facts=far), container):
        yield replace(stopped, facts=facts, at=far.name)
        return
    common = [(network, endpoint) for network, endpoint in fleet.shared(facts, source, far, container) if endpoint.ipv4]
    if not common:
        yield from _to_published(named, facts, source, target, far, container)
        return
    network, endpoint = common[0]
    text = {**_running_text(container), "network": network.name}
    if target.kind in ("plain", "name"):
        found = resolve(case, facts, source, target.name)
        if found.addresses and not {e.ipv4 for _, e in common} & set(found.addresses):
            yield from _by_name(case, base, facts, source, target)  # it means another to the source
            return
        named = replace(named, not_applicable=frozenset({"publish"}), probes=found.probes)
        if not found.addresses and (obstacle := _no_name(facts, network, endpoint, target, far, container, found)):
            said = {**text, "name": f"{facts.name} does not know {target.name} on {network.name}"}
            at = obstacle.where if isinstance(obstacle, HostsApart) else ""
            yield replace(named, hop="name", obstacle=obstacle, predicted=said, network=network, endpoint=endpoint, at=at)
            return
        network, endpoint = next((pair for pair in common if pair[1].ipv4 in found.addresses), common[0])
        text |= {"network": network.name, "name": f"{target.name} → {endpoint.ipv4}"}
    for port in _ports(far, container, target):
        yield replace(
            named, address=endpoint.ipv4, port=port, container_port=port, endpoint=endpoint, network=network, predicted=text,
            unknown=None if port else ("listener", f"{container.name} listens on no port and exposes none"),
        )  # fmt: skip


def _no_name(
    facts: HostFacts,
    network: Network,
    endpoint: Endpoint,
    target: Target,
    far: HostFacts,
    container: Container,
    found: Resolution,
) -> Obstacle | None:
    """Why a name of another host's container has no address here; None where it may have one."""
    if target.name.rstrip(".").lower() not in embedded_names(container, endpoint):
        return _unanswered(found, found.result, container)
    if untold := fleet.not_told(facts, network, far, container):
        return untold
    return _unanswered(found, found.result, container) if found.result else None


def _to_published(
    base: Dial, facts: HostFacts, source: Container, target: Target, far: HostFacts, container: Container
) -> Iterator[Dial]:
    """By the port that the container publishes on its host, as any other machine would."""
    ends = ((facts, source), (far, container))
    overlaid = any(n.driver == "overlay" and not n.ingress for one, c in ends for n in one.networks_of(c))
    if overlaid and not container.ports:
        yield _unshared(base, facts, source, container, far)
        return
    note = f"{source.name} and {container.name} share no network: the port that is published on {far.name} was taken"
    for dial in _published_or_direct(replace(base, facts=far), far, container, target, outside=True):
        at = far.name if dial.obstacle else ""
        yield replace(dial, facts=facts, at=at, note=dial.note or note)


def _by_name(case: Case, base: Dial, facts: HostFacts, source: Container, target: Target) -> Iterator[Dial]:
    """A name as the source would type it."""
    found = resolve(case, facts, source, target.name)
    intended = meant(facts, target.name, source)
    named = replace(base, probes=found.probes, target=intended)
    if found.addresses:
        text = f"{target.name} → {', '.join(found.addresses)} ({_said_by(found)})"
        if case.repetitions > 1 and (lost := _samples_lost(found.answers)):
            said = {"name": f"{len(lost)} of {len(found.answers)} questions for {target.name} got no answer at once"}
            result = "timeout" if lost[0].positive else lost[0].result
            yield replace(named, hop="name", obstacle=_unanswered(found, result, intended), predicted=said)
        for address in _own_addresses(facts, source, target, found.addresses):
            yield from _resolved(named, facts, source, target, found, address, text, intended)
        return
    down = intended is not None and not intended.state.running and _would_resolve(facts, source, intended)
    if intended is not None and down:
        yield replace(
            named,
            hop="target",
            obstacle=NotRunning(container=intended, proven=True),
            predicted={"target": f"{intended.name} is {intended.state.status}"},
        )
        return
    if not found.known and not found.result:
        networks = facts.networks_of(source)
        if found.by == "embedded" and "." in target.name and networks and all(n.internal for n in networks):
            yield replace(
                named,
                hop="name",
                obstacle=NoEgress(container=source, networks=networks),
                predicted={"name": f"{target.name} is none of Docker's, and {source.name} is on internal networks only"},
            )
            return
        yield replace(named, unknown=("name", f"what {target.name} resolves to was not asked"))
        return
    said = {"name": _unresolved_text(found, target.name)}
    yield replace(named, hop="name", obstacle=_unanswered(found, found.result, intended), predicted=said)


def _samples_lost(answers: tuple[Answer, ...]) -> list[Answer]:
    """Samples without an answer, or with one to a second question; a server may think long before its first."""
    quick, lost = False, []
    for answer in answers:
        if not is_lost(answer):
            quick = quick or answer.positive
        elif quick or not answer.positive:
            lost.append(answer)
    return lost


def _unanswered(found: Resolution, result: str, meant: Container | None) -> NameUnanswered:
    resolver: Literal["none", "embedded", "upstream"] = found.by if found.by == "none" or found.by == "embedded" else "upstream"
    return NameUnanswered(
        name=found.name, resolver=resolver, result=result, servers=found.servers, meant=meant, proven=bool(result)
    )


def _own_addresses(facts: HostFacts, source: Container, target: Target, addresses: tuple[str, ...]) -> tuple[str, ...]:
    """Of `localhost`, the address that answers: clients try the other when one is refused. Others as they are."""
    if not all(_loopback(address) for address in addresses):
        return addresses
    stack = facts.stack_of(source)
    listeners = stack.listeners if stack else None
    served = [a for a in addresses if target.port and best_listener(listeners, a, target.port, target.protocol)]
    return tuple(served[:1]) or addresses[:1]


def _resolved(
    base: Dial,
    facts: HostFacts,
    source: Container,
    target: Target,
    found: Resolution,
    address: str,
    text: str,
    intended: Container | None,
) -> Iterator[Dial]:
    holder = facts.holder(address)
    reached = holder[0] if holder else None
    if misled := _misled(facts, source, target, found, address, intended):
        if intended is not None and not intended.state.running and reached is None and not intended.auto_remove:
            state = {"target": f"{intended.name} is {intended.state.status}"}
            yield replace(base, hop="target", obstacle=NotRunning(container=intended, proven=True), predicted=state)
            return
        yield replace(base, address=address, port=target.port, hop="name", obstacle=misled, predicted={"name": text})
        return
    more = replace(base, target=reached or (intended if _own(source, address) else None))
    for port in _ports(facts, reached or (source if _own(source, address) else None), target):
        yield replace(
            more,
            address=address,
            port=port,
            container_port=port,
            endpoint=holder[1] if holder else None,
            predicted={"name": text, **_running_text(reached)},
            not_applicable=frozenset({"publish"}),
        )


def _misled(
    facts: HostFacts, source: Container, target: Target, found: Resolution, address: str, intended: Container | None
) -> NameMisleads | None:
    """An entry of the hosts file that is out of date, or a foreign address for the name of a container."""
    holder = facts.holder(address)
    reached = holder[0] if holder else None
    if found.by == "literal" or _own(source, address) or facts.is_own(address):
        return None
    network = facts.network_containing(address)
    misleads = partial(NameMisleads, name=target.name, address=address, holder=reached, meant=intended)
    if found.by == "hosts":
        if network is None:  # meant so, as long as it answers
            hidden = intended is not None and intended.state.running and facts.common_networks(source, intended)
            return misleads(by="hosts") if hidden else None
        if address in {s.gateway for s in network.subnets}:
            return None
        owner = facts.namespace_owner(intended) if intended else None
        right = reached is not None and (intended is None or reached is owner)
        return None if right or _member(network, address) else misleads(by="hosts", proven=True)
    foreign = holder is None and network is None and intended is not None and "." not in target.name
    if foreign and intended is not None and intended.network_mode != "host" and not intended.swarm:
        return misleads(by="upstream")
    return None


def _member(network: Network, address: str) -> bool:
    """A container of another host has the address."""
    return network.driver == "overlay" and any(m.ipv4 and m.ipv4.split("/")[0] == address for m in network.members)


def _to_container(
    base: Dial,
    facts: HostFacts,
    source: Container,
    container: Container | None,
    target: Target,
) -> Iterator[Dial]:
    """`container:NAME`: by address on a network they share; names do not matter."""
    if container is None:
        yield _no_such(base, facts, target.name)
        return
    named = replace(base, target=container, not_applicable=frozenset({"name", "publish"}))
    if stopped := _stopped(named, container):
        yield stopped
        return
    endpoint: Endpoint | None = None
    address: str | None = "127.0.0.1"
    if not _same_namespace(facts, container, source):
        endpoint, address = _shared_endpoint(facts, source, container)
    if address is None and container.network_mode == "host":
        address = next(iter(facts.uplink_addresses), None)
    if address is None and source.network_mode == "host":
        endpoint = next((e for e in facts.endpoints(container) if e.ipv4), None)
        address = endpoint.ipv4 if endpoint else None
    if address is None:
        yield _unshared(named, facts, source, container)
        return
    network = facts.network_of(endpoint) if endpoint else None
    text = network.name if network else "the same namespace" if address == "127.0.0.1" else "the host's network"
    for port in _ports(facts, container, target):
        yield replace(
            named,
            address=address,
            port=port,
            container_port=port,
            endpoint=endpoint,
            network=network,
            predicted={**_running_text(container), "network": text},
        )


def _unshared(base: Dial, facts: HostFacts, source: Container, container: Container, far: HostFacts | None = None) -> Dial:
    far = far or facts
    for home, one in ((facts, source), (far, container)):
        if not [n for n in home.networks_of(one) if n.driver != "null"]:
            return replace(
                base,
                hop="network",
                obstacle=NoNetwork(container=one, proven=True),
                predicted={"network": f"{one.name} has no network"},
            )
    theirs = ", ".join(n.name for n in far.networks_of(container))
    ours = ", ".join(n.name for n in facts.networks_of(source))
    return replace(
        base,
        hop="network",
        obstacle=NoCommonNetwork(source=source, target=container, proven=True),
        predicted={"network": f"{source.name} is on {ours}, {container.name} on {theirs}"},
    )


def _shared_endpoint(facts: HostFacts, source: Container, target: Container) -> tuple[Endpoint | None, str | None]:
    shared = {n.id for n in facts.common_networks(source, target)}
    for endpoint in facts.endpoints(target):
        network = facts.network_of(endpoint)
        if network and network.id in shared and (endpoint.ipv4 or endpoint.ipv6):
            return endpoint, endpoint.ipv4 or endpoint.ipv6
    return None, None


# --- from the host, or from another machine


def _from_host_or_outside(case: Case, facts: HostFacts, question: Question) -> Iterator[Dial]:
    target, outside = question.target, question.source.kind == "outside"
    base = Dial(facts=facts, name=str(target))
    if _is_far(facts, target):
        far = case.facts(target.host)
        local = replace(question, source=replace(question.source, kind="outside", host=far.name))
        for dial in _from_host_or_outside(case, far, local):
            yield replace(dial, facts=facts, far=far.name, at=far.name if dial.obstacle else "")
        return
    if target.kind == "host":
        address = next(iter(facts.uplink_addresses), None) if outside else "127.0.0.1"
        yield from _ports_of_host(base, facts, target, address, outside=outside)
        return
    if target.kind == "address":
        yield from _address(base, facts, target, target.name, outside=outside)
        return
    if target.kind == "service":
        for member in _service(facts, target.name) or (None,):
            yield from _published_or_direct(base, facts, member, target, outside=outside)
        return
    container = facts.container(target.name) if target.kind in ("plain", "container") else None
    if container is None and target.kind == "plain":
        members = _service(facts, target.name)
        container = members[0] if len(members) == 1 else None
    if container is not None or target.kind == "container":
        yield from _published_or_direct(base, facts, container, target, outside=outside)
        return
    yield from _named_by_host(case, base, facts, target, outside=outside)


def _named_by_host(case: Case, base: Dial, facts: HostFacts, target: Target, *, outside: bool) -> Iterator[Dial]:
    if outside or target.name == "localhost":
        if target.name == "localhost" and not outside:
            yield from _address(base, facts, target, "127.0.0.1")
        else:
            yield _no_such(base, facts, target.name)
        return
    if "." not in target.name and target.kind == "plain":
        yield _no_such(base, facts, target.name)
        return
    found = resolve(case, facts, None, target.name)
    named = replace(base, probes=found.probes)
    if found.addresses:
        for address in found.addresses:
            yield from _address(named, facts, target, address)
    elif found.result:
        yield replace(
            named,
            hop="name",
            obstacle=NameUnanswered(
                name=target.name, resolver="upstream", result=found.result, servers=found.servers, proven=True
            ),
            predicted={"name": _unresolved_text(found, target.name)},
        )
    else:
        yield replace(named, unknown=("name", f"what {target.name} resolves to was not asked"))


def _published_or_direct(
    base: Dial, facts: HostFacts, container: Container | None, target: Target, *, outside: bool
) -> Iterator[Dial]:
    if container is None:
        yield _no_such(base, facts, target.name)
        return
    named = replace(base, target=container, not_applicable=frozenset({"name"}))
    if stopped := _stopped(named, container):
        yield stopped
        return
    if container.network_mode == "host":
        yield from _host_mode(named, facts, container, target, outside=outside)
        return
    owner = facts.namespace_owner(container) or container
    for way in _ways(facts, container, owner, target, outside=outside):
        yield from _by_way(named, facts, container, owner, way, outside=outside)


class _Way(Struct, frozen=True, kw_only=True):
    """A port of the container and the mappings that lead to it; port 0: none is known."""

    port: int
    protocol: Protocol
    mappings: tuple[PublishedPort, ...] = ()
    note: str = ""
    whole: bool = False  # no port was asked for


def _ways(facts: HostFacts, container: Container, owner: Container, target: Target, *, outside: bool) -> Iterator[_Way]:
    """The way to the port asked, else to each of the published, the listening or the exposed ones.

    `owner` is the container whose network namespace it is: ports are published there.
    """
    if target.port is None:
        yield from _ways_to_all(facts, container, owner, target)
        return
    port, protocol = target.port, target.protocol
    of_protocol = tuple(p for p in owner.ports if p.protocol == protocol)
    if direct := tuple(p for p in of_protocol if p.port == port):
        yield _Way(port=port, protocol=protocol, mappings=direct)
        return
    listening = {li.port for li in facts.listeners(container, protocol) or () if not _loopback(li.address)}
    taken_as = f"{port} is a published host port of {container.name}: taken as that"
    by_host_port = tuple(p for p in of_protocol if p.host_port == port)
    if by_host_port and not (port in listening and not outside):
        yield _Way(port=by_host_port[0].port, protocol=protocol, mappings=by_host_port, note=taken_as)
        return
    in_vain = [b for b in owner.bindings if b.protocol == protocol and b.host_port == str(port)]
    if in_vain and not of_protocol and port not in listening:
        yield _Way(port=in_vain[0].port, protocol=protocol, note=taken_as)
        return
    dead = tuple(p for p in of_protocol if p.port not in listening)
    if outside and port in listening and dead and len(dead) == len(of_protocol):
        note = f"{port} is not published; the port of {container.name} that is published, {dead[0].port}, was taken"
        yield _Way(port=dead[0].port, protocol=protocol, mappings=tuple(p for p in dead if p.port == dead[0].port), note=note)
        return
    yield _Way(port=port, protocol=protocol)


def _ways_to_all(facts: HostFacts, container: Container, owner: Container, target: Target) -> Iterator[_Way]:
    wanted = ("udp",) if target.protocol == "udp" else ("tcp", "udp", "sctp")
    published = dict.fromkeys((p.port, p.protocol) for p in owner.ports if p.protocol in wanted)
    bound = dict.fromkeys((b.port, b.protocol) for b in owner.bindings if b.protocol in wanted)
    for port, protocol in list(published or bound)[:MAX_PORTS]:
        mappings = tuple(p for p in owner.ports if (p.port, p.protocol) == (port, protocol))
        yield _Way(port=port, protocol=protocol, mappings=mappings, whole=True)
    if not published and not bound:
        for number in _ports(facts, container, target):
            yield _Way(port=number or 0, protocol=target.protocol, whole=True)


def _by_way(
    base: Dial, facts: HostFacts, container: Container, owner: Container, way: _Way, *, outside: bool
) -> Iterator[Dial]:
    running = _running_text(container)
    more = replace(base, container_port=way.port or None, note=way.note, protocol=way.protocol)
    if way.mappings:
        text = ", ".join(f"{p.host_ip}:{p.host_port} → {p.port}/{p.protocol}" for p in way.mappings)
        more = replace(more, published=way.mappings[0], predicted={**running, "publish": text})
        chosen = _dialled(facts, container, way.mappings, outside=outside)
        for mapping, address in chosen:
            yield replace(more, published=mapping, address=address, port=mapping.host_port)
        if outside and chosen and _routed(facts, container) and all(":" in address for _m, address in chosen):
            yield _unpublished(more, container, owner, way, in_vain=True)  # by IPv4
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
        yield _unpublished(more, container, owner, way, in_vain=in_vain)
    elif all(_gateway_mode(n) == "isolated" for n in facts.networks_of(container)) and owner.endpoints:
        yield _unpublished(more, container, owner, way, in_vain=True)  # the host has no address there
    elif owner.endpoints and all(n.driver == "overlay" for n in facts.networks_of(container)):
        yield _unpublished(more, container, owner, way, in_vain=False)  # nor there: its bridge is in a namespace of its own
    else:
        yield _direct(more, facts, container, way.port, running)


def _routed(facts: HostFacts, container: Container) -> bool:
    """Whether the gateway mode of a network of its own makes no host port on IPv4 (engines from 27)."""
    return any(_gateway_mode(network) in ("routed", "isolated") for network in facts.networks_of(container))


def _gateway_mode(network: Network) -> str:
    return network.options.get("com.docker.network.bridge.gateway_mode_ipv4", "nat")


def _unpublished(base: Dial, container: Container, owner: Container, way: _Way, *, in_vain: bool) -> Dial:
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
    return replace(base, hop="publish", obstacle=obstacle, predicted={**_running_text(container), "publish": text})


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
        unknown=None if port else ("listener", f"{container.name} listens on no port and exposes none"),
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
        # without docker-proxy the kernel translates no dial of ::1 (it has no route_localnet for IPv6)
        listeners = facts.stack.listeners if facts.stack else None
        taker = best_listener(listeners, "::1", mappings[0].host_port, mappings[0].protocol)
        served = taker is not None and taker.process is not None and taker.process.name.startswith("docker-proxy")
        both = (outside or served) and any(endpoint.ipv6 for endpoint in facts.endpoints(container))
        return [first[six] for six in (False, True) if six in first][: None if both else 1]
    if not outside and (facts.stack is None or facts.is_own(mappings[0].host_ip)):
        return [(mappings[0], mappings[0].host_ip)]
    if facts.stack is None:
        return [(mapping, mapping.host_ip) for mapping in mappings if not _loopback(mapping.host_ip)][:1]
    return []


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
            predicted={**_running_text(container), "network": "the host's own"},
        )


def _listened_by(facts: HostFacts, container: Container, protocol: Protocol) -> list[int]:
    """Ports of the host's listeners that are known to be the container's."""
    listeners = facts.listeners(container, protocol) or ()
    return sorted({li.port for li in listeners if li.process and li.process.container == container.id})


# --- shared


def _ports_of_host(
    base: Dial, facts: HostFacts, target: Target, address: str | None, *, outside: bool = False
) -> Iterator[Dial]:
    more = replace(base, not_applicable=frozenset({"target", "name", "network"}))
    if address is None or target.port is None:
        why = "the host's addresses could not be read" if address is None else "say which port of the host"
        yield replace(more, unknown=("listener", why))
        return
    yield from _address(base, facts, target, address, outside=outside)


def _address(base: Dial, facts: HostFacts, target: Target, address: str, *, outside: bool = False) -> Iterator[Dial]:
    holder = facts.holder(address)
    container = holder[0] if holder else None
    skipped = frozenset({"name"} if container else {"target", "name"})
    more = replace(base, target=container, not_applicable=skipped)
    own = facts.is_own(address) or any(b.host_ip == address for c in facts.containers for b in c.bindings)
    if outside and holder is None and facts.stack is not None and not own:
        yield replace(more, unknown=("route", f"{address} is no address of this host"))
        return
    if own and target.port and (elsewhere := _bound_elsewhere(facts, address, target.port, target.protocol)):
        yield replace(
            more,
            target=elsewhere.container,
            address=address,
            port=target.port,
            hop="publish",
            published=elsewhere.published[0],
            obstacle=elsewhere,
            predicted={"publish": ", ".join(f"{p.host_ip}:{p.host_port} → {p.port}/{p.protocol}" for p in elsewhere.published)},
        )
        return
    if own and target.port and (wanted := _wanted_here(more, facts, address, target.port, target.protocol)):
        yield wanted
        return
    if outside and own and (address.startswith("127.") or address == "::1"):
        yield replace(more, unknown=("route", f"{address} is the other machine itself"))
        return
    more = replace(more, note=_wanted_by_other(facts, target) if own and target.port else "")
    for port in [target.port] if target.port else _ports(facts, container, target):
        yield replace(
            more,
            address=address,
            port=port,
            container_port=port if container else None,
            endpoint=holder[1] if holder else None,
            network=facts.network_of(holder[1]) if holder else None,
            predicted=_running_text(container),
            unknown=None if port else ("listener", "say which port"),
        )


def _bound_elsewhere(facts: HostFacts, address: str, port: int, protocol: Protocol) -> PublishedElsewhere | None:
    """The port is published on other addresses of this host only, and nothing else listens at this one."""
    mappings = [(c, p) for c in facts.running for p in c.ports if p.host_port == port and p.protocol == protocol]
    here = [(c, p) for c, p in mappings if binds(p.host_ip, address)]
    if here and facts.stack is not None and not facts.is_own(address):
        mappings = here  # the address has left this host
    elif here or not mappings:
        return None
    listeners = facts.stack.listeners if facts.stack else None
    if best_listener(listeners, address, port, protocol):
        return None
    return PublishedElsewhere(container=mappings[0][0], published=tuple(p for _c, p in mappings), dialled=address, proven=True)


def _wanted_here(base: Dial, facts: HostFacts, address: str, port: int, protocol: Protocol) -> Dial | None:
    """Nobody is at this port of the host, and a container was to be published there: it does not run, or it was in vain."""
    listeners = facts.stack.listeners if facts.stack else None
    if listeners is None or best_listener(listeners, address, port, protocol):
        return None
    if any(p.host_port == port and p.protocol == protocol for c in facts.running for p in c.ports):
        return None
    for container in sorted(facts.containers, key=lambda c: not c.state.running):
        asked = [b for b in container.bindings if b.host_port == str(port) and b.protocol == protocol]
        binding = next((b for b in asked if binds(b.host_ip, address) or not facts.is_own(b.host_ip)), None)
        if binding is None:
            continue
        named = replace(
            base,
            target=container,
            address=address,
            port=port,
            not_applicable=frozenset({"name"}),
            note=f"{port} is the host port that {container.name} asks for",
        )
        if stopped := _stopped(named, container):
            return stopped
        if container.network_mode == "host":
            return replace(named, container_port=port)
        return _unpublished(
            replace(named, container_port=binding.port),
            container,
            container,
            _Way(port=binding.port, protocol=protocol),
            in_vain=True,
        )
    return None


def _wanted_by_other(facts: HostFacts, target: Target) -> str:
    """What to add where something else answers at a host port than the container that was to be published there."""
    wanting = [
        container.name
        for container in facts.containers
        if not container.state.running
        for binding in container.bindings
        if binding.host_port == str(target.port) and binding.protocol == target.protocol
    ]
    published = any(p.host_port == target.port and p.protocol == target.protocol for c in facts.running for p in c.ports)
    if not wanting or published:
        return ""
    return f"whatever answers at port {target.port} is not {wanting[0]}, which asks for it and does not run"


def _no_such(base: Dial, facts: HostFacts, name: str) -> Dial:
    known = [c.name for c in facts.containers]
    nearest = tuple(difflib.get_close_matches(name, known, n=3, cutoff=0.5))
    return replace(
        base,
        hop="target",
        obstacle=NoSuchTarget(name=name, nearest=nearest, proven=True),
        predicted={"target": f"no container is called {name}"},
    )


def _stopped(base: Dial, container: Container) -> Dial | None:
    state = container.state
    if state.running and not state.paused:
        if base.facts.namespace_lost(container):
            return _lost(base, container)
        return _on_none(base, container)
    obstacle = Paused(container=container, proven=True) if state.paused else NotRunning(container=container, proven=True)
    text = f"{container.name} is {state.status}"
    return replace(base, hop="target", obstacle=obstacle, predicted={"target": text})


def _lost(base: Dial, container: Container) -> Dial:
    owner = base.facts.container(container.network_mode.removeprefix("container:"))
    text = f"{container.name} shares a network namespace that was lost"
    return replace(
        base,
        hop="network",
        obstacle=NamespaceLost(container=container, owner=owner, proven=container.sandbox is not None or owner is None),
        predicted={**_running_text(container), "network": text},
        not_applicable=frozenset({"name"}),
    )


def _on_none(base: Dial, container: Container) -> Dial | None:
    """Nobody but the container itself gets at one on `none`, whatever it publishes."""
    if base.source is container or {e.network for e in container.endpoints} != {"none"}:
        return None
    return replace(
        base,
        hop="network",
        obstacle=NoNetwork(container=container, proven=True),
        predicted={**_running_text(container), "network": f"{container.name} is on the network none"},
        not_applicable=frozenset({"name"}),
    )


def _ports(facts: HostFacts, container: Container | None, target: Target) -> list[int | None]:
    """The port asked; without one the listening, else the exposed ones."""
    if target.port is not None:
        return [target.port]
    if container is None:
        return [None]
    listening = sorted({li.port for li in facts.listeners(container, target.protocol) or () if not _loopback(li.address)})
    exposed = sorted(port for port, protocol in container.exposed if protocol == target.protocol)
    return list((listening or exposed)[:MAX_PORTS]) or [None]


def _service(facts: HostFacts, name: str) -> list[Container]:
    """Members of a Compose service (`project/service`, or `service` where that is unique) or Swarm service."""
    project, _, service = name.rpartition("/")
    found = [
        c
        for c in facts.containers
        if (c.compose and c.compose.service == service and project in ("", c.compose.project))
        or (c.swarm and c.swarm.service in (name, service))
    ]
    return sorted(found, key=lambda c: c.name)


def _would_resolve(facts: HostFacts, source: Container, target: Container) -> bool:
    """Whether the name would mean the container if it ran: they share a network, or it is named outright."""
    return bool(facts.common_networks(source, target)) or not target.endpoints


def _running_text(container: Container | None) -> dict[str, str]:
    if container is None:
        return {}
    return {"target": f"{container.name} is {container.state.status}"}


def _said_by(found: Resolution) -> str:
    where = {"hosts": "/etc/hosts", "embedded": "Docker's DNS", "literal": "as written"}
    return where.get(found.by, ", ".join(found.servers) or "no server")


def _unresolved_text(found: Resolution, name: str) -> str:
    if found.by == "none":
        return f"no name server to ask for {name}"
    if found.by == "embedded":
        return f"Docker's DNS knows no {name} here"
    return f"{', '.join(found.servers)} knows no container names"


def _own(source: Container, address: str) -> bool:
    return address.startswith("127.") or address == "::1" or any(address in (e.ipv4, e.ipv6) for e in source.endpoints)


def _same_namespace(facts: HostFacts, one: Container, other: Container) -> bool:
    owner = facts.namespace_owner(one)
    both_host = one.network_mode == other.network_mode == "host"
    return both_host or (owner is not None and owner is facts.namespace_owner(other))


def _loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"
