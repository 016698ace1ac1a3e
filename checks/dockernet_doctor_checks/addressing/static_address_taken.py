"""static-address-taken: the address asked for with --ip is another's, mostly one that got it from the dynamic range."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    addressing,
    affected,
    container_subject,
    links,
    model,
    obstacles,
    remedy,
    shell,
)


def find(case: Case) -> Iterator[Finding]:
    """Containers whose last start failed with "Address already in use" (without "bind:", which is a port's)."""
    for facts, container in case.containers():
        if container.state.running or not refused(container.state.error):
            continue
        endpoint = next((e for e in container.endpoints if e.requested_ipv4 or e.requested_ipv6), None)
        address = (endpoint.requested_ipv4 or endpoint.requested_ipv6 or "") if endpoint else ""
        holder = facts.holder(address) if address else None
        paths = tuple(p for p, o in case.broken_by(obstacles.NotRunning) if o.container.id == container.id)
        by = f"the container {holder[0]}" if holder else _gateway(facts, endpoint, address)
        wanted = f"its address {address or 'of --ip'} on {endpoint.network if endpoint else 'its network'}"
        yield Finding(
            severity="error",
            confidence="proven",
            subject=container_subject(facts, container),
            affects=affected(facts, container),
            summary=f"{container} cannot start: {wanted} is taken{f' by {by}' if by else ''}.",
            evidence=(
                Evidence(fact="State.Error", value=container.state.error, source=f"inspection of {container.name}"),
                Evidence(fact="--ip", value=address, source=f"inspection of {container.name}"),
            ),
            fixes=tuple(_fixes(facts, container, endpoint, holder)),
            hop="target",
            explains=paths,
        )


def refused(error: str) -> bool:
    """≤26 "Address already in use"; 28 with a preamble. A port's texts hold "bind" or the port."""
    text = error.lower()
    return "address already in use" in text and "bind" not in text and "listen" not in text


def _gateway(facts: HostFacts, endpoint: model.Endpoint | None, address: str) -> str:
    network = facts.network_of(endpoint) if endpoint else None
    return "the network's gateway" if network and address in links.gateways_of(network) else ""


def _fixes(
    facts: HostFacts,
    container: model.Container,
    endpoint: model.Endpoint | None,
    holder: tuple[model.Container, model.Endpoint] | None,
) -> Iterator[Fix]:
    start = shell.command("docker", "start", *shell.operands(container.name))
    if endpoint is not None and holder is not None and not (holder[1].requested_ipv4 or holder[1].requested_ipv6):
        other, theirs = holder
        names = {other.name, other.id[:12]}
        connect = remedy.join_network(facts, other, theirs.network, aliases=[a for a in theirs.aliases if a not in names])[0]
        if connect.commands and not other.swarm:
            # it leaves, the one that needs the address takes it, and it comes back at another
            *leaving, joining = connect.commands
            yield Fix(
                summary=f"Move {other} to another address, and start {container}.",
                commands=(*leaving, start, joining),
                impacts=("changes-network",),
            )
    elif endpoint is not None and not container.compose and not container.swarm:
        free = _free_address(facts, endpoint)
        if free:
            leave = shell.command("docker", "network", "disconnect", "-f", *shell.operands(endpoint.network, container.name))
            join = shell.command(
                "docker", "network", "connect", "--ip", free, *shell.operands(endpoint.network, container.name)
            )
            yield Fix(
                summary=f"Give {container} the free address {free}.",
                commands=(leave, join, start),
                impacts=("changes-network",),
            )
    yield Fix(
        summary="For good: recreate the network with an --ip-range that leaves the static addresses out.",
        runnable=False,
    )


def _free_address(facts: HostFacts, endpoint: model.Endpoint) -> str:
    network = facts.network_of(endpoint)
    if network is None:
        return ""
    used = set(links.gateways_of(network)) | {a for s in network.subnets for a in s.auxiliary.values()}
    used |= {a for c in facts.containers for e in c.endpoints for a in (e.ipv4, e.requested_ipv4) if a}
    net = next((n for n in addressing.subnets(network) if n.version == 4), None)
    if net is None or net.num_addresses < 8:
        return ""
    candidates = (str(net[-i]) for i in range(2, min(net.num_addresses, 200)))
    return next((a for a in candidates if a not in used), "")


check = Check(
    cause="static-address-taken",
    title="The static address is another container's",
    subjects=("container", "service"),
    needs=("engine",),
    find=find,
    phrases=("failed to set up container networking: address already in use", "address already in use"),
)
