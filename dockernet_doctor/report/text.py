"""The report for a terminal: the sentence, the command that fixes it, the evidence. Eighty columns are enough.

Two kinds of line are never broken: the sentence that opens a block, which is passed on in chats, and commands, which are
pasted.
"""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, Protocol

from msgspec.structs import replace

from dockernet_doctor.diagnosis.findings.accepted import COMMAND_LINE, IN_THE_BASELINE
from dockernet_doctor.notation import listed
from dockernet_doctor.snapshot.model import BY_ROOT

from .model import Report, ReportBlindSpot, ReportEvidence, ReportFinding, ReportFix, ReportHop, ReportPath, View
from .words import (
    address,
    ago,
    alike,
    asker,
    clean_bill,
    costs,
    count,
    milliseconds,
    seconds,
    sentence,
    subjects,
    titles,
    unseen,
    visible,
)

Role = Literal["error", "warning", "info", "ok", "unknown", "command", "dim", "heading", "added", "removed"]


class Paint(Protocol):
    def __call__(self, text: str, role: Role, /) -> str: ...


_SGR: dict[Role, str] = {
    "error": "31;1",
    "warning": "33;1",
    "info": "36",
    "ok": "32;1",
    "unknown": "35;1",
    "command": "1",
    "dim": "2",
    "heading": "1;4",
    "added": "32",
    "removed": "31",
}
_GLYPHS: dict[Role, str] = {"error": "✗", "warning": "!", "info": "i", "ok": "✓", "unknown": "?"}
_CONFIDENCE = {"proven": "Proven", "likely": "Likely", "possible": "Possible"}
_STATE_ROLE: dict[str, Role] = {"ok": "ok", "broken": "error", "unknown": "unknown"}
_OF_A_DIFF: dict[str, Role] = {"+": "added", "-": "removed"}
_NBSP = "\u00a0"  # holds a number and its unit together while lines are filled
_MOST_COMMANDS = 3
_LONGEST_COMMAND = 400  # characters; more would bury the report
_MOST_EVIDENCE = 4
_MOST_WAYS = 8
_LONGEST_VALUE = 240
_MOST_BLOCKS = 10  # with commands and evidence; what comes after them is a line each
_MOST_LIKEWISE = 4  # lines of findings like the one above them
_MOST_NAMES = 20
_EXACT = re.compile(r"(?<=\d:\d\d:\d\d)\.\d+(?=Z)|(?<=\b[0-9a-f]{12})[0-9a-f]{52}\b")  # of a time, of an id; -v shows it


def plain(text: str, _role: Role, /) -> str:
    return text


def coloured(text: str, role: Role, /) -> str:
    return f"\x1b[{_SGR[role]}m{text}\x1b[0m"


def render(view: View, *, width: int = 80, paint: Paint = plain) -> str:
    """The whole text, ending in a line break. `width` in columns."""
    writer = _Writer(view, width, paint)
    lines = writer.check() if view.report.verdict is None else writer.reach()
    return "".join(f"{line}\n" for line in lines)


