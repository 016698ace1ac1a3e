"""firewalld-conflict: firewalld has the bridge in another zone, so the daemon ends, or refuses published ports (unseen)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dockernet_doctor.plugin import Case, Check, Finding, Fix, affected, daemon_subject, remedy, shell

from ._texts import said

TEXTS = r"ZONE_CONFLICT"


def find(case: Case) -> Iterator[Finding]:
    """The daemon's last failure, or a container's, names a zone conflict."""
    for facts in case.hosts:
        hurt, evidence = said(facts, TEXTS)
        if not evidence:
            continue
        found = re.search(r"'([^']+)' already bound to (?:a zone|'([^']+)')", " ".join(e.value for e in evidence))
        bridge = found[1] if found else "docker0"
        change = ("firewall-cmd", "--permanent", "--zone=docker", f"--change-interface={bridge}")
        yield Finding(
            severity="error",
            confidence="proven",
            subject=daemon_subject(facts),
            affects=affected(facts, *hurt),
            summary=(
                f"firewalld on {facts.name} has bound {bridge} to a zone of its own, so Docker cannot put it into the zone "
                "docker."
            ),
            evidence=evidence,
            fixes=(
                Fix(
                    summary=f"Move {bridge} to the zone docker, and start Docker.",
                    commands=(
                        shell.command(*change),
                        shell.command("firewall-cmd", "--reload"),
                        *remedy.restart_daemon(facts).commands,
                    ),
                    impacts=("changes-firewall", *remedy.restart_daemon(facts).impacts),
                ),
            ),
        )


check = Check(
    cause="firewalld-conflict",
    title="firewalld and Docker disagree about the bridge",
    subjects=("daemon",),
    needs=("engine", "daemon.process", "daemon.files", "log"),
    find=find,
    phrases=(
        "zone_conflict",
        "already bound to a zone",
        "strictforwardports",
        "programming external connectivity … firewalld is not running",
    ),
)
