"""The words by which servers refuse whom they were reached by: to the first bytes of their protocol (`greet`), or by themselves
after a plain connection (`tcp`), as MySQL, Redis and SMTP do."""

from __future__ import annotations

from dockernet_doctor.decoding import as_text
from dockernet_doctor.regex import regex

_LONGEST = 200  # characters kept of what was said
_REFUSALS = regex(
    r"Host '[^']{0,255}' is (?:not allowed to connect to this|blocked because of many connection errors)[^\0]*"
    r"|DENIED Redis is running in protected mode[^.\r\n]*|DENIED (?:Valkey|KeyDB)[^.\r\n]*protected mode[^.\r\n]*"
    r"|no pg_hba\.conf entry for [^\0\r\n]*|pg_hba\.conf rejects [^\0\r\n]*"
    r"|(?:421|450|521|550|554)[ -][^\r\n]*(?:denied|refused|rejected|not allowed|not permitted|blocked)[^\r\n]*"
    r"|refused connect from [^\r\n]*"
)


def refusal(received: bytes) -> str:
    """The words by which a server refuses whom it was reached by; "" for whatever else it says, which is not kept."""
    found = _REFUSALS.search(as_text(received))
    return "".join(c for c in found[0] if c.isprintable())[:_LONGEST] if found else ""
