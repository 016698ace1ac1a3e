"""stale-conntrack: a UDP flow still goes where the container was; nat is asked for the first packet of a flow only."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    affected,
    obstacles,
    port_subject,
    probe_evidence,
    shell,
)


def find(case: Case) -> Iterator[Finding]:
    """Published UDP ports whose tracked, unanswered flows do not lead to the container."""
    for path, obstacle in case.broken_by(obstacles.StaleFlow):
        facts = case.facts(path.host)
        container, published, entry = obstacle.container, obstacle.published, obstacle.entry
        flow = f"{entry.source}:{entry.sport} → {entry.destination}:{entry.dport}, answers awaited from {entry.reply_source}"
        delete = ("conntrack", "-D", "-p", "udp", "--orig-dst", entry.destination, "--dport", str(entry.dport))
        yield Finding(
            severity="error",
            confidence="proven",
            subject=port_subject(facts, container, published.port, published.protocol),
            affects=affected(facts, container),
            summary=(
                f"UDP from {entry.source} to port {entry.dport} does not reach {container}: connection tracking still "
                f"sends the flow to {entry.reply_source}, as before {container} was recreated."
            ),
            evidence=(
                Evidence(fact="tracked flow, unanswered", value=flow, source="conntrack"),
                *(
                    Evidence(fact=f"address on {e.network}", value=e.ipv4 or "", source=f"inspection of {container.name}")
                    for e in container.endpoints
                ),
                *probe_evidence(path),
            ),
            fixes=(
                Fix(
                    summary="Delete the flow; its next packet is translated again.",
                    commands=(shell.command(*delete),),
                    impacts=("changes-network",),
                ),
            ),
            hop="mapping",
            explains=(path,),
        )


check = Check(
    cause="stale-conntrack",
    title="Connection tracking sends UDP to the old container",
    subjects=("port",),
    needs=("mapping",),
    find=find,
    phrases=(
        "udp stops working after container restart",
        "udp stopped working after the container was recreated",
        "[unreplied]",
    ),
    engines="≤ 20.10 with userland-proxy off; from 29.5 where ports differ",
)
