"""Projects that real Compose made: the fix changes the compose file, the project is brought up from it, and it works.

The engine has little to do with it: most are tried on one.
"""

from __future__ import annotations

import pytest

from tests.lab.case import FaultCase, faults, prove
from tests.lab.host import Doctor, Host

HOME = "/var/lib/shop"
FILE = f"{HOME}/compose.yaml"
OUTSIDE = "curl -fsS -m 1 http://$HOST:8080"
SERVES = "httpd -f -p 80 -h /www"


def up(text: str) -> str:
    """The project as this file has it."""
    return f"mkdir -p {HOME} && cat > {FILE} <<'END'\n{text}\nEND\ncd {HOME} && docker compose up -d --remove-orphans"


def web(ports: str) -> str:
    return f"""# the shop
services:
  web:
    image: "net-test"   # ours
    command: {SERVES}
{ports}
    environment:
      PASSWORD: geheim
  cli:
    image: net-test
"""


WORKER = """
x-common: &common
  image: net-test
services:
  worker:
    <<: *common
    environment:
      - MODE=fast
      - WEB_URL=http://me:geheim@{host}:80/
    networks: [back]
  web:
    <<: *common
    command: httpd -f -p 80 -h /www
    networks:
      {networks}:
        aliases: [pages]

networks:
  back:
    driver_opts:
      com.docker.network.bridge.enable_icc: "{icc}"
  front:
"""
VPN = """
services:
  vpn:
    image: net-test
    ports: ["8090:{port}"]
    networks:
{networks}
  torrent:
    image: net-test
    network_mode: service:vpn
    command: httpd -f -p 8001 -h /www
  api:
    image: net-test
    command: httpd -f -p 80 -h /www
    networks: [app]
networks:
  app: {{}}
  out: {{}}
"""
ORDINARY = """
name: prod
x-logging: &log
  logging: {driver: json-file, options: {max-size: 10m}}
services:
  proxy:
    <<: *log
    image: net-test
    command: httpd -f -p 80 -h /www
    ports:
      - "80:80"
      - {target: 80, published: "8443", host_ip: 127.0.0.1}
    networks: [edge]
    depends_on:
      web: {condition: service_healthy}
  web:
    <<: *log
    image: net-test
    command: httpd -f -p 3000 -h /www
    deploy: {replicas: 3}
    environment:
      DATABASE_URL: "postgres://app:geheim@db:5432/app?sslmode=disable"
      REDIS_URL: redis://:geheim@cache:6379/1
      APP_URL: http://localhost
      MAIL_HOST: smtp.example.com
    healthcheck: {test: ["CMD", "wget", "-q", "-O-", "http://127.0.0.1:3000/"], interval: 1s, retries: 5}
    networks: {edge: {aliases: [app, backend]}, data: {}}
  worker:
    image: net-test
    command: sleep 1000
    environment: {QUEUE: "amqp://guest:geheim@mq:5672//", DB_HOST: db, DB_PORT: "5432"}
    networks: [data]
    restart: unless-stopped
  db:
    image: net-test
    command: httpd -f -p 5432 -h /www
    networks:
      data: {ipv4_address: 10.201.0.10}
    expose: ["5432"]
  cache:
    image: net-test
    command: httpd -f -p 6379 -h /www
    networks: [data]
  mq:
    image: net-test
    command: httpd -f -p 5672 -h /www
    networks: [data]
  migrate:
    image: net-test
    command: "true"
    networks: [data]
  metrics:
    image: net-test
    network_mode: service:web2
    command: sleep 1000
  web2:
    image: net-test
    command: httpd -f -p 9100 -h /www
    networks: [edge]
  host-agent:
    image: net-test
    network_mode: host
    command: sleep 1000
    environment: {TARGET: "http://127.0.0.1:80"}
  once:
    image: net-test
    network_mode: none
    command: sleep 1000
networks:
  edge: {enable_ipv6: true, ipam: {config: [{subnet: fd00:77::/64}, {subnet: 10.200.0.0/24}]}}
  data: {internal: true, ipam: {config: [{subnet: 10.201.0.0/24}]}}
"""
ASK = "docker exec shop-worker-1 timeout 3 wget -q -O - http://{}:80/"
FROM_SETTING = """docker exec shop-worker-1 sh -c 'timeout 3 wget -q -O - "$WEB_URL"'"""


