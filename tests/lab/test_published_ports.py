"""Publishing a port: every cause that the kernel allows, on every engine, with its healthy twin and its printed fix."""

from __future__ import annotations

from collections.abc import Callable

from tests.lab.case import FaultCase, faults, prove
from tests.lab.host import Doctor, Host

WEB = "docker run -d --name web {} net-test httpd -f -p {} -h /www"
PAGE = "curl -fsS -m 2 http://$HOST:8080"
LOCAL = "curl -fsS -m 2 http://127.0.0.1:8080"


def web(flags: str, listen: str = "80") -> str:
    return WEB.format(flags, listen)


def anew(flags: str, listen: str = "80") -> str:
    return f"docker rm -f web; {web(flags, listen)}"


def not_started(flags: str) -> str:
    """Made anew, and refused by the engine."""
    return f"docker rm -f web; ! {web(flags)}"


def holds(*phrases: str) -> Callable[[Host, Doctor], object]:
    """The first summary says all of this."""

    def verify(host: Host, answer: Doctor) -> None:
        summary = answer.findings[0]["summary"].replace(host.address, "HOST")
        assert not [phrase for phrase in phrases if phrase not in summary], summary

    return verify


TWO = (
    "docker create --name web --network one --ip 10.77.1.9 net-test httpd -f -p {} -h /www; "
    "docker network connect --ip 10.77.2.9 two web; docker start web"
)
HELD_BY_PROCESS = "docker rm -f web; setsid nc -lk -p 8080 </dev/null >/dev/null 2>&1 & sleep 0.2; ! " + web("-p 8080:80")

