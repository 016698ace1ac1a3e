"""Connection tracking by ctnetlink: /proc/net/nf_conntrack is absent from many kernels, `conntrack` from most hosts.

Layouts: linux/netfilter/nfnetlink_conntrack.h; numbers are in network byte order.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Collection, Iterable

from dockernet_doctor.snapshot.model import ConntrackEntry
from dockernet_doctor.snapshot.netlink import NETLINK_NETFILTER, Netlink, attributes, request

LIMIT = 50_000
"""A table with more entries is not read: it would take longer than the rest of the run."""

CONNTRACK_REQUEST = request((1 << 8) | 1, bytes(4))  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET, both families


def read_udp_flows(ports: Collection[int], tracked: int) -> tuple[ConntrackEntry, ...] | None:
    """The UDP flows whose original destination port is one of these; () without asking where there are no ports.

    `tracked` is the number of entries in the table. Raises OSError: EPERM without CAP_NET_ADMIN, EFBIG above `LIMIT`.
    """
    if not ports or not tracked:
        return ()
    if tracked > LIMIT:
        raise OSError(errno.EFBIG, f"the table holds {tracked} entries, more than this tool reads")
    with Netlink(NETLINK_NETFILTER) as netlink:
        return parse_udp_flows(netlink.dump(CONNTRACK_REQUEST), ports)


def parse_udp_flows(messages: Iterable[bytes], ports: Collection[int]) -> tuple[ConntrackEntry, ...]:
    """IPCTNL_MSG_CT_NEW."""
    flows = []
    for data in messages:
        found = attributes(data, 4)
        original = _tuple(found.get(1, b""))  # CTA_TUPLE_ORIG
        reply = _tuple(found.get(2, b""))  # CTA_TUPLE_REPLY
        if original is None or reply is None or original[3] not in ports:
            continue
        flows.append(
            ConntrackEntry(
                protocol="udp",
                source=original[0],
                destination=original[1],
                sport=original[2],
                dport=original[3],
                reply_source=reply[0],
                reply_destination=reply[1],
                reply_sport=reply[2],
                reply_dport=reply[3],
                replied=bool(_number(found.get(3, b"")) & 2),  # CTA_STATUS, IPS_SEEN_REPLY
                timeout_s=_number(found.get(7, b"")),  # CTA_TIMEOUT
            )
        )
    return tuple(flows)


def _tuple(data: bytes) -> tuple[str, str, int, int] | None:
    """Source, destination, source port, destination port of a UDP tuple; None for any other protocol."""
    found = attributes(data)
    addresses = attributes(found.get(1, b""))  # CTA_TUPLE_IP
    protocol = attributes(found.get(2, b""))  # CTA_TUPLE_PROTO
    if protocol.get(1, b"")[:1] != bytes([socket.IPPROTO_UDP]) or 3 not in protocol:
        return None
    source, destination = addresses.get(1, addresses.get(3)), addresses.get(2, addresses.get(4))
    if source is None or destination is None:
        return None
    family = socket.AF_INET if len(source) == 4 else socket.AF_INET6
    return (
        socket.inet_ntop(family, source),
        socket.inet_ntop(family, destination),
        _number(protocol.get(2, b"")),
        _number(protocol[3]),
    )


def _number(value: bytes) -> int:
    return int.from_bytes(value, "big")
