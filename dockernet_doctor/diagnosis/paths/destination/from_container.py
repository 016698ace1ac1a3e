"""From a container: by a name, by a network that both are on, or by a published port of another host."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from dockernet_doctor.diagnosis.asked_for import members_of_service
from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.path import HostsApart, NoCommonNetwork, NoNetwork, Obstacle
from dockernet_doctor.diagnosis.paths import other_hosts as fleet
from dockernet_doctor.diagnosis.paths.destination.by_address import ports_of_host, to_address
from dockernet_doctor.diagnosis.paths.destination.by_mesh import service_of
from dockernet_doctor.diagnosis.paths.destination.by_name import by_name, unanswered
from dockernet_doctor.diagnosis.paths.destination.model import Dial
from dockernet_doctor.diagnosis.paths.destination.published import published_or_direct
from dockernet_doctor.diagnosis.paths.destination.target import (
    is_far,
    members_asked,
    no_port,
    no_such_container,
    ports_of,
    running_text,
    stopped_before,
)
from dockernet_doctor.diagnosis.paths.names import HOST_NAMES, Resolution, embedded_names, resolve
from dockernet_doctor.diagnosis.question import Target
from dockernet_doctor.notation import is_loopback
from dockernet_doctor.snapshot.model import Container, Endpoint, Network, Service


def from_container(case: Case, facts: HostFacts, source: Container, target: Target) -> Iterator[Dial]:
    """All dials of a container's question, whatever kind of target it names."""
    base = Dial(facts=facts, source=source, name=str(target))
    if elsewhere := fleet.home(case, facts, source, target):
        yield from _across(case, base, facts, source, target, *elsewhere)
    elif is_far(facts, target) and target.kind in ("plain", "container", "service"):
        far = case.facts(target.host)
        yield replace(no_such_container(base, far, target.name), far=far.name, at=far.name)
    elif target.kind == "host":
        host = case.facts(target.host) if is_far(facts, target) else facts
        if host is facts:
            for own in addresses_of_host(facts, source) or (None,):
                yield from ports_of_host(base, facts, target, own)
            return
        known = (a for a in (fleet.address_of(host), *host.uplink_addresses) if host.is_own(a) and not is_loopback(a))
        yield from ports_of_host(base, facts, target, next(known, None))
    elif target.kind == "address":
        yield from to_address(base, facts, target, target.name)
    elif target.kind == "service" and (service := _on_other_nodes(facts, target)):
        yield from by_name(case, base, facts, source, replace(target, name=service.name))
    elif target.kind == "service":
        for member, asked in members_asked(facts, target):
            yield from _to_container(base, facts, source, member, asked)
    elif target.kind == "container":
        yield from _to_container(base, facts, source, facts.container(target.name), target)
    else:
        yield from by_name(case, base, facts, source, target)


def addresses_of_host(facts: HostFacts, source: Container) -> tuple[str, ...]:
    """What a container's settings would name for its host: host.docker.internal where its hosts file has it, the gateways of
    its networks, and the address by which other machines know the host; IPv6 where the container has it."""
    hosts = (source.sandbox.hosts if source.sandbox else None) or ()
    named = [entry.address for entry in hosts if set(entry.names) & set(HOST_NAMES)]
    endpoints = facts.endpoints(source)
    gateways = [gateway for e in endpoints for gateway in (e.ipv4_gateway, e.ipv6_gateway) if gateway]
    uplinks = [next((a for a in facts.uplink_addresses if (":" in a) is six), "") for six in (False, True)]
    families = {":" in address for e in endpoints for address in (e.ipv4, e.ipv6) if address} or {False}
    candidates = dict.fromkeys((*named, *gateways, *uplinks))
    return tuple(a for a in candidates if a and facts.is_own(a) and (":" in a) in families) or facts.uplink_addresses[:1]


def _on_other_nodes(facts: HostFacts, target: Target) -> Service | None:
    """The Swarm service that runs, and has no task here."""
    service = None if members_of_service(facts, target.name) else service_of(facts, target.name)
    return service if service and service.running else None


