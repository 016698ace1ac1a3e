"""A real rootless Docker: an ordinary user's daemon in RootlessKit's namespaces, started by the script that Docker ships."""

from __future__ import annotations

import subprocess

import pytest

from tests.lab.case import FaultCase, prove_in_turn
from tests.lab.host import Host, Lab

SOCKET = "/run/user/2000/docker.sock"

SERVED = "docker run -d --name web -p 8080:80 net-test httpd -f -p 80 -h /www"

CASES = [
    FaultCase(
        name="container-address",
        cause="rootless-daemon",
        healthy=SERVED,
        broken="docker rm -f web; docker run -d --name web net-test httpd -f -p 80 -h /www",
        symptom="at=$(docker port web 80 | head -n 1); "
        "curl -fsS -m 2 http://${at:-$(docker inspect -f '{{.NetworkSettings.Networks.bridge.IPAddress}}' web)}",
        reach="host web:80",
        check="info",
        fix=False,  # publishing is the operator's choice
        heal=f"docker rm -f web; {SERVED}",
        engines=("newest",),
    ),
    FaultCase(
        name="host-mode",
        cause="rootless-daemon",
        healthy=SERVED,
        broken="docker rm -f web; docker run -d --name web --network host net-test httpd -f -p 8080 -h /www",
        symptom="curl -fsS -m 2 http://$HOST:8080",
        vantage="neighbour",
        reach="outside web:8080",
        check="info",
        fix=False,
        heal=f"docker rm -f web; {SERVED}",
        engines=("newest",),
    ),
    FaultCase(
        name="privileged-port",
        cause="container-not-running",
        healthy=SERVED,
        broken="docker rm -f web; ! docker run -d --name web -p 80:80 net-test httpd -f -p 80 -h /www",
        symptom="curl -fsS -m 2 http://$(docker port web 80 | head -n 1)",
        reach="host web:80",
        engines=("middle",),  # without cgroups the newest cannot start what has failed to start: runc 1.1 does not end it
    ),
]


@pytest.mark.parametrize("engine", ["middle", "newest"], indirect=True)
def test_rootless_daemon(lab: Lab, engine: str) -> None:
    host = lab.host(engine, daemon=False, forward=False)
    start_rootless(host)
    prove_in_turn(host, CASES)


def start_rootless(host: Host) -> None:
    """Start a user's daemon in place of root's; `docker` and the tool then ask that one."""
    host.run(["sh", "-ec", _USER])
    user = "setpriv --reuid 2000 --regid 2000 --clear-groups env HOME=/var/lib/rootless XDG_RUNTIME_DIR=/run/user/2000"
    start = f"{user} sh /usr/share/docker.io/contrib/dockerd-rootless.sh >/var/log/docker.log 2>&1"
    host.children.append(host.popen(start, stdin=subprocess.DEVNULL))
    host.environment["DOCKER_HOST"] = f"unix://{SOCKET}"
    host.wait(f"curl -fsS -m 2 --unix-socket {SOCKET} http://docker/_ping", 20, "the rootless daemon answers")
    host.load_images()


# What is below /run is a link in RootlessKit's namespace, which runc does not take as a root file system; the machine's own
# /dev/net/tun may be root's alone.
_USER = """
echo 'rootless:x:2000:2000::/var/lib/rootless:/bin/sh' >>/etc/passwd
echo 'rootless:x:2000:' >>/etc/group
echo 'rootless:200000:65536' | tee /etc/subuid >/etc/subgid
mkdir -p /var/lib/rootless
mount -t tmpfs -o mode=755,uid=2000,gid=2000 tmpfs /var/lib/rootless
install -d -o 2000 -g 2000 -m 700 /run/user/2000
mknod -m 666 /run/tun c 10 200
mount --bind /run/tun /dev/net/tun
"""
