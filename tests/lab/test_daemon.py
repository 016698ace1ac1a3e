"""The daemon and its configuration: why it is down, hangs, or is not what its files say, on real daemons."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest

from tests.lab.case import FaultCase, faults, prove
from tests.lab.host import UNIT, Doctor, Host, Lab
from tests.lab.packages import ENGINES

DROP_INS = "/etc/systemd/system/docker.service.d"
ENDS = ("oldest", "newest")

_hosts: dict[str, Host] = {}


@pytest.fixture(scope="module")
def service_lab(able: None) -> Iterator[Lab]:
    """A lab of its own: these tests change unit files and stop daemons."""
    with Lab() as lab:
        yield lab
    _hosts.clear()


@pytest.fixture
def host(engine: str, service_lab: Lab) -> Host:
    """The engine's host, its daemon running from the files it had at first."""
    if engine not in _hosts:
        _hosts[engine] = service_lab.host(engine, engine)
    host = _hosts[engine]
    host.run(
        f"rm -rf /etc/docker/daemon.json* {DROP_INS} /etc/default/docker*; mv -f /run/docker.pid.stale /run/old 2>/dev/null; :"
    )
    host.write_unit()
    # started anew each time: what the last test left in the log and on the command line is gone
    host.run("systemctl stop docker; rm -f /run/docker.pid; : > /var/log/docker.log; systemctl start docker")
    host.run("docker ps -aq | xargs -r docker rm -f")
    return host


def config(text: str) -> Callable[[Host], object]:
    """Write daemon.json and restart; the daemon may refuse."""

    def apply(host: Host) -> None:
        host.write("/etc/docker/daemon.json", text)
        host.restart_daemon(check=False)

    return apply


def unit(*flags: str) -> Callable[[Host], object]:
    """Start with these flags; the daemon may refuse."""

    def apply(host: Host) -> None:
        host.write_unit(*flags)
        host.restart_daemon(check=False)

    return apply


def drop_in(text: str, then: str = "systemctl daemon-reload; systemctl restart docker || true") -> Callable[[Host], object]:
    def apply(host: Host) -> None:
        host.write(f"{DROP_INS}/site.conf", text)
        host.run(then)

    return apply


def says(*words: str, status: int = 3) -> Callable[[Host, Doctor], object]:
    """The first line holds these words, and the exit status is this."""

    def verify(host: Host, answer: Doctor) -> None:
        summary = answer.findings[0]["summary"]
        assert all(word in summary for word in words), summary
        assert answer.status == status

    return verify


DOWN = "docker version"
DAEMON_JSON = "/etc/docker/daemon.json"
HAS_MTU = 'docker network inspect bridge | grep \'"com.docker.network.driver.mtu": "1400"\''


def defaults_unread(host: Host) -> None:
    host.run(f"sed -i /EnvironmentFile/d {UNIT} && systemctl daemon-reload")
    host.write("/etc/default/docker", 'DOCKER_OPTS="--mtu 1400"\n')
    host.restart_daemon()


def flag_and_file(host: Host) -> None:
    host.write_unit("--mtu", "1400")
    config('{"mtu": 1500}\n')(host)


