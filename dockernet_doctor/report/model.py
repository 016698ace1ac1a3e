"""The JSON report, version 1. Every key is always there: no field here has a default.

Closed sets are Literals, and become enumerations of the JSON Schema; open ones (cause, subject kind, hop, area, impacts,
answer) are plain strings, so that a new one is no new version.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from dockernet_doctor import __version__
from dockernet_doctor.diagnosis.finding import Confidence, Lasts, Severity
from dockernet_doctor.diagnosis.path import Basis, HopStatus, Verdict
from dockernet_doctor.snapshot.model import Family, Protocol

FailOn = Literal["error", "warning", "info", "never"]
CheckOutcome = Literal["clear", "found", "not-examined", "not-applicable", "skipped", "failed"]


class Tool(Struct, frozen=True, kw_only=True):
    name: Literal["dockernet-doctor"]
    version: str


TOOL = Tool(name="dockernet-doctor", version=__version__)


class Invocation(Struct, frozen=True, kw_only=True):
    verb: str
    arguments: tuple[str, ...]
    only: tuple[str, ...]
    skip: tuple[str, ...]
    fail_on: FailOn
    probes: bool


class EngineInfo(Struct, frozen=True, kw_only=True):
    version: str
    api_version: str
    os: str
    endpoint: str


class ReportHost(Struct, frozen=True, kw_only=True):
    name: str
    source: Literal["live", "bundle"]
    taken_at: str
    engine: EngineInfo | None


class ReportDestination(Struct, frozen=True, kw_only=True):
    name: str
    address: str | None
    family: Family | None
    port: int | None
    protocol: Protocol


class ReportHop(Struct, frozen=True, kw_only=True):
    hop: str
    status: HopStatus
    predicted: str
    observed: str


class ReportSamples(Struct, frozen=True, kw_only=True):
    sent: int
    answered: int
    latency_ms: tuple[float, ...]


class ReportClients(Struct, frozen=True, kw_only=True):
    interface: str
    via: str
    prefixes: tuple[str, ...]
    family: Family


class ReportPath(Struct, frozen=True, kw_only=True):
    source: str
    clients: tuple[ReportClients, ...]
    destination: ReportDestination
    verdict: Verdict
    basis: Basis
    hops: tuple[ReportHop, ...]
    samples: ReportSamples | None


class ReportSubject(Struct, frozen=True, kw_only=True):
    kind: str
    name: str
    id: str
    host: str


class ReportAffected(Struct, frozen=True, kw_only=True):
    kind: str
    name: str
    host: str


class ReportEvidence(Struct, frozen=True, kw_only=True):
    fact: str
    value: str
    source: str


class ReportEdit(Struct, frozen=True, kw_only=True):
    file: str
    format: str
    diff: str


class ReportFix(Struct, frozen=True, kw_only=True):
    summary: str
    commands: tuple[str, ...]
    edits: tuple[ReportEdit, ...]
    impacts: tuple[str, ...]
    lasts: Lasts
    host: str
    runnable: bool
    undo: tuple[str, ...] = ()
    also: str = ""


class ReportOrigin(Struct, frozen=True, kw_only=True):
    package: str
    version: str


class Reference(Struct, frozen=True, kw_only=True):
    title: str
    url: str


class ReportFinding(Struct, frozen=True, kw_only=True):
    id: str
    cause: str
    severity: Severity
    confidence: Confidence
    subject: ReportSubject
    affects: tuple[ReportAffected, ...]
    summary: str
    evidence: tuple[ReportEvidence, ...]
    fixes: tuple[ReportFix, ...]
    because_of: str | None
    hop: str | None
    origin: ReportOrigin
    references: tuple[Reference, ...]


class Suppression(Struct, frozen=True, kw_only=True):
    reason: str
    until: str | None
    origin: str = field(name="from")


class SuppressedFinding(ReportFinding, frozen=True, kw_only=True):
    suppression: Suppression


class ReportCheck(Struct, frozen=True, kw_only=True):
    cause: str
    result: CheckOutcome


class ReportBlindSpot(Struct, frozen=True, kw_only=True):
    area: str
    host: str
    what: str
    why: str
    remedy: str
    hides: tuple[str, ...]


class ReportProbe(Struct, frozen=True, kw_only=True):
    probe: str
    vantage: str
    target: str
    answer: str
    attempts: int
    latency_ms: float | None


class ProbeCounts(Struct, frozen=True, kw_only=True):
    sent: int
    answered: int
    failed: int


class Report(Struct, frozen=True, kw_only=True):
    schema: Literal["dockernet-doctor/report/1"]
    tool: Tool
    taken_at: str
    duration_s: float
    invocation: Invocation
    hosts: tuple[ReportHost, ...]
    complete: bool
    verdict: Verdict | None
    paths: tuple[ReportPath, ...]
    findings: tuple[ReportFinding, ...]
    suppressed: tuple[SuppressedFinding, ...]
    checks: tuple[ReportCheck, ...]
    blind_spots: tuple[ReportBlindSpot, ...]
    probes: tuple[ReportProbe, ...]
    probe_counts: ProbeCounts


class View(Struct, frozen=True, kw_only=True):
    """What a format gets: the report, and what only people need told."""

    report: Report
    containers: int  # how much was looked at
    networks: int
    ports: int
    latencies: tuple[float | None, ...]  # of each path's answer, in milliseconds
    again: str  # the command line that asked for this
    notes: tuple[str, ...] = ()  # how a question was understood
    verbose: bool = False
    brief: bool = False  # of JSON only what `brief` has
    map_svg: str = ""  # the picture of the networks, where a format shows it
