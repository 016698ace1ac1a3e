"""What is going on, on standard error, on a terminal only, and gone at the end."""

from __future__ import annotations

import sys
import threading
from typing import TextIO

from dockernet_doctor.report.words import visible


class Progress:
    """Called with what is being done now. Silent where standard error is no terminal. Threads may share it."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._shown = self._stream.isatty()
        self._lock = threading.Lock()
        self._dirty = False

    def __call__(self, text: str) -> None:
        if not self._shown:
            return
        from shutil import get_terminal_size

        room = get_terminal_size().columns - 1
        with self._lock:
            self._write(f"\r\x1b[K{visible(text)[:room]}")
            self._dirty = True

    def clear(self) -> None:
        with self._lock:
            if self._dirty:
                self._write("\r\x1b[K")
                self._dirty = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, UnicodeEncodeError):
            self._shown = False
