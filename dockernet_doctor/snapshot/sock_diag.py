"""The sockets that listen in the calling thread's network namespace, by sock_diag (linux/inet_diag.h, unix_diag.h)."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable
from contextlib import ExitStack, suppress

from dockernet_doctor.decoding import as_text
from dockernet_doctor.snapshot.model import Listener, Protocol
from dockernet_doctor.snapshot.netlink import (
    INT,
    NETLINK_SOCK_DIAG,
    STRANGE_MESSAGE,
    UNSIGNED,
    Netlink,
    address_of,
    attributes,
    request,
    text_of,
    u32,
)


def read_listeners() -> tuple[tuple[Listener, ...] | None, list[str]]:
    """TCP sockets that listen and UDP sockets without a peer, and what went wrong.

    A kernel without sock_diag for a protocol (module absent) is asked through /proc/thread-self/net instead.
    """
    found: list[Listener] = []
    problems: list[str] = []
    with ExitStack() as closing:
        diag: Netlink | None = None
        for protocol, files, question in _LISTENER_QUESTIONS:
            if question is UDP6_REQUEST and not _has_udp6_sockets():
                continue
            try:
                diag = diag or closing.enter_context(Netlink(NETLINK_SOCK_DIAG))
                found += parse_listeners(diag.dump(question), protocol)
            except (OSError, *STRANGE_MESSAGE) as error:
                instead = _proc_listeners(protocol, files)
                if instead is None:
                    problems.append(f"listeners ({', '.join(files)}): {getattr(error, 'strerror', None) or error}")
                else:
                    found += instead
    return (tuple(found) if len(problems) < len(_LISTENER_QUESTIONS) else None), problems


def listening_paths(user: int) -> tuple[str, ...]:
    """The paths on which UNIX sockets of this user listen in this network namespace. Raises OSError.

    Before Linux 5.3 the kernel does not say whose they are, and there are none.
    """
    with Netlink(NETLINK_SOCK_DIAG) as diag:
        found = [attributes(data, 16) for data in diag.dump(UNIX_REQUEST)]
    return tuple(
        text_of(values[_UNIX_DIAG_NAME])
        for values in found
        if values.get(_UNIX_DIAG_NAME, b"").startswith(b"/") and u32(values, _UNIX_DIAG_UID) == user
    )


_TCP_LISTEN, _CLOSE = 10, 7  # an unconnected UDP socket is in state CLOSE


# TCPDIAG_GETSOCK with an inet_diag_req: the old form of the question, which alone asks for both families at once.
TCP_REQUEST = request(18, struct.pack("=BBBB48xII", socket.AF_UNSPEC, 0, 0, 0, 1 << _TCP_LISTEN, 0))
# SOCK_DIAG_BY_FAMILY with an inet_diag_req_v2.
UDP_REQUEST = request(20, struct.pack("=BBBBI48x", socket.AF_INET, socket.IPPROTO_UDP, 0, 0, 1 << _CLOSE))
UDP6_REQUEST = request(20, struct.pack("=BBBBI48x", socket.AF_INET6, socket.IPPROTO_UDP, 0, 0, 1 << _CLOSE))
# SOCK_DIAG_BY_FAMILY with a unix_diag_req (unix_diag.h), which wants names and owners.
UNIX_REQUEST = request(20, struct.pack("=BBHIIIII", socket.AF_UNIX, 0, 0, 1 << _TCP_LISTEN, 0, 0x41, 0, 0))
_UNIX_DIAG_NAME, _UNIX_DIAG_UID = 0, 7


# --- listeners --------------------------------------------------------------------------------------------------------

_DIAG_ID = struct.Struct(">H2x16s")
_MAPPED = bytes(10) + b"\xff\xff"
_INET_DIAG_SKV6ONLY = 11


def parse_listeners(answers: Iterable[bytes], protocol: Protocol) -> list[Listener]:
    """inet_diag_msg. A socket on ::ffff:A.B.C.D takes IPv4 only, so it is listed as A.B.C.D."""
    found = []
    for data in answers:
        port, address = _DIAG_ID.unpack_from(data, 4)
        if port == 0:
            continue
        (inode,) = INT.unpack_from(data, 68)
        waiting = UNSIGNED.unpack_from(data, 56)[0] if protocol == "tcp" else 0
        domain = data[0]
        options = attributes(data, 72) if domain == socket.AF_INET6 else {}
        v6only = any(options.get(_INET_DIAG_SKV6ONLY, b""))
        found.append(_listener(protocol, domain, address, port, inode & 0xFFFFFFFF, waiting, v6only=v6only))
    return found


def _listener(
    protocol: Protocol, domain: int, address: bytes, port: int, inode: int, waiting: int, *, v6only: bool = False
) -> Listener:
    if domain == socket.AF_INET or address.startswith(_MAPPED):
        plain = address[12:16] if domain == socket.AF_INET6 else address[:4]
        return Listener(protocol=protocol, family=4, address=address_of(plain), port=port, inode=inode, waiting=waiting)
    return Listener(
        protocol=protocol, family=6, address=address_of(address), port=port, v6only=v6only, inode=inode, waiting=waiting
    )


_LISTENER_QUESTIONS: tuple[tuple[Protocol, tuple[str, ...], bytes], ...] = (
    ("tcp", ("tcp", "tcp6"), TCP_REQUEST),
    ("udp", ("udp",), UDP_REQUEST),
    ("udp", ("udp6",), UDP6_REQUEST),
)


def _has_udp6_sockets() -> bool:
    """A dump of UDP walks a table that all namespaces share (64 thousand buckets on a large host): ask first."""
    text = read_proc("/proc/thread-self/net/sockstat6")
    return text is not None and "UDP6: inuse 0\n" not in text


def _proc_listeners(protocol: Protocol, files: Iterable[str]) -> list[Listener] | None:
    texts = [read_proc(f"/proc/thread-self/net/{file}") for file in files]
    if texts[0] is None and files != ("udp6",):
        return None
    return [listener for text in texts if text for listener in parse_proc_sockets(text, protocol)]


def read_proc(path: str) -> str | None:
    """The whole of a small file of /proc; None where it is absent or forbidden."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        parts = []
        while part := os.read(fd, 1 << 20):
            parts.append(part)
        return as_text(b"".join(parts))
    except OSError:
        return None
    finally:
        os.close(fd)


def parse_proc_sockets(text: str, protocol: Protocol) -> list[Listener]:
    """The listeners of /proc/net/{tcp,tcp6,udp,udp6}, which does not say whether a socket on :: is for IPv6 only."""
    found = []
    state = "0A" if protocol == "tcp" else "07"
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 10 or fields[3] != state or not fields[2].endswith(":0000"):
            continue
        with suppress(ValueError, struct.error):  # a line that this kernel writes otherwise
            digits, _, port = fields[1].partition(":")
            # Each group of four bytes is printed as a number in host order.
            words = [int(digits[i : i + 8], 16) for i in range(0, len(digits), 8)]
            address = struct.pack(f"={len(words)}I", *words)
            domain = socket.AF_INET if len(address) == 4 else socket.AF_INET6
            if int(port, 16):
                waiting = int(fields[4].partition(":")[2], 16) if protocol == "tcp" else 0
                found.append(_listener(protocol, domain, address, int(port, 16), int(fields[9]), waiting))
    return found
