"""The two causes without a row in the catalogue: what was seen and nobody explains, and what contradicts the prediction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .case import Case
from .finding import Evidence, Finding, Origin, Subject
from .path import NoAnswer, Path
from .subjects import sufferers, wanted
from .walk import answer_text

CORE = Origin(package="dockernet-doctor", version="")


def unexplained(case: Case, findings: Iterable[Finding]) -> Iterator[Finding]:
    """One finding for each path that is broken and that no finding explains: hop, probe and answer, no cause invented."""
    explained = {id(path) for finding in findings for path in finding.explains}
    for path in case.paths:
        if path.verdict != "unreachable" or id(path) in explained:
            continue
        beyond = isinstance(path.obstacle, NoAnswer) and path.obstacle.beyond
        if not case.asked and (path.basis != "probed" or beyond):
            continue
        yield _finding(case, path)


def contradicted(case: Case) -> Iterator[Finding]:
    """A path that was predicted broken and answered all the same."""
    for path in case.paths:
        if path.contradiction:
            yield Finding(
                cause="prediction-contradicted",
                severity="info",
                confidence="proven",
                subject=_subject(path),
                summary=f"{_who(path)} reaches {wanted(path)}, although {path.contradiction}.",
                evidence=_evidence(path),
                origin=CORE,
                explains=(path,),
            )


def _finding(case: Case, path: Path) -> Finding:
    hop = path.broken
    seen = (hop.observed or hop.predicted) if hop else ""
    return Finding(
        cause="unexplained-failure",
        severity="error" if case.asked else "warning",
        confidence="proven" if path.basis == "probed" else "possible",
        subject=_subject(path),
        summary=f"{_who(path)} cannot reach {wanted(path)}: {seen}; nothing that was read explains it.",
        affects=sufferers(path) if path.source else (),
        evidence=_evidence(path),
        hop=hop.hop if hop else None,
        origin=CORE,
        explains=(path,),
    )


def _who(path: Path) -> str:
    if path.source:
        return path.source.name
    return "this host" if path.question.source.kind == "host" else "another machine"


def _subject(path: Path) -> Subject:
    if path.target is not None:
        return Subject(kind="container", name=path.target.name, host=path.host, id=path.target.id)
    return Subject(kind="destination", name=path.destination.name, host=path.host)


def _evidence(path: Path) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(
            fact=f"probe from {path.source.name if path.source else 'the host'}",
            value=answer_text(answer),
            source="probe",
        )
        for answer in path.answers
    )
