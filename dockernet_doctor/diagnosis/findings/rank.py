"""From what the checks found to what the reader sees: merged, rooted, and in the order to act (design, *JSON report*)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

from msgspec.structs import replace

from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.check import Check
from dockernet_doctor.diagnosis.finding import CONFIDENCES, SEVERITIES, Affected, Evidence, Finding, Severity
from dockernet_doctor.diagnosis.path import Path
from dockernet_doctor.diagnosis.paths.bearing import bears

SUBJECT_ORDER = (
    "daemon",
    "host",
    "cluster-store",
    "file",
    "rule",
    "network",
    "service",
    "container",
    "port",
    "destination",
)

T = TypeVar("T", Affected, Evidence)


def rank(case: Case, found: Iterable[Finding], checks: Mapping[str, Check]) -> tuple[Finding, ...]:
    """Equal ids merged, roots found, severity set for the question; `findings[0]` is what to act on first."""
    merged = merge(found)
    if case.asked:
        merged = _bearing(case, merged, checks)
    else:
        merged = [replace(f, severity="error") if f.severity == "info" and _is_missed(f) else f for f in merged]
        merged = [replace(f, severity="info") if f.severity != "info" and _is_set_aside(case, f) else f for f in merged]
    return ordered(_rooted(merged, checks))


def merge(found: Iterable[Finding]) -> list[Finding]:
    """One finding for a cause and a subject."""
    by_id: dict[str, Finding] = {}
    for finding in found:
        known = by_id.get(finding.id)
        by_id[finding.id] = finding if known is None else _both(known, finding)
    return list(by_id.values())


def _both(one: Finding, other: Finding) -> Finding:
    """The more urgent of the two, with what both affect, show and explain."""
    if _urgency(other) < _urgency(one):
        one, other = other, one
    return replace(
        one,
        affects=_union(one.affects, other.affects),
        evidence=_union(one.evidence, other.evidence),
        explains=one.explains + tuple(p for p in other.explains if p not in one.explains),
        behind=one.behind + tuple(p for p in other.behind if p not in one.behind),
        roots=None if one.roots is None or other.roots is None else tuple(dict.fromkeys((*one.roots, *other.roots))),
        because_of=one.because_of or other.because_of,
    )


def _union(one: tuple[T, ...], other: tuple[T, ...]) -> tuple[T, ...]:
    return one + tuple(item for item in other if item not in one)


def _bearing(case: Case, findings: list[Finding], checks: Mapping[str, Check]) -> list[Finding]:
    """In `reach`: what breaks the asked path is an error; what does not bear on it is left out, unless it is a root."""
    suffering = [path for path in case.paths if _suffers(path)]
    kept = [finding for finding in findings if _of_dead_daemon(case, finding)]
    for finding in findings:
        if finding in kept:
            continue
        if any(path in suffering for path in finding.explains):
            broken = any(path in suffering and path.verdict == "unreachable" for path in finding.explains)
            kept.append(replace(finding, severity="error") if broken else finding)
        elif finding.severity == "warning" and finding.confidence == "proven" and finding.explains:
            kept.append(finding)  # it lies on the way that was asked for, and will bite
        elif finding.hop == "answer" and any(path in case.paths for path in finding.explains):
            kept.append(finding)  # the way is open, and the application says no
    if not kept:
        return []
    roots = {cause for finding in kept for cause in (checks[finding.cause].symptom_of if finding.cause in checks else ())}
    known = {finding.id for finding in kept}
    return kept + [f for f in findings if f.cause in roots and f.id not in known and any(_related(f, k) for k in kept)]


def _is_missed(finding: Finding) -> bool:
    """True if what may be by design breaks what a container's settings say: a probe from there to a container failed."""
    return any(
        path.question.reference is not None and path.target is not None and path.source is not None
        for path in finding.explains
        if path.verdict == "unreachable" and path.basis == "probed"
    )


def _is_set_aside(case: Case, finding: Finding) -> bool:
    """True if it is about what another is in the place of: nobody misses that any more."""
    if finding.subject.kind not in ("container", "service", "port"):
        return False
    facts = next((facts for facts in case.hosts if facts.name == finding.subject.host), None)
    container = facts.container(finding.subject.id) if facts else None
    return facts is not None and container is not None and facts.set_aside(container)


def _of_dead_daemon(case: Case, finding: Finding) -> bool:
    """True if it tells why a daemon gave no answer: then nothing that was asked could be examined, and that leads."""
    dead = {facts.name for facts in case.hosts if facts.snapshot.engine is None}
    return finding.severity == "error" and finding.subject.host in dead


def _suffers(path: Path) -> bool:
    """True if it cannot be reached, or not always, or what is sent once it is open is stopped."""
    lossy = path.samples is not None and path.samples.answered < path.samples.sent
    return path.verdict != "reachable" or lossy or path.large is not None


