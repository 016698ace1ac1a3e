"""Does an HTTP server answer? One `HEAD /`, and no more is read than its status line (tells a scheme mismatch)."""

from __future__ import annotations

import re
from functools import partial

from dockernet_doctor.decoding import as_text
from dockernet_doctor.notation import at
from dockernet_doctor.probe.exchange import exchange
from dockernet_doctor.probe.model import Answer, Probe
from dockernet_doctor.probe.steps import Enter, Steps

LIMIT = 512
_TLS = (b"\x15\x03", b"\x16\x03")  # records "alert" and "handshake" of any version


def ask(probe: Probe, enter: Enter, patience_s: float) -> Steps[Answer]:
    """reply (with `status_line` where it was HTTP), or as for tcp; timeout also where the server stays silent."""
    greeting = f"HEAD / HTTP/1.0\r\nHost: {_host(probe)}\r\nConnection: close\r\n\r\n".encode()
    return (
        yield from exchange(
            probe, enter, patience_s, greeting, partial(_answer, probe), limit=LIMIT, enough=lambda received: b"\n" in received
        )
    )


def _answer(probe: Probe, received: bytes, latency: float) -> Answer:
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
