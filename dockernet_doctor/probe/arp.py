"""Who has an IPv4 address on a link?"""

from __future__ import annotations

import fcntl
import socket
import struct
import time
from ipaddress import IPv4Address

from dockernet_doctor.probe.errors import NotSentError
from dockernet_doctor.probe.headers import GarbledError
from dockernet_doctor.probe.model import Answer, Probe
from dockernet_doctor.probe.packets import arp_request, read_arp
from dockernet_doctor.probe.sockets import milliseconds
from dockernet_doctor.probe.steps import READ, Enter, Steps, Wait

_ETH_P_ARP = 0x0806
_ETHERNET = 14  # bytes of its header
_REPLY = 2
_SIOCGIFADDR = 0x8915
_LISTEN_ON_S = 0.1  # for a second owner of the address
_OWNERS_AT_MOST = 8


def ask(probe: Probe, enter: Enter, patience_s: float) -> Steps[Answer]:
    """reply (`mac`, and in `detail` a second owner, if there is one) or timeout. Takes a packet socket."""
    if ":" in probe.address or not probe.interface:
        raise NotSentError("ARP asks for an IPv4 address on an interface")
    with _opened(probe.interface, enter) as sock:
        sock.send(_request(sock, probe))
        started = time.monotonic()
        until = started + patience_s
        owners: list[str] = []
        latency = None
        while (yield Wait(sock, READ, until)):
            mac = _owner(sock.recv(2048), probe.address)
            if mac and mac not in owners and len(owners) < _OWNERS_AT_MOST:
                owners.append(mac)
                if latency is None:
                    now = time.monotonic()
                    latency, until = milliseconds(now - started), now + _LISTEN_ON_S
    if not owners:
        return Answer(probe=probe, result="timeout")
    also = f"{', '.join(owners[1:])} answered as well" if owners[1:] else ""
    return Answer(probe=probe, result="reply", latency_ms=latency, mac=owners[0], detail=also)


def _opened(interface: str, enter: Enter) -> socket.socket:
    with enter():
        try:
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        except PermissionError as error:
            raise NotSentError("no right to open a packet socket (it takes root)") from error
    try:
        sock.bind((interface, _ETH_P_ARP))
    except OSError as error:
        sock.close()
        raise NotSentError(f"nothing can be sent on {interface}: {error.strerror}") from error
    sock.setblocking(False)
    return sock


def _request(sock: socket.socket, probe: Probe) -> bytes:
    own = ":".join(f"{byte:02x}" for byte in sock.getsockname()[4])
    source = probe.source or _address_of(sock, probe.interface)
    return arp_request(own, source, probe.address)


def _address_of(sock: socket.socket, interface: str) -> str:
    """The interface's first IPv4 address, 0.0.0.0 where it has none (an ARP probe, RFC 5227: answered as well)."""
    try:
        reply = fcntl.ioctl(sock.fileno(), _SIOCGIFADDR, struct.pack("256s", interface[:15].encode()))
    except OSError:
        return "0.0.0.0"
    return str(IPv4Address(reply[20:24]))


def _owner(frame: bytes, address: str) -> str:
    """The MAC that claims the address in this frame, "" for any other frame."""
    if frame[12:_ETHERNET] != _ETH_P_ARP.to_bytes(2, "big"):
        return ""
    try:
        message = read_arp(frame[_ETHERNET:])
    except GarbledError:
        return ""
    return message.mac if message.operation == _REPLY and message.source == address else ""
