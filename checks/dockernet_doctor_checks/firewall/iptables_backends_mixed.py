"""iptables-backends-mixed: rules in the iptables backend that Docker does not write to drop what Docker's let pass."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    docker_rules,
    filtering,
    host_subject,
    probe_evidence,
    sufferers,
    unreached,
)


def find(case: Case) -> Iterator[Finding]:
    """Paths that end in the other backend. That it holds rules, or its empty tables, is nothing by itself."""
    for facts, _, stopped in filtering.by_rule(case, "mixed"):
        path, obstacle = stopped[0]
        ours = docker_rules.docker_backend(facts)
        other = "iptables-legacy" if ours == "iptables-nft" else "iptables-nft"
        verb = "rejects" if obstacle.decision.verdict == "reject" else "drops"
        fixes = tuple(filtering.changes(facts, [o.decision for _, o in stopped]))
        yield Finding(
            severity="error",
            confidence="proven",
            subject=host_subject(facts),
            affects=sufferers(*(p for p, _ in stopped)),
            summary=(
                f"{unreached(path)}: {filtering.in_short(obstacle.decision, f'in {other} {verb} it')}, "
                f"while Docker's rules are in {ours}."
            ),
            evidence=(
                Evidence(fact="backend of Docker's rules", value=ours, source=f"{ours}-save"),
                *(e for p, o in stopped for e in filtering.decision_evidence(p, o.decision, o.packet)),
                *probe_evidence(*(p for p, _ in stopped)),
            ),
            # nobody looks there: what its policy drops is given up as a whole
            fixes=fixes if obstacle.decision.rule else fixes[::-1],
            hop="filter",
            explains=tuple(p for p, _ in stopped),
        )


check = Check(
    cause="iptables-backends-mixed",
    title="Both iptables backends hold rules",
    subjects=("host",),
    needs=("engine", "host.files", "firewall", "filter"),
    find=find,
    frequent=True,
    phrases=(
        "iptables-legacy tables present, use iptables-legacy to see them",
        "is incompatible, use 'nft' tool",
        "update-alternatives --set iptables",
    ),
)
