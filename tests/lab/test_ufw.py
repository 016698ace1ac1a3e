"""ufw itself, as Debian and Ubuntu have it: what it drops, and that its own words let it pass for good."""

from __future__ import annotations

import pytest

from tests.lab.case import FaultCase, prove
from tests.lab.host import Host

# What people put in /etc/ufw/after.rules so that ufw decides on published ports too; the lab's other machines, which are in
# 10.0.0.0/8, are strangers here.
PUBLISHED_PORTS = """
*filter
:ufw-user-forward - [0:0]
:ufw-docker-logging-deny - [0:0]
:DOCKER-USER - [0:0]
-A DOCKER-USER -j ufw-user-forward
-A DOCKER-USER -j RETURN -s 172.16.0.0/12
-A DOCKER-USER -j RETURN -s 192.168.0.0/16
-A DOCKER-USER -p udp -m udp --sport 53 --dport 1024:65535 -j RETURN
-A DOCKER-USER -j ufw-docker-logging-deny -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -d 192.168.0.0/16
-A DOCKER-USER -j ufw-docker-logging-deny -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -d 172.16.0.0/12
-A DOCKER-USER -j ufw-docker-logging-deny -p udp -m udp --dport 0:32767 -d 172.16.0.0/12
-A DOCKER-USER -j RETURN
-A ufw-docker-logging-deny -m limit --limit 3/min --limit-burst 10 -j LOG --log-prefix "[UFW DOCKER BLOCK] "
-A ufw-docker-logging-deny -j DROP
COMMIT
"""
ENABLED = "ufw default deny incoming; ufw allow 22/tcp; ufw --force enable"
HOSTED = "docker run -d --name hosted --network host net-test httpd -f -p 8000 -h /www"
WEB = "docker run -d --name web -p 8080:80 net-test httpd -f -p 80 -h /www"
CLI = "docker run -d --name cli net-test"

CASES = [
    FaultCase(
        name="host-service",
        cause="firewall-drops-traffic",
        healthy=f"{ENABLED}; {HOSTED}; {WEB}; {CLI}; ufw allow 8000/tcp",
        broken="ufw delete allow 8000/tcp",
        symptom="curl -fsS -m 1 http://$HOST:8000",
        vantage="neighbour",
        reach="outside hosted:8000",
        check="absent",
    ),
    FaultCase(
        name="host-service-from-a-container",
        cause="firewall-drops-traffic",
        healthy="ufw allow in on docker0",
        broken="ufw delete allow in on docker0",
        symptom="docker exec cli timeout 3 wget -q -O - http://$HOST:8000",
        reach="cli host:8000",
        check="absent",
    ),
    FaultCase(
        name="published-port",
        cause="firewall-drops-traffic",
        healthy=f"cat >> /etc/ufw/after.rules <<'END'{PUBLISHED_PORTS}END\n"
        "ufw route allow proto tcp from any to any port 80; ufw reload",
        broken="ufw route delete allow proto tcp from any to any port 80",
        symptom="curl -fsS -m 1 http://$HOST:8080",
        vantage="neighbour",
        reach="outside web:80",
        check="info",  # open to those whom the rules name
    ),
]


@pytest.mark.parametrize("engine", ["oldest", "newest"], indirect=True)
def test_what_ufw_drops(host: Host) -> None:
    for case in CASES:
        prove(host, case)
    host.run("ufw reload")
    host.neighbour.run("curl -fsS -m 1 http://$HOST:8000 && curl -fsS -m 1 http://$HOST:8080")
