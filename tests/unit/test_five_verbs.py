"""`check`, `check NAME`, `reach`, `ports` and `map` do not contradict each other, on any snapshot of the corpus."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

import msgspec
import pytest
from msgspec.structs import replace

from dockernet_doctor.diagnosis import ports, registry
from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.finding import Finding
from dockernet_doctor.diagnosis.run import Diagnosis, diagnose
from dockernet_doctor.probe.model import Answer, Probe
from dockernet_doctor.report import map as maps
from dockernet_doctor.report.map_model import by_port, is_open_to_others
from dockernet_doctor.snapshot.model import Snapshot
from tests import corpus
from tests.corpus import modules

REGISTRY = registry.load()


class World:
    """Hosts and what their network answered, and what the verbs say of them."""

    def __init__(self, case: corpus.Case) -> None:
        self.name = case.key
        self.snapshots: tuple[Snapshot, ...] = tuple(replace(snapshot, source="bundle") for snapshot in case.snapshots)
        self.answers: dict[Probe, Answer] = {}
        for answer in case.answers:  # reach brackets by counters what check does not
            for probe in (answer.probe, replace(answer.probe, counters=not answer.probe.counters)):
                self.answers.setdefault(probe, replace(answer, probe=probe))
        self.checked = self.ask()

    def ask(self, *questions: object, subjects: tuple[str, ...] = ()) -> Diagnosis:
        return diagnose(
            self.snapshots,
            questions,  # type: ignore[arg-type]
            asked=bool(questions),
            registry=REGISTRY,
            recorded=self.answers,
            subjects=subjects,
        )


def worlds(module: str) -> Iterator[World]:
    """Each reading once, whatever was asked of it then. Two hosts of one name cannot be told apart here, and are left out."""
    seen: set[bytes] = set()
    for case in corpus.cases(module):
        names = {snapshot.name for snapshot in case.snapshots}
        key = msgspec.json.encode(case.snapshots)
        if key not in seen and len(names) == len(case.snapshots):
            seen.add(key)
            yield World(case)


def loudness(findings: Iterable[Finding]) -> dict[str, str]:
    return {finding.id: finding.severity for finding in findings}


def of_named(world: World) -> Iterator[str]:
    """`check NAME`: nothing that `check` does not say, nor more or less loudly; nothing about NAME left out; and what keeps
    others from NAME is there."""
    told = loudness(world.checked.findings)
    for facts, container in world.checked.case.containers():
        named = world.ask(subjects=(f"{container.name}@{facts.name}",))
        said = loudness(named.findings)
        yield from (
            f"check {container.name}: {key} is {severity}, in check {told.get(key)}"
            for key, severity in said.items()
            if told.get(key) != severity and not (key.startswith("container-not-running=") and key not in told)
        )
        for finding in world.checked.findings:
            about = any((a.name, a.host) == (container.name, facts.name) for a in finding.affects)
            kept = any(
                path.verdict == "unreachable" and path.target is container and (path.target_host or path.host) == facts.name
                for path in finding.explains
            )
            if (about or kept) and finding.id not in said and not _of_many(finding):
                yield f"check {container.name} leaves out {finding.id}"


def _of_many(finding: Finding) -> bool:
    """What ran once is one line a host in `check`, and a line of its own for who asks about it."""
    return finding.cause == "container-not-running" and finding.subject.kind == "host"


def of_questions(world: World) -> Iterator[str]:
    """`reach`: the verdicts of `check` for what is published, and a finding for what is broken there."""
    verdicts = defaultdict(set)
    for path in world.checked.case.paths:
        verdicts[str(path.question)].add((path.destination.address, path.destination.port, path.verdict))
    for question in world.checked.case.questions:
        if question.origin == "published":
            asked = world.ask(replace(question, origin="asked"))
            found = {(p.destination.address, p.destination.port, p.verdict) for p in asked.case.paths}
            by_clients = any(path.clients for path in asked.case.paths)  # `reach` tells them apart, `check` asks for one
            if found != verdicts[str(question)] and not (by_clients and verdicts[str(question)] <= found):
                yield f"reach {question}: {found}, in check {verdicts[str(question)]}"
            if any(path.verdict == "unreachable" for path in asked.case.paths) and not asked.findings:
                yield f"reach {question}: unreachable, and no finding"


def of_ports(world: World) -> Iterator[str]:
    """`ports`: of each published port what `check` and `reach` say, by what is predicted or by what was seen; and `map` shows
    the same ports."""
    case = Case.of(world.snapshots)
    matrix = ports.matrix(case, world.answers)
    rows = {(r.host, r.container, r.port, r.protocol, r.host_port, r.address): r for r in matrix.rows}
    for path in world.checked.case.paths:
        to = path.destination
        key = (path.host, path.target.name if path.target else "", path.container_port, to.protocol, to.port, to.address)
        if path.question.origin != "published" or path.published is None or to.address in (None, "0.0.0.0", "::"):
            continue  # not dialled, or of a host whose addresses were not read
        row = rows.get(key)  # type: ignore[arg-type]
        if row is None:
            yield f"ports has no row for {key}"
            continue
        here = path.question.source.kind == "host"
        expected = row.expected_here if here else row.expected_outside
        seen_otherwise = here and row.agrees is False and path.verdict == "unreachable"
        come_and_go = here and path.verdict == "unreachable" and expected == "unknown"  # what a counter told, once
        if expected != path.verdict and not seen_otherwise and not come_and_go:
            yield f"ports {key} from {path.question.source}: {expected}, in check {path.verdict}"
    picture = maps.build(case)
    shown = {(c.host, c.name, p.port, p.protocol, p.host_port) for c in picture.containers for p in c.ports if p.host_port}
    running = {c.name for facts in case.hosts for c in facts.running}
    if {key for key in shown if key[1] in running} != {key[:5] for key in rows}:
        yield "map and ports show different ports"
    for container in picture.containers:
        for mapping in by_port(container.ports):
            outside = [
                r
                for k, r in rows.items()
                if k[:2] == (container.host, container.name) and k[4] == mapping[0].host_port and r.published
            ]
            if not is_open_to_others(mapping) and any(row.expected_outside == "reachable" for row in outside):
                yield f"map keeps {container.name} from others, ports does not"


@pytest.mark.parametrize("module", modules())
def test_the_verbs_agree(module: str) -> None:
    wrong = [f"{w.name}: {said}" for w in worlds(module) for said in (*of_named(w), *of_questions(w), *of_ports(w))]
    assert not wrong, f"{len(wrong)} contradictions\n" + "\n".join(wrong)
