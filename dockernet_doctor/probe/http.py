"""Does an HTTP server answer? One `HEAD /`, and no more is read than its status line (tells a scheme mismatch)."""

from __future__ import annotations

import re
import socket
import time

from dockernet_doctor.decoding import as_text
from dockernet_doctor.notation import at
from dockernet_doctor.probe import tcp
from dockernet_doctor.probe.model import Answer, Probe
from dockernet_doctor.probe.sockets import answer_error, milliseconds, opened, own_address
from dockernet_doctor.probe.steps import READ, Enter, Steps, Wait

LIMIT = 512
_TLS = (b"\x15\x03", b"\x16\x03")  # records "alert" and "handshake" of any version


def ask(probe: Probe, enter: Enter, patience_s: float) -> Steps[Answer]:
    """reply (with `status_line` where it was HTTP), or as for tcp; timeout also where nothing is said."""
    with opened(probe, enter, socket.SOCK_STREAM) as sock:
        started = time.monotonic()
        until = started + patience_s
        code = yield from tcp.connected(sock, probe, enter, until, probe.port)
        if code is None:
            return Answer(probe=probe, result="timeout")
        if code:
            return answer_error(probe, sock, code, own_address(sock))
        try:
            sock.send(f"HEAD / HTTP/1.0\r\nHost: {_host(probe)}\r\nConnection: close\r\n\r\n".encode())
            received = yield from _first_line(sock, until)
        except OSError as error:
            return answer_error(probe, sock, error.errno or 0, own_address(sock))
        if received is None:
            return Answer(probe=probe, result="timeout", detail="connected, and nothing was said")
        return _answer(probe, received, milliseconds(time.monotonic() - started))


def _first_line(sock: socket.socket, until: float) -> Steps[bytes | None]:
    """What came up to a line's end, the limit or the end of the stream; None when nothing came in time."""
    received = b""
    while b"\n" not in received and len(received) < LIMIT:
        if not (yield Wait(sock, READ, until)):
            return received or None
        if not (part := sock.recv(LIMIT - len(received))):
            break
        received += part
    return received


def _answer(probe: Probe, received: bytes, latency: float) -> Answer:
    if not received:
        return Answer(probe=probe, result="accepted-then-closed")
    line = as_text(received.split(b"\n")[0]).strip()
    if line.startswith("HTTP/"):
        shown = "".join(c for c in line if c.isprintable())
        return Answer(probe=probe, result="reply", latency_ms=latency, status_line=shown)
    detail = "it speaks TLS" if received.startswith(_TLS) else "it does not speak HTTP"
    return Answer(probe=probe, result="reply", latency_ms=latency, detail=detail)


def _host(probe: Probe) -> str:
    # names come from settings: nothing but a host name may get into the header
    name = probe.name if re.fullmatch(r"[\w.-]+", probe.name, re.ASCII) else probe.address
    return at(name, probe.port)
