"""beyond-this-host: the packet left this host in order; who was asked refused or stayed silent. Not Docker's fault."""

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
    Subject,
    Vantage,
    addressing,
    change,
    obstacles,
    probe_evidence,
    routing,
    sufferers,
    unreached,
)


def probes(case: Case) -> Iterator[Probe]:
    """The same question from the host itself, for every path that failed beyond it."""
    if case.asked:
        for path in case.paths:
            if probe := _same_from_host(path):
                yield probe


def find(case: Case) -> Iterator[Finding]:
    """Only in a question: paths that fail from the host in the same way, and what the host itself has no route to."""
    if not case.asked:
        return
    for path in case.paths:
        facts, answer, probe = case.facts(path.host), _end(path), _same_from_host(path)
        if probe is not None and answer is not None:
            network = facts.network_containing(probe.address)
            if network is not None and network.driver == "overlay":
                continue  # Docker's own address: of a service, or of a container on another host
            mine = case.answer(probe) if path.source else answer
            if mine is None or not mine.sent or mine.positive:
                continue
            seen = (Evidence(fact="probe from the host", value=mine.result, source="probe"),) if path.source else ()
            yield _finding(facts, path, _said(facts, answer), (*probe_evidence(path), *seen))
        elif (obstacle := path.obstacle) and isinstance(obstacle, obstacles.NoRoute) and obstacle.where == "host":
            if ":" in obstacle.destination and addressing.ignores_advertisements(facts):
                continue
            yield _without_route(facts, path, obstacle)
        elif isinstance(obstacle, obstacles.NextHopSilent):
            said = (
                f"{obstacle.address}, where {'answers go' if obstacle.reply else 'it goes'} by {obstacle.link}, does not answer"
            )
            entry = Evidence(fact=f"neighbour {obstacle.address} dev {obstacle.link}", value=obstacle.entry, source="rtnetlink")
            # it may answer by now: only a probe from here shows that it does not
            yield _finding(facts, path, said, (entry, *probe_evidence(path)), proven=obstacle.proven)


def _without_route(facts: HostFacts, path: Path, obstacle: obstacles.NoRoute) -> Finding:
    """Where a route says so, that it leads nowhere, it is the one to take away."""
    stack = facts.stack
    route = routing.lookup(stack, obstacle.destination).route if stack and obstacle.kind != "none" else None
    kind = f"a route of type {obstacle.kind}" if obstacle.kind != "none" else "no route"
    evidence = Evidence(fact=f"route to {obstacle.destination}", value=kind, source="rtnetlink")
    fixes: tuple[Fix, ...] = ()
    if route is not None and route.kind == obstacle.kind:
        summary = f"Remove the {route.kind} route to {route.destination}."
        fixes = (addressing.networking(change.RouteChange.removed(route), summary=summary, lasts="until-reboot"),)
    said = f"{facts.here} has {kind} to {obstacle.destination}"
    return _finding(facts, path, said, (evidence, *probe_evidence(path)), fixes)


def _finding(
    facts: HostFacts,
    path: Path,
    what: str,
    evidence: tuple[Evidence, ...],
    fixes: tuple[Fix, ...] = (),
    *,
    proven: bool = True,
) -> Finding:
    destination = path.destination
    where = f"{destination.address}:{destination.port}"
    return Finding(
        severity="error",
        confidence="proven" if proven else "likely",
        subject=Subject(kind="destination", name=where, host=path.host),
        affects=sufferers(path),
        summary=f"{unreached(path)}: {what}, so Docker is not the cause.",
        evidence=evidence,
        fixes=fixes or (Fix(summary=f"Check {where} and the way to it from {facts.here}.", runnable=False),),
        hop=path.broken.hop if path.broken else "answer",
        explains=(path,),
    )


def _end(path: Path) -> Answer | None:
    obstacle = path.obstacle
    return obstacle.answer if isinstance(obstacle, obstacles.NoAnswer) and obstacle.beyond else None


def _same_from_host(path: Path) -> Probe | None:
    answer = _end(path)
    if answer is None or answer.probe.kind not in ("tcp", "udp"):
        return None
    probe = answer.probe
    return Probe(kind=probe.kind, vantage=Vantage(path.host), address=probe.address, port=probe.port)


def _said(facts: HostFacts, answer: Answer) -> str:
    where = f"{answer.probe.address}:{answer.probe.port}"
    if answer.result == "refused":
        return f"{where} refuses connections from {facts.here} too"
    if answer.result in ("timeout", "no-reply"):
        return f"{where} does not answer {facts.here} either"
    return f"{where} answers {answer.result} to {facts.here} too"


check = Check(
    cause="beyond-this-host",
    title="The fault lies beyond this host",
    subjects=("destination",),
    needs=("engine", "host.network", "answer", "probe"),
    find=find,
    probes=probes,
    phrases=("connection refused", "no route to host", "network is unreachable", "connection timed out"),
)
