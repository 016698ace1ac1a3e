"""Through the host: prerouting or output, then input or forward, then postrouting; and where it is delivered."""

from __future__ import annotations

from dockernet_doctor.diagnosis.facts.daemon import without_proxy
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.facts.links import BRIDGED, ON_PARENT, gateway_rank, gateways_of
from dockernet_doctor.diagnosis.facts.listeners import best_listener, is_of_daemon, is_proxy
from dockernet_doctor.diagnosis.facts.routing import Lookup, lookup
from dockernet_doctor.diagnosis.path import AnsweredByAnother, IsolatedFromHost, NotTranslated
from dockernet_doctor.diagnosis.paths.packet.filter import (
    answer_dropped,
    discovery_dropped,
    doubt_rule,
    forwarding_off,
    host_context,
    not_masqueraded,
    note_accepted,
    stop_at_rule,
    tracking_full,
)
from dockernet_doctor.diagnosis.paths.packet.inspection import by_inspection
from dockernet_doctor.diagnosis.paths.packet.ipsec import policy_blocks
from dockernet_doctor.diagnosis.paths.packet.link import bridge_broken, next_hop_silent
from dockernet_doctor.diagnosis.paths.packet.mapping import not_hairpinned, published_at, stale_flow, taken_first, untranslated
from dockernet_doctor.diagnosis.paths.packet.member import enter, to_member, to_process
from dockernet_doctor.diagnosis.paths.packet.route import by_shim, bypassed, reverse_filtered, stop_without_route, swallowed
from dockernet_doctor.diagnosis.paths.packet.trail import Sender, Walk
from dockernet_doctor.netfilter.evaluate import journey
from dockernet_doctor.netfilter.model import Journey, Packet
from dockernet_doctor.notation import UNSPECIFIED, at
from dockernet_doctor.snapshot.model import Container, Listener, Network, NetworkStack, PublishedPort


def through_host(walk: Walk, packet: Packet) -> None:
    """Prerouting or output, then input or forward, then postrouting; then to where it is delivered."""
    facts, trail = walk.facts, walk.trail
    stack = facts.stack
    if stack is None:
        by_inspection(walk, packet.destination, packet.dport or 0)
        return
    if facts.rulesets is None:
        trail.doubt("filter", f"{facts.here}'s firewall rules could not be read")
        by_inspection(walk, packet.destination, packet.dport or 0)
        return
    seen: dict[str, Lookup] = {}
    went = journey(facts.rulesets, packet, host_context(facts, packet.in_interface, seen))
    note_accepted(walk, went)
    if tracking_full(walk):
        return
    if taken_first(walk, packet, went) or stale_flow(walk, packet) or _way_broken(walk, went, seen):
        return
    if went.verdict in ("drop", "reject") and went.decision:
        if went.destiny in ("forward", "unknown") and forwarding_off(walk, stack, packet.in_interface, packet):
            return
        stop_at_rule(walk, "host", went.decision, went.packet)
        return
    if policy_blocks(walk, packet, went) or discovery_dropped(walk, stack, packet, went):
        return
    if went.verdict == "accept" and answer_dropped(walk, packet, went):
        return
    if went.verdict == "unknown":
        doubt_rule(walk, went)
    final = went.packet.destination
    if went.dnat:
        trail.say("mapping", f"DNAT to {final}:{went.packet.dport or 0}")
        if published := published_at(walk, packet.destination, packet.dport or 0):
            trail.published = published[1]
    _where_to(walk, stack, packet, went, seen.get(final))


def _way_broken(walk: Walk, went: Journey, seen: dict[str, Lookup]) -> bool:
    """What leads to a bridge that is broken, or past it: link and route come before the filter."""
    final = went.packet.destination
    network = walk.facts.network_containing(final)
    if network is None or network.driver not in BRIDGED or not network.bridge or walk.facts.is_own(final):
        return False
    if went.destiny not in ("forward", "none"):
        return False
    if bridge_broken(walk, network, family=went.packet.family):
        return True
    route = seen.get(final)
    out = went.packet.out_interface or (route.link if route else None)
    if out and out != network.bridge:
        return bypassed(walk, network, final, out, route)
    known = walk.facts.holder(final) or final in gateways_of(network)
    known = known or any(m.ipv4 and m.ipv4.split("/")[0] == final for m in network.members)
    return not known and swallowed(walk, network, final)


