"""A daemon that gives a recorded engine's answers, over a UNIX socket or TCP, but for one question: there it misbehaves."""

from __future__ import annotations

import json
import re
import shlex
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from tests.unit.snapshot.replay import body_of, recording

from .program import DOCTOR, WHOLE, hang, run, serving

ENGINE = "28.5"
Answer = Callable[[socket.socket, bytes], object]
"""What it does about a question: it gets the connection, and the body of the answer that the engine gave."""


class Asked(NamedTuple):
    """A question of the reader, and how a report names what it is about."""

    path: str
    name: str  # "" of those without which there is no engine


def _answers() -> dict[str, bytes]:
    """As recorded, and with a service that lacks a task, which the reader asks for then."""
    answers = dict(recording(ENGINE)["answers"])
    services = [
        {**service, "ServiceStatus": {"RunningTasks": 0, "DesiredTasks": 2}} for service in answers["/services?status=true"]
    ]
    tasks = [
        {
            "ID": f"task{slot}",
            "ServiceID": service["ID"],
            "Slot": slot,
            "CreatedAt": "2026-01-01T00:00:00Z",
            "Status": {"State": "rejected", "Err": "no suitable node"},
            "DesiredState": "running",
        }
        for service in services
        for slot in (1, 2)
    ]
    return {path: body_of(answer) for path, answer in {**answers, "/services?status=true": services, "/tasks": tasks}.items()}


ANSWERS = _answers()


def _asked() -> dict[str, Asked]:
    """One question of each kind."""

    def first(pattern: str) -> str:
        return next(path for path in sorted(ANSWERS) if re.fullmatch(pattern, path))

    log = first(r"/containers/\w+/logs.*")
    logger = json.loads(ANSWERS[log.rpartition("/")[0] + "/json"])["Name"].removeprefix("/")
    container, network, overlay = first(r"/containers/\w{64}/json"), first(r"/networks/\w+"), first(r"/networks/.*verbose.*")
    named = {path: json.loads(ANSWERS[path])["Name"].removeprefix("/") for path in (container, network, overlay)}
    return {
        "version": Asked("/version", ""),
        "info": Asked("/info", "what the daemon says of itself"),
        "containers": Asked("/containers/json?all=1", ""),
        "container": Asked(container, f"the container {named[container]}"),
        "log": Asked(log, f"the log of {logger}"),
        "networks": Asked("/networks", "the list of networks"),
        "network": Asked(network, f"the network {named[network]}"),
        "overlay": Asked(overlay, f"the network {named[overlay]}"),
        "services": Asked("/services?status=true", "the services of the Swarm"),
        "tasks": Asked("/tasks", "the tasks of the Swarm"),
        "nodes": Asked("/nodes", "the nodes of the Swarm"),
    }


ASKED = _asked()


def http(body: bytes, *fields: str, status: str = "200 OK", length: object = None) -> bytes:
    """A whole answer; `length` in place of the true one."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *fields]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def well(peer: socket.socket, body: bytes) -> None:
    peer.sendall(http(body))


def saying(make: Callable[[bytes], bytes]) -> Answer:
    """Sends these bytes, and goes on with the connection."""
    return lambda peer, body: peer.sendall(make(body))


def ending(make: Callable[[bytes], bytes]) -> Answer:
    """Sends these bytes, and hangs up."""

    def answer(peer: socket.socket, body: bytes) -> None:
        peer.sendall(make(body))
        peer.shutdown(socket.SHUT_RDWR)

    return answer


def trickling(make: Callable[[bytes], bytes], *, head: bool = False) -> Answer:
    """A byte a second, after a head that comes at once or as slowly."""

    def answer(peer: socket.socket, body: bytes) -> None:
        if head:
            peer.sendall(http(b"", length=len(body)))
        for byte in make(body):
            peer.sendall(bytes([byte]))
            time.sleep(1)

    return answer


def hanging_after(make: Callable[[bytes], bytes]) -> Answer:
    def answer(peer: socket.socket, body: bytes) -> None:
        peer.sendall(make(body))
        hang(peer)

    return answer


def reset(peer: socket.socket, _body: bytes) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def json_of(change: Callable[[Any], Any]) -> Answer:
    """Each value of the answer changed, from the inside out."""

    def changed(value: Any) -> Any:
        if isinstance(value, dict):
            value = {key: changed(item) for key, item in value.items()}
        elif isinstance(value, list):
            value = [changed(item) for item in value]
        return change(value)

    def make(body: bytes) -> bytes:
        try:
            return http(json.dumps(changed(json.loads(body))).encode())
        except ValueError:  # a log
            return http(body)

    return saying(make)


NO_SUCH = saying(lambda _: http(b'{"message": "no such thing"}', status="404 Not Found"))


@contextmanager
def engine(transport: str, folder: Path, answers: Callable[[str], tuple[Answer, bytes]]) -> Iterator[str]:
    """The URL of a daemon that answers each path, without the version of the API and the moment of logs, in this way."""

    def serve(peer: socket.socket) -> None:
        received = b""
        while data := peer.recv(1 << 16):
            received += data
            while b"\r\n\r\n" in received:
                head, _, received = received.partition(b"\r\n\r\n")
                if not head.startswith(b"GET "):  # as a socket proxy that lets only reading through
                    peer.sendall(http(b'{"message": "forbidden"}', status="403 Forbidden"))
                    continue
                path = re.sub(r"^/v[\d.]+(?=/)|&since=[\d.]+|\?filters=.*", "", head.split()[1].decode())
                answer, body = answers(path)
                answer(peer, body)

    with suppress(FileNotFoundError):
        (folder / "docker.sock").unlink()
    if transport == "unix":
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(folder / "docker.sock"))
        listener.listen(16)
        url = f"unix://{folder}/docker.sock"
    else:
        listener = socket.create_server(("127.0.0.1", 0))
        url = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    with serving(listener, serve):
        yield url


def recorded(path: str) -> tuple[Answer, bytes]:
    """As the engine answered it."""
    return (well, ANSWERS[path]) if path in ANSWERS else (NO_SUCH, b"")


def but(asked: str, fault: Answer) -> Callable[[str], tuple[Answer, bytes]]:
    """Answers as recorded, but for that path."""

    return lambda path: (fault, ANSWERS[path]) if path == asked else recorded(path)


RUNS = (
    "check -H unix",
    "check -H tcp",
    "check -H ssh://host",
    f"check --bundle {WHOLE}",
    f"map --bundle {WHOLE}",
    "ports -H unix",
)
"""What is asked where it is the machine that lacks something; `unix` and `tcp` are the healthy daemon's URLs."""


def attempt_of(
    asked: str, timeout: float, folder: Path, before: tuple[str, ...] = (), program: tuple[str, ...] = DOCTOR, **more: Any
) -> None:
    """Asks it, with a healthy daemon: there is a report, or one line."""
    with engine("tcp" if " tcp" in asked else "unix", folder, but("", well)) as url:
        words = [url if word in ("unix", "tcp") else word for word in shlex.split(asked)]
        done = run([*before, *program, *words, "--timeout", f"{timeout:g}", "--format", "json"], **more)
    if done.stdout or done.status != 3:
        assert (done.stderr, done.status in (0, 1, 3), done.stdout[:1]) == (b"", True, b"{")
    else:
        assert done.is_one_line(), done.stderr
