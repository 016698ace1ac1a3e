"""From the host or beyond to a rootless daemon: its networks are in RootlessKit's namespace, and only published ports lead in.

RootlessKit (or slirp4netns, or pasta) listens on the host for each of them, and what it takes goes by docker-proxy to the
container, all inside.
"""

from __future__ import annotations

from dockernet_doctor.diagnosis.facts.host import not_understood, rulesets
from dockernet_doctor.diagnosis.facts.listeners import best_listener
from dockernet_doctor.diagnosis.path import Apart
from dockernet_doctor.diagnosis.paths.packet.filter import host_context, note_accepted, stop_at_rule
from dockernet_doctor.diagnosis.paths.packet.inspection import by_inspection
from dockernet_doctor.diagnosis.paths.packet.mapping import published_at
from dockernet_doctor.diagnosis.paths.packet.member import enter, to_process
from dockernet_doctor.diagnosis.paths.packet.trail import Walk
from dockernet_doctor.netfilter.evaluate import journey
from dockernet_doctor.netfilter.model import Packet
from dockernet_doctor.snapshot.model import Container, NetworkStack


def to_rootless(walk: Walk, packet: Packet) -> None:
    """What the host or another machine sends: through the host's own rules, to who listens there."""
    facts, trail, address = walk.facts, walk.trail, packet.destination
    machine = facts.machine
    if facts.network_containing(address) and not facts.is_own(address):
        holder = facts.holder(address)
        _stop_apart(walk, holder[0] if holder else None, address)
    elif machine is None:
        for hop in ("route", "filter"):
            trail.doubt(hop, f"{facts.here}'s network could not be read")
        by_inspection(walk, address, packet.dport or 0)
    elif not _dropped(walk, machine, packet):
        _deliver(walk, machine, address, packet.dport or 0)


def _stop_apart(walk: Walk, container: Container | None, address: str) -> None:
    """It ends here: whoever answers at this address is not the one inside."""
    apart = Apart(container=container, address=address, proven=True)
    who = container.name if container else address
    walk.trail.stop("route", apart, f"{who} is in RootlessKit's network namespace")


def _in_host_mode(walk: Walk, port: int) -> Container | None:
    """The container in host mode that is meant: the one that was named, or who listens on that port inside."""
    meant = walk.trail.container
    return next(
        (
            container
            for container in walk.facts.running
            if container.network_mode == "host"
            and (container is meant or any(li.port == port for li in walk.facts.listeners(container, walk.protocol) or ()))
        ),
        None,
    )


def _dropped(walk: Walk, machine: NetworkStack, packet: Packet) -> bool:
    if machine.firewall is None or not_understood(rulesets(machine)):
        if walk.sender.outside:  # the host's own dial is tried
            walk.trail.doubt("filter", f"{walk.facts.here}'s firewall rules could not be read")
        return False
    context = host_context(walk.facts, packet.in_interface, {})
    went = journey(rulesets(machine), packet, context)
    note_accepted(walk, went)
    if went.verdict in ("drop", "reject") and went.decision:
        stop_at_rule(walk, "host", went.decision, went.packet)
        return True
    if went.verdict == "unknown":
        walk.trail.doubt("filter", f"a rule of {walk.facts.here} cannot be decided")
    return False


def _deliver(walk: Walk, machine: NetworkStack, address: str, port: int) -> None:
    facts, trail = walk.facts, walk.trail
    listener = best_listener(machine.listeners, address, port, walk.protocol)
    if published := published_at(walk, address, port):
        container, mapping = published
        trail.published = mapping
        if listener is None:
            trail.doubt("mapping", f"nothing is seen to listen on port {port} of {facts.here}")
        else:
            opener = listener.process.name if listener.process else "RootlessKit"
            trail.say("mapping", f"{opener} to {container.name}:{mapping.port}")
        endpoint = next((e for e in facts.endpoints(container) if e.ipv4 or e.ipv6), None)
        own = (endpoint.ipv4 or endpoint.ipv6 or "") if endpoint else ""
        trail.backend = (own, mapping.port) if own else None
        enter(walk, container, endpoint, None, own, mapping.port)
    elif not facts.is_own(address):
        trail.beyond = True
    elif listener is None and machine.listeners is not None and (inside := _in_host_mode(walk, port)):
        _stop_apart(walk, inside, address)
    else:
        to_process(walk, machine, address, port)
