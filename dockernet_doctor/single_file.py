"""The single file that `make dist` makes: is this it, and what does it hold?"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

_OF_LOADERS = ("_PYI_", "_MEIPASS", "STATICX_", "DOCKERNET_DOCTOR_")
_path = ""


def path() -> str:
    """Where the single file lies; "" where this is none."""
    return _path


def is_single_file() -> bool:
    return bool(getattr(sys, "frozen", False))


def restore_environment() -> None:
    """Removes what the file's loaders set and start.c copied, before anything is started: the host's programs load the host's
    libraries."""
    global _path  # noqa: PLW0603 - told here only
    _path = os.environ.get("DOCKERNET_DOCTOR_FILE", "")
    if copy := os.environ.get("DOCKERNET_DOCTOR_COPY"):
        with contextlib.suppress(OSError):  # somebody else cleans there, too
            Path(copy).unlink()
            Path(copy).parent.rmdir()
    before = {"LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH_ORIG"), "TMPDIR": os.environ.get("DOCKERNET_DOCTOR_TMPDIR")}
    for name in list(os.environ):
        if name.startswith(_OF_LOADERS) or name in (*before, "LD_LIBRARY_PATH_ORIG"):
            del os.environ[name]
    os.environ |= {name: value for name, value in before.items() if value is not None}
