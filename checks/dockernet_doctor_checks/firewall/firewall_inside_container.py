"""firewall-inside-container: rules in the container's own namespace drop the packet (images of VPN clients)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
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
            fixes=tuple(_fixes(container, filtering.openings(facts, obstacle.decision, container))),
            hop="filter",
            explains=(path,),
        )
    yield from _led_away(case)


def _led_away(case: Case) -> Iterator[Finding]:
    """Paths that a rule of a sandbox leads to an address that does not answer, as that of a sidecar that is gone."""
    for path, obstacle in case.broken_by(obstacles.TranslatedElsewhere):
        facts, container = case.facts(path.host), obstacle.inside
        if container is None:
            continue
        where = f"{obstacle.address}:{obstacle.port}"
        yield Finding(
            severity="error",
            confidence="proven",
            subject=container_subject(facts, container),
            affects=affected(facts, *(c for c in (path.source, container) if c)),
            summary=(
                f"{unreached(path)}: inside {container}, "
                f"{filtering.in_short(obstacle.decision, f'sends it to {where}')}, and nothing answers there."
            ),
            evidence=(
                *filtering.decision_evidence(path, obstacle.decision),
                Evidence(fact="translated to", value=where, source="evaluated against the rules"),
                *probe_evidence(path),
            ),
            fixes=tuple(_fixes(container, filtering.changes(facts, [obstacle.decision], inside=container))),
            hop="mapping",
            explains=(path,),
        )


def _fixes(container: model.Container, ways: Iterable[Fix]) -> Iterator[Fix]:
    for fix in ways:
        yield replace(fix, summary=f"In the namespace of {container}: {fix.summary}")
    yield Fix(
        summary=f"For good: configure the image of {container} to accept this traffic.",
        runnable=False,
    )


check = Check(
    cause="firewall-inside-container",
    title="A firewall inside the container drops the packet",
    subjects=("container",),
    needs=("engine", "host.files", "firewall", "sandbox.firewall", "filter", "mapping"),
    podman=True,
    find=find,
    phrases=("kill switch", "killswitch", "firewall_outbound_subnets", "vpn container unreachable"),
)