CASES = [
    FaultCase(
        cause="port-not-published",
        healthy=web("-p 80:80"),
        broken=anew(""),
        symptom="curl -fsS -m 2 http://$HOST:80",
        vantage="neighbour",
        reach="outside web:80",
        check="absent",
    ),
    FaultCase(
        cause="port-not-published",
        name="not-published-on-internal",
        engines=("oldest",),
        healthy="docker network create --internal inner; " + web("-p 80:80"),
        broken=anew("--network inner"),
        symptom="curl -fsS -m 2 http://$HOST:80",
        vantage="neighbour",
        reach="outside web",
        check="absent",
        replay=False,
    ),
    FaultCase(
        cause="port-bound-to-loopback",
        healthy=web("-p 8080:80"),
        broken=anew("-p 127.0.0.1:8080:80"),
        symptom=PAGE,
        vantage="neighbour",
        reach="outside web:80",
        check="info",
    ),
    FaultCase(
        cause="port-bound-to-loopback",
        name="bound-to-loopback-by-network",
        engines=("newest",),
        healthy="docker network create -o com.docker.network.bridge.host_binding_ipv4=127.0.0.1 quiet; " + web("-p 8080:80"),
        broken=anew("--network quiet -p 8080:80"),
        symptom=PAGE,
        vantage="neighbour",
        reach="outside web",
        check="info",
        replay=False,
    ),
    FaultCase(
        cause="port-bound-to-other-interface",
        healthy=web("-p 8080:80"),
        broken=anew("-p $HOST:8080:80"),
        symptom=LOCAL,
        reach="host 127.0.0.1:8080",
        check="absent",
    ),
    FaultCase(
        cause="bind-address-missing",
        healthy=web("-p $HOST:8080:80"),
        broken=not_started("-p 10.99.0.77:8080:80"),
        symptom=PAGE,
        vantage="neighbour",
        reach="outside web:80",
    ),
    FaultCase(
        cause="bind-address-missing",
        name="bind-address-gone",
        engines=("middle",),
        healthy="ip addr add 10.99.0.78/24 dev eth1; " + web("-p 10.99.0.78:8080:80"),
        broken="ip addr del 10.99.0.78/24 dev eth1",
        symptom="curl -fsS -m 1 http://10.99.0.78:8080",
        reach="host web:80",
        fix=False,
        heal="ip addr add 10.99.0.78/24 dev eth1",
        replay=False,
    ),
    FaultCase(
        cause="host-port-in-use",
        name="port-held-by-container",
        healthy="docker run -d --name other -p 8081:80 net-test; " + web("-p 8080:80"),
        broken="docker rm -f web; ! " + web("-p 8081:80"),
        symptom="docker exec web true",
        reach="outside web:80",
        verify=holds("web cannot start", "8081/tcp", "the container other"),
        quiet=False,  # nothing listens in the other one
    ),
    FaultCase(
        cause="host-port-in-use",
        name="port-held-by-process",
        healthy=web("-p 8080:80"),
        broken=HELD_BY_PROCESS,
        symptom=PAGE,
        vantage="neighbour",
        reach="outside web",
        verify=holds("web cannot start", "nc (pid "),
        replay=False,
    ),
    FaultCase(
        cause="random-host-port",
        name="random-host-port-changed",
        healthy=web("-p 127.0.0.1:40123:80"),
        broken=anew("-p 127.0.0.1::80"),
        symptom="curl -fsS -m 2 http://127.0.0.1:40123",
        reach="host 127.0.0.1:40123",
        check="info",
        replay=False,
    ),
    FaultCase(
        cause="port-mapping-swapped",
        healthy=web("-p 8080:80"),
        broken=anew("-p 80:8080"),
        symptom=PAGE,
        vantage="neighbour",
        reach="outside web:80",
        verify=holds("80:8080", "8080:80 is meant"),
    ),
    FaultCase(
        cause="port-mapping-swapped",
        name="swapped-host-dialled",
        engines=("middle",),
        healthy=web("-p 8080:80"),
        broken=anew("-p 80:8080"),
        symptom=LOCAL,
        reach="host host:8080",
        replay=False,
    ),
    FaultCase(
        cause="container-port-mismatch",
        healthy=web("-p 8080:80"),
        broken=anew("-p 8080:8000"),
        symptom=PAGE,
        vantage="neighbour",
        reach="outside web:80",
        verify=holds("listens on 80"),
    ),
    FaultCase(
        cause="container-port-mismatch",
        name="mismatch-by-one",
        engines=("oldest",),
        healthy=web("-p 9090:9090", "9090"),
        broken=anew("-p 9090:9091", "9090"),
        symptom="curl -fsS -m 2 http://$HOST:9090",
        vantage="neighbour",
        reach="host web",
        replay=False,
    ),
    FaultCase(
        cause="no-listener",
        healthy=web("-p 8080:80"),
        broken="docker rm -f web; docker run -d --name web -p 8080:80 net-test",
        symptom=PAGE,
        vantage="neighbour",
        reach="outside web",
        fix=False,
        heal="docker exec -d web httpd -f -p 80 -h /www",
    ),
    FaultCase(
        cause="listener-on-loopback",
        healthy=web("-p 8080:80"),
        broken=anew("-p 8080:80", "127.0.0.1:80"),
        symptom=PAGE,
        vantage="neighbour",
        reach="host web:80",
        fix=False,
        heal=anew("-p 8080:80"),
    ),
    FaultCase(
        cause="protocol-mismatch",
        healthy=web("-p 8080:80"),
        broken=anew("-p 8080:80/udp"),
        symptom=PAGE,
        vantage="neighbour",
        reach="outside web:80",
        verify=holds("published for UDP only"),
    ),
    FaultCase(
        cause="protocol-mismatch",
        name="tcp-published-for-udp",
        engines=("middle",),
        healthy="docker run -d --name web -p 8080:53/udp net-test udp-echo 53",
        broken="docker rm -f web; docker run -d --name web -p 8080:53 net-test udp-echo 53",
        symptom="echo hello | nc -u -w 1 $HOST 8080 | grep -q hello",
        vantage="neighbour",
        reach="outside web:53/udp",
        replay=False,
    ),
    FaultCase(
        cause="sensitive-port-exposed",
        healthy=web("-p 127.0.0.1:6379:6379", "6379"),
        broken=anew("-p 6379:6379", "6379"),
        symptom="! curl -fsS -m 2 http://$HOST:6379",
        vantage="neighbour",
    ),
    FaultCase(
        cause="host-network-ignores-ports",
        healthy=web("-p 8080:7777", "7777"),
        broken=anew("--network host -p 8080:7777", "7777"),
        symptom=PAGE,
        vantage="neighbour",
        reach="outside web:8080",
    ),
    FaultCase(
        cause="published-on-internal-network",
        healthy="docker network create --internal inner; " + web("-p 8080:80"),
        broken=anew("--network inner -p 8080:80"),
        symptom=PAGE,
        vantage="neighbour",
        reach="outside web:80",
    ),
    FaultCase(
        cause="published-on-internal-network",
        name="published-on-no-network",
        engines=("oldest",),
        healthy="docker network create app; " + web("--network app -p 8080:80"),
        broken="docker network disconnect app web",
        symptom=PAGE,
        vantage="neighbour",
        reach="outside host:8080",
        replay=False,
    ),
    FaultCase(
        cause="routed-gateway-mode",
        healthy="docker network create -o com.docker.network.bridge.gateway_mode_ipv4=routed way; "
        "docker network create plain; " + web("--network plain -p 8080:80"),
        broken=anew("--network way -p 8080:80"),
        symptom=PAGE,
        vantage="neighbour",
        reach="outside web:80",
        check="info",
        engines=("newest",),
    ),
    FaultCase(
        cause="docker-proxy-missing",
        healthy=web("-p 8080:80"),
        broken="pkill -x docker-proxy",
        symptom=LOCAL,
        reach="host web:80",
        verify=lambda host, _answer: host.neighbour.run("curl -fsS -m 2 http://$HOST:8080"),
    ),
    FaultCase(
        cause="docker-proxy-missing",
        name="docker-proxy-stopped",
        engines=("newest",),
        healthy=web("-p 8080:80"),
        broken="pkill -STOP -x docker-proxy",
        symptom="curl -fsS -m 1 http://127.0.0.1:8080",
        reach="host 127.0.0.1:8080",
    ),
    FaultCase(
        cause="listener-ipv4-only",
        healthy="docker network create --ipv6 --subnet fd00:77::/64 six; " + web("--network six -p 8080:80"),
        broken=anew("--network six -p 8080:80", "0.0.0.0:80"),
        symptom="curl -gfsS -m 2 http://[::1]:8080",
        reach="host web:80",
        fix=False,
        heal=anew("--network six -p 8080:80"),
    ),
    FaultCase(
        cause="listener-on-other-address",
        healthy="docker network create --subnet 10.77.1.0/24 one; docker network create --subnet 10.77.2.0/24 two; "
        + TWO.format("80")
        + "; docker run -d --name client --network two net-test",
        broken="docker rm -f web; " + TWO.format("10.77.1.9:80"),
        symptom="docker exec client timeout 3 nc -w 2 web 80 -e true",
        reach="client web:80",
        check="absent",
        fix=False,
        heal="docker rm -f web; " + TWO.format("80"),
    ),
]


