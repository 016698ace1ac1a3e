"""Everything that the author of a check may import. `api` changes when a member goes or changes its meaning.

A check is a module with a `check` of type `Check` and a page of the same name ending in `.md` beside it.
"""

from __future__ import annotations

from dockernet_doctor import shell
from dockernet_doctor.diagnosis import change
from dockernet_doctor.diagnosis import path as obstacles
from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.check import Check
from dockernet_doctor.diagnosis.facts import daemon, docker_rules, links, neighbours, routing, witness
from dockernet_doctor.diagnosis.facts.clients import refused_clients
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.facts.listeners import mapping_text
from dockernet_doctor.diagnosis.facts.protocols import protocol_of
from dockernet_doctor.diagnosis.finding import Affected, Confidence, Edit, Evidence, Finding, Fix, Link, Severity, Subject
from dockernet_doctor.diagnosis.findings.subjects import (
    affected,
    container_subject,
    daemon_subject,
    destination_subject,
    display_name,
    file_subject,
    host_subject,
    network_subject,
    port_subject,
    probe_evidence,
    rule_subject,
    sufferers,
    unreached,
    wanted,
    who,
)
from dockernet_doctor.diagnosis.fixes import addressing, dockerd, remedy
from dockernet_doctor.diagnosis.path import Path
from dockernet_doctor.diagnosis.paths import cluster, filtering, name_servers, names, stopped
from dockernet_doctor.diagnosis.paths import other_hosts as fleet
from dockernet_doctor.diagnosis.paths.next_dials import NextDial, next_dials
from dockernet_doctor.diagnosis.paths.reasons import bound_elsewhere, silent_port, unanswered_name
from dockernet_doctor.moments import moment
from dockernet_doctor.notation import UNSPECIFIED, is_loopback, listed
from dockernet_doctor.probe.model import Answer, Probe, Vantage
from dockernet_doctor.snapshot import cluster_store, daemon_options, model
from dockernet_doctor.snapshot.daemon_json import DaemonJson

api = 1

__all__ = [
    "UNSPECIFIED",
    "Affected",
    "Answer",
    "Case",
    "Check",
    "Confidence",
    "DaemonJson",
    "Edit",
    "Evidence",
    "Finding",
    "Fix",
    "HostFacts",
    "Link",
    "NextDial",
    "Path",
    "Probe",
    "Severity",
    "Subject",
    "Vantage",
    "addressing",
    "affected",
    "api",
    "bound_elsewhere",
    "change",
    "cluster",
    "cluster_store",
    "container_subject",
    "daemon",
    "daemon_options",
    "daemon_subject",
    "destination_subject",
    "display_name",
    "docker_rules",
    "dockerd",
    "file_subject",
    "filtering",
    "fleet",
    "host_subject",
    "is_loopback",
    "links",
    "listed",
    "mapping_text",
    "model",
    "moment",
    "name_servers",
    "names",
    "neighbours",
    "network_subject",
    "next_dials",
    "obstacles",
    "port_subject",
    "probe_evidence",
    "protocol_of",
    "refused_clients",
    "remedy",
    "routing",
    "rule_subject",
    "shell",
    "silent_port",
    "stopped",
    "sufferers",
    "unanswered_name",
    "unreached",
    "wanted",
    "who",
    "witness",
]
