"""What a question really dials: which address and port, from whom, by which published port (design, *The walk*).

A `Dial` is one address and one port. `from_container` and `from_outside` (for the host's own questions, too) choose how to
get there: `by_name`, `by_address`, or by a port that is `published`. Where the question already fails on the way there (no
such container, a name that does not resolve, a port that is not published), the dial carries the obstacle instead.
"""

from __future__ import annotations

from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.paths.destination.from_container import from_container
from dockernet_doctor.diagnosis.paths.destination.from_outside import from_host_or_outside
from dockernet_doctor.diagnosis.paths.destination.model import Dial
from dockernet_doctor.diagnosis.paths.destination.target import stopped_before, unread_container
from dockernet_doctor.diagnosis.question import Question
from dockernet_doctor.notation import is_loopback


def dials(case: Case, question: Question) -> list[Dial]:
    """All dials of a question; at least one."""
    there = question.target.host if question.source.kind == "outside" else ""
    facts = case.facts(there or question.source.host or question.target.host)
    if question.source.kind != "container":
        return list(from_host_or_outside(case, facts, question))
    source = facts.container(question.source.name)
    if source is None:
        unknown = unread_container(facts, question.source.name) or f"no container is called {question.source.name}"
        return [Dial(facts=facts, name=str(question.target), unknown=("target", unknown))]
    stopped = stopped_before(Dial(facts=facts, name=str(question.target), source=source), source)
    if stopped and (stopped.hop == "target" or not is_loopback(question.target.name)):
        return [stopped]
    return list(from_container(case, facts, source, question.target))
