"""dockernet-doctor where it is not installed: as the single file, and in a container of its own that looks at its host."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.lab import packages
from tests.lab.host import Doctor, Host, Lab

REPOSITORY = Path(__file__).parents[2]
FILE = REPOSITORY / "dist/dockernet-doctor"
THERE = "/run/dockernet-doctor"
needs_file = pytest.mark.skipif(not FILE.exists(), reason="make dist makes the single file")
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
OPTIONS = ("--privileged", "--pid=host", "--network=host", OPTION)
# A small system over the host's processes, network, daemon and its files.
INTO_ROOT = """
mkdir -p /run/root/upper /run/root/work
mount -t overlay -o lowerdir={root},upperdir=/run/root/upper,workdir=/run/root/work overlay /mnt
for d in proc sys dev run; do mount --rbind /$d /mnt/$d; done
for d in etc/docker var/lib/docker var/log usr/lib/systemd; do mkdir -p /mnt/$d; mount --bind /$d /mnt/$d; done
cp /etc/hosts /etc/resolv.conf /etc/hostname /mnt/etc/
! chroot /mnt sh -c 'command -v python3'
"""
PROGRAM = "/usr/local/bin/dockernet-doctor"
UNMOUNTED = 'for d in $1; do mount -t tmpfs -o noexec tmpfs $d; done; shift; "$@"; status=$?; ls -A /run/own; exit $status'
SSHD = """
mount -t tmpfs tmpfs /tmp
grep -q ^sshd: /etc/passwd || echo 'sshd:x:100:65534::/run/sshd:/usr/sbin/nologin' >> /etc/passwd
mkdir -p /run/sshd && ssh-keygen -q -t ed25519 -N '' -f /run/key && ssh-keygen -q -t ed25519 -N '' -f /run/host_key
{tree}/usr/sbin/sshd -f /dev/null -h /run/host_key -o AuthorizedKeysFile=/run/key.pub -o StrictModes=no -o PidFile=none
"""
SSH = """
Host *
  IdentityFile /run/key
  StrictHostKeyChecking accept-new
  UserKnownHostsFile /run/known_hosts
