"""Texts from outside: to the host, names, paths, arguments and the environment are bytes of any value."""

from __future__ import annotations

import re
from pathlib import Path

from dockernet_doctor.regex import regex


def as_text(data: bytes | str) -> str:
    r"""The text of bytes in UTF-8, those that are none as `\xff`. Never raises, and what it gives can always be encoded.

    In a str, such bytes stand as Python decodes paths, arguments and the environment (surrogateescape).
    """
    if isinstance(data, str):
        try:
            return as_text(data.encode("utf-8", "surrogateescape"))
        except UnicodeEncodeError:  # half of a UTF-16 pair
            return as_text(data.encode("utf-8", "backslashreplace"))
    return data.decode("utf-8", "backslashreplace")


def read_text(path: str | Path, limit: int = 256 * 1024) -> str | None:
    """The beginning of a regular file; None where there is none, or no right to it."""
    try:
        if not Path(path).is_file():
            return None
        with Path(path).open("rb") as file:
            return as_text(file.read(limit))
    except OSError:
        return None


def is_number(text: str) -> bool:
    """True if `int` reads it, and the kernel wrote it: `str.isdigit` is true of `²` too, and `int` ends at 4,300 digits."""
    return text.isascii() and text.isdecimal() and len(text) <= 20


def with_whole_pairs(json: str) -> str:
    r"""A text of JSON in which no escape is half of a surrogate pair. Go reads such as U+FFFD; Python's `json` as what nobody
    can encode. It keeps its length."""
    return _ESCAPES.sub(lambda match: r"\ufffd" if match[1] else match[0], json) if r"\u" in json else json


_ESCAPES = regex(r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL)
