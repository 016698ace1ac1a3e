"""What comes first: of several things that are wrong, the one that made the others; each with a twin where nothing did."""

from __future__ import annotations

import pytest
from dockernet_doctor_checks.addressing import duplicate_address
from msgspec.structs import replace

from dockernet_doctor.diagnosis.fixes.addressing import may_be_given
from dockernet_doctor.plugin import Case, Finding, HostFacts, model

from .hosts import APP, check, host, member, reach, snapshot

REFUSED = "could not connect to db:5432: Connection refused"


# --- a service that is not ready, what gave up on it, and its port

DATABASE = model.Reference(where="environment", key="DATABASE_URL", scheme="postgres", host="db", port=5432)
GAVE_UP = model.State(status="exited", exit_code=1, finished_at="2026-01-01T00:00:30Z")
PORT = (model.PortBinding(port=80, protocol="tcp", host_ip="", host_port="8080"),)
OPEN = (model.PublishedPort(port=80, protocol="tcp", host_ip="0.0.0.0", host_port=8080),)


def roots(found: list[Finding]) -> list[tuple[str, str, str | None]]:
    return [(f.cause, f.subject.name, f.because_of) for f in found if f.severity == "error"]


def test_a_database_that_does_not_listen_comes_before_the_program_that_gave_up() -> None:
    api = member(3, "api", state=GAVE_UP, references=(DATABASE,), log=(REFUSED,), bindings=PORT)
    silent = "no-listener=port:db:5432/tcp@h"
    assert roots(check(member(2, "db", image="postgres:16"), api)) == [
        ("no-listener", "db:5432/tcp", None),
        ("container-not-running", "api", silent),
    ]
    late = [("container-not-running", "api", "startup-race=container:api@h")]
    assert roots(check(member(2, "db", 5432, image="postgres:16"), api)) == late
    other = replace(api, log_tail=("Traceback: KeyError",))
    assert roots(check(member(2, "db", image="postgres:16"), other)) == [("container-not-running", "api", None)]


def test_a_database_that_does_not_listen_comes_before_the_port_of_the_program_that_waits_for_it() -> None:
    api = member(3, "api", references=(DATABASE,), bindings=PORT, published=OPEN)
    first, then = roots(check(member(2, "db", image="postgres:16"), api))
    assert first == ("no-listener", "db:5432/tcp", None)
    assert then == ("no-listener", "api:80/tcp", "no-listener=port:db:5432/tcp@h")
    (alone,) = roots(check(member(2, "db", 5432, image="postgres:16"), api))
    assert alone == ("no-listener", "api:80/tcp", None)


def test_what_the_engine_refused_is_not_why_another_program_ended() -> None:
    module = model.State(status="created", exit_code=128, error="failed to add the host (veth1) <=> sandbox (veth2) pair "
                         "interfaces: operation not supported")  # fmt: skip
    found = check(member(2, "db", state=module), member(3, "api", state=GAVE_UP, log=("bye",)))
    assert {f.subject.name: f.because_of for f in found if f.cause == "container-not-running"} == {
        "db": "kernel-module-missing=host:h@h",
        "api": None,
    }


# --- a silent port that is the service's own

HEALTH = model.Reference(where="health check", key="health check", scheme="http", host="localhost", port=80)


@pytest.mark.parametrize(
    ("image", "references", "port", "listening", "process", "cause"),
    [
        ("postgres:16", (), 5432, 9187, "postgres_export", "no-listener"),
        ("registry.local/team/postgres@sha256:0", (), 5432, 8080, "", "no-listener"),
        ("acme/app", (HEALTH,), 80, 9100, "", "no-listener"),
        ("postgres:16", (), 5432, 5433, "postgres", "container-port-mismatch"),  # it listens where its own file says
        ("postgres:16", (model.Reference(where="environment", key="PGPORT", port=5433),), 5432, 5433, "",
         "container-port-mismatch"),
        ("acme/app", (), 80, 8081, "", "container-port-mismatch"),
        ("acme/app", (replace(HEALTH, port=8081),), 80, 8081, "", "container-port-mismatch"),
        ("postgres-exporter:1", (), 9187, 8080, "", "container-port-mismatch"),
    ],
)  # fmt: skip
def test_a_silent_port_of_the_service_itself_is_a_dead_service(
    image: str, references: tuple[model.Reference, ...], port: int, listening: int, process: str, cause: str
) -> None:
    published = (model.PublishedPort(port=port, protocol="tcp", host_ip="0.0.0.0", host_port=20000),)
    box = member(2, "box", listening, image=image, process=process, references=references, published=published)
    assert reach("outside", "box:20000", snapshot(box)).findings[0].cause == cause


