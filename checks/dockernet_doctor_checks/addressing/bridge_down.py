"""bridge-down: the network's Linux bridge is down, has lost its address or ARP, or is gone."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    Path,
    addressing,
    affected,
    links,
    model,
    network_subject,
    obstacles,
    probe_evidence,
    remedy,
)


def find(case: Case) -> Iterator[Finding]:
    """Bridges of running containers' networks, and those that a question ran into."""
    for facts in case.hosts:
        broken = [(p, o) for p, o in case.broken_by(obstacles.LinkBroken) if p.host == facts.name and o.container is None]
        for network in facts.snapshot.networks:
            if network.driver not in links.BRIDGED:
                continue
            paths = tuple(p for p, o in broken if o.network is network)
            members = [c for c in facts.members(network) if c.state.running]
            problem = _problem(facts, network)
            if problem and (members or paths):
                yield _finding(facts, network, problem, members, paths)


def _problem(facts: HostFacts, network: model.Network) -> obstacles.LinkBroken | None:
    found = links.bridge_problem(facts, network, needs_address=network.ipv4)
    if found is None and network.ipv6:
        found = links.bridge_problem(facts, network, family=6)
    return found[0] if found else None


def _finding(
    facts: HostFacts,
    network: model.Network,
    problem: obstacles.LinkBroken,
    members: list[model.Container],
    paths: tuple[Path, ...],
) -> Finding:
    bridge, where = network.bridge or "", f"the network {network.name}"
    held = {a.address for a in facts.stack.addresses if a.link == bridge} if facts.stack else set()
    known = dict.fromkeys((*links.gateways_of(network), *links.given_gateways(facts, network)))
    gateways = ", ".join(gateway for gateway in known if gateway not in held)
    said, seen = {
        "missing": (f"The bridge {bridge} of {where} is gone", "no such link"),
        "down": (f"The bridge {bridge} of {where} is down", "not UP"),
        "no-address": (f"The bridge {bridge} of {where} has lost its address {gateways}", "without " + gateways),
        "no-arp": (f"ARP is off on the bridge {bridge} of {where}", "NOARP"),
        "arp-ignored": (f"The bridge {bridge} of {where} answers no ARP request (arp_ignore is 8)", "arp_ignore = 8"),
    }[problem.problem]
    half = problem.problem in ("no-address", "no-arp", "arp-ignored")
    cut = "its containers have no gateway" if half else "its containers cannot reach anything"
    return Finding(
        severity="error",
        confidence="proven",
        subject=network_subject(facts, network),
        affects=affected(facts, *members),
        summary=f"{said}: {cut}, and {facts.here} cannot reach them.",
        evidence=(
            Evidence(fact=f"link {bridge}", value=seen, source="rtnetlink"),
            *probe_evidence(*paths),
        ),
        fixes=_fixes(facts, network, problem),
        hop="link",
        explains=paths,
    )


def _fixes(facts: HostFacts, network: model.Network, problem: obstacles.LinkBroken) -> tuple[Fix, ...]:
    again = remedy.restart_daemon(facts, summary="Restart the Docker daemon, which recreates its bridges.")
    bridge = network.bridge or ""
    changes = addressing.bridge_addresses(facts, network)
    if problem.problem == "missing":
        return (again,)
    if problem.problem == "no-arp":
        return (addressing.networking(addressing.with_arp(bridge), summary=f"Turn ARP on for {bridge}.", lasts="until-reboot"),)
    if problem.problem == "arp-ignored":
        key = links.ignores_arp(facts.stack, bridge) if facts.stack else ""
        return (remedy.set_sysctl(facts, key, "0", before="8"),)
    if problem.problem == "down":
        changes = (addressing.set_up(bridge), *changes)
    summary = f"Set {bridge} up." if problem.problem == "down" else f"Give {bridge} its address again."
    return (addressing.networking(*changes, summary=summary, lasts="until-reboot"), again)


check = Check(
    cause="bridge-down",
    title="A network's bridge is down, gone, or has no address",
    subjects=("network",),
    needs=("engine", "daemon.process", "host.network", "host.files", "link", "daemon.files"),
    find=find,
    phrases=(
        "no route to host",
        "destination host unreachable",
        "network is down",
        "could not find bridge",
        "no such network interface",
    ),
)
