"""Markdown, for a ticket or a wiki. What comes from strangers is escaped, so that it stays text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dockernet_doctor.regex import regex

from .model import ReportFinding, ReportFix, ReportPath, View
from .words import clean_bill, costs, seconds, sentence, subjects, titles, unseen, visible, visible_lines

_SPECIAL = regex(r"([\\`*_\[\]<>|~#!&])")


def render(view: View) -> str:
    return "".join(f"{line}\n" for line in _lines(view))


def escaped(text: str) -> str:
    """One line of text that Markdown shows as it is."""
    return _SPECIAL.sub(r"\\\1", visible(text))


def code(text: str) -> str:
    """An inline code span; its fence is longer than any run of backticks inside."""
    text = visible(text)
    fence = "`" * (_longest_run(text) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") or not text else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def block(text: str, language: str) -> str:
    text = visible_lines(text.rstrip("\n"))
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


def _lines(view: View) -> Iterator[str]:
    report = view.report
    words = [report.invocation.verb, *report.invocation.arguments]
    yield f"# dockernet-doctor {escaped(' '.join(words))}"
    yield ""
    yield from _head(view)
    for path, title in zip(report.paths, titles(report.paths), strict=True) if report.verdict is not None else ():
        yield from _path(path, title)
    for finding in report.findings:
        yield from _finding(finding)
    if report.suppressed:
        yield "## Suppressed"
        yield ""
        yield from (f"- {escaped(s.summary)} ({escaped(s.suppression.reason)})" for s in report.suppressed)
        yield ""
    if report.blind_spots:
        yield "## Not seen"
        yield ""
        for spot in report.blind_spots:
            yield f"- {escaped(unseen(spot, host=True))}"
        yield ""
    counts = report.probe_counts
    yield f"{counts.sent} probes sent, {counts.answered} answered, {counts.failed} not sent; {seconds(report.duration_s)}."


def _head(view: View) -> Iterator[str]:
    report = view.report
    for host in report.hosts:
        engine = f"Docker {escaped(host.engine.version)}" if host.engine else "the daemon did not answer"
        yield f"- Host {escaped(host.name)}: {engine}, {host.source}, {escaped(host.taken_at)}"
    yield f"- Looked at {view.containers} containers, {view.networks} networks, {view.ports} published ports"
    if report.verdict is not None:
        yield f"- Verdict: **{report.verdict}**"
    if not report.complete:
        yield "- Not everything asked for could be examined"
    yield ""
    if not report.findings:
        about = subjects(report)
        yield f"{clean_bill(report).capitalize()}{f' for {escaped(about)}' if about else ''} in what was looked at."
        yield ""


def _path(path: ReportPath, title: str) -> Iterator[str]:
    yield f"## {escaped(title)}: {path.verdict} ({path.basis})"
    yield ""
    yield "| hop | state | predicted | seen |"
    yield "| --- | --- | --- | --- |"
    for hop in path.hops:
        if hop.status != "not-applicable":
            yield f"| {escaped(hop.hop)} | {hop.status} | {escaped(hop.predicted)} | {escaped(hop.observed)} |"
    yield ""
    if path.samples:
        yield f"{path.samples.answered} of {path.samples.sent} answered."
        yield ""


def _finding(finding: ReportFinding) -> Iterator[str]:
    yield f"## {finding.severity}: {escaped(finding.summary)}"
    yield ""
    yield f"Cause {code(finding.cause)}, {finding.confidence}, about {finding.subject.kind} {code(finding.subject.name)}."
    if finding.because_of:
        yield f"A symptom of {code(finding.because_of)}."
    yield ""
    if finding.evidence:
        yield from (f"- {escaped(e.fact)}: {code(e.value)} ({escaped(e.source)})" for e in finding.evidence)
        yield ""
    for index, fix in enumerate(finding.fixes):
        yield from _fix(finding, fix, "Fix" if index == 0 else "Or")
    if finding.references:
        yield from (f"- {escaped(r.title)}: <{visible(r.url)}>" for r in finding.references)
        yield ""


def _fix(finding: ReportFinding, fix: ReportFix, word: str) -> Iterator[str]:
    yield f"**{word}** on {escaped(fix.host)}: {escaped(sentence(fix.summary))} ({escaped('; '.join(costs(finding, fix)))})"
    yield ""
    for edit in fix.edits:
        yield f"{code(edit.file)}:"
        yield ""
        yield block(edit.diff, "diff")
        yield ""
    if fix.commands:
        yield block("\n".join(fix.commands), "sh")
        yield ""
