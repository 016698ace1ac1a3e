"""One self-contained HTML page: no script, nothing fetched, everything from strangers escaped."""

from __future__ import annotations

import html
from collections.abc import Iterator

from .model import Report, ReportBlindSpot, ReportFinding, ReportFix, ReportPath, View
from .words import count, lasting, seconds, sentence, subjects, unseen, visible, visible_lines

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin: 0 0 .5rem; }
section { border: 1px solid #d0d7de; border-left-width: .4rem; border-radius: .4rem; padding: 1rem; margin: 1rem 0; }
section.error { border-left-color: #b3261e; } section.warning { border-left-color: #9a6700; }
section.info { border-left-color: #0969da; } section.symptom { margin-left: 2rem; }
section.reachable { border-left-color: #1a7f37; } section.unreachable, section.partly { border-left-color: #b3261e; }
pre { background: #f6f8fa; padding: .7rem; overflow-x: auto; } code, pre { font: .9em/1.4 ui-monospace, monospace; }
table { border-collapse: collapse; } th, td { text-align: left; padding: .2rem .8rem .2rem 0; vertical-align: top; }
.dim { color: #57606a; } td.broken { color: #b3261e; font-weight: 600; } td.ok { color: #1a7f37; }
@media (prefers-color-scheme: dark) { body { background: #0d1117; color: #e6edf3; } pre { background: #161b22; }
section { border-color: #30363d; } .dim { color: #8b949e; } }
""".strip()


def render(view: View) -> str:
    return "".join(f"{line}\n" for line in _page(view))


def text(value: str) -> str:
    """Escaped for element content and attribute values alike."""
    return html.escape(visible(value), quote=True)


def _page(view: View) -> Iterator[str]:
    report = view.report
    title = text(" ".join(["dockernet-doctor", report.invocation.verb, *report.invocation.arguments]))
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{title}</title>\n<style>\n{_STYLE}\n</style>\n</head>\n<body>\n<h1>{title}</h1>"
    yield from _head(view)
    for path in report.paths if report.verdict is not None else ():
        yield from _path(path)
    for finding in report.findings:
        yield from _finding(finding)
    yield from _rest(report)
    yield "</body>\n</html>"


def _head(view: View) -> Iterator[str]:
    report = view.report
    yield "<ul>"
    for host in report.hosts:
        engine = f"Docker {text(host.engine.version)}" if host.engine else "the daemon did not answer"
        yield f"<li>Host {text(host.name)}: {engine}, {host.source}, {text(host.taken_at)}</li>"
    looked = [count(view.containers, "container"), count(view.networks, "network"), count(view.ports, "published port")]
    yield f"<li>Looked at {', '.join(looked)}; {count(report.probe_counts.sent, 'probe')}, {seconds(report.duration_s)}</li>"
    if report.verdict is not None:
        yield f"<li>Verdict: <strong>{report.verdict}</strong></li>"
    if not report.complete:
        yield "<li><strong>Not everything asked for could be examined.</strong></li>"
    yield "</ul>"
    if not report.findings:
        about = subjects(report)
        yield f"<p>No fault found{f' for {text(about)}' if about else ''} in what was looked at.</p>"


def _path(path: ReportPath) -> Iterator[str]:
    destination = path.destination
    at = f" at {destination.address}:{destination.port or ''}".rstrip(":") if destination.address else ""
    yield f'<section class="{path.verdict}">'
    yield f"<h2>{text(path.source)} → {text(destination.name)}{text(at)}: {path.verdict} ({path.basis})</h2>"
    yield "<table>\n<tr><th>hop</th><th>state</th><th>predicted</th><th>seen</th></tr>"
    for hop in path.hops:
        if hop.status != "not-applicable":
            yield (
                f'<tr><td>{text(hop.hop)}</td><td class="{hop.status}">{hop.status}</td>'
                f"<td>{text(hop.predicted)}</td><td>{text(hop.observed)}</td></tr>"
            )
    yield "</table>"
    if path.samples:
        yield f"<p>{path.samples.answered} of {path.samples.sent} answered.</p>"
    yield "</section>"


def _finding(finding: ReportFinding) -> Iterator[str]:
    symptom = " symptom" if finding.because_of else ""
    yield f'<section class="{finding.severity}{symptom}" id="{text(finding.id)}">'
    yield f"<h2>{text(finding.summary)}</h2>"
    yield (
        f'<p class="dim">{finding.severity}, {finding.confidence}: <code>{text(finding.cause)}</code>, about '
        f"{text(finding.subject.kind)} <code>{text(finding.subject.name)}</code> on {text(finding.subject.host)}</p>"
    )
    if finding.because_of:
        yield f'<p>A symptom of <a href="#{text(finding.because_of)}">{text(finding.because_of)}</a>.</p>'
    if finding.evidence:
        yield "<ul>"
        for e in finding.evidence:
            source = f' <span class="dim">({text(e.source)})</span>' if e.source else ""
            yield f"<li>{text(e.fact)} <code>{text(e.value)}</code>{source}</li>"
        yield "</ul>"
    for index, fix in enumerate(finding.fixes):
        yield from _fix(fix, "Fix" if index == 0 else "Or")
    for reference in finding.references:
        yield f"<p>{_link(reference.title, reference.url)}</p>"
    yield "</section>"


def _link(title: str, url: str) -> str:
    """A link only where it leads to a web page: `javascript:` is a URL as well."""
    return f'<a href="{text(url)}">{text(title)}</a>' if url.startswith(("https://", "http://")) else text(title)


def _fix(fix: ReportFix, word: str) -> Iterator[str]:
    facts = [*(impact.replace("-", " ") for impact in fix.impacts), lasting(fix.lasts)]
    yield (
        f"<p><strong>{word}</strong> on {text(fix.host)}: {text(sentence(fix.summary))} "
        f'<span class="dim">({text(", ".join(facts))})</span></p>'
    )
    for edit in fix.edits:
        yield f"<p><code>{text(edit.file)}</code></p>"
        yield f"<pre>{html.escape(visible_lines(edit.diff))}</pre>"
    if fix.commands:
        yield "<pre>" + "\n".join(text(command) for command in fix.commands) + "</pre>"


def _rest(report: Report) -> Iterator[str]:
    if report.suppressed:
        yield "<h2>Suppressed</h2>\n<ul>"
        for finding in report.suppressed:
            yield f"<li>{text(finding.summary)} ({text(finding.suppression.reason)})</li>"
        yield "</ul>"
    if report.blind_spots:
        yield "<h2>Not seen</h2>\n<ul>"
        yield from (_spot(spot) for spot in report.blind_spots)
        yield "</ul>"


def _spot(spot: ReportBlindSpot) -> str:
    hides = f' <span class="dim">May hide: {text(", ".join(spot.hides))}.</span>' if spot.hides else ""
    return f"<li>{text(unseen(spot, host=True))}{hides}</li>"
