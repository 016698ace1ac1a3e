"""Sockets for probes: opened in the namespace of the vantage point, never blocking, bound where the probe says so."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address

from dockernet_doctor.notation import UNSPECIFIED
from dockernet_doctor.probe.errors import Failure, NotSentError, failure, report_errors
from dockernet_doctor.probe.model import Answer, Probe
from dockernet_doctor.probe.steps import Enter


@contextmanager
def opened(probe: Probe, enter: Enter, kind: int, *, protocol: int = 0, source_port: int = 0) -> Iterator[socket.socket]:
    """A socket of this kind in the probe's namespace, closed at the end. Raises NotSentError where it cannot be had."""
    family = socket.AF_INET6 if ":" in probe.address else socket.AF_INET
    with enter():
        sock = _socket(family, kind, protocol)
    with sock:
        sock.setblocking(False)
        report_errors(sock)
        if probe.source or source_port:
            _bind(sock, probe.source, source_port)
        yield sock


def connect(sock: socket.socket, probe: Probe, enter: Enter, port: int) -> int:
    """Start to connect; the error number, EINPROGRESS among them, 0 where it is done.

    Inside the namespace, since the zone of a link-local address (`fe80::1%eth0`) is looked up there.
    """
    with enter():
        return sock.connect_ex((probe.address, port))


def own_address(sock: socket.socket) -> str:
    """The address that the kernel chose for this socket, "" before it did."""
    address: str = sock.getsockname()[0]
    return "" if address in UNSPECIFIED else address


def called_from(probe: Probe, enter: Enter, port: int) -> str:
    """The address that this machine calls the other from: an unconnected socket does not say, a connected one does."""
    with opened(probe, enter, socket.SOCK_DGRAM) as sock:
        connect(sock, probe, enter, port)
        return own_address(sock)


def same_address(one: str, other: str) -> bool:
    with suppress(ValueError):
        return ip_address(one) == ip_address(other)
    return one == other


def answer_of(probe: Probe, failed: Failure) -> Answer:
    return Answer(probe=probe, result=failed.result, detail=failed.detail, source=failed.source)


def answer_error(probe: Probe, sock: socket.socket, code: int, own: str = "") -> Answer:
    """What an error number on this socket answers the probe. Raises NotSentError."""
    return answer_of(probe, failure(sock, code, own))


def milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 2)


def _socket(family: int, kind: int, protocol: int) -> socket.socket:
    try:
        return socket.socket(family, kind | socket.SOCK_CLOEXEC, protocol)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EACCES):
            raise NotSentError("no right to open a raw socket (it takes root)") from error
        raise NotSentError(f"no socket: {error.strerror}") from error


def _bind(sock: socket.socket, source: str, port: int) -> None:
    wildcard = "::" if sock.family == socket.AF_INET6 else "0.0.0.0"
    try:
        sock.bind((source or wildcard, port))
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise NotSentError(f"cannot send from {source or f'port {port}'}: {reason}") from error
