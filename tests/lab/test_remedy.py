"""A container made anew loses nothing, whatever its values look like; every printed line is run by its own `sh -c`."""

from __future__ import annotations

import json
import shlex
import time
from typing import Any

import pytest

from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.finding import Fix
from dockernet_doctor.diagnosis.fixes import remedy
from dockernet_doctor.snapshot.endpoint import DaemonEndpoint
from dockernet_doctor.snapshot.engine import read_engine
from dockernet_doctor.snapshot.http import Api
from dockernet_doctor.snapshot.model import Container, Daemon, PortBinding, Snapshot, TextFile
from tests.lab.host import Host

AWKWARD = "a b'c\"d$HOME `id`\\n\n\t{{.Id}} é *"
SERVE = "httpd -p 80 -h /www; exec sleep 1000"
RUN = ["run", "-d", "--stop-signal", "KILL", "--name"]  # a stop takes no time
WEB = PortBinding(port=80, protocol="tcp", host_port="8080")


def test_nothing_is_lost(host: Host, engine: str) -> None:
    _image(
        host, "odd", 'ENTRYPOINT ["sh","-c"]', 'HEALTHCHECK --interval=7s CMD ["test","a b"]', "VOLUME /data", "EXPOSE 9/udp"
    )
    host.write("/run/seccomp.json", '{"defaultAction": "SCMP_ACT_ALLOW"}')
    host.docker("network create --subnet 10.77.0.0/24 app")
    host.docker("network create --subnet 10.78.0.0/24 back")
    words = (
        "run -d --name web --network app --network-alias www --ip 10.77.0.77 -p 127.0.0.1:8080:80 -p 53:53/udp -p 9000"
        " --restart on-failure:3 --cap-add NET_ADMIN --cap-drop CHOWN --security-opt seccomp=/run/seccomp.json"
        " --security-opt no-new-privileges --read-only --tmpfs /run --tmpfs /tmp:size=1m --memory 64m --cpus 0.5"
        " --shm-size 8m --ulimit nofile=512:1024 --sysctl net.ipv4.ip_default_ttl=60 --add-host db:10.1.2.3"
        " --dns 10.9.9.9 --dns-search example.test --dns-option ndots:2 --log-opt max-size=1m --init --ipc shareable"
        " --hostname shop --domainname example.test --user 0:0 --workdir /www --group-add 7 --stop-signal KILL --stop-timeout 1"
        " --device /dev/null:/dev/zilch:rw --pids-limit 99 --oom-score-adj 5 -v named:/named -v /run/seccomp.json:/p.json:ro"
        " --health-retries 9 --expose 7 --cgroupns private -t"
    )
    values = ["-e", f"ODD={AWKWARD}", "-e", "EMPTY=", "-l", f"odd={AWKWARD}", "-l", "none="]
    mac = [] if engine == "oldest" else ["--mac-address", "02:11:22:33:44:55"]
    host.docker([*words.split(), *mac, *values, "odd", SERVE, "", AWKWARD])
    host.docker("network connect --alias backend --ip 10.78.0.78 back web")
    before = _inspect(host, "web")

    facts = _facts(host)
    loopback = [b for b in _container(facts).bindings if b.host_ip]
    fix = remedy.republish(facts, _container(facts), add=[WEB], remove=loopback)[0]
    assert AWKWARD not in "".join(fix.commands)
    _run(host, fix)

    after = _inspect(host, "web")
    lost = {
        field: (value, _kept(after).get(field)) for field, value in _kept(before).items() if value != _kept(after).get(field)
    }
    assert not lost
    ports = before["HostConfig"]["PortBindings"]
    assert ports.pop("80/tcp") == [{"HostIp": "127.0.0.1", "HostPort": "8080"}]
    assert after["HostConfig"]["PortBindings"] == {**ports, "80/tcp": [{"HostIp": "", "HostPort": "8080"}]}
    host.wait(lambda: host.neighbour.page(f"http://{host.address}:8080"))
    assert _inspect(host, "web-before")["State"]["Running"] is False


