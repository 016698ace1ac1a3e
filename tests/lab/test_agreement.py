"""What is predicted without a packet, and what plain tools then see: a generated topology, several firewalls, many questions.

The prediction is read once for all questions of a state of the host; curl and nc ask the same from the very namespaces.
"""

from __future__ import annotations

import json
import os
import random
import shlex
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.lab.asking import ask
from tests.lab.host import OUTSIDE, Host
from tests.lab.machine import Machine
from tests.lab.packages import ENGINES, NFTABLES

NETWORKS = {
    "alpha": "",
    "beta": "-o com.docker.network.bridge.name=beta0",
    "inner": "--internal",
    "apart": "-o com.docker.network.bridge.enable_icc=false",
    "six": "--ipv6 --subnet fd00:66::/64",
}
LISTENERS = {
    "all": "httpd -p 80 -h /www; exec udp-echo 53",
    "ipv4": "httpd -p 0.0.0.0:80 -h /www; exec udp-echo 53",
    "loopback": "httpd -p 127.0.0.1:80 -h /www; exec sleep 1000",
    "other port": "httpd -p 8000 -h /www; exec udp-echo 53",
    "none": "exec sleep 1000",
}
PUBLISHED = ("", "", "-p {0}:80 -p {0}:53/udp", "-p {0}:80", "-p 127.0.0.1:{0}:80", "-p $HOST:{0}:80", "-p {0}:8000")


@dataclass
class Box:
    """A container of the topology; addresses are known once it runs."""

    name: str
    networks: list[str]
    listener: str
    published: str
    port: int
    addresses: dict[str, str] = field(default_factory=dict)  # by network
    six: str = ""
    pid: int = 0


@dataclass(frozen=True)
class Question:
    """`reach SOURCE TARGET`, and how plain tools ask the same: a shell command for the source's namespace."""

    source: str
    target: str
    command: str
    near: bool = False  # nothing of the topology alone stands between the two


@pytest.mark.parametrize("engine", [*ENGINES, NFTABLES], indirect=True)
@pytest.mark.parametrize(
    ("seed", "of_each"),
    [pytest.param(int(os.environ["LAB_SEED"]), 30, id="sample"), pytest.param(4, 100, id="all", marks=pytest.mark.long)],
)
def test_prediction_and_reality_agree(host: Host, seed: int, of_each: int) -> None:
    """`of_each` is the number of questions for each state of the host."""
    chance = random.Random(seed)
    boxes = list(_topology(chance))
    _build(host, boxes)
    wrong, unknown, asked = [], [], 0
    for state, change in _states(chance, boxes, users="FORWARD" if host.engine == NFTABLES else "DOCKER-USER").items():
        host.run(["sh", "-ec", change])
        near: list[Question] = []
        far: list[Question] = []
        for question in _questions(host, boxes):
            (near if question.near else far).append(question)
        questions = chance.sample(near, of_each * 2 // 3) + chance.sample(far, of_each - of_each * 2 // 3)
        _checked, *predicted = ask(host, [(question.source, question.target) for question in questions], probes=False)
        truths = _ask_all(host, boxes, questions)
        asked += len(questions)
        for question, answer, truth in zip(questions, predicted, truths, strict=True):
            if answer["verdict"] == "unknown":
                unknown.append(f"{state}: {question}: {answer}")
            elif (answer["verdict"] == "reachable") is not truth and _asked_again(host, boxes, question) is truth:
                wrong.append(f"{state}: {question} is {'' if truth else 'not '}answered: {answer}")
    assert asked == 3 * of_each
    assert not wrong, f"seed {seed}: {len(wrong)} of {asked} differ\n" + "\n\n".join(wrong)
    assert len(unknown) <= asked * 0.02, f"seed {seed}: {len(unknown)} of {asked} unknown\n" + "\n\n".join(unknown)


# --- the topology


def _topology(chance: random.Random) -> Iterator[Box]:
    for number in range(12):
        networks = chance.sample([*NETWORKS, "bridge"], chance.choice((1, 1, 2)))
        if "bridge" in networks:
            networks.sort(key=lambda name: name != "bridge")  # of the two, the one that a container can be started on
        listener = chance.choice(["all", "all", "all", *LISTENERS])
        yield Box(f"box{number}", networks, listener, chance.choice(PUBLISHED), 8000 + number)
    yield Box("hosty", ["host"], "", "", 9100)
    yield Box("alone", ["none"], "all", "", 0)


def _build(host: Host, boxes: list[Box]) -> None:
    def start(box: Box) -> None:
        command = "exec httpd -f -p 9100 -h /www" if box.name == "hosty" else LISTENERS[box.listener]
        first, *others = box.networks
        published = box.published.format(box.port)
        lines = [
            f"docker create --name {box.name} --network {first} {published} net-test sh -c {shlex.quote(command)}",
            *(f"docker network connect {network} {box.name}" for network in others),
            f"docker start {box.name}",
        ]
        host.run(["sh", "-ec", "\n".join(lines)])

    host.run(["sh", "-ec", "\n".join(f"docker network create {options} {name}" for name, options in NETWORKS.items())])
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(start, boxes))
    host.run("docker run -d --name tenant --network container:box0 net-test; docker pause box11")
    boxes.append(Box("tenant", [], "", "", 0))
    for found, box in zip(_inspected(host, boxes), boxes, strict=True):
        box.pid = found["State"]["Pid"]
        for network, endpoint in found["NetworkSettings"]["Networks"].items():
            box.addresses[network] = endpoint["IPAddress"]
            box.six = endpoint["GlobalIPv6Address"] or box.six
    serving = [str(box.pid) for box in boxes if box.listener not in ("", "none")]
    host.wait(f"for pid in {' '.join(serving)}; do nsenter -t $pid -n ss -Hltn | grep -qv 127.0.0.11 || exit 1; done", 10)


