"""How sentences write addresses, with a port behind them (RFC 3986), and lists."""

from __future__ import annotations

from collections.abc import Iterable


def bracketed(address: str) -> str:
    """`[::1]`, `127.0.0.1`; a name as it is."""
    return f"[{address}]" if ":" in address else address


def at(address: str, port: int) -> str:
    """`[::1]:80`, `127.0.0.1:80`"""
    return f"{bracketed(address)}:{port}"


UNSPECIFIED = frozenset({"0.0.0.0", "::"})
"""Stands for all addresses of a host where one listens, for none chosen yet in a packet (RFC 1122, RFC 4291)."""


def is_loopback(address: str | None) -> bool:
    """True for an address of loopback (all of 127.0.0.0/8, ::1) and for the name localhost."""
    return address is not None and (address.startswith("127.") or address in ("::1", "localhost"))


def listed(items: Iterable[object], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`; "" for none."""
    *most, end = [*map(str, items)] or [""]
    return f"{', '.join(most)} {last} {end}" if most else end
