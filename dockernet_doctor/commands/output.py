"""Where a report goes: standard output, and the files of --output."""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import IOBase
from typing import Any, NamedTuple, Protocol

import click

from dockernet_doctor.errors import ReportNotWrittenError
from dockernet_doctor.files import write_file
from dockernet_doctor.report.words import encodable, visible

from .options import Settings


class Render(Protocol):
    def __call__(self, format_name: str, colour: bool, width: int, /) -> str: ...


class Texts(NamedTuple):
    """A report in every format asked for."""

    files: tuple[tuple[str, str], ...]  # path, text
    shown: str


def deliver(render: Render, settings: Settings, *, paged: bool = False) -> None:
    """Writes what `render` gives, in every format asked for; see `write`."""
    write(rendered(render, settings), settings, paged=paged)


def rendered(render: Render, settings: Settings) -> Texts:
    files = tuple((path, render(name, False, 80)) for name, path in settings.output)
    return Texts(files, render(settings.format, colours(settings.color), columns()))


def write(texts: Texts, settings: Settings, *, paged: bool = False) -> None:
    """To standard output and the files of --output. ReportNotWrittenError, once all that can be written is.

    `paged`: text that a terminal is too small for goes through the pager.
    """
    failures = []
    for path, text in texts.files:
        try:
            write_file(path, text.encode("utf-8", "backslashreplace"))
        except OSError as error:
            failures.append(f"{path}: {error.strerror or error}")
    try:
        text = texts.shown
        if paged and settings.format == "text" and sys.stdout.isatty() and text.count("\n") >= _terminal().lines:
            with _left_to_the_pager():
                click.echo_via_pager(text, color=colours(settings.color))
        else:
            show_bytes(_encoded(text, text_format=settings.format == "text"))
    except OSError as error:
        failures.append(f"standard output: {error.strerror or error}")
    if failures:
        raise ReportNotWrittenError(f"the report could not be written: {'; '.join(failures)}")


@contextmanager
def _left_to_the_pager() -> Iterator[None]:
    """Ctrl-C is the pager's, which would be left alone with the terminal."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def show(text: str, *, text_format: bool = True) -> None:
    """To standard output. A closed pipe is no error. ReportNotWrittenError."""
    try:
        show_bytes(_encoded(text, text_format=text_format))
    except OSError as error:
        raise ReportNotWrittenError(f"standard output could not be written: {error.strerror or error}") from error


def _encoded(text: str, *, text_format: bool) -> bytes:
    """What is for people follows the encoding of standard output, the rest is UTF-8."""
    return encodable(text, (sys.stdout.encoding or "utf-8") if text_format else "utf-8")


def show_bytes(data: bytes) -> None:
    """As they are. OSError where they cannot be written, except that a reader who has seen enough is no error."""
    sys.stdout.flush()
    raw: Any = getattr(sys.stdout.buffer, "raw", sys.stdout.buffer)  # PYTHONUNBUFFERED leaves out what is between
    left = memoryview(data)
    try:
        while left:
            written = raw.write(left)
            if written is None:  # who shares the pipe set O_NONBLOCK, and its reader is slow
                select.select((), (raw,), ())
            left = left[written or 0 :]
    except OSError as error:
        _discard(raw)
        if error.errno != errno.EPIPE:
            raise


def say(line: str) -> None:
    """A message, to standard error. That it cannot be written is no error."""
    with suppress(OSError, ValueError):
        click.echo(visible(line), err=True)


def _discard(stream: IOBase) -> None:
    """What is still to come goes nowhere, so that the interpreter's last flush stays quiet."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
    except (OSError, ValueError):
        return


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
