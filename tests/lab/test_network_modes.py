"""Network modes and states: none, host, shared namespaces, internal networks, macvlan, and containers that do not run."""

from __future__ import annotations

import shlex
from collections.abc import Callable

import pytest

from tests.lab.case import FaultCase, faults, prove
from tests.lab.host import Doctor, Host

SERVE = "net-test httpd -f -p 80 -h /www"
OPENS = "docker exec cli timeout 4 nc -w 2 {} {} -e true"  # this nc has no -z: run a program, which ends at once
WEB_BY_NAME = OPENS.format("web", 80)
PAGE = "curl -fsS -m 2 http://127.0.0.1:8080"


def pair(network: str = "app") -> str:
    """web serves, cli asks, both on one network."""
    return (
        f"docker network create {network}; docker run -d --name web --net {network} {SERVE}; "
        f"docker run -d --name cli --net {network} net-test"
    )


def says(*words: str) -> Callable[[Host, Doctor], object]:
    def verify(host: Host, answer: Doctor) -> None:
        summary = answer.findings[0]["summary"]
        assert all(word in summary for word in words), summary

    return verify


def anew(name: str, run: str) -> str:
    return f"docker rm -f {name}; {run}"


START = "'nc -w 2 db 5432 -e true && exec sleep 1000'"
VPN = "docker run -d --name vpn -p 8080:80 net-test; docker run -d --name app --net container:vpn " + SERVE
MACVLAN = (
    "docker network create -d macvlan --subnet 10.99.0.0/24 --ip-range 10.99.0.192/28 -o parent=eth1 lan; "
    f"docker run -d --name web --net lan {SERVE}"
)