@faults(CASES)
def test_published_ports(host: Host, case: FaultCase) -> None:
    prove(host, case)


# --- a container's own address, dialled by another machine that has a route to it

ROUTED = "10.77.0.0/24"
OPEN = "docker network create --subnet 10.77.0.0/24 {} way; " + web("--network way --ip 10.77.0.9 {}")
TRUSTED = "-o com.docker.network.bridge.trusted_host_interfaces=eth1"
PUBLISHED = "-p 8080:80"  # the rules let in no other port

DIRECT = [
    FaultCase(
        cause="direct-access-blocked",
        name="direct-access-dropped-in-raw",
        healthy=OPEN.format(TRUSTED, PUBLISHED),
        broken="docker rm -f web; docker network rm way; " + OPEN.format("", PUBLISHED),
        symptom="curl -fsS -m 1 http://10.77.0.9",
        vantage="neighbour",
        reach="outside 10.77.0.9:80",
        check="absent",
        fix=False,
        heal="docker rm -f web; docker network rm way; " + OPEN.format(TRUSTED, PUBLISHED),
        engines=("newest",),
    ),
    FaultCase(
        cause="direct-access-blocked",
        name="direct-access-dropped-by-policy",
        healthy=OPEN.format("", ""),
        broken="iptables -P FORWARD DROP",
        symptom="curl -fsS -m 1 http://10.77.0.9",
        vantage="neighbour",
        reach="outside 10.77.0.9:80",
        check="absent",
        fix=False,
        heal="iptables -P FORWARD ACCEPT",
        engines=("oldest", "middle"),
    ),
]


@faults(DIRECT)
def test_direct_access(host: Host, case: FaultCase) -> None:
    route = f"{ROUTED} via {host.address}"
    host.neighbour.run(f"ip route replace {route}")
    try:
        prove(host, case)
    finally:
        host.neighbour.run(f"ip route del {route}")
