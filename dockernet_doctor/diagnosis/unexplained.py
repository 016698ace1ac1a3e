"""The two causes without a row in the catalogue: what was seen and nobody explains, and what contradicts the prediction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .case import Case
from .finding import Evidence, Finding, Origin, Subject
from .names import intended
from .path import Hop, NoAnswer, NothingListens, NotTranslated, Path
from .subjects import destination_subject, sufferers, wanted
from .walk import answer_text

CORE = Origin(package="dockernet-doctor", version="")


def unexplained(case: Case, findings: Iterable[Finding]) -> Iterator[Finding]:
    """One finding for each path that is broken and that no finding explains: hop, probe and answer, no cause invented."""
    explained = {id(path) for finding in findings for path in finding.explains}
    for path in case.paths:
        if path.verdict != "unreachable" or id(path) in explained or case.facts(path.host).snapshot.engine is None:
            continue  # of a daemon that did not answer nothing was read: that is the finding
        beyond = isinstance(path.obstacle, NoAnswer) and path.obstacle.beyond
        if not case.asked and (path.basis != "probed" or beyond or _went_away(case, path)):
            continue
        yield _finding(case, path)


def contradicted(case: Case, findings: Iterable[Finding]) -> Iterator[Finding]:
    """Where the prediction and the probe disagree: what was to be broken answered, or what was to be in order did not.

    The second is a symptom of what `findings` say of that path; here is told what they leave open.
    """
    for path in case.paths:
        broken = path.contradiction
        if broken is not None and not _came_up(case, path):
            yield _disagreement(
                path,
                f"{_who(path)} reaches {wanted(path)} against the prediction ({broken.predicted}).",
                (broken,),
            )
    for root in findings:
        for path in root.explains:
            if root.cause == "unexplained-failure" and _was_in_order(path):
                yield _disagreement(
                    path,
                    f"By all that was read {_who(path)} reaches {wanted(path)}, and it does not: {_unread(path)}.",
                    [hop for hop in path.hops if hop.predicted and hop.hop not in ("target", "network", "publish")],
                    because_of=root.id,
                )


def _unread(path: Path) -> str:
    """What it may be, of all that is not read."""
    if any(answer.result == "unreachable-host" for answer in path.answers):
        return "nobody answers for the address there (ARP that is switched off, or an entry of the bridge that leads elsewhere)"
    program = "a queue or filter of tc, an eBPF program or the like, which is not read here, takes the packets"
    return f"{program}, or the service is stuck"


def _went_away(case: Case, path: Path) -> bool:
    """Whether the container was in its first seconds: it may have ended since it was read, or not have begun to listen."""
    target = intended(case.facts(path.host), path)
    return target is not None and case.facts(path.host).coming_up(target)


def _came_up(case: Case, path: Path) -> bool:
    """Whether the container was still coming up when it was read."""
    facts = case.facts(path.host)
    target = intended(facts, path)
    if target is None or path.contradiction is None:
        return False
    late = isinstance(path.contradiction.obstacle, NothingListens | NotTranslated)
    return facts.keeps_ending(target) or (late and facts.just_started(target))


def _was_in_order(path: Path) -> bool:
    answered = path.samples is not None and path.samples.answered > 0
    return (
        isinstance(path.obstacle, NoAnswer)
        and not path.obstacle.beyond
        and not answered
        and all(h.status != "unknown" for h in path.hops)
    )


def _disagreement(path: Path, summary: str, predicted: Iterable[Hop], because_of: str | None = None) -> Finding:
    return Finding(
        cause="prediction-contradicted",
        severity="info",
        confidence="proven",
        subject=_subject(path),
        summary=summary,
        evidence=(
            *(Evidence(fact=f"predicted {hop.hop}", value=hop.predicted, source="what was read") for hop in predicted),
            *_evidence(path),
        ),
        because_of=because_of,
        origin=CORE,
        explains=(path,),
    )


def _finding(case: Case, path: Path) -> Finding:
    hop = path.broken
    seen = (hop.observed or hop.predicted) if hop else ""
    reaches = f"cannot reach {wanted(path)}"
    if path.samples is not None and 0 < path.samples.answered < path.samples.sent:
        reaches = f"reaches {wanted(path)} only {path.samples.answered} times of {path.samples.sent}"
    return Finding(
        cause="unexplained-failure",
        severity="error" if case.asked else "warning",
        confidence="proven" if path.basis == "probed" else "possible",
        subject=_subject(path),
        summary=f"{_who(path)} {reaches}: {seen}; nothing that was read explains it.",
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
    return destination_subject(path)


def _evidence(path: Path) -> tuple[Evidence, ...]:
    where = path.source.name if path.source else "the host"
    told = dict.fromkeys(answer_text(answer) for answer in path.answers)
    return tuple(Evidence(fact=f"probe from {where}", value=text, source="probe") for text in told)
