"""forward-drop-hits-others: FORWARD's policy DROP cuts machines on bridges that are not Docker's (VMs, LXC)."""

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
    shell,
)


def find(case: Case) -> Iterator[Finding]:
    """Bridges of the host with two ports and more whose own traffic FORWARD's policy drops."""
    for facts in case.hosts:
        for bridge in _others(facts):
            decision = filtering.bridged(facts, bridge.name)
            if decision is None or decision.rule is not None or decision.chain is None or decision.chain.name != "FORWARD":
                continue
            among = ("-i", bridge.name, "-o", bridge.name)
            yield Finding(
                severity="warning",
                confidence="likely",
                subject=host_subject(facts),
                summary=(
                    f"Traffic across the bridge {bridge.name}, which is not Docker's, is dropped by FORWARD's policy DROP, "
                    "because bridge-nf-call-iptables passes it to iptables."
                ),
                evidence=(
                    Evidence(fact="policy of FORWARD", value=decision.chain.policy or "", source="iptables-save"),
                    Evidence(fact="packets dropped by it", value=str(decision.chain.packets), source="iptables-save"),
                    Evidence(fact="net.bridge.bridge-nf-call-iptables", value="1", source="sysctl"),
                    Evidence(fact=f"ports of {bridge.name}", value=", ".join(_ports(facts, bridge)), source="rtnetlink"),
                ),
                fixes=(
                    Fix(
                        summary=f"Let {bridge.name} forward among its own ports.",
                        commands=(shell.command("iptables", "-I", _chain(facts), *among, "-j", "ACCEPT"),),
                        impacts=("changes-firewall",),
                        lasts="until-reboot",
                    ),
                ),
                hop="filter",
            )


def _others(facts: HostFacts) -> Iterator[model.Link]:
    if facts.stack is None or facts.sysctl("net.bridge.bridge-nf-call-iptables") != "1" or not docker_rules.managed(facts):
        return
    for link in facts.stack.links:
        if link.kind == "bridge" and link.name not in facts.bridges and link.up and len(_ports(facts, link)) > 1:
            yield link


def _ports(facts: HostFacts, bridge: model.Link) -> list[str]:
    return [link.name for link in (facts.stack.links if facts.stack else ()) if link.master == bridge.name]


def _chain(facts: HostFacts) -> str:
    present = any(r.chain("filter", "DOCKER-USER") for r in facts.rulesets or () if r.family == "ip")
    return "DOCKER-USER" if present else "FORWARD"


check = Check(
    cause="forward-drop-hits-others",
    title="FORWARD's policy DROP cuts other bridges of the host",
    subjects=("host",),
    needs=("engine", "host.network", "firewall"),
    find=find,
    phrases=("virtual machines lost network after installing docker", "lxc containers have no network"),
)