def kept(host: Host, asked: Doctor) -> None:
    """The edit applies as it is, the file as it was is kept, and neither report nor fix has a secret."""
    assert "geheim" not in asked.stdout
    (edit,) = asked.findings[0]["fixes"][0]["edits"]
    host.write("/run/edit.diff", edit["diff"])
    host.run(f"patch --dry-run {FILE} < /run/edit.diff")


CASES = [
    FaultCase(
        cause="port-bound-to-loopback",
        healthy=up(web('    ports:\n      - "8080:80"')),
        broken=up(web('    ports:\n    - "127.0.0.1:8080:80"  # for now')),
        symptom=OUTSIDE,
        vantage="neighbour",
        reach="outside web:80",
        check="info",
        verify=kept,
    ),
    FaultCase(
        cause="port-not-published",
        engines=("newest",),
        healthy=up(web('    ports: ["8080:80"]')),
        broken=up(web("    restart: always")),
        symptom="curl -fsS -m 1 http://$HOST:$(docker port shop-web-1 80 | cut -d: -f2)",
        vantage="host",
        reach="outside web:80",
        check="absent",
    ),
    FaultCase(
        cause="container-port-mismatch",
        engines=("newest",),
        healthy=up(web('    ports:\n      - {target: 80, published: "8080"}')),
        broken=up(web('    ports:\n      - target: 81\n        published: "8080"\n        protocol: tcp\n')),
        symptom=OUTSIDE,
        vantage="neighbour",
        reach="outside host:8080",
        verify=kept,
    ),
    FaultCase(
        cause="localhost-means-container",
        healthy=up(WORKER.format(host="web", networks="back", icc="true")),
        broken=up(WORKER.format(host="localhost", networks="back", icc="true")),
        symptom=FROM_SETTING,
    ),
    FaultCase(
        name="namespace-of-another-service",
        engines=("newest",),
        cause="no-shared-network",
        healthy=up(VPN.format(port=8001, networks="      app: {}\n      out: {}")),
        broken=up(VPN.format(port=8001, networks="      out: {}")),
        symptom="docker exec shop-torrent-1 timeout 3 wget -q -O - http://api",
        reach="torrent api:80",
        check="absent",
    ),
    FaultCase(
        name="port-of-another-service",
        engines=("newest",),
        cause="container-port-mismatch",
        healthy=up(VPN.format(port=8001, networks="      out: {}")),
        broken=up(VPN.format(port=8000, networks="      out: {}")),
        symptom="curl -fsS -m 1 http://$HOST:8090",
        vantage="neighbour",
        reach="outside host:8090",
    ),
    FaultCase(
        cause="icc-disabled",
        engines=("newest",),
        healthy=up(WORKER.format(host="web", networks="back", icc="true")),
        broken=f"cd {HOME} && docker compose down && " + up(WORKER.format(host="web", networks="back", icc="false")),
        symptom=FROM_SETTING,
        reach="worker web:80",
        verify=kept,
    ),
]


@faults(CASES)
def test_projects_of_compose(host: Host, case: FaultCase) -> None:
    prove(host, case)
    host.run(f"cd {HOME} && docker compose config -q && docker compose down")


@pytest.mark.parametrize("engine", ["newest"], indirect=True)
def test_a_service_on_another_network_for_good(host: Host) -> None:
    """Connected at once, and by the file from then on."""
    host.run(up(WORKER.format(host="web", networks="front", icc="true")))
    asked = host.doctor("reach worker web:80 --format json")
    assert asked.causes[0] == "no-shared-network"
    now, for_good = asked.findings[0]["fixes"][:2]
    for command in now["commands"]:
        host.run(["sh", "-c", command])
    host.run(ASK.format("web"))
    for command in for_good["commands"]:
        host.run(["sh", "-c", command])
    host.run(f"cd {HOME} && docker compose down && docker compose up -d")
    host.wait(ASK.format("web"))
    host.run(f"cd {HOME} && docker compose down")


@pytest.mark.parametrize("engine", ["oldest", "newest"], indirect=True)
def test_an_ordinary_project_is_silent(host: Host) -> None:
    host.run(f"{up(ORDINARY)} --wait || docker compose ps -a | grep migrate", timeout=90)  # which has ended, and shall
    checked = host.doctor("check --format json")
    assert [f["id"] for f in checked.findings if f["severity"] != "info"] == []
    assert "geheim" not in checked.stdout
    for question in ("outside proxy", "web db:5432", "worker mq:5672", "proxy backend:3000", "metrics app:3000", "host web"):
        asked = host.doctor(f"reach {question} --format json")
        assert (asked.report["verdict"], asked.findings) == ("reachable", []), question
    host.run(f"cd {HOME} && docker compose down")
