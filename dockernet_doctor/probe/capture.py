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
from functools import partial
from typing import Any

from msgspec import Struct

from dockernet_doctor.probe import dns, icmp, tcp, udp
from dockernet_doctor.probe.errors import NotSentError
from dockernet_doctor.probe.model import Answer, Probe, Vantage
from dockernet_doctor.probe.packets import GarbledError, understood
from dockernet_doctor.probe.steps import READ, Enter, Loop, Steps, Wait
from dockernet_doctor.snapshot.namespace import NamespaceError

LIMIT = 2000  # frames kept of one interface
_SNAP = 192  # bytes of each: all headers, and those quoted in an ICMP error
_LINGER_S = 0.1
_AT_A_TIME = 64
_ETH_P_ALL = 3
_ARP = 0x0806
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
        """Whether the request came by (its ARP alone is not the request)."""
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
                self._sequences.update(understood(partial(self._first_sequence, frame)))

    def _first_sequence(self, frame: _Frame) -> list[int]:
        """The sequence number with which this frame opens the probe's connection."""
        packet = _parsed(frame)
        layer = packet.getlayer("TCP") if packet is not None else None
        return [layer.seq] if layer is not None and layer.sport == self._port and int(layer.flags) & 0x12 == 2 else []

    def sighting(self, point: CapturePoint, frames: Iterable[_Frame], problem: str) -> Sighting:
        """What of the flow is among these frames, in the order in which it first came."""
        counts: dict[Seen, int] = {}
        garbled = 0
        for frame in frames:
            try:
                found = understood(partial(self._seen, frame))
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
        packet = _parsed(frame)
        if packet is None:
            return None
        if frame.protocol == _ARP:
            return self._arp(packet, frame.leaving)
        for judge in (self._tcp, self._udp, self._echo, self._error):
            if found := judge(packet):
                what, reply = found
                source, destination = _ends(packet)
                return Seen(what=what, source=source, destination=destination, leaving=frame.leaving, reply=reply)
        return None

    def _arp(self, packet: Any, leaving: bool) -> Seen | None:
        if self._probe.address not in (packet.psrc, packet.pdst):
            return None
        reply = packet.op == 2
        what = "ARP reply" if reply else "ARP request"
        return Seen(what=what, source=packet.psrc, destination=packet.pdst, leaving=leaving, reply=reply)

    def _tcp(self, packet: Any) -> tuple[str, bool] | None:
        layer = packet.getlayer("TCP")
        if layer is None or self._probe.kind != "tcp":
            return None
        flags = int(layer.flags)
        what = {0x02: "SYN", 0x12: "SYN-ACK"}.get(flags & 0x12, "TCP")
        what = "RST" if flags & 0x04 else what
        if layer.sport == self._port or (what == "SYN" and layer.seq in self._sequences):
            return what, False
        if layer.dport == self._port or (what in ("SYN-ACK", "RST") and layer.ack - 1 in self._sequences):
            return what, True
        return None

    def _udp(self, packet: Any) -> tuple[str, bool] | None:
        layer = packet.getlayer("UDP")
        if layer is None or self._probe.kind not in ("udp", "dns") or self._port not in (layer.sport, layer.dport):
            return None
        return "UDP", bool(layer.dport == self._port)

    def _echo(self, packet: Any) -> tuple[str, bool] | None:
        for name, request, reply in (("ICMP", 8, 0), ("ICMPv6 Echo Request", 128, 128), ("ICMPv6 Echo Reply", 129, 129)):
            layer = packet.getlayer(name)
            if layer is not None and layer.type in (request, reply) and layer.id == self._port:
                answered = layer.type in (0, 129)
                return ("echo reply" if answered else "echo request"), answered
        return None

    def _error(self, packet: Any) -> tuple[str, bool] | None:
        """An ICMP error that quotes a packet of the flow."""
        for name in ("TCP in ICMP", "UDP in ICMP", "ICMP in ICMP"):
            quoted = packet.getlayer(name)
            if quoted is not None and self._port in (getattr(quoted, "sport", None), getattr(quoted, "id", None)):
                return packet.payload.sprintf("ICMP %type% %code%"), True
        return None


def _parsed(frame: _Frame) -> Any:
    from scapy.layers.inet import IP
    from scapy.layers.inet6 import IPv6
    from scapy.layers.l2 import ARP

    kind = {0x0800: IP, 0x86DD: IPv6, _ARP: ARP}.get(frame.protocol)
    return kind(frame.data) if kind else None


def _ends(packet: Any) -> tuple[str, str]:
    layer = packet.getlayer("TCP") or packet.getlayer("UDP")
    if layer is None:
        return packet.src, packet.dst
    bracket = "[{}]:{}" if ":" in packet.src else "{}:{}"
    return bracket.format(packet.src, layer.sport), bracket.format(packet.dst, layer.dport)
