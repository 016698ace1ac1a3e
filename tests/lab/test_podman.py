"""Podman's socket, of bookworm's and sid's Podman: silence where all is well, and the faults that its own facts show."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab import podman
from tests.lab.asking import ask
from tests.lab.case import FaultCase, faults, prove
from tests.lab.host import Host, Lab
from tests.lab.packages import PODMANS

SERVER = "net-test httpd -f -p 80 -h /www"
WEB = f"podman run -d --name web -p 8080:80 {SERVER}"
PAGE = "curl -fsS -m 2 http://$HOST:8080"
MEMBERS = f"podman network create app; podman run -d --name web --network app {SERVER}; podman run -d --name cli --network app"
DIAL = "podman exec cli timeout 5 nc -w 2 web 80 -e true"
DIAL_API = """podman exec cli sh -c 'to=${API_URL#http://}; timeout 5 nc -w 2 ${to%:*} 80 -e true'"""

HEALTHY = f"""
podman network create app
podman network create --ipv6 --subnet fd00:77::/64 six
podman run -d --name web --network app -p 8080:80 {SERVER}
podman run -d --name cli --network app -e API_URL=http://web:80/ net-test
podman run -d --name both --network app,six {SERVER}
podman run -d --name plain -p 8081:80 {SERVER}
podman run -d --name mine -p 127.0.0.1:8082:80 {SERVER}
podman run -d --name echo -p 9000:9000/udp net-test udp-echo 9000
podman run -d --name hosted --network host net-test httpd -f -p 8083 -h /www
podman run -d --name apart --network none net-test
podman pod create --name shop -p 8084:80
podman run -d --name front --pod shop {SERVER}
podman run -d --name back --pod shop net-test httpd -f -p 8000 -h /www
"""

QUESTIONS = {
    ("outside", "web:80"): True,
    ("outside", "plain:80"): True,
    ("outside", "mine:80"): False,
    ("outside", "hosted:8083"): True,
    ("outside", "front:80"): True,
    ("outside", "back:8000"): False,
    ("host", "web:80"): True,
    ("host", "mine:80"): True,
    ("host", "front:80"): True,
    ("cli", "web:80"): True,
    ("cli", "both:80"): True,
    ("cli", "plain:80"): False,
    ("cli", "host:8081"): True,
    ("cli", "host:8082"): False,
    ("cli", "example.test:53"): True,
    ("plain", "web:80"): False,
    ("apart", "web:80"): False,
    ("front", "back:8000"): True,
    ("back", "localhost:80"): True,
}
"""What is reachable among the healthy."""

CASES = [
    FaultCase(
        cause="container-not-running",
        healthy=WEB,
        broken="podman stop -t 0 web",
        symptom=PAGE,
        vantage="neighbour",
        reach="outside web:80",
        check="info",  # somebody stopped it
        engines=PODMANS,
    ),
    FaultCase(
        cause="no-listener",
        healthy=WEB,
        broken="podman rm -f web; podman run -d --name web -p 8080:80 net-test",
        symptom=PAGE,
        vantage="neighbour",
        reach="outside web:80",
        fix=False,  # whatever should listen is the image's
        heal=f"podman rm -f web; {WEB}",
        engines=PODMANS,
    ),
    FaultCase(
        cause="listener-on-loopback",
        healthy=WEB,
        broken="podman rm -f web; podman run -d --name web -p 8080:80 net-test httpd -f -p 127.0.0.1:80 -h /www",
        symptom=PAGE,
        vantage="neighbour",
        reach="outside web:80",
        fix=False,
        engines=PODMANS,
    ),
    FaultCase(
        cause="container-port-mismatch",
        healthy=WEB,
        broken="podman rm -f web; podman run -d --name web -p 8080:81 net-test httpd -f -p 80 -h /www",
        symptom=PAGE,
        vantage="neighbour",
        reach="outside web:8080",
        fix=False,  # recreating it is by hand
        heal=f"podman rm -f web; {WEB}",
        engines=PODMANS,
    ),
    FaultCase(
        cause="port-bound-to-loopback",
        healthy=WEB,
        broken=f"podman rm -f web; podman run -d --name web -p 127.0.0.1:8080:80 {SERVER}",
        symptom=PAGE,
        vantage="neighbour",
        reach="outside web:80",
        check="info",
        fix=False,
        engines=PODMANS,
    ),
    FaultCase(
        cause="port-not-published",
        healthy=WEB,
        broken=f"podman rm -f web; podman run -d --name web {SERVER}",
        symptom=PAGE,
        vantage="neighbour",
        reach="outside web:80",
        check="absent",
        fix=False,
        engines=PODMANS,
    ),
    FaultCase(
        cause="firewall-drops-traffic",
        healthy=WEB,
        broken="iptables -I FORWARD -p tcp --dport 80 -j DROP",
        symptom=PAGE,
        vantage="neighbour",
        reach="outside web:80",
        engines=PODMANS,
    ),
    FaultCase(
        name="drop-by-policy",
        cause="firewall-drops-traffic",
        healthy=WEB,
        broken="nft 'table inet mine { chain forward { type filter hook forward priority 10; policy drop; }; }'",
        symptom=PAGE,
        vantage="neighbour",
        reach="outside web:80",
        engines=PODMANS,
    ),
    FaultCase(
        cause="ip-forwarding-off",
        healthy=WEB,
        broken="sysctl -w net.ipv4.ip_forward=0",
        symptom=PAGE,
        vantage="neighbour",
        reach="outside web:80",
        engines=PODMANS,
    ),
    FaultCase(
        cause="no-shared-network",
        healthy=f"{MEMBERS} net-test",
        broken="podman network create other; podman rm -f cli; podman run -d --name cli --network other net-test",
        symptom=DIAL,
        reach="cli web:80",
        check="absent",
        engines=PODMANS,
    ),
    FaultCase(
        cause="default-bridge-no-dns",
        healthy=f"{MEMBERS} net-test",
        broken=f"podman rm -f web cli; podman run -d --name web {SERVER}; podman run -d --name cli net-test",
        symptom=DIAL,
        reach="cli web:80",
        check="absent",
        engines=PODMANS,
    ),
    FaultCase(
        cause="none-network",
        healthy=f"{MEMBERS} net-test",
        broken="podman rm -f cli; podman run -d --name cli --network none net-test",
        symptom=DIAL,
        reach="cli web:80",
        check="info",
        fix=False,
        engines=PODMANS,
    ),
    FaultCase(
        cause="localhost-means-container",
        healthy=f"{MEMBERS} -e API_URL=http://web:80/ net-test",
        broken="podman rm -f cli; podman run -d --name cli --network app -e API_URL=http://localhost:80/ net-test",
        symptom=DIAL_API,
        fix=False,
        engines=PODMANS,
    ),
    FaultCase(
        cause="unknown-name",
        healthy=f"{MEMBERS} -e API_URL=http://web:80/ net-test",
        broken="podman rm -f cli; podman run -d --name cli --network app -e API_URL=http://wbe:80/ net-test",
        symptom=DIAL_API,
        fix=False,
        engines=PODMANS,
    ),
]


@pytest.fixture(scope="module")
def hosts(able: None) -> Iterator[dict[str, tuple[Lab, Host]]]:
    started: dict[str, tuple[Lab, Host]] = {}
    yield started
    for lab, _ in started.values():
        lab.close()


@pytest.fixture
def host(engine: str, hosts: dict[str, tuple[Lab, Host]]) -> Iterator[Host]:
    """A host of this Podman without containers."""
    if engine not in hosts:
        lab = Lab()
        hosts[engine] = lab, lab.host(engine, engine, daemon=False)
        podman.start(hosts[engine][1])
    host = hosts[engine][1]
    host.state = ""
    host.run("iptables-save >/run/rules4; nft list tables >/run/tables")
    yield host
    podman.clean(host)
    host.run("nft list tables | grep -vxFf /run/tables | while read -r table; do nft delete $table; done")
    host.run("iptables-restore </run/rules4; sysctl -w net.ipv4.ip_forward=1")


@faults(CASES)
def test_faults(host: Host, case: FaultCase) -> None:
    prove(host, case)


@pytest.mark.parametrize("engine", PODMANS, indirect=True)
def test_healthy(host: Host) -> None:
    host.run(["sh", "-ec", HEALTHY], timeout=120)
    for port in (8080, 8081, 8083, 8084):
        assert host.neighbour.page(f"http://{host.address}:{port}") == "page of net-test\n"
    host.state = "healthy"
    checked = host.doctor("check --format json")
    version = host.run("podman version -f '{{.Server.Version}}'").stdout.strip()
    assert checked.status == 3
    assert checked.report["hosts"][0]["engine"]["version"] == version
    assert [f["id"] for f in checked.findings if f["severity"] != "info"] == []
    assert "podman-socket" in checked.causes
    assert checked.report["blind_spots"][0]["why"].endswith("Docker's checks do not apply to these")
    host.state = "questions"
    _, *answers = ask(host, list(QUESTIONS), probes=True)
    said = {question: answer["verdict"] for question, answer in zip(QUESTIONS, answers, strict=True)}
    assert said == {question: "reachable" if works else "unreachable" for question, works in QUESTIONS.items()}
    unexplained = [question for question, answer in zip(QUESTIONS, answers, strict=True) if _unexplained(answer)]
    assert unexplained == []


def _unexplained(answer: dict[str, object]) -> bool:
    return answer["verdict"] != "reachable" and (not answer["findings"] or "unexplained-failure" in str(answer["findings"]))
