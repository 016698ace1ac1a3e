"""The API's answers of three real engines, replayed over a UNIX socket."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec
import pytest

from dockernet_doctor.snapshot.engine import EngineReading, demultiplexed, read_engine
from dockernet_doctor.snapshot.http import Api

from .replay import ENGINES, recording, replayed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dockernet_doctor.snapshot.model import Container, Network

PLANTED = "pl4nted-s3cret"


def read(
    tmp_path: Path, answers: Mapping[str, Any], *, asked: frozenset[str] = frozenset()
) -> tuple[EngineReading, list[tuple[str, str]]]:
    with replayed(tmp_path, answers) as (endpoint, requests):
        with Api(endpoint, timeout=30, deadline=time.monotonic() + 60) as api:
            return read_engine(api, asked=asked), list(requests)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def reading(engine: str, tmp_path: Path) -> EngineReading:
    return read(tmp_path, recording(engine)["answers"])[0]


def container(reading: EngineReading, name: str) -> Container:
    return next(item for item in reading.containers if item.name == name)


def network(reading: EngineReading, name: str) -> Network:
    return next(item for item in reading.networks if item.name == name)


def test_every_request_only_reads_and_names_a_version(engine: str, tmp_path: Path) -> None:
    _, requests = read(tmp_path, recording(engine)["answers"])
    assert {method for method, _ in requests} <= {"GET", "HEAD"}
    assert requests[0] == ("GET", "/version")
    assert all(path.startswith("/v1.") for _, path in requests[1:])


def test_nothing_is_left_out_and_no_planted_secret_stays(engine: str, reading: EngineReading) -> None:
    assert PLANTED in json.dumps(recording(engine)["answers"])
    assert PLANTED not in msgspec.json.encode(reading).decode()
    assert reading.engine is not None
    assert reading.engine.version.startswith(engine)
    assert reading.blind_spots == ()
    assert {"environment of web: API_TOKEN", "environment of failed: PGPASSWORD"} <= set(reading.removed)


def test_container_with_everything(reading: EngineReading) -> None:
    web = container(reading, "web")
    assert web.network_mode == "app"
    assert {(port.port, port.protocol, port.host_ip, port.host_port) for port in web.ports} >= {
        (80, "tcp", "0.0.0.0", 8080),
        (443, "tcp", "127.0.0.1", 8443),
        (53, "udp", "0.0.0.0", 5353),
    }
    endpoints = {endpoint.network: endpoint for endpoint in web.endpoints}
    assert endpoints["app"].ipv4 == endpoints["app"].requested_ipv4 == "172.30.0.9"
    assert endpoints["app"].ipv4_prefix == 24
    assert "www" in endpoints["app"].aliases
    assert "front" in endpoints["inside"].aliases
    assert web.compose is not None
    assert (web.compose.project, web.compose.service) == ("shop", "web")
    assert web.state.running


def test_references_of_a_container(reading: EngineReading) -> None:
    found = {(item.where, item.key, item.scheme, item.host, item.port) for item in container(reading, "web").references}
    assert found == {
        ("environment", "DATABASE_URL", "postgres", "db", 5432),
        ("environment", "CACHE_HOST", "", "cache", None),
        ("label", "backup", "https", "backup.example", 443),
        ("label", "traefik.http.services.web.loadbalancer.server.port", "", "", 80),
        ("command", "--upstream", "http", "api", 9000),
    }


def test_compose_1_names_its_files_without_their_directory(tmp_path: Path) -> None:
    label = '"com.docker.compose.project": "shop"'
    files = "docker-compose.yml,/etc/over.yml,-"
    more = {"version": "1.29.2", "project.working_dir": "/srv/shop", "project.config_files": files}
    labels = ", ".join([label, *(f'"com.docker.compose.{key}": "{value}"' for key, value in more.items())])
    answers = json.dumps(recording("20.10")["answers"])
    assert label in answers
    compose = container(read(tmp_path, json.loads(answers.replace(label, labels)))[0], "web").compose
    assert compose is not None
    assert (compose.version, compose.config_files) == ("1.29.2", ("/srv/shop/docker-compose.yml", "/etc/over.yml", "-"))


def test_an_image_names_no_file_and_no_project(tmp_path: Path) -> None:
    """What a container has of its image alone is no word of Compose or Swarm; Compose labels what it builds, too."""
    answers = recording("20.10")["answers"]
    path = next(path for path in answers if path.endswith("/json") and answers[path].get("Name") == "/web")
    made = {
        "com.docker.compose.project": "shop",
        "com.docker.compose.service": "web",
        "com.docker.compose.project.config_files": "oci://evil.example/x",
        "com.docker.swarm.service.name": "shop_web",
    }
    built = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}
    for of_image, of_container, project, files in (
        (made, made, None, ()),
        (built, made | {"com.docker.compose.project.config_files": "/srv/compose.yml"}, "shop", ("/srv/compose.yml",)),
        ({}, made, "shop", ("oci://evil.example/x",)),
    ):
        changed = json.loads(json.dumps(answers))
        changed[path]["Config"]["Labels"] = of_container
        changed[f"/images/{changed[path]['Image']}/json"] = {"Config": {"Labels": of_image}}
        (folder := tmp_path / str(len(list(tmp_path.iterdir())))).mkdir()
        found = container(read(folder, changed)[0], "web")
        assert (found.compose.project if found.compose else None) == project
        assert (found.compose.config_files if found.compose else ()) == files
        assert (found.swarm is None) == (of_image is made)


def test_an_error_holds_no_sentence_of_an_image(tmp_path: Path) -> None:
    answers = json.loads(json.dumps(recording("20.10")["answers"]))
    path = next(path for path in answers if path.endswith("/json") and answers[path].get("Name") == "/web")
    answers[path]["Config"]["Entrypoint"] = ['x" missing kernel module? \\']
    answers[path]["State"] = {**answers[path]["State"], "Running": False, "Status": "created"}
    answers[path]["State"]["Error"] = r'exec: "x\" missing kernel module? \\": executable file not found in $PATH: unknown'
    error = container(read(tmp_path, answers)[0], "web").state.error
    assert "kernel" not in error
    assert "executable file not found" in error


def test_names_are_the_containers_own_though_links_are_listed(reading: EngineReading) -> None:
    linked = container(reading, "linked")
    assert [(link.target, link.alias) for link in linked.links] == [("old", "ancient")]
    assert container(reading, "old").network_mode in ("default", "bridge")
    assert {"ancient", "frontend"}.isdisjoint(item.name for item in reading.containers)


def test_modes(reading: EngineReading) -> None:
    assert container(reading, "sidecar").network_mode == f"container:{container(reading, 'web').id}"
    assert container(reading, "onhost").network_mode == "host"
    assert (9999, "tcp") in container(reading, "onhost").exposed
    alone = container(reading, "alone")
    assert (alone.network_mode, alone.dns, alone.extra_hosts) == ("none", ("10.9.9.9",), ("api:10.1.2.3",))
    assert container(reading, "v6").endpoints[0].ipv6 == "fd00:30::9"


def test_states_and_logs(reading: EngineReading) -> None:
    assert container(reading, "frozen").state.paused
    failed = container(reading, "failed")
    assert failed.state.exit_code == 3
    assert failed.log_tail == ("connecting with password=***",)
    sick = container(reading, "sick")
    assert sick.state.health is not None
    assert (sick.state.health.status, sick.state.health.test) == ("unhealthy", ("CMD-SHELL", "echo"))
    assert sick.state.health.last_output.startswith("tried ***")
    assert "port is already allocated" in container(reading, "never").state.error
    assert any("too old" in line for line in container(reading, "agent").log_tail)
    assert container(reading, "agent").mounts == ("/var/run/docker.sock",)
    assert container(reading, "web").log_tail == ()


def test_of_one_that_runs_well_only_this_run_is_read(engine: str, tmp_path: Path) -> None:
    """What a proxy said before its restart has healed with that; why another ended or is unhealthy may lie further back."""
    found, requests = read(tmp_path, recording(engine)["answers"])
    asked = {path.split("/")[3]: path for _, path in requests if "/logs?" in path}
    since = {c.name: "&since=" in asked[c.id] for c in found.containers if c.id in asked}
    assert (since["agent"], since["sick"], since["failed"]) == (True, False, False)


@pytest.mark.parametrize(("few", "heard"), [(12, True), (0, False)])
def test_all_that_run_on_a_small_host_are_heard(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: int, *, heard: bool
) -> None:
    """Where their log can be read: there is no answer here, and nothing is missed."""
    monkeypatch.setattr("dockernet_doctor.snapshot.engine._FEW", few)
    found, requests = read(tmp_path, recording(engine)["answers"])
    asked = {path.split("/")[3] for _, path in requests if "/logs?" in path}
    assert (container(found, "web").id in asked) is heard
    assert not any("log of web" in spot.what for spot in found.blind_spots)


@pytest.mark.parametrize(("most", "heard"), [(40, 2), (1, 1), (0, 0)])
def test_those_that_a_question_names_are_heard_within_a_bound(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, heard: int
) -> None:
    monkeypatch.setattr("dockernet_doctor.snapshot.engine._FEW", 0)
    monkeypatch.setattr("dockernet_doctor.snapshot.engine._LOGS_AT_MOST", most)
    found, requests = read(tmp_path, recording(engine)["answers"], asked=frozenset({"web", "db"}))
    asked = {path.split("/")[3] for _, path in requests if "/logs?" in path}
    named = {c.name for c in found.containers if c.id in asked} & {"web", "db"}
    assert len(named) == heard
    assert not any("log of web" in spot.what for spot in found.blind_spots)


def test_networks_have_members_bridges_and_subnets(reading: EngineReading) -> None:
    app = network(reading, "app")
    assert {member.name for member in app.members} == {"web", "db"}
    assert app.bridge == f"br-{app.id[:12]}"
    (subnet,) = app.subnets
    assert (subnet.subnet, subnet.ip_range, subnet.auxiliary) == ("172.30.0.0/24", "172.30.0.128/25", {"router": "172.30.0.5"})
    assert network(reading, "bridge").bridge == "docker0"
    assert (network(reading, "inside").bridge, network(reading, "inside").internal) == ("br-inside", True)
    assert network(reading, "six").ipv6
    assert network(reading, "six").options["com.docker.network.bridge.enable_icc"] == "false"
    assert network(reading, "host").bridge is None


def test_swarm_manager(reading: EngineReading) -> None:
    assert reading.engine is not None
    swarm = reading.engine.swarm
    assert (swarm.state, swarm.manager, swarm.data_path_port) == ("active", True, 4789)
    assert [(node.role, node.state, node.leader) for node in swarm.node_list] == [("manager", "ready", True)]
    (service,) = reading.services
    assert (service.name, service.endpoint_mode, service.mode) == ("api", "dnsrr", "replicated")
    assert [(item.key, item.host, item.port) for item in service.references] == [("DB_HOST", "db", 5432)]
    assert any(item.swarm and item.swarm.service == "api" for item in reading.containers)
    assert network(reading, "cloud").attachable


def test_a_task_has_the_aliases_of_its_service(tmp_path: Path) -> None:
    """Its own inspection lacks them."""
    answers = dict(recording("28.5")["answers"])
    (listed,) = answers["/services?status=true"]
    template = listed["Spec"]["TaskTemplate"]
    networks = [{**target, "Aliases": ["site"]} for target in template["Networks"]]
    spec = {**listed["Spec"], "TaskTemplate": {**template, "Networks": networks}}
    reading = read(tmp_path, answers | {"/services?status=true": [{**listed, "Spec": spec}]})[0]
    task = next(item for item in reading.containers if item.swarm)
    ids = {target["Target"] for target in networks}
    given = {e.network_id: e.aliases for e in task.endpoints}
    assert {network_id: given[network_id] for network_id in ids} == dict.fromkeys(ids, ("site",))
    assert all("site" not in aliases for network_id, aliases in given.items() if network_id not in ids)


def test_a_global_service_s_task_that_waits_for_its_next_try_is_to_run_too(tmp_path: Path) -> None:
    """Swarm counts 1 of 1 while one node's task fails and is tried again."""
    answers = dict(recording("28.5")["answers"])
    (listed,) = answers["/services?status=true"]
    spec = listed["Spec"] | {"Mode": {"Global": {}}}
    counts = {"RunningTasks": 1, "DesiredTasks": 1}
    failed = {"State": "failed", "Err": "address already in use"}
    tasks = [
        {"NodeID": node, "ServiceID": listed["ID"], "CreatedAt": at, "DesiredState": desired, "Status": status}
        for node, at, desired, status in (
            ("n1", "2026-01-01T00:00:00Z", "running", {"State": "running"}),
            ("n2", "2026-01-01T00:00:01Z", "shutdown", failed),
            ("n2", "2026-01-01T00:00:02Z", "ready", {"State": "ready"}),
        )
    ]

    def path(**filters: list[str]) -> str:
        return f"/tasks?filters={quote(json.dumps(filters, separators=(',', ':')))}"

    waiting = path(service=[listed["ID"]], **{"desired-state": ["ready"]})
    answers |= {
        "/services?status=true": [listed | {"Spec": spec, "ServiceStatus": counts}],
        waiting: tasks[-1:],
        path(service=[listed["ID"]]): tasks,
    }
    (service,) = read(tmp_path, answers)[0].services
    assert (service.running, service.desired, service.errors) == (1, 2, ("address already in use",))
    (tmp_path / "docker.sock").unlink()
    (service,) = read(tmp_path, answers | {waiting: []})[0].services
    assert (service.running, service.desired, service.errors) == (1, 1, ())


