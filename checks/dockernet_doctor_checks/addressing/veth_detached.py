"""veth-detached: the host's end of the container's veth is not on its bridge; network managers take it off."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Edit,
    Evidence,
    Finding,
    Fix,
    addressing,
    affected,
    container_subject,
    probe_evidence,
)

from ._ends import Broken, broken_ends

_UNMANAGED = "/etc/systemd/network/10-docker-veth.network"


def find(case: Case) -> Iterator[Finding]:
    """Ports that left their bridge, of running containers."""
    return map(_finding, broken_ends(case, ("detached", "blocked")))


def _finding(broken: Broken) -> Finding:
    facts, container, network, name = broken.facts, broken.container, broken.network, broken.problem.name
    master = broken.problem.link.master if broken.problem.link else None
    blocked = broken.problem.problem == "blocked"
    how = f"{f'on {master}, ' if master else ''}not on the bridge {network.bridge}"
    if blocked:
        how = f"a port of the bridge {network.bridge} that forwards nothing (its state is disabled or blocking)"
    return Finding(
        severity="error",
        confidence="proven",
        subject=container_subject(facts, container),
        affects=affected(facts, container),
        summary=f"{container} is cut off from the network {network.name}: its veth {name} is {how}.",
        evidence=(
            Evidence(fact=f"master of {name}", value=master or "none", source="rtnetlink on the host"),
            *([Evidence(fact=f"state of {name}", value="not forwarding", source="rtnetlink on the host")] if blocked else []),
            *probe_evidence(*broken.paths),
        ),
        fixes=_fixes(broken),
        hop="link",
        explains=broken.paths,
    )


def _fixes(broken: Broken) -> tuple[Fix, ...]:
    stack, name, bridge = broken.facts.stack, broken.problem.name, broken.network.bridge or ""
    if broken.problem.problem == "blocked":
        summary = f"Let {bridge} forward what comes from {name}."
        forwarding = addressing.of_port(name, "state", "3", back="0")
        return (addressing.networking(forwarding, summary=summary, lasts="until-restart"),)
    link, former = ("link", "set", name), broken.problem.link.master if broken.problem.link else None
    back = [addressing.ip(*link, "master", bridge, "up", back=(*link, *(("master", former) if former else ("nomaster",))))]
    if any(port.hairpin for port in (stack.links if stack else ()) if port.master == bridge):
        back.append(addressing.of_port(name, "hairpin", "on", back="off"))
    lines = ("[Match]", "Name=veth*", "", "[Link]", "Unmanaged=yes")
    diff = f"--- {_UNMANAGED}\n+++ {_UNMANAGED}\n@@ -0,0 +1,{len(lines)} @@\n" + "".join(f"+{line}\n" for line in lines)
    return (
        addressing.networking(*back, summary=f"Put {name} back on {bridge}.", lasts="until-restart"),
        Fix(
            summary="Tell systemd-networkd to leave veth* alone (NetworkManager: unmanaged-devices=interface-name:veth*).",
            edits=(Edit(file=_UNMANAGED, format="ini", diff=diff),),
            impacts=("edits-file",),
            runnable=False,
        ),
    )


check = Check(
    cause="veth-detached",
    title="A container's veth is not on its bridge",
    subjects=("container", "service"),
    needs=("engine", "host.network", "sandbox.network", "link"),
    find=find,
    phrases=("no route to host", "destination host unreachable"),
)
