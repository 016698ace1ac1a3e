"""Times as the engine, its log and this tool write them: RFC 3339."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from .regex import regex

_RFC3339 = regex(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:\.(\d{1,18}))?(Z|[+-]\d\d:?\d\d)?", re.ASCII)


def moment(text: str) -> datetime:
    """The time that a text names, to the microsecond; naive where the text has no zone. ValueError if it is no time.

    Go writes `Z` and from one to nine decimals. Python 3.10 reads neither, so both are rewritten here.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"not a time: {text[:40]!r}")
    seconds, fraction, zone = match[1], match[2] or "", match[3] or ""
    zone = "+00:00" if zone == "Z" else f"{zone[:3]}:{zone[-2:]}" if zone else ""
    return datetime.fromisoformat(f"{seconds}.{fraction[:6]:0<6}{zone}")


def now() -> str:
    """This moment, as reports and snapshots have it: UTC, to the second."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def of_clock(seconds: float) -> str:
    """A time of the system clock as UTC text, of one length, so that the order of texts is that of times.

    ValueError, OverflowError or OSError where there is no such year.
    """
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")
