"""Docker's own rules: which are they, and which are missing.

Layouts seen on real engines (tests/unit/netfilter/data): 20.10 and 26.1 put a few rules for each bridge into FORWARD
itself; 28.5 has DOCKER-FORWARD with DOCKER-CT, DOCKER-BRIDGE and the isolation chains under it, and drops direct access to
containers in `raw PREROUTING`. With `firewall-backend: nftables` (29) there are tables `docker-bridges` instead. ip6tables
is left alone before 27.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import product
from typing import TYPE_CHECKING, Literal

import msgspec

from dockernet_doctor.netfilter.model import Ruleset
from dockernet_doctor.netfilter.terms import network_bits
from dockernet_doctor.notation import at
from dockernet_doctor.once import once_for_each
from dockernet_doctor.regex import regex

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from dockernet_doctor.netfilter.model import Rule, Table

USER_CHAIN = "DOCKER-USER"
CHAINS = frozenset(
    {
        "DOCKER",
        "DOCKER-BRIDGE",
        "DOCKER-CT",
        "DOCKER-FORWARD",
        "DOCKER-INGRESS",
        "DOCKER-INTERNAL",
        "DOCKER-ISOLATION",
        "DOCKER-ISOLATION-STAGE-1",
        "DOCKER-ISOLATION-STAGE-2",
        "DOCKER_OUTPUT",
        "DOCKER_POSTROUTING",
    }
)
NATIVE_TABLES = frozenset({"docker-bridges", "docker-overlay", "docker-swarm"})
BRIDGE_NAME = regex(r"docker0|docker_gwbridge|br-[0-9a-f]{12}")


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """A port that a running container publishes on this bridge."""

    protocol: str
    host_address: str
    """0.0.0.0, ::, or one address"""
    host_port: int
    container_address: str
    container_port: int
    container: str = ""


class Bridge(msgspec.Struct, frozen=True, kw_only=True):
    """A bridge network of Docker's, as its rules see it."""

    network: str
    interface: str
    subnets: tuple[str, ...]
    """One for each family that the network has."""
    masquerade: bool = True
    internal: bool = False
    nat: tuple[str, ...] = ("ip", "ip6")
    """Families that are translated; in gateway mode `routed` or `isolated` there is no DNAT and no MASQUERADE."""
    published: tuple[Published, ...] = ()


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """A part of Docker's layout that is not there."""

    kind: Literal["chain", "jump", "dnat", "masquerade", "forward", "accept"]
    what: str
    """In words for people: `MASQUERADE of 172.17.0.0/16 (network bridge)`"""
    family: str
    network: str | None = None
    container: str | None = None
    host_port: int | None = None
    """The port of the host that a DNAT rule translates."""


def is_docker_rule(rule: Rule, bridges: Collection[str] = ()) -> bool:
    """True if Docker itself wrote the rule. What stands in DOCKER-USER is the operator's own.

    `bridges`: the interfaces of Docker's networks, where they may bear names of their own.
    """
    if rule.backend == "nft":
        return rule.table in NATIVE_TABLES
    if rule.chain == USER_CHAIN:
        return not rule.terms and rule.target.verdict == "return"
    if rule.chain in CHAINS:
        return not _is_foreign_in_own_chain(rule)
    if rule.target.jumps_to in CHAINS or rule.target.jumps_to == USER_CHAIN:
        return True
    if not _is_as_docker_writes(rule):
        return False
    names = [name for term in rule.asks("inside", "outside") for name in term.values]
    return not names or any(name in bridges or BRIDGE_NAME.fullmatch(name) or name == "lo" for name in names)


def _is_foreign_in_own_chain(rule: Rule) -> bool:
    """Docker drops by interface and never rejects; who inserts a drop into its chains names an address or a port."""
    if rule.target.verdict != "drop":
        return rule.target.verdict == "reject"
    return not rule.asks("inside", "outside") or bool(rule.asks("protocol"))


