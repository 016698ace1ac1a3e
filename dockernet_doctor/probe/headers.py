"""What is read off packets, whichever library reads them (`packets`)."""

from __future__ import annotations

from msgspec import Struct


class GarbledError(ValueError):
    """Bytes that are no packet of the protocol that they claim to be."""


class Arp(Struct, frozen=True, kw_only=True):
    operation: int  # 1 request, 2 reply
    mac: str  # of the sender
    source: str
    destination: str


class Segment(Struct, frozen=True, kw_only=True):
    """The header of a TCP segment."""

    source: int
    destination: int
    sequence: int
    acknowledged: int
    flags: int


class Datagram(Struct, frozen=True, kw_only=True):
    """The header of a UDP datagram."""

    source: int
    destination: int


class Echo(Struct, frozen=True, kw_only=True):
    """An ICMP echo request or reply."""

    identity: int
    reply: bool


class IcmpError(Struct, frozen=True, kw_only=True):
    type: int
    code: int
    flow: int | None  # source port or echo identity of the packet that it quotes


class IpPacket(Struct, frozen=True, kw_only=True):
    source: str
    destination: str
    payload: Segment | Datagram | Echo | IcmpError | None  # None for anything else
