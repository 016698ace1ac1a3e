"""Network modes and states, as far as the lab cannot show them."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from dockernet_doctor.diagnosis import registry
from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.question import Question, parse_source, parse_target
from dockernet_doctor.diagnosis.run import diagnose
from dockernet_doctor.plugin import Finding
from dockernet_doctor.snapshot.model import (
    Address,
    Compose,
    Container,
    Endpoint,
    Engine,
    Health,
    Host,
    Link,
    Listener,
    Network,
    NetworkStack,
    PortBinding,
    PublishedPort,
    Reference,
    Route,
    Sandbox,
    Snapshot,
    State,
    Subnet,
    Swarm,
)

REGISTRY = registry.load()
APP = Network(id="n1", name="app", driver="bridge", subnets=(Subnet(subnet="172.18.0.0/16"),))
RUNNING = State(status="running", running=True, pid=7, started_at="2026-01-02T03:00:05.123456789Z")


def sandbox(*ports: int, namespace: int = 1) -> Sandbox:
    """Of a container on `app`, or of one that has `lo` alone."""
    listeners = tuple(Listener(protocol="tcp", family=4, address="0.0.0.0", port=port) for port in ports)
    lo = Link(index=1, name="lo")
    stack = NetworkStack(links=(lo,), listeners=listeners)
    if namespace == 1:
        stack = NetworkStack(
            links=(lo, Link(index=2, name="eth0", kind="veth")),
            addresses=(Address(link="eth0", address="172.18.0.2", prefix=16, family=4),),
            routes=(Route(family=4, destination="0.0.0.0/0", gateway="172.18.0.1", link="eth0"),),
            listeners=listeners,
        )
    return Sandbox(pid=7, namespace=namespace, stack=stack)


DB = Container(
    id="d" * 64,
    name="db",
    state=RUNNING,
    network_mode="app",
    endpoints=(Endpoint(network="app", network_id="n1", ipv4="172.18.0.2"),),
    sandbox=sandbox(5432),
)
API = Container(
    id="a" * 64,
    name="api",
    state=State(status="exited", exit_code=1, finished_at="2026-01-02T03:00:07.5Z"),
    network_mode="app",
    endpoints=(Endpoint(network="app", network_id="n1"),),
    references=(Reference(where="environment", key="DATABASE_URL", scheme="postgres", host="db", port=5432),),
    log_tail=("connect ECONNREFUSED 172.18.0.2:5432",),
)


def found(*containers: Container, networks: tuple[Network, ...] = (APP,)) -> dict[str, str]:
    """Cause → severity of what `check` says without probes, roots first."""
    return {finding.cause: finding.severity for finding in findings(*containers, networks=networks)}


def findings(*containers: Container, networks: tuple[Network, ...] = (APP,)) -> tuple[Finding, ...]:
    snapshot = Snapshot(
        name="h",
        taken_at="2026-01-02T03:04:05Z",
        endpoint="unix:///var/run/docker.sock",
        engine=Engine(version="28.5.2"),
        networks=networks,
        containers=containers,
    )
    return diagnose([snapshot], registry=REGISTRY).findings


def test_a_client_that_was_too_early() -> None:
    causes = found(DB, API)
    assert list(causes) == ["startup-race", "container-not-running"]
    assert causes["startup-race"] == "info"


@pytest.mark.parametrize(
    "twin",
    [
        replace(API, log_tail=("no such table",)),
        replace(API, state=replace(API.state, finished_at="2026-01-02T04:00:07Z")),
        replace(API, references=()),
        replace(API, state=replace(API.state, exit_code=0)),
    ],
    ids=["another-error", "an-hour-later", "no-setting", "ended-well"],
)
def test_a_client_that_ended_for_another_reason(twin: Container) -> None:
    assert "startup-race" not in found(DB, twin)


@pytest.mark.parametrize(
    ("changes", "severity"),
    [
        ({"name": "amazing_euler"}, "info"),
        ({"name": "amazing_euler", "restart_policy": "on-failure"}, "error"),
        ({"name": "amazing_euler", "bindings": (PortBinding(port=80, protocol="tcp", host_ip="", host_port="80"),)}, "error"),
        ({"name": "amazing_euler", "state": State(status="exited", exit_code=1, oom_killed=True)}, "error"),
        ({"name": "p-api-run-0123456789ab", "compose": Compose(project="p", service="api")}, "info"),
        ({"name": "p-api-1", "compose": Compose(project="p", service="api")}, "error"),
        ({}, "error"),
    ],
)
def test_what_a_command_left_behind_that_nobody_could_count_on(changes: dict[str, Any], severity: str) -> None:
    assert found(replace(API, log_tail=(), **changes)) == {"container-not-running": severity}


ENDED = State(status="exited", exit_code=0, finished_at="2026-01-02T03:00:07Z")
JOB = Container(id="1" * 64, name="job", state=ENDED, network_mode="app", endpoints=(Endpoint(network="app", network_id="n1"),))
PORT = (PortBinding(port=80, protocol="tcp", host_ip="", host_port="80"),)


def test_what_ran_once_is_one_line_after_all_that_is_dead() -> None:
    jobs = [replace(JOB, id=f"{number}" * 64, name=f"job{number}") for number in range(1, 7)]
    stopped = replace(JOB, id="7" * 64, name="web", bindings=PORT)
    crashed = replace(API, log_tail=())
    dead, web, together = findings(*jobs, stopped, crashed)
    assert [(dead.subject.name, dead.severity), (web.subject.name, web.severity)] == [("api", "error"), ("web", "info")]
    assert (together.subject.kind, together.severity, together.cause) == ("host", "info", "container-not-running")
    assert [affected.name for affected in together.affects] == [job.name for job in jobs]
    assert "job1, job2, job3, job4 and 2 more" in together.summary


@pytest.mark.parametrize(
    "changes",
    [
        {"bindings": PORT},
        {"restart_policy": "unless-stopped"},
        {"state": State(status="exited", exit_code=1)},
        {"state": State(status="created")},
        {"state": State(status="exited", exit_code=143)},  # somebody stopped it
        {"compose": Compose(project="shop", service="migrate")},
        {"name": "db"},  # which a setting of api names
    ],
)
def test_what_somebody_counts_on_stands_alone(changes: dict[str, Any]) -> None:
    other = replace(JOB, id="2" * 64, name="other")
    api = replace(API, state=RUNNING)
    kept = replace(JOB, **changes)
    told = findings(replace(other, id="3" * 64, name="third"), other, kept, api)
    assert kept.id in {finding.subject.id for finding in told}
    assert [a.name for f in told if f.subject.kind == "host" for a in f.affects] == ["other", "third"]


def test_a_container_that_is_asked_about_stands_alone() -> None:
    jobs = [replace(JOB, id=f"{number}" * 64, name=f"job{number}") for number in range(1, 4)]
    snapshot = Snapshot(
        name="h", taken_at="2026-01-02T03:04:05Z", endpoint="", engine=Engine(version="28.5.2"), containers=(*jobs,)
    )
    (one,) = diagnose([snapshot], registry=REGISTRY, subjects=["job2"]).findings
    assert one.subject.name == "job2"


def test_a_client_that_waits_for_health_was_not_too_early() -> None:
    api = replace(API, compose=Compose(project="p", service="api", depends_on=("db:service_healthy:false",)))
    db = replace(DB, compose=Compose(project="p", service="db"))
    assert "startup-race" not in found(db, api)


@pytest.mark.parametrize(
    ("state", "policy", "severity"),
    [
        (State(status="exited", exit_code=0), "no", "info"),
        (State(status="exited", exit_code=137), "no", "info"),
        (State(status="exited", exit_code=1), "unless-stopped", "info"),  # else the daemon would have started it again
        (State(status="created"), "no", "info"),
        (State(status="exited", exit_code=1), "no", "error"),
        (State(status="exited", exit_code=1), "on-failure", "error"),
        (State(status="exited", exit_code=137, oom_killed=True), "no", "error"),
        (State(status="restarting", running=True, restarting=True, exit_code=0), "always", "error"),
        (State(status="dead"), "no", "error"),
    ],
)
def test_what_does_not_run_by_design(state: State, policy: str, severity: str) -> None:
    lone = Container(id="c" * 64, name="lone", state=state, restart_policy=policy)
    assert found(lone) == {"container-not-running": severity}


@pytest.mark.parametrize(("ended", "root"), [("2026-01-02T03:00:06Z", True), ("2026-01-02T03:00:09Z", False)])
def test_who_ended_for_want_of_another_is_its_symptom(ended: str, root: bool) -> None:
    """Stopped by hand or not: what others die of is broken now, and comes first; what was stopped after them is not it."""
    db = replace(DB, state=State(status="exited", finished_at=ended), sandbox=None)
    said = [(f.subject.name, f.severity, f.because_of) for f in findings(API, db)]
    because = "container-not-running=container:db@h"
    assert said == (
        [("db", "error", None), ("api", "error", because)] if root else [("api", "error", None), ("db", "info", None)]
    )


@pytest.mark.parametrize(("exit_code", "policy"), [(0, "no"), (137, "no"), (143, "on-failure"), (1, "unless-stopped")])
def test_who_was_stopped_as_well_misses_nobody(exit_code: int, policy: str) -> None:
    """A project that is stopped on purpose: who dials the database and who shares its network are no sign of a fault."""
    db = replace(DB, state=State(status="exited", finished_at="2026-01-02T03:00:06Z"), sandbox=None)
    state = State(status="exited", exit_code=exit_code, finished_at="2026-01-02T03:00:07Z")
    api, side = (replace(c, state=state, restart_policy=policy) for c in (API, sidecar(sandbox=None)))
    assert {(f.subject.name, f.severity) for f in findings(db, api, side)} == {(n, "info") for n in ("api", "db", "side")}


def test_who_shares_the_network_of_one_that_is_down_is_its_symptom() -> None:
    down = State(status="exited", exit_code=1)
    said = {f.subject.name: f.because_of for f in findings(replace(DB, state=down), sidecar(state=down, sandbox=None))}
    assert said == {"db": None, "side": "container-not-running=container:db@h"}


def sidecar(**changes: object) -> Container:
    shared = Container(id="s" * 64, name="side", state=RUNNING, network_mode=f"container:{DB.id}", sandbox=sandbox())
    return replace(shared, **changes)


def test_a_namespace_that_is_still_shared() -> None:
    assert found(DB, sidecar()) == {}
    assert found(replace(DB, sandbox=None), sidecar(sandbox=None)) == {}


def test_a_namespace_that_is_not() -> None:
    assert found(DB, sidecar(sandbox=sandbox(namespace=2))) == {"shared-namespace-lost": "error"}
    assert found(sidecar()) == {"shared-namespace-lost": "error"}
    older = replace(RUNNING, started_at="2026-01-02T02:00:00Z")
    assert found(replace(DB, sandbox=None), sidecar(sandbox=None, state=older)) == {"shared-namespace-lost": "error"}


def test_a_network_that_is_gone_and_one_that_is_not() -> None:
    stopped = replace(DB, state=State(status="exited", exit_code=0), sandbox=None)
    assert "network-gone" not in found(stopped)
    assert found(stopped, networks=(replace(APP, id="n2"),))["network-gone"] == "warning"
    assert "network-gone" not in found(stopped, networks=())  # the daemon did not list them
    refused = replace(stopped, state=replace(stopped.state, error="network n1 not found"))
    assert found(refused, networks=())["network-gone"] == "error"


def test_a_network_that_a_member_of_a_swarm_was_asked_for_and_does_not_have() -> None:
    said = "Could not attach to network front: rpc error: code = NotFound desc = network front not found"
    asked = replace(DB, state=State(status="created", error=said), sandbox=None, endpoints=(Endpoint(network="front"),))
    first = findings(asked)[0]
    assert (first.cause, first.summary) == ("network-gone", "db cannot start: its network front does not exist.")
    assert first.fixes[0].commands == ("docker network create front", "docker start db")
    assert "network-gone" not in found(asked, networks=(APP, replace(APP, id="n9", name="front")))


@pytest.mark.parametrize(
    ("manager", "id_", "gone"), [(False, "nm6jx7c8dc4t" + "a" * 13, False), (True, "n" * 25, True), (False, "0f" * 32, True)]
)
def test_a_worker_lists_a_network_of_the_swarm_only_while_it_is_used(manager: bool, id_: str, gone: bool) -> None:
    stopped = State(status="exited", exit_code=137)
    db = replace(DB, state=stopped, sandbox=None, endpoints=(Endpoint(network="cloud", network_id=id_),))
    engine = Engine(version="28.5.2", swarm=Swarm(state="active", manager=manager))
    snapshot = Snapshot(name="h", taken_at="", endpoint="", engine=engine, networks=(APP,), containers=(db,))
    assert ("network-gone" in {f.cause for f in diagnose([snapshot], registry=REGISTRY).findings}) is gone


def test_what_the_engine_refuses_to_start_is_not_mended_by_a_start() -> None:
    refused = State(status="created", exit_code=128, error="failed to set MTU on host interface vethf7f0b5b: invalid argument")
    (finding,) = findings(replace(DB, state=refused, sandbox=None))
    assert (finding.cause, finding.severity, finding.fixes[0].runnable) == ("container-not-running", "error", False)


def test_health_that_is_not_known_yet_is_no_fault() -> None:
    starting = replace(DB, state=replace(RUNNING, health=Health(status="starting", failing_streak=2)))
    assert found(starting) == {}


@pytest.mark.parametrize(("restarts", "since", "expected"), [(4, 3, True), (4, 30, False), (0, 3, False)])
def test_a_container_read_between_two_deaths_does_not_stay_up(restarts: int, since: int, expected: bool) -> None:
    state = replace(RUNNING, restart_count=restarts)
    snapshot = Snapshot(name="h", taken_at=f"2026-01-02T03:00:{5 + since:02}Z", endpoint="", containers=(DB,))
    assert Case.of((snapshot,)).hosts[0].keeps_ending(replace(DB, state=state)) is expected


def test_ports_on_a_network_without_ipv4_are_published_by_ipv6_alone() -> None:
    six = Network(id="n6", name="six", driver="bridge", ipv4=False, ipv6=True, subnets=(Subnet(subnet="fd00:18::/64"),))
    published = PublishedPort(host_ip="::", host_port=8080, port=5432, protocol="tcp")
    endpoints = (Endpoint(network="six", network_id="n6", ipv6="fd00:18::2"),)
    db = replace(DB, network_mode="six", endpoints=endpoints, ports=(published,), sandbox=None)
    addresses = (Address(link="eth0", address="192.0.2.1", prefix=24, family=4),)
    snapshot = Snapshot(
        name="h", taken_at="2026-01-02T03:04:05Z", endpoint="", engine=Engine(version="28.5.2"), networks=(APP, six),
        containers=(db,), host=Host(stack=NetworkStack(addresses=addresses, listeners=())),
    )  # fmt: skip
    question = Question(source=parse_source("outside"), target=parse_target("192.0.2.1:8080"))
    (first, *_) = diagnose([snapshot], [question], registry=REGISTRY, asked=True).findings
    assert first.id == "ipv4-not-enabled=network:six@h"
    assert first.fixes[0].commands == ("docker network connect bridge db",)
    assert "ipv4-not-enabled" not in found(db, networks=(APP, six))
