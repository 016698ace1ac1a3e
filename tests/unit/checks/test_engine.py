"""Checks of the daemon and of overlay networks on snapshots that the lab cannot make, and their silence on healthy ones."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from typing import Any

import pytest
from dockernet_doctor_checks.engine import (
    api_version_too_old,
    config_file_no_newline,
    config_not_applied,
    daemon_api_exposed,
    daemon_config_invalid,
    daemon_not_responding,
    daemon_not_running,
    daemon_permission_denied,
    desktop_vm,
    rootless_daemon,
    wrong_daemon,
)
from dockernet_doctor_checks.overlay import (
    cluster_store_unreachable,
    overlay_port_blocked,
    swarm_advertise_wrong,
    swarm_inactive,
)
from msgspec.structs import replace

from dockernet_doctor.plugin import Case, Check, Finding, model

CHECKS = [
    config_file_no_newline.check,
    config_not_applied.check,
    daemon_api_exposed.check,
    daemon_config_invalid.check,
    daemon_not_running.check,
    daemon_permission_denied.check,
    desktop_vm.check,
    rootless_daemon.check,
    cluster_store_unreachable.check,
    overlay_port_blocked.check,
    swarm_advertise_wrong.check,
]
UNIT = """\
[Service]
Type=notify
ExecStart=/usr/bin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock
"""
ARGUMENTS = ("/usr/bin/dockerd", "-H", "fd://", "--containerd=/run/containerd/containerd.sock")
STARTED = "2026-01-02T00:00:00.000000Z"


def snapshot(
    *,
    arguments: tuple[str, ...] = ARGUMENTS,
    files: tuple[model.TextFile, ...] = (),
    log: tuple[model.LogLine, ...] = (),
    engine: model.Engine | None = None,
    problem: model.EngineProblem | None = None,
    **more: Any,
) -> model.Snapshot:
    unit = model.TextFile(
        path="/usr/lib/systemd/system/docker.service", kind="unit", text=UNIT, modified_at="2026-01-01T00:00:00Z"
    )
    daemon = model.Daemon(
        pid=None if problem else 7, started_at=STARTED, arguments=() if problem else arguments, files=(unit, *files), log=log,
        readable=True, service_state="failed" if problem else "active",
    )  # fmt: skip
    address = model.Address(link="eth0", address="10.0.0.5", prefix=24, family=4)
    return model.Snapshot(
        name="h1",
        taken_at="2026-01-03T00:00:00Z",
        endpoint="unix:///var/run/docker.sock",
        engine=None if problem else engine or model.Engine(version="28.5.2", name="h1"),
        problem=problem,
        host=model.Host(stack=model.NetworkStack(addresses=(address,))),
        daemon=daemon,
        **more,
    )


def found(check: Check, host: model.Snapshot) -> list[Finding]:
    assert check.find
    return list(check.find(Case.of([host])))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.cause)
def test_silent_on_a_healthy_host(check: Check) -> None:
    swarm = model.Swarm(state="active", node_address="10.0.0.5", manager=True, managers=1, nodes=1)
    file = model.TextFile(
        path="/etc/docker/daemon.json", kind="daemon.json", text='{"mtu": 1500}', final_newline=False, modified_at=STARTED
    )
    healthy = snapshot(files=(file,), engine=model.Engine(version="28.5.2", name="h1", swarm=swarm))
    assert found(check, healthy) == []


@pytest.mark.parametrize(
    ("detail", "summary"),
    [
        ("no right to connect to unix:///var/run/docker.sock", "This user may not open"),
        ("HTTP 403: Forbidden", "What listens at unix:///var/run/docker.sock refuses to say what runs there"),
    ],
)
def test_no_right_to_the_socket_or_to_ask(detail: str, summary: str) -> None:
    problem = model.EngineProblem(kind="permission", detail=detail)
    (finding,) = found(daemon_permission_denied.check, snapshot(problem=problem))
    assert finding.summary.startswith(summary)
    assert bool(finding.fixes[0].commands) is detail.startswith("no right")


def test_rootless_is_worth_knowing() -> None:
    engine = model.Engine(version="28.5.2", name="h1", rootless=True, security_options=("name=rootless",))
    assert [f.severity for f in found(rootless_daemon.check, snapshot(engine=engine))] == ["info"]


@pytest.mark.parametrize(
    ("system", "name", "kernel", "product", "outside"),
    [
        ("Docker Desktop", "docker-desktop", "6.10.14-linuxkit", "of Docker Desktop", "the Mac or PC that it runs on"),
        ("Docker Desktop", "docker-desktop", "5.15.167.4-microsoft-standard-WSL2", "of Docker Desktop", "Windows"),
        ("Ubuntu 24.04.1 LTS", "colima", "6.8.0-50-generic", "of Colima", "the Mac"),
        ("Ubuntu 24.04.1 LTS", "colima-work", "6.8.0-50-generic", "of Colima", "the Mac"),
        ("Alpine Linux v3.20", "lima-rancher-desktop", "6.6.41-0-virt", "of Rancher Desktop", "the Mac or PC that it runs on"),
        ("Rancher Desktop WSL Distribution", "pc", "5.15.167.4-microsoft-standard-WSL2", "of Rancher Desktop", "Windows"),
        ("Ubuntu 22.04.5 LTS", "pc", "5.15.167.4-microsoft-standard-WSL2", "(WSL 2)", "Windows"),
        ("OrbStack", "orbstack", "6.12.15-orbstack", "of OrbStack", "the Mac"),
    ],
)
def test_a_virtual_machine_is_worth_knowing(system: str, name: str, kernel: str, product: str, outside: str) -> None:
    engine = model.Engine(version="28.5.2", name=name, operating_system=system, kernel=kernel)
    (finding,) = found(desktop_vm.check, snapshot(engine=engine))
    assert finding.severity == "info"
    assert f"a virtual machine {product}" in finding.summary.replace("the virtual", "a virtual")
    assert finding.summary.endswith(f"not reachable from {outside}.")


@pytest.mark.parametrize(
    ("flags", "severities"),
    [
        (("-H", "tcp://0.0.0.0:2375"), ["warning"]),
        (("-H", "tcp://127.0.0.1:2375"), ["info"]),
        (("-H", "tcp://0.0.0.0:2376", "--tlsverify"), []),
        (("-H", "tcp://0.0.0.0:2376", "--tls"), []),  # verifies, unless told not to: 20.10 to 28.5
        (("-H", "tcp://0.0.0.0:2376", "--tls", "--tlsverify=false"), ["warning"]),
        (("-H", "tcp://0.0.0.0:2376", "--tlsverify=false"), ["warning"]),
        (("-H", "tcp://0.0.0.0:2376", "--tls=false"), ["warning"]),
        (("-H", "tcp://0.0.0.0:2376", "--tlscert=/k/cert.pem", "--tlskey=/k/key.pem"), ["warning"]),
    ],
)
def test_exposed_api(flags: tuple[str, ...], severities: list[str]) -> None:
    assert [f.severity for f in found(daemon_api_exposed.check, snapshot(arguments=("dockerd", *flags)))] == severities


def test_a_public_address_behind_nat_is_only_possible() -> None:
    swarm = model.Swarm(state="active", node_address="203.0.113.9", manager=True, managers=1, nodes=2)
    (finding,) = found(swarm_advertise_wrong.check, snapshot(engine=model.Engine(version="28.5.2", swarm=swarm)))
    assert (finding.severity, finding.confidence) == ("warning", "possible")


@pytest.mark.parametrize(("said", "heard"), [("2026-01-02T23:00:00Z", True), ("2025-12-01T00:00:00Z", False)])
def test_an_old_client_that_asked_long_ago(said: str, *, heard: bool) -> None:
    text = "client version 1.24 is too old. Minimum supported API version is 1.44, please upgrade"
    log = (model.LogLine(text=f"Handler for GET /v1.24/info returned error: {text}", time=said),)
    assert bool(found(api_version_too_old.check, snapshot(log=log))) is heard


@pytest.mark.parametrize(("told", "refused"), [("1.41", True), ("1.44", False), ("1.52", False), ("", False), ("x", False)])
def test_a_shell_that_is_told_to_speak_an_old_version(told: str, *, refused: bool) -> None:
    client = model.Client(environment={"DOCKER_API_VERSION": told} if told else {})
    engine = model.Engine(version="29.0.0", name="h1", min_api_version="1.44")
    assert bool(found(api_version_too_old.check, snapshot(client=client, engine=engine))) is refused


def test_who_fails_in_tls_asks_the_daemon_that_was_meant() -> None:
    other = model.OtherDaemon(endpoint="unix:///var/run/docker.sock", origin="the local socket", containers=("web",))
    client = model.Client(chosen_by="DOCKER_HOST", others=(other,))
    problem = model.EngineProblem(kind="tls", detail="its certificate is not accepted (certificate has expired)")
    asked = snapshot(client=client, problem=problem)
    assert found(wrong_daemon.check, asked) == []
    (finding,) = found(daemon_not_responding.check, asked)
    assert finding.summary.endswith("cannot be queried: its certificate is not accepted (certificate has expired).")
    assert "unix:///var/run/docker.sock" in finding.fixes[0].summary
    assert found(
        wrong_daemon.check, snapshot(client=client, problem=model.EngineProblem(kind="refused", detail="nothing listens"))
    )


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [("POST /v1.41/networks/create", True), ("GET /v1.41/nodes", False), ("GET /v1.41/services?status=true", False)],
)
def test_a_tool_that_looks_whether_there_is_a_swarm_wants_none(asked: str, *, wanted: bool) -> None:
    said = model.LogLine(text=f'Handler for {asked} returned error: This node is not a swarm manager. Use "docker swarm init"')
    assert bool(found(swarm_inactive.check, snapshot(log=(said,)))) is wanted
    assert not found(swarm_inactive.check, snapshot(log=(replace(said, time="2025-12-01T00:00:00Z"),)))


@pytest.mark.parametrize(
    ("state", "said", "runs"),
    [("failed", "fatal", False), ("inactive", "info", False), ("activating", "fatal", False), ("activating", "info", True)],
)
def test_nobody_behind_the_socket_of_systemd(state: str, said: str, *, runs: bool) -> None:
    """It takes connections also for a daemon that does not start."""
    log = (model.LogLine(text="Failed to execute /usr/bin/dockred: No such file or directory", level=said),)
    down = snapshot(log=log, problem=model.EngineProblem(kind="timeout", detail="no answer"))
    down = replace(down, daemon=replace(down.daemon, pid=None, service_state=state))
    named = [check.cause for check in (daemon_not_running.check, daemon_not_responding.check) if found(check, down)]
    assert named == ["daemon-not-responding" if runs else "daemon-not-running"]


def test_an_old_failure_is_not_today_s() -> None:
    log = (
        model.LogLine(text="Status: unknown flag: --x", level="fatal"),
        model.LogLine(text="Starting up", level="info"),
        model.LogLine(text="Daemon has completed initialization", level="info"),
        model.LogLine(text="Processing signal 'terminated'", level="info"),
    )
    problem = model.EngineProblem(kind="refused", detail="nothing listens")
    (finding,) = found(daemon_not_running.check, snapshot(log=log, problem=problem))
    assert "it was stopped" in finding.summary


def test_a_broken_file_of_a_running_daemon_bites_at_the_next_start() -> None:
    """Unless the daemon started with it: 20.10 reads no further than the end of the object, and null is no option."""
    path, text = "/etc/docker/daemon.json", '{"mtu": 1500,}\n'
    file = model.TextFile(path=path, kind="daemon.json", text=text, modified_at=STARTED)
    assert found(daemon_config_invalid.check, snapshot(files=(file,))) == []
    file = model.TextFile(path=path, kind="daemon.json", text=text, modified_at="2026-01-02T01:00:00Z")
    (finding,) = found(daemon_config_invalid.check, snapshot(files=(file,)))
    assert finding.severity == "warning"
    assert "line 1, column 13" in finding.summary
    assert finding.fixes[0].runnable


DAEMON_JSON = "/etc/docker/daemon.json"
REFUSED = f"unable to configure the Docker daemon with file {DAEMON_JSON}: "
REFUSALS = [
    (DAEMON_JSON, "\ufeff{}", "invalid character 'ï' looking for beginning of value", "byte order mark", "'{}' >"),
    (DAEMON_JSON, None, "read /etc/docker/daemon.json: is a directory", "is a directory", "mv "),
    (DAEMON_JSON, '{"graph": "/d"}', "the following directives don't match any configuration option: graph", "graph", "'{}' >"),
    ("/etc/dockr.json", None, "open /etc/dockr.json: no such file or directory", "no such file", "--config-file"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "text", "reason", "words", "mended"), REFUSALS, ids=[r[3] for r in REFUSALS])
def test_what_only_the_daemon_knows_to_be_wrong(path: str, text: str | None, reason: str, words: str, mended: str) -> None:
    file = model.TextFile(path=path, kind="daemon.json", text=text or "", exists=text is not None)
    command = f"[Service]\nExecStart=\nExecStart=/usr/bin/dockerd --config-file={path}\n"
    drop_in = model.TextFile(path="/etc/systemd/system/docker.service.d/a.conf", kind="drop-in", text=command)
    line = model.LogLine(text=f"unable to configure the Docker daemon with file {path}: {reason}", level="fatal")
    problem = model.EngineProblem(kind="no-socket", detail="no such file")
    (finding,) = found(daemon_config_invalid.check, snapshot(problem=problem, log=(line,), files=(drop_in, file)))
    assert words in finding.summary
    assert finding.fixes[0].runnable
    assert mended in finding.fixes[0].commands[0]


WORDS = [
    ("bridge br-ours not found", "mtu", "bridge"),
    ("invalid default MTU: -1", "icc", "mtu"),
    ("specified default runtime 'nvidia' does not exist", "mtu", "default-runtime"),
    ("invalid max concurrent downloads: -1", "mtu", "max-concurrent-downloads"),
    ("could not construct local address space: pools must be in canonical form", "mtu", "default-address-pools"),
    ("failed to create NAT chain DOCKER: iptables not found", "iptables", None),
    ("insecure registry reg:5000/x is not valid: invalid host", "mtu", "insecure-registries"),
    ("You specified --iptables=false with --icc=false. ICC=false uses iptables to function.", "icc", "iptables"),
    ("discovery initialization failed (discovery.heartbeat must be positive)", "mtu", "cluster-store-opts"),
    (
        'discovery initialization failed (could not read CA certificate "/k/ca.pem": open /k/ca.pem)',
        "mtu",
        "cluster-store-opts",
    ),
    ("native.cgroupdriver option foo not supported", "mtu", "exec-opts"),
    ("You specified -b & --bip, mutually exclusive options.", "bip", "bridge"),
]


@pytest.mark.parametrize(("said", "beside", "key"), WORDS, ids=[said[:20] for said, *_ in WORDS])
def test_the_option_that_the_last_words_name_is_taken_out(said: str, beside: str, key: str | None) -> None:
    values = {
        "bridge": "br-ours",
        "mtu": -1,
        "default-runtime": "nvidia",
        "max-concurrent-downloads": -1,
        "default-address-pools": [],
    }
    values |= {"insecure-registries": ["http://reg:5000/x"], "iptables": False, "exec-opts": ["native.cgroupdriver=foo"]}
    values |= {"cluster-store-opts": {"kv.cacertfile": "/k/ca.pem", "discovery.heartbeat": "0"}}
    text = json.dumps({beside: 1400 if beside == "mtu" else True} | ({key: values[key]} if key else {}))
    file = model.TextFile(path=DAEMON_JSON, kind="daemon.json", text=text)
    problem = model.EngineProblem(kind="no-socket", detail="no such file")
    for check, before in ((daemon_not_running.check, ""), (daemon_config_invalid.check, REFUSED)):
        line = model.LogLine(text=f"{before}{said}", level="fatal")
        findings = found(check, snapshot(problem=problem, log=(line,), files=(file,)))
        fixes = [fix for finding in findings for fix in finding.fixes[:1]]
        assert fixes[0].runnable is (key is not None)
        assert key is None or f'"{key}"' in fixes[0].edits[0].diff.split("+{")[0]


FALLBACKS = [
    (
        'Could not load X509 key pair (cert: "/k/cert.pem", key: "/k/key.pem"): open /k/cert.pem: no such file or directory',
        "--tlsverify -H unix:///var/run/docker.sock --tlscacert=/k/ca.pem -H tcp://0.0.0.0:2376 --mtu 1400",
        "-H unix:///var/run/docker.sock --mtu 1400",
        {"tlsverify": True, "tlscacert": "/k/ca.pem", "mtu": 1400, "hosts": ["fd://", "tcp://0.0.0.0:2376"]},
        {"mtu": 1400, "hosts": ["fd://"]},
    ),
    (
        'failed to dial "/run/none/containerd.sock": context deadline exceeded',
        "--containerd=/run/none/containerd.sock",
        "",
        {"containerd": "/run/none/containerd.sock", "mtu": 1400},
        {"mtu": 1400},
    ),
]


@pytest.mark.parametrize(("said", "flags", "fewer", "keys", "kept"), FALLBACKS, ids=["tls", "containerd"])
def test_what_the_daemon_misses_it_can_do_without(
    said: str, flags: str, fewer: str, keys: dict[str, Any], kept: dict[str, Any]
) -> None:
    problem = model.EngineProblem(kind="no-socket", detail="no such file")
    log = (model.LogLine(text=f"failed to start daemon: {said}", level="fatal"),)
    file = model.TextFile(path=DAEMON_JSON, kind="daemon.json", text=json.dumps(keys))
    command = "[Service]\nExecStart=\nExecStart=/usr/bin/dockerd"
    reset = model.TextFile(path=DROP_IN, kind="drop-in", text=f"{command}\n")
    (finding,) = found(daemon_not_running.check, snapshot(problem=problem, log=log, files=(file, reset)))
    words = shlex.split(finding.fixes[0].commands[0])
    assert json.loads("".join(words[words.index(r"%s\n") + 1 : words.index(">")])) == kept
    own = f"{command} {flags}\n"
    drop_in = model.TextFile(path=DROP_IN, kind="drop-in", text=own)
    (finding,) = found(daemon_not_running.check, snapshot(problem=problem, log=log, files=(drop_in,)))
    if fewer:
        assert sed(finding.fixes[0].commands[0], own) == f"{command} {fewer}\n"
    else:
        assert finding.fixes[0].commands[0] == "systemctl start containerd"


def test_of_a_list_only_the_entry_that_is_named_goes() -> None:
    file = model.TextFile(path=DAEMON_JSON, kind="daemon.json", text='{"dns": ["10.0.0.1", "nowhere"]}')
    line = model.LogLine(text=f"{REFUSED}nowhere is not an ip address", level="fatal")
    problem = model.EngineProblem(kind="no-socket", detail="no such file")
    (finding,) = found(daemon_config_invalid.check, snapshot(problem=problem, log=(line,), files=(file,)))
    assert finding.fixes[0].summary == "Remove nowhere from dns."


CONTROLLER = "failed to start daemon: Error initializing network controller: "
LATE = [
    ('{"bip": "10.5.0.0/24"}', "failed to allocate gateway (10.5.0.0): Address already in use", '"bip": "10.5.0.1/24"'),
    ('{"bip": "10.5.0.1"}', "invalid CIDR address: 10.5.0.1", "+{}"),
    ('{"ipv6": true}', "IPv6 is enabled for the default bridge, but no subnet is configured.", "fd00:d0c::/64"),
    ('{"default-address-pools": [{"base": "10.1.0.0/16", "size": 8}]}', "invalid pools size: 8", '"size": 24'),
    ('{"default-gateway": "10.9.0.2"}', "(DefaultGatewayIPv4:10.9.0.2) must belong to the master pool: 10.5.0.0/24.", "+{}"),
    ('{"bip": "10.5.0.1/24"}', "could not find an available, non-overlapping IPv4 address pool", ""),
    ('{"bip": "10.5.0.1/24"}', "failed to allocate gateway (10.6.0.0): Address already in use", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said", "mended"), LATE, ids=[said[:20] for _, said, _ in LATE])
def test_a_value_that_the_daemon_refuses_when_it_makes_its_networks(text: str, said: str, mended: str) -> None:
    file = model.TextFile(path=DAEMON_JSON, kind="daemon.json", text=text)
    line = model.LogLine(text=CONTROLLER + said, level="fatal")
    problem = model.EngineProblem(kind="no-socket", detail="no such file")
    findings = found(daemon_config_invalid.check, snapshot(problem=problem, log=(line,), files=(file,)))
    assert bool(findings) is bool(mended)
    assert all(finding.fixes[0].runnable and mended in finding.fixes[0].edits[0].diff for finding in findings)


def test_an_address_that_is_taken_is_left_to_who_has_it() -> None:
    problem = model.EngineProblem(kind="no-socket", detail="no such file")
    line = model.LogLine(
        text="failed to load listeners: listen tcp 127.0.0.1:2375: bind: address already in use", level="fatal"
    )
    for text, kept in (
        ('{"hosts": ["unix:///var/run/docker.sock", "tcp://127.0.0.1:2375"]}', True),
        ('{"hosts": ["tcp://127.0.0.1:2375"]}', False),
    ):
        file = model.TextFile(path=DAEMON_JSON, kind="daemon.json", text=text)
        command = "[Service]\nExecStart=\nExecStart=/usr/bin/dockerd\n"
        drop_in = model.TextFile(path="/etc/systemd/system/docker.service.d/a.conf", kind="drop-in", text=command)
        (finding,) = found(daemon_not_running.check, snapshot(problem=problem, log=(line,), files=(drop_in, file)))
        assert finding.fixes[0].runnable is kept


def test_a_file_is_not_at_fault_where_the_last_words_are_of_something_else() -> None:
    file = model.TextFile(path="/etc/docker/daemon.json", kind="daemon.json", text='{"restart": true}')
    line = model.LogLine(text="failed to start daemon: error initializing graphdriver: driver not supported", level="fatal")
    problem = model.EngineProblem(kind="no-socket", detail="no such file")
    assert found(daemon_config_invalid.check, snapshot(problem=problem, log=(line,), files=(file,))) == []


LOCAL = model.OtherDaemon(endpoint="unix:///var/run/docker.sock", origin="the local socket")
WITH_WEB = model.OtherDaemon(endpoint="unix:///var/run/docker.sock", origin="the local socket", containers=("web",))


@pytest.mark.parametrize(
    ("chosen_by", "others", "kind", "words"),
    [
        ("DOCKER_HOST", (WITH_WEB,), "refused", "has 1 container."),
        ("DOCKER_HOST", (LOCAL,), "refused", "has no containers."),
        ("DOCKER_HOST", (), "refused", None),
        ("--host", (WITH_WEB,), "refused", None),
        ("current context", (), "usage", "no such context."),
    ],
)
def test_the_daemon_that_was_chosen_does_not_answer(
    chosen_by: str, others: tuple[model.OtherDaemon, ...], kind: Any, words: str | None
) -> None:
    client = model.Client(chosen_by=chosen_by, others=others)
    problem = model.EngineProblem(kind=kind, detail="no such context")
    findings = found(wrong_daemon.check, snapshot(problem=problem, client=client))
    assert [f.summary.endswith(words or "?") for f in findings] == ([True] if words else [])


def test_a_second_daemon_is_not_the_service_s() -> None:
    arguments = ("dockerd", "-H", "unix:///run/two.sock", "--data-root", "/two")
    host = snapshot(arguments=arguments)
    assert len(found(config_not_applied.check, host)) == 1
    assert found(config_not_applied.check, replace(host, endpoint="unix:///run/two.sock")) == []


DROP_IN = "/etc/systemd/system/docker.service.d/site.conf"
RESET = "ExecStart=\nExecStart=/usr/bin/dockerd --mtu 1400"
NOT_READ = [
    (DROP_IN, "drop-in", f"[Unit]\n{RESET}\n", "stands in [Unit]"),
    (DROP_IN, "drop-in", f"{RESET}\n", "before any section"),
    (DROP_IN, "drop-in", "[Service]\nEnvironmentfile=/etc/docker/env\n", "is not spelt as systemd"),
    (DROP_IN.removesuffix(".conf"), "drop-in", f"[Service]\n{RESET}\n", "does not end in .conf"),
    ("/etc/docker/env", "environment", "export DOCKER_OPTS=--mtu=1400\n", "behind the word export"),
    ("/etc/docker/env", "environment", "OTHER_OPTS=--mtu=1400\n", "no ExecStart= of docker.service uses it"),
    ("/etc/default/docker", "defaults", "DOCKER_OPTS=--mtu=1400\n", "does not read that file"),
]


@pytest.mark.parametrize(("path", "kind", "text", "words"), NOT_READ, ids=[words for *_, words in NOT_READ])
def test_what_systemd_passes_over(path: str, kind: Any, text: str, words: str) -> None:
    reading = "[Service]\nEnvironmentFile=/etc/docker/env\n"
    read = model.TextFile(path=DROP_IN.replace("site", "env"), kind="drop-in", text=reading)
    (finding,) = found(config_not_applied.check, snapshot(files=(model.TextFile(path=path, kind=kind, text=text), read)))
    assert (finding.severity, words in finding.summary) == ("warning", True)


def test_what_systemd_reads_is_no_finding() -> None:
    drop_in = '[Unit]\nAfter=a.service\n[Service]\nEnvironmentFile=/etc/docker/env\nEnvironment="A=Restart=no" X=subType=1\n'
    drop_in += "ExecStartPre=/bin/sh -c 'echo Environment=1'\nPassEnvironment=HTTP_PROXY\n[Install]\n[X-Ours]\nEnvironment=A\n"
    files = (
        model.TextFile(path=DROP_IN, kind="drop-in", text=drop_in),
        model.TextFile(path=DROP_IN.removesuffix(".conf"), kind="drop-in", text="notes of ours\n"),
        model.TextFile(path="/etc/docker/env", kind="environment", text='A="--b=c" \nHTTP_PROXY=http://p:1\n#export B=1\n'),
    )
    assert found(config_not_applied.check, snapshot(files=files)) == []


def test_a_script_in_the_place_of_dockerd_may_read_any_file() -> None:
    unit = model.TextFile(path=DROP_IN, kind="drop-in", text="[Service]\nExecStart=\nExecStart=/usr/local/bin/start-docker\n")
    file = model.TextFile(path="/etc/default/docker", kind="defaults", text="DOCKER_OPTS=--mtu=1400\n")
    assert found(config_not_applied.check, snapshot(files=(unit, file))) == []


@pytest.mark.parametrize(
    ("path", "kind", "text", "line"),
    [
        (DROP_IN, "drop-in", f"[Service]\n{RESET}[Install]\nWantedBy=x\n", 3),
        (DROP_IN, "drop-in", "[Service]\nEnvironment=A=1Environment=B=2\n", 2),
        ("/etc/docker/env", "environment", 'OPTIONS="--mtu 1400"HTTP_PROXY=http://p:1\n', 1),
    ],
)
def test_lines_that_joined_for_want_of_a_newline(path: str, kind: Any, text: str, line: int) -> None:
    reading = "[Service]\nEnvironmentFile=/etc/docker/env\n"
    read = model.TextFile(path=DROP_IN.replace("site", "env"), kind="drop-in", text=reading)
    findings = found(config_not_applied.check, snapshot(files=(model.TextFile(path=path, kind=kind, text=text), read)))
    assert f"Line {line} of {path} is two lines in one" in findings[0].summary
    assert findings[0].fixes[0].commands[0].startswith("sed -i.before -E ")


def test_an_edited_option_that_the_engine_does_not_show_may_not_be_in_force() -> None:
    def edited(text: str, *log: str) -> list[tuple[str, str]]:
        file = model.TextFile(path=DAEMON_JSON, kind="daemon.json", text=text, modified_at="2026-01-02T01:00:00Z")
        lines = tuple(model.LogLine(text=line, level="info") for line in log)
        return [(f.severity, f.confidence) for f in found(config_not_applied.check, snapshot(files=(file,), log=lines))]

    assert edited('{"dns": ["10.0.0.1"]}') == [("info", "possible")]
    assert edited('{"labels": ["a=b"]}', "Reloaded configuration: {}") == []
    assert edited('{"default-address-pools": [{"base": "10.0.0.0/8", "size": 24}]}') == [("error", "proven")]


STATES = [
    ("/etc/systemd/system/docker.service", "unit", "", "its unit is masked", "systemctl unmask docker.service"),
    (
        DROP_IN,
        "drop-in",
        "[Service]\nExecStart=\n",
        "has no ExecStart=",
        f"printf '%s\\n' '[Service]' '{UNIT.splitlines()[-1]}' >> {DROP_IN}",
    ),
    (
        DROP_IN,
        "drop-in",
        "[Service]\nEnvironmentFile=/etc/default/no\n",
        "the environment file /etc/default/no",
        "mkdir -p /etc/default && touch /etc/default/no",
    ),
    (DROP_IN, "drop-in", "[Service]\nEnvironmentFile=-/etc/default/no\n", "was never started", "systemctl start docker"),
]


@pytest.mark.parametrize(("path", "kind", "text", "words", "command"), STATES, ids=[state[3] for state in STATES])
def test_why_a_service_was_not_even_started(path: str, kind: Any, text: str, words: str, command: str | None) -> None:
    problem = model.EngineProblem(kind="no-socket", detail="no such file")
    host = snapshot(problem=problem, files=(model.TextFile(path=path, kind=kind, text=text),))
    (finding,) = found(daemon_not_running.check, host)
    assert words in finding.summary
    assert finding.fixes[0].commands[:1] == ((command,) if command else ())


LISTENING = [
    ((), "API listen on /var/run/docker.sock", "socket file was removed", "systemctl restart docker"),
    (("-H", "fd://"), "API listen on /var/run/docker.sock", "socket file was removed", "systemctl stop docker"),
    (("-H", "unix:///var/run/dockr.sock"), "API listen on /var/run/dockr.sock", "it listens at unix:///var/run/dockr", "sed "),
    (("-H", "unix:///run/docker.sock"), "API listen on /run/docker.sock", "socket file was removed", "systemctl restart"),
    (("-H", "tcp://10.0.0.5:2375"), "API listen on 10.0.0.5:2375", "it listens at tcp://10.0.0.5:2375 only", "sed "),
    ((), "Starting up", "is still starting", ""),
]


@pytest.mark.parametrize(("flags", "said", "words", "command"), LISTENING)
def test_a_daemon_that_runs_and_has_no_socket(flags: tuple[str, ...], said: str, words: str, command: str) -> None:
    text = f"[Service]\nExecStart=\nExecStart=/usr/bin/dockerd {' '.join(flags)}\n"
    drop_in = model.TextFile(path=DROP_IN, kind="drop-in", text=text)
    line = model.LogLine(text=said, level="info")
    host = snapshot(arguments=("dockerd", *flags), files=(drop_in,), log=(line,))
    host = replace(host, engine=None, problem=model.EngineProblem(kind="no-socket", detail="no such file"))
    (finding,) = found(daemon_not_running.check, host)
    assert words in finding.summary
    assert "".join(finding.fixes[0].commands).startswith(command)
    assert finding.fixes[0].runnable is bool(command)


@pytest.mark.parametrize(
    "flag", ["-H tcp://[::]:2375", "-H 'tcp://[::]:2375'", "--host=tcp://0.0.0.0:2375", "-H 0.0.0.0:2375 -H :2376"]
)
def test_an_exposed_address_is_taken_out(flag: str) -> None:
    words = ("dockerd", "-H", "fd://", *shlex.split(flag))
    text = f"[Service]\nExecStart=\nExecStart=/usr/bin/dockerd -H fd:// {flag} --ipv6\n"
    host = snapshot(arguments=words, files=(model.TextFile(path=DROP_IN, kind="drop-in", text=text),))
    (finding,) = found(daemon_api_exposed.check, host)
    assert sed(finding.fixes[0].commands[0], text).endswith("dockerd -H fd:// --ipv6\n")


FLAGS = [
    ("--mtu 14oo --ipv6", "--ipv6"),
    ("--icc=off --ipv6", "--ipv6"),
    ("--ipv6 --mtuu=1400", "--ipv6 --mtu=1400"),
    ("--mtuu=1400 --bogus=1 --ipv6 --live-restor", "--mtu=1400 --ipv6 --live-restore"),
    ("--ipv6 \N{EN DASH}mtu 1400", "--ipv6 --mtu 1400"),
]


@pytest.mark.parametrize(("flags", "right"), FLAGS)
def test_a_refused_flag_is_taken_out_with_its_value(flags: str, right: str) -> None:
    text = f"[Service]\nExecStart=\nExecStart=/usr/bin/dockerd {flags}\n"
    problem = model.EngineProblem(kind="no-socket", detail="no such file")
    line = model.LogLine(text="Status: as it says", level="fatal")
    host = snapshot(problem=problem, log=(line,), files=(model.TextFile(path=DROP_IN, kind="drop-in", text=text),))
    (finding,) = found(daemon_not_running.check, host)
    assert sed(finding.fixes[0].commands[0], text).endswith(f"dockerd {right}\n")


UNSTARTED = [
    (
        "Usage:\tdockerd [OPTIONS]",
        '[Service]\nEnvironment="OPTIONS=$OPTIONS --mtu 1400"\nExecStart=\nExecStart=/usr/bin/dockerd $OPTIONS\n',
        'Environment="OPTIONS=--mtu 1400"\nExecStart=\nExecStart=/usr/bin/dockerd $OPTIONS\n',
    ),
    (
        "docker.service: Failed to execute /usr/bin/dockerdd: No such file or directory",
        "[Service]\nExecStart=\nExecStart=/usr/bin/dockerdd --mtu 1400\n", "ExecStart=/usr/bin/dockerd --mtu 1400\n",
    ),
    (
        "failed to load listeners: no sockets found via socket activation: make sure the service was started by systemd",
        "[Service]\nExecStart=\nExecStart=/usr/bin/dockerd -H fd://\n", "dockerd -H unix:///var/run/docker.sock\n",
    ),
    (
        "flag needs an argument: --dns",
        '[Service]\nEnvironment="OPTIONS=--dns"\nExecStart=\nExecStart=/usr/bin/dockerd $OPTIONS\n',
        'Environment="OPTIONS="\nExecStart=\nExecStart=/usr/bin/dockerd $OPTIONS\n',
    ),
]  # fmt: skip


@pytest.mark.parametrize(("said", "text", "right"), UNSTARTED, ids=[said[:20] for said, *_ in UNSTARTED])
def test_a_command_that_does_not_start_the_daemon(said: str, text: str, right: str) -> None:
    problem = model.EngineProblem(kind="no-socket", detail="no such file")
    line = model.LogLine(text=said, level="fatal")
    host = snapshot(problem=problem, log=(line,), files=(model.TextFile(path=DROP_IN, kind="drop-in", text=text),))
    (finding,) = found(daemon_not_running.check, host)
    assert sed(finding.fixes[0].commands[0], text).endswith(right)


def test_a_variable_that_the_command_knows_by_another_name() -> None:
    use = model.TextFile(
        path=DROP_IN, kind="drop-in", text="[Service]\nEnvironmentFile=-/etc/default/docker\nExecStart=\n"
        "ExecStart=/usr/bin/dockerd $DOCKER_OPTS\n",
    )  # fmt: skip
    file = model.TextFile(path="/etc/default/docker", kind="environment", text='DOCKER_OPT="--mtu 1400"\n')
    (finding,) = found(config_not_applied.check, snapshot(arguments=("/usr/bin/dockerd",), files=(use, file)))
    assert "s#^([[:space:]]*)DOCKER_OPT=#\\1DOCKER_OPTS=#" in shlex.split(finding.fixes[0].commands[0])


def test_a_variable_that_is_set_again() -> None:
    """The last assignment holds; where it repeats the first, or the command does not use it, nothing is lost."""

    def said(text: str) -> list[Finding]:
        use = "[Service]\nEnvironmentFile=-/etc/default/docker\nExecStart=\nExecStart=/usr/bin/dockerd $OPTS\n"
        file = model.TextFile(path="/etc/default/docker", kind="environment", text=text)
        drop_in = model.TextFile(path=DROP_IN, kind="drop-in", text=use)
        now = re.findall("(?m)^OPTS=[\"']?(.*?)[\"']?$", text)[-1].split()
        return found(config_not_applied.check, snapshot(arguments=("/usr/bin/dockerd", *now), files=(drop_in, file)))

    (finding,) = said('OPTS="--mtu 1400"\nOPTS="--dns 10.0.0.1"\n')
    assert finding.severity == "warning"
    assert finding.fixes[0].commands[1].startswith("printf '%s\\n' 'OPTS=\"--mtu 1400 --dns 10.0.0.1\"' >>")
    assert said('OPTS="--mtu 1400"\nOPTS="--mtu 1400 --dns 10.0.0.1"\n') == []
    assert said('OPTS="--mtu 1400"\n#OPTS="--dns 10.0.0.1"\n') == []
    assert said('OPTS=""\nOPTS="--dns 10.0.0.1"\n') == []


def test_a_fixed_cidr_outside_of_bip() -> None:
    error = "add-any, range '172.27.0.0/25' is not in subnet '172.26.0.0/24'"
    web = model.Container(id="c" * 64, name="web", state=model.State(status="created", error=error, exit_code=128))
    text = '{"bip": "172.26.0.1/24", "fixed-cidr": "172.27.0.0/25"}'
    file = model.TextFile(path=DAEMON_JSON, kind="daemon.json", text=text, modified_at="2026-01-01T00:00:00Z")
    (finding,) = found(daemon_config_invalid.check, snapshot(files=(file,), containers=(web,)))
    assert finding.severity == "error"
    assert finding.fixes[0].commands[-1] == "docker start web"
    assert found(daemon_config_invalid.check, snapshot(files=(file,))) == []


def sed(command: str, text: str) -> str:
    """What the sed of a fix makes of a file."""
    (script,) = [word for word in shlex.split(command) if word.startswith("s#")]
    return subprocess.run(["sed", "-E", script], input=text, capture_output=True, text=True, check=True).stdout
