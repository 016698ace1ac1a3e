"""stale-overlay-endpoint: a store or network lists an endpoint whose container is gone; its name cannot be used again.

`docker network disconnect -f NET NAME` takes it out, but a local container of that name (state Created) is detached in its
place: that one has to go first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    affected,
    is_loopback,
    model,
    network_subject,
    shell,
)

_EXISTS = r"endpoint with name (\S+) already exists in network (\S+)"


def find(case: Case) -> Iterator[Finding]:
    """Endpoints that the host which made them does not have, and names that were refused for such a one."""
    for facts in case.hosts:
        seen: set[tuple[str, str]] = set()
        for network, name, evidence in (*_refused(facts), *_by_store(case, facts)):
            if (network.id, name) in seen or _lives(case, network, name):
                continue
            seen.add((network.id, name))
            container = facts.container(name)
            yield Finding(
                severity="error" if container else "warning",
                confidence="proven",
                subject=network_subject(facts, network),
                affects=affected(facts, container) if container else (),
                summary=f"The network {network.name} still lists {name}, whose container is gone: that name is taken there.",
                evidence=evidence,
                fixes=(_fix(network, name, container),),
                hop="target" if container else None,
                explains=tuple(p for p in case.paths if p.host == facts.name and container and p.target is container),
            )


def _refused(facts: HostFacts) -> Iterator[tuple[model.Network, str, tuple[Evidence, ...]]]:
    for container in facts.containers:
        match = re.search(_EXISTS, container.state.error) if not container.state.running else None
        network = facts.networks.get(match[2].rstrip(".")) if match else None
        if match and network is not None and network.driver == "overlay":
            source = f"State.Error of {container.name}"
            yield network, match[1], (Evidence(fact="refused", value=container.state.error, source=source),)


def _by_store(case: Case, facts: HostFacts) -> Iterator[tuple[model.Network, str, tuple[Evidence, ...]]]:
    """Endpoints of the store that one of the hosts that were read made, and does not have."""
    store = facts.snapshot.store
    for endpoint in (store.endpoints or ()) if store else ():
        maker = next((h for h in case.hosts if h.is_own(endpoint.host) and h.snapshot.engine is not None), None)
        network = next((n for n in facts.snapshot.networks if n.id == endpoint.network_id), None)
        if maker is None or network is None or not endpoint.name or is_loopback(endpoint.host):
            continue
        if any(e.endpoint_id == endpoint.endpoint_id for c in maker.containers for e in c.endpoints):
            continue
        shown = f"{endpoint.name} {endpoint.address} made by {endpoint.host}"
        yield (
            network,
            endpoint.name,
            (
                Evidence(fact="endpoint", value=shown, source="the cluster store"),
                Evidence(fact=f"containers of {maker.name}", value="none has this endpoint", source="docker inspect"),
            ),
        )


def _lives(case: Case, network: model.Network, name: str) -> bool:
    """True if a container of that name is on the network after all."""
    return any(
        c.name == name and c.state.running and any(e.network_id == network.id or e.network == network.name for e in c.endpoints)
        for _, c in case.containers()
    )


def _fix(network: model.Network, name: str, container: model.Container | None) -> Fix:
    commands = [shell.command("docker", "network", "disconnect", "-f", *shell.operands(network.name, name))]
    if container is None:
        return Fix(summary=f"Take {name} out of {network.name}.", commands=tuple(commands), impacts=("changes-network",))
    interim = f"{name}-waiting"
    return Fix(
        summary=f"Take the stale {name} out of {network.name} while the local one is out of the way, and start that.",
        commands=(
            shell.command("docker", "rename", *shell.operands(name, interim)),
            *commands,
            shell.command("docker", "rename", *shell.operands(interim, name)),
            shell.command("docker", "start", *shell.operands(name)),
        ),
        impacts=("changes-network",),
    )


check = Check(
    cause="stale-overlay-endpoint",
    title="An overlay network lists an endpoint whose container is gone",
    subjects=("network",),
    needs=("engine", "host.network", "store"),
    find=find,
    phrases=("endpoint with name", "already exists in network", "is already present in sandbox"),
    engines="≤ 20.10 (store); all (Swarm)",
    article=(41,),
)
