"""split-dns-lost: systemd-resolved's stub is bypassed, so names of a VPN's own domain fail inside containers only."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Answer,
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    Path,
    Probe,
    affected,
    daemon,
    daemon_subject,
    listed,
    model,
    names,
    obstacles,
    probe_evidence,
    routing,
    unanswered_name,
)

STUB = "127.0.0.53"
LOGGED = r"detected 127\.0\.0\.53 nameserver, assuming systemd-resolved"
VPN_KINDS = ("tun", "wireguard", "ppp")


def probes(case: Case) -> Iterator[Probe]:
    """The host's own way is the yardstick: what a container's servers do not know is asked of the host's resolver, too."""
    for path, facts, server in _unknown(case):
        yield _at_host(case, path, facts, server)


def _unknown(case: Case) -> Iterator[tuple[Path, HostFacts, str]]:
    """Names with a domain that a container's servers say nobody has, and the host's first server."""
    for path, obstacle in case.broken_by(obstacles.NameUnanswered):
        facts = case.facts(path.host)
        host = facts.host.resolv_conf if facts.host else None
        servers = host.nameservers if host else ()
        if path.source is None or obstacle.meant is not None or "." not in obstacle.name or not servers:
            continue
        if obstacle.refused_by:
            continue  # the container's servers know it, too
        if obstacle.result == "nxdomain" and not facts.apart and names.is_address(servers[0]):
            yield path, facts, servers[0]


def _at_host(case: Case, path: Path, facts: HostFacts, server: str) -> Probe:
    name = path.question.target.name.rstrip(".").lower()
    return Probe(kind="dns", vantage=case.vantage(facts), address=server, port=53, name=name)


def find(case: Case) -> Iterator[Finding]:
    """Names that only the host resolves; else a stub on the host, a server of a VPN's own behind it, and containers that ask
    resolved's servers in turn instead."""
    known: set[str] = set()
    for path, facts, server in _unknown(case):
        answer = case.answer(_at_host(case, path, facts, server))
        if answer is not None and answer.addresses and path.source is not None:
            known.add(facts.name)
            yield _of_path(facts, path, path.source, answer)
    for facts in case.hosts:
        if facts.name in known:
            continue
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


def _of_path(facts: HostFacts, path: Path, source: model.Container, answer: Answer) -> Finding:
    """A name that the host resolves and the container does not."""
    name, server = path.question.target.name, answer.probe.address
    asked = ", ".join(s.address for s in names.servers_of(facts, source)) or "its servers"
    lacking = _lacking(facts, source)
    domain = name.rstrip(".").partition(".")[2]
    more = f"; {listed(lacking)}, which {facts.here} has beside them, {'are' if len(lacking) > 1 else 'is'} not asked"
    return Finding(
        severity="error",
        confidence="proven",
        subject=daemon_subject(facts),
        affects=affected(facts, source),
        summary=(
            f"{facts.here} resolves {name} and {source} does not: {source} asks {asked}, past {facts.here}'s own resolver "
            f"{server}{more if lacking else ''}."
        ),
        evidence=(
            Evidence(fact=f"{name} on {facts.here}", value=", ".join(answer.addresses), source=f"probe of {server}"),
            *probe_evidence(path),
            Evidence(fact="DNS servers of the container", value=asked, source=f"/etc/resolv.conf of {source.name}"),
        ),
        fixes=(_told(domain, lacking),),
        hop="name",
        explains=(path,),
    )


def _lacking(facts: HostFacts, source: model.Container) -> list[str]:
    """The servers that the host's resolver knows of and the container's does not."""
    conf = facts.host.upstream_resolv_conf if facts.host else None
    asked = {s.address for s in names.servers_of(facts, source)}
    return [a for a in (conf.nameservers if conf else ()) if a not in asked]


def _told(domain: str, lacking: list[str]) -> Fix:
    """Servers of the VPN's cannot be told by asking: the first that the container lacks is the likeliest."""
    server = lacking[0] if lacking else f"the server for {domain} (resolvectl status shows it)"
    return Fix(summary=f"Set the daemon's dns option to {server} before the others, then restart Docker.", runnable=False)


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
    needs=(
        "engine",
        "daemon.process",
        "daemon.files",
        "log",
        "host.network",
        "host.resolver",
        "sandbox.files",
        "name",
        "probe",
    ),
    find=find,
    probes=probes,
    phrases=("detected 127.0.0.53 nameserver, assuming systemd-resolved", "name resolves on the host but not in the container"),
)
