"""Regular expressions compiled when they are first used, for those that most runs do not use: there are fifty of them."""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast


def regex(text: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """What `re.compile` gives, by its methods and attributes; to the functions of `re` itself it is no pattern."""
    return cast("re.Pattern[AnyStr]", _Regex(text, flags))


class _Regex:
    def __init__(self, *source: Any) -> None:
        self._source = source

    def __getattr__(self, name: str) -> Any:
        """Python asks for what is not there yet. From then on it is: later uses cost what they do of a compiled pattern."""
        value = getattr(re.compile(*self._source), name)  # which `re` keeps, so that each is compiled once
        setattr(self, name, value)
        return value
