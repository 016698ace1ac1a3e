"""What changed on a host between two snapshots, fact by fact, as far as it bears on its network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from dockernet_doctor.diagnosis.facts import routing
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.netfilter.describe import wording
from dockernet_doctor.notation import at
from dockernet_doctor.snapshot import daemon_options
from dockernet_doctor.snapshot.model import Container, Network, Route, Snapshot

_A_COUNT = "net.netfilter.nf_conntrack_count"


class Change(NamedTuple):
    """`old` is "" for what is new, `new` for what is gone."""

    area: str
    what: str
    old: str
    new: str


Facts = Mapping[str, str]
"""What is called so → how it is."""


def changes(old: Snapshot, new: Snapshot) -> Iterator[Change]:
    """The facts that differ, area by area. What one of the two could not read is left out: nobody saw it change."""
    before, after = _areas(HostFacts(old)), _areas(HostFacts(new))
    for area, facts in before.items():
        if area in after:
            yield from _differing(area, facts, after[area])


def _differing(area: str, old: Facts, new: Facts) -> Iterator[Change]:
    for what in sorted({*old, *new}):
        if (was := old.get(what, "")) != (now := new.get(what, "")):
            yield Change(area, what, was, now)


def _areas(facts: HostFacts) -> dict[str, Facts]:
    """Area → its facts, without the areas that were not read."""
    snapshot, found = facts.snapshot, dict[str, Facts]()
    if snapshot.engine is not None:
        found["engine"] = {"version": snapshot.engine.version, "firewall backend": snapshot.engine.firewall_backend}
        found["networks"] = {network.name: _network(network) for network in snapshot.networks}
        found["containers"] = {container.name: _container(container) for container in snapshot.containers}
        found["ports"] = {name: ways for c in snapshot.containers for name, ways in _ports(c)}
        found["addresses"] = {
            f"{c.name} on {e.network}": e.ipv4 or e.ipv6 or "" for c in snapshot.containers for e in c.endpoints
        }
        found["names"] = {f"{c.name} on {e.network}": " ".join(e.aliases) for c in snapshot.containers for e in c.endpoints}
    if (settings := daemon_options.running(snapshot.daemon)) is not None:
        found["daemon options"] = {key: ", ".join(setting.values) for key, setting in settings.items()}
    if facts.machine is not None:
        stack = facts.machine
        found["host addresses"] = _numbered(f"{a.address}/{a.prefix} on {a.link}" for a in stack.addresses if a.scope != "link")
        found["routes"] = _numbered(_route(route) for route in stack.routes if route.kind not in ("local", "broadcast"))
        found["routing rules"] = _numbered(map(routing.rule_text, stack.rules))
        found["sysctls"] = {key: value for key, value in stack.sysctls.items() if key != _A_COUNT}
    if facts.rulesets is not None:
        found["rules"] = _rules(facts)
    return found


def _numbered(texts: Iterable[str]) -> Facts:
    """Texts that are there or not; of those that are there several times, how often."""
    return {text: "there" if times == 1 else f"{times} times" for text, times in Counter(texts).items()}


def _network(network: Network) -> str:
    subnets = " ".join(subnet.subnet for subnet in network.subnets)
    options = " ".join(f"{key}={value}" for key, value in sorted(network.options.items()))
    return " ".join(part for part in (network.driver, subnets, "internal" if network.internal else "", options) if part)


def _container(container: Container) -> str:
    networks = " ".join(sorted(endpoint.network for endpoint in container.endpoints))
    return f"{container.state.status}, {container.image}, {networks or container.network_mode}"


def _ports(container: Container) -> Iterator[tuple[str, str]]:
    for port, protocol in dict.fromkeys((binding.port, binding.protocol) for binding in container.ports):
        ways = (at(p.host_ip, p.host_port) for p in container.ports if (p.port, p.protocol) == (port, protocol))
        yield f"{container.name} {port}/{protocol}", ", ".join(sorted(ways))


def _route(route: Route) -> str:
    return f"{routing.route_text(route)}{f' metric {route.metric}' if route.metric else ''}"


def _rules(facts: HostFacts) -> Facts:
    """Rules without their positions and counters, and the policies of chains."""
    found = dict[str, str]()
    for ruleset in facts.rulesets or ():
        for table in ruleset.tables:
            for chain in table.chains.values():
                where = f"{chain.name} ({' '.join((ruleset.backend, table.family, table.name))})"
                found |= _numbered(f"{where}: {wording(rule)}" for rule in chain.rules)
                if chain.policy:
                    found[f"{where}: policy"] = chain.policy
    return found
