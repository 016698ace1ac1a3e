"""What `check --no-probes` takes of a large host: 5,000 containers answered over a real socket, all processes together.

The answers are those of a recorded engine 28.5, one container's in as many variants; the kernel is made up, see
`recorded_host`. Prints seconds and the most memory that all processes had at once (shared pages counted once), and ends with
status 1 where a limit is broken, or where the report finds anything on this healthy host.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from dockernet_doctor.snapshot.model import Container, Network, Snapshot
from tests.bench import recorded_host
from tests.unit.grown import grown
from tests.unit.snapshot.replay import recording, replayed

CONTAINERS, NETWORKS = 5_000, 50
SECONDS, MEGABYTES = 6.0, 300


def main() -> int:
    snapshot = grown(containers=CONTAINERS, networks=NETWORKS)
    with tempfile.TemporaryDirectory() as directory:
        recorded = Path(directory) / "kernel"
        recorded_host.save(recorded, snapshot)
        with replayed(Path(directory), answers(snapshot)) as (endpoint, _requests):
            words = ["check", "--no-probes", "--timeout", "5m", "--format", "json", "--host", endpoint.url]
            command = [sys.executable, "-m", "tests.bench.recorded_host", str(recorded), *words]
            with (Path(directory) / "report").open("w+") as report:
                seconds, megabytes = measured(command, report)
                report.seek(0)
                found = json.load(report)
    problems = [*(f["summary"] for f in found["findings"]), *(s["what"] for s in found["blind_spots"])]
    print(f"{CONTAINERS} containers: {seconds:.1f} s (limit {SECONDS:g}), {megabytes:.0f} MB (limit {MEGABYTES})")
    print(*problems[:5], sep="\n")
    return int(seconds > SECONDS or megabytes > MEGABYTES or bool(problems))


def measured(command: list[str], output: Any) -> tuple[float, float]:
    """Seconds, and the most megabytes that the process and all below it had at a time."""
    started, most = time.monotonic(), 0.0
    process = subprocess.Popen(command, stdout=output)
    while process.poll() is None:
        most = max(most, sum(map(_proportional, _tree(process.pid))) / 1024)
        time.sleep(0.05)
    return time.monotonic() - started, most


def _tree(pid: int) -> Iterator[int]:
    yield pid
    with suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield from _tree(int(child))


def _proportional(pid: int) -> int:
    """Kilobytes: its own pages, and its share of those that others have as well."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def answers(snapshot: Snapshot) -> dict[str, Any]:
    """The API's answers, by path."""
    recorded = recording("28.5")["answers"]
    inspected = {a["Name"]: a for a in recorded.values() if isinstance(a, dict) and "HostConfig" in a}
    containers = [_container(container, inspected["/db"]) for container in snapshot.containers]
    networks = [_network(network, recorded["/networks"][0]) for network in snapshot.networks]
    listed = [{"Id": it["Id"], "Names": [it["Name"]], "State": "running"} for it in containers]
    return {
        "/version": recorded["/version"],
        "/info": {**recorded["/info"], "Swarm": {"LocalNodeState": "inactive"}, "ContainersRunning": len(containers)},
        "/networks": [{**it, "Containers": {}} for it in networks],
        "/containers/json?all=1": listed,
        f"/images/{inspected['/db']['Image']}/json": {"Config": {}},
        **{f"/networks/{it['Id']}": it for it in networks},
        **{f"/containers/{it['Id']}/json": it for it in containers},
    }


def _container(container: Container, recorded: dict[str, Any]) -> dict[str, Any]:
    (endpoint,) = container.endpoints
    (attached,) = recorded["NetworkSettings"]["Networks"].values()
    bindings = {f"{it.port}/tcp": [{"HostIp": "0.0.0.0", "HostPort": str(it.host_port)}] for it in container.ports}
    attached = attached | {
        "Aliases": [],
        "DNSNames": list(endpoint.dns_names or ()),
        "EndpointID": endpoint.endpoint_id,
        "Gateway": endpoint.ipv4_gateway,
        "IPAMConfig": None,
        "IPAddress": endpoint.ipv4,
        "IPPrefixLen": endpoint.ipv4_prefix,
        "NetworkID": endpoint.network_id,
    }
    environment = [f"{it.key}={it.host}:{it.port}" for it in container.references]
    return recorded | {
        "Id": container.id,
        "Name": f"/{container.name}",
        "Config": recorded["Config"] | {"Env": environment, "Cmd": ["app"], "Entrypoint": None, "Labels": {}},
        "HostConfig": recorded["HostConfig"] | {"NetworkMode": endpoint.network, "PortBindings": bindings},
        "NetworkSettings": recorded["NetworkSettings"] | {"Ports": bindings, "Networks": {endpoint.network: attached}},
        "State": recorded["State"] | {"Pid": container.state.pid, "StartedAt": container.state.started_at},
    }


def _network(network: Network, recorded: dict[str, Any]) -> dict[str, Any]:
    members = {
        it.container_id: {"Name": it.name, "EndpointID": it.endpoint_id, "MacAddress": "", "IPv4Address": f"{it.ipv4}/20"}
        for it in network.members
    }
    return recorded | {
        "Id": network.id,
        "Name": network.name,
        "Driver": "bridge",
        "Scope": "local",
        "EnableIPv6": False,
        "Internal": False,
        "IPAM": {"Driver": "default", "Config": [{"Subnet": it.subnet, "Gateway": it.gateway} for it in network.subnets]},
        "Options": {"com.docker.network.bridge.name": network.bridge},
        "Labels": {},
        "Containers": members,
    }


if __name__ == "__main__":
    sys.exit(main())
