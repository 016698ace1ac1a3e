"""Does a TCP port take connections, and is there anybody behind it?

docker-proxy accepts first and dials its container afterwards, so that an accepted connection alone proves nothing. A
peer that closes at once without having sent a byte is told from one that stays, or that sent its banner. No application
data is ever sent.
"""

from __future__ import annotations

import errno
import socket
import time

from dockernet_doctor.probe.model import NOTHING_SAID, Answer, Probe
from dockernet_doctor.probe.sockets import answer_error, connect, milliseconds, opened, own_address
from dockernet_doctor.probe.steps import READ, WRITE, Enter, Steps, Wait

WATCH_S = 0.15
#: Ports whose servers speak first: FTP, SSH, SMTP, POP3, IMAP, submission, MySQL. They are waited for, since they may ask DNS.
SPEAK_FIRST = frozenset((21, 22, 25, 110, 143, 587, 3306))
SPEAK_S = 2.0
_RESET = "reset by the other side"


def ask(probe: Probe, enter: Enter, patience_s: float, source_port: int = 0) -> Steps[Answer]:
    """open, refused (a reset answered), accepted-then-closed, timeout, or unreachable-…

    `patience_s` should pass three seconds once: so long the kernel looks for a neighbour before it says there is none.
    """
    with opened(probe, enter, socket.SOCK_STREAM, source_port=source_port) as sock:
        started = time.monotonic()
        code = yield from connected(sock, probe, enter, started + patience_s, probe.port)
        if code is None:
            return Answer(probe=probe, result="timeout")
        latency = milliseconds(time.monotonic() - started)
        if code == errno.ECONNRESET:  # before there is a connection, a reset reads "refused"
            return Answer(probe=probe, result="accepted-then-closed", latency_ms=latency, detail=_RESET)
        if code:
            return answer_error(probe, sock, code, own_address(sock))
        result, detail, banner = yield from _watch(sock, speaks_first=probe.port in SPEAK_FIRST)
        if not banner:
            return Answer(probe=probe, result=result, latency_ms=latency, detail=detail)
        from dockernet_doctor.probe.refusals import refusal  # few servers say anything by themselves

        return Answer(probe=probe, result=result, latency_ms=latency, said=refusal(banner), spoke=True)


def connected(sock: socket.socket, probe: Probe, enter: Enter, until: float, port: int) -> Steps[int | None]:
    """Connect to the probe's address: the error number, 0 when connected, None when it takes too long."""
    code = connect(sock, probe, enter, port)
    if code == errno.EINPROGRESS:
        if not (yield Wait(sock, WRITE, until)):
            return None
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return code or _self_made(sock)


def _self_made(sock: socket.socket) -> int:
    """On loopback a closed port of the ephemeral range can, rarely, be the one that the kernel picks to call from."""
    try:
        return errno.ECONNREFUSED if sock.getsockname() == sock.getpeername() else 0
    except OSError:
        return errno.ECONNRESET  # gone again already


def _watch(sock: socket.socket, *, speaks_first: bool) -> Steps[tuple[str, str, bytes]]:
    if not (yield Wait(sock, READ, time.monotonic() + (SPEAK_S if speaks_first else WATCH_S))):
        return "open", NOTHING_SAID if speaks_first else "", b""
    try:
        banner = sock.recv(256)
    except OSError:
        return "accepted-then-closed", _RESET, b""
    return ("open", "", banner) if banner else ("accepted-then-closed", "", b"")
