from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from dockernet_doctor.snapshot import wire
from dockernet_doctor.snapshot.endpoint import DaemonEndpoint, TlsFiles
from dockernet_doctor.snapshot.http import Api, ApiError

from .replay import replayed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextlib.contextmanager
def listening(path: Path, serve: Callable[[socket.socket], object]) -> Iterator[DaemonEndpoint]:
    """A socket on which `serve` has each connection that comes."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, contextlib.suppress(OSError):
                        serve(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield DaemonEndpoint(url=f"unix://{path}")
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def problem(endpoint: DaemonEndpoint, *, timeout: float = 30, left: float = 60, limit: int = 1000) -> ApiError:
    with Api(endpoint, timeout=timeout, deadline=time.monotonic() + left) as api, pytest.raises(ApiError) as caught:
        api.get("/version", limit=limit)
    return caught.value


def test_no_socket_and_nobody_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    assert problem(DaemonEndpoint(url=f"unix://{path}")).kind == "no-socket"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    assert problem(DaemonEndpoint(url=f"unix://{path}")).kind == "refused"


def test_a_daemon_that_never_answers_ends_in_time(tmp_path: Path) -> None:
    def silent(connection: socket.socket) -> None:
        while connection.recv(1000):  # until the other end gives up
            pass

    started = time.monotonic()
    with listening(tmp_path / "s", silent) as endpoint:
        assert problem(endpoint, timeout=0.03, left=600).kind == "timeout"
        assert problem(endpoint, timeout=600, left=0.03).kind == "timeout"
    assert time.monotonic() - started < 300


def test_one_that_trickles_ends_in_time_too(tmp_path: Path) -> None:
    def trickle(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while True:
            connection.sendall(b"a")
            time.sleep(0.005)

    with listening(tmp_path / "s", trickle) as endpoint:
        assert problem(endpoint, timeout=0.04).kind == "timeout"


@pytest.mark.parametrize("said", [b"", b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", b"\x15"])
def test_what_is_no_http(tmp_path: Path, said: bytes) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(said)

    with listening(tmp_path / "s", serve) as endpoint:
        assert problem(endpoint).kind == "protocol"


def test_an_endless_answer_is_bounded(tmp_path: Path) -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"100\r\n" + b"x" * 256 + b"\r\n")

    with listening(tmp_path / "s", serve) as endpoint:
        assert problem(endpoint).kind == "protocol"


def test_errors_of_the_daemon_keep_their_message(tmp_path: Path) -> None:
    with replayed(tmp_path, {}) as (endpoint, _):
        error = problem(endpoint)
    assert (error.kind, error.status, error.detail) == ("http", 404, "HTTP 404: page not found: /version")


def test_an_error_may_be_nested_as_deeply_as_it_likes(tmp_path: Path) -> None:
    """It ended the run with an internal error."""

    def serve(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 500 Oh\r\nContent-Length: 4096\r\n\r\n" + b"[" * 4096)

    with listening(tmp_path / "s", serve) as endpoint:
        assert problem(endpoint).detail == "HTTP 500"


@pytest.mark.parametrize("version", ["9" * 5000 + ".1", "1." + "9" * 5000, "1.\u00b2"])
def test_a_version_is_of_two_numbers(version: str) -> None:
    """`int` takes no more than 4,300 digits: it ended the run with an internal error."""
    with (
        Api(DaemonEndpoint(url="unix:///s"), timeout=1, deadline=0) as api,
        pytest.raises(ApiError, match="its API version is"),
    ):
        api.negotiate(version, "1.24")


def test_connections_are_kept_and_opened_anew_when_the_daemon_closed_them(tmp_path: Path) -> None:
    connections = []

    def serve(connection: socket.socket) -> None:
        connections.append(connection)
        for _ in range(2):
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with (
        listening(tmp_path / "s", serve) as endpoint,
        Api(endpoint, timeout=30, deadline=time.monotonic() + 60) as api,
    ):
        assert [api.get("/info") for _ in range(5)] == [b"{}"] * 5
    assert len(connections) == 3


@pytest.mark.parametrize(
    ("theirs", "least", "asked"),
    [("1.41", "1.12", "/v1.41"), ("1.51", "1.24", "/v1.51"), ("1.60", "1.44", "/v1.51"), ("1.60", "1.55", "/v1.55")],
)
def test_the_newest_version_that_both_speak(tmp_path: Path, theirs: str, least: str, asked: str) -> None:
    with replayed(tmp_path, {"/info": {"ID": "x"}}) as (endpoint, requests):
        with Api(endpoint, timeout=30, deadline=time.monotonic() + 60) as api:
            api.negotiate(theirs, least)
            assert api.read("/info", wire.decoder(wire.Info)).ID == "x"
        assert requests == [("GET", f"{asked}/info")]


def test_tcp_goes_through_the_docker_sdk() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert problem(DaemonEndpoint(url=f"tcp://127.0.0.1:{port}")).kind == "refused"


SAID = b"Client sent an HTTP request to an HTTPS server.\n"


@pytest.mark.parametrize(
    ("tls", "words"),
    [(None, "it speaks TLS, and is asked without"), (TlsFiles(verify=False), "it speaks no TLS, and is asked with it")],
)
def test_tls_on_one_side_only(tls: TlsFiles | None, words: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)  # a client that never comes fails the test, instead of holding it up

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(60)
                connection.recv(1000)
                connection.sendall(b"HTTP/1.0 400 Bad Request\r\nContent-Length: %d\r\n\r\n%s" % (len(SAID), SAID))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        found = problem(DaemonEndpoint(url=f"tcp://127.0.0.1:{listener.getsockname()[1]}", tls=tls))
        thread.join()
    assert (found.kind, found.detail) == ("tls", words)
