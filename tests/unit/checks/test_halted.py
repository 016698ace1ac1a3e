"""Processes that are there and do not run: docker-proxy, and the first process of a container."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest
from msgspec.structs import replace

from dockernet_doctor.plugin import model
from dockernet_doctor.snapshot.socket_owners import halted

from .hosts import check, host, member, reach, snapshot

WEB = model.PublishedPort(host_ip="0.0.0.0", host_port=8080, port=80, protocol="tcp")


@pytest.mark.parametrize(("how", "causes"), [("stopped", ["docker-proxy-missing"]), ("", [])])
def test_a_docker_proxy_that_is_stopped_opens_connections_and_answers_none(how: str, causes: list[str]) -> None:
    web = member(2, "web", 80, published=(WEB,))
    proxy = model.Process(pid=483, name="docker-proxy", halted=how)
    listener = model.Listener(protocol="tcp", family=4, address="0.0.0.0", port=8080, process=proxy)
    at = host(web, rules="-A FORWARD -j ACCEPT\n")
    assert at.stack
    found = reach("host", "127.0.0.1:8080", snapshot(web, on=replace(at, stack=replace(at.stack, listeners=(listener,)))))
    assert [f.cause for f in found.findings] == causes
    assert [f.fixes[0].commands for f in found.findings] == [("kill -CONT 483",)] * len(causes)


@pytest.mark.parametrize(("how", "causes"), [("frozen", ["container-paused"]), ("", [])])
def test_a_container_that_is_frozen_past_docker_takes_nothing(how: str, causes: list[str]) -> None:
    web = member(2, "web", 80)
    assert web.sandbox
    web = replace(web, sandbox=replace(web.sandbox, halted=how))
    found = reach("host", "web:80", snapshot(web))
    assert [f.cause for f in found.findings] == causes
    assert [f.cause for f in check(web)] == causes
    assert all("/proc/2/cgroup" in f.fixes[0].commands[0] for f in found.findings)


def test_the_kernel_tells_who_is_stopped() -> None:
    process = subprocess.Popen(["sleep", "60"])
    try:
        assert halted(process.pid) == ""
        os.kill(process.pid, signal.SIGSTOP)
        deadline = time.monotonic() + 10
        while halted(process.pid) != "stopped" and time.monotonic() < deadline:
            time.sleep(0.01)
        assert halted(process.pid) == "stopped"
    finally:
        process.kill()
        process.wait()
