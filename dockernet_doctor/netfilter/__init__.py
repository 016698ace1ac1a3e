"""Firewall rules read and evaluated, without I/O.

    rulesets = (parse_iptables_save(text, 4, "iptables-nft"), native_only(parse_nft_json(dump), …))
    journey(rulesets, packet, context).verdict

`parse_iptables_save`, `parse_nft_json` and `parse_ipset_save` take what the host's own tools print; `native_only` takes
out of an nft dump what an iptables dump already holds. `evaluate` asks one chain, `journey` the whole way of a packet.
"""

from __future__ import annotations

from dockernet_doctor.netfilter.evaluate import evaluate, journey, locality
from dockernet_doctor.netfilter.ipset import parse_ipset_save
from dockernet_doctor.netfilter.iptables import parse_iptables_save
from dockernet_doctor.netfilter.nft import native_only, parse_nft_json

__all__ = [
    "evaluate",
    "journey",
    "locality",
    "native_only",
    "parse_ipset_save",
    "parse_iptables_save",
    "parse_nft_json",
]
