"""`make fuzz`: tries inputs for a while, target after target; exit status 1 where one is a crash.

    python -m tests.fuzz [--seconds N] [--directory DIR] [TARGET…]

DIR (~/.cache/dockernet-doctor-fuzz, or $FUZZ_DIR) keeps what was learnt (corpus/), what was found (crashes/TARGET/NAME, and
NAME.txt with the traceback) and figures.json: for each target inputs, crashes and seconds, added up from run to run, and
what the longest input took (longest_s, seconds of computing).
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import os
import pkgutil
import re
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from packaging.requirements import Requirement

if TYPE_CHECKING:
    from tests.fuzz.targets import Target

_SLACK_S = 60.0  # to replay what was learnt


def main() -> int:
    arguments = _arguments()
    if not _released():
        print("nothing is fuzzed: there is no wheel of atheris for this Python and machine (pyproject.toml, fuzz)")
        return 0
    targets = _instrumented()
    names = arguments.targets or list(targets)
    if unknown := set(names) - set(targets):
        print(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(targets)}", file=sys.stderr)
        return 2
    each = max(1, round(arguments.seconds / len(names)))
    done = [_run(name, targets[name], each, arguments.directory) for name in names]
    total = sum(int(of["inputs"]) for of in _figures(arguments.directory).values())
    inputs, crashes = sum(inputs for inputs, _ in done), [crash for _, found in done for crash in found]
    print(f"{inputs:,} inputs, {total:,} in all runs; {len(crashes)} crashes")
    return 1 if crashes or not all(inputs for inputs, _ in done) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    kept = os.environ.get("FUZZ_DIR") or Path.home() / ".cache/dockernet-doctor-fuzz"
    parser.add_argument("--seconds", type=float, default=60.0, help="in all; every target gets the same")
    parser.add_argument("--directory", type=Path, default=Path(kept))
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    return parser.parse_args()


def _released() -> bool:
    """Whether pyproject.toml names a release of the fuzzer for this Python and machine: there a fuzzer is a must."""
    named = [Requirement(text) for text in importlib.metadata.requires("dockernet-doctor") or []]
    return any(one.name == "atheris" and (one.marker is None or one.marker.evaluate({"extra": "fuzz"})) for one in named)


def _instrumented() -> dict[str, Target]:
    """The targets, and under them the whole program, which tells the fuzzer which ways are taken."""
    atheris: Any = importlib.import_module("atheris")
    said = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)  # a line for each module
        try:
            with atheris.instrument_imports(include=["dockernet_doctor", "dockernet_doctor_checks"]):
                for package in ("dockernet_doctor", "dockernet_doctor_checks"):
                    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
                        importlib.import_module(module.name)
                found: dict[str, Target] = importlib.import_module("tests.fuzz.targets").TARGETS
        finally:
            os.dup2(said, 2)
            os.close(said)
    return found


def _run(name: str, target: Target, seconds: int, directory: Path) -> tuple[int, list[str]]:
    """Inputs that were tried, and the crashes among them. The fuzzer ends its process, hence one of its own."""
    crashes = directory / "crashes" / name
    crashes.mkdir(parents=True, exist_ok=True)
    before = set(crashes.glob("*.txt"))
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        child = os.fork()
        if not child:
            _fuzz(name, target, seconds, directory, said)
        _wait(child, time.monotonic() + 2 * seconds + _SLACK_S)
        said.seek(0)
        words = said.read()
    counted = re.search(r"Done (\d+) runs", words)
    inputs = int(counted[1]) if counted else 0
    found = sorted(str(path.with_suffix("")) for path in crashes.glob("*.txt") if path not in before)
    if counted is None:
        print(f"{name}: the fuzzer ended early\n{words[-3000:]}", file=sys.stderr)
    _add(directory, name, _longest(directory, name), inputs=inputs, crashes=len(found), seconds=seconds)
    print(f"{name:15} {inputs:>9,} inputs" + "".join(f"\n  crash: {crash}" for crash in found), flush=True)
    return inputs, found


def _wait(child: int, until: float) -> None:
    """Ends it where it does not end."""
    while not os.waitpid(child, os.WNOHANG)[0]:
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return
        time.sleep(0.05)


def _longest(directory: Path, name: str) -> float:
    file = directory / "longest" / name
    return float(file.read_text()) if file.exists() else 0.0


def _figures(directory: Path) -> dict[str, dict[str, float]]:
    file = directory / "figures.json"
    return json.loads(file.read_text()) if file.exists() else {}


def _add(directory: Path, name: str, longest: float, **figures: float) -> None:
    kept = _figures(directory)
    before = kept.get(name, {})
    added = {key: before.get(key, 0) + value for key, value in figures.items()}
    kept[name] = added | {"longest_s": max(before.get("longest_s", 0.0), longest)}
    (directory / "figures.json").write_text(json.dumps(kept, indent=1) + "\n")


# --- in the process of one target -------------------------------------------------------------------------------------


def _fuzz(name: str, target: Target, seconds: int, directory: Path, said: IO[str]) -> None:
    """Does not return."""
    from tests.fuzz import limit

    atheris: Any = importlib.import_module("atheris")
    for stream in (1, 2):
        os.dup2(said.fileno(), stream)
    learnt, given, crashes = (directory / kind / name for kind in ("corpus", "seeds", "crashes"))
    longest, most = directory / "longest" / name, 0.0
    for folder in (learnt, given, longest.parent):
        folder.mkdir(parents=True, exist_ok=True)
    seeds = target.seeds()
    for number, seed in enumerate(seeds):
        (given / str(number)).write_bytes(seed)
    limit.tried(target.once, seeds[0], 600)  # loads recordings, which no input does; a crash comes again

    def once(data: bytes) -> None:
        nonlocal most
        started = time.process_time()
        if error := limit.tried(target.once, data):
            _keep(crashes / limit.name(error), data, error)
        if (took := time.process_time() - started) > most:
            most = took
            longest.write_text(f"{took:.3f}")

    # The fuzzer's own limit counts waiting, too, and is not to be had without: `limit` counts computing.
    options = [f"-max_total_time={seconds}", f"-max_len={target.longest}", "-timeout=86400", "-rss_limit_mb=4096"]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={crashes}/", str(learnt), str(given)], once)
    atheris.Fuzz()


def _keep(path: Path, data: bytes, error: BaseException) -> None:
    """The shortest input of a fault."""
    if not path.exists() or len(data) < path.stat().st_size:
        path.write_bytes(data)
        path.with_suffix(".txt").write_text("".join(traceback.format_exception(error)), errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
