"""nftables-needs-forwarding: with the nftables backend dockerd never turns forwarding on; it fails instead (from 29)."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Affected,
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    affected,
    daemon,
    host_subject,
    remedy,
)

from ._texts import said

# moby, bridge/setup_ip_forwarding.go
TEXT = r"IPv{}(?: global)? forwarding is disabled: check your host's firewalling"
SYSCTLS = {4: "net.ipv4.ip_forward", 6: "net.ipv6.conf.all.forwarding"}


def find(case: Case) -> Iterator[Finding]:
    """A daemon that ended with that text, or refused a network or a container with it, where forwarding is off still."""
    for facts in case.hosts:
        for family, key in SYSCTLS.items():
            if facts.sysctl(key) == "1":
                continue
            text = TEXT.format(family)
            hurt, evidence = said(facts, text)
            line = daemon.logged(facts, text)
            if not evidence and line is not None and daemon.lately(facts, line):
                evidence = daemon.log_evidence(facts, line)
            if evidence:
                yield _finding(facts, family, key, affected(facts, *hurt), evidence)


def _finding(facts: HostFacts, family: int, key: str, hurt: tuple[Affected, ...], evidence: tuple[Evidence, ...]) -> Finding:
    what = (
        "does not start"
        if facts.snapshot.engine is None
        else "refuses networks with IPv6"
        if family == 6
        else "refuses networks"
    )
    value = facts.sysctl(key)
    return Finding(
        severity="error",
        confidence="proven",
        subject=host_subject(facts),
        affects=hurt,
        summary=(
            f"Docker on {facts.name} {what}: {key} is off, and with the nftables backend Docker leaves it to you to turn it on."
        ),
        evidence=(*evidence, *((Evidence(fact=key, value=value, source="sysctl"),) if value is not None else ())),
        fixes=(
            _turn_on(facts, family),
            Fix(summary="Or let Docker start without forwarding: the option ip-forward: false.", runnable=False),
        ),
        hop="filter",
    )


def _turn_on(facts: HostFacts, family: int) -> Fix:
    """The settings that Docker looks at, and its restart where it did not come up."""
    fix = remedy.set_sysctl(facts, SYSCTLS[family], "1")
    if family == 6:
        default = "net.ipv6.conf.default.forwarding"
        fix = fix.then(remedy.set_sysctl(facts, default, "1"), summary="Turn forwarding of IPv6 on.")
    if facts.snapshot.engine is not None:
        return fix
    restart = remedy.restart_daemon(facts)
    return fix.followed_by(*restart.commands, summary=f"{fix.summary} {restart.summary}", impacts=restart.impacts)


check = Check(
    cause="nftables-needs-forwarding",
    title="The nftables backend needs IP forwarding but does not turn it on",
    subjects=("host",),
    needs=("engine", "daemon.process", "daemon.files", "log", "host.network", "host.files"),
    find=find,
    frequent=True,
    phrases=(
        "ipv6 global forwarding is disabled",
        "forwarding is disabled: check your host's firewalling",
        "disable this check using daemon option --ip-forward=false",
    ),
    engines="≥ 29",
)
