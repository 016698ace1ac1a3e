"""Which paths bear on the containers that `check CONTAINER` names: theirs, and those that lead to them or were meant to."""

from __future__ import annotations

from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.path import Path
from dockernet_doctor.diagnosis.paths.names import intended


def bears(case: Case, path: Path) -> bool:
    """True if the path begins at one of the containers, ends there, or should; every path where none is named.

    All paths are walked, whatever is named: what is wrong with a container is the same for `check` and `check CONTAINER`.
    """
    if not case.subjects:
        return True
    source, target = path.source, path.target
    if source is not None and case.is_subject(source.name, path.source_host or path.host):
        return True
    if target is not None:
        return case.is_subject(target.name, path.target_host or path.host)
    meant = intended(case.facts(path.source_host or path.host), path)
    return meant is not None and case.is_subject(meant.name, path.source_host or path.host)
