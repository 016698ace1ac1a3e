"""Which causes an error text speaks of, and their pages for a terminal."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from msgspec import Struct

from dockernet_doctor.diagnosis.check import Registered
from dockernet_doctor.notation import listed
from dockernet_doctor.regex import regex

from . import ticket
from .model import TOOL, Tool
from .words import visible, visible_lines

MOST = 20
_LISTED = 8  # with their titles; a reader in a hurry takes no more
#: Of a long phrase's words, the share that must stand in the text, in order, where some are names.
ENOUGH = 0.8
_SHORTEST_LOOSE = 8
#: In a phrase: a name of up to four words.
GAP = "…"
_FEW_WORDS = r"(?: \S+){0,4}"

# What differs from case to case: addresses, ids, hardware addresses, numbers with what is glued to them, placeholders.
_VARIABLE = regex(
    r"""<[^<>\s]{1,30}>
    | \b[0-9a-f]{12,64}\b
    | \b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b
    | \[?(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}\]?(?::\d+)?(?=[\s/,.;)]|$)
    | \b\d[\d.:/-]*(?:/(?:tcp|udp))?""",
    re.VERBOSE,
)
_WORD = regex(r"[^\W_]+(?:_[^\W_]+)*")

# How browsers, runtimes, clients and musl word what the checks know by the kernel's or glibc's name.
_WORDINGS = {
    "connection refused": (
        r"couldn't connect to server|can't establish a connection to the server|refused to connect|connection to \S+ refused",
        r"actively refused it|communications link failure|\(111\)|errno 111|econnrefused|err_connection_refused",
        r"network-related or instance-specific error|unable to revive connection|no living connections",
        r"can't reach database server|failed to connect to all addresses|failed to connect to server \S+ on first connect",
    ),
    "connection reset by peer": (r"connection was reset|connection was forcibly closed|econnreset|err_connection_reset",),
    "empty reply from server": (
        r"remote end closed connection without response|connection closed by foreign host|socket hang up",
        r"upstream prematurely closed connection|err_empty_response",
    ),
    "connection timed out": (
        r"operation timed out|timeout expired|took too long to respond|download timed out|i/o timeout|connecttimeout",
        r"request canceled while waiting for connection|did not properly respond after a period of time",
        r"\(110\)|errno 110|etimedout|err_connection_timed_out",
    ),
    "could not resolve host": (
        r"enotfound|err_name_not_resolved|unknownhostexception|no such host|nodename nor servname provided",
        r"name does not resolve|no address associated with hostname|getaddrinfo failed|could not resolve '[\w-]+\.",
        r"could not find host|unknown \S+ server host|error (?:-[235]|11001) connecting to",
    ),
    "temporary failure in name resolution": (r"eai_again",),
    "no route to host": (r"\(113\)|errno 113|ehostunreach|err_address_unreachable|host is unreachable",),
    "network is unreachable": (r"enetunreach|network unreachable",),
    "gateway timeout": (r"gateway time-out|gateway timeouts",),
    "bind: address already in use": (r"eaddrinuse|only one usage of each socket address",),
    "502 bad gateway": (r"no live upstreams|bad gateway|upstream connect error",),
}


class ExplainedCause(Struct, frozen=True, kw_only=True):
    cause: str
    title: str
    page: str  # Markdown


class Explanation(Struct, frozen=True, kw_only=True):
    schema: Literal["dockernet-doctor/explain/1"]
    tool: Tool
    query: str
    causes: tuple[ExplainedCause, ...]  # likeliest first


def explanation(query: str, entries: Sequence[Registered]) -> Explanation:
    return Explanation(
        schema="dockernet-doctor/explain/1",
        tool=TOOL,
        query=query,
        causes=tuple(
            ExplainedCause(cause=entry.check.cause, title=entry.check.title, page=page_of(entry)) for entry in entries
        ),
    )


def page_of(entry: Registered) -> str:
    """The Markdown beside the check; where a stranger has none, its title."""
    if entry.page:
        try:
            return Path(entry.page).read_text(encoding="utf-8", errors="replace")
        except OSError:
            pass
    return f"# {entry.check.cause}\n\n{entry.check.title}.\n"


# --- error text → causes


def causes_of(text: str, registered: Mapping[str, Registered]) -> list[Registered]:
    """The causes whose phrases the text holds, the most specific phrase first, then those that most tickets are."""
    best: dict[str, tuple[float, Registered]] = {}
    for line in ticket.lines(text):
        for score, entry in _scored(line, registered):
            cause = entry.check.cause
            best[cause] = max(best.get(cause, (0.0, entry)), (score, entry), key=lambda found: found[0])
    ranked = sorted(
        best.values(), key=lambda it: (-it[0], not it[1].check.frequent, not it[1].check.article, it[1].check.cause)
    )
    return [entry for _, entry in ranked[:MOST]]


def _scored(text: str, registered: Mapping[str, Registered]) -> Iterator[tuple[float, Registered]]:
    """The causes of which a phrase stands in this line, with how much of it that accounts for."""
    lower = text.lower().replace("’", "'")
    meant = (
        known for known, wordings in _WORDINGS.items() if any(re.search(rf"(?<!\w)(?:{w})(?!\w)", lower) for w in wordings)
    )
    full = " ".join((lower, *meant, _kind_of_name(ticket.unresolved(text))))
    words = normalised(full)
    for entry in registered.values():
        score = max((_score(phrase, full, words) for phrase in entry.check.phrases), default=0.0)
        if score > 0:
            yield score, entry


def _kind_of_name(unresolved: str) -> str:
    """What a phrase can say of a name that was not resolved.

    Docker's DNS answers plain names, the servers behind it the rest; a container's id is the hostname that a service hands out.
    """
    if not unresolved:
        return ""
    if unresolved.lower().endswith(".docker.internal"):
        return "name of docker desktop unresolved"
    if re.fullmatch(r"[0-9a-f]{12}", unresolved):
        return "container id unresolved as a name"
    return "name with a domain left unresolved" if "." in unresolved else "plain name left unresolved by docker"


def normalised(text: str) -> list[str]:
    """The words of a text in lower case, without what differs from case to case."""
    return _WORD.findall(_VARIABLE.sub(" ", text.lower()))


class _Phrase(NamedTuple):
    """A phrase as lines are held against it, which are many."""

    numbers: tuple[re.Pattern[str], ...]
    told: tuple[str, ...]  # its words
    gaps: bool
    whole: re.Pattern[str]


@cache
def _read(phrase: str) -> _Phrase:
    numbers = (found.rstrip(".:/-") for found in _VARIABLE.findall(phrase) if not found.startswith("<"))
    pieces = [normalised(piece) for piece in phrase.split(GAP)]
    return _Phrase(
        numbers=tuple(re.compile(rf"(?<![\w.]){re.escape(number)}(?![\w.]\w)") for number in numbers),
        told=tuple(word for piece in pieces for word in piece),
        gaps=len(pieces) > 1,
        whole=_standing(pieces),
    )


def _score(phrase: str, text: str, words: list[str]) -> float:
    """How much of the text the phrase accounts for: its length where it stands there whole, less where names differ.

    A number that the phrase names (an address, a port, an errno) belongs to what it tells: the text has to hold it too.
    """
    read, there = _read(phrase), set(words)
    told, known = read.told, sum(word in there for word in read.told)
    if not known or not all(number.search(text) for number in read.numbers):
        return 0.0
    if known == len(told) and read.whole.search(_spaced(words)):
        return len(told) + len(read.numbers) - (0.5 if read.gaps else 0.0)
    # somebody may also type only the beginning, or the telling part, of a longer text
    if 2 <= len(words) <= len(told) and _standing([words]).search(_spaced(told)):
        return len(words) - 0.5
    if read.gaps or len(told) < _SHORTEST_LOOSE or known < ENOUGH * len(told):
        return 0.0
    common = _in_order(list(told), words)
    return common - 1.0 if common >= ENOUGH * len(told) else 0.0


def _standing(pieces: list[list[str]]) -> re.Pattern[str]:
    """Matches `_spaced` words in which the pieces stand one behind the other, with a few words between them at most."""
    spelt = (re.escape("".join(f" {word}" for word in piece)) for piece in pieces)
    return re.compile(rf"{_FEW_WORDS.join(spelt)}(?= )")


def _spaced(words: Iterable[str]) -> str:
    return f" {' '.join(words)} "


def _in_order(one: list[str], other: list[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for word in one:
        above = 0
        for index, candidate in enumerate(other, 1):
            above, row[index] = row[index], above + 1 if word == candidate else max(row[index], row[index - 1])
    return row[-1]


# --- a page for a terminal

Heading = Callable[[str], str]


def page_text(markdown: str, *, width: int = 80, heading: Heading = str, code: Heading = str) -> str:
    """The page without its marks: paragraphs filled to `width`, code as it is, headings and code as the two paint them."""
    return visible_lines_but_paint("".join(f"{line}\n" for line in _page(markdown, width, heading, code)))


def visible_lines_but_paint(text: str) -> str:
    """Our own colours stay, everything else that a terminal could obey is shown."""
    parts = re.split(r"(\x1b\[[0-9;]*m)", text)
    return "".join(part if index % 2 else visible_lines(part) for index, part in enumerate(parts))


def _page(markdown: str, width: int, heading: Heading, code: Heading) -> Iterator[str]:
    paragraph: list[str] = []
    fenced = False
    for line in [*re.sub(r"\x1b\[[0-9;]*m", "", markdown).splitlines(), ""]:
        if line.startswith("```"):
            yield from _filled(paragraph, width, code)
            fenced = not fenced
        elif fenced or (line.startswith("    ") and not paragraph):
            yield code(f"    {line}" if fenced else line)
        elif line.startswith(("#", "|")) or not line.strip():
            yield from _filled(paragraph, width, code)
            yield heading(line.lstrip("# ")) if line.startswith("#") else line.rstrip()
        elif re.match(r"\s*([-*]|\d+\.) ", line):
            yield from _filled(paragraph, width, code)
            paragraph.append(line)
        else:
            paragraph.append(line.strip())


def _filled(paragraph: list[str], width: int, code: Heading) -> Iterator[str]:
    """The gathered lines as one paragraph or list item; empties the list."""
    if not paragraph:
        return
    text = " ".join(paragraph)
    paragraph.clear()
    indent = len(text) - len(text.lstrip())
    item = re.match(r"\s*([-*]|\d+\.) ", text)
    hang = " " * (len(item[0]) if item else indent)
    text = re.sub(r"\[([^\]]+)\]\(([^)]+)\)", r"\1 (\2)", text)
    inside = 0
    for line in textwrap.wrap(text, width, subsequent_indent=hang, break_long_words=False, break_on_hyphens=False):
        parts = line.split("`")
        yield "".join(code(part) if part and (index + inside) % 2 else part for index, part in enumerate(parts))
        inside = (inside + len(parts) - 1) % 2  # code may go on in the next line


def choice_text(
    query: str, entries: Sequence[Registered], shown: Mapping[str, str] = {}, *, width: int = 80, heading: Heading = str
) -> str:
    """Several causes fit: which, in order, and how to read on. `shown` are those that a host shows: cause → its sentence."""
    asked = visible(textwrap.shorten(query, 200, placeholder=" …"))
    lines = [f"This host shows: {visible(sentence)} ({visible(cause)})" for cause, sentence in shown.items()]
    lines += [*([""] if lines else []), f"{asked!r} can mean, most common first:", ""]
    shortly = entries if len(entries) <= _LISTED + 1 else entries[:_LISTED]
    room = max(len(entry.check.cause) for entry in shortly)
    for entry in shortly:
        lead = f"  {visible(entry.check.cause).ljust(room)}  "
        wrapped = textwrap.wrap(visible(entry.check.title), max(width - len(lead), 30)) or [""]
        lines.append(f"  {heading(visible(entry.check.cause))}{' ' * (room - len(entry.check.cause))}  {wrapped[0]}")
        lines += [" " * len(lead) + line for line in wrapped[1:]]
    if rarer := entries[len(shortly) :]:
        less = f"Less often: {listed(visible(entry.check.cause) for entry in rarer)}."
        lines += ["", *textwrap.wrap(less, width, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)]
    tests = [*ticket.commands(query)] or ["dockernet-doctor reach SRC DST"]
    lines += ["", f"Which of them it is here:   {visible(tests[0])}"]
    lines += [f"                            {visible(test)}" for test in tests[1:]]
    lines += [f"What one of them means:     dockernet-doctor explain {visible(entries[0].check.cause)}"]
    return "\n".join(lines) + "\n"
