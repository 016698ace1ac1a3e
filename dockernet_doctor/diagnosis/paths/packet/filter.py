"""What ends it at the hop `filter`: rules of the host and of sandboxes, forwarding that is off, no masquerade."""

from __future__ import annotations

import ipaddress
from functools import lru_cache, partial
from typing import Literal

from msgspec.structs import replace

from dockernet_doctor.diagnosis.facts.host import HostFacts, not_understood
from dockernet_doctor.diagnosis.facts.links import BRIDGED, port_of
from dockernet_doctor.diagnosis.facts.listeners import best_listener
from dockernet_doctor.diagnosis.facts.routing import Lookup, lookup
from dockernet_doctor.diagnosis.path import (
    DirectlyDialled,
    Dropped,
    ForwardingOff,
    NoMasquerade,
    TrackingFull,
    TranslatedElsewhere,
)
from dockernet_doctor.diagnosis.paths.packet.route import answer_strays, bypassed, reverse_filtered, stop_without_route
from dockernet_doctor.diagnosis.paths.packet.trail import Walk
from dockernet_doctor.diagnosis.paths.reasons import dropping_rule
from dockernet_doctor.netfilter.describe import describe, describe_policy
from dockernet_doctor.netfilter.docker import is_docker_rule
from dockernet_doctor.netfilter.evaluate import ask_for_length, journey, locality, reply_to, sees_arp, tell_first_from_later
from dockernet_doctor.netfilter.model import Context, Decision, Journey, Packet, Rule, Ruleset
from dockernet_doctor.netfilter.model import Route as PacketRoute
from dockernet_doctor.notation import UNSPECIFIED, at, bracketed, is_loopback
from dockernet_doctor.once import once_for_each
from dockernet_doctor.snapshot.model import Container, Network, NetworkStack


def answer_dropped(walk: Walk, packet: Packet, went: Journey) -> bool:
    """The rules may let the packet in, and not its answer out or what follows; or this host has no route for the answer."""
    if went.destiny not in ("forward", "local") or walk.facts.rulesets is None:
        return False
    if went.packet.source in UNSPECIFIED:
        if went.destiny != "local":
            return False
        went = replace(went, packet=replace(went.packet, source=_source_to_itself(went.packet)))
    if walk.sender.container and not went.snat and _needs_masquerade(walk.facts, went.packet.source, went.packet.out_interface):
        return False  # nobody answers that: see NoMasquerade
    answer = reply_to(went)
    if went.packet.in_interface == "lo" and answer.dport is None:
        answer = replace(answer, dport=_OWN_PORT)
    back = _answer_fate(walk, went, answer)
    if back is not None and back.connmark not in (None, answer.connmark):
        # the first answer gave the connection a mark, which the next ones may be led by
        back = _answer_fate(walk, went, replace(answer, connmark=back.connmark))
    if back is None:
        return True
    seen: dict[str, Lookup] = {}
    context = host_context(walk.facts, packet.in_interface, seen)
    dropped = _later_dropped(walk.facts.rulesets, packet, went, back, context)
    if dropped is not None and dropped.decision:
        stop_at_rule(walk, "host", dropped.decision, dropped.packet)
    else:
        _note_large(walk, packet, went, answer, context, host_context(walk.facts, answer.in_interface, {}))
    return dropped is not None or _later_strays(walk, packet, went, back)


def _later_strays(walk: Walk, packet: Packet, went: Journey, back: Journey) -> bool:
    """The mark of the connection leads what is sent later for a container elsewhere than the first packet went."""
    network = walk.facts.network_containing(went.packet.destination)
    if went.destiny != "forward" or back.connmark in (None, 0) or network is None or walk.facts.rulesets is None:
        return False
    seen: dict[str, Lookup] = {}
    context = host_context(walk.facts, packet.in_interface, seen)
    later = replace(packet, ctstate="ESTABLISHED", connmark=back.connmark)
    found = journey(walk.facts.rulesets, later, context, connection=went)
    route = seen.get(went.packet.destination)
    if route is None or route.kind != "unicast" or route.link == went.packet.out_interface:
        return False
    return bypassed(walk, network, found.packet.destination, route.link or "", route)


