"""How addresses are written where a port follows (RFC 3986)."""

from __future__ import annotations


def bracketed(address: str) -> str:
    """`[::1]`, `127.0.0.1`; a name as it is."""
    return f"[{address}]" if ":" in address else address


def at(address: str, port: int) -> str:
    """`[::1]:80`, `127.0.0.1:80`"""
    return f"{bracketed(address)}:{port}"
