"""Many questions of one reading and one diagnosis: run in a host, `python asking.py [--no-probes] < questions` (JSON).

A question is a pair SRC DST. Prints a JSON list: what `check` says, then for each question its verdict, the findings that
explain it, and each path's verdict and hops. As the command line does, without a reading and an interpreter for each.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.lab.host import Host


def ask(host: Host, questions: Sequence[tuple[str, str]], *, probes: bool) -> list[dict[str, Any]]:
    """What `check` says, and the answers in the order of the questions."""
    from tests.corpus import recorder

    command = [sys.executable, *recorder.words(host.name, host.state), __file__, *(() if probes else ("--no-probes",))]
    answers: list[dict[str, Any]] = json.loads(host.run(command, stdin=json.dumps(questions), timeout=120).stdout)
    return answers


def main() -> None:
    """Read once, answer all."""
    from dockernet_doctor.commands.options import Settings
    from dockernet_doctor.commands.reach import question_of
    from dockernet_doctor.commands.session import Session

    questions = json.load(sys.stdin)
    settings = Settings(timeout=100.0, no_probes="--no-probes" in sys.argv)
    ports = {int(d.rpartition(":")[2].split("/")[0]) for _s, d in questions if ":" in d}
    with Session(settings, ports=sorted(ports)) as session:
        checked = session.diagnose()
        asked = session.diagnose([question_of(*question) for question in questions], asked=True)
    answers = [_answer(checked, checked.findings, ())]
    for question in asked.case.questions:
        paths = [path for path in asked.case.paths if path.question is question]
        findings = [f for f in asked.findings if any(path in f.explains for path in paths)]
        answers.append(_answer(asked, findings, paths))
    json.dump(answers, sys.stdout)


def _answer(diagnosis: Any, findings: Iterable[Any], paths: Sequence[Any]) -> dict[str, Any]:
    from dockernet_doctor.report.build import overall

    return {
        "verdict": overall(path.verdict for path in paths),
        "findings": [{"id": f.id, "severity": f.severity, "confidence": f.confidence, "summary": f.summary} for f in findings],
        "blind": [f"{s.spot.what}: {s.spot.why}" for s in diagnosis.blind_spots if s.spot.area != "path"],
        "paths": [
            {
                "verdict": path.verdict,
                "clients": [(c.interface, *c.prefixes) for c in path.clients],
                "address": path.destination.address,
                "port": path.destination.port,
                "hops": {h.hop: f"{h.status}: {h.predicted} / {h.observed}" for h in path.hops if h.status != "not-applicable"},
            }
            for path in paths
        ],
    }


if __name__ == "__main__":
    main()