def test_entrypoint_cleared_and_exec_health_check_of_nobodys_image(host: Host) -> None:
    _image(host, "odd", 'ENTRYPOINT ["false"]', 'CMD ["nonsense"]')
    body = {"Image": "odd", "Entrypoint": [""], "Cmd": ["sleep", "1000"], "Healthcheck": {"Test": ["CMD", "test", AWKWARD]}}
    request = f"curl -fsS --unix-socket /run/docker.sock -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(body))}"
    host.run(f"{request} 'http://docker/containers/create?name=web'")
    host.docker("start web")
    host.docker("tag net-test odd")  # the tag has moved on
    before = _inspect(host, "web")
    _run(host, remedy.recreate(facts := _facts(host), _container(facts), summary="", publish=[WEB]))
    after = _inspect(host, "web")
    assert (after["Config"]["Entrypoint"], after["Config"]["Cmd"]) == (None, ["sleep", "1000"])
    assert (after["Image"], after["State"]["Running"]) == (before["Image"], True)
    kind, check = after["Config"]["Healthcheck"]["Test"]
    assert kind == "CMD-SHELL"
    assert host.docker(["exec", "web", "sh", "-c", check.replace("exec 'test' ", "printf %s ")]).stdout == AWKWARD


def test_removed_when_stopped_and_found_by_its_dependants(host: Host) -> None:
    _image(host, "checked", "HEALTHCHECK --interval=7s CMD true")
    more = ["--mount", "type=tmpfs,dst=/cache,tmpfs-size=1048576,tmpfs-mode=1770", "--no-healthcheck", "-v", "/keep"]
    host.docker([*RUN, "web", "--rm", *more, "checked", "sh", "-c", f"echo old > /keep/x; {SERVE}"])
    host.docker("run -d --stop-signal KILL --name side --network container:web net-test")
    host.docker("run -d --stop-signal KILL --name old --link web:shop net-test")
    _run(host, remedy.republish(facts := _facts(host), _container(facts), add=[WEB])[0])
    host.wait(lambda: host.neighbour.page(f"http://{host.address}:8080"))
    assert host.docker("exec web cat /keep/x").stdout == "old\n"
    web = _inspect(host, "web")
    assert (web["HostConfig"]["AutoRemove"], web["Config"]["Healthcheck"]["Test"]) == (True, ["NONE"])
    assert web["HostConfig"]["Mounts"][0]["TmpfsOptions"] == {"SizeBytes": 1 << 20, "Mode": 0o1770}
    assert host.docker("exec side wget -qO- http://127.0.0.1/").ok or host.in_sandbox("side", "nc -z 127.0.0.1 80").ok
    assert host.in_sandbox("old", "true").ok
    assert "shop" in host.docker("exec old cat /etc/hosts").stdout
    assert host.docker("ps -a --format {{.Names}}").stdout.split().count("web-before") == 0


def test_moved_from_the_default_bridge_from_host_mode_and_from_none(host: Host) -> None:
    host.docker("network create app")
    host.docker([*RUN, "web", "-p", "8080:80", "net-test", "sh", "-c", SERVE])
    _run(host, remedy.recreate(facts := _facts(host), _container(facts), summary="", network="app"))
    assert list(_inspect(host, "web")["NetworkSettings"]["Networks"]) == ["app"]
    host.wait(lambda: host.neighbour.page(f"http://{host.address}:8080"))
    host.docker("run -d --stop-signal KILL --name api --network host net-test")
    _run(host, remedy.join_network(facts := _facts(host), _container(facts, "api"), "app")[0])
    api = _inspect(host, "api")
    assert (list(api["NetworkSettings"]["Networks"]), api["Config"]["Hostname"]) == (["app"], api["Id"][:12])
    assert host.docker("exec api ping -c 1 -W 2 web").ok
    host.docker("run -d --stop-signal KILL --name job --network none net-test")
    _run(host, remedy.join_network(facts := _facts(host), _container(facts, "job"), "app", aliases=["worker"])[0])
    assert list(_inspect(host, "job")["NetworkSettings"]["Networks"]) == ["app"]
    assert host.docker("exec api ping -c 1 -W 2 worker").ok


