"""resolver-slow: the first of several DNS servers is dead or slow, and each lookup waits for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dockernet_doctor.plugin import (
    Answer,
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    Probe,
    affected,
    listed,
    model,
    name_servers,
    names,
    remedy,
    unanswered_name,
)

from ._upstream import RESOLV_CONF, by, servers_text, subject_of

SLOW_MS = 900.0  # a resolver that has to go far answers in less; a client asks again after a second or five


def probes(case: Case) -> Iterator[Probe]:
    """Ask each configured server once from each network."""
    if not case.asked:
        for facts in case.hosts:
            for container, server in name_servers.askers(facts):
                yield name_servers.probe_of(case, facts, container, server)


def find(case: Case) -> Iterator[Finding]:
    """Servers that are asked first and stay silent or late, where a later one answers at once (all engines)."""
    for facts in case.hosts if case.answers else ():
        asked = {
            name_servers.asked_from(facts, c, s): case.answer(name_servers.probe_of(case, facts, c, s))
            for c, s in name_servers.askers(facts)
        }
        told: set[tuple[str, tuple[names.Server, ...]]] = set()
        for container in facts.running:
            servers = names.servers_of(facts, container)
            subject = subject_of(facts, container)
            answers = [a for s in servers if (a := asked.get(name_servers.asked_from(facts, container, s))) and a.sent]
            number = _first_good(answers) if len(answers) == len(servers) else 0
            if number and (subject.name, servers) not in told:
                told.add((subject.name, servers))
                yield _finding(facts, container, servers, answers, number)


def _first_good(answers: Sequence[Answer]) -> int:
    """Which of the servers is the first to answer at once; 0 also where none is."""
    good = (n for n, a in enumerate(answers) if not _is_late(a) and not unanswered_name.failed(a.result))
    number = next(good, 0)
    return number if all(_is_late(a) for a in answers[:number]) else 0


def _is_late(answer: Answer) -> bool:
    return _is_silent(answer) or (answer.latency_ms or 0.0) >= SLOW_MS


def _is_silent(answer: Answer) -> bool:
    """Also of an address on the wire that nobody has: the kernel asks for its owner for three seconds before it gives up."""
    return answer.result in ("timeout", "unreachable-host")


def _finding(
    facts: HostFacts, container: model.Container, servers: tuple[names.Server, ...], answers: Sequence[Answer], number: int
) -> Finding:
    late, answering = list(servers[:number]), answers[number]
    silent = all(map(_is_silent, answers[:number]))
    verb = f"{'do' if number > 1 else 'does'} not answer" if silent else "answers only after a second or more"
    return Finding(
        severity="warning",
        confidence="proven",
        subject=subject_of(facts, container),
        affects=affected(facts, *(c for c in facts.running if names.servers_of(facts, c) == servers)),
        summary=(
            f"Names outside Docker take seconds in {container}: {servers_text(facts, late)}, which {by(facts, container)} "
            f"first, {verb}, and {answering.probe.address} is asked only then."
        ),
        evidence=tuple(
            Evidence(
                fact=f"DNS server {a.probe.address}",
                value=f"{a.result} after {a.latency_ms:.0f} ms" if a.latency_ms is not None else a.result,
                source="probe",
            )
            for a in answers
        ),
        fixes=(_without(facts, container, late),),
        hop="name",
    )


def _without(facts: HostFacts, container: model.Container, silent_ones: list[names.Server]) -> Fix:
    gone = {s.address for s in silent_ones}
    left = tuple(a for a in container.dns if a not in gone)
    if name_servers.told_by(facts, container) == "container" and left:
        summary = f"Recreate {container} with the dns option {', '.join(left)} only."
        return remedy.alter(facts, container, summary=summary, dns=left)
    where = {"mount": f"the file mounted at {RESOLV_CONF}", "daemon": "the daemon's dns option"}
    place = where.get(name_servers.told_by(facts, container), f"/etc/resolv.conf of {facts.here}")
    return Fix(summary=f"Take {listed(sorted(gone))} out of {place}, or list it last.", runnable=False)


check = Check(
    cause="resolver-slow",
    title="The first DNS server is dead or slow, and each lookup waits for it",
    subjects=("container", "daemon", "host"),
    needs=(
        "engine",
        "daemon.process",
        "daemon.files",
        "host.network",
        "host.resolver",
        "sandbox.network",
        "sandbox.files",
        "probe",
    ),
    find=find,
    probes=probes,
    symptom_of=(
        "dns-reply-wrong-source",
        "ip-forwarding-off",
        "docker-rules-missing",
        "firewall-drops-traffic",
        "iptables-disabled",
        "masquerade-disabled",
        "route-missing",
    ),
    phrases=("name resolution is slow", "each lookup takes five seconds", "resolving timed out after"),
)
