"""The lab itself: three engines work, and nothing of a lab is left when it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

import pytest

from tests.lab.host import OUTSIDE, Host, Lab

_VERSIONS = {"oldest": "20.10", "middle": "26.1", "newest": "28.5"}


def test_published_port_is_reached_by_another_machine(host: Host) -> None:
    host.docker("run -d --name web -p 8080:80 net-test httpd -f -p 80 -h /www")
    host.wait(lambda: host.neighbour.page(f"http://{host.address}:8080"))
    assert host.neighbour.page(f"http://{host.address}:8080") == "page of net-test\n"
    assert not host.neighbour.page(f"http://{host.address}:8081")


def test_engine_is_the_one_asked_for(host: Host, engine: str) -> None:
    known = tuple(map(int, _VERSIONS[engine].split(".")))
    assert tuple(map(int, host.version.split(".")[:2])) >= known


def test_names_are_answered_upstream_and_packets_leave(host: Host) -> None:
    host.docker("network create app")
    host.docker("run -d --name client --network app net-test")
    assert OUTSIDE in host.docker("exec client ping -c 1 -W 2 example.test").stdout
    assert not host.docker("exec client ping -c 1 -W 2 nowhere.test", check=False).ok


def test_distroless_image_serves(host: Host) -> None:
    host.docker("run -d --name web -p 8080:80 distroless")
    host.wait(lambda: host.neighbour.page(f"http://{host.address}:8080"))
    assert not host.docker("exec web sh -c true", check=False).ok


def test_service_is_stopped_failed_and_started_as_its_unit_says(host: Host) -> None:
    host.stop_daemon()
    assert host.run("systemctl is-active docker", check=False).stdout == "inactive\n"
    host.write("/etc/systemd/system/docker.service.d/log.conf", "[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd --nope\n")
    assert not host.restart_daemon(check=False).ok
    assert host.run("systemctl is-active docker", check=False).stdout == "failed\n"
    assert "unknown flag: --nope" in host.run("journalctl -u docker --no-pager -o cat").stdout
    host.run("rm /etc/systemd/system/docker.service.d/log.conf")
    assert not host.run("systemctl start docker", check=False).ok, "systemd reads units at daemon-reload only"
    host.run("echo 'DOCKER_OPTS=\"--icc=false --debug\"' >/etc/default/docker")
    host.restart_daemon()
    assert host.healthy
    assert "--icc=false --debug" in host.run("ps -C dockerd -o args=").stdout


def test_killed_daemon_can_be_started_again(host: Host) -> None:
    host.run("kill -9 $(cat /run/docker.pid)")
    host.wait(lambda: not host.healthy)
    host.run("systemctl start docker")
    assert host.healthy


def test_socket_activated_daemon_answers(lab: Lab, engine: str) -> None:
    host = lab.host(engine, socket_activated=True)
    assert host.run("systemctl is-active docker.socket").stdout == "active\n"
    host.docker("run --rm net-test true")


def test_forward_policy_depends_on_who_turned_forwarding_on(lab: Lab, engine: str) -> None:
    assert "-P FORWARD ACCEPT" in lab.host(engine, "before", forward=True).run("iptables -S FORWARD").stdout
    assert "-P FORWARD DROP" in lab.host(engine, "after", forward=False).run("iptables -S FORWARD").stdout


@pytest.mark.parametrize(
    ("kind", "question"),
    [
        ("etcd", "curl -fsS http://$STORE:2379/v2/keys"),
        ("zookeeper", "echo srvr | nc -w 2 $STORE 2181 | grep standalone"),
        ("consul", "curl -fsS http://$STORE:8500/v1/status/leader | grep 8300"),
    ],
)
def test_cluster_store_answers_its_own_protocol(lab: Lab, kind: Literal["etcd", "zookeeper", "consul"], question: str) -> None:
    store = lab.store(kind)
    lab.neighbour.environment["STORE"] = store.address
    lab.neighbour.wait(question, 10)


def test_udp_and_tcp_echo_run_in_the_image(host: Host) -> None:
    host.docker("run -d --name udp-echo -p 7:7/udp net-test udp-echo 7")
    host.docker("run -d --name tcp-echo -p 7:7/tcp net-test nc -ll -p 7 -e cat")
    host.neighbour.wait(f"echo over-udp | nc -u -w 1 {host.address} 7 | grep over-udp")
    host.neighbour.wait(f"echo over-tcp | nc -N -w 1 {host.address} 7 | grep over-tcp")


def test_two_labs_run_side_by_side_with_the_same_addresses(able: None) -> None:
    with Lab() as one, Lab() as two:
        first, second = one.host("newest"), two.host("newest")
        assert first.address == second.address
        first.docker("run -d --name web -p 8080:80 net-test httpd -f -p 80")
        first.wait(lambda: one.neighbour.page(f"http://{first.address}:8080"))
        assert not two.neighbour.page(f"http://{second.address}:8080")


def test_nothing_is_left_when_a_lab_ends(able: None) -> None:
    before = _machine_state()
    with Lab() as lab:
        host = lab.host("newest")
        host.docker("run -d --name web -p 8080:80 net-test")
        name, pids = lab.name, [machine.pid for machine in lab.machines]
        assert _cgroups(name)
    assert _left(name, pids) == []
    assert _machine_state() == before


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_when_its_owner_is_killed(able: None, number: signal.Signals) -> None:
    before = _machine_state()
    owner = subprocess.Popen(
        [sys.executable, "-c", _OWNER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=_environment()
    )
    assert owner.stdout
    with owner.stdout:
        name, *pids = owner.stdout.readline().split()
        assert _left(name, [int(pid) for pid in pids])
        os.kill(owner.pid, number)
        owner.wait()
    deadline = time.monotonic() + 15
    while _left(name, [int(pid) for pid in pids]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _left(name, [int(pid) for pid in pids]) == []
    assert _machine_state() == before


_OWNER = """
import time
from tests.lab.host import Lab
lab = Lab()
host = lab.host("newest")
host.docker("run -d --name web net-test")
print(lab.name, *(machine.pid for machine in lab.machines), flush=True)
time.sleep(600)
"""


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


def _left(name: str, pids: list[int]) -> list[str]:
    """Processes and cgroups of a lab that are still there."""
    processes = [f"/proc/{pid}" for pid in pids if Path(f"/proc/{pid}").exists()]
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if name.encode() in file.read_bytes():
                processes.append(str(file))
        except OSError:
            continue
    return processes + [str(path) for path in _cgroups(name)]


def _cgroups(name: str) -> list[Path]:
    """The lab's directory in the one hierarchy of version 2, or in each of version 1."""
    root = Path("/sys/fs/cgroup")
    return [path for path in (root / name, *(child / name for child in root.iterdir())) if path.is_dir()]


def _machine_state() -> list[str]:
    """Links and mounts of the machine that runs the tests."""
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    return [links, Path("/proc/self/mountinfo").read_text()]
