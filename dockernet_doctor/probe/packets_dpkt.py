"""Packets by dpkt."""

from __future__ import annotations

import socket
from typing import Any

from dpkt.arp import ARP, ARP_OP_REQUEST
from dpkt.ethernet import ETH_TYPE_ARP, Ethernet
from dpkt.icmp import ICMP, ICMP_ECHO, ICMP_ECHOREPLY
from dpkt.icmp6 import ICMP6, ICMP6_ECHO_REPLY, ICMP6_ECHO_REQUEST
from dpkt.ip import IP
from dpkt.ip6 import IP6
from dpkt.tcp import TCP
from dpkt.udp import UDP

from dockernet_doctor.probe.headers import Arp, Datagram, Echo, IcmpError, IpPacket, Segment

_ERRORS = (3, 4, 5, 11)  # those that quote a packet


def arp_request(mac: str, source: str, address: str) -> bytes:
    own = bytes.fromhex(mac.replace(":", ""))
    message = ARP(op=ARP_OP_REQUEST, sha=own, spa=socket.inet_aton(source), tha=bytes(6), tpa=socket.inet_aton(address))
    return bytes(Ethernet(src=own, dst=b"\xff" * 6, type=ETH_TYPE_ARP, data=message))


def echo_request(identity: int, size: int, *, ipv6: bool) -> bytes:
    if ipv6:
        return bytes(ICMP6(type=ICMP6_ECHO_REQUEST, data=ICMP6.Echo(id=identity, seq=1, data=bytes(size))))
    return bytes(ICMP(type=ICMP_ECHO, data=ICMP.Echo(id=identity, seq=1, data=bytes(size))))


def arp(data: bytes) -> Arp:
    message = ARP(data)
    return Arp(
        operation=message.op,
        mac=message.sha.hex(":"),
        source=socket.inet_ntoa(message.spa),
        destination=socket.inet_ntoa(message.tpa),
    )


def echo(data: bytes, *, ipv6: bool) -> Echo | None:
    found = _icmp(ICMP6(data)) if ipv6 else _payload(IP(data))
    return found if isinstance(found, Echo) else None


def ip(data: bytes, *, ipv6: bool) -> IpPacket:
    packet = (IP6 if ipv6 else IP)(data)
    family = socket.AF_INET6 if ipv6 else socket.AF_INET
    source, destination = (socket.inet_ntop(family, address) for address in (packet.src, packet.dst))
    return IpPacket(source=source, destination=destination, payload=_payload(packet))


def _payload(packet: Any) -> Segment | Datagram | Echo | IcmpError | None:
    layer = packet.data
    while isinstance(layer, (IP, IP6)):
        layer = layer.data
    if isinstance(layer, TCP):
        return Segment(
            source=layer.sport, destination=layer.dport, sequence=layer.seq, acknowledged=layer.ack, flags=layer.flags & 0xFF
        )
    if isinstance(layer, UDP):
        return Datagram(source=layer.sport, destination=layer.dport)
    return _icmp(layer)


def _icmp(message: Any) -> Echo | IcmpError | None:
    kind = getattr(message, "type", None)
    if isinstance(message, ICMP):
        is_error, echoes = kind in _ERRORS, (ICMP_ECHO, ICMP_ECHOREPLY)
    elif isinstance(message, ICMP6):
        is_error, echoes = message.type < 128, (ICMP6_ECHO_REQUEST, ICMP6_ECHO_REPLY)
    else:
        return None
    if is_error:
        return IcmpError(type=message.type, code=message.code, flow=_quoted(message.data))
    if kind in echoes and not isinstance(message.data, bytes):
        return Echo(identity=message.data.id, reply=kind == echoes[1])
    return None


def _quoted(error: Any) -> int | None:
    """Routers may quote no more than eight bytes behind the IP header: less than dpkt takes for a TCP header."""
    packet = getattr(error, "data", None)
    if not isinstance(packet, (IP, IP6)):
        return None
    start = bytes(packet.data)[:8]
    protocol = packet.p
    if len(start) < 8:
        return None
    if protocol in (socket.IPPROTO_TCP, socket.IPPROTO_UDP):
        return int.from_bytes(start[:2], "big")
    return int.from_bytes(start[4:6], "big") if protocol in (socket.IPPROTO_ICMP, socket.IPPROTO_ICMPV6) else None