def _later_dropped(
    rulesets: tuple[Ruleset, ...], packet: Packet, went: Journey, back: Journey, context: Context
) -> Journey | None:
    """The way of what is sent once the connection is there, where it is dropped: rules may accept its first packet only."""
    if packet.protocol != "tcp" or went.packet.ctstate == "UNTRACKED" or not tell_first_from_later(rulesets):
        return None
    later = replace(packet, ctstate="ESTABLISHED", connmark=back.connmark)
    found = journey(rulesets, later, context, connection=went)
    return found if found.verdict in ("drop", "reject") and found.decision else None


def _note_large(walk: Walk, packet: Packet, went: Journey, answer: Packet, there: Context, back: Context) -> None:
    """The rules let pass the small packets by which a connection opens, and not the full ones, of the one side or the other."""
    rulesets = walk.facts.rulesets
    if rulesets is None or packet.protocol != "tcp" or not ask_for_length(rulesets):
        return
    sides = (walk.facts.link(name) for name in (went.packet.in_interface, went.packet.out_interface))
    full = min(_FULL, *(link.mtu for link in sides if link is not None and link.mtu))
    found = (
        journey(rulesets, replace(packet, ctstate="ESTABLISHED", length=full), there, connection=went),
        journey(rulesets, replace(answer, length=full), back),
    )
    dropped = next((way.decision for way in found if way.verdict in ("drop", "reject")), None)
    if dropped is not None:
        walk.trail.large = dropped if dropped.packet else replace(dropped, packet=packet)


_FULL = 1500
"""Bytes of a packet that fills an Ethernet frame."""


def _answer_fate(walk: Walk, went: Journey, answer: Packet) -> Journey | None:
    """The answer's way; None where it ended, and the obstacle is in the trail."""
    assert walk.facts.rulesets is not None
    seen: dict[str, Lookup] = {}
    back = journey(walk.facts.rulesets, answer, host_context(walk.facts, answer.in_interface, seen))
    found = seen.get(back.packet.destination)
    if back.hook != "prerouting" and _answer_refused(walk, back, answer):
        return None
    forwarded = went.destiny == "forward"
    if forwarded and walk.sender.outside:
        walk.went, walk.back = went, found
    rule = found.rule if found and forwarded and walk.sender.outside else None
    ruled = rule is not None and (
        rule.source or rule.in_interface or rule.mark is not None
    )  # of such a rule: see `reply_ruled_away`
    if back.destiny == "none" and found is not None and not ruled:
        stop_without_route(walk, "host", back.packet.destination, found, None)
        return None
    if back.destiny == "forward" and found is not None and answer_strays(walk, went.packet.in_interface, back.packet, found):
        return None
    if back.verdict not in ("drop", "reject") or back.decision is None:
        _keep_undecided(walk, back)
        if walk.sender.outside and found is not None and found.kind == "unicast":
            walk.answers_to = found.gateway or back.packet.destination, found.link
        return back
    stop_at_rule(walk, "host", back.decision, back.packet, direction="reply")
    return None


def way_back(walk: Walk, client: str) -> Lookup | None:
    """How this host routes the answer to another client than the one that the walk is about; None where it does not."""
    facts, went = walk.facts, walk.went
    if went is None or facts.rulesets is None:
        return None
    answer = replace(reply_to(went), destination=client)
    seen: dict[str, Lookup] = {}
    journey(facts.rulesets, answer, host_context(facts, answer.in_interface, seen))
    return seen.get(client)


_OWN_PORT = 49152
"""One of those that this host takes for connections to itself (ip_local_port_range: 32768 to 60999): never that of a service
which it dials."""


def _source_to_itself(packet: Packet) -> str:
    """The address that this host takes to dial one of its own: the same one, but 127.0.0.1 for all of 127.0.0.0/8."""
    dialled = packet.original_destination or packet.destination
    return "127.0.0.1" if dialled.startswith("127.") else dialled


def _answer_refused(walk: Walk, back: Journey, answer: Packet) -> bool:
    """Where another machine's answer comes in, rp_filter asks for the way back to that machine."""
    stack = walk.facts.machine
    if stack is None or answer.in_interface is None or answer.in_interface in walk.facts.bridges:
        return False
    came = replace(back.packet, in_interface=answer.in_interface, source=answer.source)
    return reverse_filtered(walk, stack, came, came.destination, reply=True)


SOLICITATION, ADVERTISEMENT = 135, 136


