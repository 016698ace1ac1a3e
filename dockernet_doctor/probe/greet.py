"""What does a server say to the first bytes of its protocol? A fixed table of protocols and bytes: no credentials, no name of
anybody's. A refusal of whom it was reached by comes before any login.

`refusal` also reads what a server says by itself, which the plain connection (`tcp`) sees: MySQL, Redis, SMTP.
"""

from __future__ import annotations

import socket
import struct
import time

from dockernet_doctor.decoding import as_text
from dockernet_doctor.probe import tcp
from dockernet_doctor.probe.errors import NotSentError
from dockernet_doctor.probe.model import Answer, Probe
from dockernet_doctor.probe.sockets import answer_error, milliseconds, opened, own_address
from dockernet_doctor.probe.steps import READ, Enter, Steps, Wait
from dockernet_doctor.regex import regex

_PARAMETERS = b"user\0dockernet-doctor\0database\0postgres\0\0"

#: What is sent, by protocol. PostgreSQL, "Message Formats": StartupMessage, protocol 3.0, which must name a user.
#: RESP: an inline command. Nothing else is ever sent.
GREETINGS = {
    "redis": b"PING\r\n",
    "postgres": struct.pack("!II", 8 + len(_PARAMETERS), 196608) + _PARAMETERS,
}

_LIMIT = 1024
_LONGEST = 200  # characters kept of what was said
_REFUSALS = regex(
    r"Host '[^']{0,255}' is (?:not allowed to connect to this|blocked because of many connection errors)[^\0]*"
    r"|DENIED Redis is running in protected mode[^.\r\n]*|DENIED (?:Valkey|KeyDB)[^.\r\n]*protected mode[^.\r\n]*"
    r"|no pg_hba\.conf entry for [^\0\r\n]*|pg_hba\.conf rejects [^\0\r\n]*"
    r"|(?:421|450|521|550|554)[ -][^\r\n]*(?:denied|refused|rejected|not allowed|not permitted|blocked)[^\r\n]*"
    r"|refused connect from [^\r\n]*"
)


def ask(probe: Probe, enter: Enter, patience_s: float) -> Steps[Answer]:
    """reply (with `said` where it refuses), or as for tcp; timeout also where nothing is said. Raises NotSentError."""
    greeting = GREETINGS.get(probe.name)
    if greeting is None:
        raise NotSentError(f"{probe.name!r} is no protocol that is spoken")
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
            if not (yield Wait(sock, READ, until)):
                return Answer(probe=probe, result="timeout", detail="connected, and nothing was said")
            received = sock.recv(_LIMIT)
        except OSError as error:
            return answer_error(probe, sock, error.errno or 0, own_address(sock))
        if not received:
            return Answer(probe=probe, result="accepted-then-closed")
        latency = milliseconds(time.monotonic() - started)
        return Answer(probe=probe, result="reply", latency_ms=latency, said=refusal(received))


def refusal(received: bytes) -> str:
    """The words by which a server refuses whom it was reached by; "" for whatever else it says, which is not kept."""
    found = _REFUSALS.search(as_text(received))
    return "".join(c for c in found[0] if c.isprintable())[:_LONGEST] if found else ""
