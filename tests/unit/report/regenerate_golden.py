"""`python -m tests.unit.report.regenerate_golden`: writes the golden files anew. Read the difference before committing."""

from __future__ import annotations

from dockernet_doctor.report import text

from .test_formats import GOLDEN, TEXTS

if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name, shown in TEXTS.items():
        (GOLDEN / f"{name}.txt").write_text(text.render(shown), encoding="utf-8")
