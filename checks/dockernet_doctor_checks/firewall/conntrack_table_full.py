"""conntrack-table-full: the kernel tracks as many connections as it may, and drops packets of new ones at random."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import Case, Check, Evidence, Finding, HostFacts, host_subject, obstacles, remedy

KEY = "net.netfilter.nf_conntrack_max"
NEARLY = 0.95


def find(case: Case) -> Iterator[Finding]:
    """The table as it is now; the kernel's log alone says that it was so, and may be again."""
    for facts in case.hosts:
        table = facts.host.conntrack if facts.host else None
        if table is None or table.maximum <= 0:
            continue
        full = table.count >= table.maximum * NEARLY
        lines = [line for line in (facts.host.kernel_log if facts.host else ()) if "nf_conntrack" in line and "full" in line]
        if not full and not lines:
            continue
        yield Finding(
            severity="error" if full else "warning",
            confidence="proven" if full else "likely",
            subject=host_subject(facts),
            summary=(
                f"The connection tracking table of {facts.name} {'is' if full else 'was'} full "
                f"({table.count} of {table.maximum} now): new connections are dropped at random."
            ),
            evidence=(
                Evidence(fact="nf_conntrack_count", value=str(table.count), source="sysctl"),
                Evidence(fact="nf_conntrack_max", value=str(table.maximum), source="sysctl"),
                *(Evidence(fact="kernel log", value=line, source="kernel log") for line in lines[-1:]),
            ),
            fixes=(remedy.set_sysctl(facts, KEY, str(_larger(facts)), before=str(table.maximum)),),
            hop="filter",
            explains=tuple(
                path
                for path, _ in case.broken_by(obstacles.NoAnswer, obstacles.TrackingFull)
                if path.host == facts.name and full
            ),
        )


def _larger(facts: HostFacts) -> int:
    table = facts.host.conntrack if facts.host else None
    return max(262144, 4 * table.maximum) if table else 262144


check = Check(
    cause="conntrack-table-full",
    title="The connection tracking table is full",
    subjects=("host",),
    needs=("host.conntrack", "host.files", "host.log", "answer"),
    find=find,
    phrases=("nf_conntrack: table full, dropping packet", "ip_conntrack: table full", "table full, dropping packet"),
)
