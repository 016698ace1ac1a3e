"""What the author of a check may rely on: `dockernet_doctor.plugin`, its members and its version."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

from dockernet_doctor import plugin
from dockernet_doctor.diagnosis.check import Check
from dockernet_doctor.diagnosis.finding import Edit, Evidence, Finding, Fix, Subject

MEMBERS = """
Affected Answer Case Check Confidence Edit Evidence Finding Fix HostFacts Link Path Probe Severity Subject UNSPECIFIED Vantage
addressing affected api bound_elsewhere change clients cluster cluster_store container_subject daemon daemon_json daemon_options
daemon_subject destination_subject display_name docker_rules dockerd file_subject filtering fleet host_subject is_loopback links
listed mapping_text model moment name_servers names neighbours network_subject next_dials obstacles port_subject probe_evidence
remedy routing rule_subject shell silent_port spoken stopped sufferers unanswered_name unreached wanted who witness
"""


def test_no_member_comes_or_goes_unseen() -> None:
    """One that is added stands here; one that goes, or changes its meaning, changes `api` too."""
    assert plugin.api == 1
    assert sorted(plugin.__all__) == MEMBERS.split()
    assert [name for name in plugin.__all__ if not hasattr(plugin, name)] == []


def test_our_checks_import_nothing_else() -> None:
    imported = {
        (name, file.name)
        for file in (Path(__file__).parents[2] / "checks").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        for name in _modules(node)
        if name.split(".")[0] == "dockernet_doctor"
    }
    assert {name for name, _file in imported} == {"dockernet_doctor.plugin"}, imported


def test_no_family_of_checks_imports_another() -> None:
    """What two share belongs to the diagnosis: a check's own file can then change without a look at the others."""
    files = (Path(__file__).parents[2] / "checks").rglob("*.py")
    above = [file.name for file in files for node in ast.walk(ast.parse(file.read_text())) if getattr(node, "level", 0) > 1]
    assert above == []


def _modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


def test_the_fields_that_a_check_fills() -> None:
    fields = {record.__name__: record.__struct_fields__ for record in (Check, Finding, Fix, Edit, Evidence, Subject)}
    assert fields["Evidence"] == ("fact", "value", "source")
    assert fields["Subject"] == ("kind", "name", "host", "id")
    assert fields["Edit"] == ("file", "format", "diff")
    filled = {"summary", "commands", "edits", "impacts", "lasts", "host", "runnable"}
    assert set(fields["Fix"]) == {*filled, "undo", "also", "changes"}
    assert set(fields["Check"]) == {
        *(
            "cause",
            "title",
            "subjects",
            "find",
            "probes",
            "remains",
            "needs",
            "symptom_of",
            "phrases",
            "engines",
            "frequent",
            "exposes",
            "podman",
            "article",
        ),
    }
    assert {"severity", "confidence", "subject", "summary", "affects", "evidence", "fixes", "hop", "explains"} <= {
        *fields["Finding"]
    }


def test_the_methods_of_a_case() -> None:
    methods = {name for name, _ in inspect.getmembers(plugin.Case, inspect.isfunction) if not name.startswith("_")}
    assert methods == {
        *("absent", "answer", "broken_by", "containers", "facts", "is_subject", "running", "told", "vantage"),
    }
