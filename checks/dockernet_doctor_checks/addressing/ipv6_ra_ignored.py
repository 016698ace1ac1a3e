"""ipv6-ra-ignored: since a network with IPv6 turned forwarding on, the host takes no router advertisements any more."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    addressing,
    host_subject,
    obstacles,
    probe_evidence,
    remedy,
    shell,
)


def find(case: Case) -> Iterator[Finding]:
    """Hosts that forward IPv6 and have no default route of it, on whose uplink advertisements came in that they ignore."""
    for facts in case.hosts:
        link = addressing.ignores_advertisements(facts)
        if link is None:
            continue
        networks = ", ".join(n.name for n in facts.snapshot.networks if n.ipv6)
        paths = tuple(
            p
            for p, o in case.broken_by(obstacles.NoRoute)
            if p.host == facts.name and o.where == "host" and ":" in o.destination
        )
        if not networks and not paths:
            continue
        key = f"net.ipv6.conf.{link.name}.accept_ra"
        yield Finding(
            severity="warning",
            confidence="likely",
            subject=host_subject(facts),
            summary=(
                f"{facts.name} has lost its IPv6 default route: it forwards IPv6{f' for {networks}' if networks else ''}, and "
                f"with accept_ra=1 a host that forwards ignores router advertisements on {link.name}."
            ),
            evidence=(
                Evidence(fact="net.ipv6.conf.all.forwarding", value="1", source="sysctl"),
                Evidence(fact=key, value="1", source="sysctl"),
                Evidence(fact=f"router advertisements on {link.name}", value="received", source="/proc/net/dev_snmp6"),
                Evidence(fact="IPv6 default route", value="none", source="rtnetlink"),
                *probe_evidence(*paths),
            ),
            fixes=(_fix(facts, link.name, key),),
            hop="route",
            explains=paths,
        )


def _fix(facts: HostFacts, link: str, key: str) -> Fix:
    """Taken back, the route that was learnt goes, too: by itself it would stay until its lifetime is over."""
    fix = remedy.set_sysctl(facts, key, "2", summary=f"Accept router advertisements on {link} all the same.")
    return replace(fix, undo=(*fix.undo, shell.command("ip", "-6", "route", "flush", "default", "dev", link, "proto", "ra")))


check = Check(
    cause="ipv6-ra-ignored",
    title="A host that forwards IPv6 ignores router advertisements",
    subjects=("host",),
    needs=("engine", "host.network", "host.files", "route"),
    find=find,
    phrases=("network is unreachable", "accept_ra"),
)
