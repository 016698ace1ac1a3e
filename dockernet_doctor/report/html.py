"""One self-contained HTML page: no script, nothing fetched, everything from strangers escaped.

It folds by <details>, so it works by keyboard and prints whole; a click selects a command whole.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence

from dockernet_doctor.notation import listed

from .model import Report, ReportBlindSpot, ReportFinding, ReportFix, ReportPath, View
from .words import ago, alike, clean_bill, costs, count, seconds, sentence, subjects, titles, unseen, visible, visible_lines

_MOST_NAMES = 6
_GLYPHS = {"error": "✗", "warning": "!", "info": "i", "ok": "✓", "broken": "✗", "unknown": "?", "not-reached": "–"}

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --dim: #57606a; --page: #fff; --box: #f6f8fa; --line: #d0d7de;
--error: #b3261e; --warning: #7d4e00; --info: #0550ae; --ok: #116329; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --dim: #9198a1; --page: #0d1117; --box: #161b22;
--line: #30363d; --error: #ff7b72; --warning: #e3b341; --info: #79c0ff; --ok: #56d364; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; color: var(--ink);
background: var(--page); overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.15rem; margin: 1.5rem 0 .5rem; }
h3, h4, h5, h6 { font-size: 1rem; display: inline; font-weight: 600; }
a { color: var(--info); } ul { padding-left: 1.2rem; margin: .3rem 0; } p { margin: .4rem 0; }
.verdict { font-size: 1.1rem; font-weight: 600; } .dim { color: var(--dim); }
.error, .broken { color: var(--error); } .warning { color: var(--warning); } .info { color: var(--info); }
.ok, .reachable { color: var(--ok); } .unreachable, .partly { color: var(--error); }
details { border: 1px solid var(--line); border-radius: .4rem; padding: .5rem .8rem; margin: .4rem 0; }
summary { cursor: pointer; } summary b { display: inline-block; min-width: 1.2em; }
pre { background: var(--box); padding: .6rem; margin: .3rem 0; white-space: pre-wrap; word-break: break-all; user-select: all; }
code, pre { font: .9em/1.4 ui-monospace, monospace; }
ol.way { list-style: none; display: flex; flex-wrap: wrap; gap: .4rem 1.4rem; padding: 0; margin: .5rem 0; }
ol.way li { border: 2px solid currentColor; border-radius: 1rem; padding: 0 .7rem; position: relative; }
ol.way li.not-reached { border-style: dashed; color: var(--dim); }
ol.way li:not(:last-child)::after { content: "→"; position: absolute; right: -1.25rem; color: var(--dim); }
dl { display: grid; grid-template-columns: minmax(4rem, max-content) 1fr; gap: .2rem .8rem; margin: .5rem 0; }
dt { font-weight: 600; } dd { margin: 0; }
figure { margin: 0; overflow: auto; } figure svg { max-width: 100%; min-width: 44rem; height: auto; }
@media print { details::details-content { content-visibility: visible; display: block; }
figure { overflow: visible; } figure svg { min-width: 0; } }
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
    yield f"<title>{title}</title>\n<style>\n{_STYLE}\n</style>\n</head>\n<body>\n<header>\n<h1>{title}</h1>"
    yield from _head(view)
    yield "</header>\n<main>"
    if report.verdict is not None and report.paths:
        yield '<h2 id="paths">Paths</h2>'
        for path, title in zip(report.paths, titles(report.paths), strict=True):
            yield from _path(path, title)
    if report.findings:
        yield '<h2 id="findings">Findings</h2>'
        known = {finding.id for finding in report.findings}
        roots = [finding for finding in report.findings if finding.because_of not in known]
        for index, (lead, *others) in enumerate(alike(roots)):
            yield from _finding(lead, report.findings, unfolded=index == 0)
            if others:
                yield f"<details><summary><h3>and {len(others)} like it</h3>: {text(_shortened(others))}</summary>"
                for other in others:
                    yield from _finding(other, report.findings, unfolded=False, level=4)
                yield "</details>"
    yield from _rest(report)
    if view.map_svg:
        yield from _map(view.map_svg)
    yield "</main>\n</body>\n</html>"


def _head(view: View) -> Iterator[str]:
    report = view.report
    yield f'<p class="verdict">{_verdict(report)}</p>'
    yield "<ul>"
    for host in report.hosts:
        engine = f"Docker {text(host.engine.version)}" if host.engine else "the daemon did not answer"
        taken = text(host.taken_at)
        if host.source == "bundle":
            taken = f"collected {taken}, {ago(host.taken_at, report.taken_at)}"
        yield f"<li>Host {text(host.name)}: {engine}, {taken}</li>"
    looked = [count(view.containers, "container"), count(view.networks, "network"), count(view.ports, "published port")]
    yield f"<li>Looked at {', '.join(looked)}; {count(report.probe_counts.sent, 'probe')}, {seconds(report.duration_s)}</li>"
    if not report.complete:
        yield "<li><strong>Not everything asked for could be examined.</strong></li>"
    yield "</ul>"
    if not report.findings:
        about = subjects(report)
        yield f"<p>{clean_bill(report).capitalize()}{f' for {text(about)}' if about else ''} in what was looked at.</p>"
    parts = [
        ("paths", "Paths", len(report.paths) if report.verdict is not None else 0),
        ("findings", "Findings", len(report.findings)),
        ("suppressed", "Suppressed", len(report.suppressed)),
        ("not-seen", "Not seen", len(report.blind_spots)),
    ]
    links = [f'<a href="#{part}">{title} ({number})</a>' for part, title, number in parts if number]
    links += ['<a href="#map">Map</a>'] if view.map_svg else []
    yield f'<nav aria-label="Contents">{" · ".join(links)}</nav>' if links else ""


def _verdict(report: Report) -> str:
    if report.verdict is not None:
        return f'Verdict: <span class="{report.verdict}">{report.verdict}</span>'
    counted = [
        f'<span class="{word}">{_GLYPHS[word]} {count(number, word)}</span>'
        for word in ("error", "warning", "info")
        if (number := sum(finding.severity == word for finding in report.findings))
    ]
    return listed(counted) or f'<span class="ok">{_GLYPHS["ok"]} {clean_bill(report)}</span>'


def _path(path: ReportPath, title: str) -> Iterator[str]:
    """The way as a row of hops, and what was predicted and seen at each."""
    yield f"<details{'' if path.verdict == 'reachable' else ' open'}>"
    yield f'<summary><h3 class="{path.verdict}">{text(title)}: {path.verdict} ({path.basis})</h3></summary>'
    hops = [hop for hop in path.hops if hop.status != "not-applicable"]
    yield '<ol class="way">'
    for hop in hops:
        yield f'<li class="{hop.status}">{_GLYPHS.get(hop.status, "")} {text(hop.hop)}: {hop.status.replace("-", " ")}</li>'
    yield "</ol>\n<dl>"
    for hop in hops:
        said = [text(hop.predicted), f"seen: {text(hop.observed)}" if hop.observed else ""]
        if any(said):
            yield f"<dt>{text(hop.hop)}</dt><dd>{'; '.join(part for part in said if part)}</dd>"
    yield "</dl>"
    if path.samples:
        yield f"<p>{path.samples.answered} of {path.samples.sent} answered.</p>"
    yield "</details>"


def _shortened(findings: Sequence[ReportFinding]) -> str:
    """The first names of the subjects."""
    names = [finding.subject.name for finding in findings[: None if len(findings) == _MOST_NAMES + 1 else _MOST_NAMES]]
    return listed([*names, *([f"{len(findings) - len(names)} more"] if len(findings) > len(names) else [])])


def _finding(finding: ReportFinding, findings: Sequence[ReportFinding], *, unfolded: bool, level: int = 3) -> Iterator[str]:
    """A finding that folds, and within it its symptoms."""
    yield f'<details class="finding" id="{text(finding.id)}"{" open" if unfolded else ""}>'
    mark = f'<b aria-hidden="true" class="{finding.severity}">{_GLYPHS[finding.severity]}</b>'
    word = f'<span class="{finding.severity}">{finding.severity}</span>'
    symptoms = [symptom for symptom in findings if symptom.because_of == finding.id and symptom is not finding]
    more = f' <span class="dim">(and {count(len(symptoms), "symptom")})</span>' if symptoms else ""
    yield f"<summary>{mark}<h{level}>{word}: {text(finding.summary)}</h{level}>{more}</summary>"
    yield (
        f'<p class="dim">{finding.confidence}: <code>{text(finding.cause)}</code>, about '
        f"{text(finding.subject.kind)} <code>{text(finding.subject.name)}</code> on {text(finding.subject.host)}</p>"
    )
    for index, fix in enumerate(finding.fixes):
        yield from _fix(finding, fix, "Fix" if index == 0 else "Or")
    if finding.evidence:
        yield "<ul>"
        for e in finding.evidence:
            source = f' <span class="dim">({text(e.source)})</span>' if e.source else ""
            yield f"<li>{text(e.fact)} <code>{text(e.value)}</code>{source}</li>"
        yield "</ul>"
    for reference in finding.references:
        yield f"<p>{_link(reference.title, reference.url)}</p>"
    if symptoms:
        yield f"<p>{'Its symptom' if len(symptoms) == 1 else 'Its symptoms'}, gone when this is fixed:</p>"
    for symptom in symptoms:
        yield from _finding(symptom, findings, unfolded=unfolded, level=min(level + 1, 6))
    yield "</details>"


def _map(svg: str) -> Iterator[str]:
    """The picture of networks, folded."""
    picture = svg.partition("?>\n")[2]
    yield '<h2 id="map">Map</h2>\n<details><summary>Networks, containers and published ports</summary>'
    yield f'<figure tabindex="0" role="group" aria-label="Map of the networks">{picture}</figure></details>'


def _link(title: str, url: str) -> str:
    """A link only where it leads to a web page: `javascript:` is a URL as well."""
    return f'<a href="{text(url)}">{text(title)}</a>' if url.startswith(("https://", "http://")) else text(title)


def _fix(finding: ReportFinding, fix: ReportFix, word: str) -> Iterator[str]:
    yield (
        f"<p><strong>{word}</strong> on {text(fix.host)}: {text(sentence(fix.summary))} "
        f'<span class="dim">({text("; ".join(costs(finding, fix)))})</span></p>'
    )
    for edit in fix.edits:
        yield f"<p><code>{text(edit.file)}</code></p>"
        yield f"<pre>{html.escape(visible_lines(edit.diff))}</pre>"
    if fix.commands:
        yield from (f"<pre>{text(command)}</pre>" for command in fix.commands)


def _rest(report: Report) -> Iterator[str]:
    if report.suppressed:
        yield '<h2 id="suppressed">Suppressed</h2>\n<ul>'
        for finding in report.suppressed:
            yield f"<li>{text(finding.summary)} ({text(finding.suppression.reason)})</li>"
        yield "</ul>"
    if report.blind_spots:
        yield '<h2 id="not-seen">Not seen</h2>\n<ul>'
        yield from (_spot(spot) for spot in report.blind_spots)
        yield "</ul>"


def _spot(spot: ReportBlindSpot) -> str:
    hides = f' <span class="dim">May hide: {text(", ".join(spot.hides))}.</span>' if spot.hides else ""
    return f"<li>{text(unseen(spot, host=True))}{hides}</li>"
