"""What ends it at the hop `mapping`: a published port whose packets are not, or wrongly, translated."""

from __future__ import annotations

from typing import Literal

from dockernet_doctor.diagnosis.facts.docker_rules import asks_dnats, leads
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.facts.listeners import best_listener, binds, is_of_daemon
from dockernet_doctor.diagnosis.path import NotTranslated, StaleFlow, TranslatedElsewhere
from dockernet_doctor.diagnosis.paths.packet.trail import Walk
from dockernet_doctor.netfilter.describe import describe
from dockernet_doctor.netfilter.docker import is_docker_rule
from dockernet_doctor.netfilter.model import Decision, Journey, Packet
from dockernet_doctor.notation import is_loopback
from dockernet_doctor.snapshot.model import Container, NetworkStack, PublishedPort


def published_at(walk: Walk, address: str, port: int) -> tuple[Container, PublishedPort] | None:
    """Whose port is published at this address and port of the host."""
    return next((found for found in walk.facts.published_on(port, walk.protocol) if binds(found[1].host_ip, address)), None)


def taken_first(walk: Walk, packet: Packet, went: Journey) -> bool:
    """A rule that is not Docker's, or that it left behind, translates what was sent to a published port, and not to that
    container.

    Of what was sent elsewhere it is kept in mind: a proxy may well answer there.
    """
    made = went.dnat
    if made is None:
        return False
    address, port = made.address or packet.destination, made.port or packet.dport or 0
    published = published_at(walk, packet.destination, packet.dport or 0)
    dockers = is_docker_rule(made.rule, tuple(walk.facts.bridges))
    if dockers and not (published and _of_former_times(walk.facts, published[0], address)):
        return False
    meant = walk.facts.endpoints(published[0]) if published else ()
    if published and any(address in (e.ipv4, e.ipv6) for e in meant) and port == published[1].port:
        return False
    holder = walk.facts.holder(address)
    stage = next((s for s in went.stages if s.decision.translation is made), None)
    elsewhere = TranslatedElsewhere(
        decision=stage.decision if stage else Decision(verdict="accept", rule=made.rule, translation=made),
        address=address,
        port=port,
        container=published[0] if published else None,
        holder=holder[0] if holder else None,
        left_behind=dockers,
        proven=True,
    )
    if published is None:
        walk.trail.diverted = elsewhere
        return False
    walk.trail.container, walk.trail.published = published
    walk.trail.stop("mapping", elsewhere, f"{describe(made.rule)} takes it to {address}:{port} before Docker's DNAT")
    return True


def _of_former_times(facts: HostFacts, container: Container, address: str) -> bool:
    """True if the address is none of the container's, and on a bridge network of its own: it had it once."""
    network = facts.network_containing(address)
    own = {a for e in facts.endpoints(container) for a in (e.ipv4, e.ipv6)}
    mine = network is not None and network.driver == "bridge" and network in facts.networks_of(container)
    return mine and address not in own and not facts.is_own(address) and not facts.unsettled(container)


def stale_flow(walk: Walk, packet: Packet) -> bool:
    """A UDP flow that connection tracking still leads where the container was, or past the DNAT (see `StaleFlow`)."""
    conntrack = walk.facts.host.conntrack if walk.facts.host else None
    if walk.protocol != "udp" or conntrack is None or not conntrack.entries:
        return False
    published = published_at(walk, packet.destination, packet.dport or 0)
    if published is None:
        return False
    container, mapping = published
    good = {a for e in walk.facts.endpoints(container) for a in (e.ipv4, e.ipv6)}
    stack = walk.facts.stack
    listener = best_listener(stack.listeners if stack else None, packet.destination, mapping.host_port, "udp")
    proxied = listener is not None and not is_of_daemon(listener)
    for entry in conntrack.entries:
        if (entry.destination, entry.dport) != (packet.destination, mapping.host_port) or entry.replied:
            continue
        if entry.reply_source in good or (entry.reply_source == entry.destination and proxied):
            continue
        if walk.sender.outside is walk.facts.is_own(entry.source):
            continue
        walk.trail.published, walk.trail.container = mapping, container
        walk.trail.stop(
            "mapping",
            StaleFlow(container=container, published=mapping, entry=entry, proven=True),
            f"a tracked flow of {entry.source}:{entry.sport} still goes to {entry.reply_source}",
        )
        return True
    return False