def _to_container(
    base: Dial,
    facts: HostFacts,
    source: Container,
    container: Container | None,
    target: Target,
) -> Iterator[Dial]:
    """`container:NAME`: by address on a network they share; names do not matter."""
    if container is None:
        yield no_such_container(base, facts, target.name)
        return
    named = replace(base, target=container, not_applicable=frozenset({"name", "publish"}))
    if stopped := stopped_before(named, container):
        yield stopped
        return
    endpoint: Endpoint | None = None
    address: str | None = "127.0.0.1"
    if not _same_namespace(facts, container, source):
        endpoint, address = _shared_endpoint(facts, source, container)
    if address is None and facts.in_host_mode(container):
        address = next(iter(facts.uplink_addresses), None)
    if address is None and facts.in_host_mode(source):
        endpoint = next((e for e in facts.endpoints(container) if e.ipv4 or e.ipv6), None)
        address = (endpoint.ipv4 or endpoint.ipv6) if endpoint else None
    if address is None:
        yield _unshared(named, facts, source, container)
        return
    network = facts.network_of(endpoint) if endpoint else None
    text = network.name if network else "the same namespace" if address == "127.0.0.1" else "the host's network"
    own = next((e for e in facts.endpoints(source) if network is not None and facts.network_of(e) is network), None)
    six = endpoint.ipv6 if endpoint and own and own.ipv6 and endpoint.ipv6 != address else None
    for port in ports_of(facts, container, target):
        dial = replace(
            named,
            address=address,
            port=port,
            container_port=port,
            endpoint=endpoint,
            network=network,
            predicted={**running_text(container), "network": text},
            unknown=None if port else no_port(container),
        )
        yield dial
        if six:
            yield replace(dial, address=six, second=True)


def _same_namespace(facts: HostFacts, one: Container, other: Container) -> bool:
    owner = facts.namespace_owner(one)
    both_host = facts.in_host_mode(one) and facts.in_host_mode(other)
    return both_host or (owner is not None and owner is facts.namespace_owner(other))


def _shared_endpoint(facts: HostFacts, source: Container, target: Container) -> tuple[Endpoint | None, str | None]:
    """The target's endpoint on a network that the source is on, too, and its address there."""
    shared = {n.id for n in facts.common_networks(source, target)}
    for endpoint in facts.endpoints(target):
        network = facts.network_of(endpoint)
        if network and network.id in shared and (endpoint.ipv4 or endpoint.ipv6):
            return endpoint, endpoint.ipv4 or endpoint.ipv6
    return None, None


def _unshared(base: Dial, facts: HostFacts, source: Container, container: Container, far: HostFacts | None = None) -> Dial:
    """They share no network: one of them has none at all, or each is on others."""
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


def _across(
    case: Case, base: Dial, facts: HostFacts, source: Container, target: Target, far: HostFacts, container: Container
) -> Iterator[Dial]:
    """To a container of another host: by an overlay network that both are on, else by a port that is published there."""
    named = replace(base, target=container, far=far.name, not_applicable=frozenset({"name", "publish"}))
    if stopped := stopped_before(replace(named, facts=far), container):
        yield replace(stopped, facts=facts, at=far.name)
        return
    common = [(network, endpoint) for network, endpoint in fleet.shared(facts, source, far, container) if endpoint.ipv4]
    if not common:
        yield from _to_published(named, facts, source, target, far, container)
        return
    network, endpoint = common[0]
    text = {**running_text(container), "network": network.name}
    if target.kind in ("plain", "name"):
        found = resolve(case, facts, source, target.name)
        if found.addresses and not {e.ipv4 for _, e in common} & set(found.addresses):
            yield from by_name(case, base, facts, source, target)  # it means another to the source
            return
        named = replace(named, not_applicable=frozenset({"publish"}), probes=found.probes)
        if not found.addresses and (obstacle := _no_name(facts, network, endpoint, target, far, container, found)):
            said = {**text, "name": f"{facts.name} does not know {target.name} on {network.name}"}
            at = obstacle.where if isinstance(obstacle, HostsApart) else ""
            yield replace(named, hop="name", obstacle=obstacle, predicted=said, network=network, endpoint=endpoint, at=at)
            return
        network, endpoint = next((pair for pair in common if pair[1].ipv4 in found.addresses), common[0])
        text |= {"network": network.name, "name": f"{target.name} → {endpoint.ipv4}"}
    for port in ports_of(far, container, target):
        yield replace(
            named, address=endpoint.ipv4, port=port, container_port=port, endpoint=endpoint, network=network, predicted=text,
            unknown=None if port else no_port(container),
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
        return unanswered(found, found.result, container)
    if untold := fleet.not_told(facts, network, far, container):
        return untold
    return unanswered(found, found.result, container) if found.result else None


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
    for dial in published_or_direct(replace(base, facts=far), far, container, target, outside=True):
        at = far.name if dial.obstacle else ""
        yield replace(dial, facts=facts, at=at, note=dial.note or note)
