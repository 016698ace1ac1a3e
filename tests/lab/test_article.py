"""Every claim of docs/gotchas.md, seen on every engine; and what each rule is detected as."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from dockernet_doctor.diagnosis import registry
from tests.lab import article
from tests.lab.article import PRELUDE, SECTIONS, VERSIONS, Section
from tests.lab.host import Host


@pytest.mark.parametrize("section", SECTIONS, ids=[re.sub(r"\W+", "-", section.title.lower()) for section in SECTIONS])
def test_the_engines_do_what_the_page_says(host: Host, section: Section) -> None:
    assert host.version.startswith(VERSIONS[host.engine])
    host.run(["sh", "-ec", PRELUDE + textwrap.dedent(section.setup)], timeout=60)
    wrong = []
    for rule in section.rules:
        for trial in rule.trials:
            if host.engine not in trial.engines:
                continue
            machine = host if trial.where == "host" else host.neighbour
            done = machine.run(["sh", "-c", f"{PRELUDE}\nexec 2>&1\n{trial.run}"], check=False, timeout=30)
            output = f"{done.stdout}exit {done.rc}"
            if not re.search(trial.shows, output):
                wrong.append(f"{rule.number}: {trial.claim}\n$ {trial.run}\n{output}")
    assert not wrong, "\n\n".join(wrong)


def test_the_rules_are_all_there_and_their_causes_exist() -> None:
    rules = [rule for section in SECTIONS for rule in section.rules]
    assert {rule.number for rule in rules} >= {*range(1, 40), *range(41, 46)}
    for seen in (seen for rule in rules for seen in rule.seen):
        module, _, name = seen.test.partition(".")
        assert f"def {name}(" in (Path(__file__).parent / f"{module}.py").read_text(encoding="utf-8"), seen.test
    assert {cause for rule in rules for cause in rule.causes} - set(registry.load().registered) == set()
    assert article.page({13: ["random-host-port"]}).count("random-host-port") == 4
