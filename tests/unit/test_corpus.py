"""The corpus: each recorded host is diagnosed again, and what is found there must be what the table says."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import pytest

from dockernet_doctor.diagnosis import registry
from dockernet_doctor.diagnosis.path import Path
from dockernet_doctor.diagnosis.run import Diagnosis
from tests.corpus import EXPECTED, RECORDED, REPORTS, SILENT, cases, expected, modules, replayed, reports, rows

WITHOUT_A_CASE = {
    "host-network-fixed": "only a page: docker refuses, and nothing changes",
    "ipvs-idle-timeout": "only a page: the lab's kernel has no IPVS, and no state shows the fault",
    "macvlan-parent-unsuitable": "only a page: a hypervisor or an access point drops the frames, unseen from here",
    "metadata-hop-limit": "only a page: the limit is set by the cloud",
    "network-has-active-endpoints": "only a page: docker refuses, and nothing changes",
    "port-range-unequal": "only a page: docker refuses, and nothing is created",
    "predefined-network": "only a page: docker refuses, and nothing changes",
    "publish-with-container-mode": "only a page: docker refuses, and nothing is created",
    "seccomp-too-old": "only a page: it shows inside the program only, on 32-bit ARM",
    "upstream-firewall": "only a page: it lies beyond this host",
    "vxlan-checksum-offload": "only a page: a fault of the network card",
}
"""Cause → why no host in the corpus has it."""

RULE = re.compile(r" -j [A-Z]|\blookup \d|\bdport \d|\b(?:via|dev) \S+\.$")
"""Of iptables, ip rule, IPsec and ip route."""


@pytest.mark.parametrize("module", modules())
def test_corpus(module: str) -> None:
    """`python -m tests.corpus diff` shows more of what changed; `accept` makes it the truth.

    A broken path has one cause at most: of two checks that claim it as roots, one is wrong.
    """
    table, stored = expected(module), reports(module)
    wrong, claimed, ruled = [], [], []
    for case in cases(module):
        diagnosis, report = replayed(case)
        claimed += [f"{case.key}: {path.obstacle}: {roots}" for path, roots in claims(diagnosis) if len(roots) > 1]
        ruled += [finding["summary"] for finding in report["findings"] if RULE.search(finding["summary"])]
        found = rows(case, report)
        verdicts = [[path["verdict"] for path in of["paths"]] for of in (stored[case.key], report)]
        if found != table[case.key] or verdicts[0] != verdicts[1]:
            wrong.append("\n  ".join([case.key, *(f"- {row}" for row in table[case.key]), *(f"+ {row}" for row in found)]))
    assert not wrong, f"{len(wrong)} cases differ\n" + "\n".join(wrong)
    assert not ruled, "rules stand in the evidence, not in headlines\n" + "\n".join(ruled)
    assert not claimed, "broken paths with two roots\n" + "\n".join(claimed)


def claims(diagnosis: Diagnosis) -> Iterator[tuple[Path, set[str]]]:
    """Each broken path, with the causes of the findings that explain it and are no symptoms of others."""
    roots = [
        (finding.cause, {id(path) for path in finding.explains}) for finding in diagnosis.findings if not finding.because_of
    ]
    for path in diagnosis.case.paths:
        if path.verdict == "unreachable":
            yield path, {cause for cause, explained in roots if id(path) in explained}


@pytest.mark.parametrize("module", modules())
def test_the_table_has_each_recorded_case_once(module: str) -> None:
    keys = Counter(case.key for case in cases(module))
    assert set(keys.values()) == {1}
    assert set(keys) == set(expected(module)) == set(reports(module))


def test_each_cause_has_a_case() -> None:
    found = {row.cause for lines in expected().values() for row in lines} - {SILENT}
    installed = {cause for cause, entry in registry.load().registered.items() if entry.builtin}
    assert installed - found == set(WITHOUT_A_CASE)
    assert found <= installed


def test_healthy_twins_are_silent() -> None:
    """What the table says of the state `healthy`: no error or warning, and a path that is asked for is reachable."""
    twins = [row for lines in expected().values() for row in lines if "/healthy" in row.case]
    assert {row.case for row in twins if row.severity in ("error", "warning")} == set()
    asked = [row for row in twins if row.question.startswith("reach ")]
    assert {(row.verdict, row.cause) for row in asked} == {("reachable", SILENT)}


def test_the_corpus_stays_small() -> None:
    files = [file for directory in (RECORDED, REPORTS, EXPECTED) for file in directory.iterdir()]
    assert sum(file.stat().st_size for file in files) < 10 << 20
