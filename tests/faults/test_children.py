"""Programs that the doctor starts: they hang, flood, fail, print binary, cannot be started. There is a report all the same."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import pytest

from .engine import but, engine, well
from .program import DOCTOR, fake, patiently, python, run

FAULTS = {
    "hangs": "exec sleep 600",
    "hangs and heeds no signal": "trap '' TERM INT HUP\nwhile :; do sleep 600; done",
    "computes": "while :; do :; done",
    "leaves a child": "sleep 600 &\nexec sleep 600",
    "floods": "exec yes",
    "floods with one line": "exec tr '\\0' x < /dev/zero",
    "floods with nothing": "exec cat /dev/zero",
    "floods its errors": "yes >&2",
    "fails": "echo 'it does not work' >&2\nexit 1",
    "fails without a word": "exit 77",
    "fails in binary": "head -c 1000 /dev/urandom >&2\nexit 1",
    "fails after half of it": "printf '*filter\\n:INPUT ACC'\nexit 4",
    "is killed": "kill -9 $$",
    "ends by SIGPIPE": "kill -13 $$",
    "prints nothing": "exit 0",
    "prints binary": "head -c 100000 /dev/urandom",
    "prints every byte": "awk 'BEGIN { for (n = 0; n < 256; n++) printf \"%c\", n }'",
    "prints deep JSON": "printf '%100000s' | tr ' ' '['",
    "prints JSON of something else": 'echo \'{"nftables": {"rule": [null]}, "MESSAGE": [1e400]}\'',
    "prints what terminals obey": "printf '\\033[2J\\033]0;x\\007\\r\\n'",
    "prints a table without end": "printf '*filter\\n'; yes -- '-A INPUT -j' | head -100000",
    "closes what it prints to": "exec >&- 2>&-\nsleep 600",
    "is no program": None,
    "is another machine's": None,
    "has no such interpreter": None,
    "is a folder": None,
}
PROGRAMS = ("iptables-nft-save", "ip6tables-nft-save", "nft", "ipset", "journalctl", "systemctl")
NOT_STARTED = {
    "is no program": "no program\n",
    "is another machine's": "\x7fELF\x02\x01\x01",
    "has no such interpreter": "#!/no/such\n",
}


def faulty(folder: Path, name: str, fault: str) -> dict[str, str]:
    script = FAULTS[fault]
    environment = fake(folder, name, f": > {folder}/started\n{script}")
    if script is None:
        (folder / name).unlink()
        if fault == "is a folder":
            (folder / name).mkdir()
        else:
            (folder / name).write_text(NOT_STARTED[fault])
            (folder / name).chmod(0o755)
    return environment


# A network namespace with rules of both kinds and a set, in which the daemon's socket is at its usual place.
HOST = """
ip link set lo up
ipset create few hash:ip
iptables-nft -A INPUT -m set --match-set few src -j DROP
ip6tables-nft -A INPUT -j ACCEPT
nft add table inet other
mount -t tmpfs none /run
ln -s {socket} /run/docker.sock
PATH={path} exec "$@"
"""


@cache
def _host_can_be_made() -> bool:
    script = HOST.format(socket="/dev/null", path="/usr/bin:/bin")
    return os.geteuid() == 0 and run(["unshare", "-mn", "sh", "-ec", script, "sh", "true"]).status == 0


@pytest.mark.fault
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_of_this_machine(name: str, fault: str, tmp_path: Path) -> None:
    if not _host_can_be_made():
        pytest.skip("takes root, unshare, ip, iptables-nft, nft and ipset")
    environment = faulty(tmp_path, name, fault)
    script = HOST.format(socket=tmp_path / "docker.sock", path=environment["PATH"])

    def attempt(timeout: float) -> None:
        command = [*DOCTOR, "check", "-H", "unix:///run/docker.sock", "--timeout", f"{timeout:g}", "--format", "json"]
        with engine("unix", tmp_path, but("", well)) as url:
            assert url.endswith(str(tmp_path / "docker.sock"))
            done = run(["unshare", "-mn", "sh", "-ec", script, "sh", *command])
        report = done.report()
        assert (done.stderr, done.status in (0, 1, 3)) == (b"", True)
        assert report["hosts"][0]["engine"] is not None
        assert report["duration_s"] < timeout + 1 + done.starved_s
        assert (tmp_path / "started").exists() is (FAULTS[fault] is not None)

    patiently(attempt)


@pytest.mark.fault
@pytest.mark.parametrize("fault", FAULTS)
def test_an_ssh(fault: str, tmp_path: Path) -> None:
    environment = faulty(tmp_path, "ssh", fault)
    if fault == "is a folder":
        environment["PATH"] = str(tmp_path)

    def attempt(timeout: float) -> None:
        command = [*DOCTOR, "check", "-H", "ssh://host", "--timeout", f"{timeout:g}", "--format", "json"]
        done = run(command, env=environment)
        report = done.report()
        assert (done.stderr, done.status, report["hosts"][0]["engine"]) == (b"", 3, None)
        assert any("ssh://host" in spot["what"] for spot in report["blind_spots"])
        assert report["duration_s"] < timeout + 1 + done.starved_s

    patiently(attempt)


@pytest.mark.fault
@pytest.mark.parametrize("asked", ["check", "check -H ssh://host", "ports", "reach api db:5432", "map --format json"])
def test_no_program_is_there_at_all(asked: str, tmp_path: Path) -> None:
    program = python("from dockernet_doctor.snapshot import programs\nprograms.SEARCH_PATH = ''")

    def attempt(timeout: float) -> None:
        with engine("unix", tmp_path, but("", well)) as url:
            environment = {**os.environ, "PATH": str(tmp_path), "DOCKER_HOST": url}
            done = run([*program, *asked.split(), "--timeout", f"{timeout:g}", "--format", "json"], env=environment)
        assert (done.stderr, done.status in (0, 1, 3), done.stdout[:1]) == (b"", True, b"{")

    patiently(attempt)
