"""What does a server say to the first bytes of its protocol? A fixed table of protocols and bytes: no credentials, no name of
anybody's. A refusal of whom it was reached by comes before any login.

`refusal` also reads what a server says by itself, which the plain connection (`tcp`) sees: MySQL, Redis, SMTP.
"""

from __future__ import annotations

import struct
from functools import partial

from dockernet_doctor.decoding import as_text
from dockernet_doctor.probe.errors import NotSentError
from dockernet_doctor.probe.exchange import exchange
from dockernet_doctor.probe.model import Answer, Probe
from dockernet_doctor.probe.steps import Enter, Steps
from dockernet_doctor.regex import regex

_PARAMETERS = b"user\0dockernet-doctor\0database\0postgres\0\0"

#: What is sent, by protocol. PostgreSQL, "Message Formats": StartupMessage, protocol 3.0, which must name a user.
#: RESP: an inline command. Nothing else is ever sent.
GREETINGS = {
    "redis": b"PING\r\n",
    "postgres": struct.pack("!II", 8 + len(_PARAMETERS), 196608) + _PARAMETERS,
}

_LIMIT = 1024  # bytes
_LONGEST = 200  # characters kept of what was said
_REFUSALS = regex(
    r"Host '[^']{0,255}' is (?:not allowed to connect to this|blocked because of many connection errors)[^\0]*"
    r"|DENIED Redis is running in protected mode[^.\r\n]*|DENIED (?:Valkey|KeyDB)[^.\r\n]*protected mode[^.\r\n]*"
    r"|no pg_hba\.conf entry for [^\0\r\n]*|pg_hba\.conf rejects [^\0\r\n]*"
    r"|(?:421|450|521|550|554)[ -][^\r\n]*(?:denied|refused|rejected|not allowed|not permitted|blocked)[^\r\n]*"
    r"|refused connect from [^\r\n]*"
)


def ask(probe: Probe, enter: Enter, patience_s: float) -> Steps[Answer]:
    """reply (with `said` where it refuses), or as for tcp; timeout also where the server stays silent. Raises NotSentError."""
    greeting = GREETINGS.get(probe.name)
    if greeting is None:
        raise NotSentError(f"{probe.name!r} is no protocol that is spoken")
    return (yield from exchange(probe, enter, patience_s, greeting, partial(_answer, probe), limit=_LIMIT))


def _answer(probe: Probe, received: bytes, latency: float) -> Answer:
    return Answer(probe=probe, result="reply", latency_ms=latency, said=refusal(received))


def refusal(received: bytes) -> str:
    """The words by which a server refuses whom it was reached by; "" for whatever else it says, which is not kept."""
    found = _REFUSALS.search(as_text(received))
    return "".join(c for c in found[0] if c.isprintable())[:_LONGEST] if found else ""
