"""icc-disabled: members of the network must not talk to each other (`enable_icc=false`, or the daemon's `icc: false`)."""

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
    daemon,
    docker_rules,
    dockerd,
    filtering,
    links,
    model,
    network_subject,
    obstacles,
    probe_evidence,
    remedy,
    shell,
    unreached,
    wanted,
    who,
)


def find(case: Case) -> Iterator[Finding]:
    """Networks made so, by design; and the paths between two of their members."""
    for facts in case.hosts:
        broken: dict[str, list[tuple[Path, obstacles.Dropped]]] = {}
        for path, obstacle in case.broken_by(obstacles.Dropped):
            network = obstacle.network or path.network
            if path.host == facts.name and network and obstacle.reason == "icc":
                broken.setdefault(network.id, []).append((path, obstacle))
        apart: dict[str, list[Path]] = {}
        for path, link in case.broken_by(obstacles.LinkBroken):
            if path.host == facts.name and link.problem == "isolated" and link.network:
                apart.setdefault(link.network.id, []).append(path)
        for network in facts.snapshot.networks:
            if network.id in broken or _meant(facts, network):
                yield _finding(facts, network, broken.get(network.id, []))
            elif network.driver == "bridge" and len(ports := links.isolated_ports(facts, network)) > 1:
                yield _of_ports(facts, network, ports, tuple(apart.get(network.id, ())))


def _meant(facts: HostFacts, network: model.Network) -> bool:
    off = network.options.get(docker_rules.ICC) == "false" and network.name != "docker_gwbridge"
    return off and len([c for c in facts.members(network) if c.state.running]) > 1


def _finding(facts: HostFacts, network: model.Network, broken: list[tuple[Path, obstacles.Dropped]]) -> Finding:
    paths = tuple(path for path, _ in broken)
    if paths:
        summary = f"{unreached(paths[0])}: containers on the network {network.name} may not talk to each other (icc is off)."
    else:
        summary = f"Containers on the network {network.name} cannot reach each other: icc is off on it."
    return Finding(
        severity="error" if paths else "info",
        confidence="proven",
        subject=network_subject(facts, network),
        affects=affected(facts, *(c for c in facts.members(network) if c.state.running)),
        summary=summary,
        evidence=(
            Evidence(
                fact=docker_rules.ICC,
                value=network.options.get(docker_rules.ICC, ""),
                source=f"inspection of network {network.name}",
            ),
            *daemon.setting_evidence(daemon.option(facts, "icc")),
            *(e for path, o in broken for e in filtering.decision_evidence(path, o.decision, o.packet)),
            *probe_evidence(*paths),
        ),
        fixes=tuple(_fixes(facts, network, paths)),
        hop="filter",
        explains=paths,
    )


def _of_ports(facts: HostFacts, network: model.Network, ports: dict[str, str], paths: tuple[Path, ...]) -> Finding:
    names = sorted(ports.values())
    hurt = [c for c in facts.members(network) if c.id in ports]
    whom = f"{who(paths[0])} cannot reach {wanted(paths[0])}" if paths else "Containers cannot reach each other"
    return Finding(
        severity="error" if paths else "info",
        confidence="proven",
        subject=network_subject(facts, network),
        affects=affected(facts, *hurt),
        summary=f"{whom}: their ports of the bridge {network.bridge} ({network.name}) are isolated from one another.",
        evidence=(
            *(Evidence(fact=f"isolated of {name}", value="on", source="rtnetlink on the host") for name in names),
            *probe_evidence(*paths),
        ),
        fixes=(
            addressing.networking(
                *(addressing.of_port(name, "isolated", "off", back="on") for name in names),
                summary=f"Let the ports of {network.bridge} pass packets to one another.",
                lasts="until-restart",
            ),
        ),
        hop="link",
        explains=paths,
    )


def _fixes(facts: HostFacts, network: model.Network, paths: tuple[Path, ...]) -> Iterator[Fix]:
    if network.name != "bridge":
        if network.scope != "swarm":
            options = {docker_rules.ICC: "true"}
            yield remedy.recreate_network(facts, network, summary=f"Recreate {network.name} with icc on.", options=options)
        return
    if daemon.option(facts, "icc"):
        yield dockerd.set_option(facts, "icc", None, summary="Remove the option icc, and restart Docker.")
    members = dict.fromkeys(c.name for path in paths for c in (path.source, path.target) if c)
    if members:
        creation = shell.command("docker", "network", "create", "app")
        joining = tuple(shell.command("docker", "network", "connect", *shell.operands("app", name)) for name in members)
        summary = "Or connect these containers to a network of their own."
        yield Fix(summary=summary, commands=(creation, *joining), impacts=("changes-network",))


check = Check(
    cause="icc-disabled",
    title="Containers of this network may not talk to each other",
    subjects=("network",),
    needs=("engine", "daemon.process", "daemon.files", "host.network", "sandbox.network", "filter"),
    find=find,
    phrases=("icc=false", "enable_icc", "inter-container communication"),
)
