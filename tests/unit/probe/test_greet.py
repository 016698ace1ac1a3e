"""What servers say to the first bytes of their protocol. Refusals are recorded, the rest constructed."""

from __future__ import annotations

import socket
import struct
from contextlib import nullcontext

import pytest

from dockernet_doctor.plugin import Answer, Probe, Vantage
from dockernet_doctor.probe import greet, tcp
from dockernet_doctor.probe.errors import NotSentError
from dockernet_doctor.probe.refusals import refusal
from dockernet_doctor.probe.steps import finish
from tests.unit.probe.servers import tcp_server

# Recorded of Debian's MariaDB 10.11.19, Redis 7.0.15 (its beginning) and PostgreSQL 15.18, asked from 192.0.2.2.
NOT_ALLOWED = b"D\0\0\0\xff\x6a\x04Host '192.0.2.2' is not allowed to connect to this MariaDB server"
DENIED = (
    b"-DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default user."
    b" In this mode connections are only accepted from the loopback interface."
)
NO_ENTRY = (
    b'E\0\0\0\xa5SFATAL\0VFATAL\0C28000\0Mno pg_hba.conf entry for host "192.0.2.2", user "dockernet-doctor", '
    b'database "postgres", no encryption\0Fauth.c\0L544\0RClientAuthentication\0\0'
)
GREETING = b"J\0\0\0\x0a5.5.5-10.11.6-MariaDB\0"


@pytest.mark.parametrize(
    ("received", "said"),
    [
        (NOT_ALLOWED, "Host '192.0.2.2' is not allowed to connect to this MariaDB server"),
        (DENIED, DENIED[1 : DENIED.index(b".")].decode()),
        (NO_ENTRY, NO_ENTRY[NO_ENTRY.index(b"no pg") : NO_ENTRY.index(b"\0F")].decode()),
        (b"554 5.7.1 Access denied\r\n", "554 5.7.1 Access denied"),
        (GREETING, ""),
        (b"+PONG\r\n", ""),
        (b"-NOAUTH Authentication required.\r\n", ""),
        (b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0", ""),
        (b"220 mail.example ESMTP secret\r\n", ""),
        (b"Host '" + b"x" * 5000, ""),
        (b"554 \x1b[31mdenied\r\n", "554 [31mdenied"),
    ],
)
def test_refusal(received: bytes, said: str) -> None:
    assert refusal(received) == said


def test_the_bytes_are_these_and_no_others() -> None:
    startup = greet.GREETINGS["postgres"]
    assert {name: sent for name, sent in greet.GREETINGS.items() if name != "postgres"} == {"redis": b"PING\r\n"}
    assert startup == struct.pack("!II", len(startup), 3 << 16) + b"user\0dockernet-doctor\0database\0postgres\0\0"


def ask(port: int, name: str) -> Answer:
    probe = Probe(kind="greet", vantage=Vantage("h"), address="127.0.0.1", port=port, name=name)
    return finish(greet.ask(probe, nullcontext, 2.0))


def test_what_is_sent_and_kept() -> None:
    received: list[bytes] = []

    def talk(peer: socket.socket) -> None:
        received.append(peer.recv(1000))
        peer.send(NO_ENTRY)

    with tcp_server(talk) as port:
        answer = ask(port, "postgres")
    assert (answer.result, answer.said[:24]) == ("reply", "no pg_hba.conf entry for")
    assert received == [greet.GREETINGS["postgres"]]


def test_a_plain_connection_hears_a_refusal_and_keeps_nothing_else() -> None:
    received: list[bytes] = []
    for banner, said in ((NOT_ALLOWED, True), (GREETING, False)):

        def talk(peer: socket.socket, banner: bytes = banner) -> None:
            peer.send(banner)
            received.append(peer.recv(1000))

        with tcp_server(talk) as port:
            probe = Probe(kind="tcp", vantage=Vantage("h"), address="127.0.0.1", port=port)
            answer = finish(tcp.ask(probe, nullcontext, 2.0))
        assert (answer.result, bool(answer.said)) == ("open", said)
    assert b"".join(received) == b""


def test_no_other_protocol_is_spoken() -> None:
    with pytest.raises(NotSentError):
        ask(1, "mysql")