def discovery_dropped(walk: Walk, stack: NetworkStack, packet: Packet, went: Journey) -> bool:
    """Neighbours find one another by ARP or ICMPv6, which this host's own rules decide on, whatever they let pass besides.

    Conntrack does not track ICMPv6, so no rule about states lets it in (RFC 4861, nf_conntrack_proto_icmpv6.c).
    """
    if went.verdict != "accept":
        return False
    sides = ((packet.in_interface, packet.source, True), (went.packet.out_interface, went.packet.destination, False))
    for interface, peer, asks in sides:
        own = next((a.address for a in stack.addresses if a.link == interface and a.family == packet.family), "")
        if interface is None or interface == "lo" or not own:
            continue
        if packet.family == 4:
            near = lookup(stack, peer).gateway or peer
            if _asked_by_arp(stack, interface, near) and (dropped := _arp_fate(walk.facts, interface, own, near, asks)):
                stop_at_rule(walk, "host", *dropped)
                return True
            continue
        for kind in (SOLICITATION, ADVERTISEMENT):
            for incoming in (True, False):
                sender, receiver = (peer, own) if incoming else (own, peer)
                fate = partial(_discovery_fate, walk.facts, interface, receiver, kind, incoming)
                if dropped := fate("fe80::1") and fate(sender):  # from either address that it may come from
                    stop_at_rule(walk, "host", *dropped)
                    return True
    return False


def _asked_by_arp(stack: NetworkStack, interface: str, near: str) -> bool:
    """True if ARP finds the neighbour there: no entry was set by hand, and the interface is none that needs no ARP."""
    link = next((li for li in stack.links if li.name == interface), None)
    settled = any((n.address, n.link, n.state) == (near, interface, "permanent") for n in stack.neighbours)
    return link is not None and link.arp and bool(link.mac) and not settled


@lru_cache(maxsize=4096)
def _arp_fate(facts: HostFacts, interface: str, own: str, peer: str, asks: bool) -> tuple[Decision, Packet] | None:
    """What drops the request of whoever sends first (`asks`: the peer), or the answer to it."""
    if facts.stack is None or facts.rulesets is None or not sees_arp(facts.rulesets):
        return None
    return _arp_between(facts.rulesets, interface, own, peer, asks=asks, host=_context(facts), port=port_of(facts, peer))


def _arp_between(
    rulesets: tuple[Ruleset, ...],
    interface: str,
    own: str,
    peer: str,
    *,
    asks: bool,
    host: Context | None = None,
    port: str | None = None,
) -> tuple[Decision, Packet] | None:
    asker, asked = (peer, own) if asks else (own, peer)
    request = replace(_ARP, source=asker, destination=asked)
    answer = replace(_ARP, source=asked, destination=asker, arp=2)
    there = host or Context(locality=locality({own}), route=lambda _packet: PacketRoute(kind="unknown"))
    for message, incoming in ((request, asks), (answer, not asks)):
        way = PacketRoute(kind="local") if incoming else PacketRoute(kind="forward", out_interface=interface, physdev_out=port)
        sides = {"in_interface": interface, "physdev_in": port} if incoming else {}
        found = journey(rulesets, replace(message, **sides), replace(there, route=partial(_always, way)))
        if found.verdict == "drop" and found.decision:
            return found.decision, found.packet
    return None


_ARP = Packet(protocol="arp", arp=1, source="0.0.0.0", destination="0.0.0.0", ctstate="UNTRACKED")


def _always(way: PacketRoute, _packet: Packet) -> PacketRoute:
    return way


@lru_cache(maxsize=4096)
def _discovery_fate(
    facts: HostFacts, interface: str, receiver: str, kind: int, incoming: bool, source: str
) -> tuple[Decision, Packet] | None:
    """What drops this message of neighbour discovery, as a decision on all of them, and the message itself.

    Remembered: many containers are behind one interface, and each of them is asked about several times.
    """
    if facts.stack is None or facts.rulesets is None:
        return None
    route = PacketRoute(kind="local") if incoming else PacketRoute(kind="forward", out_interface=interface)
    context = replace(_context(facts), route=lambda _packet: route)
    if kind == SOLICITATION:  # goes to the group of all whose address ends so
        receiver = str(ipaddress.IPv6Address("ff02::1:ff00:0") + (int(ipaddress.IPv6Address(receiver)) & 0xFFFFFF))
    message = Packet(
        family=6,
        protocol="icmpv6",
        source=source,
        destination=receiver,
        icmp_type=kind,
        in_interface=interface if incoming else None,
        ctstate="UNTRACKED",
    )
    found = journey(facts.rulesets, message, context)
    if found.verdict not in ("drop", "reject") or found.decision is None:
        return None
    every = replace(found.packet, source="::/0", destination="::/0", in_interface=None, out_interface=None)
    return replace(found.decision, packet=every), found.packet


