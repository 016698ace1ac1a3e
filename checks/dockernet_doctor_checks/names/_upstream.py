"""The servers behind a container's names: how sentences and findings call them, and what stands on the way to them."""

from __future__ import annotations

from collections.abc import Iterable

from dockernet_doctor.plugin import (
    HostFacts,
    Subject,
    container_subject,
    daemon_subject,
    filtering,
    host_subject,
    is_loopback,
    listed,
    model,
    name_servers,
    names,
    obstacles,
)

RESOLV_CONF = name_servers.RESOLV_CONF
_ROOTS: dict[type[obstacles.Obstacle], tuple[str, ...]] = {
    obstacles.ForwardingOff: ("ip-forwarding-off",),
    obstacles.NoMasquerade: ("docker-rules-missing", "iptables-disabled", "masquerade-disabled"),
    obstacles.LinkBroken: ("bridge-down", "veth-detached", "container-interface-down", "bridge-skips-container"),
    obstacles.NoRoute: ("route-missing", "container-interface-down"),
    obstacles.PolicyBlocks: ("ipsec-policy-blocks",),
    obstacles.RouteElsewhere: ("route-bypasses-bridge",),
    obstacles.SubnetOverlaps: ("subnet-overlap",),
}
_OF_RULES: dict[str, tuple[str, ...]] = {
    "foreign": ("firewall-drops-traffic",),
    "missing": ("docker-rules-missing",),
    "disabled": ("iptables-disabled",),
    "left-behind": ("forward-policy-left-behind",),
    "docker": ("no-shared-network",),
}


def roots_of(facts: HostFacts, container: model.Container, servers: Iterable[names.Server]) -> tuple[str, ...]:
    """The causes of what stands on the way to these servers; none where the packets come out, and nobody answers."""
    found = ["dns-reply-wrong-source"]  # that one is about the answer
    found += ["engine-bug-known"] if any(n.has_dns for n in facts.networks_of(container)) else []  # who asks is the engine
    for server in servers:
        obstacle, _ = filtering.before_server(facts, container, server) or (None, "")
        if isinstance(obstacle, obstacles.Dropped):
            found += _OF_RULES.get(obstacle.reason, ())
        elif obstacle is not None:
            found += _ROOTS.get(type(obstacle), ())
    return tuple(found)


def servers_text(facts: HostFacts, servers: Iterable[names.Server]) -> str:
    """The servers, and of which containers they are."""
    said = []
    for server in servers:
        found = holder(facts, server)
        state = "" if found is None or found.state.running else f", which is {found.state.status}"
        said.append(f"{server.address} ({found}{state})" if found else server.address)
    return listed(said)


def holder(facts: HostFacts, server: names.Server) -> model.Container | None:
    """The container that serves at this address, or would where it ran: by its own, or by a published port 53."""
    if is_loopback(server.address):
        return None
    if found := facts.holder(server.address):
        return found[0]
    if facts.is_own(server.address):
        binding = ("53", "udp")
        return next((c for c in facts.containers if any((b.host_port, b.protocol) == binding for b in c.bindings)), None)
    asked = (c for c in facts.containers if any(server.address in (e.requested_ipv4, e.requested_ipv6) for e in c.endpoints))
    return next(asked, None)


def by(facts: HostFacts, container: model.Container) -> str:
    """Who names the servers, in a sentence: a subject and its verb."""
    chosen = {
        "mount": f"the file mounted at {RESOLV_CONF} of {container} names",
        "container": f"the dns option of {container} names",
        "daemon": "the daemon's dns option names",
    }
    by_host = "named when it started" if was_mended(facts, container) else "names"
    return chosen.get(name_servers.told_by(facts, container), f"{facts.here}'s /etc/resolv.conf {by_host}")


def was_mended(facts: HostFacts, container: model.Container) -> bool:
    """True if the host's file names other servers by now: a container keeps those of its start.

    IPv6 and loopback servers do not count, which the engine may leave out.
    """
    host = facts.host.resolv_conf if facts.host else None
    now = {a for a in (host.nameservers if host else ()) if ":" not in a and not is_loopback(a)}
    asked = {s.address for s in names.servers_of(facts, container)}
    return bool(now) and name_servers.told_by(facts, container) == "host" and not now & asked


def subject_of(facts: HostFacts, container: model.Container) -> Subject:
    """What to change, by who chose the servers."""
    match name_servers.told_by(facts, container):
        case "container" | "mount":
            return container_subject(facts, container)
        case "daemon":
            return daemon_subject(facts)
        case _:
            return host_subject(facts)
