"""Packets by scapy. Every field is given: scapy would look defaults up in a table of interfaces that is another namespace's."""

from __future__ import annotations

from typing import Any

from scapy.layers.inet import ICMP, IP, TCP, UDP, ICMPerror, TCPerror, UDPerror
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPerror6, IPv6, _ICMPv6
from scapy.layers.l2 import ARP, Ether

from dockernet_doctor.probe.headers import Arp, Datagram, Echo, IcmpError, IpPacket, Segment

_NOBODY, _EVERYBODY = "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"
_ERRORS = (3, 4, 5, 11)  # those that quote a packet


def arp_request(mac: str, source: str, address: str) -> bytes:
    return bytes(
        Ether(src=mac, dst=_EVERYBODY, type=0x0806) / ARP(op="who-has", hwsrc=mac, psrc=source, hwdst=_NOBODY, pdst=address)
    )


def echo_request(identity: int, size: int, *, ipv6: bool) -> bytes:
    if ipv6:
        return bytes(ICMPv6EchoRequest(id=identity, seq=1, cksum=0, data=bytes(size)))
    return bytes(ICMP(type="echo-request", id=identity, seq=1) / bytes(size))


def arp(data: bytes) -> Arp:
    message = ARP(data)
    return Arp(operation=message.op, mac=message.hwsrc, source=message.psrc, destination=message.pdst)


def echo(data: bytes, *, ipv6: bool) -> Echo | None:
    if not ipv6:
        found = ip(data, ipv6=False).payload
        return found if isinstance(found, Echo) else None
    kind = {128: ICMPv6EchoRequest, 129: ICMPv6EchoReply}.get(data[0])
    return Echo(identity=kind(data).id, reply=data[0] == 129) if kind else None


def ip(data: bytes, *, ipv6: bool) -> IpPacket:
    packet = (IPv6 if ipv6 else IP)(data)
    return IpPacket(source=packet.src, destination=packet.dst, payload=_payload(packet))


def _payload(packet: Any) -> Segment | Datagram | Echo | IcmpError | None:
    if (tcp := packet.getlayer(TCP)) is not None:
        return Segment(
            source=tcp.sport, destination=tcp.dport, sequence=tcp.seq, acknowledged=tcp.ack, flags=int(tcp.flags) & 0xFF
        )
    if (udp := packet.getlayer(UDP)) is not None:
        return Datagram(source=udp.sport, destination=udp.dport)
    if (icmp := packet.getlayer(ICMP)) is not None:
        if icmp.type in (0, 8):
            return Echo(identity=icmp.id, reply=icmp.type == 0)
        return IcmpError(type=icmp.type, code=icmp.code, flow=_quoted(icmp)) if icmp.type in _ERRORS else None
    if packet.getlayer(IPerror6) is None:
        for kind in (ICMPv6EchoRequest, ICMPv6EchoReply):
            if (message := packet.getlayer(kind)) is not None:
                return Echo(identity=message.id, reply=kind is ICMPv6EchoReply)
    for layer in packet.iterpayloads():
        if isinstance(layer, _ICMPv6) and layer.type < 128:
            return IcmpError(type=layer.type, code=layer.code, flow=_quoted(layer))
    return None


def _quoted(error: Any) -> int | None:
    for kind, field in ((TCPerror, "sport"), (UDPerror, "sport"), (ICMPerror, "id"), (ICMPv6EchoRequest, "id")):
        if (layer := error.getlayer(kind)) is not None:
            return int(getattr(layer, field))
    return None
