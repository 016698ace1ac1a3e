"""mtu-mismatch: a network's MTU is above that of the way out: small packets pass, large ones hang."""

from __future__ import annotations

import json
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
    wanted,
)

OPTION = "com.docker.network.driver.mtu"


def find(case: Case) -> Iterator[Finding]:
    """Networks whose members' interfaces have a larger MTU than the uplink, and ways on which large packets vanish."""
    for facts in case.hosts:
        holes: dict[str, list[tuple[Path, obstacles.LinkBroken]]] = {}
        for path, obstacle in case.broken_by(obstacles.LinkBroken):
            if path.host == facts.name and obstacle.problem == "mtu" and obstacle.network:
                holes.setdefault(obstacle.network.id, []).append((path, obstacle))
        for network in facts.snapshot.networks:
            if network.id in holes:
                yield _hole(facts, network, holes[network.id])
            elif network.driver in links.BRIDGED and not network.internal:
                yield from _standing(case, facts, network)


def _standing(case: Case, facts: HostFacts, network: model.Network) -> Iterator[Finding]:
    uplink = addressing.uplink(facts)
    if uplink is None or uplink.name == "lo":
        return
    members = ((c, facts.sandbox_link(c, e)) for c, e, n in addressing.served(facts) if n is network)
    larger = [(c, link) for c, link in members if link and link.mtu > uplink.mtu]
    # a container that leaves by another of its networks sends nothing large this way
    leaving = [(c, li) for c, li in larger if (e := addressing.default_endpoint(facts, c)) and facts.network_of(e) is network]
    if not leaving:
        return
    mtu = max(link.mtu for _c, link in leaving)
    containers = [c for c, _link in leaving]
    paths = tuple(p for p in case.paths if p.host == facts.name and _crosses(facts, p, containers))
    yield Finding(
        severity="warning",
        confidence="proven",
        subject=network_subject(facts, network),
        affects=affected(facts, *containers),
        summary=(
            f"The network {network.name} has an MTU of {mtu}, but the way out, {uplink.name}, has {uplink.mtu}: "
            "large packets can get lost there."
        ),
        evidence=(
            Evidence(fact=f"MTU of {network.name}", value=str(mtu), source=f"rtnetlink in {containers[0].name}"),
            Evidence(fact=f"MTU of {uplink.name}", value=str(uplink.mtu), source="rtnetlink on the host"),
        ),
        fixes=_fixes(facts, network, uplink.mtu),
        hop="link",
        explains=paths,
    )


def _crosses(facts: HostFacts, path: Path, containers: list[model.Container]) -> bool:
    """From one of the containers out of this host, or in from other machines."""
    address = path.destination.address
    if path.source is not None:
        outside = bool(address) and facts.network_containing(address or "") is None and not facts.is_own(address or "")
        return outside and path.source in containers
    return path.question.source.kind == "outside" and path.target in containers


def _hole(facts: HostFacts, network: model.Network, found: list[tuple[Path, obstacles.LinkBroken]]) -> Finding:
    path, obstacle = found[0]
    mtu = obstacle.link.mtu if obstacle.link else 0
    name = str(path.source) if path.source else obstacle.where
    return Finding(
        severity="error",
        confidence="proven",
        subject=network_subject(facts, network),
        affects=affected(facts, *(p.source for p, _o in found if p.source)),
        summary=(
            f"{name} reaches {wanted(path)} with small packets only: packets of {mtu} bytes, the MTU of the network "
            f"{network.name}, are lost; those of {obstacle.passed} arrive."
        ),
        evidence=(
            Evidence(fact=f"{mtu} bytes, don't fragment", value="no reply", source=f"probe from {name}"),
            Evidence(fact=f"{obstacle.passed} bytes, don't fragment", value="reply", source=f"probe from {name}"),
            *probe_evidence(*(p for p, _o in found)),
        ),
        fixes=_fixes(facts, network, obstacle.passed),
        hop="link",
        explains=tuple(p for p, _o in found),
    )


def _fixes(facts: HostFacts, network: model.Network, mtu: int) -> tuple[Fix, ...]:
    if network.name == "bridge":
        return (remedy.edit_daemon_json(facts, {"mtu": mtu}, summary=f"Let the default bridge have an MTU of {mtu}."),)
    summary = f"Recreate the network {network.name} with an MTU of {mtu}."
    try:
        made = remedy.recreate_network(facts, network, summary=summary, options={OPTION: str(mtu)})
    except ValueError:
        return (Fix(summary=summary, runnable=False),)
    default = json.dumps({"bridge": {OPTION: str(mtu)}})
    further = Fix(
        summary=f"For all networks created from now on (engine 24 and later): default-network-opts {default} in daemon.json.",
        runnable=False,
    )
    return (made, further)


check = Check(
    cause="mtu-mismatch",
    title="A network's MTU is larger than the way out",
    subjects=("network",),
    needs=("engine", "host.network", "sandbox.network", "link"),
    find=find,
    frequent=True,
    phrases=(
        "message too long",
        "frag needed",
        "fragmentation needed",
        "tls handshake timeout",
        "https … hang",
        "https … hangs",
        "stuck on waiting for headers",
        "unexpected disconnect while reading sideband packet",
        "packet too big",
        "failed to set mtu on host interface",
    ),
)
