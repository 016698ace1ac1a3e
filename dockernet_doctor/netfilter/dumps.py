"""All dumps of one network namespace, as the rulesets that are evaluated."""

from __future__ import annotations

from collections.abc import Iterable

from dockernet_doctor.netfilter.iptables import parse_iptables_save
from dockernet_doctor.netfilter.model import Ruleset
from dockernet_doctor.netfilter.nft import combine, parse_nft_json
from dockernet_doctor.snapshot.model import FirewallDump


def rulesets_of(dumps: Iterable[FirewallDump]) -> tuple[Ruleset, ...]:
    """Parsed dumps of one namespace; what iptables-nft owns is not counted twice."""
    iptables = []
    native = None
    for dump in dumps:
        if dump.tool == "nft":
            native = parse_nft_json(dump.text)
        elif dump.tool in ("iptables-nft", "iptables-legacy") and dump.family:
            iptables.append(parse_iptables_save(dump.text, dump.family, dump.tool))
    return combine(iptables, native)
