"""Packets, built and read as `headers` by scapy where it is installed, else by dpkt.

scapy's licence (GPL-2.0-only) keeps it out of the single file, the image and the Debian package; dpkt (BSD) takes its place
there. Neither is imported before a packet is built or read.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Protocol, TypeVar

from dockernet_doctor.probe.headers import Arp, Echo, GarbledError, IpPacket

T = TypeVar("T")


class Library(Protocol):
    """A module that builds and reads packets. Reading raises whatever that library raises over bytes that are no packet."""

    def arp_request(self, mac: str, source: str, address: str) -> bytes: ...
    def echo_request(self, identity: int, size: int, *, ipv6: bool) -> bytes: ...
    def arp(self, data: bytes) -> Arp: ...
    def echo(self, data: bytes, *, ipv6: bool) -> Echo | None: ...
    def ip(self, data: bytes, *, ipv6: bool) -> IpPacket: ...


@lru_cache(maxsize=1)
def packet_library() -> Library:
    from importlib.util import find_spec

    if find_spec("scapy") is None:
        from dockernet_doctor.probe import packets_dpkt

        return packets_dpkt
    from dockernet_doctor.probe import packets_scapy

    return packets_scapy


def arp_request(mac: str, source: str, address: str) -> bytes:
    """An Ethernet frame to everybody that asks who has an IPv4 address."""
    return packet_library().arp_request(mac, source, address)


def echo_request(identity: int, size: int, *, ipv6: bool) -> bytes:
    """An ICMP message with `size` zeros; the kernel fills in the checksum of ICMPv6."""
    return packet_library().echo_request(identity, size, ipv6=ipv6)


def read_arp(data: bytes) -> Arp:
    """An ARP message, without its Ethernet header. GarbledError."""
    return _understood(lambda: packet_library().arp(data))


def read_echo(data: bytes, *, ipv6: bool) -> Echo | None:
    """What a raw ICMP socket hears: IPv4 with the IP header, IPv6 without. None for other messages. GarbledError."""
    return _understood(lambda: packet_library().echo(data, ipv6=ipv6))


def read_ip(data: bytes, *, ipv6: bool) -> IpPacket:
    """An IP packet, whose end may be cut off. GarbledError."""
    return _understood(lambda: packet_library().ip(data, ipv6=ipv6))


def _understood(read: Callable[[], T]) -> T:
    """Whatever a neighbour sends: neither library is ready for every byte."""
    try:
        return read()
    except Exception as error:
        raise GarbledError(f"{type(error).__name__}: {error}") from error