def test_network_made_anew_keeps_members_names_and_addresses(host: Host) -> None:
    host.docker("network create --subnet 10.77.0.0/24 -o com.docker.network.driver.mtu=1500 --label secret=x app")
    host.docker([*RUN, "web", "--network", "app", "--ip", "10.77.0.9", "-p", "8080:80", "net-test", "sh", "-c", SERVE])
    host.docker("run -d --stop-signal KILL --name api --network app --network-alias backend net-test")
    facts = _facts(host)
    options = {"com.docker.network.driver.mtu": "1400"}
    _run(host, remedy.recreate_network(facts, facts.networks["app"], summary="", options=options))
    app = json.loads(host.docker("network inspect app").stdout)[0]
    assert (app["Options"]["com.docker.network.driver.mtu"], app["Labels"]) == ("1400", {"secret": "x"})
    assert "10.77.0.9" in host.docker("exec api ping -c 1 -W 2 web").stdout
    assert host.docker("exec web ping -c 1 -W 2 backend").ok
    assert "mtu 1400" in host.in_sandbox("web", "ip -o link show type veth").stdout
    assert host.neighbour.page(f"http://{host.address}:8080")
    assert host.docker("network ls --format {{.Name}}").stdout.split() == ["app", "bridge", "host", "none"]


@pytest.mark.parametrize("engine", ["newest"], indirect=True)
def test_daemon_json_is_checked_kept_and_in_force(host: Host) -> None:
    facts = _facts(host)
    _run(host, remedy.edit_daemon_json(facts, {"bip": "172.31.9.1/24"}, summary=""))
    assert "172.31.9.1/24" in host.run("ip -o addr show docker0").stdout
    bad = remedy.edit_daemon_json(facts, {"bipp": "x"}, summary="")
    assert not all(host.ok(["sh", "-c", line]) for line in bad.commands)
    assert "172.31.9.1" in host.read("/etc/docker/daemon.json")
    host.run("rm /etc/docker/daemon.json* && systemctl restart docker")


# --- from inspection to facts ---------------------------------------------------------------------------------------


def _run(host: Host, fix: Fix) -> None:
    for line in fix.commands:
        host.run(["sh", "-c", line])


def _image(host: Host, name: str, *changes: str) -> None:
    host.docker("create --name base net-test")
    host.docker(["commit", *(word for change in changes for word in ("-c", change)), "base", name])
    host.docker("rm base")


def _inspect(host: Host, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(host.docker(["inspect", name]).stdout)[0]
    return found


_CHANGED = {
    "Config": {"AttachStdout", "AttachStderr", "Volumes", "ExposedPorts", "Entrypoint", "Cmd"},
    "HostConfig": {"Binds", "VolumesFrom", "PortBindings", "ConsoleSize", "NetworkMode"},
}


def _kept(inspection: dict[str, Any]) -> dict[str, Any]:
    """What has to be the same before and after, field by field."""
    kept: dict[str, Any] = {
        f"{part}.{k}": v or None for part, left in _CHANGED.items() for k, v in inspection[part].items() if k not in left
    }
    for field in ("Config.Env", "HostConfig.SecurityOpt"):  # whose order does not count
        kept[field] = sorted(kept[field] or [])
    kept["Ports"] = sorted(inspection["Config"]["ExposedPorts"])
    kept["Mounts"] = sorted((m["Destination"], m.get("Name"), m["Source"], m["RW"], m["Type"]) for m in inspection["Mounts"])
    kept |= {"Image": inspection["Image"], "Command": [inspection["Path"], *inspection["Args"]]}
    for name, e in inspection["NetworkSettings"]["Networks"].items():
        aliases = sorted(set(e["Aliases"] or []) - {inspection["Id"][:12]})
        kept[f"Networks.{name}"] = (aliases, e["IPAddress"], e["IPAMConfig"])
    return kept


def _container(facts: HostFacts, name: str = "web") -> Container:
    container = facts.container(name)
    assert container
    return container


def _facts(host: Host) -> HostFacts:
    endpoint = DaemonEndpoint(url=f"unix://{host.path('/run/docker.sock')}")
    with Api(endpoint, timeout=10, deadline=time.monotonic() + 30) as api:
        reading = read_engine(api)
    file = TextFile(path="/etc/docker/daemon.json", kind="daemon.json", exists=False)
    snapshot = Snapshot(
        name="h1",
        taken_at="",
        endpoint=endpoint.url,
        engine=reading.engine,
        containers=reading.containers,
        networks=reading.networks,
        daemon=Daemon(service_state="active", files=(file,)),
    )
    return HostFacts(snapshot)
