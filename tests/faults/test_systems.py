"""A system, an environment or a configuration that lacks what others have: there is a report, or one line."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from .engine import RUNS, attempt_of
from .program import patiently

_MOUNTED = 'mount -t tmpfs -o ro none {}; exec "$@"'
SYSTEMS = {
    "no /proc": _MOUNTED.format("/proc"),
    "no /sys": _MOUNTED.format("/sys"),
    "no /run": _MOUNTED.format("/run"),
    "no /etc": _MOUNTED.format("/etc"),
    "no /dev/null": _MOUNTED.format("/dev"),
    "no /var": _MOUNTED.format("/var"),
    "a read-only root": 'mount -o remount,bind,ro / && exec "$@"',
    "hidden processes": 'mount -t proc -o hidepid=2 proc /proc && exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"',
    "a user without a name": 'exec setpriv --reuid 54321 --regid 54321 --clear-groups "$@"',
    "root without a capability": 'exec setpriv --bounding-set -all --inh-caps -all "$@"',
    "a folder that is gone": 'mkdir /tmp/gone.$$ && cd /tmp/gone.$$ && rmdir /tmp/gone.$$ && exec "$@"',
    "no network but lo": 'exec unshare -n "$@"',
    "another pid namespace": 'exec unshare -pf --mount-proc "$@"',
}


def _may_mount() -> bool:
    return bool(
        shutil.which("unshare") and subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode == 0
    )


@pytest.mark.fault
@pytest.mark.parametrize("asked", RUNS)
@pytest.mark.parametrize("system", SYSTEMS)
def test_systems_that_lack_something(system: str, asked: str, tmp_path: Path) -> None:
    if os.geteuid() != 0 or not _may_mount():
        pytest.skip("only root mounts")
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    before = ("unshare", "-m", "sh", "-c", SYSTEMS[system], "sh")
    patiently(lambda timeout: attempt_of(asked, timeout, tmp_path, before))


ENVIRONMENTS = {
    "HOME": ("", "/nonexistent", "/dev/null", "/proc", "\udcff", "relative", "~"),
    "TMPDIR": ("", "/nonexistent", "/dev/null"),
    "PATH": ("", "/nonexistent", ":", "\udcff", "." * 5000),
    "LC_ALL": ("", "C", "POSIX", "xx_YY.nothing", "de_DE.ISO-8859-1"),
    "TZ": ("", "Nowhere/Nothing", ":/dev/zero", "\udcff"),
    "TERM": ("", "dumb", "\udcff"),
    "COLUMNS": ("", "0", "-1", "x", "9" * 100),
    "PYTHONIOENCODING": ("ascii", "latin1", "utf-16"),
    "PYTHONUTF8": ("0",),
    "DOCKER_HOST": (
        "",
        "x",
        "tcp://",
        "unix://",
        "tcp://[::1",
        "ssh://",
        "http://\udcff",
        "tcp://a:99999",
        "fd://",
        "a" * 100_000,
    ),
    "DOCKER_CONFIG": ("", "/nonexistent", "/dev/null", "/proc/self", "\udcff"),
    "DOCKER_CONTEXT": ("", "no-such", "../../etc", "\udcff", "a" * 10_000),
    "DOCKER_TLS_VERIFY": ("", "1", "x"),
    "DOCKER_CERT_PATH": ("", "/nonexistent", "/dev/null"),
    "DOCKER_API_VERSION": ("", "x", "0.0", "9" * 5000),
    "NO_COLOR": ("", "1"),
    "HTTP_PROXY": ("x", "http://127.0.0.1:1"),
}


@pytest.mark.fault
@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param(name, value, id=f"{name}-{number}")
        for name, values in ENVIRONMENTS.items()
        for number, value in enumerate(values)
    ],
)
def test_environments(name: str, value: str, tmp_path: Path) -> None:
    asked = "check" if name.startswith("DOCKER_") else "check -H tcp"

    def attempt(timeout: float) -> None:
        attempt_of(asked, timeout, tmp_path, env={**os.environ, name: value})

    patiently(attempt)


CONFIGURATIONS = (
    b"",
    b"\xff\xfe",
    b"[" * 100_000,
    b"null",
    b"[]",
    b'{"currentContext": 1}',
    b'{"currentContext": "a/b"}',
    b'{"proxies": [1], "credHelpers": 7, "currentContext": null}',
    None,  # a pipe that nobody writes to
)


@pytest.mark.fault
@pytest.mark.parametrize("content", CONFIGURATIONS, ids=range(len(CONFIGURATIONS)))
@pytest.mark.parametrize("file", ["config.json", "contexts/meta/x/meta.json"])
def test_configurations_of_the_client(file: str, content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is None:
        os.mkfifo(path)
    else:
        path.write_bytes(content)
    patiently(lambda timeout: attempt_of("check", timeout, tmp_path, env={**os.environ, "DOCKER_CONFIG": str(tmp_path)}))
