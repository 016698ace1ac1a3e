"""reverse-path-filter: strict rp_filter drops what comes in by another link than the answer would leave by."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    affected,
    host_subject,
    obstacles,
    probe_evidence,
    remedy,
    unreached,
)


def find(case: Case) -> Iterator[Finding]:
    """Paths that it cuts; strict filtering by itself is many a distribution's default and no fault."""
    for path, obstacle in case.broken_by(obstacles.ReverseFiltered):
        facts = case.facts(path.host)
        key, name = obstacle.sysctl, obstacle.interface
        whole = facts.sysctl("net.ipv4.conf.all.rp_filter") or "0"
        container = path.source or path.target
        yield Finding(
            severity="error",
            confidence="proven",
            subject=host_subject(facts),
            affects=affected(facts, *([container] if container else [])),
            summary=(
                f"{unreached(path)}: strict reverse-path filtering on {name} drops packets from "
                f"{obstacle.source}, which {facts.here} would answer by another interface."
            ),
            evidence=(
                Evidence(fact=key, value=facts.sysctl(key) or "", source="sysctl"),
                Evidence(fact="net.ipv4.conf.all.rp_filter", value=whole, source="sysctl"),
                *probe_evidence(path),
            ),
            # the larger of the two values counts, so loose (2) on the interface is enough
            fixes=(remedy.set_sysctl(facts, key, "2", summary=f"Make the filter on {name} loose."),),
            hop="route",
            explains=(path,),
        )


check = Check(
    cause="reverse-path-filter",
    title="Strict reverse-path filtering drops packets",
    subjects=("host",),
    needs=("engine", "host.network", "host.files", "route"),
    find=find,
    phrases=("martian source", "rp_filter"),
)
