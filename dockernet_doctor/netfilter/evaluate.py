"""What the rules do to a packet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dockernet_doctor.netfilter.model import Context, Decision, Journey, Locality, Packet, Ruleset


def locality(local: Iterable[str], broadcasts: Iterable[str] = ()) -> Locality:
    """A `Locality` from the host's own addresses and the broadcast addresses of its subnets."""
    raise NotImplementedError


def evaluate(ruleset: Ruleset, table: str, chain: str, packet: Packet, context: Context | None = None) -> Decision:
    """What one chain does to one packet; without a context, what depends on the host's addresses or sets is unknown."""
    raise NotImplementedError


def journey(rulesets: Sequence[Ruleset], packet: Packet, context: Context) -> Journey:
    """The packet's way through every hook; made on this host where it has no `in_interface`."""
    raise NotImplementedError
