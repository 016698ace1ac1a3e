"""JUnit XML for CI: one test case a check or finding, and one a path of `reach`.

A failure is what gives exit status 1, an error what gives 3; so a CI that reads the file judges as the exit status does.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from msgspec import Struct

from .model import Report, ReportFinding, ReportPath, View
from .status import counts
from .words import visible


class _Case(Struct, frozen=True, kw_only=True):
    classname: str
    name: str
    outcome: str = ""  # "", failure, error, skipped
    message: str = ""
    text: tuple[str, ...] = ()  # lines


def render(view: View) -> str:
    report = view.report
    cases = list(_cases(report))
    totals = {word: sum(case.outcome == word for case in cases) for word in ("failure", "error", "skipped")}
    attributes = (
        f'tests="{len(cases)}" failures="{totals["failure"]}" errors="{totals["error"]}"'
        f' skipped="{totals["skipped"]}" time="{report.duration_s:.3f}"'
    )
    title = quoteattr(visible(" ".join(["dockernet-doctor", report.invocation.verb, *report.invocation.arguments])))
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f"<testsuites {attributes}>",
        f"  <testsuite name={title} timestamp={quoteattr(report.taken_at.removesuffix('Z'))} {attributes}>",
        *(line for case in cases for line in _xml(case)),
        "  </testsuite>",
        "</testsuites>",
    ]
    return "".join(f"{line}\n" for line in lines)


def _xml(case: _Case) -> Iterator[str]:
    head = f"    <testcase classname={_attribute(case.classname)} name={_attribute(case.name)}"
    if not case.outcome and not case.text:
        yield f"{head}/>"
        return
    yield f"{head}>"
    tag = case.outcome or "system-out"
    message = f" message={_attribute(case.message)}" if case.outcome else ""
    text = "\n".join(map(visible, case.text))
    yield f"      <{tag}{message}>{escape(text)}</{tag}>"
    yield "    </testcase>"


def _attribute(text: str) -> str:
    return quoteattr(visible(text))


def _cases(report: Report) -> Iterator[_Case]:
    for path in report.paths if report.verdict is not None else ():
        yield _path(path, report)
    for finding in report.findings:
        yield _found(finding, report)
    found = {finding.cause for finding in report.findings}
    for check in report.checks:
        if check.cause in found:
            continue
        if check.result == "failed":
            yield _Case(classname=check.cause, name=check.cause, outcome="skipped", message="the check itself failed")
        elif check.result in ("not-examined", "not-applicable", "skipped"):
            yield _Case(classname=check.cause, name=check.cause, outcome="skipped", message=check.result)
        else:
            yield _Case(classname=check.cause, name=check.cause)
    if not report.complete:
        yield _Case(
            classname="examination",
            name="everything asked for was examined",
            outcome="error",
            message="something asked for could not be examined",
            text=tuple(": ".join(filter(None, (spot.what, spot.why))) for spot in report.blind_spots),
        )


def _path(path: ReportPath, report: Report) -> _Case:
    name = f"{path.source} reaches {path.destination.name}"
    if path.destination.address:
        name = f"{name} at {path.destination.address}:{path.destination.port or ''}".rstrip(":")
    hops = tuple(
        f"{hop.hop}: {hop.status}{f', predicted {hop.predicted}' if hop.predicted else ''}"
        f"{f', seen {hop.observed}' if hop.observed else ''}"
        for hop in path.hops
        if hop.status not in ("not-reached", "not-applicable")
    )
    outcome = {"unreachable": "failure", "partly": "failure", "unknown": "skipped", "reachable": ""}[path.verdict]
    if outcome == "failure" and report.invocation.fail_on == "never":
        outcome = ""
    if outcome == "skipped" and report.verdict == "unknown":
        outcome = "error"
    return _Case(classname="path", name=name, outcome=outcome, message=path.verdict, text=hops)


def _found(finding: ReportFinding, report: Report) -> _Case:
    fails = counts(finding, report.invocation.fail_on)
    text = [finding.summary] if not fails else []
    text += [f"{e.fact} {e.value} ({e.source})" for e in finding.evidence]
    if finding.fixes:
        text += ["", finding.fixes[0].summary, *finding.fixes[0].commands]
    return _Case(
        classname=finding.cause,
        name=finding.id,
        outcome="failure" if fails else "",
        message=finding.summary,
        text=tuple(text),
    )
