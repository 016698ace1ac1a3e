"""foreign-dnat-first: a nat rule that is not Docker's takes the packet before Docker's DNAT, or before its masquerade."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    HostFacts,
    affected,
    docker_rules,
    filtering,
    listed,
    model,
    names,
    obstacles,
    probe_evidence,
    rule_subject,
    unreached,
)


def find(case: Case) -> Iterator[Finding]:
    """Paths to a published port that somebody else's rule leads elsewhere; others that end where such a rule leads them."""
    for path, obstacle in case.broken_by(obstacles.TranslatedElsewhere):
        if obstacle.inside is not None:
            continue  # see firewall-inside-container
        facts = case.facts(path.host)
        container, published = obstacle.container, path.published
        holder = str(obstacle.holder) if obstacle.holder else f"no address of {facts.here}"
        if facts.is_own(obstacle.address):
            holder = facts.here
        where = f"{obstacle.address}:{obstacle.port}"
        whose = "Docker left behind" if obstacle.left_behind else "is not Docker's"
        yield Finding(
            severity="error",
            confidence="proven",
            subject=rule_subject(facts, filtering.rule_name(obstacle.decision)),
            affects=affected(facts, *([container] if container else [])),
            summary=(
                f"{unreached(path)}: a rule that {whose} sends port {path.destination.port} to {where} ({holder})"
                f"{' first' if published else ''}."
            ),
            evidence=(
                *filtering.decision_evidence(path, obstacle.decision),
                Evidence(fact="translated to", value=where, source="evaluated against the rules"),
                *probe_evidence(path),
            ),
            fixes=tuple(filtering.changes(facts, [obstacle.decision]))[:1],
            hop="mapping",
            explains=(path,),
        )
    yield from _unmasked(case)
    if not case.asked:
        named = {filtering.rule_name(o.decision) for _, o in case.broken_by(obstacles.NoMasquerade) if o.decision}
        for facts in case.hosts:
            yield from _of_ways_out(facts, named)


def _unmasked(case: Case) -> Iterator[Finding]:
    """Paths from a container whose source address somebody else's rule leaves as it is, or changes to nobody's."""
    for path, obstacle in case.broken_by(obstacles.NoMasquerade):
        facts, decision = case.facts(path.host), obstacle.decision
        if decision is None or not docker_rules.masquerades(obstacle.network):
            continue
        yield Finding(
            severity="error",
            confidence="proven" if obstacle.proven else "likely",
            subject=rule_subject(facts, filtering.rule_name(decision)),
            affects=affected(facts, obstacle.container),
            summary=(
                f"{unreached(path)}: by a rule that is not Docker's its packets leave {facts.here} as "
                f"{obstacle.source}, and answers do not come back to that address."
            ),
            evidence=(*filtering.decision_evidence(path, decision), *probe_evidence(path)),
            fixes=tuple(filtering.changes(facts, [decision]))[:1],
            hop="filter",
            explains=(path,),
        )


def _of_ways_out(facts: HostFacts, named: set[str]) -> Iterator[Finding]:
    """Whole networks whose members leave by addresses of their own: the routers beyond may know them, as where it is meant."""
    found: dict[str, list[tuple[model.Network, obstacles.NoMasquerade]]] = {}
    for network, obstacle in filtering.ways_out(facts, 4):
        if isinstance(obstacle, obstacles.NoMasquerade) and obstacle.decision and docker_rules.masquerades(network):
            found.setdefault(filtering.rule_name(obstacle.decision), []).append((network, obstacle))
    for name, hit in found.items():
        if name in named:
            continue
        members = [c for network, _ in hit for c in facts.members(network) if c.state.running]
        missed = names.barred(facts, members)
        decisions = [o.decision for _, o in hit if o.decision]
        where = listed(network.name for network, _ in hit)
        who_leaves = f"Containers on {where}"
        if missed:
            who_leaves = f"{missed[0]}, which dials {missed[1].host} ({missed[1].key}), and all on {where}"
        yield Finding(
            severity="warning" if missed else "info",
            confidence="likely",
            subject=rule_subject(facts, name),
            affects=affected(facts, *members),
            summary=(
                f"{who_leaves} leave {facts.here} as {hit[0][1].source}, by a rule that is not Docker's: unless the routers "
                "beyond have a route back, no answer comes."
            ),
            evidence=tuple(e for d in decisions for e in filtering.decision_evidence(None, d)),
            fixes=tuple(filtering.changes(facts, decisions))[:1],
            hop="filter",
        )


check = Check(
    cause="foreign-dnat-first",
    title="Another rule translates the published port first",
    subjects=("rule",),
    needs=(
        "engine",
        "daemon.process",
        "daemon.files",
        "host.network",
        "host.files",
        "host.sockets",
        "host.conntrack",
        "firewall",
        "sandbox.network",
        "sandbox.firewall",
        "mapping",
    ),
    find=find,
    phrases=("port forwarding goes to the wrong container", "wrong service answers"),
)
