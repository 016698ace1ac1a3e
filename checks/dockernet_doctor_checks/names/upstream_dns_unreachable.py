"""upstream-dns-unreachable: the servers behind Docker's DNS do not answer, so names outside Docker fail."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
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
    dockerd,
    listed,
    model,
    name_servers,
    names,
    obstacles,
    probe_evidence,
    remedy,
    unanswered_name,
)

from ._upstream import RESOLV_CONF, by, holder, roots_of, servers_text, subject_of, was_mended


def probes(case: Case) -> Iterator[Probe]:
    """Ask each configured server once from each network; in a question, those of a source whose name failed."""
    if not case.asked:
        for facts in case.hosts:
            for container, server in name_servers.askers(facts):
                yield name_servers.probe_of(case, facts, container, server)
        return
    for path, _obstacle in case.broken_by(obstacles.NameUnanswered, reasons=("servers-silent",)):
        facts = case.facts(path.host)
        if path.source is not None:
            for server in names.servers_of(facts, path.source):
                yield name_servers.probe_of(case, facts, path.source, server)


def find(case: Case) -> Iterator[Finding]:
    """Names of the wide world that failed for want of an answer, and servers that do not answer a single question."""
    for path, _obstacle in case.broken_by(obstacles.NameUnanswered, reasons=("servers-silent",)):
        facts = case.facts(path.host)
        if path.source is not None:
            yield _of_path(case, facts, path, path.source)
    for facts in case.hosts:
        dead = {(c.id, server): result for f, c, server, result in name_servers.silent(case) if f is facts}
        yield from _of_servers(facts, dead)


def _of_path(case: Case, facts: HostFacts, path: Path, source: model.Container) -> Finding:
    servers = names.servers_of(facts, source)
    results = [(s, case.answer(name_servers.probe_of(case, facts, source, s))) for s in servers]
    evidence = [
        Evidence(fact=f"DNS server {s.address}", value=a.result, source="probe") for s, a in results if a is not None and a.sent
    ]
    told = servers_text(facts, servers) or "its DNS servers"
    return Finding(
        severity="error",
        confidence="proven",
        subject=subject_of(facts, source),
        affects=affected(facts, source),
        summary=(
            f"{source} cannot resolve {path.question.target.name}: {told}, which {by(facts, source)}, "
            f"{'does' if len(servers) == 1 else 'do'} not answer."
        ),
        evidence=(*evidence, *probe_evidence(path), *daemon.log_evidence(facts, daemon.logged(facts, name_servers.LOGGED))),
        fixes=(_fix(facts, source),),
        hop="name",
        explains=(path,),
        roots=roots_of(facts, source, servers),
    )


def _of_servers(facts: HostFacts, dead: dict[tuple[str, names.Server], str]) -> Iterator[Finding]:
    """One finding for who chose the servers, where none of a container's servers answers."""
    for container in facts.running if dead else ():
        servers = names.servers_of(facts, container)
        results = {s: dead.get((container.id, s)) for s in servers}
        if (
            not servers
            or not all(results.values())
            or unanswered_name.loopback_servers(facts, container)
            or unanswered_name.fallback(facts, container)
        ):
            continue
        told, roots = servers_text(facts, servers), roots_of(facts, container, servers)
        asking = [c for c in facts.running if names.servers_of(facts, c) == servers]
        yield Finding(
            # what this host or its engine breaks, and a setting needs, is no weather of the network
            severity="error" if len(roots) > 1 and names.barred(facts, asking) else name_servers.severity(facts, container),
            confidence="proven",
            subject=subject_of(facts, container),
            affects=affected(facts, *asking),
            summary=(
                f"{container} cannot resolve names outside Docker: {told}, which {by(facts, container)}, "
                f"{'does' if len(servers) == 1 else 'do'} not answer."
            ),
            evidence=(
                *(Evidence(fact=f"DNS server {s.address}", value=r or "", source="probe") for s, r in results.items()),
                *daemon.log_evidence(facts, daemon.logged(facts, name_servers.LOGGED)),
            ),
            fixes=(_fix(facts, container),),
            hop="name",
            roots=roots,
        )


def _fix(facts: HostFacts, container: model.Container) -> Fix:
    host = facts.host.resolv_conf if facts.host else None
    elsewhere = ", ".join(host.nameservers) if host and host.nameservers else ""
    ended = {c.name: c for s in names.servers_of(facts, container) if (c := holder(facts, s)) and not c.state.running}
    if ended:
        return remedy.start(next(iter(ended.values())))
    match name_servers.told_by(facts, container):
        case "mount":
            if container.compose or container.swarm or RESOLV_CONF not in container.mounts:
                return Fix(summary=f"Let the file mounted at {RESOLV_CONF} name a server that answers.", runnable=False)
            summary = f"Recreate {container} without the mount at {RESOLV_CONF}."
            return remedy.recreate(facts, container, summary=summary, without_mount=RESOLV_CONF)
        case "container":
            summary = f"Recreate {container} without the dns option {', '.join(container.dns)}"
            return remedy.alter(facts, container, summary=f"{summary}: it then asks {elsewhere or 'as others do'}.", dns=())
        case "daemon":
            summary = f"Take the dns option {', '.join(names.daemon_dns(facts))} from the daemon"
            others = elsewhere or f"as {facts.here}"
            return dockerd.without_options(facts, ["dns"], summary=f"{summary}: all then ask {others}.")
        case _ if was_mended(facts, container):
            servers = names.servers_of(facts, container)
            owners = [c for c in facts.running if facts.namespace_owner(c) is c and name_servers.told_by(facts, c) == "host"]
            told = [c for c in owners if names.servers_of(facts, c) == servers] or [container]
            restarts = [remedy.restart(facts, c) for c in told]
            return Fix(
                summary=f"Restart {listed(told)}, to ask {elsewhere}, which the file names now.",
                commands=tuple(command for fix in restarts for command in fix.commands),
                impacts=("restarts-container",),
                runnable=all(fix.runnable for fix in restarts),
            )
        case _:
            silent = elsewhere or "this one"
            return Fix(
                summary=f"Let /etc/resolv.conf of {facts.here} name a server that answers ({silent} does not).",
                runnable=False,
            )


check = Check(
    cause="upstream-dns-unreachable",
    title="The DNS servers behind Docker's do not answer",
    subjects=("container", "daemon", "host"),
    needs=(
        "engine",
        "daemon.process",
        "daemon.files",
        "log",
        "host.network",
        "host.conntrack",
        "host.sockets",
        "host.resolver",
        "firewall",
        "sandbox.network",
        "sandbox.firewall",
        "sandbox.files",
        "name",
        "probe",
    ),
    find=find,
    probes=probes,
    symptom_of=(
        "engine-bug-known",
        "split-dns-lost",
        "dns-reply-wrong-source",
        "no-shared-network",
        "ip-forwarding-off",
        "docker-rules-missing",
        "firewall-drops-traffic",
        "iptables-disabled",
        "masquerade-disabled",
        "internal-network-no-egress",
        "route-missing",
        "container-interface-down",
        "veth-detached",
        "bridge-down",
        "subnet-overlap",
        "route-bypasses-bridge",
    ),
    phrases=(
        "[resolver] failed to query external dns server",
        "[resolver] failed to query dns server",
        "lookup … server misbehaving",
        "lookup … read udp … i/o timeout",
        "temporary error (try again later)",
        "temporary failure in name resolution",
        "temporary failure resolving",
        "could not resolve host",
        "bad address",
        "getaddrinfo eai_again",
        "no servers could be reached",
        "name with a domain left unresolved",
        "read udp … i/o timeout",
    ),
)
