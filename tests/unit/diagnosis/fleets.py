"""Fleets for tests: hosts made of two real ones, a manager and a worker of a Swarm (tests/recorded), by other names."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from pathlib import Path

import msgspec
from msgspec.structs import replace

from dockernet_doctor.moments import moment
from dockernet_doctor.snapshot import bundle
from dockernet_doctor.snapshot.model import Member, Network, Snapshot

RECORDED = Path(__file__).parents[2] / "recorded"
_FIRST = 10  # of the last number of a worker's addresses, as the host and on the overlay


def fleet(count: int) -> list[Snapshot]:
    """h1, the manager with local_cont, and workers h2 … each with a container c2 … on `app` and pub, published at 8080."""
    manager, *workers = [_recorded("manager"), *(_worker(number) for number in range(2, count + 1))]
    members = [_remote(s) for s in (manager, *workers)]
    return [_told(snapshot, members) for snapshot in (manager, *workers)]


def address(number: int) -> str:
    """By which the cluster knows hN."""
    return "10.99.0.3" if number == 1 else f"10.99.0.{_FIRST + number}"


def with_rule(snapshot: Snapshot, rule: str) -> Snapshot:
    """The rule as the first of its chain, `INPUT -p udp --dport 4789 -j DROP`."""
    assert snapshot.host
    assert snapshot.host.stack.firewall
    first, *others = snapshot.host.stack.firewall
    text = first.text.replace("[0:0] -A FORWARD -j DOCKER-USER", f"[0:0] -A {rule}\n[0:0] -A FORWARD -j DOCKER-USER", 1)
    assert text != first.text
    stack = replace(snapshot.host.stack, firewall=(replace(first, text=text), *others))
    return replace(snapshot, host=replace(snapshot.host, stack=stack))


@cache
def _recorded(role: str) -> Snapshot:
    return bundle.load(str(RECORDED / f"fleet-{role}.bundle")).snapshot


def _worker(number: int) -> Snapshot:
    """The recorded worker by another name, with other addresses and ids."""
    recorded = _recorded("worker")
    assert recorded.engine
    text = msgspec.json.encode(recorded).decode()
    ids = [recorded.engine.swarm.node_id, *(c.id for c in recorded.containers)]
    ids += [e.endpoint_id for c in recorded.containers for e in c.endpoints]
    for identity in ids:
        text = text.replace(identity, f"{number:02x}{identity[2:]}").replace(identity[:12], f"{number:02x}{identity[2:12]}")
    last = _FIRST + number
    for old, new in (
        ('"h2"', f'"h{number}"'),
        ("remote_cont", f"c{number}"),
        ("10.99.0.4", f"10.99.0.{last}"),
        ("10.0.1.4", f"10.0.1.{last}"),
    ):
        text = text.replace(old, new)
    return msgspec.json.decode(text, type=Snapshot)


def _remote(snapshot: Snapshot) -> Member:
    """The snapshot's container on `app`, as the other hosts list it."""
    container, endpoint = next((c, e) for c in snapshot.containers for e in c.endpoints if e.network == "app")
    return Member(
        container_id=f"ep-{endpoint.endpoint_id}",
        name=container.name,
        endpoint_id=endpoint.endpoint_id,
        ipv4=endpoint.ipv4,
    )


def _told(snapshot: Snapshot, members: Sequence[Member]) -> Snapshot:
    """With every other host's member in the list of `app`, as a minute later."""
    own = _remote(snapshot)
    others = tuple(member for member in members if member != own)

    def network(one: Network) -> Network:
        kept = tuple(m for m in one.members if not m.container_id.startswith("ep-"))
        return replace(one, members=kept + others) if one.name == "app" else one

    taken = moment(snapshot.taken_at) + timedelta(minutes=1)
    return replace(snapshot, taken_at=f"{taken:%Y-%m-%dT%H:%M:%SZ}", networks=tuple(map(network, snapshot.networks)))
