"""Which programs bring Go's own resolver."""

from __future__ import annotations

import os
import struct

import pytest

from dockernet_doctor.snapshot.go_program import is_static_go, names_go

_INTERPRETER, _LOAD, _NOTE = 3, 1, 4


def program(*headers: int, owner: bytes = b"Go\0\0") -> bytes:
    """The first page of an x86-64 program with these program headers, and one note."""
    table, note = 64, 0x400
    head = (
        b"\x7fELF\x02\x01\x01"
        + bytes(9)
        + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, table, 0, 0, 64, 56, len(headers), 0, 0, 0)
    )
    for kind in headers:
        head += struct.pack("<IIQQQQQQ", kind, 4, note, 0, 0, 16, 16, 4)
    return head.ljust(note, b"\0") + struct.pack("<III", 4, 83, 4) + owner + bytes(64)


@pytest.mark.parametrize(
    ("head", "go"),
    [
        (program(_LOAD, _NOTE), True),
        (program(_LOAD, _NOTE, _INTERPRETER), False),  # linked with cgo: by the libc of its image
        (program(_LOAD, _NOTE, owner=b"GNU\0"), False),
        (program(_LOAD), False),
        (program(_NOTE)[:80], False),
        (b"#!/bin/sh\n", False),
        (b"", False),
    ],
)
def test_a_static_program_of_go_is_told_by_its_note(head: bytes, go: bool) -> None:
    try:
        found = names_go(head)
    except struct.error:  # cut off: `is_static_go` says no
        found = False
    assert found is go


def test_python_is_none() -> None:
    assert not is_static_go(os.getpid())