BRIDGE_NETFILTER = {4: "net.bridge.bridge-nf-call-iptables", 6: "net.bridge.bridge-nf-call-ip6tables"}


def bridged_drop(walk: Walk, network: Network, address: str, port: int, origin: str) -> bool:
    """Two members of one bridge: iptables sees it only where br_netfilter hands it over, nft's chains for bridges always."""
    facts = walk.facts
    if facts.stack is None or facts.rulesets is None:
        walk.trail.doubt("filter", f"{facts.here}'s firewall rules could not be read")
        return False
    key = BRIDGE_NETFILTER[6 if ":" in address else 4]
    handed_over = facts.sysctl(key) == "1"
    packet = walk.packet(origin, address, port, in_interface=network.bridge, out_interface=network.bridge, bridged=True)
    packet = replace(packet, physdev_out=port_of(facts, address))
    route = PacketRoute(kind="forward", out_interface=network.bridge)
    context = replace(_context(facts), route=lambda _packet: route)
    went = journey(facts.rulesets, packet, context)
    if handed_over:
        note_accepted(walk, went)
    else:
        walk.trail.say("filter", f"not filtered: {key} is off")
    if went.verdict in ("drop", "reject") and went.decision:
        stop_at_rule(walk, "host", went.decision, went.packet, network)
        return True
    if went.verdict == "unknown":
        doubt_rule(walk, went)
        return False
    if _arp_not_bridged(walk, packet, context, network):
        return True
    answer = replace(reply_to(went), in_interface=network.bridge, out_interface=network.bridge)
    back = journey(facts.rulesets, answer, context)
    if back.verdict in ("drop", "reject") and back.decision:
        stop_at_rule(walk, "host", back.decision, back.packet, network, direction="reply")
        return True
    _keep_undecided(walk, back)
    dropped = _later_dropped(facts.rulesets, packet, went, back, context)
    if dropped is not None and dropped.decision:
        stop_at_rule(walk, "host", dropped.decision, dropped.packet, network)
    else:
        _note_large(walk, packet, went, answer, context, context)
    return dropped is not None


def doubt_rule(walk: Walk, went: Journey) -> None:
    """A rule decides whether the packet passes, and what it will say no snapshot tells."""
    what = went.decision.unknown.what if went.decision and went.decision.unknown else "a rule"
    walk.trail.doubt("filter", f"what {what} decides is not known")
    walk.trail.undecided = went.decision


def _keep_undecided(walk: Walk, back: Journey) -> None:
    """What may drop the answer now and then is no doubt about the way, and explains it where answers are lost. What drops all
    of them or none is one."""
    if back.decision and back.decision.unknown and back.decision.unknown.standing:
        doubt_rule(walk, back)
    elif back.verdict == "unknown":
        walk.trail.undecided = back.decision


def _arp_not_bridged(walk: Walk, packet: Packet, context: Context, network: Network) -> bool:
    """The rules let packets pass between two ports, and not the ARP by which their ends find one another."""
    if walk.facts.rulesets is None or packet.family == 6 or not sees_arp(walk.facts.rulesets):
        return False
    request = replace(_ARP, **{name: getattr(packet, name) for name in _BRIDGED})
    back = {"source": "destination", "destination": "source", "physdev_in": "physdev_out", "physdev_out": "physdev_in"}
    answer = replace(request, arp=2, **{name: getattr(packet, other) for name, other in back.items()})
    for message in (request, answer):
        found = journey(walk.facts.rulesets, message, context)
        if found.verdict == "drop" and found.decision:
            stop_at_rule(walk, "host", found.decision, found.packet, network)
            return True
    return False


_BRIDGED = ("source", "destination", "in_interface", "out_interface", "physdev_in", "physdev_out", "bridged")


