"""Where a report goes: standard output, and the files of --output."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import BinaryIO, Protocol

import click

from dockernet_doctor.errors import ReportNotWrittenError
from dockernet_doctor.report.words import encodable

from .options import Settings


class Render(Protocol):
    def __call__(self, format_name: str, colour: bool, width: int, /) -> str: ...


def deliver(render: Render, settings: Settings, *, paged: bool = False) -> None:
    """Writes what `render` gives, in every format asked for. ReportNotWrittenError, once all that can be written is.

    `paged`: text that a terminal is too small for goes through the pager.
    """
    failures = []
    for name, path in settings.output:
        try:
            write_file(path, render(name, False, 80).encode("utf-8", "backslashreplace"))
        except OSError as error:
            failures.append(f"{path}: {error.strerror or error}")
    try:
        text = render(settings.format, colours(settings.color), columns())
        if paged and settings.format == "text" and sys.stdout.isatty() and text.count("\n") >= _terminal().lines:
            click.echo_via_pager(text, color=colours(settings.color))
        else:
            show(text, text_format=settings.format == "text")
    except OSError as error:
        failures.append(f"standard output: {error.strerror or error}")
    if failures:
        raise ReportNotWrittenError(f"the report could not be written: {'; '.join(failures)}")


def show(text: str, *, text_format: bool = True) -> None:
    """To standard output. What is for people follows its encoding, the rest is UTF-8. A closed pipe is no error."""
    encoding = (sys.stdout.encoding or "utf-8") if text_format else "utf-8"
    show_bytes(encodable(text, encoding))


def show_bytes(data: bytes) -> None:
    """As they are. OSError where they cannot be written, except that a reader who has seen enough is no error."""
    sys.stdout.flush()
    binary = sys.stdout.buffer
    try:
        binary.write(data)
        binary.flush()
    except OSError as error:
        _discard(binary)
        if error.errno != errno.EPIPE:
            raise


def _discard(binary: BinaryIO) -> None:
    """What is still buffered goes nowhere, so that the interpreter's last flush stays quiet."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, binary.fileno())
    except (OSError, ValueError):
        return


def write_file(path: str, data: bytes) -> None:
    """The whole file or none of it: written beside, then renamed over. A device or pipe is written to as it is."""
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        with target.open("wb") as file:
            file.write(data)
        return
    import tempfile

    handle, beside = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), _mode(target))
            file.flush()
            os.fsync(file.fileno())
        Path(beside).replace(target)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def _mode(target: Path) -> int:
    """What the file has, or what a new one would get."""
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def colours(choice: str) -> bool:
    """Whether standard output gets colours: as said, else on a terminal that knows them, unless NO_COLOR is set."""
    if choice != "auto":
        return choice == "always"
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and sys.stdout.isatty()


def columns() -> int:
    """Of the terminal, between 40 and 120; 80 where there is none."""
    return min(max(_terminal().columns, 40), 120) if sys.stdout.isatty() else 80


def _terminal() -> os.terminal_size:
    from shutil import get_terminal_size

    return get_terminal_size((80, 24))
