"""The rules that Docker makes on this host: whether it does, by which backend, and what of them is gone."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Literal

from dockernet_doctor.diagnosis.facts import daemon
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.netfilter.docker import (
    CHAINS,
    NATIVE_TRANSLATIONS,
    USER_CHAIN,
    Bridge,
    Missing,
    Published,
    missing_parts,
    native_table,
    translating,
)
from dockernet_doctor.netfilter.model import Backend, Rule
from dockernet_doctor.snapshot.daemon_options import Setting
from dockernet_doctor.snapshot.model import Container, Family, Network, PublishedPort

MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"
ICC = "com.docker.network.bridge.enable_icc"
GATEWAY_MODE: dict[Family, str] = {
    4: "com.docker.network.bridge.gateway_mode_ipv4",
    6: "com.docker.network.bridge.gateway_mode_ipv6",
}


def managed(facts: HostFacts) -> bool:
    """True if this host's rules were read and a daemon that makes them here runs (not rootless, not in a VM)."""
    engine = facts.snapshot.engine
    return engine is not None and facts.rulesets is not None and facts.snapshot.local


def switched_off(facts: HostFacts) -> Setting | None:
    """The option `iptables: false`, where the daemon runs with it."""
    found = daemon.option(facts, "iptables")
    return found if found is not None and found.value == "false" else None


def by_nftables(facts: HostFacts) -> bool:
    """True for an engine (29) that writes nftables of its own in place of iptables' chains."""
    engine = facts.snapshot.engine
    return engine is not None and engine.firewall_backend.startswith("nftables")


def dnats(facts: HostFacts) -> Iterator[Rule]:
    """The rules of the daemon's backend by which published ports lead to containers."""
    rulesets = facts.rulesets or ()
    if by_nftables(facts):
        for table in (native_table(rulesets, family) for family in ("ip", "ip6")):
            yield from translating(table)
    else:
        yield from (rule for ruleset in rulesets for rule in ruleset.rules("nat", "DOCKER"))


def leads(facts: HostFacts, host_port: int, port: int) -> bool:
    """True if one of these rules leads from the port of the host to this port of some container."""
    return (str(host_port), str(port)) in _led(facts)


@lru_cache(maxsize=8)
def _led(facts: HostFacts) -> frozenset[tuple[str, str | None]]:
    """Port of the host and of the container, of each."""
    asked = ((rule, term) for rule in dnats(facts) for term in rule.asks("dport"))
    return frozenset((value, rule.target.port) for rule, term in asked for value in term.values)


def asks_dnats(facts: HostFacts) -> bool:
    """True if what comes from other machines is led through these rules."""
    base = ("docker-bridges", "nat-PREROUTING") if by_nftables(facts) else ("nat", "PREROUTING")
    chain = NATIVE_TRANSLATIONS if by_nftables(facts) else "DOCKER"
    return any(rule.target.jumps_to == chain for ruleset in facts.rulesets or () for rule in ruleset.rules(*base))


def docker_backend(facts: HostFacts) -> Backend:
    """The backend of `iptables` on this host: the one that holds Docker's chains."""
    iptables = [r for r in facts.rulesets or () if r.backend != "nft" and r.family == "ip"]
    for ruleset in iptables:
        if any(name in CHAINS for table in ruleset.tables for name in table.chains):
            return ruleset.backend
    return iptables[0].backend if iptables else "iptables-nft"


@lru_cache(maxsize=8)
def missing(facts: HostFacts) -> tuple[Missing, ...]:
    """What Docker made for its bridge networks and is gone; () where it writes no rules, or they could not be read."""
    if not managed(facts) or switched_off(facts):
        return ()
    bridges = [_bridge(facts, n) for n in facts.snapshot.networks if n.driver == "bridge" and n.bridge and not n.config_only]
    families = ("ip", "ip6") if daemon.writes_ipv6_rules(facts) else ("ip",)
    backend: Literal["iptables", "nftables"] = "nftables" if by_nftables(facts) else "iptables"
    gone = missing_parts(facts.rulesets or (), bridges, families=families, backend=backend)
    # up to 20.10 the operator's chain is made for IPv4 only
    made = facts.generation >= (23, 0)
    return tuple(part for part in gone if made or part.family != "ip6" or USER_CHAIN not in part.what)


def masquerades(network: Network) -> bool:
    """True if the network was made to hide its members behind the host's address, by IPv4."""
    return network.options.get(MASQUERADE, "true") != "false" and translates(network, 4)


def translates(network: Network, family: Family) -> bool:
    """True if addresses of the family are translated at all: what is published, and what leaves."""
    return network.options.get(GATEWAY_MODE[family], "") not in ("routed", "isolated")


def _bridge(facts: HostFacts, network: Network) -> Bridge:
    members = [c for c in facts.members(network) if c.state.running and not c.network_mode.startswith("container:")]
    return Bridge(
        network=network.name,
        interface=network.bridge or "",
        subnets=tuple(s.subnet for s in network.subnets),
        masquerade=network.options.get(MASQUERADE, "true") != "false",
        internal=network.internal,
        nat=tuple(name for name in ("ip", "ip6") if translates(network, 6 if name == "ip6" else 4)),
        published=tuple(p for c in members if not facts.unsettled(c) for p in _published(facts, c, network)),
    )


def _published(facts: HostFacts, container: Container, network: Network) -> Iterator[Published]:
    """The container's ports, where this network is the one they are translated to: one endpoint of several is."""
    candidates = [e for e in container.endpoints if (n := facts.network_of(e)) and n.driver == "bridge" and not n.internal]
    for mapping in container.ports:
        six = ":" in mapping.host_ip
        chosen = next((e for e in candidates if _translated(facts, e.ipv6 if six else e.ipv4, mapping)), None)
        chosen = chosen or next(iter(candidates), None)
        if chosen is None or facts.network_of(chosen) is not network:
            continue
        address = chosen.ipv6 if six else chosen.ipv4
        if address:
            yield Published(
                protocol=mapping.protocol,
                host_address=mapping.host_ip,
                host_port=mapping.host_port,
                container_address=address,
                container_port=mapping.port,
                container=container.name,
            )


def _translated(facts: HostFacts, address: str | None, mapping: PublishedPort) -> bool:
    return address is not None and (address, str(mapping.port)) in _destinations(facts)


@lru_cache(maxsize=8)
def _destinations(facts: HostFacts) -> frozenset[tuple[str, str]]:
    """Address and port that Docker's DNAT rules lead to."""
    targets = (rule.target for rule in dnats(facts))
    return frozenset((target.address, target.port) for target in targets if target.verdict == "dnat")