def sandbox_drops(
    walk: Walk, container: Container, source: str, address: str, port: int, *, inside: str | None = None, out: str | None = None
) -> bool:
    """Rules in the container's own namespace, for what comes in by `inside` or goes `out`."""
    stack = container.sandbox.stack if container.sandbox else None
    rulesets = walk.facts.sandbox_rulesets(container)
    if stack is None or not rulesets:
        return False
    if not_understood(rulesets):
        walk.trail.doubt("filter", f"rules inside {container.name} are not understood")
        return False
    packet = walk.packet(source, address, port, in_interface=inside, out_interface=out)
    route = PacketRoute(kind="forward" if inside is None else "local", out_interface=out)
    own = {(a.link, a.family): a.address for a in reversed(stack.addresses)}
    context = Context(
        locality=locality({a.address for a in stack.addresses}),
        route=lambda sent: PacketRoute(kind="local") if is_loopback(sent.destination) else route,
        interface_address=lambda interface, family: own.get((interface, family)),
    )
    went = journey(rulesets, packet, context)
    if went.verdict in ("drop", "reject") and went.decision:
        stop_at_rule(walk, container.name, went.decision, went.packet)
        return True
    if went.verdict == "unknown":
        doubt_rule(walk, went)
        return False
    if _arp_dropped_inside(walk, container, stack, went):
        return True
    if went.dnat is not None and went.packet.dnat:
        return _led_away_inside(walk, container, stack, went)
    answer = replace(reply_to(went), in_interface=out)
    way = PacketRoute(kind="local" if inside is None else "forward", out_interface=inside)
    back = journey(rulesets, answer, Context(locality=context.locality, route=lambda _packet: way))
    if back.verdict in ("drop", "reject") and back.decision:
        stop_at_rule(walk, container.name, back.decision, back.packet, direction="reply")
        return True
    dropped = _later_dropped(rulesets, packet, went, back, context)
    if dropped is not None and dropped.decision:
        stop_at_rule(walk, container.name, dropped.decision, dropped.packet)
    return dropped is not None


def _arp_dropped_inside(walk: Walk, container: Container, stack: NetworkStack, went: Journey) -> bool:
    """Rules inside drop the ARP by which the container finds who is next, or is found by them."""
    asks = went.packet.in_interface is None  # who sends first asks first
    rulesets, name = walk.facts.sandbox_rulesets(container), went.packet.out_interface if asks else went.packet.in_interface
    peer = went.packet.destination if asks else went.packet.source
    own = next((a.address for a in stack.addresses if a.link == name and a.family == 4), "")
    if not rulesets or not own or name is None or went.packet.family == 6 or not sees_arp(rulesets):
        return False
    near = lookup(stack, peer).gateway or peer
    found = _arp_between(rulesets, name, own, near, asks=not asks) if _asked_by_arp(stack, name, near) else None
    if found is not None:
        stop_at_rule(walk, container.name, *found)
    return found is not None


def _led_away_inside(walk: Walk, container: Container, stack: NetworkStack, went: Journey) -> bool:
    """A rule inside the container translates the destination, as that of a sidecar does: nobody may listen there. Who does
    takes the packet further, so that nothing is said of it while an answer comes."""
    made, packet = went.dnat, went.packet
    stage = next((s for s in went.stages if s.decision.translation is made), None)
    if made is None or stage is None:
        return False
    address, port = packet.destination, packet.dport or 0
    elsewhere = TranslatedElsewhere(
        decision=replace(stage.decision, packet=replace(packet, destination=packet.original_destination or address)),
        address=address,
        port=port,
        inside=container,
        proven=True,
    )
    own = is_loopback(address) or any(a.address == address for a in stack.addresses)
    if own and stack.listeners is not None and best_listener(stack.listeners, address, port, walk.protocol) is None:
        text = f"inside {container.name}, {describe(made.rule)} leads it to {at(address, port)}, where nothing listens"
        walk.trail.stop("mapping", elsewhere, text)
        return True
    walk.trail.say("mapping", f"inside {container.name} a rule leads it to {at(address, port)}")
    walk.trail.diverted = elsewhere
    return False


