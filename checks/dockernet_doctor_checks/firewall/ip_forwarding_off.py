"""ip-forwarding-off: the kernel forwards nothing between the bridges and the uplink (all engines)."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    Path,
    affected,
    daemon,
    daemon_options,
    dockerd,
    filtering,
    host_subject,
    model,
    obstacles,
    probe_evidence,
    remedy,
)

WHOLE = "net.ipv4.ip_forward"
FAMILIES: tuple[model.Family, ...] = (4, 6)


def find(case: Case) -> Iterator[Finding]:
    """ip_forward of the host, or of one interface or the family that a path or the way out of a network needs."""
    for facts in case.hosts:
        broken = [(p, o) for p, o in case.broken_by(obstacles.ForwardingOff) if p.host == facts.name]
        off = {o.sysctl: [p for p, other in broken if other.sysctl == o.sysctl] for _, o in broken}
        shut: dict[str, list[model.Container]] = {}
        for network, key in () if case.asked else _shut_in(facts):
            shut.setdefault(key, []).extend(c for c in facts.members(network) if c.state.running)
        if facts.sysctl(WHOLE) == "0" and _on_bridges(facts):
            off.setdefault(WHOLE, [])
        for key in dict.fromkeys((*off, *shut)):
            yield _finding(facts, key, tuple(off.get(key, ())), tuple(shut.get(key, ())))


def _shut_in(facts: HostFacts) -> Iterator[tuple[model.Network, str]]:
    for family in FAMILIES:
        for network, obstacle in filtering.ways_out(facts, family):
            if isinstance(obstacle, obstacles.ForwardingOff):
                yield network, obstacle.sysctl


def _finding(facts: HostFacts, key: str, paths: tuple[Path, ...], shut: tuple[model.Container, ...]) -> Finding:
    settings = [s for s in (facts.host.sysctl_settings if facts.host else ()) if s.key in (key, key.replace(".", "/"))]
    resets = [s for s in settings if s.value == "0"]
    told = daemon.option(facts, "ip-forward")  # false: Docker leaves forwarding as it finds it
    told = told if key == WHOLE and told is not None and told.value == "false" else None
    named = f"; {resets[-1].file} sets it" if resets else ""
    named += f"; the daemon's option ip-forward is off ({told.where}), so that it does not turn it on" if told else ""
    return Finding(
        severity="error",
        confidence="proven",
        subject=host_subject(facts),
        affects=affected(facts, *(shut if shut and key != WHOLE else _on_bridges(facts))),
        summary=(
            f"IP forwarding is off on {facts.name} ({key} = 0{named}): containers cannot reach other machines, and other "
            "machines cannot reach published ports."
        ),
        evidence=(
            Evidence(fact=key, value="0", source="sysctl"),
            *(Evidence(fact=key, value=s.value, source=f"{s.file}:{s.line}") for s in settings),
            *daemon.setting_evidence(told),
            *probe_evidence(*paths),
        ),
        fixes=(remedy.set_sysctl(facts, key, "1"), *_for_good(facts, told)),
        hop="filter",
        explains=paths,
    )


def _for_good(facts: HostFacts, told: daemon_options.Setting | None) -> Iterator[Fix]:
    if told is not None:
        yield dockerd.set_option(facts, "ip-forward", None, summary="Remove the option ip-forward, and restart Docker.")


def _on_bridges(facts: HostFacts) -> tuple[model.Container, ...]:
    """Running containers that have a way out to lose."""
    return tuple(c for c in facts.running if any(n.driver == "bridge" and not n.internal for n in facts.networks_of(c)))


check = Check(
    cause="ip-forwarding-off",
    title="IP forwarding is off",
    subjects=("host",),
    needs=(
        "engine",
        "daemon.process",
        "daemon.files",
        "host.network",
        "host.conntrack",
        "host.files",
        "firewall",
        "sandbox.network",
        "sandbox.firewall",
        "host.sockets",
        "filter",
    ),
    podman=True,
    find=find,
    phrases=(
        "ipv4 forwarding is disabled. networking will not work",
        "ipv4 forwarding is disabled",
        "container has no internet",
        "stopped working after reboot",
    ),
)
