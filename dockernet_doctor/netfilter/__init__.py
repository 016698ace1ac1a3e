"""Firewall rules read and evaluated, without I/O.

    rulesets = combine((parse_iptables_save(text, 4, "iptables-nft"), …), parse_nft_json(dump))
    journey(rulesets, packet, context).verdict

`parse_iptables_save`, `parse_nft_json` and `parse_ipset_save` take what the host's own tools print; `combine` keeps an
nft dump from repeating what the iptables dumps hold. `evaluate` asks one chain, `journey` the whole way of a packet,
`reply_to` makes the answer to it.
"""

from __future__ import annotations

from dockernet_doctor.netfilter.evaluate import evaluate, journey, locality, reply_to
from dockernet_doctor.netfilter.ipset import parse_ipset_save
from dockernet_doctor.netfilter.iptables import parse_iptables_save
from dockernet_doctor.netfilter.nft import combine, native_only, parse_nft_json

__all__ = [
    "combine",
    "evaluate",
    "journey",
    "locality",
    "native_only",
    "parse_ipset_save",
    "parse_iptables_save",
    "parse_nft_json",
    "reply_to",
]
