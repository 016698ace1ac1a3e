"""ipsec-policy-blocks: an IPsec policy of the host blocks the packet, or the answer to it; no firewall rule does."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Path,
    model,
    obstacles,
    probe_evidence,
    remedy,
    rule_subject,
    sufferers,
    unreached,
)


def find(case: Case) -> Iterator[Finding]:
    """Paths that end at a policy: one finding a policy."""
    stopped: dict[tuple[str, model.IpsecPolicy], list[tuple[Path, obstacles.PolicyBlocks]]] = {}
    for path, obstacle in case.broken_by(obstacles.PolicyBlocks):
        stopped.setdefault((path.host, obstacle.policy), []).append((path, obstacle))
    for (host, policy), found in stopped.items():
        path, obstacle = found[0]
        text, what = obstacle.text, "the answer" if obstacle.reply else "the packet"
        yield Finding(
            severity="error",
            confidence="proven" if obstacle.proven else "likely",
            subject=rule_subject(case.facts(host), f"ipsec {text}"),
            affects=sufferers(*(p for p, _ in found)),
            summary=f"{unreached(path)}: an IPsec policy blocks {what}.",
            evidence=(
                Evidence(
                    fact="IPsec policy", value=f"{text} action block priority {policy.priority}", source="xfrm on the host"
                ),
                *probe_evidence(*(p for p, _ in found)),
            ),
            fixes=(remedy.remove_policy(policy),),
            hop="filter",
            explains=tuple(p for p, _ in found),
        )


check = Check(
    cause="ipsec-policy-blocks",
    title="An IPsec policy blocks the packet",
    subjects=("rule",),
    needs=("filter",),
    find=find,
    phrases=("connection timed out", "sendto: operation not permitted", "connect: operation not permitted"),
)
