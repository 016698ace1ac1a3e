"""One input, with a limit of time that no load of the machine brings nearer: it counts computing, not waiting."""

from __future__ import annotations

import hashlib
import signal
import time
import traceback
from collections.abc import Callable
from types import FrameType

LIMIT_S = 2.0


class TooLongError(BaseException):
    """An input cost more than `LIMIT_S`. No Exception: nothing may take it for an error that it copes with."""


def tried(once: Callable[[bytes], object], data: bytes, limit_s: float = LIMIT_S) -> BaseException | None:
    """What the input raised, or that it took too long; None where all is well."""
    signal.signal(signal.SIGPROF, _too_long)
    started = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, limit_s)
    try:
        once(data)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return error
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    # what C code does in one go no alarm cuts short
    return TooLongError() if time.process_time() - started > limit_s else None


def _too_long(_signal: int, _frame: FrameType | None) -> None:
    raise TooLongError


def name(error: BaseException) -> str:
    """The same for the same fault: its type, and where it was raised."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/dockernet_doctor" in frame.filename]
    where = [f"{frame.filename.rpartition('/')[2]}:{frame.name}:{frame.lineno}" for frame in frames[-1:]] or [str(error)]
    return f"{type(error).__name__}-{hashlib.sha256(f'{type(error).__name__} {where[0]}'.encode()).hexdigest()[:10]}"
