"""Faults that come and go: `reach --repeat` counts what was answered, where and how fast, and names what one would miss."""

from __future__ import annotations

import pytest

from tests.lab.host import OUTSIDE, Doctor, Host

_SERVICE = """
docker network create app
docker run -d --name web --network app --network-alias svc net-test sh -c 'httpd -p 80 -h /www; exec udp-echo 53'
docker run -d --name cli --network app net-test
"""

_QUERY = r"\022\064\001\0\0\001\0\0\0\0\0\0\007example\004test\0\0\001\0\001"


@pytest.mark.parametrize("engine", ["oldest", "newest"], indirect=True)
def test_name_with_two_owners(host: Host) -> None:
    host.run(["sh", "-ec", _SERVICE])
    _expect_silence(host, "reach cli svc:80 --repeat 4 --for 1s", paths=1)
    host.docker("run -d --name impostor --network app --network-alias svc net-test")
    answers = {host.docker("exec cli timeout 3 nc -w 2 svc 80 -e true", check=False).ok for _ in range(20)}
    assert answers == {True, False}

    asked = host.doctor("reach cli svc:80 --repeat 4 --for 1s --format json")
    assert _broken(asked, "duplicate-alias") == "partly"
    samples = {path["verdict"]: path["samples"] for path in asked.report["paths"]}
    assert (samples["reachable"]["sent"], samples["reachable"]["answered"]) == (4, 4)
    assert (samples["unreachable"]["sent"], samples["unreachable"]["answered"]) == (4, 0)
    assert len({path["destination"]["address"] for path in asked.report["paths"]}) == 2
    shown = host.doctor("reach cli svc:80 --repeat 4 --for 1s").stdout
    assert "4 of 4 answered" in shown
    assert "0 of 4 answered" in shown
    _mend(host, asked)
    _expect_silence(host, "reach cli svc:80 --repeat 4 --for 1s", paths=1)


@pytest.mark.parametrize("engine", ["newest"], indirect=True)
def test_rule_that_drops_every_second_packet(host: Host) -> None:
    host.run(["sh", "-ec", _SERVICE])
    host.run("docker rm -f web; docker run -d --name web -p 8080:80 -p 8053:53/udp net-test "
             "sh -c 'httpd -p 80 -h /www; exec udp-echo 53'")  # fmt: skip
    address = host.docker(["inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", "web"]).stdout.strip()
    _expect_silence(host, f"reach host {address}:53/udp --repeat 6 --for 1s", paths=1)
    for packets in ("udp", "tcp --syn"):
        host.run(f"iptables -I OUTPUT -d {address} -p {packets} -m statistic --mode nth --every 2 --packet 0 -j DROP")
    answers = [host.ok(f"echo hello | nc -u -w 1 {address} 53 | grep -q hello") for _ in range(2)]
    assert sorted(answers) == [False, True]

    for port in ("53/udp", "80"):
        asked = host.doctor(f"reach host {address}:{port} --repeat 6 --for 1s --format json")
        assert _broken(asked, "firewall-drops-traffic") == "partly"
        assert "only now and then" in asked.findings[0]["summary"]
        (path,) = asked.report["paths"]
        lost = sum(latency > 900 for latency in path["samples"]["latency_ms"]) + 6 - path["samples"]["answered"]
        assert path["samples"]["sent"] == 6
        assert 2 <= lost <= 4, path
        _mend(host, asked)
        _expect_silence(host, f"reach host {address}:{port} --repeat 6 --for 1s", paths=1)


def test_resolver_that_drops_every_second_question(host: Host) -> None:
    host.run(["sh", "-ec", _SERVICE])
    _expect_silence(host, "reach cli example.test:53 --repeat 4 --for 1s", paths=1)
    rule = "INPUT -p udp --dport 53 -m statistic --mode nth --every 2 --packet 0 -j DROP"
    host.neighbour.run(f"iptables -I {rule}")
    try:
        answers = [host.ok(f"printf '{_QUERY}' | nc -u -w 1 $NEIGHBOUR 53 | grep -qa example") for _ in range(2)]
        assert sorted(answers) == [False, True]
        asked = host.doctor("reach cli example.test:53 --repeat 6 --for 1s --format json")
    finally:
        host.neighbour.run(f"iptables -D {rule}")
    assert _broken(asked, "upstream-dns-unreachable") == "partly"
    named, opened = asked.report["paths"]
    assert named["samples"]["sent"] == 6
    lost = sum(latency > 900 for latency in named["samples"]["latency_ms"]) + 6 - named["samples"]["answered"]
    assert 1 <= lost <= 5, named
    assert (opened["destination"]["address"], opened["verdict"]) == (OUTSIDE, "reachable")
    assert opened["samples"]["answered"] == 6
    _expect_silence(host, "reach cli example.test:53 --repeat 4 --for 1s", paths=1)


def _broken(asked: Doctor, cause: str) -> str:
    """The verdict of a report that names the cause first."""
    assert asked.causes[:1] == [cause], asked.stdout
    assert asked.findings[0]["severity"] == "error"
    assert asked.status == 1
    return str(asked.report["verdict"])


def _mend(host: Host, asked: Doctor) -> None:
    for command in asked.findings[0]["fixes"][0]["commands"]:
        host.run(command)


def _expect_silence(host: Host, question: str, *, paths: int) -> None:
    asked = host.doctor(f"{question} --format json")
    assert (asked.report["verdict"], asked.causes, asked.status) == ("reachable", [], 0), asked.stdout
    assert [p["samples"]["answered"] for p in asked.report["paths"]] == [p["samples"]["sent"] for p in asked.report["paths"]]
    assert len(asked.report["paths"]) == paths
