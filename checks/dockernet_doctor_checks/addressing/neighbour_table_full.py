"""neighbour-table-full: the kernel has no room for another ARP or NDP entry (unseen)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dockernet_doctor.plugin import Case, Check, Evidence, Finding, Fix, HostFacts, daemon, host_subject, obstacles, remedy

_NUMBER = re.compile(r"[0-9]{1,18}")
_TEXT = "no buffer space available"
_KERNEL = ("neighbour table overflow", "neighbor table overflow")


def find(case: Case) -> Iterator[Finding]:
    """Hosts whose table stands at its limit or refused a container, or whose kernel or daemon said so within a day."""
    for facts in case.hosts:
        now, before = list(_now(facts)), list(_before(facts))
        evidence = [*now, *before]
        if not evidence:
            continue
        ids = {c.id for c in facts.containers if not c.state.running and _said(c.state.error)}
        yield Finding(
            severity="error" if now else "warning",
            confidence="proven" if now else "likely",
            subject=host_subject(facts),
            summary=(
                f"The neighbour table of {facts.name} {'is' if now else 'was'} full: new addresses cannot be reached until "
                "entries are freed."
            ),
            evidence=tuple(evidence),
            fixes=(_fix(facts),),
            hop="link",
            explains=tuple(p for p, o in case.broken_by(obstacles.NotRunning) if o.container.id in ids),
        )


def _said(text: str) -> bool:
    return _TEXT in text.lower() and "neighbo" in text.lower()


def _before(facts: HostFacts) -> Iterator[Evidence]:
    for line in (facts.host.kernel_log if facts.host else ())[-50:]:
        if any(text in line.lower() for text in _KERNEL):
            yield Evidence(fact="kernel log", value=line, source="dmesg")
            break
    for entry in facts.snapshot.daemon.log:
        if _said(entry.text) and daemon.lately(facts, entry):
            yield Evidence(fact="log", value=entry.text, source=facts.snapshot.daemon.log_source or "daemon log")
            break


def _now(facts: HostFacts) -> Iterator[Evidence]:
    for container in facts.containers:
        if not container.state.running and _said(container.state.error):
            yield Evidence(fact="State.Error", value=container.state.error, source=f"inspection of {container.name}")
    for family, key in ((4, "net.ipv4.neigh.default.gc_thresh3"), (6, "net.ipv6.neigh.default.gc_thresh3")):
        limit = facts.sysctl(key) or ""
        count = sum(n.family == family for n in facts.stack.neighbours) if facts.stack else 0
        if _NUMBER.fullmatch(limit) and count >= int(limit):
            yield Evidence(fact=key, value=f"{count} entries, at most {limit}", source="sysctl, rtnetlink")


def _fix(facts: HostFacts) -> Fix:
    now = facts.sysctl("net.ipv4.neigh.default.gc_thresh3") or ""
    value = str(max(8192, 2 * int(now))) if _NUMBER.fullmatch(now) else "8192"
    return remedy.set_sysctl(
        facts, "net.ipv4.neigh.default.gc_thresh3", value, summary=f"Let the neighbour table hold {value} entries."
    )


check = Check(
    cause="neighbour-table-full",
    title="The neighbour table is full",
    subjects=("host",),
    needs=("engine", "log", "host.network", "host.files", "host.log"),
    find=find,
    phrases=(
        "could not add neighbor entry: no buffer space available",
        "no buffer space available",
        "neighbour table overflow",
        "neighbour: arp_cache: neighbor table overflow",
    ),
)
