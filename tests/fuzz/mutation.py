"""Structured data with a few things changed, as the bytes of an input say: the fuzzer finds which changes lead further."""

from __future__ import annotations

from typing import Any

Path = tuple[str | int, ...]

STRINGS = (
    "", " ", "-", "--", "\0", "\n", "\x1b[31m", "\u202e", "é" * 40, "a" * 300, "0", "-1", "65536", "9" * 5000, "٣", "²",
    "host", "outside", "none", "bridge", "localhost", "tcp", "/", "//", "..", "../../etc/shadow", "$(:>/x)", "'", '"', "`:`",
    "%s", "{}", "0.0.0.0", "::", "127.0.0.11", "255.255.255.255", "10.0.0.0/8", "10.0.0.0/33", "10.0.0.0/-1", "::/0",
    "fd00::/129", "fe80::1%eth0", "1.2.3", "1.2.3.4.5", "[::1]:80", "1-65535", "80:", ":80", "a:b:c", "@", "a@b",
    "http://", "tcp://[::1", "2026-01-02T03:04:05Z", "0001-01-01T00:00:00Z", "ff:ff:ff:ff:ff:ff", "*", "[", "(", "\\",
    "overlay", "container:x", "1e9", "not a date", "0x7f",
)  # fmt: skip
NUMBERS = (0, 1, -1, 2, 31, 32, 33, 64, 128, 129, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32, 2**63 - 1, -(2**63))
OTHERS: tuple[Any, ...] = (None, True, False, [], {}, 1.5, -0.0, 1e300, [[]], [None], {"": None})
_MOST_CHANGES = 6


class Choices:
    """Decisions read from bytes; those that are not there are zero."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def below(self, number: int) -> int:
        """A number from 0 to `number` - 1."""
        size = (max(1, number - 1).bit_length() + 7) // 8
        found = self._data[self._at : self._at + size]
        self._at += size
        return int.from_bytes(found, "little") % max(1, number)

    def of(self, items: Any) -> Any:
        return items[self.below(len(items))]

    def piece(self) -> bytes:
        """A piece of the input, its length before it."""
        size = self.below(256)
        found = self._data[self._at : self._at + size]
        self._at += size
        return found

    def rest(self) -> bytes:
        found = self._data[self._at :]
        self._at = len(self._data)
        return found

    @property
    def left(self) -> bool:
        return self._at < len(self._data)


def paths(value: Any) -> list[Path]:
    """Where everything in a structure of dicts and lists stands, the whole first."""
    found: list[Path] = [()]
    for path in found:
        here = at(value, path)
        if isinstance(here, dict):
            found += [(*path, key) for key in here]
        elif isinstance(here, list):
            found += [(*path, index) for index in range(len(here))]
    return found


def at(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value


def mutated(value: Any, places: list[Path], choices: Choices) -> Any:
    """A copy of `value` with a few things changed; `places` are its paths."""
    for _ in range(_MOST_CHANGES):
        if not choices.left:
            break
        path = choices.of(places)
        try:
            value = _with(value, path, choices, places, value)
        except (KeyError, IndexError, TypeError, AttributeError):
            continue  # an earlier change took the place away
    return value


def _with(value: Any, path: Path, choices: Choices, places: list[Path], whole: Any) -> Any:
    """Only what leads to the place is copied."""
    if not path:
        return _changed(value, choices, places, whole)
    copy = value.copy()
    copy[path[0]] = _with(value[path[0]], path[1:], choices, places, whole)
    return copy


def _changed(value: Any, choices: Choices, places: list[Path], whole: Any) -> Any:
    manner = choices.below(8)
    if manner == 0:
        return choices.of((*OTHERS, choices.of(STRINGS), choices.of(NUMBERS)))  # of another type, most likely
    if manner == 1:
        return at(whole, choices.of(places))
    if isinstance(value, str):
        return _text(value, choices)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return choices.of(NUMBERS) if manner < 5 else value + choices.below(256) - 128
    if isinstance(value, list):
        return _list(value, choices)
    if isinstance(value, dict):
        return {key: item for key, item in value.items() if choices.below(4)}
    return choices.of((None, choices.of(STRINGS), choices.of(NUMBERS)))


def _text(value: str, choices: Choices) -> str:
    manner = choices.below(4)
    if manner == 0:
        return str(choices.of(STRINGS))
    if manner == 1:
        return choices.piece().decode("utf-8", "replace")
    begin = choices.below(len(value) + 1)
    new = choices.of(STRINGS) if manner == 2 else choices.piece().decode("utf-8", "replace")
    return f"{value[:begin]}{new}{value[begin + choices.below(4) :]}"


def _list(value: list[Any], choices: Choices) -> list[Any]:
    begin = choices.below(len(value) + 1)
    manner = choices.below(4)
    if manner == 0:
        return value[:begin]
    if manner == 1:
        return value[:begin] + value[begin + 1 :]
    return value + value[begin : begin + 1] if manner == 2 else value[::-1]
