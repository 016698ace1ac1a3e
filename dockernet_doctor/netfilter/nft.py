"""The dump of `nft -j list ruleset`."""

from __future__ import annotations

from collections.abc import Iterable

from dockernet_doctor.netfilter.model import Ruleset


def parse_nft_json(text: str) -> Ruleset:
    """All tables of the dump, of every family."""
    raise NotImplementedError


def native_only(ruleset: Ruleset, dumps: Iterable[Ruleset]) -> Ruleset:
    """Without the tables that iptables-nft owns and whose rules its own dump in `dumps` already holds."""
    raise NotImplementedError