class _Writer:
    """Holds what every line needs: the view, the width and the colours."""

    def __init__(self, view: View, width: int, paint: Paint) -> None:
        self.view = view
        self.report: Report = view.report
        self.width = width
        self.paint = paint
        self.several_hosts = len(self.report.hosts) > 1
        self.told: set[ReportBlindSpot] = set()
        self.symptoms = _by_root(self.report.findings)

    # --- check

    def check(self) -> Iterator[str]:
        roots = _roots(self.report.findings)
        urgent = [finding for finding in roots if self.is_urgent(finding)]
        if not urgent:
            yield from self.nothing_found()
        blocks = self.alike(urgent)
        for lead, *others in blocks[:_MOST_BLOCKS]:
            yield from self.block(lead)
            yield from self.likewise(others)
            yield ""
        for lead, *others in blocks[_MOST_BLOCKS:]:
            yield from self.remark(lead)
            yield from self.likewise(others)
        if blocks[_MOST_BLOCKS:]:
            yield ""
        for lead, *others in self.alike(finding for finding in roots if not self.is_urgent(finding)):
            yield from self.remark(lead)
            yield from self.likewise(others)
        if len(roots) > len(urgent) and (urgent or self.report.blind_spots):
            yield ""
        yield from self.accepted()
        yield from self.not_seen()
        if urgent:
            yield from self.wrapped(f"{self.counted()} {self.examined()}", hang=0)

    def is_urgent(self, finding: ReportFinding) -> bool:
        """True for an error or a warning, and for what has one as its symptom."""
        return any(it.severity != "info" for it in (finding, *self.symptoms.get(finding.id, ())))

    def alike(self, findings: Iterable[ReportFinding]) -> list[list[ReportFinding]]:
        """Findings of one cause together; with -v each alone."""
        return [[finding] for finding in findings] if self.view.verbose else alike(findings)

    def likewise(self, others: Sequence[ReportFinding]) -> Iterator[str]:
        """The others of a cause: a line each, then their names alone."""
        shown = others if len(others) <= _MOST_LIKEWISE else others[: _MOST_LIKEWISE - 1]
        yield from (f"  {self.headline(finding)}" for finding in shown)
        if rest := others[len(shown) :]:
            names = [visible(finding.subject.name) for finding in rest[:_MOST_NAMES]]
            more = f" and {len(rest) - len(names)} more" if len(rest) > len(names) else ""
            yield from self.wrapped(f"  and {len(rest)} like it: {', '.join(names)}{more} (all: -v)", hang=4)

    def accepted(self) -> Iterator[str]:
        """What is meant to be so, a line each; of a baseline only how much it knew."""
        known: dict[str, int] = {}
        for it in self.report.suppressed:
            why = it.suppression
            if why.reason == IN_THE_BASELINE:
                known[why.origin] = known.get(why.origin, 0) + 1
            elif why.origin != COMMAND_LINE:
                until = f", until {why.until}" if why.until else ""
                what = f"{it.cause} of {it.subject.name}"
                yield from self.wrapped(f"Accepted: {visible(f'{what}: {why.reason} ({why.origin}{until})')}", hang=2)
        for origin, number in known.items():
            yield f"Known from {visible(origin)}: {count(number, 'finding')}."

    def nothing_found(self) -> Iterator[str]:
        report = self.report
        if report.complete:
            if about := subjects(report):
                seen = " in what could be seen" if report.blind_spots else ""
                yield f"{self.glyph('ok')} {clean_bill(report)} for {about}{seen}."
                yield from self.wrapped(f"  Asked: {self.asked()}.", hang=4)
                yield from self.wrapped(f"  Looked for it {self.examined()}", hang=2)
            else:
                seen = " in what could be seen:" if report.blind_spots else " in"
                yield f"{self.glyph('ok')} {clean_bill(report)}{seen} {_plain_spaces(self.looked().removeprefix('in '))}"
                yield from self.not_root("  ")
                yield from self.wrapped(f"  {self.closing()}", hang=2)
        else:
            yield from self.not_examined("Not everything asked for could be examined")
            yield from self.wrapped(f"Looked for faults {self.examined()}", hang=0)
        yield from self.not_root()
        if report.findings:
            yield ""

    def asked(self) -> str:
        """The ways that were looked at, each once whatever its addresses."""
        ways: dict[str, None] = {}
        for path in self.report.paths:
            verdict = "" if path.verdict == "reachable" else f" ({path.verdict})"
            ways[f"{self.plainly(path.source)} → {self.plainly(path.destination.name)}{verdict}"] = None
        if not ways:
            return "no way: no port is published, and no setting names another container"
        more = len(ways) - _MOST_WAYS
        shown = list(ways) if self.view.verbose or more <= 0 else [*list(ways)[:_MOST_WAYS], f"{more} more"]
        return listed(shown)

    def plainly(self, end: str) -> str:
        """An end of a way as one says it: without what its name is, and its host where there is but one."""
        name, _, host = end.partition("@")
        name = {"host": "this host", "outside": "other machines"}.get(name, name)
        name = name.removeprefix("container:").removeprefix("name:").removeprefix("service:")
        return visible(f"{name} on {host}" if host and self.several_hosts else name)

    def not_examined(self, text: str) -> Iterator[str]:
        """With the first blind spot, which is then told here and nowhere else; below it what lifts it."""
        first = _merged(self.report.blind_spots)[:1]
        self.told.update(first)
        what = [unseen(replace(spot, remedy=""), host=self.several_hosts) for spot in first]
        yield sentence(f"{self.glyph('unknown')} {': '.join([text, *map(visible, what)])}")
        for spot in first:
            if spot.remedy:
                by_root = spot.remedy == BY_ROOT
                remedy = visible(f"sudo {self.view.again}" if by_root else spot.remedy.rstrip("."))  # a command may end it
                yield from self.wrapped(f"  {remedy if by_root else remedy[:1].upper() + remedy[1:]}", hang=2)

    def counted(self) -> str:
        findings = self.report.findings
        parts = [
            count(number, word, plural)
            for word, plural in (("error", "errors"), ("warning", "warnings"), ("info", "infos"))
            if (number := sum(finding.severity == word for finding in findings))
        ]
        return ", ".join(parts)

    def examined(self) -> str:
        return f"{self.looked()} {self.closing()}"

    def looked(self) -> str:
        """What was looked at, by how many probes, and how long that took."""
        view, report = self.view, self.report
        versions = [host.engine.version if host.engine else "no answer from the daemon" for host in report.hosts]
        hosts = count(len(report.hosts), "host") if self.several_hosts else visible("".join(h.name for h in report.hosts))
        if not view.containers and not any(host.engine for host in report.hosts):
            return f"on {hosts}, whose daemon gave no answer; {self.effort()}."
        where = f"in {count(view.containers, 'container')} on {count(view.networks, 'network')} of {hosts}"
        looked = f"{where} ({visible(', '.join(dict.fromkeys(versions)))})"
        if report.invocation.only or report.invocation.skip:
            ran = sum(check.result != "skipped" for check in report.checks)
            looked += f", {ran} of {count(len(report.checks), 'check')}"
        return f"{looked}, {self.effort()}."

    def effort(self) -> str:
        report = self.report
        probes = count(report.probe_counts.sent, "probe") if report.invocation.probes else "no probes"
        return f"{probes}, {seconds(report.duration_s).replace(' ', _NBSP)}"

    def closing(self) -> str:
        """How many findings are suppressed, how old a bundle is, how many blind spots there are."""
        suppressed = f"Suppressed: {len(self.report.suppressed)}." if self.report.suppressed else ""
        seen = f"Blind spots: {len(self.report.blind_spots) or 'none'}."
        return " ".join(filter(None, (suppressed, self.taken(), seen)))

    def taken(self) -> str:
        """When the oldest bundle was collected."""
        moments = [host.taken_at for host in self.report.hosts if host.source == "bundle"]
        oldest = min(moments, default="")
        if self.report.invocation.verb == "demo":  # a recording, and whatever its age, it is up to date
            return ""
        return f"Collected {visible(oldest)}, {ago(oldest, self.report.taken_at)}." if oldest else ""

    # --- reach

    def reach(self) -> Iterator[str]:
        report = self.report
        first = report.findings[0] if report.findings else None
        leads = first is not None and (report.verdict != "reachable" or first.severity == "error")
        if first and leads:
            yield self.headline(first)
            yield from self.fixes(first)
        else:
            yield from self.answer()
        for note in self.view.notes:
            yield from self.wrapped(f"  Note: {sentence(visible(note))}", hang=8)
        yield from self.paths()
        yield from self.samples()
        told = [*self.evidence(first, hint=False)] if first and leads else []
        told += self.not_seen(indent="  ")
        if first and leads:
            told = self.with_hint(told, first, "  ")
        yield from ("", *told) if told else ()
        if first and leads:
            yield from self.under(first)
        for finding in _roots(report.findings):
            if not (leads and finding is first):
                yield ""
                yield from self.block(finding) if finding.severity != "info" else self.remark(finding)
        if taken := self.taken():
            yield from ("", taken)

    def answer(self) -> Iterator[str]:
        """The sentence where no finding says it; where the question's ends were not found, also what helps."""
        report = self.report
        if not report.paths:
            yield from self.not_examined("The question could not be examined")
            return
        wanted = "unreachable" if report.verdict == "partly" else report.verdict
        path = next((p for p in report.paths if p.verdict == wanted), report.paths[0])
        source, name = asker(path), visible(path.destination.name)
        at = address(path)
        at = f" at {at}" if at and at != name else ""
        if report.verdict == "reachable":
            yield f"{self.glyph('ok')} {self.reachable(path, source, name, at)}"
            return
        hop = next((hop for hop in path.hops if hop.status in ("broken", "unknown")), None)
        told = visible(hop.observed or hop.predicted) if hop else ""
        where = f": {told}" if told else f": see the hop {hop.hop}" if hop else ""
        unknown = f"Whether {source} can reach {name}{at} is unknown"
        if report.verdict != "unknown":
            yield sentence(f"{self.glyph('error')} {source} cannot reach {name}{at}{where}")
        elif hop and hop.hop == "target" and not report.complete:
            yield from self.not_examined(unknown)
        else:
            yield sentence(f"{self.glyph('unknown')} {unknown}{where}")

    def reachable(self, path: ReportPath, source: str, name: str, at: str) -> str:
        ways = len(self.report.paths)
        over = f"{at} and {count(ways - 1, 'more way')}" if ways > 1 else at
        latency = self.view.latencies[self.report.paths.index(path)]
        took = f" in {milliseconds(latency)}" if latency is not None else ""
        asked, _, host = path.source.partition("@")
        if asked == "outside":
            return f"As far as {visible(host) or 'this host'} decides, other machines can reach {name}{over}."
        if path.basis == "predicted":
            return f"{source} should reach {name}{over}: predicted, not probed."
        return f"{source} reaches {name}{over}{took}."

    def paths(self) -> Iterator[str]:
        """Each distinct walk once, under the ways that share it; what works in one line."""
        paths = self.report.paths
        groups: dict[tuple[object, ...], list[tuple[ReportPath, str]]] = {}
        for path, title in zip(paths, titles(paths), strict=True):
            groups.setdefault((path.verdict, path.hops), []).append((path, title))
        for index, same in enumerate(groups.values()):
            path = same[0][0]
            yield ""
            if len(paths) > 1:
                ways = listed(dict.fromkeys(title for _, title in same))
                yield from self.wrapped(f"  {ways}: {path.verdict}", hang=4)
            if len(paths) == 1 or path.verdict != "reachable" or self.view.verbose or index == 0:
                yield from self.table(path.hops)

    def table(self, hops: Sequence[ReportHop]) -> Iterator[str]:
        from tabulate import tabulate

        rows = _rows(hops)
        seen = any(row[3] for row in rows)
        headers = ["hop", "state", "predicted", "seen"] if seen else ["hop", "state", "predicted"]
        # two spaces of indent and between columns; what hop and state leave is for the two texts
        left = self.width - 2 - max(len(row[0]) for row in rows) - max(len(row[1]) for row in [*rows, ("", "state")]) - 4
        halves = [left * 11 // 20 - 1, left - left * 11 // 20 - 1] if seen else [left]
        # names are not to be broken at their hyphens, which tabulate's own filling does
        cells = [[*row[:2], *(_filled(text, width) for text, width in zip(row[2:], halves, strict=False))] for row in rows]
        table = tabulate(cells, headers=headers, tablefmt="plain", disable_numparse=True)
        for line in table.splitlines():
            yield f"  {self.tinted(line)}".rstrip()

    def tinted(self, line: str) -> str:
        """The state's word in its colour; only the first, which is the state's own column."""
        for state, role in _STATE_ROLE.items():
            head, word, tail = line.partition(f" {state} ")
            if word and len(head.split()) == 1:
                return f"{head} {self.paint(state, role)} {tail}"
        return line

    def samples(self) -> Iterator[str]:
        sampled = [path for path in self.report.paths if path.samples and path.samples.sent > 1]
        if sampled:
            yield ""
        for path in sampled:
            assert path.samples
            samples, latencies = path.samples, sorted(path.samples.latency_ms)
            took = ""
            if latencies:
                middle, last = latencies[len(latencies) // 2], latencies[-1]
                took = f"; latency {latencies[0]:.1f} / {middle:.1f} / {last:.1f} ms (least, median, most)"
            at = address(path) or visible(path.destination.name)
            yield from self.wrapped(f"  {samples.answered} of {samples.sent} answered at {at}{took}.", hang=4)

    # --- a finding

    def block(self, finding: ReportFinding) -> Iterator[str]:
        yield self.headline(finding)
        yield from self.fixes(finding)
        yield from self.evidence(finding)
        yield from self.under(finding)

    def headline(self, finding: ReportFinding) -> str:
        return f"{self.glyph(finding.severity)} {visible(finding.summary)}"

    def remark(self, finding: ReportFinding) -> Iterator[str]:
        if self.view.verbose:
            yield from self.block(finding)
        else:
            at = f", {visible(finding.subject.host)}" if self.several_hosts else ""
            yield f"{self.headline(finding)} ({visible(finding.cause)}{at})"
            yield from self.under(finding)

    def under(self, finding: ReportFinding) -> Iterator[str]:
        for symptom in self.symptoms.get(finding.id, ()):
            yield from self.wrapped(f"    {self.glyph(symptom.severity)} {visible(symptom.summary)}", hang=6)
            if self.view.verbose:
                yield from self.evidence(symptom, indent="      ")

    def fixes(self, finding: ReportFinding) -> Iterator[str]:
        if not finding.fixes:
            return
        yield from self.fix(finding.fixes[0], finding, others=finding.fixes[1:])
        if self.view.verbose:
            for other in finding.fixes[1:]:
                yield from self.wrapped(f"  or: {sentence(visible(other.summary))}", hang=6)
                yield from self.fix(other, finding, told=True)

    def fix(
        self, fix: ReportFix, finding: ReportFinding, others: Sequence[ReportFix] = (), *, told: bool = False
    ) -> Iterator[str]:
        """The commands where they repair by themselves, else what to do in words and the edit."""
        by_hand = not fix.runnable or not fix.commands
        commands = fix.commands if self.view.verbose else _beside_diffs(fix)
        shown = commands if self.view.verbose else _shown(commands)
        as_diff = len(commands) < len(fix.commands)
        if (by_hand or not shown) and not told:
            yield from self.wrapped(f"  {sentence(visible(fix.summary))}", hang=2)
        for edit in fix.edits if by_hand or not shown or as_diff or self.view.verbose else ():
            yield f"  {visible(edit.file)}:"
            changed = (line for line in edit.diff.splitlines() if not line.startswith(("--- ", "+++ ")))  # which name it again
            yield from (f"    {self.coloured(line)}" for line in changed)
        for command in shown:
            yield f"  {self.paint(visible(command), 'command')}"
        hidden = len(shown) < len(fix.commands)
        if hidden and not shown:
            yield f"  {self.paint(visible(self.scripted(finding)), 'command')}"
        if self.view.verbose and fix.undo:
            yield self.paint("  # undo:", "dim")
            yield from (self.paint(f"  #   {visible(line)}", "dim") for line in fix.undo)
        if remarks := "; ".join(self.remarks(fix, finding, script=hidden and not shown)):
            lines = self.wrapped(f"  # {remarks}", hang=2, lead="# ")
            yield from (self.paint(line, "dim") for line in lines)
        more = [] if self.view.verbose else [*_more(fix, others)]
        if hidden and shown:
            yield self.paint(f"  # as a script, with its undo: {visible(self.scripted(finding))}", "dim")
        elif more and not hidden:
            yield self.paint(f"  # {listed(more)}: -v", "dim")

    def coloured(self, line: str) -> str:
        """A line of a diff."""
        role: Role | None = "dim" if line.startswith("@@ ") else _OF_A_DIFF.get(line[:1])
        return self.paint(visible(line), role) if role else visible(line)

    def remarks(self, fix: ReportFix, finding: ReportFinding, *, script: bool) -> Iterator[str]:
        """`script`: the command prints one, and the costs are of that."""
        if script:
            yield "prints a script with its undo"
        if fix.host and (self.several_hosts or fix.host != finding.subject.host):
            yield f"on {visible(fix.host)}"
        said = (visible(cost) for cost in costs(finding, fix) if cost != "permanent")
        yield from (f"the script {cost}" if script and fix.impacts and not index else cost for index, cost in enumerate(said))

    def scripted(self, finding: ReportFinding) -> str:
        """The command line that prints the script of the finding's first fix."""
        asked = self.view.report.invocation
        words = shlex.join((asked.verb, *asked.arguments))
        if asked.verb != "check" or words not in self.view.again:
            return f"{self.view.again} --fix"
        return self.view.again.replace(words, shlex.join(("fix", finding.id)), 1)

    def evidence(self, finding: ReportFinding, *, indent: str = "  ", hint: bool = True) -> Iterator[str]:
        shown = finding.evidence if self.view.verbose else finding.evidence[:_MOST_EVIDENCE]
        facts = "; ".join(_by_source(shown, self.view.verbose))
        text = f"{indent}{_CONFIDENCE[finding.confidence]}: {sentence(facts)}" if facts else ""
        lines = self.wrapped(text, hang=len(indent) + 2) if text else []
        if hint:
            lines = self.with_hint(lines, finding, indent)
        yield from lines
        if self.view.verbose:
            for reference in finding.references:
                yield f"{indent}{visible(reference.title)}: {visible(reference.url)}"

    def with_hint(self, lines: list[str], finding: ReportFinding, indent: str) -> list[str]:
        """The way to the cause's page, at the end of the last line where there is room for it."""
        explain = _explain(finding)
        last = lines[-1] if lines else ""
        if last and len(last) + 2 + len(explain) <= self.width:
            gap = " " * (self.width - len(last) - len(explain))
            return [*lines[:-1], f"{last}{gap}{self.paint(explain, 'dim')}"]
        return [*lines, f"{indent}{self.paint(explain, 'dim')}"]

    # --- blind spots

    def not_seen(self, indent: str = "") -> Iterator[str]:
        yield from self.not_root(indent)
        for spot in _merged(self.report.blind_spots):
            if spot in self.told:
                continue
            yield from self.wrapped(f"{indent}Not seen: {self.spot(spot)}", hang=len(indent) + 2)
            if self.view.verbose and spot.hides:
                yield from self.wrapped(f"{indent}  hides: {', '.join(map(visible, spot.hides))}", hang=len(indent) + 4)

    def not_root(self, indent: str = "") -> Iterator[str]:
        """All that root would have seen, in one line; told once."""
        lifted = [spot for spot in _merged(self.report.blind_spots) if spot.remedy == BY_ROOT and spot not in self.told]
        if len(lifted) > 1:
            self.told.update(lifted)
            what = listed(dict.fromkeys(visible(spot.what) for spot in lifted))
            again = visible(self.view.again)
            yield from self.wrapped(f"{indent}Not seen without root: {what}. To see it: sudo {again}", hang=len(indent) + 2)
            hidden = sorted({cause for spot in lifted for cause in spot.hides})
            if self.view.verbose and hidden:
                yield from self.wrapped(f"{indent}  hides: {', '.join(map(visible, hidden))}", hang=len(indent) + 4)

    def spot(self, spot: ReportBlindSpot) -> str:
        return visible(unseen(spot, host=self.several_hosts))

    # --- lines

    def glyph(self, role: Role) -> str:
        return self.paint(_GLYPHS[role], role)

    def wrapped(self, text: str, *, hang: int, lead: str = "") -> list[str]:
        indent = len(text) - len(text.lstrip(" "))
        lines = textwrap.wrap(
            text[indent:],
            self.width,
            initial_indent=" " * indent,
            subsequent_indent=" " * hang + lead,
            break_long_words=False,
            break_on_hyphens=False,
        )
        return [_plain_spaces(line) for line in lines]


def _filled(text: str, width: int) -> str:
    return "\n".join(textwrap.wrap(text, max(width, 12), break_on_hyphens=False))


def _plain_spaces(text: str) -> str:
    return text.replace(_NBSP, " ")


def _roots(findings: Iterable[ReportFinding]) -> list[ReportFinding]:
    findings = list(findings)
    known = {finding.id for finding in findings}
    return [finding for finding in findings if finding.because_of not in known]


def _by_root(findings: Sequence[ReportFinding]) -> dict[str, list[ReportFinding]]:
    """Symptoms under the finding that stands at the end of their chain of causes."""
    parents = {finding.id: finding.because_of for finding in findings}
    found: dict[str, list[ReportFinding]] = {}
    for finding in findings:
        root, seen = finding.id, {finding.id}
        while (parent := parents.get(root)) in parents and parent is not None and parent not in seen:
            seen.add(parent)
            root = parent
        if root != finding.id:
            found.setdefault(root, []).append(finding)
    return found


def _rows(hops: Sequence[ReportHop]) -> list[tuple[str, str, str, str]]:
    rows: list[tuple[str, str, str, str]] = []
    pending: list[str] = []
    for hop in hops:
        if hop.status == "not-reached":
            pending.append(hop.hop)
        elif hop.status != "not-applicable":
            rows.append((hop.hop, hop.status, visible(hop.predicted), visible(hop.observed)))
    if pending:
        span = pending[0] if len(pending) == 1 else f"{pending[0]} … {pending[-1]}"
        rows.append((span, "", "not reached", ""))
    return rows or [("", "", "", "")]


def _by_source(evidence: Sequence[ReportEvidence], verbose: bool) -> Iterator[str]:
    """`fact: value, fact: value (source)`: a source is named once for what stands together, and not where the fact is it."""
    index = 0
    while index < len(evidence):
        source = evidence[index].source
        facts: list[str] = []
        said = ""
        while index < len(evidence) and evidence[index].source == source:
            facts.append(_fact(evidence[index], verbose, said))
            said = evidence[index].fact
            index += 1
        told = not source or evidence[index - 1].fact.startswith(f"{source} ")
        yield ", ".join(facts) if told else f"{', '.join(facts)} ({visible(source)})"


def _fact(evidence: ReportEvidence, verbose: bool, said: str) -> str:
    value = " ".join(visible(evidence.value).split())
    if not verbose:
        value = _EXACT.sub("", value)
    if not verbose and len(value) > _LONGEST_VALUE:
        value = f"{value[: _LONGEST_VALUE - 1]}…"
    fact = visible(evidence.fact)
    return value if evidence.fact == said else f"{fact}{'' if fact.endswith((' by', ' to', ' at')) else ':'} {value or 'none'}"


def _beside_diffs(fix: ReportFix) -> Sequence[str]:
    """Without the commands that change a compose file, of which the diff says the same; a script has them."""
    if not fix.edits or any(edit.format != "yaml" for edit in fix.edits):
        return fix.commands
    return [command for command in fix.commands if not command.startswith("sed ")]


def _shown(commands: Sequence[str]) -> Sequence[str]:
    """All that is to be pasted, or nothing: half of a fix is worse than where to find the whole."""
    fits = len(commands) <= _MOST_COMMANDS and all(len(command) <= _LONGEST_COMMAND for command in commands)
    return commands if fits else ()


def _more(fix: ReportFix, others: Sequence[ReportFix]) -> Iterator[str]:
    if fix.lasts != "permanent" and any(other.lasts == "permanent" for other in others):
        yield "a way for good"
    elif others:
        yield count(len(others), "other way")


def _merged(spots: Sequence[ReportBlindSpot]) -> list[ReportBlindSpot]:
    """Each once, however many checks met it."""
    unique: dict[tuple[str, str, str, str], ReportBlindSpot] = {}
    for spot in spots:
        unique.setdefault((spot.host, spot.what, spot.why, spot.remedy), spot)
    return list(unique.values())


def _explain(finding: ReportFinding) -> str:
    return f"dockernet-doctor explain {visible(finding.cause)}"
