"""prediction-contradicted: the probe says otherwise than the snapshot, in either direction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from dockernet_doctor.plugin import Case, Check, Evidence, Finding, Path, names, obstacles, probe_evidence, wanted

from . import unexplained_failure
from ._left import left, sender, subject_of


def remains(case: Case, others: Sequence[Finding]) -> Iterator[Finding]:
    """What was to be broken and answered; and what was to be in order and did not answer, a symptom of unexplained-failure."""
    for path in case.paths:
        broken = path.contradiction
        if broken is not None and not _came_up(case, path):
            yield _disagreement(
                path,
                f"{sender(path)} reaches {wanted(path)} although it should not ({broken.predicted}).",
                (broken,),
            )
    for path in left(case, others):
        if _was_in_order(path):
            yield _disagreement(
                path,
                f"{sender(path)} should reach {wanted(path)} but does not: {_unread(path)}.",
                [hop for hop in path.hops if hop.predicted and hop.hop not in ("target", "network", "publish")],
                because_of=unexplained_failure.check.id_of(subject_of(path)),
            )


def _disagreement(path: Path, summary: str, predicted: Iterable[obstacles.Hop], because_of: str | None = None) -> Finding:
    return Finding(
        severity="info",
        confidence="proven",
        subject=subject_of(path),
        summary=summary,
        evidence=(
            *(Evidence(fact=f"predicted {hop.hop}", value=hop.predicted, source="what was read") for hop in predicted),
            *probe_evidence(path),
        ),
        because_of=because_of,
        explains=(path,),
    )


def _unread(path: Path) -> str:
    """What it may be, of all that is not read."""
    if any(answer.result == "unreachable-host" for answer in path.answers):
        return "nobody answers for the address there (ARP that is switched off, or an entry of the bridge that leads elsewhere)"
    program = "something that is not read here (tc, an eBPF program) takes the packets"
    return f"{program}, or the service is stuck"


def _came_up(case: Case, path: Path) -> bool:
    """True if the container was still coming up when it was read."""
    facts = case.facts(path.host)
    target = names.intended(facts, path)
    if target is None or path.contradiction is None:
        return False
    late = isinstance(path.contradiction.obstacle, obstacles.NothingListens | obstacles.NotTranslated)
    return facts.keeps_ending(target) or (late and facts.just_started(target))


def _was_in_order(path: Path) -> bool:
    answered = path.samples is not None and path.samples.answered > 0
    return (
        isinstance(path.obstacle, obstacles.NoAnswer)
        and not path.obstacle.beyond
        and not answered
        and all(h.status != "unknown" for h in path.hops)
    )


check = Check(
    cause="prediction-contradicted",
    title="What was predicted and what was seen disagree",
    subjects=(
        "container",
        "destination",
    ),
    remains=remains,
    phrases=("prediction contradicted",),
)
