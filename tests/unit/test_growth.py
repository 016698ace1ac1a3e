"""The work of a diagnosis grows with the size of a host, and not faster: function calls are counted, no time is measured."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from msgspec.structs import replace

from dockernet_doctor import once
from dockernet_doctor.commands.options import REPORT_FORMATS
from dockernet_doctor.diagnosis.paths import all_questions
from dockernet_doctor.diagnosis.registry import load
from dockernet_doctor.diagnosis.run import Diagnosis, diagnose
from dockernet_doctor.report import formats
from dockernet_doctor.report.build import build
from dockernet_doctor.report.model import Invocation
from dockernet_doctor.snapshot.model import Container, Reference, Snapshot
from tests.unit.grown import grown

REGISTRY = load()
LIMIT = 2.3
"""Times the calls where a host is twice as large."""


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls of a second process would not be counted."""
    monkeypatch.setattr(all_questions, "_MANY", sys.maxsize)


@pytest.mark.parametrize(
    ("size", "rest"),
    [
        ({"containers": 60}, {}),
        ({"containers": 60}, {"networks": 8}),
        ({"containers": 60, "networks": 60}, {}),
        ({"ports": 6}, {}),
        ({"rules": 300}, {}),
        ({"aliases": 60}, {}),
        ({"settings": 60}, {}),
    ],
    ids=lambda sizes: "+".join(sizes) or "alone",
)
def test_a_healthy_host_that_is_twice_as_large_takes_twice_the_work(size: dict[str, Any], rest: dict[str, Any]) -> None:
    small, large = (calls([grown(**rest, **{of: count * factor for of, count in size.items()})]) for factor in (1, 2))
    assert small < large <= small * LIMIT


def test_twice_the_hosts_take_twice_the_work() -> None:
    small, large = (calls([grown(name=f"h{number}") for number in range(hosts)]) for hosts in (10, 20))
    assert small < large <= small * LIMIT


@pytest.mark.parametrize(
    "fault",
    ["nothing listens", "no route", "stopped", "FORWARD drops all", "no proxy listens", "own localhost", "one hostname"],
)
def test_twice_the_findings_take_twice_the_work(fault: str) -> None:
    small, large = (calls([FAULTS[fault](grown(containers=containers))]) for containers in (60, 120))
    assert small < large <= small * LIMIT


@pytest.mark.parametrize("name", REPORT_FORMATS)
def test_a_report_of_twice_the_findings_takes_twice_the_work(name: str) -> None:
    """Each format alone: the whole is dominated by the diagnosis."""
    invocation = Invocation(verb="check", arguments=(), only=(), skip=(), fail_on="error", probes=False)

    def report(diagnosis: Diagnosis) -> None:
        view = build(diagnosis, invocation, duration_s=1.0, with_map=name == "html")
        formats.render(view, name, colour=False, width=80)

    hosts = [FAULTS["nothing listens"](grown(containers=containers)) for containers in (30, 60, 120)]
    diagnoses = [diagnose([host], registry=REGISTRY) for host in hosts]
    report(diagnoses[0])  # what is imported and compiled at first use
    small, large = (counted(lambda: report(diagnosis)) for diagnosis in diagnoses[1:])  # noqa: B023
    assert small < large <= small * LIMIT


def _each(change: Callable[[Container], Container]) -> Callable[[Snapshot], Snapshot]:
    return lambda host: replace(host, containers=tuple(map(change, host.containers)))


def _inside(container: Container, **stack: Any) -> Container:
    assert container.sandbox
    return replace(container, sandbox=replace(container.sandbox, stack=replace(container.sandbox.stack, **stack)))


def _on_host(snapshot: Snapshot, **stack: Any) -> Snapshot:
    assert snapshot.host
    return replace(snapshot, host=replace(snapshot.host, stack=replace(snapshot.host.stack, **stack)))


def _ruled(snapshot: Snapshot, rule: str, instead: str) -> Snapshot:
    assert snapshot.host
    assert snapshot.host.stack.firewall
    (dump,) = snapshot.host.stack.firewall
    assert rule in dump.text
    return _on_host(snapshot, firewall=(replace(dump, text=dump.text.replace(rule, instead)),))


_ITSELF = (Reference(where="environment", key="DB_HOST", host="localhost", port=8999),)

FAULTS: dict[str, Callable[[Snapshot], Snapshot]] = {
    "nothing listens": _each(lambda container: _inside(container, listeners=())),
    "no route": _each(lambda container: _inside(container, routes=())),
    "stopped": _each(
        lambda container: replace(
            container, sandbox=None, state=replace(container.state, status="exited", running=False, pid=0, exit_code=1)
        )
    ),
    "FORWARD drops all": lambda host: _ruled(host, "-A FORWARD -j DOCKER-USER", "-A FORWARD -j DROP"),
    "no proxy listens": lambda host: _on_host(host, listeners=()),
    "own localhost": _each(lambda container: replace(container, references=_ITSELF)),
    "one hostname": _each(lambda container: replace(container, hostname="db", image=container.name)),
}


def calls(snapshots: list[Snapshot]) -> int:
    """How many functions, of Python and of C, a diagnosis calls."""
    diagnose(snapshots, registry=REGISTRY)  # what is imported and compiled at first use
    once.forget()
    fresh = [replace(snapshot) for snapshot in snapshots]
    return counted(lambda: diagnose(fresh, registry=REGISTRY))


def counted(work: Callable[[], object]) -> int:
    count = 0

    def note(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count
