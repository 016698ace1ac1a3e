"""iptables-disabled: the daemon runs with `iptables: false`, so nothing translates or lets in what its networks need."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Finding,
    HostFacts,
    Path,
    affected,
    daemon,
    daemon_subject,
    filtering,
    model,
    obstacles,
    probe_evidence,
)


def find(case: Case) -> Iterator[Finding]:
    """The option; an error where a container has no way out, else somebody else's rules do the work."""
    for facts in case.hosts:
        setting = filtering.switched_off(facts)
        if setting is None:
            continue
        paths = tuple(p for p in case.paths if p.host == facts.name and _for_want_of_rules(facts, p))
        hurt = _without_egress(facts)
        yield Finding(
            severity="error" if paths or hurt else "info",
            confidence="proven",
            subject=daemon_subject(facts),
            affects=affected(facts, *(hurt or [c for p in paths if (c := p.source or p.target)])),
            summary=(
                f"The Docker daemon on {facts.name} runs with iptables off ({setting.where})"
                + (": containers do not reach other machines." if hurt else ": it makes no firewall rules for its networks.")
            ),
            evidence=(*daemon.setting_evidence(setting), *(e for p in paths for e in probe_evidence(p))),
            fixes=(daemon.set_option(facts, "iptables", None, summary="Take the option iptables out, and restart Docker."),),
            hop="filter",
            explains=paths,
        )


def _for_want_of_rules(facts: HostFacts, path: Path) -> bool:
    obstacle = path.obstacle
    if isinstance(obstacle, obstacles.Dropped):
        return filtering.origin(facts, obstacle) == "disabled"
    if isinstance(obstacle, obstacles.NoMasquerade):
        return True  # the default bridge then says enable_ip_masquerade=false, too
    return isinstance(obstacle, obstacles.NotTranslated) and obstacle.hint == "rules-gone"


def _without_egress(facts: HostFacts) -> list[model.Container]:
    return [c for c in facts.running if isinstance(filtering.egress(facts, c).obstacle, obstacles.NoMasquerade)]


check = Check(
    cause="iptables-disabled",
    title="The daemon makes no firewall rules",
    subjects=("daemon",),
    find=find,
    phrases=("iptables=false", "iptables: false", '"iptables": false', "container has no internet"),
)
