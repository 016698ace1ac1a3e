"""Asks the tool about the host of a ticket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from dockernet_doctor.diagnosis import registry
from dockernet_doctor.diagnosis.question import Question, parse_source, parse_target
from dockernet_doctor.diagnosis.run import Diagnosis, diagnose
from dockernet_doctor.probe.model import Answer, Probe
from tests import corpus
from tests.tickets import databases, further, hosts
from tests.tickets.network import Built

REGISTRY = registry.load()
TICKETS = hosts.TICKETS | further.TICKETS | databases.TICKETS
HEALTHY = hosts.HEALTHY | further.HEALTHY | databases.HEALTHY


class Ticket(NamedTuple):
    name: str
    thread: str
    question: str
    cause: str


def listed() -> list[Ticket]:
    lines = (Path(__file__).parent / "list.tsv").read_text().splitlines()
    return [Ticket(*line.split("\t")) for line in lines[1:]]


def named(ticket: Ticket) -> list[str]:
    """The causes in the order of the report; of `check` without infos that stand below nothing."""
    return [finding.cause for finding in asked(TICKETS[ticket.name], ticket.question).findings]


def to_corpus() -> None:
    """All hosts as cases of the corpus."""
    built_and_asked = {ticket.name: (TICKETS[ticket.name], ticket.question) for ticket in listed()}
    for name, built in HEALTHY.items():
        built_and_asked["healthy " + name] = built, name if name.startswith("reach") else "check"
    pairs = []
    for name, (built, question) in built_and_asked.items():
        found = asked(built, question)
        words = question.split()[1:]
        case = corpus.Case(
            case=f"tickets/{name.replace(' ', '_').replace('/', '-')}/asked@h1",
            questions=((words[0], words[1]),) if words else (),
            snapshots=tuple(facts.snapshot for facts in found.case.hosts),
            answers=found.answers,
        )
        pairs.append((case, corpus.replay(case)))
    pairs.sort(key=lambda pair: pair[0].key)
    corpus.write_lines(corpus.RECORDED / "tickets.jsonl.xz", (case for case, _report in pairs))
    corpus.write("tickets", pairs)


def asked(built: Built, question: str) -> Diagnosis:
    snapshot = built.snapshot()

    def send(probes: Sequence[Probe]) -> Mapping[Probe, Answer]:
        return {probe: built.answer(probe, snapshot) for probe in probes}

    verb, *words = question.split()
    questions = [Question(source=parse_source(words[0]), target=parse_target(words[1]))] if words else []
    return diagnose([snapshot], questions, registry=REGISTRY, asked=verb == "reach", probe=send)
