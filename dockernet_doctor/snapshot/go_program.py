"""Which programs resolve names by Go's own resolver, whatever libc their image has: Go's, linked to no libc."""

from __future__ import annotations

import os
import struct
from contextlib import suppress

_INTERPRETER, _NOTE = 3, 4  # types of program headers (elf(5))
_OWNER = b"Go\0\0"
_HEAD = 4096  # Go writes the note of its build id into the first page


def is_static_go(pid: int) -> bool:
    """True if this process runs such a program; False, too, where its beginning cannot be read."""
    with suppress(OSError, struct.error):
        fd = os.open(f"/proc/{pid}/exe", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            return names_go(os.pread(fd, _HEAD, 0))
        finally:
            os.close(fd)
    return False


def names_go(head: bytes) -> bool:
    """True if the first page of a file is that of a 64-bit ELF program without an interpreter that bears Go's note."""
    if head[:5] != b"\x7fELF\x02":
        return False
    order = "<" if head[5:6] == b"\x01" else ">"
    (table,) = struct.unpack_from(f"{order}Q", head, 32)
    size, count = struct.unpack_from(f"{order}HH", head, 54)
    found = False
    for number in range(min(count, 32)):
        kind, _flags, offset = struct.unpack_from(f"{order}IIQ", head, table + number * size)
        if kind == _INTERPRETER:
            return False
        found = found or (kind == _NOTE and head[offset + 12 : offset + 16] == _OWNER)
    return found