CASES = [
    FaultCase(
        cause="daemon-not-running", name="stopped", healthy="", broken="systemctl stop docker", symptom=DOWN,
        replay=False, verify=says("is not running: it was stopped"), engines=("middle",),
    ),
    FaultCase(
        cause="daemon-not-running", name="unknown-flag", healthy="", broken=unit("--icx=false"), symptom=DOWN,
        replay=False, verify=says("unknown flag: --icx"), engines=ENDS,
    ),
    FaultCase(
        cause="daemon-not-running", name="stale-pid-file", healthy="",
        broken="systemctl stop docker; sleep 300 >/dev/null 2>&1 & echo $! > /run/docker.pid; systemctl start docker || true",
        symptom=DOWN, replay=False, verify=says("pid"), engines=ENDS,
    ),
    FaultCase(
        cause="daemon-not-running", name="masked", healthy="",
        broken="systemctl stop docker; systemctl mask docker; systemctl start docker || true",
        symptom=DOWN, replay=False, verify=says("masked"), engines=("middle",),
    ),
    FaultCase(
        cause="daemon-not-running", name="socket-removed", healthy="", broken="rm /run/docker.sock", symptom=DOWN,
        replay=False, verify=says("socket file was removed"), engines=("newest",),
    ),
    FaultCase(
        cause="daemon-config-invalid", name="trailing-comma", healthy="", broken=config('{\n  "mtu": 1400,\n}\n'), symptom=DOWN,
        replay=False, verify=says("line 2, column 14", "comma"), engines=ENDS,
    ),
    FaultCase(
        cause="daemon-config-invalid", name="wrong-type", healthy="", broken=config('{"dns": "10.0.0.1", "icc": "true"}\n'),
        symptom=DOWN, replay=False, verify=says("dns must be a list of strings"), engines=("newest",),
    ),
    FaultCase(
        cause="daemon-config-invalid", name="unknown-key", healthy="", broken=config('{"insecure_registries": ["r:5000"]}\n'),
        symptom=DOWN, replay=False, verify=says("insecure-registries?"), engines=("middle",),
    ),
    FaultCase(
        cause="daemon-config-invalid", name="ignored-key", healthy="", broken=config('{"label": ["a=b"]}\n'),
        symptom=f"test ! -e {DAEMON_JSON} || docker info -f '{{{{.Labels}}}}' | grep a=b", replay=False,
        verify=says("the key is labels", status=0), engines=("newest",),
    ),
    FaultCase(
        cause="daemon-config-invalid", name="flag-and-file", healthy="",
        broken=flag_and_file,
        symptom=DOWN, replay=False, verify=says("both a flag", "1500"), engines=("oldest",),
    ),
    FaultCase(
        cause="daemon-config-invalid", name="refused-value", healthy="", broken=config('{"dns": ["nowhere"]}\n'), symptom=DOWN,
        replay=False, verify=says("nowhere"), engines=("newest",),
    ),
    FaultCase(
        cause="config-not-applied", name="drop-in-without-reset", healthy="",
        broken=drop_in("[Service]\nExecStart=/usr/sbin/dockerd --mtu 1400\n"), symptom=DOWN, replay=False,
        verify=says("without clearing", "site.conf"), engines=("middle",),
    ),
    FaultCase(
        cause="config-not-applied", name="not-restarted", healthy="",
        broken=lambda host: host.write_unit("--mtu", "1400"),
        symptom="test $(grep -c -- --mtu /usr/lib/systemd/system/docker.service) = "
        "$(tr '\\0' ' ' </proc/$(cat /run/docker.pid)/cmdline | grep -c -- --mtu)",
        verify=says("mtu", status=1), engines=("newest",),
    ),
    FaultCase(
        cause="config-not-applied", name="json-not-restarted", healthy="",
        broken=lambda host: host.write(DAEMON_JSON, '{"mtu": 1400}\n'),
        symptom=f"test ! -e {DAEMON_JSON} || {HAS_MTU}",
        verify=says("was edited after", "mtu", status=1), engines=ENDS,
    ),
    FaultCase(
        cause="config-not-applied", name="defaults-not-read", healthy="",
        broken=defaults_unread,
        symptom=f"test ! -e /etc/default/docker || {HAS_MTU}",
        verify=says("does not read that file", status=0), engines=("middle",),
    ),
    FaultCase(
        cause="config-file-no-newline", healthy="", broken=drop_in("[Service]\nEnvironment=A=1"),
        symptom=f"test ! -e {DROP_INS}/site.conf || [ -z \"$(tail -c 1 {DROP_INS}/site.conf)\" ]",
        verify=says("site.conf does not end with a newline", status=0), engines=("newest",),
    ),
    FaultCase(
        cause="daemon-api-exposed", healthy="",
        broken=unit("-H", "unix:///var/run/docker.sock", "-H", "tcp://0.0.0.0:2375", "--tls=false"),
        symptom="! curl -fsS -m 3 http://$HOST:2375/_ping", vantage="neighbour",
        verify=says("tcp://0.0.0.0:2375", status=0), engines=("middle",),
    ),
    FaultCase(
        cause="api-version-too-old", healthy="docker run -d --name old net-test",
        broken="docker rm -f old; docker run --name old net-test sh -c "
        "'echo client version 1.12 is too old. Minimum supported API version is 1.24; exit 1' || true",
        symptom="docker inspect -f '{{.State.Running}}' old | grep -q true", check="listed", fix=False, engines=("newest",),
    ),
]  # fmt: skip


