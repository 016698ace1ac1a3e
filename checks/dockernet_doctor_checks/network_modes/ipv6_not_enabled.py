"""ipv6-not-enabled: IPv6 is asked for on a network that was created without it (article rule 26)."""

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
    affected,
    model,
    network_subject,
    obstacles,
    probe_evidence,
    remedy,
    wanted,
)

# What an engine's daemon.json gets for the default bridge: a subnet of unique local addresses (RFC 4193).
DEFAULT_BRIDGE = {"ipv6": True, "fixed-cidr-v6": "fd00:d0c::/64"}
SUBNET = "fd00:d0c:{}::/64"
REFUSED = "user specified ip address is supported only when connecting to networks with user configured subnets"


def find(case: Case) -> Iterator[Finding]:
    """Paths to an IPv6 address out of containers that have none, and containers refused for an --ip6."""
    for path, obstacle in case.broken_by(obstacles.NoAddressOfFamily):
        if obstacle.family == 6 and obstacle.network is not None:
            yield _of_path(case.facts(path.host), path, obstacle.container, obstacle.network)
    for facts, container in case.containers():
        if container.state.running or REFUSED not in container.state.error.lower():
            continue
        for endpoint in container.endpoints:
            network = facts.network_of(endpoint)
            if endpoint.requested_ipv6 and network is not None and not network.ipv6:
                yield _of_request(facts, case, container, network, endpoint.requested_ipv6)


def _of_path(facts: HostFacts, path: Path, container: model.Container, network: model.Network) -> Finding:
    return Finding(
        severity="error",
        confidence="proven",
        subject=network_subject(facts, network),
        affects=affected(facts, container),
        summary=(f"{container} cannot reach {wanted(path)} over IPv6: its network {network.name} was created without IPv6."),
        evidence=(_evidence(network), *probe_evidence(path)),
        fixes=(_fix(facts, network),),
        hop="network",
        explains=(path,),
    )


def _of_request(facts: HostFacts, case: Case, container: model.Container, network: model.Network, address: str) -> Finding:
    paths = tuple(p for p, o in case.broken_by(obstacles.NotRunning) if o.container.id == container.id)
    return Finding(
        severity="error",
        confidence="proven",
        subject=network_subject(facts, network),
        affects=affected(facts, container),
        summary=f"{container} cannot start: it asks for {address}, and its network {network.name} has no IPv6.",
        evidence=(
            _evidence(network),
            Evidence(fact="State.Error", value=container.state.error, source=f"inspection of {container.name}"),
        ),
        fixes=(
            Fix(
                summary=(
                    f"Recreate {network.name} with --ipv6 and a --subnet that holds {address}, or drop --ip6 from {container}."
                ),
                runnable=False,
            ),
        ),
        hop="target" if paths else None,
        explains=paths,
    )


def _evidence(network: model.Network) -> Evidence:
    return Evidence(fact="EnableIPv6", value="false", source=f"inspection of network {network.name}")


def _fix(facts: HostFacts, network: model.Network) -> Fix:
    """Recreates a bridge with IPv6; before engine 27 it needs a subnet, since no pool of IPv6 was predefined."""
    if network.name == "bridge":
        values = dict(DEFAULT_BRIDGE)
        return remedy.edit_daemon_json(
            facts, values, summary="Give the default bridge IPv6 and restart the daemon: its containers get an address."
        )
    summary = f"Recreate the network {network.name} with IPv6; its containers are reconnected."
    if network.driver != "bridge" or network.scope != "local":
        return Fix(summary=f"Recreate the network {network.name} with --ipv6.", runnable=False)
    subnets = network.subnets
    if facts.generation < (27, 0):
        taken = {s.subnet for n in facts.snapshot.networks for s in n.subnets}
        free = next(s for number in range(1, 1 << 16) if (s := SUBNET.format(f"{number:x}")) not in taken)
        subnets = (*subnets, model.Subnet(subnet=free))
        return remedy.recreate_network(facts, network, summary=summary, subnets=subnets, ipv6=True)
    return remedy.recreate_network(facts, network, summary=summary, ipv6=True)


check = Check(
    cause="ipv6-not-enabled",
    title="The network was created without IPv6",
    subjects=("network",),
    needs=("engine", "daemon.process", "daemon.files", "network"),
    find=find,
    phrases=(
        "user specified ip address is supported only when connecting to networks with user configured subnets",
        "could not find an available, non-overlapping ipv6 address pool among the defaults to assign to the network",
        "network is unreachable",
        "cannot assign requested address",
        "connect: cannot assign requested address",
    ),
    article=(26,),
)
