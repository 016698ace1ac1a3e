"""firewall-inside-container: rules in the container's own namespace drop the packet (images of VPN clients)."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from dockernet_doctor.plugin import (
    Case,
    Check,
    Finding,
    Fix,
    HostFacts,
    affected,
    container_subject,
    filtering,
    model,
    obstacles,
    probe_evidence,
    unreached,
)


def find(case: Case) -> Iterator[Finding]:
    """Paths that end at a rule or policy of a sandbox."""
    for path, obstacle in case.broken_by(obstacles.Dropped):
        facts = case.facts(path.host)
        container = facts.container(obstacle.where) if obstacle.where != "host" else None
        if container is None:
            continue
        verb = "rejects" if obstacle.decision.verdict == "reject" else "drops"
        what = "it" if obstacle.direction == "request" else "the answer"
        yield Finding(
            severity="error",
            confidence="proven",
            subject=container_subject(facts, container),
            affects=affected(facts, *(c for c in (path.source, container) if c)),
            summary=(f"{unreached(path)}: inside {container}, {filtering.in_short(obstacle.decision, f'{verb} {what}')}."),
            evidence=(
                *filtering.decision_evidence(path, obstacle.decision, obstacle.packet),
                *probe_evidence(path),
            ),
            fixes=tuple(_fixes(facts, container, obstacle)),
            hop="filter",
            explains=(path,),
        )


def _fixes(facts: HostFacts, container: model.Container, obstacle: obstacles.Dropped) -> Iterator[Fix]:
    for fix in filtering.openings(facts, obstacle.decision, container):
        yield replace(fix, summary=f"In the namespace of {container}: {fix.summary}")
    yield Fix(
        summary=f"For good: configure the image of {container} to accept this traffic.",
        runnable=False,
    )


check = Check(
    cause="firewall-inside-container",
    title="A firewall inside the container drops the packet",
    subjects=("container",),
    needs=("engine", "host.files", "firewall", "sandbox.firewall", "filter"),
    find=find,
    phrases=("kill switch", "killswitch", "firewall_outbound_subnets", "vpn container unreachable"),
)
