"""Follow a probe's packet: at which interfaces is it seen, and what comes back there? (`reach --trace`)

The probe leaves from a port that is chosen beforehand. Translation may change its addresses and even that port, but not
the sequence number of a TCP connection's first packet: by both it is known again behind every rule of the nat tables.
docker-proxy, which makes a connection of its own, is where a trace ends.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress

from msgspec import Struct

from dockernet_doctor.probe import dns, icmp, tcp, udp
from dockernet_doctor.probe.errors import NotSentError, icmp_words
from dockernet_doctor.probe.headers import Arp, Datagram, Echo, GarbledError, IcmpError, IpPacket, Segment
from dockernet_doctor.probe.model import Answer, Probe, Vantage
from dockernet_doctor.probe.packets import read_arp, read_ip
from dockernet_doctor.probe.steps import READ, Enter, Loop, Steps, Wait
from dockernet_doctor.snapshot.namespace import NamespaceError

LIMIT = 2000  # frames kept of one interface
_SNAP = 192  # bytes of each: all headers, and those quoted in an ICMP error
_LINGER_S = 0.1
_AT_A_TIME = 64
_ETH_P_ALL = 3
_ARP = 0x0806
_IPV4 = 0x0800
_IPV6 = 0x86DD
_SYN, _RST, _ACK = 0x02, 0x04, 0x10
_ASK: dict[str, Callable[[Probe, Enter, float, int], Steps[Answer]]] = {
    "tcp": tcp.ask,
    "udp": udp.ask,
    "dns": dns.ask,
    "icmp": icmp.ask,
}


class CapturePoint(Struct, frozen=True):
    """An interface of the host, or of a container's namespace."""

    vantage: Vantage
    interface: str


class Seen(Struct, frozen=True, kw_only=True):
    """A packet of the probe's flow at one interface; repetitions are counted."""

    what: str  # SYN, SYN-ACK, RST, TCP, UDP, echo request, echo reply, ICMP …, ARP request, ARP reply
    source: str
    destination: str
    leaving: bool  # out of this interface, not in
    reply: bool  # towards the vantage point
    count: int = 1


class Sighting(Struct, frozen=True, kw_only=True):
    """What one interface saw; `problem` where nothing could be looked at."""

    point: CapturePoint
    packets: tuple[Seen, ...] = ()
    problem: str = ""
    garbled: int = 0  # frames that are no packet of the protocol that they claim to be

    @property
    def seen(self) -> bool:
        """True if the request came by (its ARP alone is not the request)."""
        return any(not packet.reply and not packet.what.startswith("ARP") for packet in self.packets)


class Trace(Struct, frozen=True, kw_only=True):
    answer: Answer
    sightings: tuple[Sighting, ...]


class _Frame(Struct, frozen=True):
    protocol: int
    leaving: bool
    data: bytes


def trace(
    probe: Probe, points: Sequence[CapturePoint], resolve: Callable[[Vantage], Enter], *, patience_s: float = 1.3
) -> Trace:
    """Send the probe (tcp, udp, dns or icmp) once and tell, for each point in the order given, what it saw.

    Takes `patience_s` at most, and a tenth of a second. Raises NotSentError or NamespaceError where the probe cannot leave.
    """
    if probe.kind not in _ASK:
        raise NotSentError(f"a probe of kind {probe.kind} cannot be followed")
    enter = resolve(probe.vantage)
    port = _free_port(probe, enter)
    frames: dict[CapturePoint, list[_Frame]] = {}
    problems: dict[CapturePoint, str] = {}
    answers: list[Answer] = []
    with ExitStack() as stack, Loop() as loop:
        for point in dict.fromkeys(points):
            try:
                sock = stack.enter_context(_tap(point, resolve))
            except (OSError, NotSentError, NamespaceError) as error:
                problems[point] = getattr(error, "strerror", None) or str(error)
                continue
            frames[point] = []
            loop.start(_keep(sock, frames[point], _marks(probe, port)), lambda _: None)
        loop.start(_ASK[probe.kind](probe, enter, patience_s, port), answers.append)
        while not answers:
            loop.turn(time.monotonic() + patience_s)
        end = time.monotonic() + _LINGER_S
        while time.monotonic() < end:
            loop.turn(end)
    flow = _Flow(probe, port, [frame for kept in frames.values() for frame in kept])
    sightings = tuple(flow.sighting(point, frames.get(point, ()), problems.get(point, "")) for point in points)
    return Trace(answer=answers[0], sightings=sightings)


def _free_port(probe: Probe, enter: Enter) -> int:
    """A source port that nothing uses in the probe's namespace; for an echo request its identifier."""
    if probe.kind == "icmp":
        return random.randrange(1, 0x10000)  # noqa: S311
    family = socket.AF_INET6 if ":" in probe.address else socket.AF_INET
    with enter():
        sock = socket.socket(family, socket.SOCK_STREAM if probe.kind == "tcp" else socket.SOCK_DGRAM)
    with sock:
        sock.bind((probe.source or ("::" if family == socket.AF_INET6 else "0.0.0.0"), 0))
        return int(sock.getsockname()[1])


def _tap(point: CapturePoint, resolve: Callable[[Vantage], Enter]) -> socket.socket:
    with resolve(point.vantage)():
        # protocol 0 hears nothing until it is bound, else it would hear every interface meanwhile
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, 0)
    try:
        sock.setblocking(False)
        sock.bind((point.interface, _ETH_P_ALL))
    except OSError:
        sock.close()
        raise
    return sock


