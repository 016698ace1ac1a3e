"""What is generated in docs/ is there and up to date; what is written by hand names only what exists."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

from dockernet_doctor.cli import VERBS
from dockernet_doctor.diagnosis import registry
from dockernet_doctor.diagnosis.case import Case
from tests.unit.report.cases import SNAPSHOT

ROOT = Path(__file__).parents[3]


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_up_to_date() -> None:
    assert generator().stale() == [], "make docs"


def test_every_cause_has_a_page_of_its_own() -> None:
    for cause, entry in registry.load().registered.items():
        assert entry.page, cause
        assert Path(entry.page).read_text(encoding="utf-8").startswith(f"# {cause}\n"), cause


def test_documents_name_only_verbs_and_causes_that_exist() -> None:
    causes = registry.load().causes()
    for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        text = path.read_text(encoding="utf-8")
        for verb in re.findall(r"^ *(?:\$ )?dockernet-doctor ([a-z]+)", text, re.MULTILINE):
            assert verb in VERBS, f"{path.name}: {verb}"
        for cause in re.findall(r"dockernet-doctor explain ([a-z][a-z0-9-]+)(?=\s|`|$)", text):
            assert cause in causes, f"{path.name}: {cause}"


def test_the_example_of_a_check_works() -> None:
    text = (ROOT / "docs" / "writing-a-check.md").read_text(encoding="utf-8")
    example = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert example is not None
    module = ModuleType("example")
    exec(example[1], module.__dict__)
    assert module.check.cause == "acme/no-restart-policy"
    case = Case.of([SNAPSHOT])
    assert [finding.subject.name for finding in module.find(case)] == ["web"]
