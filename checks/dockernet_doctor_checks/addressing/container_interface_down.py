"""container-interface-down: an interface inside a container, or its end on the host, is down, gone, or lacks address or ARP."""

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
    container_subject,
    links,
    listed,
    probe_evidence,
    remedy,
)

from ._ends import Broken, broken_ends


def find(case: Case) -> Iterator[Finding]:
    """Interfaces of running containers, and those that a question ran into."""
    return map(_finding, broken_ends(case, tuple(_SEEN)))


def _finding(broken: Broken) -> Finding:
    facts, container, problem = broken.facts, broken.container, broken.problem
    said = {
        "down": f"{problem.name} is down",
        "missing": "it has no interface there",
        "no-carrier": f"{problem.name} has no carrier",
        "no-address": f"{problem.name} has lost its address {_lost(broken)}",
        "no-arp": f"ARP is off on {problem.name}, which can neither find others nor be found",
        "arp-ignored": f"{problem.name} answers no ARP request (arp_ignore is 8), so that nobody finds it",
    }[problem.problem]
    if problem.where == "host" and problem.problem == "down":
        said = f"{problem.name}, the host's end of its interface, is down"
    return Finding(
        severity="error",
        confidence="proven",
        subject=container_subject(facts, container),
        affects=affected(facts, container),
        summary=f"{container} is cut off on the network {broken.network.name}: {said}.",
        evidence=(
            Evidence(
                fact=f"link {problem.name}",
                value=_SEEN[problem.problem],
                source="rtnetlink on the host" if problem.where == "host" else f"rtnetlink in {container.name}",
            ),
            *probe_evidence(*broken.paths),
        ),
        fixes=_fixes(broken),
        hop="link",
        explains=broken.paths,
    )


_SEEN = {
    "down": "not UP",
    "missing": "no such link",
    "no-carrier": "NO-CARRIER",
    "no-address": "no address",
    "no-arp": "NOARP",
    "arp-ignored": "arp_ignore = 8",
}


def _lost(broken: Broken) -> str:
    stack = broken.facts.stack_of(broken.container)
    held = {a.address for a in stack.addresses if a.link == broken.problem.name} if stack else set()
    return listed(a for a in (broken.endpoint.ipv4, broken.endpoint.ipv6) if a and a not in held)


def _fixes(broken: Broken) -> tuple[Fix, ...]:
    facts, container, problem, name = broken.facts, broken.container, broken.problem, broken.problem.name
    restart = remedy.restart(facts, container, summary=f"Restart {container}, which gets a new interface.")
    parent = broken.network.options.get("parent", "").partition(".")[0]
    if problem.problem == "missing" or (problem.problem == "no-carrier" and not parent):
        return (restart,)
    if problem.problem == "no-carrier":
        return (addressing.networking(addressing.set_up(parent), summary=f"Set {parent} up.", lasts="until-reboot"),)
    if problem.problem == "no-arp":
        on = addressing.with_arp(name, container)
        return (addressing.networking(on, summary=f"Turn ARP on for {name}.", lasts="until-restart"), restart)
    if problem.problem == "arp-ignored":
        key = links.ignores_arp(stack, name) if (stack := facts.stack_of(container)) else ""
        answer = change.SysctlChange(key=key, value="0", before="8", inside=container.name)
        return (addressing.networking(answer, summary=f"Let {name} answer ARP requests.", lasts="until-restart"), restart)
    if problem.where == "host":
        changes: tuple[change.Change, ...] = (addressing.set_up(name),)
    elif problem.problem == "down":
        changes = (addressing.set_up(name, container), *addressing.routes_of(facts, container, broken.endpoint, name))
    else:
        changes = addressing.routes_of(facts, container, broken.endpoint, name)
    summary = f"Set {name} up." if problem.problem == "down" else f"Give {name} its address again."
    return (addressing.networking(*changes, summary=summary, lasts="until-restart"), restart)


check = Check(
    cause="container-interface-down",
    title="A container's interface is down",
    subjects=("container", "service"),
    needs=("engine", "host.network", "sandbox.network", "link"),
    find=find,
    phrases=("network is unreachable", "no-carrier", "no route to host", "network is down"),
)
