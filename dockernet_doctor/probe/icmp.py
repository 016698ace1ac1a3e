"""Does an address answer an echo request, and does a packet of this size come through whole?"""

from __future__ import annotations

import os
import socket
import time

from dockernet_doctor.probe.errors import of_errno, queued
from dockernet_doctor.probe.model import Answer, Probe
from dockernet_doctor.probe.packets import GarbledError, understood
from dockernet_doctor.probe.sockets import answer_of, connect, milliseconds, opened, own_address
from dockernet_doctor.probe.steps import READ, Enter, Steps, Wait

_IP_MTU_DISCOVER = 10
_IPV6_MTU_DISCOVER = 23
_IPV6_DONTFRAG = 62
_PMTUDISC_PROBE = 3  # don't fragment, and do not trust a path MTU learnt before
_DEFAULT_SIZE = 16


def ask(probe: Probe, enter: Enter, patience_s: float, identity: int = 0) -> Steps[Answer]:
    """reply, timeout, unreachable-…, or too-big (`detail` says the MTU and who said so). Takes a raw socket.

    `identity` is the request's identifier, 0 for any.
    """
    protocol = socket.IPPROTO_ICMPV6 if ":" in probe.address else socket.IPPROTO_ICMP
    with opened(probe, enter, socket.SOCK_RAW, protocol=protocol) as sock:
        if probe.size:
            _forbid_fragments(sock)
        identity = identity or int.from_bytes(os.urandom(2), "big")
        request = _request(sock.family, identity, probe.size or _DEFAULT_SIZE)
        started = time.monotonic()
        if code := connect(sock, probe, enter, 0):
            return answer_of(probe, of_errno(code))
        own = own_address(sock)
        try:
            sock.send(request)
        except OSError as error:
            return answer_of(probe, queued(sock, own) or of_errno(error.errno or 0))
        while (yield Wait(sock, READ, started + patience_s)):
            try:
                if _is_reply(sock.family, sock.recv(65535), identity):
                    return Answer(probe=probe, result="reply", latency_ms=milliseconds(time.monotonic() - started))
            except OSError:
                if failed := queued(sock, own, mine=request[4:8]):  # identity and sequence number
                    return answer_of(probe, failed)
        return Answer(probe=probe, result="timeout")


def _forbid_fragments(sock: socket.socket) -> None:
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_PROBE)
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_DONTFRAG, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_PROBE)


def _request(family: int, identity: int, size: int) -> bytes:
    from scapy.layers.inet import ICMP
    from scapy.layers.inet6 import ICMPv6EchoRequest

    if family == socket.AF_INET6:  # the kernel fills the checksum in
        return bytes(ICMPv6EchoRequest(id=identity, seq=1, cksum=0, data=bytes(size)))
    return bytes(ICMP(type="echo-request", id=identity, seq=1) / bytes(size))


def _is_reply(family: int, packet: bytes, identity: int) -> bool:
    from scapy.layers.inet import ICMP, IP
    from scapy.layers.inet6 import ICMPv6EchoReply

    def is_reply() -> bool:
        if family == socket.AF_INET6:
            return packet[:1] == b"\x81" and bool(ICMPv6EchoReply(packet).id == identity)
        message = IP(packet).getlayer(ICMP)
        return message is not None and message.type == 0 and message.id == identity

    try:
        return understood(is_reply)
    except GarbledError:
        return False
