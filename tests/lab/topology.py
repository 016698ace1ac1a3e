"""A dozen containers on networks of every kind, what can be asked about them, and how plain tools ask it."""

from __future__ import annotations

import json
import random
import shlex
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from dockernet_doctor.notation import bracketed
from tests.lab.host import OUTSIDE, Host, Neighbour
from tests.lab.machine import Machine

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
class Client:
    """Another machine, the address from which it asks, and the interface of the host by which its packets come in."""

    machine: Neighbour
    address: str
    interface: str

    def __str__(self) -> str:
        return f"{self.address} by {self.interface}"


@dataclass(frozen=True)
class Question:
    """`reach SOURCE TARGET`, and how plain tools ask the same: a shell command for the source's namespace."""

    source: str
    target: str
    command: str
    near: bool = False  # nothing of the topology alone stands between the two
    client: Client | None = None  # which of those that `outside` stands for; None: the neighbour
    leaves_by: str = ""  # what is said of the way to another machine where it is the right one; "" where there is none


# --- the containers


def any_address(box: Box) -> str:
    return next(filter(None, box.addresses.values()))


def topology(chance: random.Random) -> Iterator[Box]:
    for number in range(12):
        networks = chance.sample([*NETWORKS, "bridge"], chance.choice((1, 1, 2)))
        if "bridge" in networks:
            networks.sort(key=lambda name: name != "bridge")  # of the two, the one that a container can be started on
        listener = chance.choice(["all", "all", "all", *LISTENERS])
        yield Box(f"box{number}", networks, listener, chance.choice(PUBLISHED), 8000 + number)
    yield Box("hosty", ["host"], "", "", 9100)
    yield Box("alone", ["none"], "all", "", 0)


def build(host: Host, boxes: list[Box]) -> None:
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


# --- the questions


def questions(host: Host, boxes: list[Box]) -> Iterator[Question]:
    for source in boxes:
        if source.name not in ("box10", "box11"):  # stopped, paused: nobody asks there
            yield from _of_container(host, boxes, source)
    for box in boxes:
        for address in (*filter(None, box.addresses.values()), box.six):
            if address:
                yield tcp("host", address, 80)
                yield udp("host", address, 53)
        if box.published:
            for address in ("127.0.0.1", host.address, "::1"):
                yield tcp("host", address, box.port)
            for address in (host.address, host.address6):
                yield tcp("outside", address, box.port)
        if "udp" in box.published:
            yield udp("outside", host.address, box.port)
            yield udp("host", host.address, box.port)
    for address in (host.address, host.address6):
        yield tcp("outside", address, 9100)
        yield tcp("outside", address, 9101)


def _of_container(host: Host, boxes: list[Box], source: Box) -> Iterator[Question]:
    for box in boxes:
        near = bool(source.addresses.keys() & box.addresses.keys())
        for address in (*filter(None, box.addresses.values()), box.six):
            if address:
                yield tcp(source.name, address, 80, near=near)
                yield udp(source.name, address, 53, near=near)
        if not box.six:
            yield _named(source.name, box.name, 80, near=near)
        if box.published:
            yield tcp(source.name, host.address, box.port)
    yield tcp(source.name, host.address, 9100)
    yield tcp(source.name, host.address6, 9100)
    yield Question(source.name, f"{OUTSIDE}:53", f"nc -z -w 2 {OUTSIDE} 53", leaves_by="leaves this host by eth1")
    yield tcp(source.name, "127.0.0.1", 80)


def tcp(source: str, address: str, port: int, *, near: bool | None = None, client: Client | None = None) -> Question:
    """Ask for a page."""
    near = source in ("host", "outside") if near is None else near
    by = f"--interface {client.address} " if client else ""
    written = bracketed(address)
    return Question(source, f"{written}:{port}", f"curl -gfsS {by}-m 2 -o /dev/null http://{written}:{port}/", near, client)


def udp(source: str, address: str, port: int, *, near: bool = True, client: Client | None = None) -> Question:
    """Ask for an echo."""
    by = f"-s {client.address} " if client else ""
    command = f"echo hello | nc -u {by}-w 1 {address} {port} | grep -q hello"
    return Question(source, f"{bracketed(address)}:{port}/udp", command, near, client)


def _named(source: str, name: str, port: int, *, near: bool) -> Question:
    asking = f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | timeout 4 nc -w 3 {name} {port} | grep -q page"
    command = f"nsenter -t $PID -n -m -- /bin/sh -c {shlex.quote(asking)}"
    return Question(source, f"{name}:{port}", command, near and source != name)


# --- reality


def ask_all(host: Host, boxes: Sequence[Box], questions: Sequence[Question]) -> list[bool]:
    """Whether each question is answered: those of a source in one go, all sources side by side."""
    sources: dict[tuple[str, str], list[Question]] = {}
    for question in questions:
        machine = question.client.machine.name if question.client else ""
        sources.setdefault((question.source, machine), []).append(question)
    truths: dict[Question, bool] = {}

    def ask(mine: list[Question]) -> None:
        lines = [f"( {question.command} ) >/dev/null 2>&1 && echo {number} &" for number, question in enumerate(mine)]
        done = {int(line) for line in _in(host, boxes, mine[0], "\n".join([*lines, "wait"])).split()}
        truths.update({question: number in done for number, question in enumerate(mine)})

    with ThreadPoolExecutor(len(sources)) as threads:
        list(threads.map(ask, sources.values()))
    return [truths[question] for question in questions]


def asked_again(host: Host, boxes: Sequence[Box], question: Question) -> bool:
    """The truth once more and alone: a machine under load loses packets."""
    return bool(_in(host, boxes, question, f"( {question.command} ) >/dev/null 2>&1 && echo yes || true"))


def _in(host: Host, boxes: Sequence[Box], question: Question, script: str) -> str:
    machine: Machine = host
    if question.source == "outside":
        machine = question.client.machine if question.client else host.neighbour
    pid = next((box.pid for box in boxes if box.name == question.source), 0)
    command = ["sh", "-c", script]
    if pid:
        command = ["env", f"PID={pid}", "nsenter", "-t", str(pid), "-n", *command]
    return machine.run(command, timeout=60).stdout
