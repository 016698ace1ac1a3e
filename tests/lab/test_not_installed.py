"""dockernet-doctor where it is not installed: as the single file, and in a container of its own that looks at its host."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.lab.host import Doctor, Host

FILE = Path(__file__).parents[2] / "dist/dockernet-doctor"
SETUP = (
    "docker run -d --name web -p 127.0.0.1:8080:80 net-test httpd -f -p 80 -h /www",
    "docker run -d --name api -e DATABASE_URL=postgres://localhost:5432/x net-test",
    "docker run -d --name db net-test httpd -f -p 5432",
)
# A mount namespace with a mark is what a container with --pid=host and --network=host differs by from its host.
WITHOUT_SOCKET = "mount -t tmpfs tmpfs /run && touch /run/.containerenv"
WITH_SOCKET = (
    "mount -t tmpfs tmpfs /mnt && touch /mnt/s && mount --bind /run/docker.sock /mnt/s && "
    f"{WITHOUT_SOCKET} && touch /run/docker.sock && mount --bind /mnt/s /run/docker.sock"
)
OPTION = "-v /var/run/docker.sock:/var/run/docker.sock"


@pytest.mark.parametrize("engine", ["middle"], indirect=True)
def test_a_container_of_its_own_sees_its_host(host: Host) -> None:
    for command in SETUP:
        host.run(command)
    plain = host.doctor("check --format json")
    assert "localhost-means-container" in plain.causes
    assert _said(host.doctor("check --format json", prefix=_contained(WITH_SOCKET))) == _said(plain)
    unmounted = host.doctor("check --format json", prefix=_contained(WITHOUT_SOCKET))
    assert unmounted.status == 3
    assert [cause for cause in unmounted.causes if cause.startswith("daemon-")] == []
    assert [spot["remedy"] for spot in unmounted.report["blind_spots"] if spot["area"] == "engine"] == [
        f"start it with {OPTION}"
    ]


@pytest.mark.long
@pytest.mark.skipif(not FILE.exists(), reason="make dist makes the single file")
def test_the_single_file_says_what_the_installed_tool_says(host: Host) -> None:
    """With what a login by ssh has as its environment, and no Python."""
    for command in SETUP:
        host.run(command)
    file = "/run/dockernet-doctor"
    shutil.copy(FILE, host.path(file))
    for words in ("check", "reach host db:5432", "reach outside web:80", "ports", "map"):
        asked = [*words.split(), "--format", "json"]
        done = host.run(["env", "-i", "PATH=/usr/bin:/bin", file, *asked], check=False)
        assert _said(Doctor(done.rc, done.stdout, done.stderr)) == _said(host.doctor(asked)), words
    host.run(["env", "-i", file, "collect", "/run/h.bundle"])
    replayed = host.doctor("check --format json --bundle /run/h.bundle")
    assert "localhost-means-container" in replayed.causes


def _contained(script: str) -> tuple[str, ...]:
    return ("unshare", "-m", "sh", "-c", f'{script} && exec "$@"', "sh")


def _said(run: Doctor) -> dict[str, Any]:
    """The report without what differs from run to run, and its status."""
    report = run.report
    checks = {check["cause"]: check["result"] for check in report.get("checks", ())}
    findings = [(f["id"], f["summary"], f.get("confidence"), f.get("fixes")) for f in report.get("findings", ())]
    paths = [(path["verdict"], path["basis"], [hop["status"] for hop in path["hops"]]) for path in report.get("paths", ())]
    kept = {key: report.get(key) for key in ("verdict", "ports", "not_in_force", "networks", "containers")}
    return {"status": run.status, "checks": checks, "findings": findings, "paths": paths, **kept}
