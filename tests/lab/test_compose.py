"""Projects that real Compose made: the fix changes the compose file, the project is brought up from it, and it works."""

from __future__ import annotations

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
        healthy=up(web('    ports: ["8080:80"]')),
        broken=up(web("    restart: always")),
        symptom="curl -fsS -m 1 http://$HOST:$(docker port shop-web-1 80 | cut -d: -f2)",
        vantage="host",
        reach="outside web:80",
        check="absent",
    ),
    FaultCase(
        cause="container-port-mismatch",
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
        cause="no-shared-network",
        healthy=up(VPN.format(port=8001, networks="      app: {}\n      out: {}")),
        broken=up(VPN.format(port=8001, networks="      out: {}")),
        symptom="docker exec shop-torrent-1 timeout 3 wget -q -O - http://api",
        reach="torrent api:80",
        check="absent",
    ),
    FaultCase(
        name="port-of-another-service",
        cause="container-port-mismatch",
        healthy=up(VPN.format(port=8001, networks="      out: {}")),
        broken=up(VPN.format(port=8000, networks="      out: {}")),
        symptom="curl -fsS -m 1 http://$HOST:8090",
        vantage="neighbour",
        reach="outside host:8090",
    ),
    FaultCase(
        cause="icc-disabled",
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
