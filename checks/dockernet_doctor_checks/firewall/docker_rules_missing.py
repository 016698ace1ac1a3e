"""docker-rules-missing: Docker's chains, jumps, DNAT or MASQUERADE were flushed by another firewall (all engines)."""

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
    daemon,
    docker_rules,
    filtering,
    host_subject,
    model,
    obstacles,
    remedy,
)

MAX_EVIDENCE = 8


def find(case: Case) -> Iterator[Finding]:
    """What Docker made for its networks and is gone, per host; the paths that end for want of it."""
    for facts in case.hosts:
        gone = docker_rules.missing(facts)
        broken = case.broken_by(obstacles.Obstacle)
        paths = tuple(path for path, o in broken if path.host == facts.name and _for_want_of_rules(facts, path, o))
        if not gone and not paths:
            continue
        whats = [part.what for part in gone] or [path.broken.predicted for path in paths if path.broken]
        hurt = _hurt(facts, {part.network for part in gone}) or tuple(p.target for p in paths if p.target)
        source = "nft list ruleset" if docker_rules.by_nftables(facts) else "iptables-save"
        more = f" and {len(whats) - 1} more" if len(whats) > 1 else ""
        yield Finding(
            severity="error",
            confidence="proven" if gone else "likely",
            subject=host_subject(facts),
            affects=affected(facts, *hurt),
            summary=(
                f"Docker's firewall rules on {facts.name} are incomplete: {whats[0]}{more} "
                f"{'are' if more else 'is'} missing, as when a firewall was reloaded or flushed."
            ),
            evidence=(
                *(Evidence(fact="missing", value=what, source=source) for what in whats[:MAX_EVIDENCE]),
                *(e for path in paths for e in _decided(path)),
            ),
            fixes=(remedy.restart_daemon(facts, summary="Restart Docker, which writes its rules again."),),
            hop="filter",
            explains=paths,
        )


def _for_want_of_rules(facts: HostFacts, path: Path, obstacle: obstacles.Obstacle) -> bool:
    if docker_rules.switched_off(facts) or not docker_rules.managed(facts):
        return False
    if path.target is not None and facts.keeps_ending(path.target):
        return False  # its rules come and go with it
    if isinstance(obstacle, obstacles.Dropped):
        return obstacle.reason == "missing"
    if isinstance(obstacle, obstacles.NoMasquerade):
        if ":" in obstacle.source and not daemon.writes_ipv6_rules(facts):
            return False
        return obstacle.decision is None and docker_rules.masquerades(obstacle.network)
    return isinstance(obstacle, obstacles.NotTranslated) and obstacle.hint == "rules-gone"


def _decided(path: Path) -> Iterator[Evidence]:
    if isinstance(path.obstacle, obstacles.Dropped):
        yield from filtering.decision_evidence(path, path.obstacle.decision, path.obstacle.packet)


def _hurt(facts: HostFacts, networks: set[str | None]) -> tuple[model.Container, ...]:
    """Members of the networks concerned; of all bridge networks where a part is missing that serves every one."""
    named = [n for n in facts.snapshot.networks if n.driver == "bridge" and (n.name in networks or None in networks)]
    return tuple(c for c in facts.running if any(c in facts.members(n) for n in named))


check = Check(
    cause="docker-rules-missing",
    title="Docker's firewall rules were removed",
    subjects=("host",),
    needs=("engine", "daemon.process", "daemon.files", "firewall", "answer"),
    find=find,
    frequent=True,
    symptom_of=("two-engines-one-host",),
    phrases=(
        "no chain/target/match by that name",
        "iptables: no chain/target/match by that name",
        "iptables failed",
        "chain 'docker … does not exist",
        "unable to enable skip dnat rule",
        "failed to setup ip tables",
        "container has no internet",
        "stopped working after firewall reload",
        "stopped working after upgrade",
    ),
)