def _where_to(walk: Walk, stack: NetworkStack, packet: Packet, went: Journey, route: Lookup | None) -> None:
    """By what the routing decided: to a process of the host, or out by a link, where the kernel forwards at all."""
    in_interface, final = packet.in_interface, went.packet.destination
    if went.destiny == "none":
        if forwarding_off(walk, stack, in_interface, packet):
            return
        stop_without_route(walk, "host", final, route or Lookup(kind="none"), None)
        return
    if went.destiny == "local" or walk.facts.is_own(final):
        if reverse_filtered(walk, stack, packet, final):
            return
        _deliver_locally(walk, stack, packet, final, went.packet.dport or 0)
        return
    if in_interface is not None and forwarding_off(walk, stack, in_interface, packet):
        return
    # the answers come in where the packet goes out
    if in_interface is not None and forwarding_off(walk, stack, went.packet.out_interface, packet):
        return
    if reverse_filtered(walk, stack, packet, final) or not_hairpinned(walk, stack, packet, went):
        return
    _leave(walk, packet, went, route)


def _leave(walk: Walk, packet: Packet, went: Journey, route: Lookup | None) -> None:
    """Onto a network of this host, else to other machines."""
    facts, trail = walk.facts, walk.trail
    final, port = went.packet.destination, went.packet.dport or 0
    network = facts.network_containing(final)
    out = went.packet.out_interface or (route.link if route else None)
    if network is not None and network.driver in BRIDGED and network.bridge:
        if not out or out == network.bridge:
            trail.say("route", f"by {network.bridge} ({network.name})")
            to_member(walk, network, final, port, packet.source)
            return
    elif network is not None and network.driver in ON_PARENT:
        if (holder := facts.holder(final)) and _kept_apart(walk, went, network, holder[0], out):
            return
        to_member(walk, network, final, port, packet.source)
        return
    if network is None and next_hop_silent(walk, (route.gateway if route else None) or final, out):
        return
    if out and (served := facts.bridges.get(out)) and walk.sender.container is None and network is None:
        trail.say("route", f"{final} is taken to be on {out} ({served.name})")
    trail.beyond = True
    trail.say("route", f"leaves {facts.here} by {out}" if out else f"leaves {facts.here}")
    not_masqueraded(walk, packet, went, out)


def _kept_apart(walk: Walk, went: Journey, network: Network, holder: Container, out: str | None) -> bool:
    """What leaves by the parent goes out on the wire, past its children, whoever sends it."""
    if by_shim(walk.facts, went.packet.destination):
        return False
    if went.packet.in_interface is None:
        text = f"{network.driver} {network.name}: the host cannot talk to its own children"
        walk.trail.stop("network", IsolatedFromHost(container=holder, network=network), text)
    elif walk.sender.container and out == network.options.get("parent"):
        text = f"{network.driver} {network.name}: what leaves by {out} does not come to {holder.name}"
        walk.trail.stop("network", IsolatedFromHost(container=holder, network=network), text)
    return walk.trail.ended


