"""The upstream resolver of the lab: `python dns_server.py NAME=ADDRESS…` answers these names, NXDOMAIN to others.

NAME=servfail and NAME=nxdomain are what it answers for the family of which the name has no address.

Runs alone (standard library only) inside a neighbour, over UDP and TCP, IPv4 and IPv6.
"""

from __future__ import annotations

import ipaddress
import socket
import socketserver
import struct
import sys
import threading

_A, _AAAA = 1, 28
_ERRORS = {"servfail": 2, "nxdomain": 3}
_Names = dict[str, list[ipaddress.IPv4Address | ipaddress.IPv6Address]]
_Failing = dict[str, int]


def answer(query: bytes, names: _Names, failing: _Failing) -> bytes:
    """The response to one query, in wire format (RFC 1035)."""
    end, labels = 12, []
    while query[end]:
        labels.append(query[end + 1 : end + 1 + query[end]].decode("latin-1").lower())
        end += 1 + query[end]
    end += 5
    kind = struct.unpack("!H", query[end - 4 : end - 2])[0]
    name = ".".join(labels)
    known = names.get(name)
    records = [
        b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 30, len(address.packed)) + address.packed
        for address in known or []
        if kind == (_A if address.version == 4 else _AAAA)
    ]
    flags = 0x8580 | (_ERRORS["nxdomain"] if known is None else 0 if records else failing.get(name, 0))
    return query[:2] + struct.pack("!5H", flags, 1, len(records), 0, 0) + query[12:end] + b"".join(records)


def main(arguments: list[str]) -> None:
    names: _Names = {}
    failing: _Failing = {}
    for word in arguments:
        name, _, address = word.partition("=")
        if address in _ERRORS:
            failing[name.lower()] = _ERRORS[address]
        else:
            names.setdefault(name.lower(), []).append(ipaddress.ip_address(address))

    class OverUdp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request[1].sendto(answer(self.request[0], names, failing), self.client_address)

    class OverTcp(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            size = self.rfile.read(2)
            if len(size) == 2:
                reply = answer(self.rfile.read(struct.unpack("!H", size)[0]), names, failing)
                self.wfile.write(struct.pack("!H", len(reply)) + reply)

    class TcpServer(socketserver.ThreadingTCPServer):
        address_family = socket.AF_INET6
        allow_reuse_address = True
        daemon_threads = True

    class UdpServer(socketserver.UDPServer):
        address_family = socket.AF_INET6

    with TcpServer(("::", 53), OverTcp) as tcp, UdpServer(("::", 53), OverUdp) as udp:
        threading.Thread(target=tcp.serve_forever, daemon=True).start()
        print("ready", flush=True)
        udp.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
