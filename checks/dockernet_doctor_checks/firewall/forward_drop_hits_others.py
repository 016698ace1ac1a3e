"""forward-drop-hits-others: FORWARD's policy DROP cuts machines on bridges that are not Docker's (VMs, LXC, CNIs): those that
cross their bridge, and those that are routed or NATed by this host."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    docker_rules,
    filtering,
    host_subject,
    model,
)


def find(case: Case) -> Iterator[Finding]:
    """Bridges of the host whose guests FORWARD's policy drops: on the way from one port to another, or out of this host."""
    for facts in case.hosts:
        if facts.stack is None or not docker_rules.managed(facts):
            continue
        asks_iptables = facts.sysctl("net.bridge.bridge-nf-call-iptables") == "1"
        for bridge in facts.stack.links:
            if bridge.kind != "bridge" or bridge.name in facts.bridges or not bridge.up:
                continue
            ports = _ports(facts, bridge)
            if (
                asks_iptables
                and len(ports) > 1
                and (policy := filtering.by_forward_policy(filtering.bridged(facts, bridge.name)))
            ):
                yield _of_neighbours(facts, bridge, policy)
            elif ports and (policy := filtering.by_forward_policy(filtering.cut_off(facts, bridge.name))):
                yield _of_guests(facts, bridge, policy)


def _of_neighbours(facts: HostFacts, bridge: model.Link, policy: tuple[Evidence, ...]) -> Finding:
    return Finding(
        severity="warning",
        confidence="likely",
        subject=host_subject(facts),
        summary=(
            f"What crosses the bridge {bridge.name}, which is not Docker's, is dropped by FORWARD's policy DROP, "
            "since bridge-nf-call-iptables hands it to iptables."
        ),
        evidence=(
            *policy,
            Evidence(fact="net.bridge.bridge-nf-call-iptables", value="1", source="sysctl"),
            Evidence(fact=f"ports of {bridge.name}", value=", ".join(_ports(facts, bridge)), source="rtnetlink"),
        ),
        fixes=(filtering.pass_bridge(facts, bridge.name, f"let {bridge.name} forward among its own ports", among=True),),
        hop="filter",
    )


def _of_guests(facts: HostFacts, bridge: model.Link, policy: tuple[Evidence, ...]) -> Finding:
    out = Fix(
        summary="Or let Docker leave the policy alone: the option ip-forward-no-drop (from 28), for hosts that are routers.",
        runnable=False,
    )
    return Finding(
        severity="warning",
        confidence="likely",
        subject=host_subject(facts),
        summary=(
            f"Guests on the bridge {bridge.name}, which is not Docker's, do not reach other machines: FORWARD's policy DROP "
            "drops what they send, whatever their own rules accept."
        ),
        evidence=(
            *policy,
            Evidence(fact=f"ports of {bridge.name}", value=", ".join(_ports(facts, bridge)), source="rtnetlink"),
        ),
        fixes=(
            filtering.pass_bridge(
                facts, bridge.name, f"let Docker's firewall pass what comes from {bridge.name}, and the answers", among=False
            ),
            out,
        ),
        hop="filter",
    )


def _ports(facts: HostFacts, bridge: model.Link) -> list[str]:
    return [link.name for link in (facts.stack.links if facts.stack else ()) if link.master == bridge.name]


check = Check(
    cause="forward-drop-hits-others",
    title="FORWARD's policy DROP cuts other bridges of the host",
    subjects=("host",),
    needs=("engine", "host.network", "firewall"),
    find=find,
    phrases=(
        "virtual machines lost network after installing docker",
        "lxc containers have no network",
        "lxd containers no internet docker",
        "libvirt guests no internet docker",
    ),
)
