"""The public tickets of tests/tickets/lab.tsv on real hosts: the symptom is seen, then the expected cause comes first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.lab import further_tickets, packages, tickets
from tests.lab.host import Host

LIST = Path(__file__).parent.parent / "tickets" / "lab.tsv"
OUTSIDE = "outside of the host"
TICKETS = tickets.TICKETS | further_tickets.TICKETS
HEALTHY = tickets.HEALTHY | further_tickets.HEALTHY


class Listed(NamedTuple):
    name: str
    thread: str
    symptom: str
    questions: str
    cause: str


LISTED = [Listed(*line.split("\t")) for line in LIST.read_text().splitlines()[1:]]
EACH = 15
"""One ticket in so many is run by `make test`; the others are long."""


@pytest.mark.parametrize("engine", ["newest"], indirect=True)
@pytest.mark.parametrize(
    "ticket",
    [
        pytest.param(it, id=it.name, marks=pytest.mark.long if number % EACH else ())
        for number, it in enumerate(LISTED)
        if it.name in TICKETS
    ],
)
def test_the_cause_comes_first(host: Host, ticket: Listed) -> None:
    built = TICKETS[ticket.name]
    if built.serve:
        host.serve(built.serve.format(tree=packages.unpacked("servers")))
    if built.neighbour:
        host.neighbour.serve(built.neighbour)
    done = host.run(["sh", "-ec", built.script], timeout=90, check=False)
    assert done.ok, done.output
    if built.outside:
        assert not host.neighbour.ok(built.outside, timeout=15), "the symptom is not there"
    host.state = ticket.name
    questions = [_of(host, question) for question in ticket.questions.split("; ")]
    with ThreadPoolExecutor() as threads:
        answers = list(threads.map(lambda question: host.doctor(f"{question} --format json"), questions))
    if ticket.cause == OUTSIDE:
        assert [(answer.report["verdict"], answer.causes) for answer in answers] == [("reachable", [])]
        return
    assert {question: answer.causes[:1] for question, answer in zip(questions, answers, strict=True)} == {
        question: [ticket.cause] for question in questions
    }, [(f["severity"], f["id"], f["summary"]) for answer in answers for f in answer.findings]


@pytest.mark.parametrize("engine", ["newest"], indirect=True)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long if number else ()) for number, name in enumerate(HEALTHY)]
)
def test_healthy_setups_are_silent(host: Host, name: str) -> None:
    built = HEALTHY[name]
    if built.serve:
        host.serve(built.serve)
    done = host.run(["sh", "-ec", built.script], timeout=90, check=False)
    assert done.ok, done.output
    host.state = f"healthy {name}"
    checked = host.doctor("check --format json")
    assert [f["id"] for f in checked.findings if f["severity"] != "info" and f["cause"] != "sensitive-port-exposed"] == []
    for question in (_of(host, question) for question in built.reach):
        answer = host.doctor(f"reach {question} --format json")
        assert (question, answer.report["verdict"], answer.causes) == (question, "reachable", [])


def _of(host: Host, question: str) -> str:
    """A question with the addresses that host and neighbour have in this lab."""
    return question.replace("$HOST", host.address).replace("$NEIGHBOUR", host.neighbour.address)
