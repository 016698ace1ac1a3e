"""Everything that the author of a check may import. `api` changes when a member goes or changes its meaning."""

from __future__ import annotations

from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.check import Check
from dockernet_doctor.diagnosis.facts import HostFacts
from dockernet_doctor.diagnosis.finding import Affected, Edit, Evidence, Finding, Fix, Link, Subject
from dockernet_doctor.diagnosis.path import Path
from dockernet_doctor.probe.model import Answer, Probe, Vantage

api = 1

__all__ = [
    "Affected",
    "Answer",
    "Case",
    "Check",
    "Edit",
    "Evidence",
    "Finding",
    "Fix",
    "HostFacts",
    "Link",
    "Path",
    "Probe",
    "Subject",
    "Vantage",
    "api",
]
