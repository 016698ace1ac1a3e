"""Entry point: what an error, an interrupt and a closed pipe look like from outside."""

# ruff: noqa: E402 - signals come first
from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import sys

_IS_PROGRAM = __name__ == "__main__" or sys.argv[0].rpartition("/")[2].startswith("dockernet-doctor")
if _IS_PROGRAM and _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)  # no traceback from here on; importing `signal` takes longer than this

from dockernet_doctor import ending

if _IS_PROGRAM:  # and not imported by another
    ending.catch_signals()

import errno
import gc
import os
from contextlib import suppress
from typing import NoReturn

from dockernet_doctor.deadline import OutOfTimeError, hook

_LONGEST_WORD = 200  # characters of one in an error, which may repeat what was typed


def main(arguments: list[str] | None = None) -> NoReturn:
    """Runs the command line and ends the process with the design's exit status."""
    # One run, and its snapshot lives until the end: looking for cycles costs a tenth of the time and frees next to nothing.
    gc.disable()
    sys.unraisablehook = hook
    ending.catch_signals()
    _open_streams()
    status = run(sys.argv[1:] if arguments is None else arguments)
    _flush()
    ending.now(status)


def _open_streams() -> None:
    """In place of standard streams that were closed by who started this, whose numbers would go to sockets: nothing is to be
    read, what is said is lost, and writing a report fails as it should."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            number = os.open(os.devnull, os.O_WRONLY if name == "stderr" else os.O_RDONLY)
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8"))


def run(arguments: list[str]) -> int:
    """Exit status of a command line. Errors become one line on standard error."""
    import click

    from .cli import invoke
    from .errors import DoctorError

    try:
        return invoke(arguments)
    except (click.Abort, KeyboardInterrupt):
        return 130
    except OutOfTimeError:
        _say("the time of the run was over before there was anything to report; give it more: --timeout 2m")
        return 3
    except click.ClickException as error:
        where = getattr(error, "ctx", None)
        page = f" (see {where.command_path} --help)" if where is not None else ""
        _say(f"{error.format_message()}{page}")
        return error.exit_code
    except DoctorError as error:
        _say(str(error))
        return error.status
    except (BrokenPipeError, SystemExit):  # the latter is how click ends when nobody reads its help
        _silence()
        return 0
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EBADF):
            return _internal(error, arguments)
        _silence()
        _say(f"standard output could not be written: {error.strerror}")
        return 4
    except BaseException as error:  # noqa: BLE001 - what nobody foresaw must end in a line, a log and status 4 too
        return _internal(error, arguments)


def _say(message: str) -> None:
    from .commands.output import say

    words = (word if len(word) <= _LONGEST_WORD else f"{word[:_LONGEST_WORD]}…" for word in message.split())
    say(f"dockernet-doctor: {' '.join(words)}")


def _internal(error: BaseException, arguments: list[str]) -> int:
    """One line and a log that can be pasted into an issue; with -v the traceback itself."""
    import traceback

    told = f"{type(error).__name__}: {error}"
    trace = "".join(traceback.format_exception(error))
    if "-v" in arguments or "--verbose" in arguments:
        from .report.words import visible_lines

        with suppress(OSError, ValueError):
            sys.stderr.write(visible_lines(trace))
        _say(f"internal error: {told}")
    else:
        _say(f"internal error: {told}; {_log(trace, arguments)}")
    return 4


def _log(trace: str, arguments: list[str]) -> str:
    """Written beside other temporary files; what is in it may name containers and addresses, so it is the user's own."""
    import platform
    import tempfile

    from . import __version__

    head = f"dockernet-doctor {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
    try:
        handle, path = tempfile.mkstemp(prefix="dockernet-doctor-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{head}arguments: {arguments!r}\n\n{trace}")
    except OSError:
        return "again with -v shows where"
    return f"please report it with {path}"


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue


def _silence() -> None:
    """Standard output goes nowhere from here on, so that flushing it at the end says nothing."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())


if __name__ == "__main__":
    main()