def test_a_container_that_vanishes_is_a_blind_spot(tmp_path: Path) -> None:
    answers = dict(recording("28.5")["answers"])
    web = next(item["Id"] for item in answers["/containers/json?all=1"] if "/web" in item["Names"])
    del answers[f"/containers/{web}/json"]
    reading, _ = read(tmp_path, answers)
    assert "web" not in [item.name for item in reading.containers]
    assert [(spot.area, spot.what) for spot in reading.blind_spots] == [("engine", "the container web")]
    assert "vanished" in reading.blind_spots[0].why


def test_half_an_answer_is_a_blind_spot(tmp_path: Path) -> None:
    answers = dict(recording("28.5")["answers"]) | {"/networks": b'[{"Id": "0123', "/info": [1]}
    reading, _ = read(tmp_path, answers)
    assert reading.engine is not None
    assert {spot.what for spot in reading.blind_spots} == {
        "the list of networks",
        "what the daemon says of itself (docker info)",
    }
    assert reading.networks == ()


@pytest.mark.parametrize(
    ("where", "value", "why"),
    [
        (("NetworkSettings", "Networks"), {"app": {"IPAddress": "10.0.0.999"}}, "ipv4: '10.0.0.999' is no IPv4 address"),
        (("NetworkSettings", "Networks"), {"app": {"IPAddress": 7}}, "got `int`"),
        (("NetworkSettings", "Ports"), {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "70000"}]}, "70000 is no port"),
        (("NetworkSettings", "Ports"), {"80/tcp": [{"HostIp": "[::1", "HostPort": "80"}]}, "host_ip: '[::1' is no IP address"),
        (("NetworkSettings", "Ports"), {f"{'9' * 5000}/tcp": [{"HostPort": "80"}]}, "is no port"),
        (("Config", "ExposedPorts"), {"65536/tcp": {}}, "65536 is no port"),
        (("State", "StartedAt"), "yesterday", "'yesterday' is no moment of RFC 3339"),
        (("State", "Pid"), 1 << 40, "Expected `int` <"),
        (("Id",), "../../info", "matching regex"),
    ],
)
def test_a_container_of_another_shape_is_a_blind_spot_and_the_others_remain(
    tmp_path: Path, where: tuple[str, ...], value: object, why: str
) -> None:
    answers = json.loads(json.dumps(recording("28.5")["answers"]))
    others = {item.name for item in read(tmp_path, answers)[0].containers} - {"web"}
    path = next(p for p, answer in answers.items() if isinstance(answer, dict) and answer.get("Name") == "/web")
    inside = answers[path]
    for step in where[:-1]:
        inside = inside[step]
    inside[where[-1]] = value
    (tmp_path / "again").mkdir()
    reading, _ = read(tmp_path / "again", answers)
    assert {item.name for item in reading.containers} == others
    assert [(spot.area, spot.what) for spot in reading.blind_spots] == [("engine", "the container web")]
    assert why in reading.blind_spots[0].why


