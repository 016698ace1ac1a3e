"""--only and --skip: globs over causes and finding ids. A word that is no glob must name something that exists."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from dockernet_doctor.errors import CommandLineError


def ensure_known(patterns: Iterable[str], causes: Iterable[str], option: str) -> None:
    """CommandLineError where a pattern without wildcards names no cause (what stands before = in a finding's id)."""
    known = {*causes}
    for pattern in patterns:
        cause = pattern.partition("=")[0]
        if cause in known or any(char in cause for char in "*?["):
            continue
        raise CommandLineError(f"{option} {pattern}: no cause is called {cause!r}{nearest(cause, known)}")


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean …?`, or where the list is."""
    close = get_close_matches(word, list(known), 3, 0.5)
    return f"; did you mean {' or '.join(close)}?" if close else "; dockernet-doctor checks lists them"