def _marks(probe: Probe, port: int) -> tuple[bytes, ...]:
    """Two bytes that packets of the flow hold: cheap to look for, on interfaces where much else goes by."""
    return tuple(number.to_bytes(2, "big") for number in (port, probe.port) if number)


def _keep(sock: socket.socket, frames: list[_Frame], marks: tuple[bytes, ...]) -> Steps[None]:
    while len(frames) < LIMIT:
        yield Wait(sock, READ, time.monotonic() + 60)
        with suppress(BlockingIOError, OSError):
            for _ in range(_AT_A_TIME):
                data, (_, protocol, kind, *_) = sock.recvfrom(_SNAP)
                if protocol == _ARP or any(mark in data for mark in marks) or _is_handshake(data):
                    frames.append(_Frame(protocol, kind == socket.PACKET_OUTGOING, data))


def _is_handshake(data: bytes) -> bool:
    """A TCP segment with SYN or RST, whatever its ports have become."""
    if not data:
        return False
    version4 = data[0] < 0x60
    offset = (data[0] & 15) * 4 if version4 else 40
    return len(data) > offset + 13 and data[9 if version4 else 6] == socket.IPPROTO_TCP and bool(data[offset + 13] & 6)


class _Flow:
    """Knows the probe's packets among others."""

    def __init__(self, probe: Probe, port: int, frames: Iterable[_Frame]) -> None:
        self._probe = probe
        self._port = port
        self._sequences: set[int] = set()
        for frame in frames:
            with suppress(GarbledError):
                self._sequences.update(self._first_sequence(frame))

    def _first_sequence(self, frame: _Frame) -> list[int]:
        """The sequence number with which this frame opens the probe's connection."""
        match _read(frame):
            case IpPacket(payload=Segment() as tcp) if tcp.source == self._port and tcp.flags & (_SYN | _ACK) == _SYN:
                return [tcp.sequence]
            case _:
                return []

    def sighting(self, point: CapturePoint, frames: Iterable[_Frame], problem: str) -> Sighting:
        """What of the flow is among these frames, in the order in which it first came."""
        counts: dict[Seen, int] = {}
        garbled = 0
        for frame in frames:
            try:
                found = self._seen(frame)
            except GarbledError:
                garbled += 1
                continue
            if found:
                counts[found] = counts.get(found, 0) + 1
        packets = tuple(
            Seen(
                what=seen.what,
                source=seen.source,
                destination=seen.destination,
                leaving=seen.leaving,
                reply=seen.reply,
                count=count,
            )
            for seen, count in counts.items()
        )
        return Sighting(point=point, packets=packets, problem=problem, garbled=garbled)

    def _seen(self, frame: _Frame) -> Seen | None:
        packet = _read(frame)
        match packet:
            case Arp():
                return self._arp(packet, frame.leaving)
            case IpPacket() if found := self._judged(packet):
                what, reply = found
                source, destination = _ends(packet)
                return Seen(what=what, source=source, destination=destination, leaving=frame.leaving, reply=reply)
            case _:
                return None

    def _arp(self, packet: Arp, leaving: bool) -> Seen | None:
        if self._probe.address not in (packet.source, packet.destination):
            return None
        reply = packet.operation == 2
        what = "ARP reply" if reply else "ARP request"
        return Seen(what=what, source=packet.source, destination=packet.destination, leaving=leaving, reply=reply)

    def _judged(self, packet: IpPacket) -> tuple[str, bool] | None:
        """What the packet is, and whether it is a reply; None for one of another flow."""
        match packet.payload, self._probe.kind:
            case Segment() as segment, "tcp":
                return self._tcp(segment)
            case Datagram() as datagram, "udp" | "dns" if self._port in (datagram.source, datagram.destination):
                return "UDP", datagram.destination == self._port
            case Echo(identity=self._port, reply=reply), _:
                return ("echo reply" if reply else "echo request"), reply
            case IcmpError(flow=self._port) as error, _:
                return f"ICMP {icmp_words(error.type, error.code, 6 if ':' in packet.source else 4)}", True
            case _:
                return None

    def _tcp(self, segment: Segment) -> tuple[str, bool] | None:
        what = {_SYN: "SYN", _SYN | _ACK: "SYN-ACK"}.get(segment.flags & (_SYN | _ACK), "TCP")
        what = "RST" if segment.flags & _RST else what
        if segment.source == self._port or (what == "SYN" and segment.sequence in self._sequences):
            return what, False
        if segment.destination == self._port or (what in ("SYN-ACK", "RST") and segment.acknowledged - 1 in self._sequences):
            return what, True
        return None


def _read(frame: _Frame) -> Arp | IpPacket | None:
    """GarbledError."""
    if frame.protocol == _ARP:
        return read_arp(frame.data)
    return read_ip(frame.data, ipv6=frame.protocol == _IPV6) if frame.protocol in (_IPV4, _IPV6) else None


def _ends(packet: IpPacket) -> tuple[str, str]:
    ports = packet.payload
    if not isinstance(ports, (Segment, Datagram)):
        return packet.source, packet.destination
    bracket = "[{}]:{}" if ":" in packet.source else "{}:{}"
    return bracket.format(packet.source, ports.source), bracket.format(packet.destination, ports.destination)
