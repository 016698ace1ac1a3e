"""The servers behind a container's names: which are asked, from where, and who told it so."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator

from dockernet_doctor.plugin import (
    Case,
    HostFacts,
    Probe,
    Severity,
    Subject,
    container_subject,
    daemon,
    daemon_subject,
    filtering,
    host_subject,
    is_loopback,
    listed,
    model,
    names,
    obstacles,
    unanswered_name,
)

RESOLV_CONF = "/etc/resolv.conf"
LOGGED = r"\[resolver\] failed to query external DNS server"
ANY_NAME = "probe.invalid"  # RFC 6761: never exists, so that every answer is one


def told_by(facts: HostFacts, container: model.Container) -> str:
    """Who chose the servers: the file mounted over the container's, its own option, the daemon's, or the host's file."""
    conf, owner = names.resolv_conf(facts, container), facts.namespace_owner(container) or container
    if RESOLV_CONF in (*container.mounts, *owner.mounts) and conf and names.EMBEDDED not in conf.nameservers:
        return "mount"
    return "container" if container.dns else "daemon" if names.daemon_dns(facts) else "host"


def probe_of(case: Case, facts: HostFacts, container: model.Container, server: names.Server) -> Probe:
    vantage = case.vantage(facts, None if server.by_host else container)
    return Probe(kind="dns", vantage=vantage, address=server.address, port=53, name=ANY_NAME)


def askers(facts: HostFacts) -> Iterator[tuple[model.Container, names.Server]]:
    """Each server once for each network it is asked from, by the first container there (64 at most)."""
    seen: set[tuple[names.Server, str]] = set()
    for container in facts.running:
        if container.sandbox is None or container.state.paused or facts.namespace_lost(container):
            continue
        networks = facts.networks_of(container)
        if not networks or all(n.internal or n.driver == "null" for n in networks):
            continue  # no way out, by design
        for server in names.servers_of(facts, container):
            key = asked_from(facts, container, server)
            if key not in seen and is_unicast(server.address) and len(seen) < 64:
                seen.add(key)
                yield container, server


def asked_from(facts: HostFacts, container: model.Container, server: names.Server) -> tuple[names.Server, str]:
    """What makes two questions to a server the same: the network that they come from."""
    networks = facts.networks_of(container)
    return (server, "" if server.by_host or not networks else networks[0].id)


def silent(case: Case) -> Iterator[tuple[HostFacts, model.Container, names.Server, str]]:
    """The servers that did not do their work when they were asked, and what came instead."""
    for facts in case.hosts if case.answers else ():
        for container, server in askers(facts):
            answer = case.answer(probe_of(case, facts, container, server))
            if answer and answer.sent and unanswered_name.failed(answer.result):
                yield facts, container, server, answer.result


def severity(facts: HostFacts, container: model.Container) -> Severity:
    """The severity of a silent server: a fault where somebody named it for containers, or the engine needed it."""
    return "error" if told_by(facts, container) != "host" or daemon.logged(facts, LOGGED) else "info"


def barred(facts: HostFacts, containers: Iterable[model.Container]) -> tuple[model.Container, model.Reference] | None:
    """The first of these containers that dials another machine by its settings, and the setting: it misses its way out."""
    return next(((c, r) for c in containers for r in names.of_the_world(facts, c)), None)


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
    found += ["engine-bug-known"] if any(map(names.has_dns, facts.networks_of(container))) else []  # who asks is the engine
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
    return chosen.get(told_by(facts, container), f"{facts.here}'s /etc/resolv.conf {by_host}")


def was_mended(facts: HostFacts, container: model.Container) -> bool:
    """True if the host's file names other servers by now: a container keeps those of its start.

    IPv6 and loopback servers do not count, which the engine may leave out.
    """
    host = facts.host.resolv_conf if facts.host else None
    now = {a for a in (host.nameservers if host else ()) if ":" not in a and not is_loopback(a)}
    asked = {s.address for s in names.servers_of(facts, container)}
    return bool(now) and told_by(facts, container) == "host" and not now & asked


def subject_of(facts: HostFacts, container: model.Container) -> Subject:
    """What to change, by who chose the servers."""
    match told_by(facts, container):
        case "container" | "mount":
            return container_subject(facts, container)
        case "daemon":
            return daemon_subject(facts)
        case _:
            return host_subject(facts)


def is_unicast(address: str) -> bool:
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return not ip.is_unspecified and not ip.is_multicast and not ip.is_link_local
