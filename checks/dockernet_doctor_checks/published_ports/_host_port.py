"""Host ports: who holds one, whom a dial of one meant, and what the engine says when it cannot have one."""

from __future__ import annotations

import re
from typing import Literal

from msgspec import Struct

from dockernet_doctor.plugin import UNSPECIFIED, Case, HostFacts, Path, model, obstacles, silent_port

# --- what the engine says (State.Error, all engines)

_ADDRESS = r"(?P<address>\[[^\]]*\]|[0-9.]+|[0-9a-fA-F:]*?)"
_ERRORS = (
    rf"Bind for {_ADDRESS}:(?P<port>\d+) failed: (?P<what>port is already allocated)",
    (
        rf"listen (?P<protocol>tcp|udp|sctp)\d? {_ADDRESS}:(?P<port>\d+): bind: "
        rf"(?P<what>address already in use|cannot assign requested address)"
    ),
    (
        rf"failed to bind host port (?:for )?{_ADDRESS}:(?P<port>\d+)(?::\S+)?/(?P<protocol>tcp|udp|sctp): "
        rf"(?P<what>address already in use|cannot assign requested address)"
    ),
)


class Refusal(Struct, frozen=True):
    """Why the engine could not bind a host port for a container."""

    container: model.Container
    kind: Literal["allocated", "in-use", "no-address"]
    address: str
    port: int
    protocol: model.Protocol
    binding: model.PortBinding | None  # what was asked for

    @property
    def container_port(self) -> int:
        return self.binding.port if self.binding else 0


def refusal(container: model.Container) -> Refusal | None:
    """What the last start of a container that does not run failed with, where that was a host port."""
    if container.state.running:
        return None
    found = next((m for pattern in _ERRORS if (m := re.search(pattern, container.state.error))), None)
    if found is None:
        return _range_exhausted(container)
    groups = found.groupdict()
    port, address = int(groups["port"]), groups["address"].strip("[]")
    asked = [b for b in container.bindings if _covers(b, port) and b.protocol == (groups.get("protocol") or b.protocol)]
    binding = next((b for b in asked if b.host_ip in ("", address)), asked[0] if asked else None)
    kinds: dict[str, Literal["allocated", "in-use", "no-address"]] = {
        "port is already allocated": "allocated",
        "address already in use": "in-use",
    }
    return Refusal(
        container=container,
        kind=kinds.get(groups["what"], "no-address"),
        address=address,
        port=port,
        protocol=binding.protocol if binding else "udp" if groups.get("protocol") == "udp" else "tcp",
        binding=binding,
    )


def _range_exhausted(container: model.Container) -> Refusal | None:
    """All host ports of a range are held; which range it was, the engine does not say."""
    if "all ports are allocated" not in container.state.error:
        return None
    asked = next((b for b in container.bindings if "-" in b.host_port), None)
    first = asked.host_port.partition("-")[0] if asked else ""
    if asked is None or not first.isdecimal():
        return None
    return Refusal(container, "allocated", asked.host_ip or "0.0.0.0", int(first), asked.protocol, asked)


def _covers(binding: model.PortBinding, port: int) -> bool:
    first, _, last = binding.host_port.partition("-")
    return first.isdecimal() and int(first) <= port <= int(last if last.isdecimal() else first)


# --- who holds it


class Holder(Struct, frozen=True):
    container: model.Container | None
    published: model.PublishedPort | None
    listener: model.Listener | None


def holder(facts: HostFacts, wanted: Refusal) -> Holder | None:
    """The container or process that holds the host port now; None where nobody is seen to."""
    for container in facts.running:
        for mapping in container.ports:
            same = mapping.host_port == wanted.port and mapping.protocol == wanted.protocol
            if same and container.id != wanted.container.id and overlap(mapping.host_ip, wanted.address):
                return Holder(container, mapping, None)
    listeners = (facts.machine.listeners if facts.machine else None) or ()
    for listener in listeners:
        same = listener.port == wanted.port and listener.protocol == wanted.protocol
        if same and (overlap(listener.address, wanted.address) or (listener.address == "::" and not listener.v6only)):
            owner = listener.process.container if listener.process else None
            return Holder(facts.container(owner) if owner else None, None, listener)
    return None


def overlap(one: str, other: str) -> bool:
    """True if two sockets of one port get in each other's way."""
    same_family = (":" in one) == (":" in other)
    return one == other or "" in (one, other) or (same_family and not UNSPECIFIED.isdisjoint((one, other)))


# --- whom a dial of a host port meant that nobody listens at


class Meant(Struct, frozen=True):
    kind: Literal["random", "swapped", "other-port", "unpublished"]
    container: model.Container
    published: model.PublishedPort | None = None


def meant(case: Case, path: Path, obstacle: obstacles.NothingListens) -> Meant | None:
    """The one container that a dial of this host's own port most likely meant, where that can be told."""
    if silent_port.container_of(path, obstacle) is not None or obstacle.elsewhere:
        return None
    facts, port, protocol = case.facts(path.host), obstacle.port, obstacle.protocol
    published = [(c, p) for c in facts.running for p in c.ports if p.protocol == protocol]
    to_port = [(c, p) for c, p in published if p.port == port]
    if len({c.id for c, _p in to_port}) == 1:
        container, mapping = to_port[0]
        if is_random(container, mapping):
            return Meant("random", container, mapping)
        listening = {li.port for li in facts.listeners(container, protocol) or ()}
        swapped = port not in listening and silent_port.is_swapped(mapping, listening)
        return Meant("swapped" if swapped else "other-port", container, mapping)
    random = [(c, p) for c, p in published if is_random(c, p)]
    if port >= 32768 and len({c.id for c, _p in random}) == 1:
        return Meant("random", *random[0])
    serving = [c for c in facts.running if c.network_mode != "host" and _serves(facts, c, port, protocol)]
    if len(serving) == 1 and not any(p.port == port for p in serving[0].ports):
        return Meant("unpublished", serving[0])
    return None


def _serves(facts: HostFacts, container: model.Container, port: int, protocol: model.Protocol) -> bool:
    listeners = facts.listeners(container, protocol)
    return any(li.port == port for li in listeners or ()) or (port, protocol) in container.exposed


def is_random(container: model.Container, mapping: model.PublishedPort) -> bool:
    """True if the engine chose the host port: `-p 80`, `-P`; a range is the user's own."""
    asked = [b for b in container.bindings if b.port == mapping.port and b.protocol == mapping.protocol]
    return any(not b.host_port or b.host_port == "0" for b in asked) or (not asked and container.publish_all)
