"""How long `check --no-probes` takes beside `docker ps -q | xargs docker inspect`: whole processes, side by side, one daemon.

200 running containers on eight networks, a hundred of them with a published port, on the newest engine. Prints the minimum,
median and maximum of both in milliseconds and ends with status 1 where the medians' ratio is above the limit.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

from tests.lab.host import Host, Lab

CONTAINERS, NETWORKS, RUNS = 200, 8, 15
LIMIT = 2.5  # times `docker inspect`

INSPECT = "docker ps -q | xargs docker inspect > /dev/null"
DOCTOR = f"{Path(sys.executable).parent / 'dockernet-doctor'} check --no-probes --format json > /dev/null"


def main() -> int:
    with Lab() as lab:
        host = lab.host("newest", name="bench")
        # The lab's systemctl and journalctl are Python programs: what they cost, no real host pays.
        host.run("rm -f $(command -v systemctl) $(command -v journalctl)")
        populate(host)
        timings: dict[str, list[float]] = {INSPECT: [], DOCTOR: []}
        for run in range(RUNS + 1):
            for command, taken in timings.items():
                started = time.perf_counter()
                host.run(command, timeout=60, check=False)
                if run:  # the first one warms the caches of both
                    taken.append((time.perf_counter() - started) * 1000)
    for name, taken in (("docker inspect", timings[INSPECT]), ("check --no-probes", timings[DOCTOR])):
        print(f"{name:<18} {min(taken):7.0f} {statistics.median(taken):7.0f} {max(taken):7.0f} ms (minimum, median, maximum)")
    ratio = statistics.median(timings[DOCTOR]) / statistics.median(timings[INSPECT])
    print(f"ratio of the medians {ratio:.2f}, limit {LIMIT}")
    return int(ratio > LIMIT)


def populate(host: Host) -> None:
    for network in range(NETWORKS):
        host.docker(f"network create net{network}")
    lines = [
        f"docker run -d --name app{n} --network net{n % NETWORKS} -e DB_HOST=app{(n + NETWORKS) % CONTAINERS} -e DB_PORT=80 "
        f"{f'-p {9000 + n}:80 ' if n % 2 else ''}net-test httpd -f -p 80 >/dev/null"
        for n in range(CONTAINERS)
    ]
    for start in range(0, CONTAINERS, 20):
        host.run("\n".join(lines[start : start + 20]), timeout=120)


if __name__ == "__main__":
    sys.exit(main())