def _inspected(host: Host, boxes: list[Box]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(host.docker(["inspect", *(box.name for box in boxes)]).stdout)
    return found


def _states(chance: random.Random, boxes: list[Box], *, users: str) -> dict[str, str]:
    """Changes to the host, each on top of the one before; `users` is the chain of iptables that is the operator's."""
    running = [box for box in boxes if any(box.addresses.values()) and box.name not in ("box10", "box11")]
    one, two, three, four = chance.sample(running, 4)
    return {
        "as made": "true",
        "rules in many places": f"""
iptables -I {users} -i eth1 -p tcp -m conntrack --ctorigdstport {one.port} -j DROP
iptables -I {users} -d {_any(two)} -p udp --dport 53 -j REJECT
iptables -I {users} -s {_any(three)} -m addrtype ! --dst-type LOCAL -j DROP
iptables -I INPUT -i beta0 -p tcp -m multiport --dports 9000:9200 -j REJECT --reject-with tcp-reset
iptables -I OUTPUT -d {_any(four)} -p tcp --dport 80 -j DROP
nsenter -t {two.pid} -n iptables -I INPUT -p tcp --dport 80 -s {_any(one)} -j DROP
ip6tables -I FORWARD -d fd00:66::/64 -p tcp --dport 80 -i eth1 -j DROP
iptables -t raw -I PREROUTING -m rpfilter --invert -j DROP
nft 'table inet back {{ chain p {{ type filter hook prerouting priority -290; fib saddr . mark . iif oif missing drop; }}; }}'
nft 'table inet more {{ chain f {{ type filter hook forward priority 10; ip daddr {_any(three)} tcp dport 8000 drop; }}; }}'
docker stop -t 0 box10""",
        "closed by default, links and routes gone": f"""
iptables -P FORWARD DROP; iptables -P INPUT DROP
iptables -A INPUT -i lo -j ACCEPT; iptables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
iptables -A INPUT -i eth1 -p tcp --dport 9100 -j ACCEPT; iptables -A INPUT -i docker0 -j ACCEPT
nsenter -t {one.pid} -n ip route del default || true
nsenter -t {four.pid} -n ip link set eth0 down
ip route add blackhole {_any(two)}""",
    }


def _any(box: Box) -> str:
    return next(filter(None, box.addresses.values()))


# --- the questions


def _questions(host: Host, boxes: list[Box]) -> Iterator[Question]:
    for source in boxes:
        if source.name not in ("box10", "box11"):  # stopped, paused: nobody asks there
            yield from _of_container(host, boxes, source)
    for box in boxes:
        for address in (*filter(None, box.addresses.values()), box.six):
            if address:
                yield _tcp("host", address, 80)
                yield _udp("host", address, 53)
        if box.published:
            for address in ("127.0.0.1", host.address, "::1"):
                yield _tcp("host", address, box.port)
            for address in (host.address, host.address6):
                yield _tcp("outside", address, box.port)
        if "udp" in box.published:
            yield _udp("outside", host.address, box.port)
            yield _udp("host", host.address, box.port)
    for address in (host.address, host.address6):
        yield _tcp("outside", address, 9100)
        yield _tcp("outside", address, 9101)


def _of_container(host: Host, boxes: list[Box], source: Box) -> Iterator[Question]:
    for box in boxes:
        near = bool(source.addresses.keys() & box.addresses.keys())
        for address in (*filter(None, box.addresses.values()), box.six):
            if address:
                yield _tcp(source.name, address, 80, near=near)
                yield _udp(source.name, address, 53, near=near)
        if not box.six:
            yield _named(source.name, box.name, 80, near=near)
        if box.published:
            yield _tcp(source.name, host.address, box.port)
    yield _tcp(source.name, host.address, 9100)
    yield _tcp(source.name, host.address6, 9100)
    yield Question(source.name, f"{OUTSIDE}:53", f"nc -z -w 2 {OUTSIDE} 53")
    yield _tcp(source.name, "127.0.0.1", 80)


def _tcp(source: str, address: str, port: int, *, near: bool | None = None) -> Question:
    written = f"[{address}]" if ":" in address else address
    near = source in ("host", "outside") if near is None else near
    return Question(source, f"{written}:{port}", f"curl -gfsS -m 2 -o /dev/null http://{written}:{port}/", near)


def _udp(source: str, address: str, port: int, *, near: bool = True) -> Question:
    written = f"[{address}]" if ":" in address else address
    command = f"echo hello | nc -u -w 1 {address} {port} | grep -q hello"
    return Question(source, f"{written}:{port}/udp", command, near)


def _named(source: str, name: str, port: int, *, near: bool) -> Question:
    asking = f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | timeout 4 nc -w 3 {name} {port} | grep -q page"
    command = f"nsenter -t $PID -n -m -- /bin/sh -c {shlex.quote(asking)}"
    return Question(source, f"{name}:{port}", command, near and source != name)


# --- reality


def _ask_all(host: Host, boxes: list[Box], questions: Sequence[Question]) -> list[bool]:
    """Whether each question is answered: those of a source in one go, all sources side by side."""
    sources = sorted({question.source for question in questions})
    truths: dict[Question, bool] = {}

    def ask(source: str) -> None:
        mine = [question for question in questions if question.source == source]
        lines = [f"( {question.command} ) >/dev/null 2>&1 && echo {number} &" for number, question in enumerate(mine)]
        done = {int(line) for line in _in(host, boxes, source, "\n".join([*lines, "wait"])).split()}
        truths.update({question: number in done for number, question in enumerate(mine)})

    with ThreadPoolExecutor(len(sources)) as threads:
        list(threads.map(ask, sources))
    return [truths[question] for question in questions]


def _asked_again(host: Host, boxes: list[Box], question: Question) -> bool:
    """The truth once more and alone: a machine under load loses packets."""
    return bool(_in(host, boxes, question.source, f"( {question.command} ) >/dev/null 2>&1 && echo yes || true"))


def _in(host: Host, boxes: list[Box], source: str, script: str) -> str:
    machine: Machine = host.neighbour if source == "outside" else host
    pid = next((box.pid for box in boxes if box.name == source), 0)
    command = ["sh", "-c", script]
    if pid:
        command = ["env", f"PID={pid}", "nsenter", "-t", str(pid), "-n", *command]
    return machine.run(command, timeout=60).stdout


# --- what no reading tells, on either side

QUEUE = """
veth=$(ip -o link show master docker0 | sed -E 's/^[0-9]+: ([^@]+)@.*/\\1/')
tc qdisc {} dev $veth root {}
"""


def test_what_was_predicted_to_work_and_fails(host: Host) -> None:
    """A queue too short for any packet takes what is sent to a container, and queues are not read."""
    host.docker("run -d --name web net-test httpd -f -p 80 -h /www")
    host.wait(lambda: host.doctor("reach host web:80 --format json").causes == [])
    host.run(QUEUE.format("replace", "bfifo limit 1"))
    answer = host.doctor("reach host web:80 --format json")
    host.run(QUEUE.format("del", ""))
    assert answer.report["verdict"] == "unreachable"
    failure, disagreement = answer.findings
    assert (failure["cause"], failure["severity"]) == ("unexplained-failure", "error")
    assert (disagreement["cause"], disagreement["because_of"]) == ("prediction-contradicted", failure["id"])
    assert {"predicted filter", "predicted listener"} <= {item["fact"] for item in disagreement["evidence"]}


def test_what_was_predicted_to_fail_and_works(host: Host) -> None:
    """A switch that sends frames back where they came from brings a host to its own macvlan children; no host knows that."""
    host.run("docker network create -d macvlan --subnet 10.99.0.0/24 --ip-range 10.99.0.192/28 -o parent=eth1 lan")
    host.run("docker run -d --name web --net lan net-test httpd -f -p 80 -h /www")
    answer = host.doctor("reach host web:80 --format json")
    assert (answer.report["verdict"], answer.causes) == ("unreachable", ["macvlan-host-isolated"])
    hairpin = "for port in $(ls /sys/class/net/wire/brif); do bridge link set dev $port hairpin {}; done"
    host.wire.run(hairpin.format("on"))
    try:
        answer = host.doctor("reach host web:80 --format json")
    finally:
        host.wire.run(hairpin.format("off"))
    assert (answer.status, answer.report["verdict"], answer.causes) == (0, "reachable", ["prediction-contradicted"])
    assert "cannot talk to its own children" in answer.findings[0]["summary"]
