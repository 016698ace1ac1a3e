"""What all reports say alike of hosts: which they are, what of them was not examined, and how a probe's places are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockernet_doctor.notation import at
from dockernet_doctor.probe.model import Probe, Vantage
from dockernet_doctor.snapshot.model import BlindSpot, Engine

from .model import EngineInfo, ReportBlindSpot, ReportHost

if TYPE_CHECKING:
    from dockernet_doctor.diagnosis.case import Case
    from dockernet_doctor.diagnosis.facts.host import HostFacts


def report_hosts(case: Case) -> tuple[ReportHost, ...]:
    return tuple(_host(facts) for facts in case.hosts)


def _host(facts: HostFacts) -> ReportHost:
    snapshot, engine = facts.snapshot, facts.snapshot.engine
    return ReportHost(
        name=snapshot.name,
        source=snapshot.source,
        taken_at=snapshot.taken_at,
        engine=_engine(engine, snapshot.endpoint) if engine else None,
    )


def _engine(engine: Engine, endpoint: str) -> EngineInfo:
    return EngineInfo(version=engine.version, api_version=engine.api_version, os=engine.os, endpoint=endpoint)


def report_unexamined(case: Case) -> tuple[ReportBlindSpot, ...]:
    """What was asked for and could not be looked at: daemons that gave no answer, and containers that are not there."""
    silent = [
        (facts.name, BlindSpot(area="engine", what="the daemon", why=problem.detail if problem else "it gave no answer"))
        for facts in case.hosts
        if facts.snapshot.engine is None
        for problem in (facts.snapshot.problem,)
    ]
    missing = [(it.host, it.spot) for it in case.absent() if it.why != "silent"]
    return tuple(
        ReportBlindSpot(area=spot.area, host=host, what=spot.what, why=spot.why, remedy=spot.remedy, hides=())
        for host, spot in (*silent, *missing)
    )


def vantage_words(case: Case, vantage: Vantage) -> str:
    """`host` or a container's name, with `@HOST` where several hosts are read."""
    name = "host"
    for facts in case.hosts:
        if vantage.container and facts.name == vantage.host:
            found = next((c.name for c in facts.containers if c.id == vantage.container), vantage.container[:12])
            name = f"container:{found}" if found in ("host", "outside") else found
    return f"{name}@{vantage.host}" if len(case.hosts) > 1 else name


def target_words(probe: Probe) -> str:
    """`10.0.0.5:8080`, `[::1]:80`, `web A at 127.0.0.11:53`, `10.0.0.5 ports 80,443`, …"""
    target = at(probe.address, probe.port) if probe.port else probe.address
    if probe.kind == "dns":
        target = f"{probe.name} {probe.record} at {target}{' over tcp' if probe.over_tcp else ''}"
    if probe.kind == "greet":
        from dockernet_doctor.probe.greet import GREETINGS

        sent = GREETINGS.get(probe.name, b"")
        target = f"{probe.name} at {target}: {sent.decode('latin-1').encode('unicode_escape').decode()}"
    if probe.kind == "http":
        target = f"HEAD / HTTP/1.0, Host {probe.name or probe.address}, at {target}"
    if probe.kind == "scan":
        target = f"{target} ports {probe.ports}"
    if probe.interface:
        target = f"{target} on {probe.interface}"
    if probe.size:
        target = f"{target} with {probe.size} bytes"
    return f"{target} from {probe.source}" if probe.source else target
