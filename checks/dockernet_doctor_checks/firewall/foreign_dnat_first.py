"""foreign-dnat-first: a nat rule that is not Docker's takes the packet before Docker's DNAT, or before its masquerade."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    affected,
    docker_rules,
    filtering,
    obstacles,
    probe_evidence,
    rule_subject,
    unreached,
    wanted,
    who,
)


def find(case: Case) -> Iterator[Finding]:
    """Paths to a published port that somebody else's rule leads elsewhere; others that end where such a rule leads them."""
    for path, obstacle in case.broken_by(obstacles.TranslatedElsewhere):
        facts = case.facts(path.host)
        container, published = obstacle.container, path.published
        holder = str(obstacle.holder) if obstacle.holder else f"no address of {facts.here}"
        if facts.is_own(obstacle.address):
            holder = facts.here
        target = f"{container}:{published.port}" if container and published else wanted(path)
        where = f"{obstacle.address}:{obstacle.port}"
        whose = "Docker left behind" if obstacle.left_behind else "is not Docker's"
        yield Finding(
            severity="error",
            confidence="proven",
            subject=rule_subject(facts, filtering.rule_name(obstacle.decision)),
            affects=affected(facts, *([container] if container else [])),
            summary=(
                f"{who(path)} cannot reach {target}: a rule that {whose} sends port {path.destination.port} to {where} "
                f"({holder}){' first' if published else ''}."
            ),
            evidence=(
                *filtering.decision_evidence(path, obstacle.decision),
                Evidence(fact="translated to", value=where, source="evaluated against the rules"),
                *probe_evidence(path),
            ),
            fixes=tuple(filtering.changes(facts, [obstacle.decision]))[:1],
            hop="mapping",
            explains=(path,),
        )
    yield from _unmasked(case)


def _unmasked(case: Case) -> Iterator[Finding]:
    """Paths from a container whose source address somebody else's rule leaves as it is, or changes to nobody's."""
    for path, obstacle in case.broken_by(obstacles.NoMasquerade):
        facts, decision = case.facts(path.host), obstacle.decision
        if decision is None or not docker_rules.masquerades(obstacle.network):
            continue
        yield Finding(
            severity="error",
            confidence="proven" if obstacle.proven else "likely",
            subject=rule_subject(facts, filtering.rule_name(decision)),
            affects=affected(facts, obstacle.container),
            summary=(
                f"{unreached(path)}: by a rule that is not Docker's its packets leave {facts.here} as "
                f"{obstacle.source}, and answers do not come back to that address."
            ),
            evidence=(*filtering.decision_evidence(path, decision), *probe_evidence(path)),
            fixes=tuple(filtering.changes(facts, [decision]))[:1],
            hop="filter",
            explains=(path,),
        )


check = Check(
    cause="foreign-dnat-first",
    title="Another rule translates the published port first",
    subjects=("rule",),
    needs=("engine", "host.network", "host.files", "firewall", "mapping"),
    find=find,
    phrases=("port forwarding goes to the wrong container", "wrong service answers"),
)