def own_rules_drop(walk: Walk, container: Container, stack: NetworkStack, address: str, port: int) -> bool:
    """Rules in the container's own namespace, for what it sends to itself: by `lo`, out and in again."""
    rulesets = walk.facts.sandbox_rulesets(container)
    if not rulesets or not_understood(rulesets):
        return False
    way = PacketRoute(kind="local", out_interface="lo")
    context = Context(locality=locality({a.address for a in stack.addresses}), route=lambda _packet: way)
    packet = walk.packet(_source_to_itself(walk.packet("", address, port)), address, port)
    went = journey(rulesets, packet, context)
    back = journey(rulesets, replace(reply_to(went), in_interface=None), context) if went.verdict == "accept" else went
    if back.verdict in ("drop", "reject") and back.decision:
        direction: Literal["request", "reply"] = "request" if back is went else "reply"
        stop_at_rule(walk, container.name, back.decision, back.packet, direction=direction)
    elif back.verdict == "unknown" and back is went:
        doubt_rule(walk, went)
    return walk.trail.ended


def stop_at_rule(
    walk: Walk,
    where: str,
    decision: Decision,
    packet: Packet,
    network: Network | None = None,
    *,
    direction: Literal["request", "reply"] = "request",
) -> None:
    """A rule or policy of `where`, the host or a container, ends it; Docker's own do where others dial a container itself."""
    if decision.rule is not None:
        rule = describe(decision.rule)
    elif decision.chain is not None:
        rule = describe_policy(decision.chain)
    else:
        rule = decision.verdict
    verb = "rejects" if decision.verdict == "reject" else "drops"
    what = "it" if direction == "request" else "the answer to it"
    holder = walk.facts.holder(walk.dialled) if where == "host" and walk.sender.outside else None
    if holder and (decision.rule is None or is_docker_rule(decision.rule, tuple(walk.facts.bridges))):
        direct = DirectlyDialled(container=holder[0], address=walk.dialled, decision=decision)
        walk.trail.stop("filter", direct, f"{rule} {verb} what other machines send to {walk.dialled} itself")
        return
    walk.trail.stop(
        "filter",
        Dropped(
            reason=dropping_rule.reason_of(walk.facts, where, decision),
            where=where,
            decision=decision,
            direction=direction,
            packet=_packet_text(packet),
            network=network or walk.trail.network,
        ),
        f"{rule} {verb} {what}" if where == "host" else f"inside {where}, {rule} {verb} {what}",
    )


def note_accepted(walk: Walk, went: Journey) -> None:
    """The rule that lets it pass, for people."""
    if went.verdict == "accept":
        rule = next((s.decision.rule for s in reversed(went.stages) if s.table == "filter" and s.decision.rule), None)
        walk.trail.say("filter", f"accepted by {describe(rule)}" if rule else "accepted")


def forwarding_off(walk: Walk, stack: NetworkStack, in_interface: str | None, packet: Packet) -> bool:
    """The kernel forwards nothing that comes in by this interface (IPv6: by any)."""
    if in_interface is None:
        return False
    if packet.family == 4:
        keys: tuple[str, ...] = (f"net.ipv4.conf.{in_interface}.forwarding", "net.ipv4.ip_forward")
    else:
        keys = ("net.ipv6.conf.all.forwarding",)
    value = next(((key, stack.sysctls[key]) for key in keys if key in stack.sysctls), None)
    if value is None or value[1] != "0":
        return False
    whole = stack.sysctls.get("net.ipv4.ip_forward") == "0" and packet.family == 4
    key = "net.ipv4.ip_forward" if whole else value[0]
    walk.trail.stop("filter", ForwardingOff(sysctl=key, value="0", proven=True), f"{key} = 0: nothing is forwarded")
    return True


def tracking_full(walk: Walk) -> bool:
    """A packet of another machine that opens a connection, where no more are tracked (nf_conntrack_core.c). Those of this
    machine are dialled, so that it is seen whether one gets through."""
    table = walk.facts.host.conntrack if walk.facts.host else None
    if table is None or not walk.sender.outside or not 0 < table.maximum <= table.count:
        return False
    text = f"connection tracking is full: {table.count} of {table.maximum}"
    walk.trail.stop("filter", TrackingFull(tracked=table.count, proven=True), text)
    return True


