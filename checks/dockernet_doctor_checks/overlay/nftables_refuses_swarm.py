"""nftables-refuses-swarm: Swarm is asked of a daemon with the nftables backend (from 29)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dockernet_doctor.plugin import Case, Check, Finding, HostFacts, daemon, daemon_subject, dockerd

OPTION = "firewall-backend"
# live-restore, too, "is incompatible with swarm mode"
TEXT = r"(?<!live-restore daemon configuration is )incompatible with swarm mode|swarm.*nftables|nftables.*swarm"


def find(case: Case) -> Iterator[Finding]:
    """A daemon that does not start, or did not join, since it has both, as its log says."""
    for facts in case.hosts:
        setting = daemon.option(facts, OPTION)
        failure = daemon.last_failure(facts)
        if setting is None or setting.value != "nftables":
            continue
        line = failure if failure is not None and _is_it(failure.text) else None
        asked = daemon.logged(facts, f"(?i){TEXT}") if facts.snapshot.engine is not None else None
        line = line or (asked if asked is not None and daemon.lately(facts, asked) and _inactive(facts) else None)
        if line is None:
            continue
        what = "does not start, because it is in a Swarm" if facts.snapshot.engine is None else "cannot join a Swarm"
        yield Finding(
            severity="error",
            confidence="proven",
            subject=daemon_subject(facts),
            summary=f"Docker on {facts.name} {what}: its nftables backend ({setting.where}) does not support Swarm networks.",
            evidence=(*daemon.log_evidence(facts, line), *daemon.setting_evidence(setting)),
            fixes=(
                dockerd.set_option(
                    facts, OPTION, None, summary="Go back to the iptables backend on this node, and restart Docker."
                ),
            ),
        )


def _is_it(text: str) -> bool:
    return re.search(TEXT, text, re.IGNORECASE) is not None


def _inactive(facts: HostFacts) -> bool:
    engine = facts.snapshot.engine
    return engine is not None and engine.swarm.state == "inactive"


check = Check(
    cause="nftables-refuses-swarm",
    title="The nftables backend does not support Swarm",
    subjects=("daemon",),
    needs=("engine", "daemon.process", "daemon.files", "log"),
    find=find,
    phrases=(
        "nftables … incompatible with swarm mode",
        "swarm-nftables",
        "nftables does not support swarm",
        "docker swarm init nftables",
    ),
    engines="≥ 29",
)