def _is_as_docker_writes(rule: Rule) -> bool:
    """True if Docker writes such rules into built-in chains, besides jumps to its own."""
    if rule.target.options:
        return False
    asked = {term.field: term.values for term in rule.terms}
    match rule.chain, rule.target.verdict, [f"!{term.field}" if term.negated else term.field for term in rule.terms]:
        case "FORWARD", "accept", ["outside", "state"]:
            return asked["state"] == ("RELATED", "ESTABLISHED")
        case "FORWARD", "accept" | "drop", ["inside", "outside" | "!outside"]:
            return asked["inside"] == asked["outside"]
        case "POSTROUTING", "masquerade" | "snat", ["source", "!outside"]:
            return True
        case "POSTROUTING", "masquerade" | "snat", ["outside", "source-type"]:
            return asked["source-type"] == ("LOCAL",)
        case "POSTROUTING", "masquerade", ["source", "destination", "protocol", "dport"]:
            return asked["source"] == asked["destination"]
        case "PREROUTING", "drop", ["destination", "!inside"]:
            return True
        case "PREROUTING", "drop", ["destination", "!inside", "protocol", "dport"]:
            return asked["destination"][0] in ("127.0.0.1/32", "::1/128") and asked["inside"] == ("lo",)
    return False


def missing_parts(
    rulesets: Sequence[Ruleset],
    bridges: Sequence[Bridge],
    *,
    families: Collection[str] = ("ip",),
    backend: Literal["iptables", "nftables"] = "iptables",
) -> list[Missing]:
    """The chains, jumps and rules that Docker made for these networks and that are gone.

    `families`: those whose rules the daemon manages: `ip` unless `iptables: false`, `ip6` too from 27 on or with
    `ip6tables: true`. `backend`: the engine's FirewallBackend. Outermost parts come first.
    """
    missing: list[Missing] = []
    for family in families:
        concerned = [bridge for bridge in bridges if _subnets(bridge, family)]
        if not concerned:
            continue
        if backend == "nftables":
            missing.extend(_missing_natively(native_table(rulesets, family), concerned, family))
            continue
        missing.extend(_missing_in(_docker_ruleset(rulesets, family), concerned, family))
    return missing


