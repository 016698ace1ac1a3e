"""Where a report goes: standard output, and the files of --output."""

from __future__ import annotations

import errno
import math
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, TextIO

import click

from dockernet_doctor.errors import ReportNotWrittenError
from dockernet_doctor.files import write_file, write_stream
from dockernet_doctor.report.words import encodable, visible

from .options import DEFAULT_TIMEOUT_S, Settings

_UNHEARD_S = 0.1  # how long a message waits for its reader


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
    return Texts(in_files(render, settings), render(settings.format, colours(settings.color), columns()))


def in_files(render: Render, settings: Settings) -> tuple[tuple[str, str], ...]:
    """Path and text of each file of --output."""
    return tuple((path, render(name, False, 80)) for name, path in settings.output)


def write(texts: Texts, settings: Settings, *, by: float | None = None, paged: bool = False) -> None:
    """To standard output and the files of --output. ReportNotWrittenError, once all that can be written is.

    `by`: when pipes that nobody reads are given up, of time.monotonic(); without it the settings' timeout from now on.
    `paged`: text that a terminal is too small for goes through the pager.
    """
    failures = []
    by = time.monotonic() + settings.timeout if by is None else by
    for path, text in texts.files:
        try:
            write_file(path, text.encode("utf-8", "backslashreplace"), by=by)
        except OSError as error:
            failures.append(f"{path}: {error.strerror or error}")
    try:
        text = texts.shown
        if paged and settings.format == "text" and sys.stdout.isatty() and text.count("\n") >= _terminal().lines:
            with _left_to_the_pager():
                click.echo_via_pager(text, color=colours(settings.color))
        else:
            show_bytes(_encoded(text, text_format=settings.format == "text"), by)
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
        show_bytes(_encoded(text, text_format=text_format), time.monotonic() + DEFAULT_TIMEOUT_S)
    except OSError as error:
        raise ReportNotWrittenError(f"standard output could not be written: {error.strerror or error}") from error


def _encoded(text: str, *, text_format: bool) -> bytes:
    """What is for people follows the encoding of standard output, the rest is UTF-8."""
    return encodable(text, (sys.stdout.encoding or "utf-8") if text_format else "utf-8")


def show_bytes(data: bytes, by: float) -> None:
    """As they are. OSError where they cannot be written, or `by` of time.monotonic() nobody has read them, except that a
    reader who has seen enough is no error. Where a person sits before it, the pager of a pipe may be read for long."""
    person = sys.stdout.isatty() or sys.stderr.isatty()
    try:
        write_stream(_raw(sys.stdout), data, math.inf if person else by)
    except OSError as error:
        _discard(sys.stdout)
        if error.errno != errno.EPIPE:
            raise


def say(line: str) -> None:
    """A message, to standard error. That it cannot be written, or nobody reads it, is no error."""
    encoding = sys.stderr.encoding or "utf-8"
    try:
        write_stream(_raw(sys.stderr), f"{visible(line)}\n".encode(encoding, "backslashreplace"), time.monotonic() + _UNHEARD_S)
    except (OSError, ValueError):
        _discard(sys.stderr)


def _raw(stream: TextIO) -> Any:
    """What is below its buffers, which are empty then."""
    stream.flush()
    return getattr(stream.buffer, "raw", stream.buffer)  # PYTHONUNBUFFERED leaves out what is between


def _discard(stream: TextIO) -> None:
    """What is still to come goes nowhere, so that the interpreter's last flush stays quiet."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
    except (OSError, ValueError):
        return


def colours(choice: str) -> bool:
    """True if standard output gets colours: as said, else on a terminal that knows them, unless NO_COLOR is set."""
    if choice != "auto":
        return choice == "always"
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and sys.stdout.isatty()


def columns() -> int:
    """The width of the terminal, between 40 and 120; 80 where there is none."""
    return min(max(_terminal().columns, 40), 120) if sys.stdout.isatty() else 80


def _terminal() -> os.terminal_size:
    from shutil import get_terminal_size

    return get_terminal_size((80, 24))
