"""Where the programs of this machine are."""

from __future__ import annotations

import os

SEARCH_PATH = "/usr/sbin:/sbin:/usr/bin:/bin:/usr/local/sbin:/usr/local/bin"


def find_program(name: str) -> str:
    """Path of a program, looked for in PATH and in the directories of the administrator's programs; "" when absent."""
    # Not by shutil, which brings the archive formats with it.
    paths = (f"{folder}/{name}" for folder in f"{os.environ.get('PATH', '')}:{SEARCH_PATH}".split(":") if folder)
    return next((path for path in paths if os.access(path, os.X_OK) and os.path.isfile(path)), "")  # noqa: PTH113
