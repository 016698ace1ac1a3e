"""Docker's own rules: which are they, and which are missing.

Layouts seen on real engines (tests/unit/netfilter/data): 20.10 and 26.1 put a few rules for each bridge into FORWARD
itself; 28.5 has DOCKER-FORWARD with DOCKER-CT, DOCKER-BRIDGE and the isolation chains under it, and drops direct access to
containers in `raw PREROUTING`. With `firewall-backend: nftables` (29) there are tables `docker-bridges` instead. ip6tables
is left alone before 27.
"""

from __future__ import annotations

import re
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
JUMP = re.compile(r"-[jg] (\S+)")
INTERFACE = re.compile(r"-[io] (\S+)")
HOST_RULES = (
    re.compile(r"-A FORWARD -o \S+ -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"),
    re.compile(r"-A FORWARD -i (\S+)(?: !)? -o \1 -j (?:ACCEPT|DROP)"),
    re.compile(r"-A POSTROUTING -s \S+ ! -o \S+ -j (?:MASQUERADE|SNAT --to-source \S+)"),
    re.compile(r"-A POSTROUTING -s (\S+) -d \1 -p \S+ -m \S+ --dport \d+ -j MASQUERADE"),
    re.compile(r"-A POSTROUTING -o \S+ -m addrtype --src-type LOCAL -j (?:MASQUERADE|SNAT --to-source \S+)"),
    re.compile(r"-A PREROUTING -d \S+ ! -i \S+ -j DROP"),
    re.compile(r"-A PREROUTING -d (?:127\.0\.0\.1/32|::1/128) ! -i lo -p \S+ -m \S+ --dport \d+ -j DROP"),
)
"""What Docker writes into built-in chains besides jumps to its own."""


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
    """Of each family that the network has."""
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
    """Of a DNAT."""


def is_docker_rule(rule: Rule, bridges: Collection[str] = ()) -> bool:
    """Whether Docker itself wrote the rule. What stands in DOCKER-USER is the operator's own.

    `bridges`: the interfaces of Docker's networks, where they may bear names of their own.
    """
    if rule.backend == "nft":
        return rule.table in NATIVE_TABLES
    if rule.chain == USER_CHAIN:
        return rule.line == f"-A {USER_CHAIN} -j RETURN"
    if rule.chain in CHAINS:
        return not _is_foreign_in_own_chain(rule)
    target = JUMP.search(rule.line)
    if target and (target[1] in CHAINS or target[1] == USER_CHAIN):
        return True
    if not any(pattern.fullmatch(rule.line) for pattern in HOST_RULES):
        return False
    names = INTERFACE.findall(rule.line)
    return not names or any(name in bridges or BRIDGE_NAME.fullmatch(name) or name == "lo" for name in names)


def _is_foreign_in_own_chain(rule: Rule) -> bool:
    """Docker drops by interface and never rejects; who inserts a drop into its chains names an address or a port."""
    target = JUMP.search(rule.line)
    if target is None or target[1] not in ("DROP", "REJECT"):
        return False
    return target[1] == "REJECT" or not INTERFACE.search(rule.line) or " -p " in rule.line


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
            if not any(ruleset.table("docker-bridges", family) for ruleset in rulesets if ruleset.backend == "nft"):
                missing.append(Missing(kind="chain", what=f"the table {family} docker-bridges", family=family))
            continue
        missing.extend(_missing_in(_docker_ruleset(rulesets, family), concerned, family))
    return missing


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
    present = {found[1] for rule in rules if (found := JUMP.search(rule.line))}
    for target in targets:
        if target not in present:
            yield Missing(kind="jump", what=f"the jump from {chain} to {target}", family=family)


