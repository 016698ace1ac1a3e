"""A Docker API that says what a real engine said: an HTTP server on a UNIX socket, and what it was asked."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import re
import socketserver
import threading
from functools import cache
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dockernet_doctor.snapshot.endpoint import DaemonEndpoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

RECORDED = Path(__file__).parents[2] / "recorded"
ENGINES = ("20.10", "26.1", "28.5")


@cache
def recording(engine: str) -> Any:
    """{"answers": {path: body}, "snapshot": …} as tests.recorded.record wrote it."""
    return json.loads(gzip.decompress((RECORDED / f"engine-{engine}.json.gz").read_bytes()))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ReplayServer

    def do_GET(self) -> None:
        path = re.sub(r"^/v1\.\d+|&since=[\d.]+", "", self.path)  # logs are recorded without the moment asked for
        self.server.requests.append((self.command, self.path))
        answer = self.server.answers.get(path)
        body = json.dumps({"message": f"page not found: {path}"}).encode() if answer is None else body_of(answer)
        self.send_response(404 if answer is None else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815
    do_PUT = do_GET  # noqa: N815
    do_DELETE = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


class ReplayServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def __init__(self, path: str, answers: Mapping[str, Any]) -> None:
        self.answers = answers
        self.requests: list[tuple[str, str]] = []
        super().__init__(path, _Handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        with contextlib.suppress(ConnectionError):
            _Handler(request, ("replay", 0), self)


@contextlib.contextmanager
def replayed(directory: Path, answers: Mapping[str, Any]) -> Iterator[tuple[DaemonEndpoint, list[tuple[str, str]]]]:
    """The endpoint of a server that gives these answers, and the (method, path) of the requests it had so far."""
    path = str(directory / "docker.sock")
    with ReplayServer(path, answers) as server:
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True)
        thread.start()
        try:
            yield DaemonEndpoint(url=f"unix://{path}"), server.requests
        finally:
            server.shutdown()
            thread.join()


def body_of(answer: Any) -> bytes:
    """As it was sent."""
    if isinstance(answer, dict) and answer.keys() == {"base64"}:
        return base64.b64decode(answer["base64"])
    return answer if isinstance(answer, bytes) else json.dumps(answer).encode()
