"""Several hosts at once, on real daemons: gathered by the playbook of docs/fleets, or read over ssh, and asked together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.lab.host import Host, Lab

PLAYBOOK = Path(__file__).parents[2] / "docs" / "fleets" / "collect.yml"
PROGRAMS = Path(sys.executable).parent
TALK = "docker exec local_cont ping -c1 -W1 remote_cont"
QUESTION = ["reach", "local_cont@h1", "remote_cont:80@h2"]

# `ssh [OPTIONS] [--] HOST COMMAND` into a lab host, as root, with this tool on the PATH.
SSH = """#!/bin/sh
for word; do host=$last; last=$word; done
exec nsenter -t "$(cat {directory}/$host.pid)" -n -m -u -p env PATH={programs}:/usr/sbin:/usr/bin:/sbin:/bin sh -c "$last"
"""


def test_a_swarm_read_together(lab: Lab, tmp_path: Path) -> None:
    """Healthy; then what carries the overlay is dropped on the second host, which is named and mended there."""
    hosts = {name: lab.host("newest", name) for name in ("h1", "h2")}
    one, two = swarm(hosts)
    ssh = stand_in(tmp_path, hosts)
    bundles = played(tmp_path, ssh)
    assert one.ok(TALK)
    by_ssh = ["--host", "ssh://root@h1", "--host", "ssh://h2"]
    for sources in (["--bundle", str(bundles)], by_ssh):
        status, report = asked([*QUESTION, *sources], ssh)
        assert (status, report["verdict"]) == (0, "reachable"), report["findings"]
        assert [host["name"] for host in report["hosts"]] == ["h1", "h2"]
    status, report = asked(["check", "--bundle", str(bundles)], ssh)
    assert [f["id"] for f in report["findings"] if f["severity"] != "info"] == []

    two.run("iptables -I INPUT -p udp --dport 4789 -j DROP")
    assert not one.ok(TALK)
    status, report = asked([*QUESTION, *by_ssh], ssh)
    finding = report["findings"][0]
    assert (status, report["verdict"], finding["cause"]) == (1, "unreachable", "overlay-port-blocked")
    assert finding["subject"]["host"] == finding["fixes"][0]["host"] == "h2"
    assert "h2 drops 4789/udp" in finding["summary"]
    for command in finding["fixes"][0]["commands"]:
        two.run(command)
    one.wait(TALK, 5, "after the fix the containers talk")
    assert asked([*QUESTION, *by_ssh], ssh)[0] == 0


def swarm(hosts: dict[str, Host]) -> tuple[Host, Host]:
    one, two = hosts.values()
    one.docker(f"swarm init --advertise-addr {one.address}")
    token = one.docker("swarm join-token -q worker").stdout.strip()
    two.docker(["swarm", "join", "--token", token, f"{one.address}:2377"])
    one.docker("network create -d overlay --attachable app")
    one.docker("run -d --name local_cont --net app net-test httpd -f -p 80")
    two.docker("run -d --name remote_cont --net app net-test httpd -f -p 80")
    one.wait(TALK, 15, "the overlay carries")
    return one, two


def stand_in(directory: Path, hosts: dict[str, Host]) -> dict[str, str]:
    """An environment whose `ssh` enters the hosts, for Ansible and for the tool."""
    for name, host in hosts.items():
        (directory / f"{name}.pid").write_text(str(host.pid))
    ssh = directory / "ssh"
    ssh.write_text(SSH.format(directory=directory, programs=PROGRAMS))
    ssh.chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{directory}:{os.environ['PATH']}",
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_HOME": str(directory / "ansible"),
        "ANSIBLE_SSH_EXECUTABLE": str(ssh),
        "ANSIBLE_SSH_TRANSFER_METHOD": "piped",
        "ANSIBLE_PIPELINING": "1",
    }


def played(directory: Path, environment: dict[str, str]) -> Path:
    """Runs the playbook of the docs; the directory of the bundles."""
    (directory / "inventory").write_text("h1\nh2\n[all:vars]\nansible_become=false\n")
    command = [str(PROGRAMS / "ansible-playbook"), "-i", str(directory / "inventory"), str(PLAYBOOK)]
    done = subprocess.run(command, env=environment | {"PWD": str(directory)}, cwd=directory, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(path.name for path in (directory / "bundles").iterdir()) == ["h1.bundle", "h2.bundle"]
    return directory / "bundles"


def asked(arguments: list[str], environment: dict[str, str]) -> tuple[int, dict[str, Any]]:
    """The tool on this machine, which is none of the hosts."""
    command = [sys.executable, "-m", "dockernet_doctor", *arguments, "--format", "json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    report: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, report
