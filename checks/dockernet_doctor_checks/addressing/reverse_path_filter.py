"""reverse-path-filter: strict rp_filter drops what comes in by another link than the answer would leave by."""

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
    affected,
    container_subject,
    host_subject,
    model,
    obstacles,
    probe_evidence,
    refused_clients,
    remedy,
    unreached,
)


def find(case: Case) -> Iterator[Finding]:
    """Paths that it cuts, and clients that a route names; strict filtering by itself is many a distribution's default."""
    met = set()
    for path, obstacle in case.broken_by(obstacles.ReverseFiltered):
        facts = case.facts(path.host)
        if obstacle.container is not None:
            yield _inside(facts, path, obstacle, obstacle.container)
            continue
        met.add(facts.name)
        container = path.source or path.target
        yield Finding(
            severity="error",
            confidence="proven",
            subject=host_subject(facts),
            affects=affected(facts, *([container] if container else [])),
            summary=f"{unreached(path)}: {_told(facts, path, obstacle)}",
            evidence=(*_evidence(facts, obstacle.interface), *probe_evidence(path)),
            fixes=_fixes(facts, obstacle.interface) if obstacle.answered_by else (),
            hop="route",
            explains=(path,),
        )
    for facts in case.hosts:
        refused = [] if case.asked or facts.name in met else [*refused_clients(facts)]
        if refused:
            (first, answered), more = refused[0], len(refused) - 1
            others = f" (and {more} more)" if more else ""
            yield Finding(
                severity="info",  # nobody was seen to come in that way, and strict is many a distribution's default
                confidence="likely",
                subject=host_subject(facts),
                summary=f"No published port can be reached by some machines: {_by_another(first, answered)}{others}.",
                evidence=_evidence(facts, first.interface),
                fixes=_fixes(facts, first.interface) if answered else (),
                hop="route",
            )


def _inside(facts: HostFacts, path: Path, obstacle: obstacles.ReverseFiltered, container: model.Container) -> Finding:
    """The finding of a container's own namespace, which got its rp_filter when it was made."""
    other = f"by {obstacle.answered_by}" if obstacle.answered_by else "by no route"
    what = f"reverse-path filtering on its {obstacle.interface} drops packets from {obstacle.source}"
    loose = "net.ipv4.conf.all.rp_filter=2"
    return Finding(
        severity="error",
        confidence="likely",
        subject=container_subject(facts, container),
        affects=affected(facts, container),
        summary=f"{unreached(path)}: {what}, which {container} would answer {other}.",
        evidence=(Evidence(fact=obstacle.sysctl, value="on", source=f"sysctl in {container}"), *probe_evidence(path)),
        fixes=(Fix(summary=f"Create {container} with --sysctl {loose}, or with one network.", runnable=False),),
        hop="route",
        explains=(path,),
    )


def _told(facts: HostFacts, path: Path, obstacle: obstacles.ReverseFiltered) -> str:
    name = obstacle.interface
    if obstacle.reply:
        what = f"reverse-path filtering on {name} drops the answers of {obstacle.source}"
        return f"{what}, to which {facts.here} would send by {obstacle.answered_by or 'no route'}."
    if path.clients and obstacle.answered_by:
        return f"they come in by {name} and would be answered by {obstacle.answered_by}; strict rp_filter drops them."
    strict = "strict reverse-path filtering" if obstacle.answered_by else "reverse-path filtering"
    other = f"by {obstacle.answered_by}" if obstacle.answered_by else "by no route"
    return f"{strict} on {name} drops packets from {obstacle.source}, which {facts.here} would answer {other}."


def _by_another(some: obstacles.Clients, answered: str) -> str:
    where = f"clients {'behind' if some.via else 'in'} {', '.join(some.prefixes[:3])}"
    if not answered:
        return f"{where} come in by {some.interface} and have no way back: rp_filter drops them"
    return f"{where} come in by {some.interface} and would be answered by {answered}: strict rp_filter drops them"


def _evidence(facts: HostFacts, interface: str) -> tuple[Evidence, ...]:
    keys = (f"net.ipv4.conf.{interface}.rp_filter", "net.ipv4.conf.all.rp_filter")
    return tuple(Evidence(fact=key, value=facts.sysctl(key) or "0", source="sysctl") for key in keys)


def _fixes(facts: HostFacts, interface: str) -> tuple[Fix, ...]:
    """The larger of the two values counts, so loose (2) on the interface is enough."""
    key = f"net.ipv4.conf.{interface}.rp_filter"
    return (remedy.set_sysctl(facts, key, "2", summary=f"Set the filter on {interface} to loose."),)


check = Check(
    cause="reverse-path-filter",
    title="Strict reverse-path filtering drops packets",
    subjects=("host", "container"),
    needs=("engine", "host.network", "host.files", "route"),
    find=find,
    phrases=("martian source", "rp_filter"),
)
