"""Does an address answer an echo request, and does a packet of this size come through whole?"""

from __future__ import annotations

import os
import socket
import time

from dockernet_doctor.probe.errors import of_errno, queued
from dockernet_doctor.probe.headers import GarbledError
from dockernet_doctor.probe.model import Answer, Probe
from dockernet_doctor.probe.packets import echo_request, read_echo
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
        request = echo_request(identity, probe.size or _DEFAULT_SIZE, ipv6=sock.family == socket.AF_INET6)
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


def _is_reply(family: int, packet: bytes, identity: int) -> bool:
    try:
        echo = read_echo(packet, ipv6=family == socket.AF_INET6)
    except GarbledError:
        return False
    return echo is not None and echo.reply and echo.identity == identity