class MissingDns(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the rules of a sandbox by which 127.0.0.11:53 is Docker's DNS, that is not there."""

    what: str
    """In words for people: `the DNAT of 127.0.0.11:53/udp`"""
    protocol: str
    """udp or tcp; "" where it serves both"""


def missing_dns_parts(rulesets: Sequence[Ruleset]) -> list[MissingDns]:
    """What is gone of the rules that Docker makes in the sandbox of each container with its own DNS: the table `docker-dns`
    of 29's nftables backend, else the chains DOCKER_OUTPUT and DOCKER_POSTROUTING."""
    native = next((t for r in rulesets if r.backend == "nft" and (t := r.table("docker-dns", "ip")) is not None), None)
    nat = next((t for r in rulesets if r.backend != "nft" and (t := r.table("nat")) is not None), None)
    if native is not None:
        chains = {"dnat": "dns-dnat", "snat": "dns-snat"}
    elif nat is not None and "DOCKER_OUTPUT" in nat.chains:
        chains = {"dnat": "DOCKER_OUTPUT", "snat": "DOCKER_POSTROUTING"}
    else:
        return [MissingDns(what="every rule that leads to it", protocol="")]
    table = native or nat
    assert table is not None
    gone = [] if native is not None else _missing_dns_jumps(table, chains)
    for verdict, chain in chains.items():
        present = {p for rule in _rules(table, (chain,)) if rule.target.verdict == verdict for p in _values(rule, "protocol")}
        words = "the DNAT of 127.0.0.11:53/{}" if verdict == "dnat" else "the SNAT of its answers ({})"
        gone += [MissingDns(what=words.format(p), protocol=p) for p in ("udp", "tcp") if p not in present]
    return gone


def _missing_dns_jumps(nat: Table, chains: dict[str, str]) -> list[MissingDns]:
    pairs = (("OUTPUT", chains["dnat"]), ("POSTROUTING", chains["snat"]))
    parts = (part for base, chain in pairs for part in _missing_jumps(nat, base, (chain,), "ip"))
    return [MissingDns(what=part.what, protocol="") for part in parts]


def native_table(rulesets: Sequence[Ruleset], family: str) -> Table | None:
    """The table `docker-bridges` of the family, that 29 writes with `firewall-backend: nftables`."""
    found = (ruleset.table("docker-bridges", family) for ruleset in rulesets if ruleset.backend == "nft")
    return next((table for table in found if table is not None), None)


def translating(table: Table | None) -> tuple[Rule, ...]:
    """The rules of `docker-bridges` that translate what is published."""
    chain = table.chains.get(NATIVE_TRANSLATIONS) if table is not None else None
    return chain.rules if chain is not None else ()


def _docker_ruleset(rulesets: Sequence[Ruleset], family: str) -> Ruleset | None:
    """The backend that Docker writes to: where its chains are, else the first dump of the family."""
    found = [ruleset for ruleset in rulesets if ruleset.family == family]
    for ruleset in found:
        if any(name in CHAINS for table in ruleset.tables for name in table.chains):
            return ruleset
    return found[0] if found else None


def _missing_in(ruleset: Ruleset | None, bridges: Sequence[Bridge], family: str) -> Iterator[Missing]:
    if ruleset is None:
        ruleset = Ruleset(backend="iptables-nft", family=family)
    nat, packet_filter = ruleset.table("nat"), ruleset.table("filter")
    published = any(_dnats(bridge, family) for bridge in bridges)
    yield from _missing_chains(packet_filter, "filter", (USER_CHAIN, "DOCKER"), family)
    yield from _missing_jumps(packet_filter, "FORWARD", _forward_jumps(packet_filter), family)
    if published:
        yield from _missing_chains(nat, "nat", ("DOCKER",), family)
        yield from _missing_jumps(nat, "PREROUTING", ("DOCKER",), family)
        yield from _missing_jumps(nat, "OUTPUT", ("DOCKER",), family)
    for bridge in bridges:
        yield from _missing_of_bridge(bridge, nat, packet_filter, family)


def _forward_jumps(table: Table | None) -> tuple[str, ...]:
    if table is not None and "DOCKER-FORWARD" in table.chains:
        return (USER_CHAIN, "DOCKER-FORWARD")
    return (USER_CHAIN, "DOCKER-ISOLATION-STAGE-1")


def _missing_chains(table: Table | None, name: str, chains: Iterable[str], family: str) -> Iterator[Missing]:
    for chain in chains:
        if table is None or chain not in table.chains:
            yield Missing(kind="chain", what=f"the chain {chain} ({name})", family=family)


def _missing_jumps(table: Table | None, chain: str, targets: Iterable[str], family: str) -> Iterator[Missing]:
    rules = table.chains[chain].rules if table is not None and chain in table.chains else ()
    present = {rule.target.jumps_to for rule in rules}
    for target in targets:
        if target not in present:
            yield Missing(kind="jump", what=f"the jump from {chain} to {target}", family=family)


def _missing_of_bridge(bridge: Bridge, nat: Table | None, packet_filter: Table | None, family: str) -> Iterator[Missing]:
    of_network = f"(network {bridge.network})"
    if packet_filter is None or bridge.interface not in _forwarded(packet_filter):
        what = f"the rule that lets {bridge.interface} forward {of_network}"
        yield Missing(kind="forward", what=what, family=family, network=bridge.network)
    if bridge.internal:
        return
    for subnet in _subnets(bridge, family):
        if bridge.masquerade and family in bridge.nat and (nat is None or network_bits(subnet) not in _masqueraded(nat)):
            what = f"MASQUERADE of {subnet} {of_network}"
            yield Missing(kind="masquerade", what=what, family=family, network=bridge.network)
    for port in _dnats(bridge, family):
        if nat is None or _translation(port) not in _translations(nat):
            what = f"DNAT of {port.host_address}:{port.host_port}/{port.protocol} to {_destination(port)} {of_network}"
            yield Missing(
                kind="dnat",
                what=what,
                family=family,
                network=bridge.network,
                container=port.container or None,
                host_port=port.host_port,
            )
        if packet_filter is None or not _is_let_in(port, bridge, packet_filter):
            what = f"the rule that lets {_destination(port)}/{port.protocol} in {of_network}"
            yield Missing(kind="accept", what=what, family=family, network=bridge.network, container=port.container or None)


NATIVE_TRANSLATIONS = "nat-prerouting-and-output"
_NATIVE_MAPS = {
    "filter-FORWARD": ("filter-forward-in", "filter-forward-out"),
    "nat-POSTROUTING": ("nat-postrouting-in", "nat-postrouting-out"),
}
"""Base chains of `docker-bridges`, and what each jumps to by a map from the bridge: `filter-forward-in__docker0`."""


def _missing_natively(table: Table | None, bridges: Sequence[Bridge], family: str) -> Iterator[Missing]:
    """Layout of 29.7 (bridge driver, nftabler): base chains jump by maps to a bridge's chains."""
    if table is None:
        yield Missing(kind="chain", what=f"the table {family} docker-bridges", family=family)
        return
    where = f"({family} docker-bridges)"
    for base, parts in _NATIVE_MAPS.items():
        if base not in table.chains:
            yield Missing(kind="chain", what=f"the chain {base} {where}", family=family)
            continue
        asked = {rule.target.chain for rule in table.chains[base].rules if rule.target.verdict == "map"}
        for part in parts:
            if f"@{part}-jumps" not in asked:
                yield Missing(kind="jump", what=f"the jump from {base} by the map {part}-jumps {where}", family=family)
    if any(_dnats(bridge, family) for bridge in bridges):
        for base in ("nat-PREROUTING", "nat-OUTPUT"):
            if base not in table.chains:
                yield Missing(kind="chain", what=f"the chain {base} {where}", family=family)
            else:
                yield from _missing_jumps(table, base, (NATIVE_TRANSLATIONS,), family)
    for bridge in bridges:
        yield from _missing_of_native_bridge(bridge, table, family)


def _missing_of_native_bridge(bridge: Bridge, table: Table, family: str) -> Iterator[Missing]:
    of_network = f"(network {bridge.network})"
    for part in (part for parts in _NATIVE_MAPS.values() for part in parts):
        if bridge.interface not in _mapped(table)[part]:
            what = f"the element {bridge.interface} of the map {part}-jumps {of_network}"
            kind: Literal["forward", "masquerade"] = "forward" if part.startswith("filter") else "masquerade"
            yield Missing(kind=kind, what=what, family=family, network=bridge.network)
    for part in _NATIVE_MAPS["filter-FORWARD"]:
        chain = table.chains.get(f"{part}__{bridge.interface}")
        if chain is None or not chain.rules:
            what = f"the rules of {part}__{bridge.interface} {of_network}"
            yield Missing(kind="forward", what=what, family=family, network=bridge.network)
    if bridge.internal:
        return
    leaving = list(_rules(table, (f"nat-postrouting-out__{bridge.interface}",)))
    hidden = {source for rule in leaving if rule.target.verdict in ("masquerade", "snat") for source in _networks(rule)}
    for subnet in _subnets(bridge, family):
        if bridge.masquerade and family in bridge.nat and network_bits(subnet) not in hidden:
            what = f"MASQUERADE of {subnet} {of_network}"
            yield Missing(kind="masquerade", what=what, family=family, network=bridge.network)
    for port in _dnats(bridge, family):
        if _translation(port) not in _native_translations(table):
            what = f"DNAT of {port.host_address}:{port.host_port}/{port.protocol} to {_destination(port)} {of_network}"
            yield Missing(
                kind="dnat",
                what=what,
                family=family,
                network=bridge.network,
                container=port.container or None,
                host_port=port.host_port,
            )
        if not _is_let_in_natively(port, bridge, table):
            what = f"the rule that lets {_destination(port)}/{port.protocol} in {of_network}"
            yield Missing(kind="accept", what=what, family=family, network=bridge.network, container=port.container or None)


@once_for_each
def _mapped(table: Table) -> dict[str, frozenset[str]]:
    """The bridges that each map knows."""
    found = {part: table.sets.get(f"{part}-jumps") for parts in _NATIVE_MAPS.values() for part in parts}
    return {
        part: frozenset(element[0] for element in (known.elements if known else ()) if isinstance(element, list))
        for part, known in found.items()
    }


@once_for_each
def _native_translations(table: Table) -> frozenset[_Translation]:
    return _translated_in(table, NATIVE_TRANSLATIONS)


def _is_let_in_natively(port: Published, bridge: Bridge, table: Table) -> bool:
    """By a rule of its own ahead of the drop of the rest, or with all else, in gateway mode `nat-unprotected`; also where
    nothing drops the rest, which is told of the chain."""
    for rule in _rules(table, (f"filter-forward-in__{bridge.interface}",)):
        if rule.terms and all(
            wanted in _values(rule, field)
            for field, wanted in (
                ("destination", port.container_address),
                ("protocol", port.protocol),
                ("dport", str(port.container_port)),
            )
        ):
            return rule.target.verdict == "accept"
        if not rule.terms:
            return rule.target.verdict == "accept"
    return True


@once_for_each
def _forwarded(table: Table) -> frozenset[str]:
    """Interfaces of which some rule of FORWARD or DOCKER-FORWARD decides all that comes from them."""
    rules = (rule for rule in _rules(table, ("FORWARD", "DOCKER-FORWARD")) if rule.target.verdict in ("accept", "drop"))
    return frozenset(
        name for rule in rules if not rule.asks("source", "destination") for term in rule.asks("inside") for name in term.values
    )


@once_for_each
def _masqueraded(nat: Table) -> frozenset[tuple[int, int]]:
    """Networks that leave by another address."""
    rules = (rule for rule in _rules(nat, ("POSTROUTING",)) if rule.target.verdict in ("masquerade", "snat"))
    return frozenset(source for rule in rules for source in _networks(rule))


def _networks(rule: Rule) -> Iterator[tuple[int, int]]:
    """The networks that the rule takes packets from."""
    for network in _values(rule, "source"):
        with suppress(ValueError):
            yield network_bits(network)


_Translation = tuple[str, str, str, str]
"""Protocol and host port, and the address and port of the container."""


def _translation(port: Published) -> _Translation:
    return port.protocol, str(port.host_port), port.container_address, str(port.container_port)


@once_for_each
def _translations(nat: Table) -> frozenset[_Translation]:
    return _translated_in(nat, "DOCKER")


def _translated_in(table: Table, chain: str) -> frozenset[_Translation]:
    return frozenset(
        (protocol, port, rule.target.address, rule.target.port)
        for rule in _rules(table, (chain,))
        if rule.target.verdict == "dnat"
        for protocol, port in product(_values(rule, "protocol"), _values(rule, "dport"))
    )


def _is_let_in(port: Published, bridge: Bridge, packet_filter: Table) -> bool:
    """By a rule of its own, or with all else, as gateway mode `nat-unprotected` has it (moby, setPerPortIptables)."""
    address, width = port.container_address, 128 if ":" in port.container_address else 32
    everything, ports = _let_in(packet_filter)
    return bridge.interface in everything or (f"{address}/{width}", port.protocol, str(port.container_port)) in ports


@once_for_each
def _let_in(packet_filter: Table) -> tuple[frozenset[str], frozenset[tuple[str, ...]]]:
    """Bridges that let in everything; and destination, protocol and port of what else is let in."""
    accepts = [rule for rule in _rules(packet_filter, ("DOCKER",)) if rule.target.verdict == "accept"]
    everything = {
        outside.values[0]
        for rule in accepts
        if [(term.field, term.negated) for term in rule.terms] == [("inside", True), ("outside", False)]
        for inside, outside in [rule.terms]
        if inside.values == outside.values
    }
    fields = ("destination", "protocol", "dport")
    return frozenset(everything), frozenset(
        one for rule in accepts for one in product(*(_values(rule, field) for field in fields))
    )


def _values(rule: Rule, field: str) -> list[str]:
    """What the rule lets a field be."""
    return [value for term in rule.asks(field) if not term.negated for value in term.values]


def _rules(table: Table, chains: Iterable[str]) -> Iterator[Rule]:
    for name in chains:
        if name in table.chains:
            yield from table.chains[name].rules


def _destination(port: Published) -> str:
    return at(port.container_address, port.container_port)


def _dnats(bridge: Bridge, family: str) -> list[Published]:
    """Published ports that have a DNAT: the container has an address of the family it is published in."""
    if bridge.internal or family not in bridge.nat:
        return []
    six = family == "ip6"
    return [port for port in bridge.published if (":" in port.host_address) is six is (":" in port.container_address)]


def _subnets(bridge: Bridge, family: str) -> list[str]:
    return [subnet for subnet in bridge.subnets if (":" in subnet) is (family == "ip6")]
