"""forward-policy-left-behind: iptables' FORWARD policy DROP is still there after the switch to the nftables backend (29)."""

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
    filtering,
    obstacles,
    probe_evidence,
    rule_subject,
    shell,
    sufferers,
)


def find(case: Case) -> Iterator[Finding]:
    """Each family whose FORWARD policy stops paths, or the ways out of networks, beside Docker's own nftables."""
    for facts in case.hosts:
        stopped: dict[str, list[tuple[Path, obstacles.Dropped]]] = {}
        for path, obstacle in case.broken_by(obstacles.Dropped, reasons=("left-behind",)):
            if path.host == facts.name and obstacle.decision.chain is not None:
                stopped.setdefault(obstacle.decision.chain.family, []).append((path, obstacle))
        for family in () if case.asked else _families_shut_in(facts):
            stopped.setdefault(family, [])
        for family, found in stopped.items():
            yield _finding(facts, family, found)


def _families_shut_in(facts: HostFacts) -> Iterator[str]:
    """Those in which networks have no way out for it."""
    ways = [*filtering.ways_out(facts, 4), *filtering.ways_out(facts, 6)]
    for _network, obstacle in ways:
        if isinstance(obstacle, obstacles.Dropped) and obstacle.reason == "left-behind" and obstacle.decision.chain:
            yield obstacle.decision.chain.family


def _finding(facts: HostFacts, family: str, found: list[tuple[Path, obstacles.Dropped]]) -> Finding:
    program = "ip6tables" if family == "ip6" else "iptables"
    paths = tuple(path for path, _obstacle in found)
    members = [c for c in facts.running if any(n.driver == "bridge" and not n.internal for n in facts.networks_of(c))]
    return Finding(
        severity="error",
        confidence="proven",
        subject=rule_subject(facts, f"{'ip6tables ' if family == 'ip6' else ''}filter FORWARD: policy DROP"),
        affects=tuple(dict.fromkeys(a for path in paths for a in sufferers(path))) or affected(facts, *members),
        summary=(
            f"Containers on {facts.name} cannot be reached from other machines and cannot reach them: the policy DROP of "
            f"{program}' FORWARD chain is left from before the switch to nftables."
        ),
        evidence=(
            Evidence(fact="FirewallBackend", value="nftables", source="docker info"),
            Evidence(fact="policy of FORWARD", value="DROP", source=f"{program}-save"),
            *(e for path in paths for e in probe_evidence(path)),
        ),
        fixes=(
            Fix(
                summary="Set the policy of FORWARD back to ACCEPT; Docker's own nftables decide for its networks.",
                commands=(shell.command(program, "-P", "FORWARD", "ACCEPT"),),
                impacts=("changes-firewall",),
                lasts="until-reboot",
                undo=(shell.command(program, "-P", "FORWARD", "DROP"),),
            ),
        ),
        hop="filter",
        explains=paths,
    )


check = Check(
    cause="forward-policy-left-behind",
    title="iptables' FORWARD policy DROP is left from before the switch to nftables",
    subjects=("rule",),
    needs=(
        "engine",
        "daemon.process",
        "daemon.files",
        "host.network",
        "host.conntrack",
        "firewall",
        "sandbox.network",
        "sandbox.firewall",
        "host.sockets",
        "filter",
    ),
    find=find,
    engines="≥ 29",
    phrases=("iptables chain forward has policy drop", "stopped working after the switch to nftables"),
)
