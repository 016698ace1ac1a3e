"""What a walk is about, and what it has found: who sends, and the trail of one packet."""

from __future__ import annotations

from msgspec import Struct

from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.facts.links import port_of
from dockernet_doctor.diagnosis.facts.routing import Lookup
from dockernet_doctor.diagnosis.path import Obstacle
from dockernet_doctor.netfilter.model import Decision, Journey, Packet
from dockernet_doctor.snapshot.model import Container, Endpoint, Network, Protocol, PublishedPort


class Trail(Struct, kw_only=True):
    """What the walk has found so far; the first obstacle ends it."""

    predicted: dict[str, str] = {}
    unknown: dict[str, str] = {}
    hop: str | None = None
    obstacle: Obstacle | None = None
    container: Container | None = None  # where it ends
    port: int | None = None
    endpoint: Endpoint | None = None
    network: Network | None = None
    published: PublishedPort | None = None
    backend: tuple[str, int] | None = None  # what docker-proxy dials
    beyond: bool = False  # leaves this host
    far: str = ""  # the other host that it came to
    diverted: Obstacle | None = None  # by a rule that is not Docker's: none, if it answers there
    large: Decision | None = None  # what stops packets of full size, where those that open a connection pass
    undecided: Decision | None = None  # by a match that no snapshot can tell, such as `-m statistic`

    @property
    def ended(self) -> bool:
        return self.obstacle is not None

    def say(self, hop: str, text: str) -> None:
        said = self.predicted.get(hop, "")
        if text and text not in said:
            self.predicted[hop] = f"{said}; {text}" if said else text

    def doubt(self, hop: str, why: str) -> None:
        self.unknown.setdefault(hop, why)

    def stop(self, hop: str, obstacle: Obstacle, text: str) -> None:
        if self.obstacle is None:
            self.hop, self.obstacle = hop, obstacle
            self.predicted[hop] = text


class Sender(Struct, frozen=True, kw_only=True):
    """Who sends: a container, the host itself, or another machine (`outside`), whose address may be known."""

    container: Container | None = None
    outside: bool = False
    address: str = ""
    interface: str = ""  # by which that machine's packets come in, where it is known

    def __str__(self) -> str:
        return self.container.name if self.container else "another machine" if self.outside else "the host"


class Walk(Struct, kw_only=True):
    """One packet on its way, for the functions that take it further: each is at one stage, or at what may end it there."""

    facts: HostFacts
    sender: Sender
    protocol: Protocol
    trail: Trail
    dialled: str = ""  # the host's address that another machine dialled
    uplink: str = ""  # by which its packet comes in
    proxied: int = 0  # how often docker-proxy took it
    went: Journey | None = None  # how another machine's packet was forwarded,
    back: Lookup | None = None  # and how its answer is
    answers_to: tuple[str, str | None] | None = None  # the next hop of the answer to another machine, and its interface

    def packet(
        self,
        source: str,
        destination: str,
        port: int,
        *,
        in_interface: str | None = None,
        out_interface: str | None = None,
        bridged: bool = False,
    ) -> Packet:
        six = ":" in destination
        return Packet(
            family=6 if six else 4,
            protocol=self.protocol,
            source=source or ("::" if six else "0.0.0.0"),
            destination=destination,
            dport=port,
            in_interface=in_interface,
            out_interface=out_interface,
            physdev_in=port_of(self.facts, source) if in_interface in self.facts.bridges else None,
            bridged=bridged,
        )
