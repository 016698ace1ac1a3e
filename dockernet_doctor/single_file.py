"""The single file that `make dist` makes: is this it, and what does it hold?"""

from __future__ import annotations

import os
import sys

_OF_LOADERS = ("_PYI_", "_MEIPASS", "STATICX_")


_path = ""


def path() -> str:
    """Where the single file lies; "" where this is none."""
    return _path


def is_single_file() -> bool:
    return bool(getattr(sys, "frozen", False))


def restore_environment() -> None:
    """Removes what the file's loaders set, before anything is started: the host's programs load the host's libraries."""
    global _path  # noqa: PLW0603 - told here only
    _path = os.environ.get("STATICX_PROG_PATH", "")
    for name in list(os.environ):
        if name.startswith(_OF_LOADERS):
            del os.environ[name]
    before = os.environ.pop("LD_LIBRARY_PATH_ORIG", None)
    os.environ.pop("LD_LIBRARY_PATH", None)
    if before is not None:
        os.environ["LD_LIBRARY_PATH"] = before
