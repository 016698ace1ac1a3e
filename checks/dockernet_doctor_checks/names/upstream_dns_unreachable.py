"""upstream-dns-unreachable: the servers behind Docker's DNS do not answer, so names outside Docker fail."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    Path,
    Probe,
    Subject,
    affected,
    container_subject,
    daemon,
    daemon_subject,
    dockerd,
    host_subject,
    model,
    names,
    neighbours,
    obstacles,
    probe_evidence,
    remedy,
    unanswered_name,
)

from ._upstream import LOGGED, RESOLV_CONF, asked_from, askers, barred, probe_of, roots_of, severity, silent, told_by


def probes(case: Case) -> Iterator[Probe]:
    """Ask each configured server once from each network; in a question, those of a source whose name failed."""
    if not case.asked:
        for facts in case.hosts:
            for container, server in askers(facts):
                yield probe_of(case, facts, container, server)
        return
    for path, _obstacle in case.broken_by(obstacles.NameUnanswered, reasons=("servers-silent",)):
        facts = case.facts(path.host)
        if path.source is not None:
            for server in names.servers_of(facts, path.source):
                yield probe_of(case, facts, path.source, server)


def find(case: Case) -> Iterator[Finding]:
    """Names of the wide world that failed for want of an answer, and servers that do not answer a single question."""
    for path, _obstacle in case.broken_by(obstacles.NameUnanswered, reasons=("servers-silent",)):
        facts = case.facts(path.host)
        if path.source is not None:
            yield _of_path(case, facts, path, path.source)
    for facts in case.hosts:
        dead = {(c.id, server): result for f, c, server, result in silent(case) if f is facts}
        yield from _of_servers(facts, dead)
        yield from _of_the_first(case, facts)


def _of_path(case: Case, facts: HostFacts, path: Path, source: model.Container) -> Finding:
    servers = names.servers_of(facts, source)
    results = [(s, case.answer(probe_of(case, facts, source, s))) for s in servers]
    evidence = [
        Evidence(fact=f"DNS server {s.address}", value=a.result, source="probe") for s, a in results if a is not None and a.sent
    ]
    listed = _listed(facts, servers) or "its DNS servers"
    return Finding(
        severity="error",
        confidence="proven",
        subject=_subject(facts, source),
        affects=affected(facts, source),
        summary=(
            f"{source} cannot resolve {path.question.target.name}: {listed}, which {_by(facts, source)}, "
            f"{'does' if len(servers) == 1 else 'do'} not answer."
        ),
        evidence=(*evidence, *probe_evidence(path), *daemon.log_evidence(facts, daemon.logged(facts, LOGGED))),
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
        listed, roots = _listed(facts, servers), roots_of(facts, container, servers)
        asking = [c for c in facts.running if names.servers_of(facts, c) == servers]
        yield Finding(
            # what this host or its engine breaks, and a setting needs, is no weather of the network
            severity="error" if len(roots) > 1 and barred(facts, asking) else severity(facts, container),
            confidence="proven",
            subject=_subject(facts, container),
            affects=affected(facts, *asking),
            summary=(
                f"Names outside Docker fail in {container}: {listed}, which {_by(facts, container)}, "
                f"{'does' if len(servers) == 1 else 'do'} not answer."
            ),
            evidence=(
                *(Evidence(fact=f"DNS server {s.address}", value=r or "", source="probe") for s, r in results.items()),
                *daemon.log_evidence(facts, daemon.logged(facts, LOGGED)),
            ),
            fixes=(_fix(facts, container),),
            hop="name",
            roots=roots,
        )


def _of_the_first(case: Case, facts: HostFacts) -> Iterator[Finding]:
    """Servers that are asked first and stay silent, where a later one answers: each name waits for them (all engines)."""
    asked = (
        {asked_from(facts, c, s): case.answer(probe_of(case, facts, c, s)) for c, s in askers(facts)} if case.answers else {}
    )
    told: set[tuple[str, tuple[names.Server, ...]]] = set()
    for container in facts.running if asked else ():
        servers = names.servers_of(facts, container)
        subject = _subject(facts, container)
        answers = [a for s in servers if (a := asked.get(asked_from(facts, container, s))) and a.sent]
        number = next((n for n, a in enumerate(answers) if a.result != "timeout"), 0)
        known = len(answers) == len(servers) and answers[number : number + 1]
        if not known or not number or unanswered_name.failed(answers[number].result) or (subject.name, servers) in told:
            continue
        told.add((subject.name, servers))
        silent_ones, answering = list(servers[:number]), answers[number]
        verb = "do" if len(silent_ones) > 1 else "does"
        yield Finding(
            severity="warning" if severity(facts, container) == "error" else "info",
            confidence="proven",
            subject=subject,
            affects=affected(facts, *(c for c in facts.running if names.servers_of(facts, c) == servers)),
            summary=(
                f"Names outside Docker take seconds in {container}: {_listed(facts, silent_ones)}, which "
                f"{_by(facts, container)} first, {verb} not answer, and {answering.probe.address} is asked only then."
            ),
            evidence=tuple(Evidence(fact=f"DNS server {a.probe.address}", value=a.result, source="probe") for a in answers),
            fixes=(_without(facts, container, silent_ones),),
            hop="name",
        )


def _without(facts: HostFacts, container: model.Container, silent_ones: list[names.Server]) -> Fix:
    gone = {s.address for s in silent_ones}
    left = tuple(a for a in container.dns if a not in gone)
    if told_by(facts, container) == "container" and left:
        summary = f"Make {container} anew with the dns option {', '.join(left)} only."
        return remedy.alter(facts, container, summary=summary, dns=left)
    where = {"mount": f"the file mounted at {RESOLV_CONF}", "daemon": "the daemon's dns option"}
    place = where.get(told_by(facts, container), f"/etc/resolv.conf of {facts.here}")
    return Fix(summary=f"Take {' and '.join(sorted(gone))} out of {place}, or put it last.", runnable=False)


def _listed(facts: HostFacts, servers: Iterable[names.Server]) -> str:
    """The servers, and of which containers they are."""
    said = []
    for server in servers:
        holder = _holder(facts, server)
        state = "" if holder is None or holder.state.running else f", which is {holder.state.status}"
        said.append(f"{server.address} ({holder}{state})" if holder else server.address)
    return " and ".join(said)


def _holder(facts: HostFacts, server: names.Server) -> model.Container | None:
    """The container that serves at this address, or would where it ran: by its own, or by a published port 53."""
    if neighbours.is_loopback(server.address):
        return None
    if found := facts.holder(server.address):
        return found[0]
    if facts.is_own(server.address):
        binding = ("53", "udp")
        return next((c for c in facts.containers if any((b.host_port, b.protocol) == binding for b in c.bindings)), None)
    asked = (c for c in facts.containers if any(server.address in (e.requested_ipv4, e.requested_ipv6) for e in c.endpoints))
    return next(asked, None)


def _by(facts: HostFacts, container: model.Container) -> str:
    chosen = {
        "mount": f"the file mounted at {RESOLV_CONF} of {container} names",
        "container": f"the dns option of {container} names",
        "daemon": "the daemon's dns option names",
    }
    by_host = "named when it started" if _was_mended(facts, container) else "names"
    return chosen.get(told_by(facts, container), f"{facts.here}'s /etc/resolv.conf {by_host}")


def _was_mended(facts: HostFacts, container: model.Container) -> bool:
    """Whether the host's file names other servers by now: a container keeps those of its start.

    IPv6 and loopback servers do not count, which the engine may leave out.
    """
    host = facts.host.resolv_conf if facts.host else None
    now = {a for a in (host.nameservers if host else ()) if ":" not in a and not a.startswith("127.")}
    asked = {s.address for s in names.servers_of(facts, container)}
    return bool(now) and told_by(facts, container) == "host" and not now & asked


def _subject(facts: HostFacts, container: model.Container) -> Subject:
    match told_by(facts, container):
        case "container" | "mount":
            return container_subject(facts, container)
        case "daemon":
            return daemon_subject(facts)
        case _:
            return host_subject(facts)


def _fix(facts: HostFacts, container: model.Container) -> Fix:
    host = facts.host.resolv_conf if facts.host else None
    elsewhere = ", ".join(host.nameservers) if host and host.nameservers else ""
    ended = {c.name: c for s in names.servers_of(facts, container) if (c := _holder(facts, s)) and not c.state.running}
    if ended:
        return remedy.start(next(iter(ended.values())))
    match told_by(facts, container):
        case "mount":
            if container.compose or container.swarm or RESOLV_CONF not in container.mounts:
                return Fix(summary=f"Let the file mounted at {RESOLV_CONF} name a server that answers.", runnable=False)
            summary = f"Make {container} anew without the mount at {RESOLV_CONF}."
            return remedy.recreate(facts, container, summary=summary, without_mount=RESOLV_CONF)
        case "container":
            summary = f"Make {container} anew without the dns option {', '.join(container.dns)}"
            return remedy.alter(facts, container, summary=f"{summary}: it then asks {elsewhere or 'as others do'}.", dns=())
        case "daemon":
            summary = f"Take the dns option {', '.join(names.daemon_dns(facts))} from the daemon"
            others = elsewhere or f"as {facts.here}"
            return dockerd.without_options(facts, ["dns"], summary=f"{summary}: all then ask {others}.")
        case _ if _was_mended(facts, container):
            servers = names.servers_of(facts, container)
            owners = [c for c in facts.running if facts.namespace_owner(c) is c and told_by(facts, c) == "host"]
            told = [c for c in owners if names.servers_of(facts, c) == servers] or [container]
            restarts = [remedy.restart(facts, c) for c in told]
            return Fix(
                summary=f"Restart {' and '.join(str(c) for c in told)}, to ask {elsewhere}, which the file names now.",
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
    ),
)
