"""iptables-disabled: the daemon runs with `iptables: false`, so nothing translates or lets in what its networks need."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from dockernet_doctor.plugin import (
    Case,
    Check,
    Finding,
    Fix,
    HostFacts,
    Path,
    affected,
    daemon,
    daemon_subject,
    docker_rules,
    dockerd,
    filtering,
    model,
    obstacles,
    probe_evidence,
    remedy,
    shell,
    wanted,
)


def find(case: Case) -> Iterator[Finding]:
    """The option; an error where a container has no way out, else somebody else's rules do the work."""
    for facts in case.hosts:
        setting = docker_rules.switched_off(facts)
        if setting is None:
            yield from _of_ipv6(case, facts)
            continue
        paths = tuple(p for p in case.paths if p.host == facts.name and _for_want_of_rules(p))
        hurt = _without_egress(facts)
        yield Finding(
            severity="error" if paths or hurt else "info",
            confidence="proven",
            subject=daemon_subject(facts),
            affects=affected(facts, *(hurt or [c for p in paths if (c := p.source or p.target)])),
            summary=(
                f"The Docker daemon on {facts.name} runs with iptables off ({setting.where})"
                + (": containers cannot reach other machines." if hurt else ": it creates no firewall rules for its networks.")
            ),
            evidence=(*daemon.setting_evidence(setting), *probe_evidence(*paths)),
            fixes=(_fix(facts),),
            hop="filter",
            explains=paths,
        )


def _fix(facts: HostFacts) -> Fix:
    """Taken back, the daemon leaves the rules that it made until the next reboot, so those of nat are taken away."""
    fix = dockerd.set_option(facts, "iptables", None, summary="Remove the option iptables, and restart Docker.")
    nat = ("iptables", "-t", "nat")
    hidden = [n for n in facts.bridges.values() if docker_rules.masquerades(n)]
    if "bridge" in facts.networks and not daemon.option(facts, "ip-masq"):
        hidden = [facts.networks["bridge"], *(n for n in hidden if n.name != "bridge")]  # which shows none without iptables
    rules = [
        shell.command(*nat, "-D", "POSTROUTING", "-s", s.subnet, "!", "-o", n.bridge or "", "-j", "MASQUERADE")
        for n in hidden
        for s in n.subnets
        if ":" not in s.subnet
    ]
    gone = (shell.command(*nat, "-F", "DOCKER"), *rules)
    return replace(fix, undo=(*fix.undo, *gone)) if fix.undo else fix


def _of_ipv6(case: Case, facts: HostFacts) -> Iterator[Finding]:
    """Paths out by IPv6, for which the daemon makes no masquerade: before 27 it makes rules for IPv4 alone, unless told to."""
    if not docker_rules.managed(facts) or daemon.writes_ipv6_rules(facts):
        return
    for path, obstacle in case.broken_by(obstacles.NoMasquerade):
        if (
            path.host != facts.name
            or ":" not in obstacle.source
            or obstacle.decision
            or not docker_rules.masquerades(obstacle.network)
        ):
            continue
        said = daemon.option(facts, "ip6tables")
        why = f"({said.where})" if said else "(the option ip6tables, which is off before engine 27)"
        summary = "Let Docker make rules for IPv6, and restart it."
        values = {"ip6tables": True} if facts.generation >= (27, 0) else {"experimental": True, "ip6tables": True}
        fix = remedy.edit_daemon_json(facts, values, summary=summary)
        if said and "json" not in said.where:
            fix = dockerd.set_option(facts, "ip6tables", "true", summary=summary)
        yield Finding(
            severity="error",
            confidence="proven" if obstacle.proven else "likely",
            subject=daemon_subject(facts),
            affects=affected(facts, obstacle.container),
            summary=(
                f"{obstacle.container} cannot reach {wanted(path)}: the daemon on {facts.name} makes no rules for IPv6 "
                f"{why}, so packets leave with the container's own address {obstacle.source}."
            ),
            evidence=(*daemon.setting_evidence(said), *probe_evidence(path)),
            fixes=(fix,),
            hop="filter",
            explains=(path,),
        )


def _for_want_of_rules(path: Path) -> bool:
    obstacle = path.obstacle
    if isinstance(obstacle, obstacles.Dropped):
        return obstacle.reason == "disabled"
    if isinstance(obstacle, obstacles.NoMasquerade):
        return True  # the default bridge then says enable_ip_masquerade=false, too
    return isinstance(obstacle, obstacles.NotTranslated) and obstacle.hint == "rules-gone"


def _without_egress(facts: HostFacts) -> list[model.Container]:
    return [c for c in facts.running if isinstance(filtering.egress(facts, c).obstacle, obstacles.NoMasquerade)]


check = Check(
    cause="iptables-disabled",
    title="The daemon creates no firewall rules",
    subjects=("daemon",),
    needs=(
        "engine",
        "daemon.process",
        "daemon.files",
        "firewall",
        "filter",
        "host.network",
        "host.conntrack",
        "sandbox.network",
        "sandbox.firewall",
    ),
    find=find,
    phrases=("iptables=false", "iptables: false", '"iptables": false', "container has no internet"),
)
