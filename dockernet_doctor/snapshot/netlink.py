"""The kernel's netlink protocol: requests, answers, attributes. What they say is read by `rtnetlink`, `sock_diag`, `nfnetlink`.

Done with `struct` instead of a library: visiting 200 namespaces takes some 40 ms this way and half a second with
pyroute2 (which opens, binds and parses far more than is needed here). Integers are in host order unless a comment says
otherwise.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import TypeVar

from dockernet_doctor.decoding import as_text
from dockernet_doctor.snapshot.model import Family

_Socket = TypeVar("_Socket", bound="Netlink")

NETLINK_ROUTE, NETLINK_SOCK_DIAG, NETLINK_XFRM, NETLINK_NETFILTER = 0, 4, 6, 12


STRANGE_MESSAGE = (struct.error, LookupError, ValueError)
"""What parsers raise over a message of another form than the kernel's headers have; readers name it as what they could not
read."""


# --- requests ---------------------------------------------------------------------------------------------------------

_NLM_F_REQUEST, _NLM_F_DUMP, _NLM_F_DUMP_INTR = 0x1, 0x300, 0x10
_NLMSG_DONE = 3  # below it: NOOP and ERROR; an acknowledgement is an error of 0
_HEADER = struct.Struct("=IHHII")  # length, kind, flags, number, sender
_HEAD = struct.Struct("=IHH")
INT = struct.Struct("=i")
UNSIGNED = struct.Struct("=I")


def request(kind: int, payload: bytes, flags: int = _NLM_F_DUMP) -> bytes:
    """One netlink request, a dump unless the flags say otherwise."""
    return _HEADER.pack(16 + len(payload), kind, _NLM_F_REQUEST | flags, 1, 0) + payload


class Netlink:
    """A netlink socket in the namespace of the thread that opens it."""

    def __init__(self, family: int) -> None:
        self._family = family
        self._socket = self._opened()

    def _opened(self) -> socket.socket:
        return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, self._family)

    def __enter__(self: _Socket) -> _Socket:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def dump(self, message: bytes) -> tuple[bytes, ...]:
        """The messages that answer a dump, each without its header. Raises OSError with what the kernel answered.

        A table that changed meanwhile is read again, and the third answer is taken as it is. Who is root of a container makes
        its tables as large as the kernel bears.
        """
        answers: list[bytes] = []
        for _ in range(3):
            self._socket.send(message)
            answers.clear()
            changed = done = False
            left = DUMP_LIMIT
            while not done:
                data = self._receive()
                left -= len(data)
                if left < 0:
                    self._socket.close()  # with the rest, which the next question would get
                    self._socket = self._opened()
                    raise OSError(errno.EMSGSIZE, f"more than {DUMP_LIMIT >> 20} MiB")
                done, interrupted = split(data, answers)
                changed = changed or interrupted
            if not changed:
                break
        return tuple(answers)

    def _receive(self) -> bytes:
        try:
            # The kernel answers before `send` or the last `recv` returns: there is nothing to wait for.
            return self._socket.recv(65536, socket.MSG_DONTWAIT)
        except BlockingIOError as error:
            raise TimeoutError(errno.ETIMEDOUT, "the kernel did not answer") from error


DUMP_LIMIT = 64 << 20  # bytes of a dump
_MOST_ERRNO = 4095  # of Linux


def split(data: bytes, answers: list[bytes]) -> tuple[bool, bool]:
    """Adds the messages of one datagram; whether the dump is done, and whether its table changed meanwhile.

    Raises OSError where the kernel answers with one.
    """
    offset, size, changed = 0, len(data), 0
    while offset + 16 <= size:
        length, kind, flags = _HEAD.unpack_from(data, offset)
        changed |= flags & _NLM_F_DUMP_INTR
        if kind <= _NLMSG_DONE:
            (code,) = INT.unpack_from(data, offset + 16)
            if code < 0:
                raise OSError(-code, os.strerror(min(-code, _MOST_ERRNO)))
            return True, bool(changed)
        if length < 16:
            break
        answers.append(data[offset + 16 : offset + length])
        offset += (length + 3) & ~3
    return False, bool(changed)


def attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """Type → value of the attributes from `offset` on; the flags for nesting and byte order are taken off."""
    found: dict[int, bytes] = {}
    end = len(data)
    while offset + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < 4:
            break
        found[kind & _KIND] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


_ATTRIBUTE = struct.Struct("=HH")
_KIND = 0x3FFF


class Fields:
    """Where in nested attributes the values at two or more paths stand.

    A link has sixty attributes, those of its families included, and nearly every link the same sixty. So each message that
    is read serves as a form: in another of its length, all of whose attributes begin alike, the values stand where they did.
    """

    def __init__(self, *paths: tuple[int, ...]) -> None:
        self._paths = paths
        self._forms: dict[int, list[tuple[_Cut, tuple[bytes, ...], _Cut]]] = {}  # by length: the headers, and what they were

    def of(self, data: bytes) -> tuple[bytes, ...]:
        """The values in the order of the paths, b"" where there is none."""
        forms = self._forms.setdefault(len(data), [])
        for headers, expected, values in forms:
            if headers(data) == expected:
                return values(data)
        headers, values = self._cuts(data)
        forms.append((headers, headers(data), values))
        return values(data)

    def _cuts(self, data: bytes) -> tuple[_Cut, _Cut]:
        """What cuts the headers out of such a message, and what cuts out the values."""
        places: dict[tuple[int, ...], slice] = {}
        headers = self._walk(data, 0, len(data), (), places)
        return (
            itemgetter(*headers, _NOWHERE, _NOWHERE),  # given one item it would make no tuple
            itemgetter(*(places.get(path, _NOWHERE) for path in self._paths)),
        )

    def _walk(
        self, data: bytes, offset: int, end: int, above: tuple[int, ...], places: dict[tuple[int, ...], slice]
    ) -> Iterator[slice]:
        """The headers on the way to the paths; puts into `places` where the values are."""
        while offset + 4 <= end:
            yield slice(offset, offset + 4)
            length, kind = _ATTRIBUTE.unpack_from(data, offset)
            if length < 4:
                break
            path = (*above, kind & _KIND)
            places[path] = slice(offset + 4, min(offset + length, end))
            if any(path == longer[: len(path)] for longer in self._paths if len(longer) > len(path)):
                yield from self._walk(data, offset + 4, min(offset + length, end), path, places)
            offset += (length + 3) & ~3


_Cut = Callable[[bytes], tuple[bytes, ...]]
_NOWHERE = slice(0)


# --- values -----------------------------------------------------------------------------------------------------------

FAMILIES: dict[int, Family] = {socket.AF_INET: 4, socket.AF_INET6: 6}


def u32(values: dict[int, bytes], key: int) -> int | None:
    """The attribute as an unsigned number of 32 bits, in host order; None where it is absent or too short."""
    return u32_of(values.get(key, b""))


def u32_of(value: bytes) -> int | None:
    """An unsigned number of 32 bits, in host order; None where there are not four bytes."""
    return UNSIGNED.unpack_from(value)[0] if len(value) >= 4 else None


def text_of(value: bytes) -> str:
    """A name, without the zeros at its end."""
    return as_text(value.rstrip(b"\0"))


def mac_of(value: bytes) -> str:
    """`02:42:ac:11:00:02`; "" for what is no Ethernet address."""
    return value.hex(":") if len(value) == 6 else ""


def address_of(value: bytes) -> str:
    """An IP address by its length, else the bytes in hexadecimal."""
    if len(value) == 4:
        return socket.inet_ntop(socket.AF_INET, value)
    return socket.inet_ntop(socket.AF_INET6, value) if len(value) == 16 else value.hex()
