"""What does a DNS server answer? Messages are RFC 1035, read and written here: importing scapy for them would cost more
time (0.4 s) than all the questions of a run.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from ipaddress import ip_address

from msgspec import Struct

from dockernet_doctor.probe import tcp
from dockernet_doctor.probe.errors import NotSentError
from dockernet_doctor.probe.model import Answer, Probe
from dockernet_doctor.probe.sockets import answer_error, called_from, milliseconds, opened, own_address, same_address
from dockernet_doctor.probe.steps import READ, Enter, Steps, Wait

RECORDS = {"A": 1, "AAAA": 28}
ROOT_QUERY = struct.pack("!HHHHHHBHH", 0x646E, 0x0100, 1, 0, 0, 0, 0, 2, 1)  # NS of the root
_RESEND_S = 1.0
_ADDRESSES_AT_MOST = 64  # of one answer: each of them may be dialled
_RESULTS = {0: "reply", 2: "servfail", 3: "nxdomain", 5: "refused"}


class Reply(Struct, frozen=True, kw_only=True):
    """A response, as far as a resolver looks at it."""

    id: int
    rcode: int
    truncated: bool
    question: bytes  # as it stands in the message, lower case
    addresses: tuple[str, ...]


def ask(probe: Probe, enter: Enter, patience_s: float, source_port: int = 0) -> Steps[Answer]:
    """reply (with the addresses, none where the name has none of this family), nxdomain, servfail, refused, timeout, …

    Over UDP with repetition, and over TCP where the answer was truncated. An answer from another address than the one
    asked is what every resolver throws away: then the result is timeout and `source` says who answered.
    """
    message = query(probe.name, probe.record, int.from_bytes(os.urandom(2), "big"))
    if probe.over_tcp:
        return (yield from _over_tcp(probe, enter, message, patience_s))
    answer, truncated = yield from _over_udp(probe, enter, message, patience_s, source_port)
    if not truncated:
        return answer
    whole = yield from _over_tcp(probe, enter, message, patience_s)
    return Answer(
        probe=probe,
        result=whole.result,
        latency_ms=whole.latency_ms,
        addresses=whole.addresses,
        source=whole.source,
        detail=f"truncated over UDP, then over TCP: {whole.detail or whole.result}",
    )


def query(name: str, record: str, identity: int) -> bytes:
    """The question for `name`. Raises NotSentError for what DNS cannot carry."""
    labels = [label.encode() for label in name.rstrip(".").split(".")]
    if record not in RECORDS or any(not 0 < len(label) < 64 for label in labels) or len(name) > 253:
        raise NotSentError(f"{name!r} is not a name that DNS can carry")
    question = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    return struct.pack("!HHHHHH", identity, 0x0100, 1, 0, 0, 0) + question + struct.pack("!HH", RECORDS[record], 1)


def read(message: bytes) -> Reply | None:
    """A response; None for what is none."""
    try:
        return _read(message)
    except (IndexError, struct.error, ValueError):
        return None


def _read(message: bytes) -> Reply | None:
    identity, flags, questions, answers, _, _ = struct.unpack_from("!HHHHHH", message)
    if not flags & 0x8000:
        return None
    position = 12
    for _ in range(questions):
        position = _after_name(message, position) + 4
    question = message[12:position].lower()
    addresses: list[str] = []
    for _ in range(answers):
        position = _after_name(message, position)
        kind, _, _, length = struct.unpack_from("!HHIH", message, position)
        position += 10
        data = message[position : position + length]
        position += length
        if kind in RECORDS.values() and len(addresses) < _ADDRESSES_AT_MOST:
            addresses.append(str(ip_address(data)))  # ValueError for a wrong length
    return Reply(id=identity, rcode=flags & 15, truncated=bool(flags & 0x0200), question=question, addresses=tuple(addresses))


def _after_name(message: bytes, position: int) -> int:
    while (length := message[position]) != 0:
        if length >= 0xC0:
            return position + 2
        position += 1 + length
    return position + 1


def _over_udp(probe: Probe, enter: Enter, message: bytes, patience_s: float, source_port: int) -> Steps[tuple[Answer, bool]]:
    """The answer, and whether it was truncated."""
    with opened(probe, enter, socket.SOCK_DGRAM, source_port=source_port) as sock:
        started = time.monotonic()
        stranger = ""
        while (left := started + patience_s - time.monotonic()) > 0:
            try:
                sock.sendto(message, (probe.address, probe.port or 53))
                until = time.monotonic() + min(_RESEND_S, left)
                while (yield Wait(sock, READ, until)):
                    data, sender = sock.recvfrom(65535)
                    reply = read(data)
                    if reply is None or not _belongs(reply, message):
                        continue
                    same = same_address(sender[0], probe.address)
                    if not same or sender[1] != (probe.port or 53):
                        stranger = f"{sender[0]} port {sender[1]}" if same else sender[0]
                        continue
                    return _answer(probe, reply, started), reply.truncated
            except OSError as error:
                return answer_error(probe, sock, error.errno or 0, called_from(probe, enter, probe.port or 53)), False
        detail = f"an answer came from {stranger}, which resolvers throw away" if stranger else ""
        return Answer(probe=probe, result="timeout", source=stranger, detail=detail), False


def _over_tcp(probe: Probe, enter: Enter, message: bytes, patience_s: float) -> Steps[Answer]:
    port = probe.port or 53
    with opened(probe, enter, socket.SOCK_STREAM) as sock:
        started = time.monotonic()
        until = started + patience_s
        code = yield from tcp.connected(sock, probe, enter, until, port)
        if code is None:
            return Answer(probe=probe, result="timeout", detail="TCP")
        if code:
            return answer_error(probe, sock, code, own_address(sock))
        try:
            sock.send(struct.pack("!H", len(message)) + message)
            received = b""
            while (yield Wait(sock, READ, until)):
                received += (part := sock.recv(65535))
                if not part:
                    return Answer(probe=probe, result="accepted-then-closed", detail="TCP")
                if len(received) >= 2 + int.from_bytes(received[:2], "big"):
                    reply = read(received[2:])
                    if reply is None or not _belongs(reply, message):
                        return Answer(probe=probe, result="servfail", detail="what came back is not an answer to this")
                    return _answer(probe, reply, started)
        except OSError as error:
            return answer_error(probe, sock, error.errno or 0, own_address(sock))
        return Answer(probe=probe, result="timeout", detail="TCP")


def _answer(probe: Probe, reply: Reply, started: float) -> Answer:
    result = _RESULTS.get(reply.rcode, "servfail")
    detail = "" if reply.rcode in _RESULTS else f"rcode {reply.rcode}"
    if result == "reply" and not reply.addresses:
        detail = f"the name has no {probe.record} record"
    latency = milliseconds(time.monotonic() - started)
    return Answer(probe=probe, result=result, latency_ms=latency, addresses=reply.addresses, detail=detail)


def _belongs(reply: Reply, message: bytes) -> bool:
    return reply.id == int.from_bytes(message[:2], "big") and reply.question in (message[12:].lower(), b"")
