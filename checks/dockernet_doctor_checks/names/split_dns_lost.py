"""split-dns-lost: systemd-resolved's stub is bypassed, so names of a VPN's own domain fail inside containers only."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    affected,
    daemon,
    daemon_subject,
    model,
    names,
    routing,
    unanswered_name,
)

STUB = "127.0.0.53"
LOGGED = r"detected 127\.0\.0\.53 nameserver, assuming systemd-resolved"
VPN_KINDS = ("tun", "wireguard", "ppp")


def find(case: Case) -> Iterator[Finding]:
    """A stub on the host, a server of a VPN's own behind it, and containers that ask resolved's servers in turn instead."""
    for facts in case.hosts:
        links = _asked_last(facts)
        host = facts.host.resolv_conf if facts.host else None
        if not links or host is None or host.nameservers != (STUB,) or names.daemon_dns(facts):
            continue
        hit = [c for c in facts.running if _bypasses(facts, c)]
        failed = [
            p for p in case.paths if p.source in hit and any(a.probe.kind == "dns" and _negative(a.result) for a in p.answers)
        ]
        if hit and (failed or daemon.logged(facts, LOGGED)):
            yield _finding(facts, hit, links)


def _asked_last(facts: HostFacts) -> list[str]:
    """The VPNs by which a server is reached that stands behind another link's: whoever asks in turn never comes to it.

    resolved lists the servers of all links. A VPN that brought none, as most do, has no names of its own to lose.
    """
    vpn = {li.name for li in facts.stack.links if li.kind in VPN_KINDS and li.up} if facts.stack else set()
    conf = facts.host.upstream_resolv_conf if facts.host else None
    if facts.stack is None or conf is None or not vpn:
        return []
    ways = [routing.lookup(facts.stack, server).link for server in conf.nameservers if names.is_address(server)]
    return list(dict.fromkeys(link for link in ways if link in vpn)) if ways and ways[0] not in vpn else []


def _bypasses(facts: HostFacts, container: model.Container) -> bool:
    servers = names.servers_of(facts, container)
    upstream = facts.host.upstream_resolv_conf.nameservers if facts.host and facts.host.upstream_resolv_conf else ()
    return bool(servers) and not container.dns and all(s.address in upstream for s in servers)


def _negative(result: str) -> bool:
    return result == "nxdomain" or result in unanswered_name.FAILURES


def _finding(facts: HostFacts, hit: list[model.Container], links: list[str]) -> Finding:
    asked = ", ".join(s.address for s in names.servers_of(facts, hit[0]))
    return Finding(
        severity="warning",
        confidence="possible",
        subject=daemon_subject(facts),
        affects=affected(facts, *hit),
        summary=(
            f"{hit[0]} asks {asked} past {facts.here}'s systemd-resolved: names that only the VPN on {', '.join(links)} "
            f"knows fail inside containers."
        ),
        evidence=(
            Evidence(fact=f"nameserver of {facts.here}", value=STUB, source="/etc/resolv.conf"),
            Evidence(fact="DNS servers of the container", value=asked, source=f"/etc/resolv.conf of {hit[0].name}"),
            *daemon.log_evidence(facts, daemon.logged(facts, LOGGED)),
        ),
        fixes=(
            Fix(
                summary="Set the daemon's dns option to the VPN's server (resolvectl status shows it), then restart Docker.",
                runnable=False,
            ),
        ),
    )


check = Check(
    cause="split-dns-lost",
    title="Containers do not see the VPN's names",
    subjects=("daemon",),
    needs=("engine", "daemon.process", "daemon.files", "log", "host.network", "host.resolver", "sandbox.files"),
    find=find,
    phrases=("detected 127.0.0.53 nameserver, assuming systemd-resolved", "name resolves on the host but not in the container"),
)
