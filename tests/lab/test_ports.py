"""`ports` against plain tools, from the host and from another machine, for every binding of a generated set."""

from __future__ import annotations

from typing import Any

from tests.lab.host import Host
from tests.lab.machine import Machine

SERVE = ["net-test", "sh", "-c", "udp-echo 53 & exec httpd -f -p 80 -h /www"]
# Each line: does it open, and does anybody answer?
TRUTH = """\
try() {
  if [ "$1" = tcp ]; then
    opened=0; answered=0
    nc -z -w 1 "$2" "$3" && opened=1
    case $2 in *:*) url="[$2]:$3";; *) url="$2:$3";; esac
    curl -gfsS -o /dev/null -m 2 "http://$url/" && answered=1
  else
    opened=0; [ -z "$(printf ping | nc -u -w 1 "$2" "$3")" ] || opened=1
    answered=$opened
  fi
  echo "$1 $2 $3 $opened $answered"
}
while read -r protocol address port; do try "$protocol" "$address" "$port" 2>/dev/null & done
wait
"""


def test_every_binding_behaves_as_told(host: Host, engine: str) -> None:
    bindings = publish(host, engine)
    assert bindings >= 40
    done = host.doctor("ports --format json")
    assert done.status == 1, done.stderr  # services on 0.0.0.0 only, published by IPv6; ports of a range without a service
    rows = done.report["ports"]
    assert [row for row in rows if "unknown" in (row["expected_here"], row["expected_outside"])] == []
    assert [row for row in rows if row["agrees"] is False] == []

    here, outside = truth(host, rows), truth(host.neighbour, [row for row in rows if row["interface"] != "lo"])
    wrong = []
    for row in rows:
        opened, answered = here[key(row)]
        from_outside = outside.get(key(row), (False, False))[1]
        seen = row["observed"] in ("open", "reply")
        told = (seen, row["expected_here"] == "reachable", row["expected_outside"] == "reachable")
        if told != (opened, answered, from_outside):
            wrong.append((*key(row), row["container"], told, (opened, answered, from_outside), row["why_here"]))
    assert wrong == []
    assert {row["asked"] for row in rows} == {"fixed", "random", "range 5200-5205"}
    holders = {row["bound_by"]["process"] for row in rows if row["published"] and row["bound_by"]}
    assert holders == {"docker-proxy"}


def test_what_is_asked_for_and_not_published_is_told(host: Host) -> None:
    host.docker("run -d --name web -p 8080:80 net-test httpd -f -p 80")
    host.docker("run -d --name late -p 8080:80 net-test httpd -f -p 80", check=False)
    done = host.doctor("ports late")
    assert done.stdout.startswith("late: 8080:80/tcp is not published: ")
    assert "port is already allocated" in done.stdout
    assert (done.status, host.doctor("ports web").status) == (1, 0)
    assert host.doctor("ports nobody").status == 3


def test_a_port_that_leads_nowhere_has_its_reason_and_a_status(host: Host) -> None:
    host.docker("run -d --name web -p 8080:81 net-test httpd -f -p 80")
    done = host.doctor("ports")
    assert done.status == 1
    assert "nothing listens" in done.stdout
    assert "1 published port at" in done.stdout
    assert "1 leads nowhere" in done.stdout
    assert host.doctor("check web").status == host.doctor("reach outside web").status == 1


def publish(host: Host, engine: str) -> int:
    """Containers that publish in every way; the number of bindings."""
    host.docker("network create --ipv6 --subnet fd00:77::/64 six")
    host.docker("network create -o com.docker.network.bridge.host_binding_ipv4=127.0.0.1 local")
    addresses = ["", "0.0.0.0", "127.0.0.1", "127.0.0.2", host.address, "[::]", "[::1]", f"[{host.address6}]"]
    total = 0
    for base, network in ((8000, "bridge"), (8100, "six"), (8200, "local")):
        ports = []
        for number, address in enumerate(addresses):
            at = f"{address}:" if address else ""
            ports += [f"-p{at}{base + number}:80", f"-p{at}{base + number}:53/udp"]
        total += len(ports)
        host.docker(["run", "-d", "--name", f"on-{network}", "--network", network, *ports, *SERVE])
    ranges = ["-p80", "-p53/udp", "-p5200-5205:80", "-p5210-5212:80-82"]
    host.docker(["run", "-d", "--name", "ranges", *ranges, *SERVE])
    if engine == "newest":
        host.docker("network create -o com.docker.network.bridge.gateway_mode_ipv4=routed routed")
        host.docker(["run", "-d", "--name", "routed", "--network", "routed", "-p", "8300:80", *SERVE])
    host.wait(lambda: host.page("http://127.0.0.1:8000/"))
    return total + len(ranges)


def truth(machine: Machine, rows: list[dict[str, Any]]) -> dict[tuple[str, str, int], tuple[bool, bool]]:
    lines = "".join("{} {} {}\n".format(*key(row)) for row in rows)
    found = {}
    for line in machine.run(TRUTH, stdin=lines, timeout=60).stdout.splitlines():
        protocol, address, port, opened, answered = line.split()
        found[protocol, address, int(port)] = (opened == "1", answered == "1")
    return found


def key(row: dict[str, Any]) -> tuple[str, str, int]:
    return row["protocol"], row["address"], row["host_port"]
