"""How large a dump of rules may be."""

from __future__ import annotations

MOST_RULES = 200_000
"""A dump with more is not evaluated: each packet would be held against them for longer than a run has."""


def rules_in(dump: str) -> int:
    """The rules in a dump of iptables-save or `nft -j`, counted without reading them."""
    return dump.count("\n-A ") + dump.count("] -A ") + dump.count('"rule":')


def too_many(dump: str) -> str:
    """Why a dump is not evaluated; "" where it is."""
    rules = rules_in(dump)
    return f"{rules:,} rules are too many to evaluate in the time of a run" if rules > MOST_RULES else ""
