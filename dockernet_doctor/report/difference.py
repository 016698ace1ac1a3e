"""What `diff` prints: findings that came, went and changed between two reports, and what changed on their hosts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Literal

from msgspec import Struct

from dockernet_doctor.diagnosis.facts.changes import changes
from dockernet_doctor.moments import now
from dockernet_doctor.snapshot.model import Snapshot

from .model import TOOL, Report, ReportFinding, ReportHost, Tool
from .words import count, sentence, visible

_MOST = 12  # lines of an area in the text; JSON has all


class Side(Struct, frozen=True, kw_only=True):
    """One of the two: a report, and the hosts that it is about where they could be read."""

    report: Report
    snapshots: tuple[Snapshot, ...] = ()


class Compared(Struct, frozen=True, kw_only=True):
    taken_at: str
    hosts: tuple[ReportHost, ...]
    complete: bool


class ChangedFinding(Struct, frozen=True, kw_only=True):
    """One id on both sides, of another severity or confidence, or told otherwise."""

    old: ReportFinding
    new: ReportFinding


class ReportChange(Struct, frozen=True, kw_only=True):
    host: str
    area: str
    what: str
    old: str | None  # None for what is new
    new: str | None  # None for what is gone


class Difference(Struct, frozen=True, kw_only=True):
    schema: Literal["dockernet-doctor/diff/1"]
    tool: Tool
    taken_at: str
    old: Compared
    new: Compared
    new_findings: tuple[ReportFinding, ...]
    gone_findings: tuple[ReportFinding, ...]
    changed_findings: tuple[ChangedFinding, ...]
    changes: tuple[ReportChange, ...]


def build(old: Side, new: Side) -> Difference:
    """The difference from `old` to `new`. What is accepted (suppressed) on a side counts as not found there."""
    before, after = ({finding.id: finding for finding in side.report.findings} for side in (old, new))
    return Difference(
        schema="dockernet-doctor/diff/1",
        tool=TOOL,
        taken_at=now(),
        old=_compared(old.report),
        new=_compared(new.report),
        new_findings=tuple(finding for key, finding in after.items() if key not in before),
        gone_findings=tuple(finding for key, finding in before.items() if key not in after),
        changed_findings=tuple(
            ChangedFinding(old=before[key], new=finding)
            for key, finding in after.items()
            if key in before and _judged(before[key]) != _judged(finding)
        ),
        changes=tuple(_changes(old.snapshots, new.snapshots)),
    )


def _compared(report: Report) -> Compared:
    taken_at = min((host.taken_at for host in report.hosts), default=report.taken_at)
    return Compared(taken_at=taken_at, hosts=report.hosts, complete=report.complete)


def _judged(finding: ReportFinding) -> tuple[str, ...]:
    return finding.severity, finding.confidence, finding.summary


def _changes(old: Sequence[Snapshot], new: Sequence[Snapshot]) -> Iterator[ReportChange]:
    """Hosts are paired by name; where each side has one, these two."""
    pairs = [(old[0], new[0])] if len(old) == len(new) == 1 else [(o, n) for o in old for n in new if o.name == n.name]
    for before, after in pairs:
        for change in changes(before, after):
            yield ReportChange(
                host=after.name, area=change.area, what=change.what, old=change.old or None, new=change.new or None
            )


def text(difference: Difference) -> str:
    """For a terminal: findings first, then the hosts' facts by area."""
    return "".join(f"{line}\n" for line in _lines(difference))


def _lines(difference: Difference) -> Iterator[str]:
    new, gone, changed = difference.new_findings, difference.gone_findings, difference.changed_findings
    since = visible(difference.old.taken_at)
    told = [f"{len(found)} {word}" for found, word in ((gone, "gone"), (changed, "changed")) if found]
    first = f"✗ {count(len(new), 'new finding')}" if new else "✓ no new finding"
    yield f"{', '.join((first, *told))} since {since}."
    for word, side in (("older", difference.old), ("newer", difference.new)):
        if not side.complete:
            yield f"  The {word} side could not be examined whole: what it did not see may differ."
    yield from _block("new", (f"  + {_told(finding)}" for finding in new))
    yield from _block("gone", (f"  - {_told(finding)}" for finding in gone))
    yield from _block("changed", (line for pair in changed for line in _both(pair)))
    several = len({change.host for change in difference.changes}) > 1
    for (host, area), group in groupby(difference.changes, key=lambda change: (change.host, change.area)):
        lines = [_change(change) for change in group]
        more = [f"  … and {len(lines) - _MOST} more: --format json"] if len(lines) > _MOST else []
        yield from _block(f"{area} on {visible(host)}" if several else area, (*lines[:_MOST], *more))


def _block(title: str, lines: Iterable[str]) -> Iterator[str]:
    told = list(lines)
    if told:
        yield from ("", f"{title}:", *told)


def _told(finding: ReportFinding) -> str:
    return f"{finding.severity}: {sentence(visible(finding.summary))} ({visible(finding.cause)})"


def _both(pair: ChangedFinding) -> Iterator[str]:
    yield f"  - {_told(pair.old)}"
    yield f"  + {_told(pair.new)}"


def _change(change: ReportChange) -> str:
    what, old, new = visible(change.what), visible(change.old or ""), visible(change.new or "")
    if change.old and change.new:
        return f"  ~ {what}: {old} → {new}"
    sign, how = ("+", new) if change.new else ("-", old)
    return f"  {sign} {what}" if how == "there" else f"  {sign} {what}: {how}"
