"""`python -m tests.tickets.texts`: how many of the real error texts `explain` answers rightly, in each half, and which not.

Texts answered rightly: of half `a` 82 of 98 before phrases were mended by it, 98 after. Of half `b`, which was not read
for that, 67 of 92 before and 73 after; then its misses were read and mended too, but for four. Halves `c` and `d` are
further threads: of `c` 87 of 105 before phrases were mended by it and 103 after; of `d`, not read for that, 86 of 105 before
and 90 after; then its misses were read and mended, too, but for those that are prose. Half `e`: 27 of 30 before, 29 after.
Half `f`: 31 of 39 on the first run, 39 after.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from dockernet_doctor.commands import explain
from dockernet_doctor.diagnosis import registry
from dockernet_doctor.errors import NotExaminableError

FIRST = 5
"""Among so many an expected cause must stand."""

REGISTRY = registry.load()


class Text(NamedTuple):
    half: str
    causes: tuple[str, ...]
    thread: str
    text: str


def listed() -> list[Text]:
    lines = (Path(__file__).parent / "texts.tsv").read_text(encoding="utf-8").splitlines()
    rows = (line.split("\t") for line in lines[1:])
    return [Text(half, tuple(causes.split("|")), thread, text.replace(r"\n", "\n")) for half, causes, thread, text in rows]


def answered(text: Text) -> list[str]:
    """The first causes that `explain` names; `daemon` or `-` where it names none."""
    try:
        return [entry.check.cause for entry in explain.find(text.text, REGISTRY)[:FIRST]]
    except NotExaminableError as error:
        return ["daemon" if "the daemon's own connection" in str(error) else "-"]


def is_right(text: Text) -> bool:
    return not set(text.causes).isdisjoint(answered(text))


if __name__ == "__main__":
    for half in "abcdef":  # what half d says is for the score alone
        texts = [text for text in listed() if text.half == half]
        wrong = [text for text in texts if not is_right(text)]
        print(f"half {half}: {len(texts) - len(wrong)} of {len(texts)} right")
        for text in wrong if half != "d" else ():
            print(f"  {'|'.join(text.causes)}: {answered(text)}\n    {text.text!r}")
