"""A report read back from its JSON. It comes from a file of somebody's: read within bounds, and refused in one line."""

from __future__ import annotations

import msgspec

from dockernet_doctor.errors import NotExaminableError

from .model import Report

SCHEMA = "dockernet-doctor/report/1"


class _Head(msgspec.Struct):
    schema: str = ""


def is_report(data: bytes) -> bool:
    """True for JSON that calls itself a report of this tool, of whatever version."""
    if data.lstrip()[:1] != b"{":
        return False
    try:
        return msgspec.json.decode(data, type=_Head).schema.startswith("dockernet-doctor/report/")
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False


def loads(data: bytes, name: str) -> Report:
    """The report in these bytes; `name` says in errors where they came from. NotExaminableError where it is none, or one of
    another version."""
    try:
        schema = msgspec.json.decode(data, type=_Head).schema
        if schema != SCHEMA:
            raise NotExaminableError(f"{name}: this version reads {SCHEMA}, not {schema[:60]!r}")
        return msgspec.json.decode(data, type=Report)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise NotExaminableError(f"{name}: not a report of dockernet-doctor, or damaged: {error}") from error
