"""The corpus: each recorded host is diagnosed again, and what is found there must be what the table says."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.corpus import EXPECTED, RECORDED, REPORTS, SILENT, cases, expected, modules, replay, reports, rows


@pytest.mark.parametrize("module", modules())
def test_corpus(module: str) -> None:
    """`python -m tests.corpus diff` shows more of what changed; `accept` makes it the truth."""
    table, stored = expected(module), reports(module)
    wrong = []
    for case in cases(module):
        report = replay(case)
        found = rows(case, report)
        verdicts = [[path["verdict"] for path in of["paths"]] for of in (stored[case.key], report)]
        if found != table[case.key] or verdicts[0] != verdicts[1]:
            wrong.append("\n  ".join([case.key, *(f"- {row}" for row in table[case.key]), *(f"+ {row}" for row in found)]))
    assert not wrong, f"{len(wrong)} cases differ\n" + "\n".join(wrong)


@pytest.mark.parametrize("module", modules())
def test_the_table_has_each_recorded_case_once(module: str) -> None:
    keys = Counter(case.key for case in cases(module))
    assert set(keys.values()) == {1}
    assert set(keys) == set(expected(module)) == set(reports(module))


def test_healthy_twins_are_silent() -> None:
    """What the table says of the state `healthy`: no error or warning, and a path that is asked for is reachable."""
    twins = [row for lines in expected().values() for row in lines if "/healthy" in row.case]
    assert {row.case for row in twins if row.severity in ("error", "warning")} == set()
    asked = [row for row in twins if row.question.startswith("reach ")]
    assert {(row.verdict, row.cause) for row in asked} == {("reachable", SILENT)}


def test_the_corpus_stays_small() -> None:
    files = [file for directory in (RECORDED, REPORTS, EXPECTED) for file in directory.iterdir()]
    assert sum(file.stat().st_size for file in files) < 10 << 20
