"""A bundle cannot steer a shell: nothing that stands in one runs, whatever of a report is pasted."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import msgspec
import pytest

from dockernet_doctor.commands.reach import question_of
from dockernet_doctor.diagnosis import registry, run
from dockernet_doctor.diagnosis.question import Question
from dockernet_doctor.netfilter.change import Way, allow, undo, undo_policy
from dockernet_doctor.netfilter.model import Backend, Chain, Packet, Rule
from dockernet_doctor.probe.model import Answer
from dockernet_doctor.report.build import build
from dockernet_doctor.report.model import Invocation
from dockernet_doctor.report.script import script
from dockernet_doctor.shell import Command
from dockernet_doctor.snapshot import bundle
from dockernet_doctor.snapshot.model import Snapshot
from tests import corpus
from tests.unit.hostile import BEGIN, DASH, END, FORMS, ROOT, Jail, Planting, plantings, strayed

SEED = os.environ.get("HOSTILE_SEED") or os.environ.get("PYTEST_XDIST_TESTRUNUID") or str(random.randrange(1 << 32))
SAMPLED = int(os.environ.get("HOSTILE_CASES") or 12)


class Recorded(NamedTuple):
    name: str
    snapshots: tuple[Snapshot, ...]
    answers: tuple[Answer, ...]
    questions: tuple[tuple[str, str], ...]


def bundles() -> Iterator[Recorded]:
    """Every bundle of the repository, checked, and asked for all of its containers from outside and from the host."""
    for path in [*sorted((ROOT / "tests" / "recorded").glob("*.bundle")), ROOT / "dockernet_doctor" / "demo.bundle.json.gz"]:
        read = bundle.load(str(path))
        names = [c.name for c in read.snapshot.containers]
        asked = tuple((source, name) for name in names for source in ("outside", "host", *names[:2]))
        yield Recorded(path.name, (read.snapshot,), read.answers, ())
        yield Recorded(f"{path.name}, reach", (read.snapshot,), read.answers, asked)


@cache
def sample() -> list[Recorded]:
    """Some of the corpus."""
    found = [Recorded(case.key, case.snapshots, case.answers, case.questions) for case in corpus.cases()]
    return random.Random(SEED).sample(found, min(SAMPLED, len(found)))


def planted(recorded: Recorded, planting: Planting) -> tuple[list[Snapshot], dict[Any, Answer], list[Question]]:
    """The same hosts, answers and questions with hostile text in them."""
    snapshots = msgspec.convert(planting.of(msgspec.to_builtins(recorded.snapshots)), list[Snapshot])
    answers = msgspec.convert(planting.of(msgspec.to_builtins(recorded.answers)), list[Answer])
    asked = [question_of(*question) for question in recorded.questions]
    questions = msgspec.convert(planting.of(msgspec.to_builtins(asked)), list[Question])
    return snapshots, {answer.probe: answer for answer in answers}, questions


def commands(recorded: Recorded, planting: Planting) -> Iterator[str]:
    """What the report of it has its reader paste: fixes, what takes them back, and the fixes as a script."""
    snapshots, answers, questions = planted(recorded, planting)
    diagnosis = run.diagnose(
        snapshots, questions, asked=bool(questions), registry=registry.load(), probe=None, recorded=answers
    )
    for finding in diagnosis.findings:
        for fix in finding.fixes:
            for command in (*fix.commands, *fix.undo):
                assert isinstance(command, Command)
                assert not (command.unsayable and (fix.runnable or command in fix.undo))
                yield command
    invocation = Invocation(verb="check", arguments=(), only=(), skip=(), fail_on="error", probes=False)
    for reported in build(diagnosis, invocation, duration_s=0).report.findings:
        yield script([(reported, fix) for fix in reported.fixes])


@pytest.fixture(scope="module")
def jail(tmp_path_factory: pytest.TempPathFactory) -> Jail:
    return Jail(tmp_path_factory.mktemp("jail"))


@pytest.mark.parametrize("recorded", list(bundles()), ids=lambda recorded: recorded.name)
def test_what_a_bundle_says_never_runs(recorded: Recorded, jail: Jail) -> None:
    paste(recorded, jail)


@pytest.mark.parametrize("number", range(SAMPLED), ids=lambda number: f"seed {SEED}, {number}")
def test_what_a_host_of_the_corpus_says_never_runs(number: int, jail: Jail) -> None:
    """HOSTILE_SEED=SEED, as the test's name has it, repeats it; HOSTILE_CASES is how many there are."""
    if number < len(sample()):
        paste(sample()[number], jail)


def paste(recorded: Recorded, jail: Jail) -> None:
    for planting in plantings(msgspec.to_builtins(recorded.snapshots), random.Random(f"{SEED} {recorded.name}")):
        # an address that is none may be refused, which is looked at elsewhere
        with contextlib.nullcontext() if planting.of_names else contextlib.suppress(ValueError, msgspec.ValidationError):
            for command in set(commands(recorded, planting)):
                run_in(jail, command, planting)


def run_in(jail: Jail, command: str, planting: Planting) -> None:
    for call in jail.run(command):
        assert not list(strayed(call, planting)), (command, call)


def test_hostile_names_keep_no_fix_from_being_printed() -> None:
    (demo,) = [recorded for recorded in bundles() if recorded.name.endswith(".json.gz")]
    for planting in plantings(msgspec.to_builtins(demo.snapshots), random.Random(1)):
        if planting.of_names:
            assert len(list(commands(demo, planting))) > 20


def packets(name: str) -> Iterator[Packet]:
    yield Packet(source="10.1.0.2", destination="172.17.0.2", dport=80, in_interface=name, out_interface="docker0")
    yield Packet(source="10.1.0.2", destination=name, dport=80, in_interface="eth0")
    yield Packet(source="10.1.0.2", destination="172.17.0.2", in_interface=name, out_interface=name)


@pytest.mark.parametrize("form", [*FORMS, DASH])
@pytest.mark.parametrize("backend", ["iptables-nft", "iptables-legacy", "nft"])
def test_what_a_ruleset_says_never_runs(form: str, backend: Backend, jail: Jail) -> None:
    planting = Planting(form, {})
    name = f"{DASH}name" if form == DASH else f"{BEGIN}{form}{END}"
    line = f"-A {name} -s 10.0.0.0/8 -m comment --comment {name} -m recent --name {name} -j {name}"
    found: list[Way] = []
    places = (name, "FORWARD"), ("filter", name), (name, name), ("filter", "ufw-user-input"), ("filter", "IN_public")
    for table, chain in places:
        rule = Rule(table=table, chain=chain, position=1, backend=backend, family="ip", handle=7, line=line)
        base = Chain(table=table, name=chain, backend=backend, family="ip", hook="forward", policy="DROP", rules=(rule,))
        for packet in packets(name):
            found += [*undo(rule, packet), *undo(rule, packet, chain=base), *undo_policy(base, packet), allow(rule, packet)]
    assert len(found) > 50
    for command in {command for change in found for command in change.commands}:
        if command.startswith("nft"):
            assert name not in command.replace(f'"{name}"', "")  # bare: nft would read more than a name in it
        run_in(jail, command, planting)
