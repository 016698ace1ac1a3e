"""default-bridge-used: several containers on the default bridge, which has no names and no isolation (rules 28 and 30)."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    affected,
    model,
    network_subject,
    remedy,
)


def find(case: Case) -> Iterator[Finding]:
    """Two or more running containers on the network `bridge`."""
    for facts in case.hosts:
        bridge = facts.networks.get("bridge")
        if bridge is None:
            continue
        members = [c for c in facts.members(bridge) if c.state.running]
        if len(members) > 1:
            yield _finding(facts, bridge, members)


def _finding(facts: HostFacts, bridge: model.Network, members: list[model.Container]) -> Finding:
    names = ", ".join(str(c) for c in members)
    return Finding(
        severity="info",
        confidence="proven",
        subject=network_subject(facts, bridge),
        affects=affected(facts, *members),
        summary=f"{len(members)} containers share the default bridge, where names do not resolve: {names}.",
        evidence=(Evidence(fact="members of bridge", value=names, source="inspection of containers"),),
        fixes=(_fix(facts, members),),
    )


def _fix(facts: HostFacts, members: list[model.Container]) -> Fix:
    network, changes = remedy.resettle(facts, *members)
    return Fix.of(
        *changes,
        summary=f"Connect containers that belong together to a custom network, such as {network}.",
        impacts=("changes-network",),
    )


check = Check(
    cause="default-bridge-used",
    title="The default bridge is not for production",
    subjects=("network",),
    needs=("engine",),
    find=find,
    article=(28, 30),
)
