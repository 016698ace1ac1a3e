"""A TCP connection, the first bytes of a protocol, and what the server says to them."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from dockernet_doctor.probe import tcp
from dockernet_doctor.probe.model import NOTHING_SAID, Answer, Probe
from dockernet_doctor.probe.sockets import answer_error, milliseconds, opened, own_address
from dockernet_doctor.probe.steps import READ, Enter, Steps, Wait


def exchange(
    probe: Probe,
    enter: Enter,
    patience_s: float,
    greeting: bytes,
    answer: Callable[[bytes, float], Answer],
    *,
    limit: int,
    enough: Callable[[bytes], bool] = bool,
) -> Steps[Answer]:
    """Sends the greeting and reads until it is `enough`, `limit` bytes, or the stream ends; `answer` makes of that, and of the
    milliseconds, what is returned.

    As for tcp where there is no connection; timeout where the server stays silent, accepted-then-closed where it hangs up.
    """
    with opened(probe, enter, socket.SOCK_STREAM) as sock:
        started = time.monotonic()
        until = started + patience_s
        code = yield from tcp.connected(sock, probe, enter, until, probe.port)
        if code is None:
            return Answer(probe=probe, result="timeout")
        if code:
            return answer_error(probe, sock, code, own_address(sock))
        try:
            sock.send(greeting)
            received = yield from _read(sock, until, limit, enough)
        except OSError as error:
            return answer_error(probe, sock, error.errno or 0, own_address(sock))
        if received is None:
            return Answer(probe=probe, result="timeout", detail=NOTHING_SAID)
        if not received:
            return Answer(probe=probe, result="accepted-then-closed")
        return answer(received, milliseconds(time.monotonic() - started))


def _read(sock: socket.socket, until: float, limit: int, enough: Callable[[bytes], bool]) -> Steps[bytes | None]:
    """What came; None when nothing came in time."""
    received = b""
    while len(received) < limit and not (received and enough(received)):
        if not (yield Wait(sock, READ, until)):
            return received or None
        if not (part := sock.recv(limit - len(received))):
            break
        received += part
    return received
