"""What does a server say to the first bytes of its protocol? A fixed table of protocols and bytes: no credentials, no name of
anybody's. A refusal of whom it was reached by comes before any login.
"""

from __future__ import annotations

import struct
from functools import partial

from dockernet_doctor.probe.errors import NotSentError
from dockernet_doctor.probe.exchange import exchange
from dockernet_doctor.probe.model import Answer, Probe
from dockernet_doctor.probe.refusals import refusal
from dockernet_doctor.probe.steps import Enter, Steps

_PARAMETERS = b"user\0dockernet-doctor\0database\0postgres\0\0"

#: What is sent, by protocol. PostgreSQL, "Message Formats": StartupMessage, protocol 3.0, which must name a user.
#: RESP: an inline command. Nothing else is ever sent.
GREETINGS = {
    "redis": b"PING\r\n",
    "postgres": struct.pack("!II", 8 + len(_PARAMETERS), 196608) + _PARAMETERS,
}

_LIMIT = 1024  # bytes


def ask(probe: Probe, enter: Enter, patience_s: float) -> Steps[Answer]:
    """reply (with `said` where it refuses), or as for tcp; timeout also where the server stays silent. Raises NotSentError."""
    greeting = GREETINGS.get(probe.name)
    if greeting is None:
        raise NotSentError(f"{probe.name!r} is no protocol that is spoken")
    return (yield from exchange(probe, enter, patience_s, greeting, partial(_answer, probe), limit=_LIMIT))


def _answer(probe: Probe, received: bytes, latency: float) -> Answer:
    return Answer(probe=probe, result="reply", latency_ms=latency, said=refusal(received))
