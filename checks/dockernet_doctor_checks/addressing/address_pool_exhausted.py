"""address-pool-exhausted: no subnet is left for another network, or no address on a network for another container."""

from __future__ import annotations

import ipaddress
import re
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
    daemon_subject,
    links,
    model,
    network_subject,
    obstacles,
    remedy,
    shell,
)

NO_ADDRESS = r"(?i)no available ipv[46] addresses on this network"
NO_SUBNET = (
    "non-overlapping ipv4 address pool",
    "non-overlapping ipv6 address pool",
    "predefined address pools have been fully subnetted",
)
RANGES = tuple(f"172.{n}.0.0/16" for n in range(17, 32)) + tuple(f"192.168.{n}.0/20" for n in range(0, 256, 16))


def find(case: Case) -> Iterator[Finding]:
    """Networks that are full, by what a container was told or by count; daemons that have no subnet left."""
    for facts in case.hosts:
        refused: dict[str, list[model.Container]] = {}
        for container in facts.containers:
            if not container.state.running and re.search(NO_ADDRESS, container.state.error):
                network = next((n for e in container.endpoints if (n := facts.network_of(e)) and _full(facts, n)), None)
                network = network or next((n for e in container.endpoints if (n := facts.network_of(e))), None)
                if network is not None:
                    refused.setdefault(network.id, []).append(container)
        for network in facts.snapshot.networks:
            hurt = refused.get(network.id, [])
            if hurt or (network.driver in links.BRIDGED and network.scope == "local" and _full(facts, network)):
                yield _network_full(case, facts, network, hurt)
        yield from _no_subnet_left(facts)


def _range(network: model.Network) -> tuple[ipaddress.IPv4Network, set[str]] | None:
    """The IPv4 addresses that the network hands out, and those of them that nobody may have."""
    subnet = next((s for s in network.subnets if ":" not in s.subnet), None)
    whole = addressing.parse(subnet.subnet) if subnet else None
    net = addressing.parse(subnet.ip_range) if subnet and subnet.ip_range else whole
    if subnet is None or not isinstance(net, ipaddress.IPv4Network) or not isinstance(whole, ipaddress.IPv4Network):
        return None
    kept = {str(whole[0]), str(whole[-1]), *links.gateways_of(network), *subnet.auxiliary.values()}
    if subnet.gateway is None and not subnet.ip_range:
        kept.add(str(whole[1]))
    return net, kept


def _full(facts: HostFacts, network: model.Network) -> bool:
    found = _range(network)
    if found is None or found[0].num_addresses > 4096:
        return False
    net, kept = found
    held = {m.ipv4.split("/")[0] for m in network.members if m.ipv4}
    held |= {e.ipv4 for c in facts.members(network) for e in c.endpoints if e.ipv4 and facts.network_of(e) is network}
    return all(str(address) in held or str(address) in kept for address in net)


def _network_full(case: Case, facts: HostFacts, network: model.Network, hurt: list[model.Container]) -> Finding:
    found = _range(network)
    ids = {c.id for c in hurt}
    paths = tuple(p for p, o in case.broken_by(obstacles.NotRunning) if o.container.id in ids)
    size = f"{found[0]} is all in use" if found else "no address is left"
    failed = f"; {', '.join(str(c) for c in hurt)} cannot start" if hurt else "; the next container cannot start there"
    evidence = [Evidence(fact="State.Error", value=c.state.error, source=f"inspection of {c.name}") for c in hurt]
    evidence.append(Evidence(fact="members", value=str(len(network.members)), source=f"inspection of network {network.name}"))
    return Finding(
        severity="error" if hurt else "warning",
        confidence="proven",
        subject=network_subject(facts, network),
        affects=affected(facts, *hurt),
        summary=f"The network {network.name} has no free address: {size}{failed}.",
        evidence=tuple(evidence),
        fixes=_larger(facts, network, hurt),
        hop="target" if paths else None,
        explains=paths,
    )


def _larger(facts: HostFacts, network: model.Network, hurt: list[model.Container]) -> tuple[Fix, ...]:
    free = addressing.free_subnet(facts)
    summary = f"Recreate the network {network.name} with a larger subnet, {free}."
    if not free:
        return (Fix(summary="Remove containers that are not needed, or give the network a larger subnet.", runnable=False),)
    try:
        made = remedy.recreate_network(facts, network, summary=summary, subnets=addressing.renumbered(facts, network))
    except ValueError:
        bip = ipaddress.ip_network(free)
        return (remedy.edit_daemon_json(facts, {"bip": f"{bip[1]}/{bip.prefixlen}"}, summary=f"Move it to {free}."),)
    if not made.runnable or not made.commands or not hurt:
        return (made,)
    start = shell.command("docker", "start", *shell.operands(*(c.name for c in hurt)))
    return (Fix(summary=summary, commands=(*_waiting(network, hurt, made.commands), start), impacts=made.impacts),)


