"""Does anything answer a datagram? Silence is "no-reply", never called open: services ignore what they do not know."""

from __future__ import annotations

import socket
import time

from dockernet_doctor.probe.dns import ROOT_QUERY
from dockernet_doctor.probe.errors import Failure
from dockernet_doctor.probe.model import Answer, Probe
from dockernet_doctor.probe.sockets import answer_error, answer_of, called_from, milliseconds, opened, same_address
from dockernet_doctor.probe.steps import READ, Enter, Steps, Wait


def ask(probe: Probe, enter: Enter, patience_s: float, source_port: int = 0) -> Steps[Answer]:
    """reply, unreachable-… (an ICMP error came, or a rule here stopped the datagram), or no-reply.

    One byte is sent, to port 53 a question that every DNS server can answer. An answer of another address, which a connected
    socket throws away, is `source` of a no-reply.
    """
    with opened(probe, enter, socket.SOCK_DGRAM, source_port=source_port) as sock:
        started = time.monotonic()
        stranger = ""
        try:
            with enter():
                sock.sendto(ROOT_QUERY if probe.port == 53 else b"\0", (probe.address, probe.port))
            while (yield Wait(sock, READ, started + patience_s)):
                sender = sock.recvfrom(512)[1][0]
                if same_address(sender, probe.address):
                    return Answer(probe=probe, result="reply", latency_ms=milliseconds(time.monotonic() - started))
                stranger = sender
        except OSError as error:
            failed = answer_error(probe, sock, error.errno or 0, called_from(probe, enter, probe.port))
            return answer_of(probe, Failure("unreachable-port")) if failed.result == "refused" else failed
        detail = f"an answer came from {stranger}, which clients throw away" if stranger else ""
        return Answer(probe=probe, result="no-reply", source=stranger, detail=detail)