def not_masqueraded(walk: Walk, packet: Packet, went: Journey, out: str | None) -> None:
    """What leaves this host by the address of a container gets no answer."""
    source, facts = walk.sender.container, walk.facts
    if source is None or not _needs_masquerade(facts, packet.source, out):
        return
    owner = next((n for n in facts.networks_of(source) if n is facts.network_containing(packet.source)), None)
    if owner is None:
        return
    leaves_as = went.packet.source
    first = _translated_by_others(facts, went)
    obstacle = NoMasquerade(container=source, network=owner, source=leaves_as, decision=first)
    masked = went.snat is not None and (went.snat.kind == "masquerade" or facts.is_own(leaves_as))
    if masked:
        return
    if first is not None:
        walk.trail.diverted = obstacle  # whoever made that rule may have given the others a route back
    elif went.snat is None:
        walk.trail.stop("filter", obstacle, f"leaves as {leaves_as}: no masquerade for {owner.name}")


def _translated_by_others(facts: HostFacts, went: Journey) -> Decision | None:
    """What a rule that is not Docker's decided on the source address, before Docker's masquerade could."""
    for stage in went.stages:
        chain, rule = stage.decision.chain, stage.decision.rule or _left_by(stage.decision)
        translates = stage.table == "nat" or (chain is not None and chain.type == "nat")
        if stage.hook == "postrouting" and translates and rule and not is_docker_rule(rule, tuple(facts.bridges)):
            return replace(stage.decision, rule=rule)
    return None


def _left_by(decision: Decision) -> Rule | None:
    """The rule that ended the base chain silently: `-j RETURN`, which keeps the packet from those that come after it."""
    last = decision.trace[-1] if decision.trace else None
    if last is None or decision.chain is None or last.chain != decision.chain.name:
        return None
    return last if last.target.verdict == "return" else None


def _needs_masquerade(facts: HostFacts, address: str, out: str | None) -> bool:
    network = facts.network_containing(address)
    return network is not None and network.driver in BRIDGED and out is not None and out not in facts.bridges


def host_context(facts: HostFacts, in_interface: str | None, seen: dict[str, Lookup]) -> Context:
    """What the host's rules ask for: routes (`seen` takes the lookups by address), addresses, sets."""
    stack = facts.machine
    assert stack is not None

    def decide(packet: Packet) -> PacketRoute:
        # who connects by IPv4 looks for the way again, once with the address that was chosen (ip_route_connect)
        known = in_interface is not None or packet.reply or packet.family == 4
        source = packet.source if known and packet.source != "0.0.0.0" else None
        found = lookup(
            stack,
            packet.destination,
            source=source,
            in_interface=in_interface,
            mark=packet.mark,
            protocol=packet.protocol,
            port=packet.dport or 0,
            sport=packet.sport or 0,
        )
        seen[packet.destination] = found
        if found.kind == "local":
            return PacketRoute(kind="local", out_interface="lo" if in_interface is None else None)
        if found.kind != "unicast":
            return PacketRoute(kind="none")
        return PacketRoute(
            kind="forward",
            out_interface=found.link,
            physdev_out=port_of(facts, packet.destination) if found.link in facts.bridges else None,
        )

    return replace(_context(facts), route=decide)


@once_for_each
def _context(facts: HostFacts) -> Context:
    """The same without routes."""
    stack = facts.machine
    assert stack is not None
    first: dict[tuple[str, int], str] = {}
    for address in stack.addresses:
        first.setdefault((address.link, address.family), address.address)

    def back(packet: Packet) -> PacketRoute:
        found = lookup(stack, packet.source, source=packet.destination, mark=packet.mark)
        return PacketRoute(kind="forward" if found.kind == "unicast" else "none", out_interface=found.link)

    return Context(
        locality=facts.locality,
        route=lambda _packet: PacketRoute(kind="unknown"),
        route_back=back,
        interface_address=lambda interface, family: first.get((interface, family)),
        ipsets=facts.ipsets,
        ipsets_known=stack.firewall is not None,
        bridge_netfilter=frozenset(family for family, key in BRIDGE_NETFILTER.items() if facts.sysctl(key) == "1"),
        bridges=frozenset(link.name for link in stack.links if link.kind == "bridge"),
    )


def _packet_text(packet: Packet) -> str:
    """For people: `tcp 10.0.0.9 → 172.17.0.2:80, eth1 → docker0`."""
    port = f":{packet.dport}" if packet.dport else ""
    destination = bracketed(packet.destination) if port else packet.destination
    way = f", {packet.in_interface or 'host'} → {packet.out_interface or 'host'}"
    return f"{packet.protocol} {packet.source} → {destination}{port}{way}"