@faults(CASES)
def test_daemon(host: Host, case: FaultCase) -> None:
    prove(host, case)


@pytest.mark.parametrize("engine", ["middle"], indirect=True)
def test_wrong_daemon(host: Host) -> None:
    """Article rule 44: the client is pointed elsewhere, and the container "vanishes"."""
    host.docker("run -d --name web net-test")
    assert host.ok("docker inspect web")
    elsewhere = {"DOCKER_HOST": "tcp://127.0.0.1:2399"}
    assert host.run("docker inspect web", check=False, env=elsewhere).rc != 0
    answer = host.doctor("check web --format json", env=elsewhere)
    assert answer.status == 3
    assert answer.causes[0] == "wrong-daemon"
    assert "web runs on unix:///var/run/docker.sock" in answer.findings[0]["summary"]
    here = host.doctor("check web --format json")
    assert "wrong-daemon" not in here.causes


@pytest.mark.parametrize("engine", ["newest"], indirect=True)
def test_permission_denied(host: Host) -> None:
    """As a user without right to the socket: named, and the files are read all the same."""
    without = ",".join(f"-{right}" for right in ("dac_override", "dac_read_search"))
    fewer = ("setpriv", f"--bounding-set={without}", f"--inh-caps={without}")  # root, as far as files are concerned no longer
    host.run("chown 1:1 /run/docker.sock && chmod 600 /run/docker.sock")
    try:
        assert "permission denied" in host.run([*fewer, "docker", "version"], check=False).output
        answer = host.doctor("check --format json", prefix=fewer)
        assert answer.status == 3
        assert answer.causes[0] == "daemon-permission-denied"
    finally:
        host.run("chown 0:0 /run/docker.sock && chmod 660 /run/docker.sock")


@pytest.mark.parametrize("engine", ENGINES, indirect=True)
def test_a_daemon_that_accepts_and_never_answers(host: Host) -> None:
    """Stopped by a signal, its socket still takes connections: named within the time given, exit 3; its fix brings it back."""
    assert host.healthy
    host.run("kill -STOP $(cat /run/docker.pid)")
    try:
        assert not host.ok("timeout 3 docker version")
        for question in ("check", "reach host web:80"):
            started = time.monotonic()
            answer = host.doctor(f"{question} --timeout 5s --format json")
            assert time.monotonic() - started < 8
            assert (answer.status, answer.causes[:1]) == (3, ["daemon-not-responding"])
    finally:
        host.run("kill -CONT $(cat /run/docker.pid)")
    for command in answer.findings[0]["fixes"][0]["commands"]:
        host.run(command)
    assert host.doctor("check --format json").status == 0


def test_a_daemon_that_does_not_start_behind_systemd_s_socket(service_lab: Lab) -> None:
    """The socket takes connections and nobody is there: no hanging daemon."""
    host = service_lab.host("newest", "activated", socket_activated=True)
    assert host.doctor("check --format json").causes == []
    drop_in("[Service]\nExecStart=\nExecStart=/usr/bin/dockred -H fd://\n")(host)
    assert host.run("timeout 3 docker version", check=False).rc == 124
    answer = host.doctor("check --timeout 10s --format json")
    assert (answer.status, answer.causes) == (3, ["daemon-not-running"])
    assert "/usr/bin/dockred: No such file" in answer.findings[0]["summary"]
    for command in answer.findings[0]["fixes"][0]["commands"]:
        host.run(command)
    assert host.doctor("check --format json").status == 0


def test_bundle_of_a_dead_daemon_says_why(service_lab: Lab) -> None:
    """What is collected while the daemon is down gives the same first finding elsewhere."""
    host = _hosts.setdefault("middle", _hosts.get("middle") or service_lab.host("middle", "middle"))
    config('{"mtu": "1400"}\n')(host)
    live = host.doctor("check --format json")
    for question in ("check web --format json", "reach host web:80 --format json"):
        asked = host.doctor(question)
        assert (asked.status, asked.causes[:1]) == (3, ["daemon-config-invalid"]), question
    host.doctor("collect /run/home/dead")
    read = host.doctor("check --bundle /run/home/dead --format json")
    assert [f["id"] for f in read.findings] == [f["id"] for f in live.findings]
    assert read.status == live.status == 3
    assert json.dumps(read.findings[0]["fixes"][0]["commands"]).count("1400") == 1
