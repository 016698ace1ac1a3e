"""reply-takes-other-route: on a multi-homed host, containers answer by another uplink than the host itself."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    addressing,
    affected,
    change,
    host_subject,
    model,
    obstacles,
    routing,
    unreached,
    wanted,
)


def find(case: Case) -> Iterator[Finding]:
    """Paths from other machines whose answers a policy route sends elsewhere."""
    for path, obstacle in case.broken_by(obstacles.RouteElsewhere):
        if not obstacle.reply or obstacle.network is None or obstacle.rule is not None or obstacle.where != "host":
            continue
        facts = case.facts(path.host)
        name = str(obstacle.container) if obstacle.container else wanted(path)
        yield Finding(
            severity="error",
            confidence="likely",
            subject=host_subject(facts),
            affects=affected(facts, *([obstacle.container] if obstacle.container else [])),
            summary=(
                f"{unreached(path)} at {path.destination.address}: answers of {name} leave by {obstacle.taken}, those of "
                f"{facts.here} itself by {obstacle.expected}."
            ),
            evidence=(
                Evidence(fact="ip rule of the host's address", value=obstacle.because, source="rtnetlink"),
                Evidence(fact=f"way back of {name}", value=f"dev {obstacle.taken}", source="route lookup"),
                Evidence(
                    fact=f"way back of {path.destination.address}", value=f"dev {obstacle.expected}", source="route lookup"
                ),
            ),
            fixes=_fixes(obstacle),
            hop="route",
            explains=(path,),
        )


def _fixes(obstacle: obstacles.RouteElsewhere) -> tuple[Fix, ...]:
    bridge = obstacle.network.bridge if obstacle.network else None
    table = obstacle.because.rpartition("lookup ")[2]
    if not bridge or not (table.isascii() and table.isdecimal()):
        return ()
    # the bridge's own subnets stay with the main table, and so do those of its neighbours
    family: model.Family = 6 if ":" in obstacle.destination else 4
    keep = model.RoutingRule(family=family, priority=990, table=routing.MAIN, in_interface=bridge, suppress_prefix_length=0)
    send = model.RoutingRule(family=family, priority=1000, table=int(table), in_interface=bridge)
    summary = f"Let traffic from {bridge} use table {table} too."
    rules = (change.RuleChange.added(rule) for rule in (keep, send))
    return (addressing.networking(*rules, summary=summary, lasts="until-reboot"),)


check = Check(
    cause="reply-takes-other-route",
    title="Containers answer through another uplink than the host",
    subjects=("host",),
    needs=("route",),
    find=find,
    phrases=("asymmetric routing", "published ports work on one interface only"),
)
