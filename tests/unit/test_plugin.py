"""What the author of a check may rely on: `dockernet_doctor.plugin`, its members and its version."""

from __future__ import annotations

import ast
from pathlib import Path

from dockernet_doctor import plugin


def test_the_version_of_the_api() -> None:
    """Each name and signature stands in docs/plugin-api.txt, compared in test_docs. What a line there loses changes `api`."""
    assert plugin.api == 1
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
