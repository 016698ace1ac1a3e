"""How long `check --no-probes` takes beside `docker ps -q | xargs docker inspect`: whole processes, side by side, one daemon.

An idle daemon, then 200 and 600 running containers on eight networks, half of them with a published port, on the newest engine.
Prints the minimum, median and maximum of both in milliseconds, and ends with status 1 where a median is above its limit.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

from tests.lab.host import Host, Lab

NETWORKS, RUNS = 8, 20
LIMITS = {200: 1.7, 600: 1.25}  # containers → times `docker inspect`
IDLE_MS = 200

INSPECT = "docker ps -q | xargs docker inspect > /dev/null"
DOCTOR = f"{Path(sys.executable).parent / 'dockernet-doctor'} check --no-probes --format json > /dev/null"


def main() -> int:
    too_slow = False
    with Lab() as lab:
        host = lab.host("newest", name="bench")
        # The lab's systemctl and journalctl are Python programs: what they cost, no real host pays.
        host.run("rm -f $(command -v systemctl) $(command -v journalctl)")
        for network in range(NETWORKS):
            host.docker(f"network create net{network}")
        there = 0
        for containers in (0, *LIMITS):
            populate(host, range(there, containers))
            there = containers
            inspect, doctor = timings(host)
            if containers:
                ratio = doctor / inspect
                print(f"{containers} containers: {ratio:.2f} times docker inspect, limit {LIMITS[containers]}")
                too_slow |= ratio > LIMITS[containers]
            else:
                print(f"an idle daemon: {doctor:.0f} ms, limit {IDLE_MS}")
                too_slow |= doctor > IDLE_MS
    return int(too_slow)


def timings(host: Host) -> tuple[float, float]:
    """The medians of both, in milliseconds."""
    taken: dict[str, list[float]] = {INSPECT: [], DOCTOR: []}
    for run in range(RUNS + 1):
        for command, times in taken.items():
            started = time.perf_counter()
            host.run(command, timeout=60, check=False)
            if run:  # the first one warms the caches of both
                times.append((time.perf_counter() - started) * 1000)
    for name, times in (("docker inspect", taken[INSPECT]), ("check --no-probes", taken[DOCTOR])):
        print(f"{name:<18} {min(times):7.0f} {statistics.median(times):7.0f} {max(times):7.0f} ms (minimum, median, maximum)")
    return statistics.median(taken[INSPECT]), statistics.median(taken[DOCTOR])


def populate(host: Host, numbers: range) -> None:
    """Starts these containers. Each dials the one before on its network, the first of each the second."""
    lines = [
        f"docker run -d --name app{n} --network net{n % NETWORKS} "
        f"-e DB_HOST=app{n - NETWORKS if n >= NETWORKS else n + NETWORKS} -e DB_PORT=80 "
        f"{f'-p {9000 + n}:80 ' if n % 2 else ''}net-test httpd -f -p 80 >/dev/null"
        for n in numbers
    ]
    for start in range(0, len(lines), 20):
        host.run("\n".join(lines[start : start + 20]), timeout=120)


if __name__ == "__main__":
    sys.exit(main())