def not_hairpinned(walk: Walk, stack: NetworkStack, packet: Packet, went: Journey) -> bool:
    """What a published port needs of the kernel where no docker-proxy stands in (userland-proxy=false)."""
    published = published_at(walk, packet.destination, packet.dport or 0) if went.dnat else None
    out = went.packet.out_interface
    if published is None or out not in walk.facts.bridges:
        return False
    container, mapping = published
    hint: Literal["", "route-localnet", "hairpin", "bridge-netfilter", "proxy-off"] = ""
    if packet.family == 6:
        hint = "proxy-off" if packet.destination == "::1" else ""
    elif packet.in_interface is None and is_loopback(packet.destination):
        values = {stack.sysctls.get(f"net.ipv4.conf.{name}.route_localnet") for name in ("all", out)}
        hint = "route-localnet" if "1" not in values and values != {None} else ""
    elif packet.in_interface == out:
        hint = _needs_of_bridge(walk, stack, container, went)
    if not hint:
        return False
    said = {
        "route-localnet": f"net.ipv4.conf.{out}.route_localnet = 0: nothing from 127.0.0.1 goes out by {out}",
        "hairpin": f"the bridge port of {container.name} does not send back what came from it (hairpin off)",
        "proxy-off": f"nothing from ::1 goes out by {out}",
        "bridge-netfilter": f"answers of {container.name} go past the DNAT: bridge-nf-call-iptables is off",
    }
    walk.trail.published, walk.trail.container = mapping, container
    walk.trail.stop(
        "mapping",
        NotTranslated(container=container, published=mapping, dnat=True, hint=hint, proven=True),
        said[hint],
    )
    return True


def _needs_of_bridge(
    walk: Walk, stack: NetworkStack, container: Container, went: Journey
) -> Literal["", "hairpin", "bridge-netfilter"]:
    """What the bridge has to do where both ends are on it, or are the same container, and does not."""
    sender = walk.sender.container
    if sender is None:
        return ""
    filtered = stack.sysctls.get("net.bridge.bridge-nf-call-iptables") == "1"
    if walk.facts.namespace_owner(sender) is not walk.facts.namespace_owner(container):
        return "" if filtered or went.snat else "bridge-netfilter"
    inner = walk.facts.stack_of(sender)
    outer = [h for link in (inner.links if inner else ()) if (h := walk.facts.host_side(link)) and h.master]
    off = any(h.hairpin is False and h.master == went.packet.out_interface for h in outer)
    return "hairpin" if off and (filtered or not went.snat) else ""


def untranslated(
    facts: HostFacts, container: Container, mapping: PublishedPort, packet: Packet, *, held: bool
) -> NotTranslated:
    """What is said of a published port that nothing takes, or that dockerd only holds; the hint tells what is missing."""
    if held:
        made = any(r.chain("nat", "DOCKER", "ip6") for r in facts.rulesets or ())
        hint: Literal["proxy-off", "rules-gone"] = "proxy-off" if packet.family == 6 and not made else "rules-gone"
        return NotTranslated(container=container, published=mapping, dnat=False, held=True, hint=hint, proven=True)
    dnat = (packet.in_interface is None or asks_dnats(facts)) and leads(facts, mapping.host_port, mapping.port)
    return NotTranslated(
        container=container,
        published=mapping,
        dnat=dnat,
        hint="rules-gone" if not dnat else "proxy-dead" if facts.has_proxies or packet.in_interface is None else "",
        proven=True,
    )
