"""Record what real engines answer, for the unit tests that replay it.

python -m tests.recorded.record [oldest|middle|newest|fleet…]

Needs root and the lab (tests/lab). Writes engine-MAJOR.MINOR.json.gz beside this file: the raw answers to everything that
the tool asked, by path without the API version, and the snapshot that it made of that host. `fleet`: the bundles of two
nodes of a Swarm, h1 with local_cont and h2 with remote_cont on the overlay network app, and pub on h2, published at 8080.
"""

from __future__ import annotations

import base64
import gzip
import json
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from dockernet_doctor.snapshot.bundle import Bundle, dumps, loads
from dockernet_doctor.snapshot.endpoint import DaemonEndpoint
from dockernet_doctor.snapshot.engine import read_engine
from dockernet_doctor.snapshot.http import ANSWER_LIMIT, Api
from tests.lab.host import Host, Lab

HERE = Path(__file__).parent
PLANTED = "pl4nted-s3cret"  # in everything that may hold a secret; no record may

# One of each kind of thing that the API shows.
SCENE = f"""
docker network create --subnet 172.30.0.0/24 --ip-range 172.30.0.128/25 --aux-address router=172.30.0.5 app
docker network create --internal -o com.docker.network.bridge.name=br-inside inside
docker network create --ipv6 --subnet fd00:30::/64 -o com.docker.network.bridge.enable_icc=false six
docker run -d --name web --network app --ip 172.30.0.9 --network-alias www -p 8080:80 -p 127.0.0.1:8443:443 -p 5353:53/udp \
    -e DATABASE_URL=postgres://app:{PLANTED}@db:5432/shop?sslmode=disable -e API_TOKEN={PLANTED} -e CACHE_HOST=cache \
    -l backup=https://bob:{PLANTED}@backup.example/x -l traefik.http.services.web.loadbalancer.server.port=80 \
    -l com.docker.compose.project=shop -l com.docker.compose.service=web -l com.docker.compose.container-number=1 \
    net-test sh -c 'httpd -p 80; exec sleep infinity' -- --upstream=http://u:{PLANTED}@api:9000/ --password {PLANTED}
docker network connect --alias front inside web
docker run -d --name db --network app --link web:frontend --expose 5432 --restart unless-stopped net-test
docker run -d --name old -P --expose 7000 net-test
docker run -d --name linked --link old:ancient net-test
docker run -d --name sidecar --network container:web net-test
docker run -d --name onhost --network host --expose 9999 net-test
docker run -d --name alone --network none --dns 10.9.9.9 --dns-search corp --add-host api:10.1.2.3 net-test
docker run -d --name v6 --network six --ip6 fd00:30::9 net-test
docker run -d --name frozen net-test && docker pause frozen
docker run -d --name failed -e PGPASSWORD={PLANTED} net-test sh -c 'echo "connecting with password={PLANTED}"; exit 3'
docker run -d --name sick --health-interval 1s --health-retries 1 --health-cmd 'echo "tried {PLANTED}"; exit 1' \
    -e SECRET={PLANTED} net-test
docker run -d --name agent -v /run/docker.sock:/var/run/docker.sock net-test sh -c \
    'echo "client version 1.24 is too old"; sleep 9999'
docker create --name never -p 8080:80 net-test
docker start never
docker swarm init --advertise-addr $HOST
docker network create -d overlay --attachable cloud
docker service create -d --name api --endpoint-mode dnsrr --network cloud -e DB_HOST=db -e DB_PORT=5432 \
    -e KEY={PLANTED} net-test
"""

_COLLECT = """
import base64, sys, time
from dockernet_doctor.snapshot import bundle, collect, endpoint
made = collect.collect(endpoint.choose(env={}), collect.Options(deadline=time.monotonic() + 20))
print(base64.b64encode(bundle.dumps(bundle.Bundle(snapshot=made))).decode())
"""


class RecordingApi(Api):
    """An Api that remembers what it was answered."""

    def __enter__(self) -> RecordingApi:
        return self

    def __init__(self, endpoint: DaemonEndpoint) -> None:
        super().__init__(endpoint, timeout=10, deadline=time.monotonic() + 60)
        self.answers: dict[str, Any] = {}

    def get(self, path: str, *, limit: int = ANSWER_LIMIT, truncate: bool = False) -> bytes:
        body = super().get(path, limit=limit, truncate=truncate)
        try:
            self.answers[path] = _without_registries(json.loads(body))
        except ValueError:
            self.answers[path] = {"base64": base64.b64encode(body).decode()}
        return body


def record(engine: str) -> Path:
    """Record one engine; the file that was written."""
    with Lab() as lab:
        host = lab.host(engine, "recorded")
        print(host.run(SCENE + "true", timeout=120).stderr, file=sys.stderr)
        host.wait(lambda: "(unhealthy)" in host.docker("ps").stdout, 20, "an unhealthy container")
        host.wait(lambda: "api.1." in host.docker("ps --no-trunc").stdout, 20, "a task of the service")
        with RecordingApi(DaemonEndpoint(url=f"unix://{host.path('/run/docker.sock')}")) as api:
            reading = read_engine(api)
        assert reading.engine, reading.problem
        snapshot = msgspec.to_builtins(_snapshot(host))
        host.docker("unpause frozen")  # what is frozen cannot be killed
        major, minor = reading.engine.generation
        content = {"answers": api.answers, "snapshot": snapshot}
    target = HERE / f"engine-{major}.{minor}.json.gz"
    target.write_bytes(gzip.compress(json.dumps(content, indent=1, sort_keys=True).encode(), mtime=0))
    return target


def record_fleet() -> list[Path]:
    """Record a manager and a worker of a healthy Swarm; the files that were written."""
    with Lab() as lab:
        manager, worker = lab.host("newest", "h1"), lab.host("newest", "h2")
        manager.docker(f"swarm init --advertise-addr {manager.address}")
        token = manager.docker("swarm join-token -q worker").stdout.strip()
        worker.docker(["swarm", "join", "--token", token, f"{manager.address}:2377"])
        manager.docker("network create -d overlay --attachable app")
        manager.docker("run -d --name local_cont --net app net-test httpd -f -p 80")
        worker.docker("run -d --name remote_cont --net app net-test httpd -f -p 80")
        worker.docker("run -d --name pub -p 8080:80 net-test httpd -f -p 80")
        manager.wait("docker exec local_cont ping -c1 -W2 remote_cont", 20, "the overlay carries")
        written = []
        for host, role in ((manager, "manager"), (worker, "worker")):
            written.append(HERE / f"fleet-{role}.bundle")
            written[-1].write_bytes(dumps(Bundle(snapshot=_snapshot(host))))
        return written


def _without_registries(answer: Any) -> Any:
    """An answer without the names of registries, which have no place in this repository."""
    if isinstance(answer, dict):
        return {key: value for key, value in answer.items() if key not in ("RegistryConfig", "IndexServerAddress")}
    return answer


def _snapshot(host: Host) -> Any:
    printed = host.run([sys.executable, "-c", _COLLECT], timeout=60)
    made = loads(base64.b64decode(printed.stdout), host.name).snapshot
    log = tuple(line for line in made.daemon.log if "registry" not in line.text)
    return msgspec.structs.replace(made, daemon=msgspec.structs.replace(made.daemon, log=log))


if __name__ == "__main__":
    for name in sys.argv[1:] or ["oldest", "middle", "newest", "fleet"]:
        print(*(record_fleet() if name == "fleet" else [record(name)]))
