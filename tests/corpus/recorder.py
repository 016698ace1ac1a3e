"""Records what the lab asks of the tool, where LAB_RECORD names a directory: snapshot, answers, questions, report.

`words` is the lab's side: the command that runs the tool recorded. The rest runs in the host, as
`recorder.py FILE -m dockernet_doctor check …` or `recorder.py FILE SCRIPT …`: the same program, and beside it FILE, a JSON
object for each diagnosis of that run. `python -m tests.corpus pack` makes the corpus of these files, `add` adds them.
"""

from __future__ import annotations

import itertools
import json
import os
import runpy
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

_numbers = itertools.count(1)


def words(host: str, state: str) -> list[str]:
    """What comes between the interpreter and the program's words; [] where nothing is to be recorded.

    The file is named after the running test, the host and the state the test says it is in.
    """
    directory = os.environ.get("LAB_RECORD")
    if not directory:
        return []
    test = directory_of(os.environ["PYTEST_CURRENT_TEST"].rpartition(" (")[0])
    test.mkdir(mode=0o777, exist_ok=True)
    test.chmod(0o777)  # the tool may run with fewer rights
    return [__file__, str(test / f"{next(_numbers):04}:{quote(state, '')}:{host}.json")]


def directory_of(test: str) -> Path:
    """Where the recordings of a test, given by its node id, are kept."""
    return Path(os.environ["LAB_RECORD"], quote(test.removeprefix("tests/lab/"), "[]:"))


def main() -> None:
    """Run the program of the command line with each of its diagnoses recorded."""
    from dockernet_doctor.commands import reach

    record, *program = sys.argv[1:]
    made: list[dict[str, Any]] = []
    typed: dict[int, tuple[str, str]] = {}
    kept: list[Any] = []
    plain_question = reach.question_of

    def question_of(source: str, destination: str) -> Any:
        question = plain_question(source, destination)
        kept.append(question)  # so that no other gets its id
        typed[id(question)] = (source, destination)
        return question

    reach.question_of = question_of
    _record_sessions(Path(record), made, typed)
    if program[0] == "-m":
        sys.argv = program[1:]
        runpy.run_module(program[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = program
        runpy.run_path(program[0], run_name="__main__")


def _record_sessions(record: Path, made: list[dict[str, Any]], typed: dict[int, tuple[str, str]]) -> None:
    import msgspec

    from dockernet_doctor.commands.session import Session
    from dockernet_doctor.report import build

    plain_diagnose = Session.diagnose

    def diagnose(session: Session, questions: Any = (), **options: Any) -> Any:
        diagnosis = plain_diagnose(session, questions, **options)
        view = build.build(diagnosis, session.invocation("reach" if questions else "check", ()), duration_s=0.0)
        settings = session.settings
        made.append(
            {
                "questions": [typed[id(question)] for question in questions],
                "options": {"asked": bool(questions), "only": settings.only, "skip": settings.skip}
                | {name: value for name, value in options.items() if name not in ("asked", "interval_s")},
                "probes": session._sending,
                "snapshots": msgspec.to_builtins(session.snapshots()),
                "answers": msgspec.to_builtins(diagnosis.answers),
                "report": msgspec.to_builtins(view.report),
            }
        )
        record.write_text(json.dumps(made))
        return diagnosis

    Session.diagnose = diagnose  # type: ignore[assignment, method-assign]


if __name__ == "__main__":
    main()