# --- addresses


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ((), ""),
        ((model.Address(link="eth1", address="172.18.0.2", prefix=32, family=4),), "box and eth1 of this host both have"),
        ((model.Address(link="app0", address="172.18.0.2", prefix=16, family=4),), "box and the bridge app0 both have"),
        ((model.Address(link="eth1", address="172.18.0.3", prefix=32, family=4),), ""),
    ],
)
def test_an_address_of_a_container_and_of_the_host_is_a_duplicate(more: tuple[model.Address, ...], said: str) -> None:
    box = member(2, "box", 80)
    found = list(duplicate_address.find(Case.of([snapshot(box, on=host(box, more=more))])))
    assert [said in f.summary for f in found] == ([True] if said else [])


@pytest.mark.parametrize(
    ("network", "address", "given"),
    [
        (APP, "172.18.0.9", True),
        (APP, "172.18.3.200", True),  # one of the first thousand
        (APP, "172.18.44.5", False),
        (APP, "172.18.255.255", False),
        (replace(APP, subnets=(model.Subnet(subnet="172.18.0.0/16", ip_range="172.18.40.0/21"),)), "172.18.41.5", True),
        (replace(APP, subnets=(model.Subnet(subnet="172.18.0.0/16", ip_range="172.18.40.0/24"),)), "172.18.0.9", False),
    ],
)
def test_what_no_container_can_have_had_is_another_machine_s(network: model.Network, address: str, *, given: bool) -> None:
    box = member(2, "box", 80)
    assert may_be_given(HostFacts(snapshot(box, networks=(network,))), network, address) is given
    if address != "172.18.255.255":
        first = reach("box", f"{address}:5432", snapshot(box, networks=(network,))).findings[0]
        assert first.cause == ("stale-container-ip" if given else "subnet-overlap")


def test_addresses_given_by_hand_may_be_anywhere() -> None:
    by_hand = model.Endpoint(network="app", network_id="n1", ipv4="172.18.44.2", requested_ipv4="172.18.44.2")
    box = replace(member(2, "box", 80), endpoints=(by_hand,))
    assert may_be_given(HostFacts(snapshot(box)), APP, "172.18.44.5")


@pytest.mark.parametrize("back", [True, False])
def test_an_address_that_came_back_needs_a_start_and_no_other_binding(*, back: bool) -> None:
    error = "failed to bind host port for 10.99.0.77:8080:172.18.0.2:80/tcp: cannot assign requested address"
    state = model.State(status="created", exit_code=128, error=error)
    box = member(2, "box", state=state, bindings=(replace(PORT[0], host_ip="10.99.0.77"),))
    more = (model.Address(link="eth1", address="10.99.0.77", prefix=24, family=4),) if back else ()
    first = check(box, on=host(box, more=more))[0]
    assert (first.cause, first.subject.name) == ("bind-address-missing", "box:80/tcp")
    assert (first.fixes[0].commands == ("docker start box",)) is back


# --- the setting behind a setting


@pytest.mark.parametrize("told", [True, False])
def test_the_daemon_that_leaves_forwarding_off_is_named(*, told: bool) -> None:
    box = member(2, "box", 80)
    daemon = model.Daemon(pid=1, arguments=("dockerd", *(["--ip-forward=false"] if told else [])), readable=True)
    (found,) = [f for f in check(box, on=host(box, forwarding="0"), daemon=daemon) if f.severity == "error"]
    assert found.cause == "ip-forwarding-off"
    assert ("the daemon's option ip-forward is off" in found.summary) is told
    assert len(found.fixes) == (2 if told else 1)
