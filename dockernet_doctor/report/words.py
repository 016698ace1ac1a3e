"""How things are written for people: escaping, numbers, counts, durations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from dockernet_doctor.moments import moment
from dockernet_doctor.notation import at, bracketed, listed
from dockernet_doctor.regex import regex

if TYPE_CHECKING:
    from .model import Report, ReportBlindSpot, ReportClients, ReportFinding, ReportFix, ReportPath

# Control characters (C0, DEL, C1), line and paragraph separators, what changes the direction of text, and what is not shown
# at all (Default_Ignorable_Code_Point of Unicode, but for what chooses how an emoji looks): all of them can make a terminal,
# a reader, or a program that is handed the report, see something else than what is there. Lone surrogates cannot be encoded.
_UNSAFE = regex(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ud800-\udfff\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)

_ASCII = str.maketrans(
    {
        "✗": "x",
        "✓": "+",
        "→": "->",
        "←": "<-",
        "…": "...",
        "–": "-",
        "—": "-",
        "×": "x",
        "≥": ">=",
        "≤": "<=",
        "·": "*",
        "─": "-",
        "│": "|",
        "├": "|",
        "└": "`",
        "’": "'",
        "“": '"',
        "”": '"',
        "„": '"',
    }
)


def visible(text: str) -> str:
    r"""The text with every character that a terminal could obey, or that nobody sees, written as \xNN, \uNNNN or \UNNNNNNNN; a
    tab is a space.

    Also fit for XML, whose version 1.0 knows none of these characters.
    """
    return _UNSAFE.sub(_escaped, text.replace("\t", " "))


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def visible_lines(text: str) -> str:
    """As `visible`, for text that may have several lines."""
    return "\n".join(visible(line) for line in text.split("\n"))


def encodable(text: str, encoding: str) -> bytes:
    """The text in this encoding; where it lacks a character, plain ASCII stands for it."""
    try:
        return text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return text.translate(_ASCII).encode("ascii", "backslashreplace")


def count(number: int, singular: str, plural: str = "") -> str:
    """`1 container`, `14 containers`."""
    return f"{number} {singular if number == 1 else plural or singular + 's'}"


def clean_bill(report: Report) -> str:
    """`no fault found`, and not more than that where some are known or accepted."""
    from dockernet_doctor.diagnosis.findings.accepted import COMMAND_LINE, IN_THE_BASELINE

    if any(it.suppression.reason == IN_THE_BASELINE for it in report.suppressed):
        return "no new fault found"
    return f"no {'other ' * any(it.suppression.origin != COMMAND_LINE for it in report.suppressed)}fault found"


def subjects(report: Report) -> str:
    """The containers that `check CONTAINER` was asked about; "" for the whole daemon."""
    return visible(listed(report.invocation.arguments)) if report.invocation.verb == "check" else ""


def sentence(text: str) -> str:
    """With a full stop, and never with two. Its first letter stays: it may be a name."""
    text = text.rstrip()
    return text if text.endswith((".", "!", "?", ":")) or not text else f"{text}."


def unseen(spot: ReportBlindSpot, *, host: bool = False) -> str:
    """`the firewall rules of this host: Operation not permitted (run as root).`, not escaped; `host`: with the host it has."""
    at = f" on {spot.host}" if host and spot.host else ""
    why = f": {spot.why}" if spot.why else ""
    remedy = f" ({spot.remedy.rstrip('.')})" if spot.remedy else ""
    return sentence(f"{spot.what}{at}{why}{remedy}")


def alike(findings: Iterable[ReportFinding]) -> list[list[ReportFinding]]:
    """Findings of one cause and severity together, where the first of them stands."""
    groups: dict[tuple[str, str], list[ReportFinding]] = {}
    for finding in findings:
        groups.setdefault((finding.cause, finding.severity), []).append(finding)
    return list(groups.values())


def asker(path: ReportPath) -> str:
    """Who asks: `the host`, `another machine`, or the container."""
    name, _, host = path.source.partition("@")
    known = {"host": "the host", "outside": "another machine"}.get(name)
    return f"{known}{f' ({visible(host)})' if host else ''}" if known else visible(path.source)


def address(path: ReportPath) -> str:
    """`10.0.0.5:80`, `[::1]:80`; "" where none is known."""
    if not path.destination.address:
        return ""
    port = path.destination.port
    return visible(at(path.destination.address, port) if port else bracketed(path.destination.address))


def titles(paths: Sequence[ReportPath]) -> list[str]:
    """`api → db:5432 at 172.18.0.2:5432` of each path; of other machines, where not all go one way, which they are."""
    ways: dict[str, set[object]] = {}
    for path in paths:
        ways.setdefault(_title(path), set()).add((path.verdict, path.hops))
    return [_title(path, clients=len(ways[_title(path)]) > 1) for path in paths]


def _title(path: ReportPath, *, clients: bool = False) -> str:
    name, there = visible(path.destination.name), address(path)
    way = f"{name} at {there}" if there and there != name else name
    if path.destination.protocol == "udp" and not way.endswith("/udp"):
        way = f"{way}/udp"
    return f"{listed(map(_told, path.clients)) if clients and path.clients else asker(path)} → {way}"


def _told(clients: ReportClients) -> str:
    from dockernet_doctor.diagnosis.path import Clients

    some = Clients(interface=clients.interface, via=clients.via, prefixes=clients.prefixes, family=clients.family)
    return visible(str(some))


def seconds(value: float) -> str:
    """`0.9 s`, `12 s`, `3 min 5 s`."""
    if value < 10:
        return f"{value:.1f} s"
    if value < 120:
        return f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def ago(then: str, now: str) -> str:
    """`6 days ago`, `3 hours ago`, `just now`; both RFC 3339, UTC where they name no zone."""
    passed = (_in_utc(now) - _in_utc(then)).total_seconds()
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if passed >= length:
            return f"{count(int(passed // length), unit)} ago"
    return "just now"


def _in_utc(text: str) -> datetime:
    read = moment(text)
    return read if read.tzinfo else read.replace(tzinfo=timezone.utc)


def milliseconds(value: float) -> str:
    return f"{value:.1f} ms" if value < 10 else f"{value:.0f} ms"


def costs(finding: ReportFinding, fix: ReportFix) -> Iterator[str]:
    """What the finding's fix changes, what else it opens, and how long it lasts; not escaped."""
    if fix.impacts:
        done: dict[str, list[str]] = {}  # a verb once, with all that it is done to
        for verb, _, what in (_impact(impact, finding, fix).partition(" ") for impact in fix.impacts):
            done.setdefault(verb, []).append(what)
        yield listed(f"{verb} {listed(dict.fromkeys(what))}" for verb, what in done.items())
    if fix.also:
        yield f"also opens {fix.also}"
    yield fix.lasts if fix.lasts == "permanent" else f"lasts {fix.lasts.replace('-', ' ')}"


