"""Many questions, walked by two processes: the same paths, of the same records."""

from __future__ import annotations

import textwrap

import pytest

from tests.unit.scripts import printed

BEGINNING = """
    import os
    from importlib import resources
    from dockernet_doctor.commands.demo import BUNDLE
    from dockernet_doctor.diagnosis.paths import all_questions as walks
    from dockernet_doctor.diagnosis.case import Case
    from dockernet_doctor.diagnosis.own_questions import questions
    from dockernet_doctor.diagnosis.paths.walk import walk
    from dockernet_doctor.snapshot import bundle

    with resources.as_file(resources.files("dockernet_doctor") / BUNDLE) as path:
        snapshot = bundle.load(str(path)).snapshot
    case = Case.of([snapshot], questions(Case.of([snapshot])))
    alone = tuple(path for question in case.questions for path in walk(case, question))
    walks._MANY = 1
    os.sched_getaffinity = lambda _: {0, 1}
    forked = []
    Forked = walks.Forked
    walks.Forked = lambda work: forked.append(Forked(work)) or forked[-1]
"""


def walked(script: str) -> list[str]:
    """What the script prints, word by word, after the beginning."""
    return printed(textwrap.dedent(BEGINNING) + textwrap.dedent(script)).split()


def test_two_processes_find_what_one_finds() -> None:
    said = walked("""
        together = tuple(walks.walk_all(case))
        print(len(forked), together == alone, any(path.obstacle for path in together[len(together) // 2:]))
        records = [(getattr(a, name), getattr(b, name)) for a, b in zip(alone, together)
                   for name in ("question", "source", "target", "published", "endpoint", "network")]
        print(len([1 for a, b in records if a]) > 20, all(a is b for a, b in records))
    """)
    assert said == ["1", "True", "True", "True", "True"]


@pytest.mark.parametrize("work", ["lambda _: 1 / 0", "lambda _: os.kill(os.getpid(), 9)"])
def test_a_helper_that_does_not_come_to_its_end_is_made_up_for(work: str) -> None:
    assert walked(
        f"walks._Helper._walked = lambda *_: ({work})(None); print(tuple(walks.walk_all(case)) == alone, len(forked))"
    ) == [
        "True",
        "1",
    ]
