"""JSON: the report's records as they are, safe to show on a terminal."""

from __future__ import annotations

import re

import msgspec

from .words import visible

# What JSON lets stand unescaped and a terminal may obey; inside a JSON text it can only be part of a string.
_RAW = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff]")
_PLAIN = bytes(range(0x7F))


def render(record: msgspec.Struct) -> str:
    """The record as indented JSON, ending in a line break. Parses to exactly the record's values."""
    try:
        encoded = msgspec.json.encode(record)
    except UnicodeEncodeError:  # a lone surrogate, from an argument that is no UTF-8
        encoded = msgspec.json.encode(_encodable(msgspec.to_builtins(record)))
    # What is not plain ASCII is little, and nearly never of that kind: to look there first is ten times as fast.
    is_plain = not _RAW.search(encoded.translate(None, _PLAIN).decode())
    encoded = msgspec.json.format(encoded, indent=2)  # of 5,000 containers some 50 MB: no copy is kept longer than needed
    text = encoded.decode()
    del encoded
    text += "\n"
    return text if is_plain else _RAW.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _encodable(value: object) -> object:
    if isinstance(value, str):
        return visible(value) if any("\ud800" <= char <= "\udfff" for char in value) else value
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(item) for item in value]
    return value
