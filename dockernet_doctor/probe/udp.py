"""Does anything answer a datagram? Silence is "no-reply", never called open: services ignore what they do not know."""

from __future__ import annotations

import socket
import time

from dockernet_doctor.probe.dns import ROOT_QUERY
from dockernet_doctor.probe.errors import Failure
from dockernet_doctor.probe.model import Answer, Probe
from dockernet_doctor.probe.sockets import answer_error, answer_of, connect, milliseconds, opened, own_address
from dockernet_doctor.probe.steps import READ, Enter, Steps, Wait


def ask(probe: Probe, enter: Enter, patience_s: float, source_port: int = 0) -> Steps[Answer]:
    """reply, unreachable-… (an ICMP error came, or a rule here stopped the datagram), or no-reply.

    One byte is sent, to port 53 a question that every DNS server can answer.
    """
    with opened(probe, enter, socket.SOCK_DGRAM, source_port=source_port) as sock:
        started = time.monotonic()
        if code := connect(sock, probe, enter, probe.port):
            return answer_error(probe, sock, code)
        own = own_address(sock)
        try:
            sock.send(ROOT_QUERY if probe.port == 53 else b"\0")
            if not (yield Wait(sock, READ, started + patience_s)):
                return Answer(probe=probe, result="no-reply")
            sock.recv(512)
        except OSError as error:
            failed = answer_error(probe, sock, error.errno or 0, own)
            return answer_of(probe, Failure("unreachable-port")) if failed.result == "refused" else failed
        return Answer(probe=probe, result="reply", latency_ms=milliseconds(time.monotonic() - started))
