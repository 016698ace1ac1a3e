"""proxy-picks-unshared-network: the target is on two networks and Traefik may dial the one it is not on (unseen)."""

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
    container_subject,
    listed,
    model,
    neighbours,
    remedy,
)

NETWORK_LABELS = ("traefik.docker.network", "traefik.swarm.network")


def find(case: Case) -> Iterator[Finding]:
    """Containers with Traefik's labels, on networks of which Traefik has some and lacks others, and no label that chooses."""
    for facts in case.hosts:
        proxies = [c for c in facts.running if neighbours.reverse_proxy(c) == "traefik" and c.network_mode != "host"]
        if len(proxies) != 1 or _may_choose(proxies[0]):
            continue
        for container in facts.running:
            if container is not proxies[0] and any(r.key.startswith("traefik.") for r in container.references):
                yield from _judge(facts, proxies[0], container)


def _may_choose(proxy: model.Container) -> bool:
    """True where a setting, or a file that is not read, may say which network to use."""
    told = any(r.key.lower().endswith("network") and r.where != "label" for r in proxy.references)
    return told or any("traefik" in mount for mount in proxy.mounts)


def _judge(facts: HostFacts, proxy: model.Container, container: model.Container) -> Iterator[Finding]:
    shared = [n.name for n in facts.common_networks(proxy, container)]
    others = [n.name for n in facts.networks_of(container) if n.name not in shared and n.driver not in ("host", "null")]
    label = next((r for r in container.references if r.key in NETWORK_LABELS), None)
    if not others or (label is not None and label.host in shared) or (label is None and not shared):
        return
    chosen = f"the label {label.key} says {label.host}" if label else f"no label of {container} says which network to use"
    yield Finding(
        severity="warning",
        confidence="likely",
        subject=container_subject(facts, container),
        affects=affected(facts, container),
        summary=(f"{proxy.name} may dial {container} on {listed(others, 'or')}, which {proxy.name} is not on: {chosen}."),
        evidence=(
            Evidence(fact="shared networks", value=", ".join(shared) or "none", source=f"inspection of {container.name}"),
            Evidence(fact="other networks", value=", ".join(others), source=f"inspection of {container.name}"),
        ),
        fixes=_fixes(facts, proxy, container, shared, others),
    )


def _fixes(
    facts: HostFacts, proxy: model.Container, container: model.Container, shared: list[str], others: list[str]
) -> tuple[Fix, ...]:
    """The label, with the network that both are on; where there is none, the proxy joins one."""
    if not shared:
        return remedy.join_network(facts, proxy, others[0])
    label = f"Give {container} the label traefik.docker.network={shared[0]}."
    return (Fix(summary=label, impacts=("recreates-container",), runnable=False),)


check = Check(
    cause="proxy-picks-unshared-network",
    title="Traefik may pick a network that it is not on",
    subjects=("container", "service"),
    needs=("engine",),
    find=find,
    symptom_of=("no-shared-network",),
    phrases=("gateway timeout", "504 gateway timeout", "gateway timeout' caused by: dial tcp"),
)
