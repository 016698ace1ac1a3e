"""Sender, router and receiver: three network namespaces on two wires, and packets of every kind sent across them.

    10.1.0.2 sender ── r0 router r1 ── 10.2.0.2 … .5 receiver      (fd01::/64 and fd02::/64 likewise)

What becomes of a packet is seen at the receiver's interface, or on a raw socket of the router where it is delivered there.
"""

from __future__ import annotations

import ctypes
import os
import select
import shlex
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from ipaddress import ip_address
from types import TracebackType
from typing import Literal, NamedTuple, TypeVar

CLONE_NEWNET = 0x40000000
SENDERS: dict[int, tuple[str, ...]] = {4: ("10.1.0.2", "10.1.0.3"), 6: ("fd01::2", "fd01::3")}
ROUTER: dict[int, tuple[str, ...]] = {4: ("10.1.0.1", "10.2.0.1"), 6: ("fd01::1", "fd02::1")}
RECEIVERS: dict[int, tuple[str, ...]] = {
    4: ("10.2.0.2", "10.2.0.3", "10.2.0.4", "10.2.0.5"),
    6: ("fd02::2", "fd02::3", "fd02::4", "fd02::5"),
}
PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58}
T = TypeVar("T")


Place = Literal["sender", "router", "receiver"]


class Sent(NamedTuple):
    family: Literal[4, 6]
    protocol: str
    source: str
    destination: str
    sport: int
    dport: int
    origin: Literal["sender", "router", "receiver"] = "sender"


class Seen(NamedTuple):
    """Where a packet arrived, and how it looked there."""

    where: Place
    source: str
    destination: str
    sport: int
    dport: int


