"""docs/architecture.md is true to the tree: each room that it names is there, and each that is there is named."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "dockernet_doctor"


def test_each_room_stands_in_the_plan_and_nothing_else() -> None:
    """Modules and folders of the package and of `diagnosis`; names beside one another share a folder."""
    named = {path for row in _rows() for path in _paths(row)}
    assert {str(path) for path in named if not path.exists()} == set()
    diagnosis = PACKAGE / "diagnosis"
    rooms = {path for folder in (PACKAGE, diagnosis) for path in folder.iterdir() if _is_room(path)} - {diagnosis}
    assert rooms - named == set()


def _rows() -> list[str]:
    plan = (ROOT / "docs/architecture.md").read_text().partition("## Rooms")[2].partition("\n## ")[0]
    return [line.split("|")[1] for line in plan.splitlines() if line.startswith("| `")]


def _paths(row: str) -> list[Path]:
    names = re.findall("`([^`]+)`", row)
    base = ROOT if names[0].startswith(("dockernet_doctor/", "checks/")) else PACKAGE
    first = base / names[0]
    return [first, *(first.parent / name for name in names[1:])]


def _is_room(path: Path) -> bool:
    return (path.suffix == ".py" and path.name != "__init__.py") or (path / "__init__.py").exists()
