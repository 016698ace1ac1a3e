"""pool-covered-by-route: routes, of a VPN most often, cover every address pool: the next network cannot be created."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    addressing,
    daemon_subject,
    listed,
    model,
    remedy,
)

from .address_pool_exhausted import NO_SUBNET, unused_subnets

_DEFAULT = 254  # the main routing table


def find(case: Case) -> Iterator[Finding]:
    """Daemons of engines before 27, which leave out what any route covers, without a subnet that none does.

    From 27 on an engine looks at the routes of links only, and takes what a route by a gateway covers.
    """
    for facts in case.hosts:
        engine = facts.snapshot.engine
        if engine is None or facts.stack is None or not (0, 0) < facts.generation < (27, 0):
            continue
        if covering := _covering(facts, unused_subnets(facts, engine.default_address_pools)):
            yield _finding(facts, engine, covering)


def _covering(facts: HostFacts, left: Iterator[ipaddress.IPv4Network]) -> list[model.Route]:
    """The routes that together cover all that is left; none where one piece is free."""
    bridges = {network.bridge for network in facts.snapshot.networks}
    routes = [
        (route, net)
        for route in (facts.stack.routes if facts.stack else ())
        if route.family == 4 and route.table == _DEFAULT and route.kind == "unicast" and route.link not in bridges
        if (net := addressing.parse(route.destination)) is not None and net.prefixlen > 0
    ]
    found: dict[str, model.Route] = {}
    for piece in left:
        first = next((route for route, net in routes if piece.overlaps(net)), None)
        if first is None:
            return []
        found[first.destination] = first
    return list(found.values())


def _finding(facts: HostFacts, engine: model.Engine, covering: list[model.Route]) -> Finding:
    said = [line.text for line in facts.snapshot.daemon.log if any(words in line.text.lower() for words in NO_SUBNET)]
    pools = ", ".join(f"{base} in pieces of /{size}" for base, size in engine.default_address_pools) or "Docker's default pools"
    ways = listed(f"{route.destination} by {route.link or route.gateway}" for route in covering[:3])
    return Finding(
        severity="error" if said else "warning",
        confidence="proven",
        subject=daemon_subject(facts),
        summary=(
            f"The next network cannot be created on {facts.name} without choosing its subnet: the route"
            f"{'s' if len(covering) > 1 else ''} {ways} cover{'' if len(covering) > 1 else 's'} all that is left of {pools}."
        ),
        evidence=(
            *(Evidence(fact="route", value=f"{r.destination} {r.link or ''}".strip(), source="ip route") for r in covering[:3]),
            Evidence(fact="default address pools", value=pools, source="docker info"),
            *(Evidence(fact="log", value=text, source=facts.snapshot.daemon.log_source or "daemon log") for text in said[-1:]),
        ),
        fixes=tuple(_fixes(facts)),
    )


def _fixes(facts: HostFacts) -> Iterator[Fix]:
    free = addressing.free_subnet(facts)
    if free:
        summary = f"Give the daemon an address pool that no route covers, {free}."
        yield remedy.edit_daemon_json(facts, {"default-address-pools": [{"base": free, "size": 24}]}, summary=summary)
    yield Fix(
        summary="Name a subnet when you create a network (--subnet, ipam in Compose): routes are not looked at then.",
        runnable=False,
    )
    yield Fix(summary="Let the VPN route only what lies behind it, or create networks before it connects.", runnable=False)


check = Check(
    cause="pool-covered-by-route",
    title="Routes of a VPN cover every address pool",
    subjects=("daemon",),
    needs=("engine", "log", "host.network", "host.resolver", "daemon.process", "daemon.files"),
    find=find,
    engines="≤ 26",
    phrases=(
        "list bridge addresses failed",
        "could not find an available, non-overlapping ipv4 address pool among the defaults to assign to the network",
        "works until the vpn connects",
    ),
)
