"""A packet's way through this host, decided from the snapshot alone: link → route → filter → mapping → listener.

The stages call one another in the order in which a packet passes them: `sender`, `network` (onto a bridge), `host`, `member`
(its namespace and its listener). What may end it on the way has the name of the hop where it ends: `link`, `route`, `filter`,
`mapping`. Such a function answers whether it did, and has written the obstacle into the `trail` then.

Sources: Linux forwarding and bridging as of 5.10–6.x (bridge-nf-call-iptables sends bridged packets through FORWARD;
rp_filter=1 drops what would not be answered over the same interface), docker-proxy of every engine (takes what was
delivered to a published port on the host and dials the container's address itself).
"""

from __future__ import annotations

from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.paths.packet.member import to_member
from dockernet_doctor.diagnosis.paths.packet.sender import from_container, from_host, from_outside
from dockernet_doctor.diagnosis.paths.packet.trail import Sender, Trail, Walk
from dockernet_doctor.snapshot.model import Network, Protocol


def flow(facts: HostFacts, sender: Sender, address: str, port: int, protocol: Protocol, trail: Trail) -> None:
    """Walk one packet from `sender` to `address`:`port`; the outcome is in `trail`."""
    walk = Walk(facts=facts, sender=sender, protocol=protocol, trail=trail)
    if sender.outside:
        from_outside(walk, address, port)
    elif sender.container is None or facts.in_host_mode(sender.container):
        from_host(walk, address, port)
    else:
        from_container(walk, sender.container, address, port)


def arrive(facts: HostFacts, network: Network, address: str, port: int, protocol: Protocol, origin: str, trail: Trail) -> None:
    """The last stretch of what a member of an overlay network on another host, at `origin`, sent to a member on this one."""
    walk = Walk(facts=facts, sender=Sender(outside=True, address=origin), protocol=protocol, trail=trail)
    to_member(walk, network, address, port, origin)
