"""What this program writes: files, the whole of each or none of it, and pipes, whose readers may not read."""

from __future__ import annotations

import errno
import math
import os
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dockernet_doctor import ending
from dockernet_doctor.deadline import OutOfTimeError, until

_PIECE = 4096  # bytes: what a pipe takes at once or not at all (pipe(7))
_LEAST_S = 0.05
"""What a reader has for each piece, however late it is: only who reads nothing is not waited for."""


def write_file(path: str, data: bytes, *, mode: int | None = None, by: float = math.inf) -> None:
    """Written beside, then renamed over; a device or pipe is written to as it is. OSError.

    `mode` is that of the file; without one it keeps what it has, or gets what new files get. `by`: see `write_stream`.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        with _in_time(by):
            pipe = target.open("wb", buffering=0)
        with pipe:
            write_stream(pipe, data, by)
        return
    beside = target.with_name(f".{target.name[:200]}.{os.urandom(6).hex()}")
    ending.creates(str(beside))
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), _mode(target) if mode is None else mode)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    finally:
        ending.keeps(str(beside))


def write_stream(raw: Any, data: bytes, by: float) -> None:
    """To a stream without a buffer, as it is. OSError: TimeoutError where `by` of time.monotonic() nobody has read it."""
    left = memoryview(data)
    while left:
        with _in_time(by):
            written = raw.write(left[:_PIECE])
            if written is None:  # who shares the pipe set O_NONBLOCK, and its reader is slow
                select.select((), (raw,), ())
        left = left[written or 0 :]


@contextmanager
def _in_time(by: float) -> Iterator[None]:
    try:
        with until(max(by, time.monotonic() + _LEAST_S)):
            yield
    except OutOfTimeError:
        raise TimeoutError(errno.ETIMEDOUT, "nobody read it in time") from None


def _mode(target: Path) -> int:
    """What the file has, or what a new one would get."""
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
