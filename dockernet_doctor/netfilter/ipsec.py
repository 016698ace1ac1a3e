"""IPsec policies (`ip xfrm policy`): which one decides on a packet, and how `ip` writes it.

The kernel asks for one whenever it routes what leaves (out), and before it takes what comes in (in) or forwards it (fwd):
net/xfrm/xfrm_policy.c. The policy of the lowest priority counts that selects the packet.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Literal

from dockernet_doctor.netfilter.model import Packet
from dockernet_doctor.netfilter.terms import protocol_number
from dockernet_doctor.snapshot.model import IpsecPolicy, NetworkStack

Direction = Literal["in", "out", "fwd"]
_NAMES = {6: "tcp", 17: "udp", 132: "sctp"}


def deciding(stack: NetworkStack, direction: Direction, packet: Packet) -> IpsecPolicy | None:
    """The policy that decides on the packet as it is at that moment; None where none selects it."""
    return next((p for p in stack.ipsec if p.direction == direction and _selects(p, packet)), None)


def _selects(policy: IpsecPolicy, packet: Packet) -> bool:
    """A port that the kernel picks (None) is taken for one that no policy names."""
    return (
        policy.family == packet.family
        and policy.protocol in (0, protocol_number(packet.protocol))
        and _is_port(packet.sport, policy.sport, policy.sport_mask)
        and _is_port(packet.dport, policy.dport, policy.dport_mask)
        and policy.link in (None, packet.out_interface)
        and packet.mark & policy.mark_mask == policy.mark
        and ipaddress.ip_address(packet.source) in _network(policy.source)
        and ipaddress.ip_address(packet.destination) in _network(policy.destination)
    )


def _is_port(port: int | None, wanted: int, mask: int) -> bool:
    return mask == 0 if port is None else (port ^ wanted) & mask == 0


@lru_cache(maxsize=1024)
def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text, strict=False)


def selector(policy: IpsecPolicy) -> tuple[str, ...]:
    """The words by which `ip xfrm policy` names it, its direction and mark included."""
    words = ["src", policy.source, "dst", policy.destination]
    if policy.link:
        words += ["dev", policy.link]
    if policy.protocol:
        words += ["proto", _NAMES.get(policy.protocol, str(policy.protocol))]
    for name, port, mask in (("sport", policy.sport, policy.sport_mask), ("dport", policy.dport, policy.dport_mask)):
        words += [name, str(port)] if mask else []
    words += ["dir", policy.direction]
    if policy.mark_mask:
        words += ["mark", hex(policy.mark), "mask", hex(policy.mark_mask)]
    return tuple(words)
