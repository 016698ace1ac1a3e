"""Hosts that share overlay networks, by a cluster store (engine ≤ 20.10) or by Swarm: who they are, what each says."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.facts import daemon
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.path import HostsApart, NameUnanswered, NoAnswer, Path
from dockernet_doctor.notation import UNSPECIFIED
from dockernet_doctor.snapshot.cluster_store import StoreAddress, parse_store_url
from dockernet_doctor.snapshot.daemon_options import REMOVED_IN_23
from dockernet_doctor.snapshot.model import LogLine, Network

#: Gossip (tcp and udp), VXLAN (udp; Swarm can have another), Swarm's managers (tcp).
GOSSIP, VXLAN, MANAGER = 7946, 4789, 2377
#: The port that --cluster-advertise names; nothing has to listen there.
ADVERTISED = 2376


_REMOVED = r"unknown flag: --cluster-(store|advertise)|configuration option: .*\bcluster-(store|advertise)\b"


def is_legacy(facts: HostFacts) -> bool:
    """True if the engine has cluster stores at all: up to 20.10; of one that does not run, as long as it does not say no."""
    if facts.snapshot.engine is not None:
        return facts.generation < (23, 0)
    return refused_options(facts) is None


def refused_options(facts: HostFacts) -> LogLine | None:
    """The last words of an engine from 23 on that met the options of a cluster store."""
    failure = daemon.last_failure(facts)
    return failure if failure is not None and re.search(_REMOVED, failure.text) else None


def store_url(facts: HostFacts) -> str:
    """The cluster store as the daemon has it, or, where it does not run, as its files have it; "" for none."""
    engine = facts.snapshot.engine
    if engine is not None and engine.cluster_store:
        return engine.cluster_store
    said = daemon.option(facts, "cluster-store")
    return said.value if said else ""


def advertised(facts: HostFacts) -> str:
    """--cluster-advertise as it is written: `eth1:2376`, `10.0.0.5:2376`; "" for none."""
    said = daemon.option(facts, "cluster-advertise")
    engine = facts.snapshot.engine
    return said.value if said else engine.cluster_advertise if engine else ""


def store_addresses(facts: HostFacts) -> tuple[StoreAddress, ...]:
    return parse_store_url(store_url(facts))[1]


def own_advertise(facts: HostFacts) -> str:
    """What this host should advertise: `eth1:2376`, the interface that leads to the store, to a peer, or outside."""
    for address in (*(a.host for a in store_addresses(facts)), *(a for a, _ in peers(facts))):
        if link := daemon.way_to(facts, address):
            return f"{link}:{ADVERTISED}"
    if facts.stack and facts.uplink_addresses:
        first = facts.uplink_addresses[0]
        link = next((a.link for a in facts.stack.addresses if a.address == first), "")
        return f"{link}:{ADVERTISED}" if link else ""
    return ""


_UNANSWERED = r"other probes failed|UDP probes failed|no acks received|Node name conflicts|joining gossip cluster"


def wrong_link(facts: HostFacts, address: str) -> str:
    """Where an advertised address of this host is, if that is wrong: on an interface that is down; or on another than the one
    by which the others are reached, where the log says that they did not answer. "" for neither."""
    here = next((a for a in facts.stack.addresses if a.address == address), None) if facts.stack else None
    link = facts.link(here.link) if here else None
    if link is None or link.name == "lo":
        return ""
    if not link.up or not link.carrier:
        return f"the address of {link.name}, which is down"
    ways = {daemon.way_to(facts, peer) for peer, _ in peers(facts)}
    silent = daemon.logged(facts, _UNANSWERED)
    if silent is None or not daemon.lately(facts, silent) or not ways or None in ways or link.name in ways:
        return ""
    return f"the address of {link.name}, while the other hosts are reached by {daemon.names(sorted(w for w in ways if w))}"


def peers(facts: HostFacts) -> tuple[tuple[str, str], ...]:
    """(address, where that is said) of the other hosts of this host's cluster, each once."""
    found: dict[str, str] = {}
    for address, where in _peers(facts):
        if address and not facts.is_own(address) and address not in UNSPECIFIED:
            found.setdefault(address, where)
    return tuple(found.items())


def _peers(facts: HostFacts) -> Iterator[tuple[str, str]]:
    store, engine = facts.snapshot.store, facts.snapshot.engine
    for host in (store.hosts or ()) if store else ():
        yield host.rpartition(":")[0].strip("[]"), "docker/nodes of the store"
    if engine is None:
        return
    for _, address in engine.swarm.remote_managers:
        yield address.rpartition(":")[0].strip("[]"), "Swarm's managers"
    for node in engine.swarm.node_list:
        yield node.address, f"node {node.hostname} of the Swarm"
    for network in facts.snapshot.networks:
        for name, address in network.peers:
            yield address, f"peer {name} of the network {network.name}"


def vxlan_port(facts: HostFacts) -> int:
    """Where the overlay's own packets go. A manager tells; a worker shows it by the kernel's socket, where that is not 4789."""
    engine = facts.snapshot.engine
    said = (engine.swarm.data_path_port if engine else 0) or VXLAN
    listeners = facts.stack.listeners if facts.stack else None
    worker = engine is not None and engine.swarm.state == "active" and not engine.swarm.manager
    if not worker or not listeners or not any(c.state.running for n in overlays(facts) for c in facts.members(n)):
        return said  # without a container on it no overlay network has its VXLAN
    udp = {li.port for li in listeners if li.protocol == "udp" and li.address == "0.0.0.0" and li.process is None}
    possible = [port for port in udp if 1024 <= port <= 49151]  # what --data-path-port takes
    return possible[0] if VXLAN not in udp and len(possible) == 1 else said


def overlays(facts: HostFacts) -> tuple[Network, ...]:
    """Overlay networks but Swarm's own ingress."""
    return tuple(n for n in facts.snapshot.networks if n.driver == "overlay" and not n.ingress)


def cluster_options(facts: HostFacts) -> tuple[str, ...]:
    """Which of the options that left in 23.0 the files set."""
    said = daemon.files_say(facts)
    return tuple(key for key in REMOVED_IN_23 if said.get(key))


def paths_across(case: Case, facts: HostFacts) -> tuple[Path, ...]:
    """The questions that an overlay network has to carry: both ends on one, or a target that only another host has.

    Of those between two hosts that were read: what ends between them, at the host `facts` or by its fault.
    """
    names = {m.name for n in overlays(facts) for m in n.members if m.container_id.startswith("ep-")}
    return tuple(
        path
        for path in case.paths
        if (_between(facts, path) if path.target_host else path.host == facts.name and _across(facts, path, names))
    )


def _between(facts: HostFacts, path: Path) -> bool:
    obstacle = path.obstacle
    if isinstance(obstacle, HostsApart):
        return obstacle.where == facts.name
    silent = isinstance(obstacle, NoAnswer | NameUnanswered) or path.verdict == "unknown"
    overlay = path.network is not None and path.network.driver == "overlay"
    return silent and overlay and facts.name in (path.host, path.source_host, path.target_host)


def _across(facts: HostFacts, path: Path, names: set[str]) -> bool:
    if path.network is not None and path.network.driver == "overlay":
        return True
    destination = path.destination
    network = facts.network_containing(destination.address) if destination.address else None
    if network is not None and network.driver == "overlay":
        return True
    on_overlay = path.source is not None and any(n.driver == "overlay" for n in facts.networks_of(path.source))
    return on_overlay and path.target is None and (not destination.address or destination.name in names)
