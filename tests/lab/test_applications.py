"""A real Redis, of Debian's packages in a container: it refuses whom it was reached by, and the network is in order."""

from __future__ import annotations

import pytest

from tests.lab import packages
from tests.lab.host import Host

IMAGE = """
root=$(mktemp -d); mkdir -p $root/bin $root/lib64 $root/lib/x86_64-linux-gnu $root/tmp
server={tree}/usr/bin/redis-check-rdb  # one program for all names of Redis
cp $server $root/bin/redis-server
for library in $(LD_LIBRARY_PATH={tree}/usr/lib/x86_64-linux-gnu ldd $server | grep -o '/[^ )]*'); do
  case $library in */ld-linux*) cp -L $library $root/lib64/;; *) cp -L $library $root/lib/x86_64-linux-gnu/;; esac
done
tar -C $root -c . | docker import -c 'ENV PATH=/bin' - redis >/dev/null; rm -r $root
docker network create app >/dev/null; docker run -d --name app --network app net-test >/dev/null
"""
RUN = "docker rm -f redis >/dev/null 2>&1; docker run -d --name redis --network app redis redis-server --bind 0.0.0.0 {}"
ASKED = "docker exec app sh -c 'echo PING | timeout 3 nc redis 6379'"
EAR = "docker run -d --name ear --network app net-test sh -c 'while :; do nc -l -p 6379 >> /got; done'"


@pytest.mark.parametrize("engine", ["newest"], indirect=True)
def test_redis_in_protected_mode(host: Host) -> None:
    host.run(["sh", "-ec", IMAGE.format(tree=packages.unpacked("redis"))])
    host.run(RUN.format("--protected-mode no"))
    host.wait(lambda: "+PONG" in host.run(ASKED, check=False).stdout, 10, "a Redis that answers")
    assert host.doctor("reach app redis:6379 --format json").report["findings"] == []

    host.run(RUN.format(""))
    host.wait(lambda: "DENIED" in host.run(ASKED, check=False).stdout, 10, "a Redis that refuses")
    answer = host.doctor("reach app redis:6379 --format json")
    assert (answer.report["verdict"], answer.status) == ("reachable", 0)
    assert [(f["cause"], f["severity"], f["confidence"]) for f in answer.findings] == [
        ("application-refuses-peer", "info", "proven")
    ]
    loud = [f["id"] for f in host.doctor("check --format json").findings if f["severity"] != "info"]
    assert loud == []


@pytest.mark.parametrize("engine", ["newest"], indirect=True)
def test_what_is_sent_is_what_plan_says(host: Host) -> None:
    """By a server that keeps what it hears: the first bytes of the protocol, in a question, and nothing in `check`."""
    host.run("docker network create app; docker run -d --name app --network app net-test")
    host.run(EAR)
    host.wait(lambda: host.ok("docker exec app timeout 2 nc -w 1 ear 6379 -e true"), 10, "a server that listens")
    host.doctor("check --format json")
    assert host.run("docker exec ear cat /got").stdout == ""
    assert "PING" in host.doctor("plan reach app container:ear:6379").stdout
    host.doctor("reach app container:ear:6379 --format json")
    heard = host.run("docker exec ear cat /got").stdout
    assert heard.replace("\r", "").split("\n")[:1] == ["PING"]
    assert heard.replace("PING", "").split() == []