def _waiting(
    network: model.Network, hurt: list[model.Container], commands: tuple[shell.Command, ...]
) -> tuple[shell.Command, ...]:
    """A container that never started holds on to the old network by its id: it is disconnected first, connected last."""
    leave = tuple(shell.command("docker", "network", "disconnect", "-f", *shell.operands(network.name, c.name)) for c in hurt)
    join = tuple(shell.command("docker", "network", "connect", *shell.operands(network.name, c.name)) for c in hurt)
    return (*leave, *commands, *join)


def _no_subnet_left(facts: HostFacts) -> Iterator[Finding]:
    engine = facts.snapshot.engine
    if engine is None:
        return
    log = (line.text for line in reversed(facts.snapshot.daemon.log))
    said = next((text for text in log if any(words in text.lower() for words in NO_SUBNET)), "")
    pools = engine.default_address_pools
    if any(unused_subnets(facts, pools)):
        return  # one is enough; whether a route covers it is for pool-covered-by-route to say
    subnets = list(_subnets(pools))
    if not subnets and not said:
        return
    names = ", ".join(f"{base} in pieces of /{size}" for base, size in pools) or "Docker's default pools"
    why = f"all {len(subnets)} are in use"
    free = addressing.free_subnet(facts)
    yield Finding(
        severity="error" if said else "warning",
        confidence="proven",
        subject=daemon_subject(facts),
        summary=f"No network can be created on {facts.name} without choosing its subnet: of {names}, {why}.",
        evidence=(
            Evidence(fact="default address pools", value=names, source="docker info"),
            Evidence(fact="networks", value=str(len(_used(facts))), source="docker network ls"),
            *([Evidence(fact="log", value=said, source=facts.snapshot.daemon.log_source or "daemon log")] if said else []),
        ),
        fixes=tuple(_more(facts, pools, free)),
    )


def unused_subnets(facts: HostFacts, pools: tuple[tuple[str, int], ...]) -> Iterator[ipaddress.IPv4Network]:
    """The pieces of the address pools that no network of this daemon has."""
    used = _used(facts)
    return (piece for piece in _subnets(pools) if not any(piece.overlaps(subnet) for subnet in used))


def _used(facts: HostFacts) -> list[ipaddress.IPv4Network]:
    found = (net for network in facts.snapshot.networks for net in addressing.subnets(network))
    return [net for net in found if isinstance(net, ipaddress.IPv4Network)]


def _subnets(pools: tuple[tuple[str, int], ...]) -> Iterator[ipaddress.IPv4Network]:
    for base, size in pools:
        net = addressing.parse(base)
        if isinstance(net, ipaddress.IPv4Network) and net.prefixlen <= size <= 32:
            for count, piece in enumerate(net.subnets(new_prefix=size)):
                if count > 1024:
                    break
                yield piece
    if not pools:
        yield from (ipaddress.IPv4Network(text) for text in RANGES)


def _more(facts: HostFacts, pools: tuple[tuple[str, int], ...], free: str) -> Iterator[Fix]:
    kept = [{"base": base, "size": size} for base, size in pools]
    if not pools:
        kept = [{"base": "172.17.0.0/12", "size": 20}, {"base": "192.168.0.0/16", "size": 24}]
    more = [*kept, {"base": free, "size": 24}] if free and pools else kept
    yield remedy.edit_daemon_json(facts, {"default-address-pools": more}, summary="Give the daemon larger address pools.")
    yield Fix(
        summary="Remove the networks that no container uses.",
        commands=(shell.command("docker", "network", "prune", "-f"),),
        impacts=("changes-network",),
    )


check = Check(
    cause="address-pool-exhausted",
    title="No free subnet or address is left",
    subjects=("daemon", "network"),
    needs=("engine", "log", "host.network", "host.resolver", "daemon.process", "daemon.files"),
    find=find,
    phrases=(
        "list bridge addresses failed",
        "could not find an available, non-overlapping ipv4 address pool among the defaults to assign to the network",
        "could not find an available, non-overlapping ipv6 address pool among the defaults to assign to the network",
        "all predefined address pools have been fully subnetted",
        "no available ipv4 addresses on this network's address pools",
        "no available ip addresses on network",
        "could not find an available ip while allocating vip",
        "list bridge addresses failed … no available network",
    ),
)