_IMPACTS = {
    "changes-firewall": "changes the firewall",
    "changes-network": "changes a network",
    "changes-kernel": "changes a kernel setting",
    "edits-file": "edits a file",
    "restarts-daemon": "restarts the daemon",
    "reboots-host": "reboots the host",
}


def _impact(impact: str, finding: ReportFinding, fix: ReportFix) -> str:
    if impact in _IMPACTS:
        return _IMPACTS[impact]
    if impact == "restarts-container" and "restarts-daemon" in fix.impacts:
        return "restarts its containers"
    name = _worked_on(finding, fix) or "the container"
    if impact == "loses-container-data":
        return f"loses what {name} wrote outside its volumes"
    verb, _, noun = impact.partition("-")
    return f"{verb} {name}" if noun == "container" else impact.replace("-", " ")


def _worked_on(finding: ReportFinding, fix: ReportFix) -> str:
    """The container that the fix recreates or restarts: the one that its sentence names so, of those that the finding is about.
    A port's finding may be mended at whoever dials it."""
    affected = [a.name for a in finding.affects if a.kind == "container"]
    own = {"container": finding.subject.name, "port": finding.subject.name.rpartition(":")[0]}.get(finding.subject.kind, "")
    names = [name for name in (own, *affected) if name]
    said = (
        name
        for name in names
        if regex(rf"(?:[Rr]e(?:creates?|starts?)|Change \S+ of) {re.escape(name)}(?![\w-])").search(fix.summary)
    )
    return next(said, names[0] if names else "")
