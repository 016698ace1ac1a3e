"""Questions to the Docker API, over a UNIX socket, or over a connection as the docker SDK makes it, TCP or TLS.

`Api` can only GET and HEAD: there is no way to hand it another method. Every request ends by its timeout and by the
deadline of the whole run, however slowly the answer comes, and reads a bounded number of bytes. So HTTP is spoken here: what
urllib3 and requests read has a limit for each read, and none for the whole; they follow redirects; and http.client takes
longer to import than the daemon takes to answer.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, cast

import msgspec

from dockernet_doctor.decoding import as_text, is_number
from dockernet_doctor.regex import regex
from dockernet_doctor.threaded import Threaded

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from dockernet_doctor.snapshot.endpoint import DaemonEndpoint

T = TypeVar("T")
Method = Literal["GET", "HEAD"]
ProblemKind = Literal["no-socket", "refused", "permission", "timeout", "unreachable", "tls", "protocol", "http", "usage"]

# The newest API whose answers these readers were written for (engine 28.5); an engine that is newer still speaks it.
NEWEST_API = (1, 51)
ANSWER_LIMIT = 32 << 20  # bytes; `GET /containers/json` of 5,000 containers has about 10 MB


class ApiError(Exception):
    """The daemon gave no usable answer. `kind` is that of `EngineProblem`; `status` the HTTP status where one came."""

    def __init__(self, kind: ProblemKind, detail: str, status: int = 0) -> None:
        super().__init__(detail)
        self.kind: ProblemKind = kind
        self.detail = detail
        self.status = status


class Api:
    """The Docker API of one daemon, for reading.

    Safe to use from several threads: each borrows a connection, and a connection is kept alive between requests.
    `timeout` is seconds a request, `deadline` a value of `time.monotonic()` at which everything ends.
    """

    def __init__(self, endpoint: DaemonEndpoint, *, timeout: float, deadline: float) -> None:
        self.endpoint = endpoint
        self.prefix = ""
        self._timeout = timeout
        self._deadline = deadline
        self._connect = _way_to(endpoint)
        self._idle: list[Connection] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def get(self, path: str, *, limit: int = ANSWER_LIMIT, truncate: bool = False) -> bytes:
        """The body of `GET path`; ApiError where it is not 200, or longer than `limit` bytes and not to be truncated."""
        status, body = self._ask("GET", self.prefix + path, limit)
        if status == 400 and b"HTTPS" in body:  # "Client sent an HTTP request to an HTTPS server."
            raise ApiError("tls", "it speaks TLS, and is asked without", status)
        if 300 <= status < 400:
            raise ApiError("protocol", f"{self.endpoint.url} sends elsewhere (HTTP {status}), which Docker never does", status)
        if status != 200:
            raise ApiError("permission" if status == 403 else "http", _message(status, body), status)
        if len(body) > limit:
            if not truncate:
                raise ApiError("protocol", f"the answer to GET {_brief(path)} has more than {limit >> 20} MiB")
            body = body[:limit]
        return body

    def read(self, path: str, decoder: msgspec.json.Decoder[T]) -> T:
        """The answer to `GET path`, decoded; ApiError where it is not what Docker answers."""
        body = self.get(path)
        try:
            return decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ApiError("protocol", f"GET {_brief(path)} was not answered as Docker does: {error}") from error

    def negotiate(self, api_version: str, minimum: str) -> None:
        """From now on ask in the newest API version that both sides know."""
        theirs, least = _numbers(api_version), _numbers(minimum)
        if theirs == (0, 0):
            raise ApiError("protocol", f"the daemon says its API version is {api_version!r}")
        chosen = max(min(theirs, NEWEST_API), least)
        self.prefix = f"/v{chosen[0]}.{chosen[1]}"

    def _ask(self, method: Method, path: str, limit: int) -> tuple[int, bytes]:
        now = time.monotonic()
        deadline = min(now + self._timeout, self._deadline)
        if deadline <= now:
            raise ApiError("timeout", f"no time was left for {method} {_brief(path)}")
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        kept_alive = connection is not None
        connection = connection or Connection(self._connect)
        try:
            try:
                answer = connection.ask(method, path, deadline, limit)
            except (BrokenPipeError, ConnectionResetError):
                if not kept_alive:
                    raise
                # The daemon may close an idle connection at any time: that is no fault, and reading is repeatable.
                connection.close()
                answer = connection.ask(method, path, deadline, limit)
        except Exception as error:
            connection.close()
            if isinstance(error, ApiError):
                raise
            raise _problem(error, self.endpoint.url, path, min(self._timeout, deadline - now)) from error
        if len(answer.body) > limit:
            connection.close()
        else:
            with self._lock:
                self._idle.append(connection)
        return answer.status, answer.body


# --- HTTP -----------------------------------------------------------------------------------------------------------


class NoHttpError(ValueError):
    """What came is no answer of HTTP/1; str() is its first line, or what is wrong with it."""


class HttpAnswer(NamedTuple):
    status: int
    fields: dict[bytes, bytes]  # by their names in lower case
    body: bytes


class Connection:
    """HTTP/1.1 as far as the Docker API and the cluster stores speak it, over one connection that is kept alive.

    connect  makes the connection, by that value of time.monotonic()
    """

    def __init__(self, connect: Callable[[float], socket.socket], host: str = "docker") -> None:
        self._connect = connect
        self._host = host
        self._deadline = 0.0
        self._received = bytearray()
        self._position = 0  # what stands before it in `_received` has been read
        self._socket: socket.socket | None = None

    def ask(self, method: Method, path: str, deadline: float, limit: int) -> HttpAnswer:
        """One request; at most `limit` + 1 bytes of the answer. OSError, TimeoutError at the deadline, or NoHttpError."""
        if not _PATH.fullmatch(path):
            raise NoHttpError(f"no path: {path!r}")
        self._deadline = deadline
        self._connected().sendall(f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode())
        status, fields = _head(self._until(b"\r\n\r\n"))
        body = b"" if method == "HEAD" or status in (204, 304) else self._body(fields, limit)
        if fields.get(b"connection", b"").lower() == b"close":
            self.close()
        return HttpAnswer(status, fields, body)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._received.clear()
        self._position = 0

    def _connected(self) -> socket.socket:
        """The connection, whose next operation ends by the deadline, however slowly the bytes trickle in."""
        if self._deadline <= time.monotonic():
            raise TimeoutError
        if self._socket is None:
            self._socket = self._connect(self._deadline)
        self._socket.settimeout(max(0.001, self._deadline - time.monotonic()))
        return self._socket

    def _body(self, fields: dict[bytes, bytes], limit: int) -> bytes:
        if fields.get(b"transfer-encoding", b"").lower() == b"chunked":
            return self._chunks(limit)
        if b"content-length" in fields:
            return bytes(self._take(min(_size(fields[b"content-length"], 10), limit + 1)))
        with contextlib.suppress(ConnectionResetError):  # it ends with the connection
            return bytes(self._take(limit + 1))
        rest = bytes(self._received[self._position :])
        self.close()
        return rest

    def _chunks(self, limit: int) -> bytes:
        body = bytearray()
        while size := _size(self._until(b"\r\n").partition(b";")[0], 16):
            if len(body) + size > limit:
                return bytes(body + self._take(limit + 1 - len(body)))
            body += self._take(size)
            self._until(b"\r\n")
        trailers = 0
        while line := self._until(b"\r\n"):
            trailers += len(line)
            if trailers > _HEAD_LIMIT:
                raise NoHttpError("trailers without end")
        return bytes(body)

    def _until(self, mark: bytes) -> bytes:
        while (end := self._received.find(mark, self._position)) < 0:
            if len(self._received) - self._position > _HEAD_LIMIT:
                raise NoHttpError("a head without end")
            self._receive()
        found = bytes(self._received[self._position : end])
        self._position = end + len(mark)
        return found

    def _take(self, size: int) -> bytearray:
        while len(self._received) - self._position < size:
            self._receive()
        found = self._received[self._position : self._position + size]
        self._position += size
        return found

    def _receive(self) -> None:
        data = self._connected().recv(1 << 16)
        if not data:
            raise ConnectionResetError
        del self._received[: self._position]
        self._position = 0
        self._received += data


_PATH = regex(r"/[!-~]*")
_HEAD_LIMIT = 64 << 10  # bytes


@lru_cache(maxsize=64)
def _head(data: bytes) -> tuple[int, dict[bytes, bytes]]:
    """Status and fields; the same for all answers of a second, hence the cache. No request here allows an answer of 1xx."""
    first, *lines = data.split(b"\r\n")
    if not first.startswith(b"HTTP/1.") or not first[9:12].isdigit() or first[9:10] == b"1":
        raise NoHttpError(as_text(first[:200]))
    fields = (line.partition(b":") for line in lines)
    return int(first[9:12]), {name.lower(): value.strip() for name, _, value in fields}


def _size(digits: bytes, base: int) -> int:
    size = int(digits, base)
    if size < 0:
        raise NoHttpError("a negative size")
    return size


# --- connections ----------------------------------------------------------------------------------------------------


def _way_to(endpoint: DaemonEndpoint) -> Callable[[float], socket.socket]:
    socket_path = endpoint.socket_path
    if socket_path is not None:
        return lambda deadline: _unix(socket_path, deadline)
    # In a thread, since looking a name up has no timeout.
    return lambda deadline: Threaded(lambda: _tcp(endpoint, deadline)).result(deadline)


def _unix(path: str, deadline: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return connection


def _tcp(endpoint: DaemonEndpoint, deadline: float) -> socket.socket:
    """TCP, or TLS with the endpoint's files, as the docker SDK connects; it is imported here only. No proxy is asked: it would
    learn all that the daemon says, and could answer in its place."""
    import urllib3
    from docker import APIClient
    from docker.tls import TLSConfig
    from requests import Request
    from requests.adapters import HTTPAdapter

    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # DOCKER_TLS alone asks for just that
    tls: TLSConfig | bool = False
    if endpoint.tls is not None:
        pair = (endpoint.tls.certificate, endpoint.tls.key)
        tls = TLSConfig(
            client_cert=pair if all(pair) else None,
            ca_cert=endpoint.tls.authority or None,
            verify=endpoint.tls.verify,
        )
    # A version is given so that the SDK asks nothing by itself; the paths carry their own.
    client = APIClient(base_url=endpoint.url, version="1.41", tls=tls)
    adapter = client.get_adapter(client.base_url)
    assert isinstance(adapter, HTTPAdapter)
    request = Request("GET", client.base_url).prepare()
    pool: Any = adapter.get_connection_with_tls_context(request, client.verify, cert=client.cert)
    made = pool._get_conn()
    made.timeout = max(0.001, deadline - time.monotonic())
    made.connect()
    return cast(socket.socket, made.sock)


# --- what a failure means -------------------------------------------------------------------------------------------


def _problem(error: Exception, url: str, path: str, seconds: float) -> ApiError:
    import ssl

    cause = _root(error)
    if isinstance(cause, TimeoutError) or "timed out" in str(cause).lower() or "Timeout" in type(error).__name__:
        return ApiError(
            "timeout", f"{url} accepted the connection and did not answer GET {_brief(path)} in {round(seconds, 1):g} s"
        )
    if isinstance(cause, FileNotFoundError):
        return ApiError("no-socket", f"there is no socket {url.removeprefix('unix://')}")
    if isinstance(cause, PermissionError):
        return ApiError("permission", f"no right to connect to {url}")
    if isinstance(cause, ConnectionRefusedError):
        return ApiError("refused", f"nothing listens at {url}")
    if isinstance(cause, ssl.SSLError):
        return ApiError("tls", _tls_failure(cause))
    if isinstance(cause, NoHttpError):
        return ApiError("protocol", f"{url} does not speak HTTP as Docker does: {cause}")
    if isinstance(cause, ConnectionResetError | BrokenPipeError | ValueError):
        return ApiError("protocol", f"{url} does not speak HTTP as Docker does: {type(cause).__name__}")
    if isinstance(cause, OSError):
        return ApiError("unreachable", f"{url}: {cause.strerror or cause}")
    kind: ProblemKind = "tls" if "TLS" in type(error).__name__ else "protocol"
    return ApiError(kind, f"{url}: {error}")


def _tls_failure(error: ssl.SSLError) -> str:
    """What went wrong, said of the daemon."""
    reason = error.reason or ""
    if message := getattr(error, "verify_message", ""):
        return f"its certificate is not accepted ({message.rstrip('.')})"
    if "CERTIFICATE_REQUIRED" in reason:
        return "it wants a certificate of the client"
    if reason.endswith(("BAD_CERTIFICATE", "UNKNOWN_CA", "CERTIFICATE_UNKNOWN", "CERTIFICATE_EXPIRED")):
        return "it does not accept the client's certificate"
    if reason in ("WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST"):
        return "it speaks no TLS, and is asked with it"
    return f"TLS with it failed: {reason or error}"


def _root(error: BaseException) -> BaseException:
    """The operating system's error under the layers of urllib3 and requests."""
    seen = error
    for _ in range(8):
        inner = [arg for arg in seen.args if isinstance(arg, BaseException)]
        reason = getattr(seen, "reason", None)
        if isinstance(reason, BaseException):
            inner.append(reason)
        following = seen.__cause__ or seen.__context__ or (inner[-1] if inner else None)
        if following is None or (isinstance(seen, OSError) and seen.errno is not None):
            break
        seen = following
    return seen


def _brief(path: str) -> str:
    """What was asked for, as a person would write it: short ids, and without the API's version and the query."""
    return re.sub(r"^/v[\d.]+(?=/)|(?<=/[0-9a-f]{12})[0-9a-f]{52}", "", path.partition("?")[0])


def _message(status: int, body: bytes) -> str:
    with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        said = msgspec.json.decode(body[:4096])
        if isinstance(said, dict) and isinstance(said.get("message"), str):
            return f"HTTP {status}: {said['message'][:400]}"
    return f"HTTP {status}"


def _numbers(version: str) -> tuple[int, int]:
    major, _, minor = version.partition(".")
    return (int(major), int(minor)) if is_number(major) and is_number(minor) else (0, 0)
