"""`python -m tests.lab.record_demo`: records the host that `dockernet-doctor demo` shows.

A small shop on the newest engine, with healthy services and faults beside them; collected as any host would be, and
written to dockernet_doctor/demo.bundle.json.gz once the tool names all of the faults in it.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

from msgspec.structs import replace

from dockernet_doctor.snapshot import bundle
from tests.lab.host import Host, Lab

TARGET = Path(__file__).parents[2] / "dockernet_doctor" / "demo.bundle.json.gz"

HEALTHY = """
docker network create --subnet 172.20.0.0/24 front
docker network create --subnet 172.21.0.0/24 back
docker run -d --name db --network back net-test nc -ll -p 5432 -e cat
docker run -d --name cache --network back net-test nc -ll -p 6379 -e cat
docker run -d --name api --network back -e DATABASE_URL=postgres://shop:secret@db:5432/shop \
    -e CACHE_URL=redis://cache:6379 net-test httpd -f -p 8000
docker network connect front api
docker run -d --name web --network front -e API_URL=http://api:8000 -p 8080:80 net-test httpd -f -p 80
docker run -d --name admin --network front -p 127.0.0.1:8443:80 net-test httpd -f -p 80
"""

#: cause → what puts it there
FAULTS = {
    "localhost-means-container": (
        "docker run -d --name worker --network back -e DATABASE_URL=postgres://shop:secret@localhost:5432/shop"
        " net-test sleep infinity"
    ),
    "listener-on-loopback": "docker run -d --name docs --network front -p 8081:3000 net-test httpd -f -p 127.0.0.1:3000",
    "container-port-mismatch": "docker run -d --name blog --network front -p 8082:80 net-test httpd -f -p 8000",
    "host-port-in-use": "! docker run -d --name web-new --network front -p 8080:80 net-test httpd -f -p 80",
    "no-shared-network": (
        "docker run -d --name mailer --network front -e DATABASE_URL=postgres://shop:secret@db:5432/shop"
        " net-test sleep infinity"
    ),
    "container-paused": (
        "docker run -d --name search --network front -p 8083:9200 net-test httpd -f -p 9200 && docker pause search"
    ),
    "container-not-running": "docker run -d --name importer --network back net-test sh -c 'echo no such table; exit 1'",
    "firewall-drops-traffic": (
        "docker run -d --name metrics --network front --ip 172.20.0.99 -p 8084:9090 net-test httpd -f -p 9090"
        " && iptables -I DOCKER-USER -p tcp --dport 9090 -j DROP"
    ),
}


def main() -> int:
    with Lab() as lab:
        host = lab.host("newest", "shop")
        try:
            recorded = record(host)
        finally:
            host.run("docker unpause search", check=False)  # what is frozen cannot be ended
    TARGET.write_bytes(anonymous(recorded))
    shown = subprocess.run(
        [sys.executable, "-m", "dockernet_doctor", "demo", "--format", "json"], capture_output=True, text=True, check=True
    )
    causes = {finding["cause"] for finding in json.loads(shown.stdout)["findings"]}
    missing = set(FAULTS) - causes
    print(f"{TARGET.name}: {len(recorded):,} bytes; found {', '.join(sorted(causes))}")
    if missing:
        print(f"not found: {', '.join(sorted(missing))}", file=sys.stderr)
    return 1 if missing else 0


def anonymous(data: bytes) -> bytes:
    """The bundle without what only tells on whose machine the lab ran."""
    made = bundle.loads(data, "the demo")
    machine = made.snapshot.host
    assert machine is not None
    snapshot = replace(made.snapshot, host=replace(machine, machine_id=""))
    return bundle.dumps(replace(made, snapshot=snapshot))


def record(host: Host) -> bytes:
    """Builds the shop, breaks it, and gives the bundle that the tool collects there."""
    for line in HEALTHY.replace("\\\n", " ").strip().splitlines():
        host.run(line)
    host.wait("curl -fsS -m 2 http://127.0.0.1:8080/ >/dev/null || curl -sS -m 2 http://127.0.0.1:8080/ | grep -q 404")
    for fault in FAULTS.values():
        host.run(fault)
    host.wait("docker inspect -f '{{.State.Status}}' importer | grep -q exited")
    collected = host.doctor(["collect", "/run/home/demo.bundle"])
    if collected.status != 0:
        raise SystemExit(f"collect: exit {collected.status}\n{collected.stderr}")
    return base64.b64decode(host.run(["base64", "/run/home/demo.bundle"]).stdout)


if __name__ == "__main__":
    sys.exit(main())