class Router:
    """The three namespaces. Use as a context manager; they end with it."""

    def __init__(self) -> None:
        with ExitStack() as stack:
            self._stack = stack
            self._set_up()
            self._stack = stack.pop_all()

    def _set_up(self) -> None:
        self.pids = {name: self._namespace() for name in ("sender", "router", "receiver")}
        self._wire()
        self._next = 1
        places: tuple[Place, ...] = ("sender", "receiver")
        self._links: dict[socket.socket, Place] = {self._link(where): where for where in places}
        self._local = [self._raw("router", family, number) for family, number in _RAW_KINDS]
        self._out = {(name, family): self._sender(name, family) for name in self.pids for family in (4, 6)}

    def run(self, where: str, command: str | list[str], text: str | None = None) -> str:
        """Run a program in one of the namespaces. Raises RuntimeError with what it was given and what it said."""
        words = shlex.split(command) if isinstance(command, str) else command
        words = ["nsenter", "-t", str(self.pids[where]), "-n", *words]
        done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=20, check=False)
        if done.returncode:
            raise RuntimeError(f"{command}: exit {done.returncode}\n{done.stderr}{text or ''}")
        return done.stdout

    def send(self, packets: list[Sent], wait: float) -> list[Seen | None]:
        """Send them one after another and say where each arrived; `wait` seconds of silence end the listening."""
        first = self._next
        self._next += len(packets)
        for number, packet in enumerate(packets, first):
            data = _packet(packet, number)
            destination = (packet.destination, 0) if packet.family == 4 else (packet.destination, 0, 0, 0)
            with suppress(PermissionError):  # a drop in OUTPUT is told to who sends
                self._out[packet.origin, packet.family].sendto(data, destination)
        seen = dict(self._arrivals(wait))
        return [seen.get(number) for number in range(first, first + len(packets))]

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> Router:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _arrivals(self, wait: float) -> Iterator[tuple[int, Seen]]:
        sockets = [*self._links, *(sock for sock, _ in self._local)]
        numbers = {sock.fileno(): number for sock, number in self._local}
        while ready := select.select(sockets, [], [], wait)[0]:
            for sock in ready:
                if where := self._links.get(sock):
                    data, address = sock.recvfrom(2048)
                    found = _read(data, where) if address[2] != socket.PACKET_OUTGOING else None
                else:
                    found = self._read_local(sock, numbers[sock.fileno()])
                if found:
                    yield found

    def _read_local(self, sock: socket.socket, number: int) -> tuple[int, Seen] | None:
        if sock.family == socket.AF_INET:
            return _read(sock.recv(2048), "router")
        data, extra, _, address = sock.recvmsg(2048, 128)
        destination = socket.inet_ntop(socket.AF_INET6, extra[0][2][:16])
        return _read_transport(number, data, "router", str(address[0]), destination)

    def _namespace(self) -> int:
        process = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo ready; exec sleep 600"], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        return process.pid

    def _wire(self) -> None:
        sender, _router, receiver = (self.pids[name] for name in ("sender", "router", "receiver"))
        self.run("router", f"ip link add r0 type veth peer name s0 netns {sender}")
        self.run("router", f"ip link add r1 type veth peer name d0 netns {receiver}")
        for where, links in (("router", "r0 r1"), ("sender", "s0"), ("receiver", "d0")):
            addresses = {"router": ROUTER, "sender": SENDERS, "receiver": RECEIVERS}[where]
            lines = ["link set lo up"]
            for link in links.split():
                lines.append(f"link set {link} up")
                for family, found in addresses.items():
                    for address in found if where != "router" else [found[int(link[1])]]:
                        lines.append(f"addr add {address}/{24 if family == 4 else 64} dev {link}" + " nodad" * (family == 6))
            self.run(where, "ip -batch -", "\n".join(lines))
        self.run("router", "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.rp_filter=0")
        self._routes_and_neighbours()

    def _routes_and_neighbours(self) -> None:
        """Neighbours are entered by hand: no question for them may be lost in the rules under test."""
        links = {"s0": "sender", "d0": "receiver", "r0": "router", "r1": "router"}
        shown = {link: self.run(where, f"ip -o link show {link}") for link, where in links.items()}
        mac = {link: text.partition("link/ether ")[2].split()[0] for link, text in shown.items()}
        for where, link, far, gateway, addresses in (
            ("sender", "s0", mac["r0"], 0, [ROUTER[4][0], ROUTER[6][0]]),
            ("receiver", "d0", mac["r1"], 1, [ROUTER[4][1], ROUTER[6][1]]),
            ("router", "r0", mac["s0"], None, [*SENDERS[4], *SENDERS[6]]),
            ("router", "r1", mac["d0"], None, [*RECEIVERS[4], *RECEIVERS[6]]),
        ):
            lines = [f"neigh replace {address} lladdr {far} dev {link} nud permanent" for address in addresses]
            if gateway is not None:
                lines += [f"route add default via {ROUTER[4][gateway]}", f"route add default via {ROUTER[6][gateway]}"]
            self.run(where, "ip -batch -", "\n".join(lines))

    def _link(self, where: str) -> socket.socket:
        link = self._inside(where, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3)))
        self._stack.callback(link.close)
        return link

    def _raw(self, where: str, family: int, number: int) -> tuple[socket.socket, int]:
        kind = socket.AF_INET if family == 4 else socket.AF_INET6
        sock = self._inside(where, lambda: socket.socket(kind, socket.SOCK_RAW, number))
        if family == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        self._stack.callback(sock.close)
        return sock, number

    def _sender(self, where: str, family: int) -> socket.socket:
        kind = socket.AF_INET if family == 4 else socket.AF_INET6
        sock = self._inside(where, lambda: socket.socket(kind, socket.SOCK_RAW, socket.IPPROTO_RAW))
        self._stack.callback(sock.close)
        return sock

    def _inside(self, where: str, make: Callable[[], T]) -> T:
        """A socket belongs to the namespace in which it was made."""
        made: list[T] = []

        def enter() -> None:
            with open(f"/proc/{self.pids[where]}/ns/net") as handle:  # noqa: PTH123
                if ctypes.CDLL(None, use_errno=True).setns(handle.fileno(), CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            made.append(make())

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        return made[0]


_RAW_KINDS = ((4, 6), (4, 17), (4, 1), (6, 6), (6, 17), (6, 58))


def _packet(packet: Sent, number: int) -> bytes:
    protocol = PROTOCOLS[packet.protocol]
    source, destination = ip_address(packet.source).packed, ip_address(packet.destination).packed
    if packet.protocol == "tcp":
        body = struct.pack("!HHIIBBHHH", packet.sport, packet.dport, number, 0, 5 << 4, 2, 1024, 0, 0)
        place = 16
    elif packet.protocol == "udp":
        body = struct.pack("!HHHHI", packet.sport, packet.dport, 12, 0, number)
        place = 6
    else:
        body = struct.pack("!BBHHHI", 8 if packet.family == 4 else 128, 0, 0, packet.sport, 1, number)
        place = 2
    pseudo = b"" if protocol == 1 else source + destination + struct.pack("!II", len(body), protocol)
    body = body[:place] + struct.pack("!H", _checksum(pseudo + body)) + body[place + 2 :]
    if packet.family == 6:
        return struct.pack("!IHBB", 6 << 28, len(body), protocol, 64) + source + destination + body
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0) + source + destination + body


def _checksum(data: bytes) -> int:
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _read(data: bytes, where: Place) -> tuple[int, Seen] | None:
    """The number and the looks of one of our packets; None for another's."""
    if data[0] >> 4 == 4:
        source, destination = (socket.inet_ntop(socket.AF_INET, data[at : at + 4]) for at in (12, 16))
        return _read_transport(data[9], data[(data[0] & 15) * 4 :], where, source, destination)
    source, destination = (socket.inet_ntop(socket.AF_INET6, data[at : at + 16]) for at in (8, 24))
    return _read_transport(data[6], data[40:], where, source, destination)


def _read_transport(protocol: int, data: bytes, where: Place, source: str, destination: str) -> tuple[int, Seen] | None:
    if protocol == 6 and len(data) >= 20 and data[13] == 2:
        return struct.unpack("!I", data[4:8])[0], Seen(where, source, destination, *struct.unpack("!HH", data[:4]))
    if protocol == 17 and len(data) == 12:
        return struct.unpack("!I", data[8:12])[0], Seen(where, source, destination, *struct.unpack("!HH", data[:4]))
    if (protocol, data[0]) in ((1, 8), (58, 128)) and len(data) == 12:
        return struct.unpack("!I", data[8:12])[0], Seen(where, source, destination, 0, 0)
    return None
