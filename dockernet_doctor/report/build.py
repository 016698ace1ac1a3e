"""Diagnosis → View: the report's records, and beside them what only the formats for people need."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import structs

from dockernet_doctor.diagnosis.finding import Finding, Fix
from dockernet_doctor.diagnosis.path import NameMisleads, Path, Samples, Verdict
from dockernet_doctor.moments import now
from dockernet_doctor.probe.model import SILENT, Answer

from .hosts import report_hosts, target_words, vantage_words
from .model import (
    TOOL,
    Invocation,
    ProbeCounts,
    Reference,
    Report,
    ReportAffected,
    ReportBlindSpot,
    ReportCheck,
    ReportClients,
    ReportDestination,
    ReportEdit,
    ReportEvidence,
    ReportFinding,
    ReportFix,
    ReportHop,
    ReportOrigin,
    ReportPath,
    ReportProbe,
    ReportSamples,
    ReportSubject,
    SuppressedFinding,
    Suppression,
    View,
)

if TYPE_CHECKING:
    from dockernet_doctor.diagnosis.case import Case
    from dockernet_doctor.diagnosis.finding import Finding
    from dockernet_doctor.diagnosis.findings.accepted import Suppressed
    from dockernet_doctor.diagnosis.run import Diagnosis


def build(
    diagnosis: Diagnosis,
    invocation: Invocation,
    *,
    duration_s: float,
    taken_at: str = "",
    verbose: bool = False,
    brief: bool = False,
    with_map: bool = False,
    again: Sequence[str] = (),
) -> View:
    """The view of a diagnosis.

    `duration_s` is of the whole run, reading included; `taken_at` is now, where nothing is given; `again` are the words of a
    command line that asks the same.
    """
    case = diagnosis.case
    asked = invocation.verb == "reach"
    findings = diagnosis.findings
    report = Report(
        schema="dockernet-doctor/report/1",
        tool=TOOL,
        taken_at=taken_at or now(),
        duration_s=round(duration_s, 3),
        invocation=invocation,
        hosts=report_hosts(case),
        complete=diagnosis.complete,
        verdict=overall(verdict for path in case.paths for verdict in _verdicts(path)) if asked else None,
        paths=tuple(_path(path) for path in case.paths),
        findings=tuple(_finding(finding) for finding in findings),
        suppressed=tuple(_suppressed(it) for it in diagnosis.suppressed),
        checks=tuple(ReportCheck(cause=check.cause, result=check.result) for check in diagnosis.checks),
        blind_spots=report_blind_spots(diagnosis),
        probes=tuple(_probe(case, answer) for answer in diagnosis.answers),
        probe_counts=_counts(diagnosis.answers),
    )
    return View(
        report=report,
        containers=sum(len(facts.containers) for facts in case.hosts),
        networks=sum(len(facts.snapshot.networks) for facts in case.hosts),
        ports=sum(len({(p.port, p.protocol, p.host_port) for p in c.ports}) for _, c in case.containers()),
        latencies=tuple(_latency(path) for path in case.paths),
        again=shlex.join(again),
        notes=tuple(dict.fromkeys(path.note for path in case.paths if path.note)),
        verbose=verbose,
        brief=brief,
        map_svg=_map(case, findings) if with_map else "",
    )


def _map(case: Case, findings: Sequence[Finding]) -> str:
    from . import map as networks
    from . import map_svg

    return map_svg.svg(networks.build(case, findings))


def _verdicts(path: Path) -> Iterator[Verdict]:
    """The verdict of one path; where it is broken and answers now and then, both."""
    yield path.verdict
    misled = isinstance(path.obstacle, NameMisleads)
    if path.verdict == "unreachable" and path.samples and path.samples.answered and not misled:
        yield "reachable"


def overall(verdicts: Iterable[Verdict]) -> Verdict:
    """The same where all paths agree, else `partly`; `unknown` where there is no path at all."""
    distinct = set(verdicts)
    if not distinct:
        return "unknown"
    return distinct.pop() if len(distinct) == 1 else "partly"


def report_blind_spots(diagnosis: Diagnosis) -> tuple[ReportBlindSpot, ...]:
    return tuple(
        ReportBlindSpot(area=spot.area, host=found.host, what=spot.what, why=spot.why, remedy=spot.remedy, hides=found.hides)
        for found in diagnosis.blind_spots
        for spot in (found.spot,)
    )


def _path(path: Path) -> ReportPath:
    destination = path.destination
    return ReportPath(
        source=str(path.question.source),
        clients=tuple(
            ReportClients(interface=c.interface, via=c.via, prefixes=c.prefixes, family=c.family) for c in path.clients
        ),
        destination=ReportDestination(
            name=destination.name,
            address=destination.address,
            family=destination.family,
            port=destination.port,
            protocol=destination.protocol,
        ),
        verdict=path.verdict,
        basis=path.basis,
        hops=tuple(
            ReportHop(hop=hop.hop, status=hop.status, predicted=hop.predicted, observed=hop.observed) for hop in path.hops
        ),
        samples=_samples(path.samples) if path.samples else None,
    )


def _latency(path: Path) -> float | None:
    """Milliseconds that the answer took which settled the path."""
    return next((a.latency_ms for a in path.answers if a.positive and a.probe.kind in ("tcp", "udp")), None)


def _samples(samples: Samples) -> ReportSamples:
    return ReportSamples(sent=samples.sent, answered=samples.answered, latency_ms=samples.latency_ms)


def _finding(finding: Finding) -> ReportFinding:
    subject, origin = finding.subject, finding.origin
    return ReportFinding(
        id=finding.id,
        cause=finding.cause,
        severity=finding.severity,
        confidence=finding.confidence,
        subject=ReportSubject(kind=subject.kind, name=subject.name, id=subject.id, host=subject.host),
        affects=tuple(ReportAffected(kind=a.kind, name=a.name, host=a.host) for a in finding.affects),
        summary=finding.summary,
        evidence=tuple(ReportEvidence(fact=e.fact, value=e.value, source=e.source) for e in finding.evidence),
        fixes=tuple(_fix(fix, subject.host) for fix in finding.fixes),
        because_of=finding.because_of,
        hop=finding.hop,
        origin=ReportOrigin(package=origin.package, version=origin.version)
        if origin
        else ReportOrigin(package=TOOL.name, version=TOOL.version),
        references=tuple(Reference(title=link.title, url=link.url) for link in finding.references),
    )


def _suppressed(found: Suppressed) -> SuppressedFinding:
    suppression = Suppression(reason=found.reason, until=found.until, origin=found.origin)
    return SuppressedFinding(**structs.asdict(_finding(found.finding)), suppression=suppression)


def _fix(fix: Fix, host: str) -> ReportFix:
    return ReportFix(
        summary=fix.summary,
        commands=tuple(map(str, fix.commands)),
        edits=tuple(ReportEdit(file=edit.file, format=edit.format, diff=edit.diff) for edit in fix.edits),
        impacts=fix.impacts,
        lasts=fix.lasts,
        host=fix.host or host,
        runnable=fix.runnable,
        undo=tuple(map(str, fix.undo)),
        also=fix.also,
    )


def _probe(case: Case, answer: Answer) -> ReportProbe:
    return ReportProbe(
        probe=answer.probe.kind,
        vantage=vantage_words(case, answer.probe.vantage),
        target=target_words(answer.probe),
        answer=answer.result,
        attempts=answer.attempts,
        latency_ms=answer.latency_ms,
    )


def _counts(answers: Sequence[Answer]) -> ProbeCounts:
    sent = [answer for answer in answers if answer.sent]
    return ProbeCounts(
        sent=len(sent),
        answered=sum(answer.result not in SILENT for answer in sent),
        failed=len(answers) - len(sent),
    )