def _deliver_locally(walk: Walk, stack: NetworkStack, packet: Packet, final: str, port: int) -> None:
    """To a process of the host: docker-proxy, which dials the container itself, or any other listener."""
    facts, trail = walk.facts, walk.trail
    published = published_at(walk, final, port)
    listener = best_listener(stack.listeners, final, port, walk.protocol)
    if published and (listener is None or is_proxy(listener)):
        held = listener is not None and is_of_daemon(listener) and without_proxy(facts) is not None
        container, mapping = published
        if held or (listener is None and stack.listeners is not None):
            trail.published, trail.container = mapping, container
            not_translated = untranslated(facts, container, mapping, packet, held=held)
            trail.stop("mapping", not_translated, f"neither a DNAT rule nor docker-proxy takes {at(final, port)}")
            return
        if listener is None:
            trail.doubt("mapping", f"listeners of {facts.here} could not be read")
        if listener is not None and _proxy_halted(walk, container, mapping, listener):
            return
        trail.published = mapping
        trail.say("mapping", f"docker-proxy to {container.name}:{mapping.port}")
        client = "" if packet.in_interface is None else packet.source
        _by_proxy(walk, container, mapping, final)
        _answered_by_another(walk, stack, container, mapping, asked=final, client=client)
        return
    if listener is not None:
        trail.container, trail.port = _host_mode_owner(facts, listener), port
    elif trail.diverted and stack.listeners is not None:
        trail.stop("mapping", trail.diverted, f"a rule leads it to port {port} of {facts.here}, where nothing listens")
    to_process(walk, stack, final, port)


def _proxy_halted(walk: Walk, container: Container, mapping: PublishedPort, listener: Listener) -> bool:
    """docker-proxy is there and does not run: the kernel opens connections, and nobody takes them further."""
    process = listener.process
    if process is None or not process.halted:
        return False
    walk.trail.published, walk.trail.container = mapping, container
    stopped = NotTranslated(container=container, published=mapping, dnat=False, held=True, proxy=process, proven=True)
    walk.trail.stop("mapping", stopped, f"docker-proxy (process {process.pid}) is {process.halted}")
    return True


def _by_proxy(walk: Walk, container: Container, mapping: PublishedPort, dialled: str) -> None:
    """docker-proxy dials the container's address from the host: from here on, the host is the sender."""
    walk.proxied += 1
    family = 6 if ":" in dialled else 4
    endpoints = [e for e in walk.facts.endpoints(container) if e.ipv4 or e.ipv6]
    able = (e for e in endpoints if (n := walk.facts.network_of(e)) and n.driver == "bridge" and not n.internal)
    bridged = sorted(able, key=gateway_rank)
    way = walk.facts.way_out_of_overlays(container)
    chosen = next(iter(bridged or ([way] if way else endpoints)), None)
    address = chosen and ((chosen.ipv6 if family == 6 and chosen.ipv6 else None) or chosen.ipv4 or chosen.ipv6)
    if not address or walk.proxied > 2 or walk.facts.stack is None:
        enter(walk, container, chosen, None, address or "", mapping.port)
        return
    found = lookup(walk.facts.stack, address, protocol=walk.protocol, port=mapping.port)
    if found.kind != "unicast":
        stop_without_route(walk, "host", address, found, container)
        return
    walk.trail.backend = (address, mapping.port)
    walk.sender = Sender()
    through_host(walk, walk.packet(found.source or "", address, mapping.port))


def _answered_by_another(
    walk: Walk, stack: NetworkStack, container: Container, mapping: PublishedPort, *, asked: str, client: str
) -> None:
    """Up to 26.1 docker-proxy answers datagrams from its socket as it is: one that is bound to all addresses takes the one of
    the way to the client (seen on 20.10 and 26.1; 28.5 answers from the address that was asked)."""
    old = (0, 0) < walk.facts.generation < (27, 0)
    if walk.trail.ended or walk.protocol != "udp" or not client or not old or mapping.host_ip not in ("", *UNSPECIFIED):
        return
    back = lookup(stack, client, protocol="udp", sport=mapping.host_port)
    if back.kind == "unicast" and back.source and back.source != asked:
        obstacle = AnsweredByAnother(container=container, asked=asked, source=back.source)
        walk.trail.stop("answer", obstacle, f"docker-proxy answers from {back.source}, not from {asked}")


def _host_mode_owner(facts: HostFacts, listener: Listener) -> Container | None:
    """The container in host mode that a socket of the host belongs to."""
    process = listener.process
    return facts.container(process.container) if process and process.container else None
