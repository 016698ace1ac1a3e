"""What an answer of `reach` holds and how long it takes: containers without a shell, a path that works, one that is dead."""

from __future__ import annotations

import resource
import time

import pytest

from tests.lab.case import FaultCase, faults, prove
from tests.lab.host import Doctor, Host

PAIR = "docker network create app; docker run -d --name cli --network app distroless; docker run -d --name web --network app "
ASKED = """
pid=$(docker inspect -f '{{.State.Pid}}' cli)
cp /proc/$pid/root/etc/resolv.conf /run/resolv.conf
nsenter -t $pid -n unshare -m sh -c 'mount --bind /run/resolv.conf /etc/resolv.conf && curl -fsS -m 2 http://web'
"""
"""By the resolver and the interfaces of `cli`, with the host's curl: inside there is no program but the server."""
LIMIT, OVERHEAD = 5, 1.5
"""Seconds that are given to a dead path, and that any answer may take beyond the probes' own waiting."""


def answered_fully(_host: Host, answer: Doctor) -> None:
    """Every hop up to the broken one was decided, by what was read and by probes from inside; nothing is left unseen."""
    (path,) = answer.report["paths"]
    status = {hop["hop"]: hop["status"] for hop in path["hops"]}
    seen = {hop["hop"]: hop["observed"] for hop in path["hops"]}
    broken = path["verdict"] == "unreachable"
    assert path["basis"] == "probed"
    assert answer.report["blind_spots"] == []
    assert [hop for hop in ("target", "name", "network", "link", "route", "filter") if status[hop] != "ok"] == []
    assert status["listener"] == ("broken" if broken else "ok")
    assert "web → 172." in seen["name"]
    assert "refused" in seen["listener"] if broken else "open" in seen["answer"]
    assert all(probe["vantage"] == "cli" for probe in answer.report["probes"])


@faults(
    [
        FaultCase(
            cause="listener-on-loopback",
            name="distroless",
            healthy=f"{PAIR} distroless",
            broken="docker rm -f web; docker run -d --name web --network app distroless /httpd -f -p 127.0.0.1:80 -h /www",
            symptom=ASKED,
            reach="cli web:80",
            check="absent",  # nobody's settings name the port, and nothing is published
            fix=False,  # it is the command of the image
            heal="docker rm -f web; docker run -d --name web --network app distroless",
            verify=answered_fully,
        )
    ]
)
def test_two_containers_without_a_shell(host: Host, case: FaultCase) -> None:
    prove(host, case)
    answered_fully(host, host.doctor("reach cli web:80 --format json"))


@pytest.mark.parametrize("engine", ["newest"], indirect=True)
def test_time_of_an_answer(host: Host) -> None:
    """A machine under load takes longer than the work, so that processor time counts; a dead path ends with the time limit."""
    host.run(f"{PAIR} -p 8080:80 distroless")
    for question in ("cli web:80", "host web:80", "outside web:80"):
        before = _processor_seconds()
        answer = host.doctor(f"reach {question} --format json")
        spent = _processor_seconds() - before
        waited = sum(probe["latency_ms"] or 0 for probe in answer.report["probes"]) / 1000
        assert answer.report["verdict"] == "reachable"
        assert spent + waited < OVERHEAD, question

    host.run("iptables -I OUTPUT -o br-+ -p tcp --dport 80 -j DROP; iptables -I DOCKER-USER -p tcp --dport 80 -j DROP")
    for question in ("cli web:80", "host web:80"):
        start = time.monotonic()
        answer = host.doctor(f"reach {question} --timeout {LIMIT} --format json")
        assert time.monotonic() - start < LIMIT + 2 * OVERHEAD, question  # with the start of the interpreter
        assert answer.report["duration_s"] < LIMIT + 0.5, question
        assert (answer.report["verdict"], answer.causes) == ("unreachable", ["firewall-drops-traffic"])


def _processor_seconds() -> float:
    """Of all processes that this one has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("engine", ["newest"], indirect=True)
def test_trace_tells_the_kernel_s_reason(host: Host) -> None:
    host.docker("run -d --name web net-test httpd -f -p 80 -h /www")
    host.docker("run -d --name cli net-test")
    host.run("iptables -t raw -I PREROUTING -p tcp --dport 80 -j DROP")
    host.run("mount -t tracefs tracefs /sys/kernel/tracing")
    for _ in range(10):  # another lab may lose a packet for the same reason at the same moment
        told = host.doctor("reach cli container:web:80 --trace --format json").report
        if "dropped by the kernel" in str(told):
            break
    assert "NETFILTER_DROP (a firewall rule or policy)" in str(told)
