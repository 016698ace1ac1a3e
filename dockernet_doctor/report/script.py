"""Fixes as a commented POSIX script: what, why, what it costs, and how to take it back. Nobody but its reader runs it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .model import Report, ReportFinding, ReportFix
from .words import costs, sentence, visible


def render(report: Report) -> str:
    """The first fixes of what to act on: of `reach` the first finding, else the errors and warnings that are no symptoms."""
    findings = [finding for finding in report.findings if finding.because_of is None and finding.fixes]
    urgent = [finding for finding in findings if finding.severity != "info"]
    findings = urgent if report.verdict is None else findings[:1]
    if not findings:
        return "# There is nothing to fix.\n"
    return script([(finding, finding.fixes[0]) for finding in findings])


def script(fixes: Iterable[tuple[ReportFinding, ReportFix]], *, of: str = "") -> str:
    """One script of these fixes, each on its own; the first command that fails ends it.

    `of` is the file of the report that the commands stand in: unlike those of a bundle they are not made here.
    """
    parts = ["\n".join(_section(finding, fix)) for finding, fix in fixes]
    if of:
        parts.insert(0, "\n".join(_comment(f"These commands are as {visible(of)} has them. Read them before you run them.")))
    return "\n\n".join(("#!/bin/sh", *parts)) + "\n"


def _section(finding: ReportFinding, fix: ReportFix) -> Iterator[str]:
    yield from _comment(finding.id)
    yield from _comment(f"What: {sentence(fix.summary)}")
    yield from _comment(f"Why: {sentence(finding.summary)}")
    yield from (line for e in finding.evidence for line in _comment(f"  {e.fact}: {e.value} ({e.source})"))
    yield from _comment(f"Cost: {'; '.join([*([] if fix.impacts else ['none']), *costs(finding, fix)])}.")
    if fix.host:
        yield from _comment(f"Where: on {fix.host}, as root.")
    for edit in fix.edits:
        yield from _comment(f"It changes {edit.file}:")
        yield from _comment(edit.diff.rstrip("\n"), indent="  ")
    if is_runnable(fix):
        yield ""
        yield from (f"{command} || exit" for command in fix.commands)
        yield ""
    else:
        yield from _comment("This takes a change by hand first: nothing here runs by itself.")
        yield from (line for command in fix.commands for line in _comment(command, indent="  "))
    if fix.undo:
        yield from _comment("To undo it:")
        yield from (line for command in fix.undo for line in _comment(command, indent="  "))
    else:
        yield from _comment("Nothing here undoes it.")


def is_runnable(fix: ReportFix) -> bool:
    """True if its commands run as they stand. Each of ours is one line that shows all it does; one that does not is none."""
    return fix.runnable and bool(fix.commands) and all(visible(c) == c.replace("\t", " ") for c in fix.commands)


def _comment(text: str, *, indent: str = "") -> list[str]:
    """Its lines, none of which a shell runs."""
    return [f"# {indent}{visible(line)}".rstrip() for line in text.split("\n")]
