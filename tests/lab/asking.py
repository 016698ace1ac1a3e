"""Many questions of one reading: run in a host, `python asking.py AT_ONCE [--no-probes|--together] < questions` (JSON).

A question is a pair SRC DST, or None for `check`. Prints a JSON list, one answer for each question: verdict, findings, and
each path's verdict and hops. As the command line does, without a reading and an interpreter for each.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.lab.host import Host

Asked = tuple[str, str] | None


def ask(host: Host, questions: Sequence[Asked], *, probes: bool = True, at_once: int = 4) -> list[dict[str, Any]]:
    """The answers, in the order of the questions."""
    command = [sys.executable, __file__, str(at_once), *(() if probes else ("--no-probes",))]
    answers: list[dict[str, Any]] = json.loads(host.run(command, stdin=json.dumps(questions), timeout=120).stdout)
    return answers


def predict(host: Host, questions: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """The answers of one diagnosis of all questions that sends nothing: verdicts and paths."""
    answers: list[dict[str, Any]] = json.loads(
        host.run([sys.executable, __file__, "1", "--together"], stdin=json.dumps(questions), timeout=120).stdout
    )
    return answers


def main() -> None:
    """Read once, answer all."""
    from dockernet_doctor.commands.options import Settings
    from dockernet_doctor.commands.session import Session

    questions = json.load(sys.stdin)
    settings = Settings(timeout=100.0, no_probes="--no-probes" in sys.argv or "--together" in sys.argv)
    ports = {int(d.rpartition(":")[2].split("/")[0]) for _s, d in filter(None, questions) if ":" in d}
    with Session(settings, ports=sorted(ports)) as session, ThreadPoolExecutor(int(sys.argv[1])) as threads:
        if "--together" in sys.argv:
            answers = _predicted(session, questions)
        else:
            answers = list(threads.map(lambda question: _answer(session, question), questions))
    json.dump(answers, sys.stdout)


def _predicted(session: Any, questions: list[list[str]]) -> list[dict[str, Any]]:
    from dockernet_doctor.commands.reach import question_of
    from dockernet_doctor.diagnosis.walk import verdict_of

    found = session.diagnose([question_of(*question) for question in questions], asked=True)
    answers = []
    for question in found.case.questions:
        paths = [path for path in found.case.paths if path.question is question]
        explained = [f.id for f in found.findings if any(path in f.explains for path in paths)]
        answers.append({"verdict": verdict_of(paths), "findings": explained, "paths": [_shown(path) for path in paths]})
    return answers


def _answer(session: Any, question: list[str] | None) -> dict[str, Any]:
    from dockernet_doctor.commands.reach import question_of
    from dockernet_doctor.diagnosis.walk import verdict_of

    asked = [question_of(*question)] if question else []
    found = session.diagnose(asked, asked=bool(asked))
    return {
        "verdict": verdict_of(found.case.paths) if asked else None,
        "findings": [{"id": f.id, "severity": f.severity, "summary": f.summary} for f in found.findings],
        "blind": [f"{s.spot.what}: {s.spot.why}" for s in found.blind_spots if s.spot.area != "path"],
        "paths": [_shown(path) for path in found.case.paths],
    }


def _shown(path: Any) -> dict[str, Any]:
    return {
        "verdict": path.verdict,
        "address": path.destination.address,
        "port": path.destination.port,
        "hops": {h.hop: f"{h.status}: {h.predicted} / {h.observed}" for h in path.hops if h.status != "not-applicable"},
    }


if __name__ == "__main__":
    main()
