"""What `plan` prints: every probe that would be sent, none sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from msgspec import Struct

from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.paths import cluster
from dockernet_doctor.moments import now
from dockernet_doctor.probe.model import Probe, Vantage

from .hosts import report_hosts, report_unexamined, target_words, vantage_words
from .model import TOOL, Invocation, ReportBlindSpot, ReportHost, Tool
from .words import count, unseen, visible


class PlannedProbe(Struct, frozen=True, kw_only=True):
    probe: str
    vantage: str
    target: str
    counters: bool  # the firewall's counters are read before and after
    sample: int  # which repetition; 0 where it is asked once


class Plan(Struct, frozen=True, kw_only=True):
    schema: Literal["dockernet-doctor/plan/1"]
    tool: Tool
    taken_at: str
    invocation: Invocation
    hosts: tuple[ReportHost, ...]
    complete: bool  # every host and container asked for could be read
    probes: tuple[PlannedProbe, ...]
    blind_spots: tuple[ReportBlindSpot, ...]  # which could not


def build(case: Case, probes: Sequence[Probe], invocation: Invocation) -> Plan:
    unexamined = report_unexamined(case)
    return Plan(
        schema="dockernet-doctor/plan/1",
        tool=TOOL,
        taken_at=now(),
        invocation=invocation,
        hosts=report_hosts(case),
        complete=not unexamined,
        probes=(
            *_of_stores(case),
            *(
                PlannedProbe(
                    probe=probe.kind,
                    vantage=vantage_words(case, probe.vantage),
                    target=target_words(probe),
                    counters=probe.counters,
                    sample=probe.sample,
                )
                for probe in probes
            ),
        ),
        blind_spots=unexamined,
    )


def _of_stores(case: Case) -> Iterator[PlannedProbe]:
    """The cluster stores (engine ≤ 20.10) are asked while the hosts are read, before anything else."""
    for facts in case.hosts:
        if facts.snapshot.source != "live" or not cluster.is_legacy(facts):
            continue
        for store in cluster.store_addresses(facts):
            target = f"{store.host}:{store.port or 80}"
            vantage = vantage_words(case, Vantage(facts.name))
            yield PlannedProbe(probe="store", vantage=vantage, target=target, counters=False, sample=0)


def text(plan: Plan) -> str:
    """A table of the probes; it notes that later rounds depend on the answers."""
    from tabulate import tabulate

    missing = "".join(f"Not seen: {visible(unseen(spot))}\n" for spot in plan.blind_spots)
    if not plan.probes:
        return f"{missing}No probe would be sent.\n"
    rows = [
        (visible(probe.vantage), probe.probe, visible(probe.target) + (" (counters read)" if probe.counters else ""))
        for probe in plan.probes
    ]
    unique = list(dict.fromkeys(rows))
    table = tabulate(unique, headers=["from", "probe", "to"], tablefmt="plain", disable_numparse=True)
    lines = [line.rstrip() for line in table.splitlines()]
    total = count(len(plan.probes), "probe")
    said = f"{total} at first, none sent. Failures are retried; resolved addresses are then\nprobed."
    return "\n".join((*lines, "", f"{missing}{said}")) + "\n"