CASES = [
    FaultCase(
        cause="none-network", healthy=pair(), broken=anew("web", f"docker run -d --name web --net none {SERVE}"),
        symptom=WEB_BY_NAME, reach="cli web:80", check="info",
    ),
    FaultCase(
        cause="none-network", name="none-network-source", healthy=pair(),
        broken=anew("cli", "docker run -d --name cli --net none net-test"),
        symptom=WEB_BY_NAME, reach="cli web:80", check="info", engines=("middle",),
    ),
    FaultCase(
        cause="none-network", name="none-network-published", healthy=f"docker run -d --name web -p 8080:80 {SERVE}",
        broken=anew("web", f"docker run -d --name web --net none -p 8080:80 {SERVE}"),
        symptom=PAGE, reach="outside web:80", check="first", engines=("newest",),
    ),
    FaultCase(
        cause="host-network-used", healthy=pair(), broken=anew("cli", "docker run -d --name cli --net host net-test"),
        symptom=WEB_BY_NAME, reach="cli web:80", check="info",
    ),
    FaultCase(
        cause="host-network-used", name="host-network-used-target", healthy=pair(),
        broken=anew("web", f"docker run -d --name web --net host {SERVE}"),
        symptom=WEB_BY_NAME, reach="cli web:80", check="info", engines=("middle",),
    ),
    FaultCase(
        cause="container-paused", healthy=f"docker run -d --name web -p 8080:80 {SERVE}", broken="docker pause web",
        symptom=PAGE, reach="host web:80",
    ),
    FaultCase(
        cause="container-paused", name="container-frozen", healthy=f"docker run -d --name web -p 8080:80 {SERVE}",
        broken="P=$(docker inspect -f '{{.State.Pid}}' web); F=$(sed -n 's/.*:freezer://p' /proc/$P/cgroup); "
        "if [ -n \"$F\" ]; then echo FROZEN >/sys/fs/cgroup/freezer$F/freezer.state; "
        "else echo 1 >/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/$P/cgroup)/cgroup.freeze; fi",
        symptom=PAGE, reach="host web:80", engines=("newest",),
    ),
    FaultCase(
        cause="container-not-running", name="container-exited", healthy=pair(), broken="docker stop -t 0 web",
        symptom=WEB_BY_NAME, reach="cli web:80", check="info",
    ),
    FaultCase(
        cause="container-not-running", name="container-failed", healthy=f"docker run -d --name web -p 8080:80 {SERVE}",
        broken="docker rm -f web; docker run -d --name web -p 8080:80 net-test sh -c 'echo no configuration >&2; exit 3'; "
        "until docker inspect -f '{{.State.Status}}' web | grep -q exited; do sleep 0.1; done",
        symptom=PAGE, reach="outside web:80", fix=False, verify=says("exited with status 3"), engines=("newest",),
    ),
    FaultCase(
        cause="shared-namespace-lost", healthy=VPN, broken="docker restart -t 0 vpn", symptom=PAGE, reach="host vpn:80",
    ),
    FaultCase(
        cause="shared-namespace-lost", name="shared-namespace-source",
        healthy=f"{pair()}; docker run -d --name vpn --net app net-test; docker rm -f cli; "
        "docker run -d --name cli --net container:vpn net-test",
        broken="docker restart -t 0 vpn", symptom=WEB_BY_NAME, reach="cli web:80", engines=("oldest",),
    ),
    FaultCase(
        cause="shared-namespace-lost", name="shared-namespace-gone", healthy=VPN,
        broken="docker rm -f vpn; docker run -d --name vpn -p 8080:80 net-test", symptom=PAGE, reach="host app:80",
        check="listed", engines=("oldest", "newest"),
    ),
    FaultCase(
        cause="network-gone", healthy=pair(),
        broken="docker stop -t 0 web cli; docker network rm app; docker network create app; docker start web || true; "
        "docker rm cli; docker run -d --name cli --net app net-test",
        symptom=WEB_BY_NAME, reach="cli web:80",
    ),
    FaultCase(
        cause="network-gone", name="network-gone-second",
        healthy=f"docker network create extra; {pair()}; docker network connect extra web",
        broken="docker stop -t 0 web; docker network rm extra; docker start web || true",
        symptom=WEB_BY_NAME, reach="cli web:80", engines=("newest",),
    ),
    FaultCase(
        cause="internal-network-no-egress",
        healthy="docker network create out; docker run -d --name cli --net out net-test",
        broken="docker network create --internal inner; docker network connect inner cli; docker network disconnect out cli",
        symptom=OPENS.format("$NEIGHBOUR", 53), reach="cli 10.99.0.2:53", check="info",
    ),
    FaultCase(
        cause="internal-network-no-egress", name="internal-network-name",
        healthy="docker network create out; docker run -d --name cli --net out net-test",
        broken="docker network create --internal inner; docker network connect inner cli; docker network disconnect out cli",
        symptom=OPENS.format("neighbour.test", 53), reach="cli neighbour.test:53", check="info", engines=("oldest", "middle"),
    ),
    FaultCase(
        cause="ipv6-not-enabled",
        healthy="docker network create --ipv6 --subnet fd00:5::/64 six; docker run -d --name cli --net six net-test",
        broken="docker network create four; docker network connect four cli; docker network disconnect six cli",
        symptom="docker exec cli timeout 4 nc -w 2 $HOST6 8000 -e true", reach="cli [fd00:99::3]:8000", check="absent",
    ),
    FaultCase(
        cause="macvlan-host-isolated", healthy=f"docker run -d --name web {SERVE}", broken="docker rm -f web; " + MACVLAN,
        symptom="curl -fsS -m 2 http://$(docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' web)",
        reach="host web:80", check="absent", engines=("oldest", "newest"),
    ),
    FaultCase(
        cause="macvlan-host-isolated", name="macvlan-published", healthy=f"docker run -d --name web -p 8080:80 {SERVE}",
        broken="docker rm -f web; " + MACVLAN.replace("--name web", "--name web -p 8080:80"),
        symptom="curl -fsS -m 2 http://$HOST:8080", vantage="neighbour", reach="outside web:8080", fix=False,
        engines=("newest",),
    ),
    FaultCase(
        cause="startup-race",
        healthy="docker network create app; docker run -d --name db --net app net-test httpd -f -p 5432; "
        "docker run -d --name api --net app -e DATABASE_URL=postgres://db:5432 net-test sh -c " + START,
        broken="docker rm -f db api; docker run -d --name db --net app net-test sh -c 'sleep 2; exec httpd -f -p 5432'; "
        "docker run -d --name api --net app -e DATABASE_URL=postgres://db:5432 net-test sh -c " + START + "; "
        "until docker exec db nc -w 1 127.0.0.1 5432 -e true; do sleep 0.2; done",
        symptom="docker inspect -f '{{.State.Running}}' api | grep true", check="listed", engines=("newest",),
        verify=says("crashed because db was not listening on port 5432 yet"),
    ),
    FaultCase(
        cause="container-unhealthy",
        healthy=f"docker run -d --name web --health-interval=1s --health-retries=1 --health-cmd='test ! -e /sick' {SERVE}",
        broken="docker exec web touch /sick",
        symptom="! docker inspect -f '{{.State.Health.Status}}' web | grep -q unhealthy", check="first", fix=False,
        heal="docker exec web rm /sick",
    ),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _served(request: pytest.FixtureRequest, host: Host) -> None:
    """For the IPv6 case: something of the host that answers at its own address."""
    if "ipv6" in request.node.name:
        host.serve("nc -6 -lk 8000")


@faults(CASES)
def test_modes_and_states(host: Host, case: FaultCase) -> None:
    prove(host, case)


def test_a_port_that_is_taken_where_a_container_shares_the_network(host: Host) -> None:
    """Two programs behind one VPN, or one in mode host beside a service: whose log says that its port is taken. A container
    that was stopped for it is left alone."""
    host.serve("cd /run && python3 -IS -m http.server 8202")
    host.wait("curl -fsS http://127.0.0.1:8202")
    host.run(f"docker run -d --name vpn -p 8080:80 net-test; docker run -d --name app --net container:vpn {SERVE}")
    assert _errors(host) == []
    second = "httpd -f -p 80 || { echo listen tcp 0.0.0.0:80: bind: address already in use >&2; exit 1; }"
    start = "docker run -d --name app2 --restart {} --net container:vpn net-test sh -c " + shlex.quote(second)
    host.run(start.replace("{}", "on-failure:2", 1))
    host.run("docker run -d --name hosted --expose 8202 --net host net-test httpd -f -p 8202")
    host.wait("docker ps -a --filter status=exited -q | wc -l | grep -x 2")
    held = [f"host-port-in-use=port:app2:80/tcp@{host.engine}", f"host-port-in-use=port:hosted:8202/tcp@{host.engine}"]
    assert [f for f in _errors(host) if not f.startswith("container-not-running")] == held
    asked = host.doctor("reach outside app2:80 --format json")
    assert asked.causes == ["host-port-in-use", "container-not-running"]
    assert "the network that it shares with vpn" in asked.findings[0]["summary"]
    host.run("docker rm app2 hosted && " + start.replace("{}", "always", 1))
    host.wait("test $(docker inspect -f '{{.RestartCount}}' app2) -gt 1")
    host.run("docker stop -t 0 app2")
    assert _errors(host) == []


def _errors(host: Host) -> list[str]:
    return [f["id"] for f in host.doctor("check --format json").findings if f["severity"] == "error"]


def test_default_bridge_used(host: Host) -> None:
    host.docker(f"run -d --name one {SERVE}")
    assert "default-bridge-used" not in host.doctor("check --no-probes --format json").causes
    host.docker(f"run -d --name two {SERVE}")
    answer = host.doctor("check --format json")
    assert answer.status == 0
    (finding,) = answer.findings
    assert (finding["cause"], finding["severity"]) == ("default-bridge-used", "info")
    assert not host.ok("docker exec one nc -w 1 two 80 -e true")
    for command in finding["fixes"][0]["commands"]:
        host.run(command)
    assert host.ok("docker exec one nc -w 1 two 80 -e true")


def test_networks_that_cannot_be_joined_say_why(host: Host) -> None:
    """host-network-fixed and none-network: what the engine answers leads `explain` to the cause."""
    host.run(f"docker network create app; docker run -d --name web --net app {SERVE}")
    host.run(f"docker run -d --name hosted --net host {SERVE}; docker run -d --name lone --net none {SERVE}")
    refused = {
        "network connect host web": "host-network-fixed",
        "network disconnect host hosted": "host-network-fixed",
        "network connect app hosted": "host-network-fixed",
        "network connect app lone": "none-network",
        "network connect none web": "none-network",
    }
    for command, cause in refused.items():
        done = host.docker(command, check=False)
        assert not done.ok, command
        explained = host.doctor(["explain", done.stderr.strip(), "--format", "json"])
        assert explained.report["causes"][0]["cause"] == cause, done.stderr


def test_mode_host_is_joined_and_left_as_its_page_says(host: Host) -> None:
    """host-network-fixed: its commands with real names, into the mode and out of it; then a network can be joined."""
    host.run(f"docker network create app; docker network create other; docker run -d --name web --net app {SERVE}")
    (page,) = host.doctor("explain host-network-fixed --format json").report["causes"]
    commands = [line.strip() for line in page["page"].partition("## How to fix it")[2].splitlines() if line.startswith("    ")]
    names = {"NAME": "web", "IMAGE COMMAND": SERVE, "NETWORK": "app", "PORT": "8080"}
    joined, left = "\n".join(commands[:2]), "\n".join(commands[2:])
    for word, name in names.items():
        joined, left = joined.replace(word, name), left.replace(word, name)
    assert not host.ok("curl -fsS -m 1 http://127.0.0.1:80")
    host.run(["sh", "-ec", joined])
    host.wait("curl -fsS -m 1 http://127.0.0.1:80")
    host.run(["sh", "-ec", f"docker rm web-before; {left.replace('8080:8080', '8080:80')}; docker network connect other web"])
    host.wait(PAGE)