"""


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
@needs_file
def test_the_single_file_says_what_the_installed_tool_says(host: Host) -> None:
    """With what a login by ssh has as its environment, and no Python."""
    _compared(host, ["env", "-i", "PATH=/usr/bin:/bin"])


@pytest.mark.long
@needs_file
@pytest.mark.parametrize("suite", ["bullseye", "bookworm", "trixie"])
@pytest.mark.parametrize("engine", ["newest"], indirect=True)
def test_in_a_debian_without_python(host: Host, suite: str) -> None:
    """With that release's iptables and nft, and without nmap."""
    host.run(INTO_ROOT.format(root=packages.root(suite)))
    entering = ["chroot", "/mnt", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
    _compared(host, entering)
    assert host.run([*entering, THERE, "demo"], check=False).rc == 1


@pytest.mark.long
@needs_file
@pytest.mark.parametrize("engine", ["newest"], indirect=True)
def test_where_the_single_file_unpacks(host: Host) -> None:
    shutil.copy(FILE, host.path(PROGRAM))
    host.run("mkdir -p /run/own")
    for taken, variable, status in (
        ("/tmp /var/tmp", "A=1", 0),
        ("/tmp /var/tmp /dev/shm /run/own", "TMPDIR=/run/own", 0),  # /run is left
        ("/tmp /var/tmp /dev/shm /run", "TMPDIR=/var/lib/docker", 0),
        ("/tmp /var/tmp /dev/shm /run", "A=1", 3),
    ):
        entering = ["unshare", "-m", "sh", "-c", f"{UNMOUNTED} 2>/dev/null", "sh", taken, "env", variable]
        done = host.run([*entering, PROGRAM, "--version"], check=False)
        assert done.rc == status, taken
        assert done.stdout.splitlines() == ([host.doctor("--version").stdout.strip()] if status == 0 else []), taken
        refused = host.run([*entering, PROGRAM, "demo"], check=False)
        assert ("set TMPDIR to a directory" in refused.stderr, refused.stderr.count("\n")) == (status == 3, status // 3), taken


@pytest.mark.long
@needs_file
def test_the_image_says_what_the_installed_tool_says(host: Host) -> None:
    """Built on a base that holds iptables and nft, so that the Dockerfile installs nothing; started by the documented line."""
    for command in SETUP:
        host.run(command)
    host.run(f"tar -C {packages.root('bookworm')} --exclude=./var/cache -c . | docker import - base", timeout=300)
    context = host.path("/run/context")
    (context / "dist").mkdir(parents=True)
    shutil.copy(REPOSITORY / "Dockerfile", context)
    shutil.copy(FILE, context / "dist")
    host.run("DOCKER_BUILDKIT=0 docker build -t dockernet-doctor --build-arg BASE=base /run/context", timeout=300)
    line = f"docker run --rm {' '.join(OPTIONS)} dockernet-doctor"
    assert line in (REPOSITORY / "docs/install.md").read_text(encoding="utf-8")
    plain = _said(host.doctor("check --format json"))
    assert _said(_doctor(host, f"{line} check --format json")) == plain
    for option in OPTIONS:
        without = _doctor(host, f"{line.replace(f'{option} ', '', 1)} check --format json")
        spots = without.report["blind_spots"]
        assert [spot["area"] for spot in spots if spot["why"].endswith(f"was started without {option}")] != [], option
        if option == OPTION:
            assert without.findings == []
        else:
            assert {finding["id"] for finding in without.findings} <= {id_ for id_, *_ in plain["findings"]}, option


@pytest.mark.long
@needs_file
def test_the_file_goes_over_a_real_ssh_and_leaves_nothing(lab: Lab) -> None:
    host = lab.host()
    for command in SETUP:
        host.run(command)
    tree = packages.unpacked("sshd")
    host.run(SSHD.format(tree=tree), env={"PATH": f"{tree}/usr/bin:{host.environment['PATH']}"})
    client = lab.machine("client", trees=[tree])
    client.write("/etc/ssh/ssh_config", SSH)
    client.write("/run/key", host.read("/run/key"), mode=0o600)
    shutil.copy(FILE, client.path(THERE))
    url = f"ssh://root@{host.address}"
    assert "not installed there" in client.run([THERE, "collect", "-H", url, "/run/h.bundle"], check=False).stderr
    client.run([THERE, "collect", "-H", url, "--send", "/run/h.bundle"])
    assert "localhost-means-container" in client.run([THERE, "check", "--bundle", "/run/h.bundle"], check=False).stdout
    assert host.run("ls -A /tmp").stdout == ""
    stopped = client.popen([THERE, "collect", "-H", url, "--send", "/run/i.bundle"])
    host.wait("ls /tmp/*/dockernet-doctor", 20, "the file is there")
    client.run("pkill -INT dockernet-docto")  # 15 bytes of a name are kept
    assert stopped.wait(20) != 0
    host.wait('[ -z "$(ls -A /tmp)" ] && ! pgrep -f "collect - --timeout"', 10, "nothing is left")
    assert client.run("ls /run/*.bundle").stdout == "/run/h.bundle\n"


def _compared(host: Host, entering: list[str]) -> None:
    """Asks the installed tool and the single file the same, and compares what they say."""
    for command in SETUP:
        host.run(command)
    shutil.copy(FILE, host.path(THERE))
    for words in ("check", "reach host db:5432", "reach outside web:80", "ports", "map"):
        asked = [*words.split(), "--format", "json"]
        done = host.run([*entering, THERE, *asked], check=False)
        assert _said(Doctor(done.rc, done.stdout, done.stderr)) == _said(host.doctor(asked)), words
    host.run([*entering, THERE, "collect", "/run/h.bundle"])
    replayed = host.doctor("check --format json --bundle /run/h.bundle")
    assert "localhost-means-container" in replayed.causes


def _doctor(host: Host, command: str) -> Doctor:
    done = host.run(command, check=False)
    return Doctor(done.rc, done.stdout, done.stderr)


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
