"""Times as the engine, its log and this tool write them: RFC 3339."""

from __future__ import annotations

import re
from datetime import datetime

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
