"""What is really dialled: one address and one port, or what ended the question before."""

from __future__ import annotations

from msgspec import Struct

from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.path import Obstacle
from dockernet_doctor.probe.model import Probe
from dockernet_doctor.snapshot.model import Container, Endpoint, Network, Protocol, PublishedPort


class Dial(Struct, frozen=True, kw_only=True):
    """`address` and `port` are None where `obstacle` or `unknown` says why nothing is dialled, or nobody knows what."""

    facts: HostFacts
    name: str
    source: Container | None = None
    target: Container | None = None
    address: str | None = None
    port: int | None = None
    container_port: int | None = None
    endpoint: Endpoint | None = None
    network: Network | None = None
    published: PublishedPort | None = None
    hop: str = ""
    obstacle: Obstacle | None = None
    unknown: tuple[str, str] | None = None  # hop and why
    predicted: dict[str, str] = {}
    not_applicable: frozenset[str] = frozenset()
    probes: tuple[Probe, ...] = ()
    note: str = ""
    protocol: Protocol | None = None  # where it is not the one of the question: a port that only UDP is published for
    far: str = ""  # the other host that the target lives on, where several are read
    second: bool = False  # the other family beside the dial before: a path where it fares otherwise, else the same one
    at: str = ""  # the host that the obstacle is on, where that is not this one
