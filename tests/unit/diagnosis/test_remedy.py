"""The text of fixes; that they work is for tests/lab/test_remedy.py to show."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.fixes import remedy
from dockernet_doctor.snapshot.model import (
    Compose,
    Container,
    ContainerLink,
    Daemon,
    Endpoint,
    Engine,
    Host,
    Network,
    PortBinding,
    Reference,
    RunOption,
    Service,
    Snapshot,
    State,
    Subnet,
    Swarm,
    SwarmTask,
    SysctlSetting,
    TextFile,
)
from dockernet_doctor.snapshot.secrets import MASK

ID = "0123456789ab" + "0" * 52
WEB = PortBinding(port=80, protocol="tcp", host_port="8080")
LOOPBACK = PortBinding(port=80, protocol="tcp", host_ip="127.0.0.1", host_port="8080")
COMPOSE = Compose(project="shop", service="web", working_dir="/srv", config_files=("/srv/compose.yml",))


def container(name: str = "web", **fields: Any) -> Container:
    values: dict[str, Any] = {"id": ID, "image": "nginx:1", "state": State(status="running", running=True), **fields}
    values.setdefault("options", options(image="nginx:1"))
    return Container(name=name, **values)


def options(*taken: str, **said: str) -> tuple[RunOption, ...]:
    named = (RunOption(name=name.rstrip("_").replace("_", "-"), value=value) for name, value in said.items())
    return (*named, *(RunOption(name=name, value=MASK) for name in taken))


def facts(*containers: Container, **fields: Any) -> HostFacts:
    fields.setdefault("engine", Engine(version="28.5.2"))
    return HostFacts(Snapshot(name="h1", taken_at="", endpoint="", containers=containers, **fields))


def on(*networks: str, **fields: Any) -> tuple[Endpoint, ...]:
    return tuple(Endpoint(network=network, network_id=f"id-{network}", **fields) for network in networks)


@pytest.mark.parametrize(
    ("binding", "flag"),
    [
        (WEB, "8080:80"),
        (LOOPBACK, "127.0.0.1:8080:80"),
        (PortBinding(port=53, protocol="udp", host_ip="::1"), "[::1]::53/udp"),
        (PortBinding(port=80, protocol="tcp"), "80"),
        (PortBinding(port=80, protocol="sctp", host_port="8000-8010"), "8000-8010:80/sctp"),
    ],
)
def test_publish_flag(binding: PortBinding, flag: str) -> None:
    assert remedy.publish_flag(binding) == flag


def test_recreated_under_an_interim_name_before_the_old_one_stops() -> None:
    known = options(expose="9/udp", volume="data:/data:ro", restart="on-failure:3", memory="64m", read_only="", image="nginx:1")
    web = container(bindings=(LOOPBACK,), options=known, network_mode="app", endpoints=on("app", "back"))
    (fix,) = remedy.republish(facts(web), web, add=[WEB], remove=[LOOPBACK])
    create, connect, stop, run = fix.commands
    assert create == (
        "docker create --name web-next --network app --expose 9/udp -p 8080:80"
        " -v data:/data:ro --restart on-failure:3 --memory 64m --read-only nginx:1"
    )
    assert connect == "docker network connect back web-next"
    assert stop == "docker stop web && docker update --restart=no web && docker rename web web-before"
    assert run == "docker rename web-next web && docker start web"
    assert fix.summary == "Publish 8080:80 instead of 127.0.0.1:8080:80 at web."
    assert fix.impacts == ("recreates-container", "loses-container-data")
    assert fix.undo == (
        "docker stop web && docker update --restart=no web && docker rename web web-next",
        "docker rename web-before web && docker update --restart=on-failure:3 web && docker start web",
    )


def test_names_that_are_taken_are_left_alone() -> None:
    web = container()
    fix = remedy.recreate(facts(web, container("web-before", id="b"), container("web-next", id="n")), web, summary="")
    assert "--name web-next-2 " in fix.commands[0]
    assert fix.commands[1].endswith(" web-before-2")


def test_what_is_removed_when_it_stops_is_renamed_first() -> None:
    web = container(auto_remove=True)
    fix = remedy.recreate(facts(web), web, summary="")
    assert fix.commands[1:] == (
        "docker rename web web-before && docker stop web-before",
        "docker rename web-next web && docker start web",
    )
    assert fix.undo == ()  # it is gone


def test_another_network_takes_the_aliases_but_not_the_address() -> None:
    endpoints = on("app", aliases=("www", ID[:12]), requested_ipv4="10.0.0.9")
    web = container(network_mode="app", endpoints=endpoints)
    assert "--network app --network-alias www --ip 10.0.0.9" in remedy.recreate(facts(web), web, summary="").commands[0]
    create = remedy.recreate(facts(web), web, summary="", network="new").commands[0]
    assert "--network new --network-alias www nginx:1" in create
    assert "docker network connect" not in "".join(remedy.recreate(facts(web), web, summary="", leave=["app"]).commands)


def test_host_mode_loses_ports_and_the_hosts_name() -> None:
    web = container(network_mode="host", hostname="box", bindings=(WEB,), endpoints=on("host"))
    known = facts(web, engine=Engine(version="28.5.2", name="box"))
    assert "--network host nginx:1" in remedy.recreate(known, web, summary="").commands[0]
    assert "--network app -p 8080:80 nginx:1" in remedy.join_network(known, web, "app")[0].commands[0]


def test_those_that_hold_on_to_it_are_made_anew_after_it() -> None:
    web = container()
    side = container("side", id="s", network_mode=f"container:{ID}")
    old = container("old", id="o", links=(ContainerLink(target="web", alias="shop"),))
    commands = remedy.recreate(facts(web, side, old), web, summary="").commands
    assert "--network container:web nginx:1" in commands[3]
    assert "--link web:shop nginx:1" in commands[6]
    assert len(commands) == 9


@pytest.mark.parametrize("engine", ["20.10.24", "28.5.2"])
def test_lines_are_read_back_by_the_shell(engine: str) -> None:
    """Of a container that an older bundle says nothing of, all options come from itself."""
    web = container(image="a'b $(touch x)", hostname='it"s', compose=COMPOSE, extra_hosts=("db:10.0.0.1",), options=None)
    known = facts(web, engine=Engine(version=engine))
    for line in remedy.recreate(known, web, summary="").commands:
        subprocess.run(["sh", "-n", "-c", line], check=True)
    create = remedy.recreate(known, web, summary="").commands[0]
    assert shlex.quote('it"s') in create
    assert all(flag in create for flag in ("--memory=", "--label=", "--env=", "--entrypoint=", "{{.Image}}"))
    assert ("Annotations" in create, "StartInterval" in create) == (engine > "24", engine > "24")


def test_variables_come_as_lines_and_what_else_may_be_secret_ended_by_nul() -> None:
    env = RunOption(name="env", value="API_TOKEN")
    create = recreated(options=(*options(image="nginx:1"), env))
    assert create == (
        'docker inspect -f \'{{range .Config.Env}}{{println (join (split . "\\n") "\\n=\\n")}}{{end}}\' web'
        " | grep -E '^(API_TOKEN)?=' | docker create --name web-next --env-file /dev/stdin nginx:1"
    )
    create = recreated(options=options("command", image="nginx:1"))
    assert create == (
        "docker inspect -f '{{range .Config.Cmd}}{{.}}{{\"\\x00\"}}{{end}}' web | head -c -1"
        " | xargs -0 docker create --name web-next nginx:1"
    )
    create = recreated(options=(*options("command", image="nginx:1"), env))
    assert create.endswith(" xargs -0 docker create --name web-next --env-file /dev/fd/3 nginx:1; } 3<&0")
    create = recreated(options=options("label", "command", image="a b"))
    assert create.endswith(
        '{{"a b"}}{{$z}}{{range .Config.Cmd}}{{.}}{{$z}}{{end}}\' web | head -c -1 | xargs -0 docker create --name web-next'
    )
    many = tuple(replace(env, value=f"VARIABLE_NUMBER_{number}") for number in range(9))
    create = recreated(options=(*options(image="nginx:1"), *many))
    assert "| grep -vxF \"$(docker image inspect -f '{{range .Config.Env}}{{println .}}{{end}}' nginx:1)\" |" in create


def test_a_variable_is_changed_in_its_line() -> None:
    reference = Reference(where="environment", key="API_URL", scheme="http", host="a.b", port=80)
    api = container("api", options=(*options(image="nginx:1"), RunOption(name="env", value="API_URL")))
    create = remedy.point_at(facts(api), api, reference, "web", 8080).commands[0]
    (sed,) = (part for part in create.split(" | ") if part.startswith("sed"))
    for old, new in (
        ("API_URL=http://a.b:80/x?a.b", "API_URL=http://web:8080/x?a.b"),
        ("API_URL=http://a.b", "API_URL=http://web:8080"),
        ("OTHER=http://a.b:80", "OTHER=http://a.b:80"),
        ("API_URL=http://aXb:80", "API_URL=http://aXb:80"),
    ):
        changed = subprocess.run(["sh", "-c", sed], input=f"{old}\n", capture_output=True, text=True, check=True)
        assert changed.stdout == f"{new}\n"


def test_ports_that_follow_on_one_another_are_one_option() -> None:
    ports = [PortBinding(port=port, protocol="tcp", host_port=f"{port + 1000}") for port in (9001, 9000, 9002, 9004)]
    ports += [PortBinding(port=port, protocol="udp") for port in (53, 54)]
    ports += [PortBinding(port=port, protocol="tcp", host_port="8000-8010", host_ip="127.0.0.1") for port in (70, 71)]
    create = recreated(bindings=tuple(ports), options=tuple(RunOption(name="expose", value=f"{p}/tcp") for p in (7, 8, 9, 11)))
    said = "-p 10000-10002:9000-9002 -p 10004:9004 -p 127.0.0.1:8000-8010:70 -p 127.0.0.1:8000-8010:71 -p 53/udp -p 54/udp"
    assert f" --expose 7-9 --expose 11 {said} " in create


def test_what_equals_a_default_is_said_where_the_daemon_has_another() -> None:
    web = container()
    known = facts(web, daemon=daemon_json('{"default-shm-size": "128M"}'))
    assert "--shm-size={{.}}" in remedy.recreate(known, web, summary="").commands[0]


def recreated(**fields: Any) -> str:
    web = container(**fields)
    return remedy.recreate(facts(web), web, summary="").commands[0]


def test_compose_gets_an_edit_and_the_command_that_applies_it() -> None:
    web = container("shop-web-1", compose=COMPOSE, bindings=(LOOPBACK,))
    (fix,) = remedy.republish(facts(web), web, add=[WEB], remove=[LOOPBACK])
    assert fix.commands == ("docker compose -p shop -f /srv/compose.yml up -d web",)
    assert (fix.runnable, fix.impacts) == (False, ("edits-file", "recreates-container"))
    assert fix.edits[0].diff == (
        "--- /srv/compose.yml\n+++ /srv/compose.yml\n@@ -1,4 +1,4 @@\n"
        ' services:\n   web:\n     ports:\n-      - "127.0.0.1:8080:80"\n+      - "8080:80"\n'
    )


def test_compose_of_old_is_a_program_of_its_own() -> None:
    web = container("shop_web_1", compose=replace(COMPOSE, version="1.29.2"), bindings=(LOOPBACK,))
    (fix,) = remedy.republish(facts(web), web, add=[WEB], remove=[LOOPBACK])
    assert fix.commands == ("docker-compose -p shop -f /srv/compose.yml up -d web",)


def test_compose_service_joins_a_foreign_network_without_leaving_its_own() -> None:
    default = Network(
        id="id-shop_default", name="shop_default", driver="bridge", compose_project="shop", compose_network="default"
    )
    web = container("shop-web-1", compose=COMPOSE, endpoints=on("shop_default"))
    now, edit = remedy.join_network(facts(web, networks=(default,)), web, "other")
    assert (now.commands, now.lasts) == (("docker network connect other shop-web-1",), "until-restart")
    added = [line[1:] for line in edit.edits[0].diff.splitlines()[3:] if line.startswith("+")]
    assert added == ["    networks:", "      - default", "      - other", "networks:", "  other:", "    external: true"]


def test_altered_in_the_form_that_made_it() -> None:
    host = "host.docker.internal:host-gateway"
    plain, web = container(), container("shop-web-1", compose=COMPOSE, dns=("10.0.0.1",))
    task = container("api.1.x", swarm=SwarmTask(service="api"))
    known = facts(plain, web, task)
    assert f" --add-host {host} nginx:1" in remedy.alter(known, plain, summary="", add_hosts=[host]).commands[0]
    assert remedy.alter(known, task, summary="", add_hosts=[host]).commands == (f"docker service update --host-add {host} api",)
    edit = remedy.alter(known, web, summary="", add_hosts=[host], dns=["10.0.0.2"]).edits[0]
    assert edit.diff.splitlines()[5:] == [
        "     dns:",
        '-      - "10.0.0.1"',
        '+      - "10.0.0.2"',
        "+    extra_hosts:",
        f'+      - "{host}"',
    ]
    again = remedy.alter(known, web, summary="")
    assert (again.runnable, again.commands) == (
        True,
        ("docker compose -p shop -f /srv/compose.yml up -d --force-recreate web",),
    )


def test_swarm_gets_a_service_update() -> None:
    task = container("api.1.x", swarm=SwarmTask(service="api"), bindings=(WEB,))
    engine = Engine(version="28.5.2", swarm=Swarm(manager=True))
    service = Service(id="s", name="api", ports=((8080, 80, "tcp", "host"),))
    (fix,) = remedy.republish(facts(task, engine=engine, services=(service,)), task, add=[LOOPBACK], remove=[WEB])
    port = "published=8080,target=80,protocol=tcp,mode=host"
    assert fix.commands == (f"docker service update --publish-rm {port} --publish-add {port} api",)
    assert fix.runnable
    assert not remedy.restart(facts(task), task).runnable  # only a manager can


def test_services_meet_on_a_network_of_the_swarm() -> None:
    task, plain = container("api.1.x", swarm=SwarmTask(service="api")), container()
    bridge = Network(id="n1", name="app", driver="bridge")
    made, joined = remedy.resettle(facts(task, networks=(bridge,)), task)[1]
    assert (made.commands, made.undo) == (("docker network create -d overlay app-2",), ("docker network rm app-2",))
    assert joined.commands == ("docker service update --network-add app-2 api",)
    first = remedy.resettle(facts(task, plain), task, plain)[1][0]
    assert first.commands == ("docker network create -d overlay --attachable app",)


def test_who_shares_the_namespace_is_restarted_after_its_owner() -> None:
    vpn, side = container("vpn", id="v" * 64), container("side", id="s" * 64, network_mode="container:" + "v" * 64)
    known = facts(side, vpn, container())
    assert remedy.restart(known, vpn).commands == ("docker restart vpn", "docker restart side")
    assert remedy.restart(known, vpn).summary == "Restart vpn. Then restart side, to join its new namespace."
    assert remedy.restart(known, side).commands == ("docker restart side",)


def test_none_is_left_before_another_network_is_joined() -> None:
    web = container(network_mode="none", endpoints=on("none"))
    (fix,) = remedy.join_network(facts(web), web, "app", aliases=["www"], address="fd00::9", gateway_priority=1)
    assert fix.commands == (
        "docker network disconnect none web",
        "docker network connect --alias www --ip6 fd00::9 --gw-priority=1 app web",
    )


def test_network_made_anew_with_its_members_waiting_on_another() -> None:
    app = Network(
        id="id-app",
        name="app",
        driver="bridge",
        options={"com.docker.network.driver.mtu": "9000", "com.docker.network.enable_ipv4": "true"},
        subnets=(Subnet(subnet="10.0.0.0/24", gateway="10.0.0.1"),),
    )
    web = container(network_mode="app", endpoints=on("app", aliases=("www",), requested_ipv4="10.0.0.9"))
    known = facts(web, networks=(app,))
    options = {"com.docker.network.driver.mtu": "1400"}
    commands = remedy.recreate_network(known, app, summary="", options=options).commands
    assert commands[1:3] == (
        "docker network connect --alias www app-interim web",
        "docker network disconnect app web",
    )
    assert commands[3].startswith("docker network rm app && docker network inspect -f ")
    assert commands[3].endswith(
        " docker network create --subnet 10.0.0.0/24 --gateway 10.0.0.1 -o com.docker.network.driver.mtu=1400 app"
    )
    assert commands[4] == "docker network connect --alias www --ip 10.0.0.9 app web"
    assert commands[5:] == ("docker network disconnect app-interim web", "docker network rm app-interim")
    with pytest.raises(ValueError, match="bridge"):
        remedy.recreate_network(known, Network(id="b", name="bridge", driver="bridge"), summary="")


def test_network_without_labels_and_with_many_members_takes_few_plain_lines_there_and_back() -> None:
    app = Network(id="id-app", name="app", driver="bridge", subnets=(Subnet(subnet="10.0.0.0/24"),), has_labels=False)
    members = [container(name=name, id=name * 64, network_mode="app", endpoints=on("app")) for name in "abc"]
    fix = remedy.recreate_network(facts(*members, networks=(app,)), app, summary="", internal=True)
    assert fix.commands == (
        "docker network create app-interim",
        "echo a b c | xargs -n 1 docker network connect app-interim",
        "echo a b c | xargs -n 1 docker network disconnect app",
        "docker network rm app && docker network create --internal --subnet 10.0.0.0/24 app",
        "echo a b c | xargs -n 1 docker network connect app",
        "echo a b c | xargs -n 1 docker network disconnect app-interim",
        "docker network rm app-interim",
    )
    assert fix.undo[3] == "docker network rm app && docker network create --subnet 10.0.0.0/24 app"
    assert fix.undo[0] == "docker network create --internal app-interim"


def test_compose_network_is_changed_in_its_file() -> None:
    app = Network(
        id="id-shop_app", name="shop_app", driver="bridge", internal=True, compose_project="shop", compose_network="app"
    )
    web = container(compose=COMPOSE, endpoints=on("shop_app"))
    fix = remedy.recreate_network(facts(web, networks=(app,)), app, summary="", internal=False, options={"mtu": "1400"})
    command = "docker compose -p shop -f /srv/compose.yml"
    assert fix.commands == (f"{command} down && {command} up -d",)
    assert fix.edits[0].diff.endswith(' networks:\n   app:\n+    internal: false\n+    driver_opts:\n+      mtu: "1400"\n')


def daemon_json(text: str | None, **fields: Any) -> Daemon:
    file = TextFile(path="/etc/docker/daemon.json", kind="daemon.json", text=text or "", exists=text is not None)
    return Daemon(service_state="active", files=(file,), **fields)


@pytest.mark.parametrize(
    ("command", "fields"),
    [
        ("systemctl restart docker", {"daemon": Daemon(service_state="active")}),
        ("systemctl --user restart docker", {"engine": Engine(version="28.5.2", rootless=True)}),
        ("snap restart docker", {"daemon": Daemon(service_state="active", executable="/snap/docker/2932/bin/dockerd")}),
        ("rc-service docker restart", {"daemon": Daemon(files=(TextFile(path="/etc/conf.d/docker", kind="defaults"),))}),
        ("service docker restart", {"daemon": Daemon(files=(TextFile(path="/etc/default/docker", kind="defaults"),))}),
    ],
)
def test_the_service_is_restarted_in_the_way_of_its_host(command: str, fields: dict[str, Any]) -> None:
    known = facts(**fields)
    assert remedy.restart_daemon(known).commands == (command,)
    assert remedy.service_command(known, "start") == command.replace("restart", "start")


def test_daemon_json_is_written_whole_checked_and_kept(tmp_path: Path) -> None:
    known = facts(daemon=daemon_json('{\n    "icc": false,\n    "mtu": 1400\n}\n'))
    fix = remedy.edit_daemon_json(known, {"log": "it's"}, remove=["icc"], summary="")
    write, check, swap, restart = fix.commands
    assert check == "dockerd --validate --config-file=/etc/docker/daemon.json.new"
    assert restart == "systemctl restart docker"
    (tmp_path / "daemon.json").write_text("old")
    for line in (write, swap):
        subprocess.run(["sh", "-c", line.replace("/etc/docker", str(tmp_path))], check=True)
    assert (tmp_path / "daemon.json").read_text() == '{\n    "mtu": 1400,\n    "log": "it\'s"\n}\n'
    assert (tmp_path / "daemon.json.before").read_text() == "old"
    assert '-    "icc": false,\n' in fix.edits[0].diff
    assert fix.runnable


def test_daemon_json_that_was_not_seen_whole_is_for_the_reader_to_edit() -> None:
    fix = remedy.edit_daemon_json(facts(), {"icc": True}, summary="")
    assert (fix.runnable, fix.commands) == (False, ("service docker restart",))
    assert '+  "icc": true,\n' in fix.edits[0].diff
    assert not remedy.edit_daemon_json(facts(daemon=daemon_json("{ nonsense")), {"icc": True}, summary="").runnable
    assert remedy.edit_daemon_json(facts(daemon=daemon_json("{ nonsense")), text="{}\n", summary="").runnable
    secret = facts(daemon=daemon_json('{"proxy": "http://***@10.0.0.1"}'))
    assert not remedy.edit_daemon_json(secret, {"icc": True}, summary="").runnable


def test_live_restore_spares_the_containers() -> None:
    spared = facts(engine=Engine(version="28.5.2", live_restore=True))
    assert remedy.restart_daemon(spared).impacts == ("restarts-daemon",)
    assert remedy.restart_daemon(facts()).impacts == ("restarts-daemon", "restarts-container")


def test_sysctl_is_set_now_and_where_it_is_set_otherwise(tmp_path: Path) -> None:
    key = "net.ipv4.ip_forward"
    file = tmp_path / "10-x.conf"
    file.write_text("# a\n net.ipv4.ip_forward=0\nnet.ipv4.ip_forward_x = 0\n")
    host = Host(sysctl_settings=(SysctlSetting(file=str(file), line=2, key=key, value="0"),))
    now, lasting = remedy.set_sysctl(facts(host=host), key, "1").commands
    assert now == "sysctl -w net.ipv4.ip_forward=1"
    subprocess.run(["sh", "-c", lasting], check=True)
    assert file.read_text() == "# a\n net.ipv4.ip_forward= 1\nnet.ipv4.ip_forward_x = 0\n"
    assert "'net.ipv4.ip_forward = 1' >> /etc/sysctl.d/" in remedy.set_sysctl(facts(), key, "1").commands[1]


def test_namespace_is_entered_by_the_containers_name() -> None:
    command = remedy.enter_namespace(container(), "ip", "link", "set", "eth0", "up")
    assert command == "nsenter -t \"$(docker inspect -f '{{.State.Pid}}' web)\" -n ip link set eth0 up"


def test_aliases_and_options_of_an_endpoint_are_kept() -> None:
    options = {"com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.log_martians=1"}
    aliased = ContainerLink(target="db", alias="store")
    endpoints = on("app", "back", links=(aliased,), driver_options=options, link_local=("169.254.3.4",))
    web = container(network_mode="app", endpoints=endpoints)
    create, connect, *_ = remedy.recreate(facts(web), web, summary="").commands
    assert (
        "--network 'name=app,\"driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1\"'" in create
    )
    assert "--link-local-ip 169.254.3.4" in create
    assert "--link db:store" in create
    assert connect.startswith("docker network connect --link db:store --driver-opt com.docker.network.endpoint.sysctls=")


def test_a_mount_is_left_out() -> None:
    web = container(options=options(volumes_from="web", volume="/a:/x:ro", image="nginx:1"))
    create = remedy.recreate(facts(web), web, summary="", without_mount="/x").commands[0]
    assert '{{range .Mounts}}{{if ne .Destination "/x"}}' in create
    assert create.endswith(" xargs -0 docker create --name web-next")


@pytest.mark.parametrize(
    ("key", "scheme", "changed"),
    [
        ("API", "http", {"web:8080": "web:80", "//web": "//web:80", "@web": "@web:80"}),
        ("API_HOST", "", {"web:8080": "web:80", "8080": "80"}),
        ("api.host", "", {"web:8080": "web:80", "8080": "80"}),
        ("BACKEND", "", {"web:8080": "web:80"}),
    ],
)
def test_the_port_of_a_setting_is_changed_where_it_stands(key: str, scheme: str, changed: dict[str, str]) -> None:
    """Behind the host, where none was written after the scheme, or in the variable beside that of the host."""
    api = container("api", options=None)
    fix = remedy.point_at(
        facts(api), api, Reference(where="environment", key=key, scheme=scheme, host="web", port=8080), "web", 80
    )
    create = fix.commands[0]
    for old, new in changed.items():
        assert f'join (split . "{old}") "{new}"' in create
    beside = {"API_HOST": "API_PORT=", "api.host": "api.port="}
    assert all((variable in create) is (beside.get(key) == variable) for variable in beside.values())
