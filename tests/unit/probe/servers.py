"""Servers on loopback for the probes to talk to; each is a context that gives the port."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address

from dockernet_doctor.probe.model import Vantage

HOST = Vantage("h1")


@contextmanager
def tcp_server(talk: Callable[[socket.socket], object], address: str = "127.0.0.1") -> Iterator[int]:
    """Each connection is handed to `talk` and closed afterwards."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as server:

        def serve() -> None:
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                with peer:
                    talk(peer)

        with _thread(serve, lambda: server.shutdown(socket.SHUT_RDWR)):
            yield server.getsockname()[1]


@contextmanager
def udp_server(answer: Callable[[bytes], bytes | None], address: str = "127.0.0.1") -> Iterator[int]:
    """Each datagram is answered with what `answer` makes of it; None is silence."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, 0))
        server.settimeout(0.02)
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                try:
                    data, peer = server.recvfrom(65535)
                except TimeoutError:
                    continue
                if (reply := answer(data)) is not None:
                    server.sendto(reply, peer)

        with _thread(serve, over.set):
            yield server.getsockname()[1]


@contextmanager
def closed_port(kind: int = socket.SOCK_STREAM) -> Iterator[int]:
    """A port that nobody listens on and, since it is bound, nobody else gets."""
    with socket.socket(socket.AF_INET, kind) as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        if kind == socket.SOCK_DGRAM:
            holder.close()
        yield port


def dns_response(question: bytes, addresses: tuple[str, ...] = (), *, rcode: int = 0, truncated: bool = False) -> bytes:
    """A response to the message `question`, with one record for each address, the names compressed."""
    flags = 0x8180 | rcode | (0x0200 if truncated else 0)
    records = b""
    for address in map(ip_address, addresses):
        kind = 1 if address.version == 4 else 28
        records += struct.pack("!HHHIH", 0xC00C, kind, 1, 60, len(address.packed)) + address.packed
    return question[:2] + struct.pack("!HHHHH", flags, 1, len(addresses), 0, 0) + question[12:] + records


@contextmanager
def _thread(work: Callable[[], None], end: Callable[[], object]) -> Iterator[None]:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end()
        thread.join(5)