def _missing_of_bridge(bridge: Bridge, nat: Table | None, packet_filter: Table | None, family: str) -> Iterator[Missing]:
    of_network = f"(network {bridge.network})"
    if not _has_forward_accept(bridge, packet_filter):
        what = f"the rule that lets {bridge.interface} forward {of_network}"
        yield Missing(kind="forward", what=what, family=family, network=bridge.network)
    if bridge.internal:
        return
    for subnet in _subnets(bridge, family):
        if bridge.masquerade and family in bridge.nat and not _is_masqueraded(subnet, nat):
            what = f"MASQUERADE of {subnet} {of_network}"
            yield Missing(kind="masquerade", what=what, family=family, network=bridge.network)
    for port in _dnats(bridge, family):
        if not _is_translated(port, nat):
            what = f"DNAT of {port.host_address}:{port.host_port}/{port.protocol} to {_destination(port)} {of_network}"
            yield Missing(
                kind="dnat",
                what=what,
                family=family,
                network=bridge.network,
                container=port.container or None,
                host_port=port.host_port,
            )
        if not _is_let_in(port, bridge, packet_filter):
            what = f"the rule that lets {_destination(port)}/{port.protocol} in {of_network}"
            yield Missing(kind="accept", what=what, family=family, network=bridge.network, container=port.container or None)


def _has_forward_accept(bridge: Bridge, table: Table | None) -> bool:
    """Some rule of FORWARD or DOCKER-FORWARD decides what comes from the bridge."""
    return any(
        rule.line.startswith((f"-A {name} -i {bridge.interface} ", f"-A {name} ! -i {bridge.interface} "))
        and rule.line.endswith((" -j ACCEPT", " -j DROP"))
        for name in ("FORWARD", "DOCKER-FORWARD")
        for rule in (table.chains[name].rules if table is not None and name in table.chains else ())
    )


def _is_masqueraded(subnet: str, nat: Table | None) -> bool:
    for rule in _rules(nat, ("POSTROUTING",)):
        found = re.match(r"-A POSTROUTING -s (\S+) .*-j (?:MASQUERADE|SNAT)", rule.line)
        if found and network_bits(found[1]) == network_bits(subnet):
            return True
    return False


def _is_translated(port: Published, nat: Table | None) -> bool:
    wanted = f"--dport {port.host_port} -j DNAT --to-destination {_destination(port)}"
    for line in _lines_with(_destination(port), nat):
        before, found, after = line.partition(wanted)
        if found and f" -p {port.protocol} " in before and after[:1] in ("", " "):
            return True
    return False


def _is_let_in(port: Published, bridge: Bridge, packet_filter: Table | None) -> bool:
    """By a rule of its own, or with all else, as gateway mode `nat-unprotected` has it (moby, setPerPortIptables)."""
    everything = f"-A DOCKER ! -i {bridge.interface} -o {bridge.interface} -j ACCEPT"
    address, width = port.container_address, 128 if ":" in port.container_address else 32
    to, protocol, dport = f"-d {address}/{width} ", f" -p {port.protocol} ", f"--dport {port.container_port} "
    return everything in _lines_with(bridge.interface, packet_filter) or any(
        to in line and protocol in line and dport in line and line.endswith("-j ACCEPT")
        for line in _lines_with(f"{address}/{width}", packet_filter)
    )


def _lines_with(word: str, table: Table | None) -> Sequence[str]:
    """Those of the table's chain DOCKER."""
    return _docker_lines(table).get(word, ()) if table is not None else ()


@once_for_each
def _docker_lines(table: Table) -> dict[str, list[str]]:
    """By each of their words: there is a line for each published port, and each port is asked for."""
    lines: dict[str, list[str]] = {}
    for rule in _rules(table, ("DOCKER",)):
        for word in {*rule.line.split()}:
            lines.setdefault(word, []).append(rule.line)
    return lines


def _rules(table: Table | None, chains: Iterable[str]) -> Iterator[Rule]:
    for name in chains:
        if table is not None and name in table.chains:
            yield from table.chains[name].rules


def _destination(port: Published) -> str:
    return destination(port.container_address, port.container_port)


def destination(address: str, port: int) -> str:
    """`172.18.0.2:80`, `[fd00::2]:80`: how a rule that translates to it says so."""
    return at(address, port)


def _dnats(bridge: Bridge, family: str) -> list[Published]:
    """Published ports that have a DNAT: the container has an address of the family it is published in."""
    if bridge.internal or family not in bridge.nat:
        return []
    six = family == "ip6"
    return [port for port in bridge.published if (":" in port.host_address) is six is (":" in port.container_address)]


def _subnets(bridge: Bridge, family: str) -> list[str]:
    return [subnet for subnet in bridge.subnets if (":" in subnet) is (family == "ip6")]
