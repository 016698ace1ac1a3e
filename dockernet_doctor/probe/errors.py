"""What the kernel says when a packet does not come through, in the words of an `Answer`.

An errno alone does not tell a reset from an ICMP message: REJECT's usual "port unreachable" and a closed port both read
"Connection refused". The socket's error queue (IP_RECVERR, ip(7)) does, and names who sent it.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import NamedTuple

_IP_RECVERR = 11
_IPV6_RECVERR = 25
_FROM_ICMP = (2, 3)  # SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6


class Failure(NamedTuple):
    """Why nothing came through. `source` is who said so, "" where that was this very stack."""

    result: str
    detail: str = ""
    source: str = ""


class NotSentError(Exception):
    """A probe that cannot leave, for a reason that is no fault of the network; str() is that reason."""


def report_errors(sock: socket.socket) -> None:
    """Let the kernel queue ICMP errors for this socket."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)


def failure(sock: socket.socket, code: int, own: str = "") -> Failure:
    """What error number `code` on this socket means; `own` is the socket's address, whose own ICMP errors are local.

    Raises NotSentError for errors that are this machine's own business.
    """
    return queued(sock, own) or of_errno(code)


def queued(sock: socket.socket, own: str = "", mine: bytes = b"") -> Failure | None:
    """The last error that the socket's queue holds, which is emptied; None where there is none.

    `mine` must stand in the packet that the error is about: raw sockets hear of each other's.
    """
    found = None
    while True:
        try:
            packet, ancillary, _, _ = sock.recvmsg(512, 512, socket.MSG_ERRQUEUE)
        except OSError:
            return found
        for level, kind, data in ancillary:
            if mine in packet and (level, kind) in (
                (socket.IPPROTO_IP, _IP_RECVERR),
                (socket.IPPROTO_IPV6, _IPV6_RECVERR),
            ):
                found = _of_extended(data, own) or found


def of_errno(code: int) -> Failure:
    """The same from the error number alone. Raises NotSentError."""
    detail = os.strerror(code)
    match code:
        case errno.ECONNREFUSED:
            return Failure("refused")
        case errno.ECONNRESET | errno.EPIPE:
            return Failure("reset")
        case errno.ETIMEDOUT:
            return Failure("timeout")
        case errno.EHOSTUNREACH | errno.EHOSTDOWN:
            return Failure("unreachable-host", detail)
        case errno.EADDRNOTAVAIL:
            return Failure("unreachable-net", "no address of this family to send from, or no local port is free")
        case errno.ENETUNREACH | errno.EAFNOSUPPORT:
            return Failure("unreachable-net", detail)
        case errno.EACCES | errno.EPERM:
            return Failure("unreachable-prohibited", f"{detail}: stopped before it left")
        case errno.EINVAL:
            return Failure("unreachable-net", "a blackhole route")
        case errno.EMSGSIZE:
            return Failure("too-big", "larger than the MTU of the way out")
        case _:
            raise NotSentError(detail)


def _of_extended(data: bytes, own: str) -> Failure | None:
    """struct sock_extended_err, then the address of who sent it (linux/errqueue.h)."""
    code, origin, kind, icmp_code, _, info, _ = struct.unpack_from("=IBBBBII", data)
    if origin not in _FROM_ICMP:
        return Failure("too-big", f"larger than the MTU of the way out, {info}") if code == errno.EMSGSIZE else None
    offender = _address(data[16:])
    version = 4 if origin == 2 else 6
    result, words = _icmp(kind, icmp_code, version)
    if result == "too-big" and info:
        words += f", MTU {info}"
    if offender == own and result == "unreachable-host":
        search = "ARP" if version == 4 else "neighbour discovery"
        return Failure(result, f"no machine at the next hop answers {search}")
    return Failure(result, f"ICMP {words} from {offender}", "" if offender == own else offender)


def icmp_words(kind: int, code: int, version: int) -> str:
    """What an ICMP error says."""
    return _icmp(kind, code, version)[1]


def _icmp(kind: int, code: int, version: int) -> tuple[str, str]:
    return (_ICMP4 if version == 4 else _ICMP6).get((kind, code), ("unreachable-host", f"type {kind} code {code}"))


def _address(sockaddr: bytes) -> str:
    (family,) = struct.unpack_from("=H", sockaddr)
    if family == socket.AF_INET:
        return socket.inet_ntop(family, sockaddr[4:8])
    return socket.inet_ntop(family, sockaddr[8:24]) if family == socket.AF_INET6 else ""


#: (type, code) → (result, words); RFC 792, 1122, 1812.
_ICMP4 = {
    (3, 0): ("unreachable-net", "network unreachable"),
    (3, 1): ("unreachable-host", "host unreachable"),
    (3, 2): ("unreachable-port", "protocol unreachable"),
    (3, 3): ("unreachable-port", "port unreachable"),
    (3, 4): ("too-big", "fragmentation needed"),
    (3, 6): ("unreachable-net", "network unknown"),
    (3, 7): ("unreachable-host", "host unknown"),
    (3, 9): ("unreachable-prohibited", "network prohibited"),
    (3, 10): ("unreachable-prohibited", "host prohibited"),
    (3, 13): ("unreachable-prohibited", "administratively prohibited"),
    (11, 0): ("unreachable-host", "time to live exceeded"),
}
#: RFC 4443.
_ICMP6 = {
    (1, 0): ("unreachable-net", "no route"),
    (1, 1): ("unreachable-prohibited", "administratively prohibited"),
    (1, 3): ("unreachable-host", "address unreachable"),
    (1, 4): ("unreachable-port", "port unreachable"),
    (1, 5): ("unreachable-prohibited", "source address failed policy"),
    (1, 6): ("unreachable-prohibited", "reject route"),
    (2, 0): ("too-big", "packet too big"),
    (3, 0): ("unreachable-host", "hop limit exceeded"),
}
