"""Files that this program writes: the whole of each, or none of it."""

from __future__ import annotations

import os
from pathlib import Path

from dockernet_doctor import ending


def write_file(path: str, data: bytes, *, mode: int | None = None) -> None:
    """Written beside, then renamed over; a device or pipe is written to as it is. OSError.

    `mode` is that of the file; without one it keeps what it has, or gets what new files get.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        with target.open("wb") as file:
            file.write(data)
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


def _mode(target: Path) -> int:
    """What the file has, or what a new one would get."""
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
