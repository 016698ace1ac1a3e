"""iptables-backends-mixed: rules in the iptables backend that Docker does not write to drop what Docker's let pass."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    filtering,
    host_subject,
    obstacles,
    probe_evidence,
    sufferers,
    wanted,
    who,
)


def find(case: Case) -> Iterator[Finding]:
    """Paths that end in the other backend. That it holds rules, or its empty tables, is nothing by itself."""
    for path, obstacle in case.broken_by(obstacles.Dropped):
        facts = case.facts(path.host)
        if filtering.origin(facts, obstacle) != "mixed":
            continue
        ours = filtering.docker_backend(facts)
        other = "iptables-legacy" if ours == "iptables-nft" else "iptables-nft"
        verb = "rejects" if obstacle.decision.verdict == "reject" else "drops"
        yield Finding(
            severity="error",
            confidence="proven",
            subject=host_subject(facts),
            affects=sufferers(path),
            summary=(
                f"{who(path)} cannot reach {wanted(path)}: {filtering.decided_by(obstacle.decision)} of {other} "
                f"{verb} it, while Docker's rules are in {ours}."
            ),
            evidence=(
                Evidence(fact="backend of Docker's rules", value=ours, source=f"{ours}-save"),
                *filtering.decision_evidence(path, obstacle.decision, obstacle.packet),
                *probe_evidence(path),
            ),
            fixes=tuple(filtering.changes(facts, obstacle.decision)),
            hop="filter",
            explains=(path,),
        )


check = Check(
    cause="iptables-backends-mixed",
    title="Rules of both iptables backends are in force",
    subjects=("host",),
    find=find,
    phrases=(
        "iptables-legacy tables present, use iptables-legacy to see them",
        "is incompatible, use 'nft' tool",
        "update-alternatives --set iptables",
    ),
)
