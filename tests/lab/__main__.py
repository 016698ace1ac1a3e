"""The lab by hand.

python -m tests.lab prepare                    install what the lab's tests need, fetch the engines
python -m tests.lab up ENGINE NAME [options]   a host with a neighbour that stays up; ENGINE: oldest, middle, newest
python -m tests.lab run NAME 'shell text'      run in the host (NAME/neighbour, NAME/wire: there)
python -m tests.lab docker NAME ARGUMENT…      the docker client there
python -m tests.lab doctor NAME ARGUMENT…      dockernet-doctor there
python -m tests.lab down NAME|--all
python -m tests.lab list
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.lab import images, packages
from tests.lab.host import Lab
from tests.lab.machine import Machine


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.lab", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("prepare")
    for verb in ("up", "own"):
        up = verbs.add_parser(verb, help=argparse.SUPPRESS if verb == "own" else None)
        up.add_argument("engine", choices=packages.ENGINES)
        up.add_argument("name")
        up.add_argument("--forward", type=int, default=1, help="ip_forward before the daemon starts (1)")
        up.add_argument("--flags", default="", help="flags of dockerd")
        up.add_argument("--daemon-json", help="the text of daemon.json")
        up.add_argument("--socket-activated", action="store_true")
    for verb in ("run", "docker", "doctor"):
        command = verbs.add_parser(verb)
        command.add_argument("name")
        command.add_argument("words", nargs=argparse.REMAINDER)
    verbs.add_parser("down").add_argument("name", help="or --all", nargs="?")
    verbs.choices["down"].add_argument("--all", action="store_true")
    verbs.add_parser("list")
    arguments = parser.parse_args()
    match arguments.verb:
        case "prepare":
            return prepare()
        case "up":
            return up_detached(arguments)
        case "own":
            return own(arguments)
        case "down":
            return down(arguments)
        case "list":
            for name, state in sorted(running().items()):
                print(name, state["version"], state["address"], f"pid {state['machines']['host']}", sep="\t")
            return 0
    return enter(arguments)


def prepare() -> int:
    """Get everything the lab's tests run on; where that cannot be, say which tests will be left out."""
    try:
        if os.geteuid() != 0:
            raise packages.PackagesError("they need root")
        packages.install_machine_packages()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(packages.unpacked, packages.TREES))
        images.archive()
    except packages.PackagesError as error:
        print(f"The tests in tests/lab will be left out: {error}.", file=sys.stderr)
        return 1 if os.environ.get("CI") == "true" else 0
    return 0


def up_detached(arguments: argparse.Namespace) -> int:
    if arguments.name in running():
        print(f"{arguments.name} is up already", file=sys.stderr)
        return 1
    log = _state_dir() / f"{arguments.name}.log"
    with log.open("w") as output:
        owner = subprocess.Popen(
            [sys.executable, "-m", "tests.lab", "own", *sys.argv[2:]],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    while owner.poll() is None:
        if state := running().get(arguments.name):
            print(
                f"{arguments.name}: Docker {state['version']} at {state['address']}, neighbour {state['neighbour']}\n"
                f"enter it: {shlex.join(_entering(state['machines']['host']))} sh -l"
            )
            return 0
        time.sleep(0.05)
    print(log.read_text(), file=sys.stderr)
    return 1


def own(arguments: argparse.Namespace) -> int:
    """Hold a lab until SIGTERM: what `up` leaves in the background."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    file = _state_dir() / f"{arguments.name}.json"
    with Lab() as lab:
        host = lab.host(
            arguments.engine,
            arguments.name,
            flags=shlex.split(arguments.flags),
            daemon_json=arguments.daemon_json,
            forward=bool(arguments.forward),
            socket_activated=arguments.socket_activated,
        )
        state = {
            "owner": os.getpid(),
            "engine": host.engine,
            "version": host.version,
            "address": host.address,
            "neighbour": lab.neighbour.address,
            "machines": {"host": host.pid, "neighbour": lab.neighbour.pid, "wire": lab.wire.pid},
        }
        file.with_suffix(".new").write_text(json.dumps(state))
        file.with_suffix(".new").rename(file)
        try:
            while host.alive:
                time.sleep(1)
        finally:
            file.unlink(missing_ok=True)
    return 0


def enter(arguments: argparse.Namespace) -> int:
    name, _, machine = arguments.name.partition("/")
    state = running().get(name)
    if not state:
        print(f"no host {name!r} is up: python -m tests.lab list", file=sys.stderr)
        return 1
    words = [word for i, word in enumerate(arguments.words) if i or word != "--"]
    command = {
        "run": ["sh", "-c", " ".join(words)],
        "docker": ["docker", *words],
        "doctor": [sys.executable, "-m", "dockernet_doctor", *words],
    }[arguments.verb]
    return subprocess.run(
        [*_entering(state["machines"][machine or "host"]), *command], cwd="/", env=Machine.ENVIRONMENT
    ).returncode


def down(arguments: argparse.Namespace) -> int:
    labs = running()
    names = list(labs) if arguments.all else [arguments.name]
    for name in names:
        if name not in labs:
            print(f"no host {name!r} is up", file=sys.stderr)
            return 1
        os.kill(labs[name]["owner"], signal.SIGTERM)
        while Path(f"/proc/{labs[name]['owner']}").exists():
            time.sleep(0.02)
    return 0


def running() -> dict[str, dict[str, Any]]:
    """The labs that `up` started and that are still there, by name."""
    labs = {}
    for file in _state_dir().glob("*.json"):
        state = json.loads(file.read_text())
        if Path(f"/proc/{state['machines']['host']}").exists():
            labs[file.stem] = state
        else:
            file.unlink(missing_ok=True)
    return labs


def _entering(pid: int) -> list[str]:
    return ["nsenter", "-t", str(pid), "-n", "-m", "-u", "-p", "--"]


def _state_dir() -> Path:
    path = packages.cache_dir() / "up"
    path.mkdir(parents=True, exist_ok=True)
    return path


if __name__ == "__main__":
    raise SystemExit(main())
