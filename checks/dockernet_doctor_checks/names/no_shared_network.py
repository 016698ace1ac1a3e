"""no-shared-network: source and target are on disjoint networks (article rules 3, 19, 23 and 25)."""

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
    container_subject,
    model,
    obstacles,
    probe_evidence,
    remedy,
)


def find(case: Case) -> Iterator[Finding]:
    """Names that belong to a container elsewhere, containers dialled outright, and addresses behind Docker's isolation."""
    for path in case.paths:
        pair = _pair(path)
        if pair is None:
            continue
        facts = case.facts(path.host)
        source, target = pair
        ours, theirs = _names(facts, source), _names(facts, target)
        if not ours or not theirs or facts.common_networks(source, target):
            continue
        if "host" in (source.network_mode, target.network_mode):
            continue
        yield Finding(
            severity="error",
            confidence="proven",
            subject=container_subject(facts, source),
            affects=affected(facts, source),
            summary=(
                f"{source.name} cannot reach {target.name}: they share no network ({source.name} is on {', '.join(ours)}, "
                f"{target.name} on {', '.join(theirs)})."
            ),
            evidence=(
                Evidence(fact=f"networks of {source.name}", value=", ".join(ours), source=f"inspection of {source.name}"),
                Evidence(fact=f"networks of {target.name}", value=", ".join(theirs), source=f"inspection of {target.name}"),
                *probe_evidence(path),
            ),
            fixes=remedy.join_network(facts, source, _best(facts, target)),
            hop=path.broken.hop if path.broken else None,
            explains=(path,),
        )


def _pair(path: Path) -> tuple[model.Container, model.Container] | None:
    obstacle = path.obstacle
    if isinstance(obstacle, obstacles.NoCommonNetwork):
        return obstacle.source, obstacle.target
    if path.source is None:
        return None
    if isinstance(obstacle, obstacles.NameUnanswered) and obstacle.meant is not None:
        return path.source, obstacle.meant
    if isinstance(obstacle, obstacles.Dropped) and path.target is not None and _is_isolation(obstacle):
        return path.source, path.target
    return None


def _is_isolation(obstacle: obstacles.Dropped) -> bool:
    """Docker's own rules that keep networks apart: DOCKER-ISOLATION-STAGE-2, and from 28 the end of DOCKER and raw."""
    rule = obstacle.decision.rule
    if obstacle.where != "host" or rule is None:
        return False
    if rule.chain.startswith("DOCKER-ISOLATION"):
        return True
    return (rule.table, rule.chain) in (("filter", "DOCKER"), ("raw", "PREROUTING"))


def _names(facts: HostFacts, container: model.Container) -> list[str]:
    return [n.name for n in facts.networks_of(container) if n.driver != "null"]


def _best(facts: HostFacts, target: model.Container) -> str:
    """The target's network to join: a custom one before `bridge`, which serves no names."""
    networks = sorted(facts.networks_of(target), key=lambda n: (n.name == "bridge", n.internal))
    return networks[0].name


check = Check(
    cause="no-shared-network",
    title="Source and target share no network",
    subjects=("container",),
    find=find,
    symptom_of=("default-bridge-no-dns",),
    phrases=(
        "could not resolve host",
        "bad address",
        "name or service not known",
        "temporary failure in name resolution",
        "no route to host",
        "destination host unreachable",
        "host not found in upstream",
    ),
    article=(3, 19, 23, 25),
)
