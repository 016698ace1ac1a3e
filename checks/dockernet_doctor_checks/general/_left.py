"""The paths that the other checks leave without a cause, and how they are named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dockernet_doctor.plugin import Case, Finding, Path, Subject, destination_subject, names, obstacles, who


def left(case: Case, others: Sequence[Finding]) -> Iterator[Path]:
    """Broken paths that no finding explains; in `check` those that were seen to fail, on this host."""
    explained = {id(path) for finding in others for path in finding.explains}
    for path in case.paths:
        if path.verdict != "unreachable" or id(path) in explained or case.facts(path.host).snapshot.engine is None:
            continue  # of a daemon that did not answer nothing was read: that is the finding
        beyond = isinstance(path.obstacle, obstacles.NoAnswer) and path.obstacle.beyond
        if case.asked or (path.basis == "probed" and not beyond and not _went_away(case, path)):
            yield path


def sender(path: Path) -> str:
    """Who asks, as the subject of a sentence about one."""
    return "another machine" if path.question.source.kind == "outside" and path.source is None else who(path)


def subject_of(path: Path) -> Subject:
    """The container at the end of the path, else the destination."""
    if path.target is not None:
        return Subject(kind="container", name=path.target.name, host=path.host, id=path.target.id)
    return destination_subject(path)


def _went_away(case: Case, path: Path) -> bool:
    """True if the container was in its first seconds: it may have ended since it was read, or not have begun to listen."""
    target = names.intended(case.facts(path.host), path)
    return target is not None and case.facts(path.host).coming_up(target)