def about(case: Case, findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """In `check CONTAINER`, of ranked findings: what has it as subject or in `affects`, what stands in the way to it or from
    it, and the roots of these."""
    found = tuple(findings)
    kept = [finding for finding in found if _concerns(case, finding)]
    roots = {finding.because_of for finding in kept}
    return tuple(finding for finding in found if finding in kept or finding.id in roots)


def _concerns(case: Case, finding: Finding) -> bool:
    subject = finding.subject
    name = subject.name.split(":")[0] if subject.kind == "port" else subject.name
    if case.is_subject(name, subject.host) or any(case.is_subject(a.name, a.host) for a in finding.affects):
        return True
    suffering = (path for path in finding.explains if _suffers(path))
    return any(bears(case, path) for path in suffering) or _of_dead_daemon(case, finding)


def _rooted(findings: list[Finding], checks: Mapping[str, Check]) -> list[Finding]:
    by_cause: dict[str, list[Finding]] = {}
    by_path: dict[int, list[int]] = {}  # places of the findings that explain it
    for place, finding in enumerate(findings):
        by_cause.setdefault(finding.cause, []).append(finding)
        for path in finding.explains:
            by_path.setdefault(id(path), []).append(place)
    result = []
    for finding in findings:
        root = finding.because_of or _stopped_by(finding, findings, by_path)
        for cause in () if root else _causes(finding, checks):
            candidates = [f for f in by_cause.get(cause, ()) if f.id != finding.id and _related(f, finding)]
            if candidates:
                root = min(candidates, key=_urgency).id
                break
        result.append(replace(finding, because_of=root))
    known = {finding.id: finding for finding in result}
    return [replace(f, because_of=_top(f, known)) for f in result]


def _stopped_by(finding: Finding, findings: list[Finding], by_path: Mapping[int, list[int]]) -> str | None:
    """What explains a path that had to work before."""
    places = sorted({place for path in finding.behind for place in by_path.get(id(path), ())})
    found = [findings[place] for place in places if findings[place].id != finding.id]
    return min(found, key=_urgency).id if found else None


def _causes(finding: Finding, checks: Mapping[str, Check]) -> tuple[str, ...]:
    """The causes that may be its root, likeliest first."""
    known = checks[finding.cause].symptom_of if finding.cause in checks else ()
    return known if finding.roots is None else tuple(cause for cause in known if cause in finding.roots)


def _top(finding: Finding, known: Mapping[str, Finding]) -> str | None:
    """The root at the end of the chain; a cycle or a root that is not in the report is none."""
    seen = {finding.id}
    root = finding.because_of
    while root is not None and root in known:
        if root in seen:
            return None
        seen.add(root)
        further = known[root].because_of
        if further not in known:
            return root
        root = further
    return None


def _related(root: Finding, symptom: Finding) -> bool:
    """They share a path, a container or a subject; a root that concerns the whole daemon or host relates to all on it."""
    if root.subject.host != symptom.subject.host:
        return False
    if root.subject.kind in ("daemon", "host") and not root.affects:
        return True
    if any(path in symptom.explains for path in root.explains):
        return True
    return bool(_names(root) & _names(symptom))


def _names(finding: Finding) -> set[str]:
    subject = finding.subject.name.split(":")[0] if finding.subject.kind == "port" else finding.subject.name
    return {subject, *(affected.name for affected in finding.affects)}


def _urgency(finding: Finding) -> tuple[int, int]:
    return SEVERITIES.index(finding.severity), CONFIDENCES.index(finding.confidence)


def with_hosts(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings of several hosts, each beginning with its host where its sentence does not have the name."""
    return tuple(_with_host(finding) for finding in findings)


def _with_host(finding: Finding) -> Finding:
    host = finding.subject.host
    if not host or re.search(rf"(?<![\w.-]){re.escape(host)}(?![\w-])", finding.summary):
        return finding
    return replace(finding, summary=f"{host}: {finding.summary}")


def ordered(findings: list[Finding]) -> tuple[Finding, ...]:
    """Roots before symptoms, a root ranking with its worst symptom; then severity, confidence, subject, cause, name."""
    worst: dict[str, Severity] = {f.id: f.severity for f in findings}
    for finding in findings:
        root = finding.because_of
        if root and SEVERITIES.index(finding.severity) < SEVERITIES.index(worst[root]):
            worst[root] = finding.severity

    def key(finding: Finding) -> tuple[object, ...]:
        kind = finding.subject.kind
        return (
            finding.because_of is not None,
            SEVERITIES.index(worst[finding.id]),
            CONFIDENCES.index(finding.confidence),
            SUBJECT_ORDER.index(kind) if kind in SUBJECT_ORDER else len(SUBJECT_ORDER),
            finding.cause,
            finding.subject.name,
            finding.subject.host,
        )

    return tuple(sorted(findings, key=key))
