"""`python -m tests.corpus VERB`: the corpus, and what the code of now says of it. PATTERN is a part of a case or question.

list [PATTERN]            each case, and what must be found there
diff [PATTERN]            where the report of now differs from the one that is stored: verdicts, hops, findings, commands
diff --all [PATTERN]      … with wording, evidence, checks and blind spots; exit status 1 where something differs
accept [PATTERN]          what the code of now says becomes the truth: reports/ and expected/ are written again
bundle PATTERN DIRECTORY  the hosts of the first such case as bundles, for the tool's --bundle
pack DIRECTORY            the corpus of what the lab recorded: LAB_RECORD=DIRECTORY pytest tests/lab
add DIRECTORY             adds to the corpus what the lab recorded of new cases there
"""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from dockernet_doctor.snapshot import bundle
from tests.corpus import Case, cases, expected, modules, replay, reports, write


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.corpus", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("verb", choices=("list", "diff", "accept", "bundle", "pack", "add"))
    parser.add_argument("words", nargs="*")
    parser.add_argument("--all", action="store_true")
    given = parser.parse_args()
    pattern = given.words[0] if given.words else ""
    match given.verb:
        case "list":
            listed(pattern)
        case "diff":
            return differences(pattern, everything=given.all)
        case "accept":
            accept(pattern)
        case "bundle":
            as_bundles(pattern, Path(given.words[1]))
        case "pack" | "add":
            from tests.corpus.pack import pack

            for key in pack(Path(pattern), add=given.verb == "add"):
                print(f"the replay differs from the live host: {key}")
    return 0


def listed(pattern: str) -> None:
    for key, lines in expected().items():
        if pattern in key:
            print(f"{key}: " + "; ".join(f"{row.severity} {row.cause} {row.subject}" for row in lines))


def differences(pattern: str, *, everything: bool = False) -> int:
    """Prints them; 1 where there are some."""
    differ = 0
    with ProcessPoolExecutor() as processes:
        for found in processes.map(_module_differences, *zip(*((m, pattern, everything) for m in modules()), strict=True)):
            for key, lines in found:
                differ += 1
                print(key, *lines, "", sep="\n")
    print(f"{differ} cases differ" if differ else "no differences", file=sys.stderr)
    return int(bool(differ))


def _module_differences(module: str, pattern: str, everything: bool) -> list[tuple[str, list[str]]]:
    stored = reports(module)
    shown = _whole if everything else _judged
    found = []
    for case in cases(module):
        if pattern in case.key:
            old, new = list(shown(stored[case.key])), list(shown(replay(case)))
            if old != new:
                changed = [
                    line for line in difflib.unified_diff(old, new, n=0, lineterm="") if line[:2] not in ("--", "++", "@@")
                ]
                found.append((case.key, changed))
    return found


def _whole(report: dict[str, Any]) -> list[str]:
    return json.dumps(report, indent=1, sort_keys=True, ensure_ascii=False).splitlines()


def _judged(report: dict[str, Any]) -> Iterator[str]:
    """What a report decides, as lines: nothing of how it is worded."""
    yield f"verdict {report['verdict']}, {'complete' if report['complete'] else 'incomplete'}"
    for path in report["paths"]:
        to = path["destination"]
        hops = ", ".join(f"{hop['hop']} {hop['status']}" for hop in path["hops"] if hop["status"] != "not-applicable")
        where = f"{to['name']} {to['address']} port {to['port']}/{to['protocol']}"
        yield f"path from {path['source']} to {where}: {path['verdict']}, {path['basis']}; {hops}"
    for finding in report["findings"]:
        suffering = " ".join(f"{a['kind']}:{a['name']}@{a['host']}" for a in finding["affects"])
        yield f"finding {finding['severity']} {finding['confidence']} {finding['id']} at {finding['hop']}, affects {suffering}"
        yield f"        because of {finding['because_of']}" if finding["because_of"] else "        a root"
        for fix in finding["fixes"]:
            yield f"  fix on {fix['host']}, {fix['lasts']}, runnable {fix['runnable']}: {' '.join(fix['impacts'])}"
            yield from (f"    $ {line}" for command in fix["commands"] for line in command.splitlines())
            yield from (f"    {edit['file']}: {line}" for edit in fix["edits"] for line in edit["diff"].splitlines())
    for spot in report["blind_spots"]:
        yield f"blind spot {spot['area']}@{spot['host']}"


def accept(pattern: str) -> None:
    for module in modules():
        stored = reports(module)
        pairs = [(case, replay(case) if pattern in case.key else stored[case.key]) for case in cases(module)]
        if any(report != stored.get(case.key) for case, report in pairs):
            write(module, pairs)


def as_bundles(pattern: str, directory: Path) -> None:
    case: Case = next(case for case in cases() if pattern in case.key)
    directory.mkdir(exist_ok=True)
    for snapshot in case.snapshots:
        answers = tuple(answer for answer in case.answers if answer.probe.vantage.host == snapshot.name)
        bundle.save(str(directory / f"{snapshot.name}.bundle"), bundle.Bundle(snapshot=snapshot, answers=answers))
    print(f"{case.key}: dockernet-doctor {case.question} --bundle {directory}")


if __name__ == "__main__":
    sys.exit(main())
