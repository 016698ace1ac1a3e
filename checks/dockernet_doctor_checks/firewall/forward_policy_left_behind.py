"""forward-policy-left-behind: iptables' FORWARD policy DROP is still there after the switch to the nftables backend (29)."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    HostFacts,
    Path,
    affected,
    filtering,
    obstacles,
    probe_evidence,
    remedy,
    rule_subject,
    sufferers,
)


def find(case: Case) -> Iterator[Finding]:
    """Each family whose FORWARD policy stops paths, or the ways out of networks, beside Docker's own nftables."""
    for facts in case.hosts:
        broken = case.broken_by(obstacles.Dropped, reasons=("left-behind",))
        met: list[tuple[Path | None, obstacles.Dropped]] = [(path, o) for path, o in broken if path.host == facts.name]
        met += [(None, o) for o in ([] if case.asked else _ways_out(facts))]
        families: dict[str, list[tuple[Path | None, obstacles.Dropped]]] = {}
        for path, obstacle in met:
            assert obstacle.decision.chain is not None  # a policy decides
            families.setdefault(obstacle.decision.chain.family, []).append((path, obstacle))
        for family, found in families.items():
            yield _finding(facts, family, found[0][1], tuple(path for path, _obstacle in found if path is not None))


def _ways_out(facts: HostFacts) -> list[obstacles.Dropped]:
    ways = (*filtering.ways_out(facts, 4), *filtering.ways_out(facts, 6))
    return [o for _network, o in ways if isinstance(o, obstacles.Dropped) and o.reason == "left-behind"]


def _finding(facts: HostFacts, family: str, obstacle: obstacles.Dropped, paths: tuple[Path, ...]) -> Finding:
    program = "ip6tables" if family == "ip6" else "iptables"
    members = [c for c in facts.running if any(n.driver == "bridge" and not n.internal for n in facts.networks_of(c))]
    *_, accepting = remedy.allow(obstacle.decision)  # the widest way: what Docker would not let pass, its nftables stop
    return Finding(
        severity="error",
        confidence="proven",
        subject=rule_subject(facts, filtering.rule_name(obstacle.decision)),
        affects=sufferers(*paths) or affected(facts, *members),
        summary=(
            f"Containers on {facts.name} cannot be reached from other machines and cannot reach them: the policy DROP of "
            f"{program}' FORWARD chain is left from before the switch to nftables."
        ),
        evidence=(
            Evidence(fact="FirewallBackend", value="nftables", source="docker info"),
            Evidence(fact="policy of FORWARD", value="DROP", source=f"{program}-save"),
            *probe_evidence(*paths),
        ),
        fixes=(accepting,),
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
