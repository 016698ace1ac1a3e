"""--only and --skip: globs over causes and finding ids. What stands for the cause must be one, or fit one."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable

from dockernet_doctor.errors import CommandLineError
from dockernet_doctor.notation import listed


def ensure_known(patterns: Iterable[str], causes: Iterable[str], option: str) -> None:
    """CommandLineError where a pattern fits no cause by what stands before = in a finding's id: nothing would be looked for."""
    known = {*causes}
    for pattern in patterns:
        cause = pattern.partition("=")[0]
        if fnmatch.filter(known, cause):
            continue
        raise CommandLineError(f"{option} {pattern}: no cause is called {cause!r}{nearest(cause, known)}")


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean …?`, or where the list is."""
    close = closest(word, known)
    return f"; did you mean {listed(close, 'or')}?" if close else "; dockernet-doctor checks lists them"


def closest(word: str, known: Iterable[str]) -> list[str]:
    """Up to three words that may be meant, the likeliest first."""
    from difflib import get_close_matches

    return get_close_matches(word, list(known), 3, 0.5)