@pytest.mark.parametrize("item", [{"Id": "x y"}, {"Id": "a\r\nHost: b"}, {"Names": ["/web"]}, None, 7, []])
def test_an_item_of_another_shape_in_a_list_costs_no_other(tmp_path: Path, item: object) -> None:
    answers = dict(recording("28.5")["answers"])
    for path in ("/containers/json?all=1", "/networks"):
        answers[path] = [*answers[path], item]
    reading, requests = read(tmp_path, answers)
    expected = msgspec.convert(recording("28.5")["snapshot"]["containers"], list[dict[str, Any]])
    assert [container.name for container in reading.containers] == [container["name"] for container in expected]
    assert [spot.what for spot in reading.blind_spots] == ["a container of the list", "a network of the list"]
    assert all("x y" not in path for _, path in requests)


def test_a_daemon_that_does_not_list_its_containers_gave_no_answer(tmp_path: Path) -> None:
    reading, _ = read(tmp_path, dict(recording("28.5")["answers"]) | {"/containers/json?all=1": b"[{"})
    assert reading.engine is None
    assert reading.problem is not None
    assert "GET /containers/json" in reading.problem.detail


def test_a_network_that_is_listed_and_not_inspected_is_there_without_members(tmp_path: Path) -> None:
    answers = dict(recording("28.5")["answers"])
    listed = next(item for item in answers["/networks"] if item["Name"] == "bridge")
    reading, _ = read(tmp_path, answers | {f"/networks/{listed['Id']}": b"[1"})
    assert [spot.what for spot in reading.blind_spots] == ["the network bridge"]
    found = network(reading, "bridge")
    assert (found.bridge, found.subnets != (), found.members) == ("docker0", True, ())


def test_something_else_than_docker_is_a_problem(tmp_path: Path) -> None:
    reading, _ = read(tmp_path, {"/version": {"version": "2.1"}})
    assert reading.problem is not None
    assert reading.problem.kind == "protocol"


def test_log_frames() -> None:
    framed = b"\x01\0\0\0\0\0\0\x03one\x02\0\0\0\0\0\0\x05 two\n\x01\0\0\0\0\0\0\x09cut"
    assert demultiplexed(framed) == b"one two\ncut"
    assert demultiplexed(b"a terminal's text\n") == b"a terminal's text\n"
    assert demultiplexed(b"") == b""
