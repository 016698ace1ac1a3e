"""The key-value store of the legacy overlay (engine ≤ 20.10): what answers at its addresses, and what it holds.

A closed port, another protocol, a sick cluster and an etcd without its v2 API all look alike in the daemon's log ("client:
etcd cluster is unavailable"). Asked here as each store understands it: consul and etcd over HTTP, zookeeper by its
four-letter words. Packets go only to the addresses in the URL and to the peers that these name. Requests only read.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from errno import EHOSTUNREACH, ENETUNREACH
from functools import partial
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from dockernet_doctor.decoding import as_text
from dockernet_doctor.notation import UNSPECIFIED, at, bracketed
from dockernet_doctor.snapshot.http import Connection, NoHttpError
from dockernet_doctor.snapshot.model import ClusterStore, Record, StoreEndpoint, StoreNode
from dockernet_doctor.threaded import Threaded

SCHEMES = ("consul", "etcd", "zk")
MUTE = "accepts connections and says nothing"
DEFAULT_PORTS = {"consul": 8500, "etcd": 2379, "zk": 2181}
_KINDS = {"consul": "consul", "etcd": "etcd", "zk": "zookeeper"}
_STEP_SECONDS = 2.0  # for one request, all of it; a store that is well answers in milliseconds
_GRACE_S = 0.25  # for threads that end by the deadline to have ended
_MOST_BYTES = 4 * 1024 * 1024
_MOST_NODES = 16
_MOST_KEYS = 5000

#: What reading an answer of another shape raises, beside the network's own errors. Stores are strangers.
_STRANGE = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, struct.error, msgspec.MsgspecError)


class StoreAddress(Record, frozen=True, kw_only=True):
    host: str
    port: int | None  # None: the URL names none, and the daemon dials 80


def parse_store_url(url: str) -> tuple[str, tuple[StoreAddress, ...], str]:
    """(scheme, addresses, path) of a --cluster-store; scheme "" where none is written. Libnetwork takes
    `SCHEME://HOST:PORT[,HOST:PORT…][/PATH]`; the path goes before every key."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "", url
    hosts, _, path = rest.partition("/")
    addresses = tuple(_address(part) for part in hosts.split(",") if part.strip())
    return scheme, addresses, path.strip("/")


def _address(text: str) -> StoreAddress:
    host = text.strip()
    try:
        parts = urlsplit(f"//{host}")
        host = parts.hostname or ""
        return StoreAddress(host=host, port=parts.port)
    except ValueError:
        return StoreAddress(host=host, port=None)


def read_store(url: str, deadline: float) -> ClusterStore:
    """Ask every address of `url`, then the peers they name, in parallel. `deadline` is of time.monotonic(); what did not
    answer until then is a node whose `connect` is "timeout"."""
    scheme, addresses, path = parse_store_url(url)
    targets = [(a.host, a.port if a.port is not None else 80) for a in addresses][:_MOST_NODES]
    nodes = _ask_all(targets, deadline)
    if not any(node.connect == "open" for node in nodes):
        # The usual slip is the port: where the store's own answers on the same host, the cure is known.
        default = DEFAULT_PORTS.get(scheme)
        nodes += [n for n in _ask_all([(h, default) for h, p in targets if default and p != default], deadline) if n.kind]
    known = {*targets, *((node.address, node.port) for node in nodes)}
    peers = [peer for node in nodes for peer in _peers(node) if peer not in known]
    if peers:
        nodes += _ask_all(list(dict.fromkeys(peers))[: max(0, _MOST_NODES - len(nodes))], deadline)
    store = ClusterStore(url=_without_userinfo(url), scheme=scheme, nodes=tuple(nodes))
    source = next((node for node in nodes if node.healthy and node.kind == _KINDS.get(scheme)), None)
    if source is None:
        return store
    try:
        return Threaded(partial(_with_content, store, source, path, deadline)).result(deadline + _GRACE_S)
    except TimeoutError:
        return store


def _without_userinfo(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}" if "@" in rest else url


def _peers(node: StoreNode) -> Iterator[tuple[str, int]]:
    for member in node.members or ():
        address = _address(member)
        if address.host and address.port:
            yield address.host, address.port


def _ask_all(targets: list[tuple[str, int]], deadline: float) -> list[StoreNode]:
    """In threads, since looking a name up has no timeout: which of them is not done by the deadline is left behind."""
    threads = [Threaded(partial(ask_node, host, port, deadline)) for host, port in targets]
    return [_node(thread, *target, deadline) for thread, target in zip(threads, targets, strict=True)]


def _node(asked: Threaded[StoreNode], host: str, port: int, deadline: float) -> StoreNode:
    try:
        return asked.result(deadline + _GRACE_S)
    except TimeoutError:
        return StoreNode(address=host, port=port, connect="timeout")


def ask_node(address: str, port: int, deadline: float) -> StoreNode:
    """Tells whether the port is open, which kind of store answers there, and how it is."""
    connect, detail = _connect(address, port, deadline)
    if connect != "open":
        return StoreNode(address=address, port=port, connect=connect, detail=detail)
    talks: tuple[Callable[[str, int, float], StoreNode | None], ...] = (_etcd, _consul, _zookeeper)
    for talk in talks:
        with contextlib.suppress(*_STRANGE):
            if node := talk(address, port, deadline):
                return node
    # zookeeper comes last: it hangs up on HTTP at once, while HTTP servers wait for the end of its four letters
    spoken = _first_words(address, port, deadline)
    return StoreNode(address=address, port=port, connect="open", detail=spoken or MUTE)


def _connect(address: str, port: int, deadline: float) -> tuple[str, str]:
    try:
        with socket.create_connection((address, port), timeout=_left(deadline)):
            return "open", ""
    except TimeoutError:
        return "timeout", ""
    except ConnectionRefusedError:
        return "refused", ""
    except socket.gaierror as error:
        return "nxdomain", error.strerror or ""
    except OSError as error:
        word = {EHOSTUNREACH: "unreachable-host", ENETUNREACH: "unreachable-net"}.get(error.errno or 0, "not-sent")
        return word, error.strerror or str(error)
    except ValueError:  # a name that cannot be one, as of a label of 64 letters
        return "nxdomain", ""


def _left(deadline: float) -> float:
    """Seconds for the next request. Raises TimeoutError once there are none."""
    seconds = min(_STEP_SECONDS, deadline - time.monotonic())
    if seconds <= 0.01:
        raise TimeoutError
    return seconds


class _Reply(Record, frozen=True, kw_only=True):
    status: int
    text: str
    headers: dict[str, str]

    def json(self) -> Any:
        return msgspec.json.decode(self.text)


def _get(address: str, port: int, path: str, deadline: float) -> _Reply:
    """The answer to a GET. Raises OSError, or NoHttpError."""
    end = time.monotonic() + _left(deadline)
    connection = Connection(
        lambda until: socket.create_connection((address, port), until - time.monotonic()), at(address, port)
    )
    try:
        answer = connection.ask("GET", path, end, _MOST_BYTES)
    finally:
        connection.close()
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in answer.fields.items()}
    return _Reply(status=answer.status, text=as_text(answer.body[:_MOST_BYTES]), headers=headers)


def _first_words(address: str, port: int, deadline: float) -> str:
    """What an unknown server answers to an HTTP request, its first line."""
    try:
        reply = _get(address, port, "/", deadline)
    except OSError:
        return ""
    except NoHttpError as error:
        said = str(error).strip().splitlines()
        return f"no HTTP: {said[0][:100]}" if said else ""
    server = reply.headers.get("server", "")
    return f"HTTP {reply.status}" + (f" from {server[:60]}" if server else "")


# --- etcd -----------------------------------------------------------------------------------------------------------


def _etcd(address: str, port: int, deadline: float) -> StoreNode | None:
    """etcd 2 and 3: /version says etcdserver, /health is "true" while there is a leader; v2 may be switched off."""
    version = _get(address, port, "/version", deadline)
    if version.status != 200 or "etcdserver" not in version.text:
        return None
    health = _get(address, port, "/health", deadline)
    healthy = health.status == 200 and str(health.json().get("health")).lower() == "true"
    keys = _get(address, port, "/v2/keys/", deadline)
    v2 = keys.status != 404 or "x-etcd-index" in keys.headers
    members = None
    with contextlib.suppress(*_STRANGE):
        members = _etcd_members(address, port, deadline) if v2 else None
    return StoreNode(
        address=address,
        port=port,
        connect="open",
        kind="etcd",
        version=str(version.json()["etcdserver"]),
        healthy=healthy,
        detail="" if healthy else health.text.strip()[:200],
        etcd_v2=v2,
        members=members,
    )


def _etcd_members(address: str, port: int, deadline: float) -> tuple[str, ...]:
    listed = _get(address, port, "/v2/members", deadline).json()["members"]
    return _client_addresses([m.get("clientURLs") or m.get("peerURLs") or [] for m in listed], address)


def _client_addresses(members: list[list[str]], asked: str) -> tuple[str, ...]:
    """One HOST:PORT for each member; a member's own loopback address is the one that was asked."""
    found = []
    for urls in members:
        parts = urlsplit(urls[0]) if urls else None
        if parts is None or not parts.hostname:
            found.append("")
            continue
        host = asked if parts.hostname in ("127.0.0.1", "localhost", "::1", *UNSPECIFIED) else parts.hostname
        found.append(f"{bracketed(host)}:{parts.port}")
    return tuple(found)


# --- consul ---------------------------------------------------------------------------------------------------------


def _consul(address: str, port: int, deadline: float) -> StoreNode | None:
    """/v1/status/leader is a JSON string, empty while the cluster has no leader; peers are raft addresses (8300)."""
    leader = _get(address, port, "/v1/status/leader", deadline)
    text = leader.text.strip()
    if not text.startswith('"') and "No cluster leader" not in text:
        return None
    # An etcd answers 404 with plain text here, other servers anything but a JSON string.
    elected = leader.status == 200 and bool(text.strip('"'))
    peers = _get(address, port, "/v1/status/peers", deadline)
    members = tuple(str(peer) for peer in peers.json()) if peers.status == 200 else None
    version = ""
    with contextlib.suppress(*_STRANGE):
        version = str(_get(address, port, "/v1/agent/self", deadline).json()["Config"]["Version"])
    return StoreNode(
        address=address,
        port=port,
        connect="open",
        kind="consul",
        version=version,
        healthy=elected,
        detail="" if elected else "no cluster leader",
        members=tuple(f"{_address(m).host}:{port}" for m in members) if members is not None else None,
    )


# --- zookeeper ------------------------------------------------------------------------------------------------------


def _zookeeper(address: str, port: int, deadline: float) -> StoreNode | None:
    """`srvr` is allowed from the start (3.5: 4lw.commands.whitelist=srvr); what is not in the whitelist says so."""
    said = _four_letters(address, port, "srvr", deadline)
    refused = "is not executed because it is not in the whitelist" in said
    waiting = "not currently serving requests" in said
    if not (refused or waiting or said.startswith("Zookeeper version")):
        return None
    version = said.partition("version: ")[2].partition("-")[0].partition(",")[0] if not refused else ""
    ready = None if refused else not waiting
    mode = next((line[6:] for line in said.splitlines() if line.startswith("Mode: ")), "")
    return StoreNode(
        address=address,
        port=port,
        connect="open",
        kind="zookeeper",
        version=version.strip(),
        healthy=ready if ready is not None else True,
        detail=said.strip()[:200] if waiting or refused else mode,
        members=(f"{address}:{port}",) if mode == "standalone" else _zookeeper_members(address, port, deadline),
    )


def _zookeeper_members(address: str, port: int, deadline: float) -> tuple[str, ...] | None:
    """The ensemble as /zookeeper/config holds it (3.5 and later: server.1=HOST:2888:3888:participant;0.0.0.0:2181)."""
    with contextlib.suppress(*_STRANGE), _Zookeeper(address, port, deadline) as client:
        config = as_text(client.data("/zookeeper/config"))
        return tuple(filter(None, (_server(line, port) for line in config.splitlines()))) or None
    return None


def _server(line: str, port: int) -> str:
    name, _, value = line.partition("=")
    if not name.startswith("server."):
        return ""
    peer, _, client = value.partition(";")
    return f"{peer.split(':')[0]}:{client.rpartition(':')[2] or port}"


def _four_letters(address: str, port: int, word: str, deadline: float) -> str:
    deadline = time.monotonic() + _left(deadline)
    with socket.create_connection((address, port), timeout=_left(deadline)) as connection:
        connection.sendall(word.encode())
        received = b""
        while len(received) < 16384:
            connection.settimeout(_left(deadline))
            try:
                part = connection.recv(4096)
            except TimeoutError:
                break  # an HTTP server waits for the rest of the request
            if not part:
                break
            received += part
            if received.startswith(b"HTTP/"):
                break
    return as_text(received)


class _Zookeeper:
    """As much of zookeeper's protocol (jute, big-endian, length-prefixed) as reading children and data takes. The session
    is opened read-only where the server allows it, and closed."""

    def __init__(self, address: str, port: int, deadline: float) -> None:
        self._deadline = deadline
        self._socket = socket.create_connection((address, port), timeout=_left(deadline))
        self._number = 0
        # protocol version, last zxid seen, time-out in ms, session, password, read-only
        self._send(struct.pack(">iqiqi16s?", 0, 0, 10000, 0, 16, b"", True))
        self._receive()

    def __enter__(self) -> _Zookeeper:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._send(struct.pack(">ii", self._number + 1, -11))
        self._socket.close()

    def children(self, path: str) -> list[str]:
        reply = self._call(8, path)
        (count,) = struct.unpack_from(">i", reply)
        names, at = [], 4
        for _ in range(min(count, _MOST_KEYS)):
            (length,) = struct.unpack_from(">i", reply, at)
            names.append(as_text(reply[at + 4 : at + 4 + length]))
            at += 4 + length
        return names

    def data(self, path: str) -> bytes:
        reply = self._call(4, path)
        (length,) = struct.unpack_from(">i", reply)
        return reply[4 : 4 + max(length, 0)]

    def _call(self, kind: int, path: str) -> bytes:
        self._number += 1
        name = path.encode()
        self._send(struct.pack(">iii", self._number, kind, len(name)) + name + b"\0")
        reply = self._receive()
        _, _, error = struct.unpack_from(">iqi", reply)
        if error == -101:  # no such node
            raise FileNotFoundError(path)
        if error:
            raise ValueError(f"zookeeper answers {error} for {path}")
        return reply[16:]

    def _send(self, payload: bytes) -> None:
        self._socket.settimeout(_left(self._deadline))
        self._socket.sendall(struct.pack(">i", len(payload)) + payload)

    def _receive(self) -> bytes:
        (length,) = struct.unpack(">i", self._exactly(4))
        if not 0 <= length <= _MOST_BYTES:
            raise ValueError("no zookeeper answer")
        return self._exactly(length)

    def _exactly(self, length: int) -> bytes:
        received = b""
        while len(received) < length:
            self._socket.settimeout(_left(self._deadline))
            part = self._socket.recv(length - len(received))
            if not part:
                raise ConnectionResetError
            received += part
        return received


# --- what libnetwork keeps in it ------------------------------------------------------------------------------------

# libkv writes below PATH/docker: network/v1.0/network/ID, network/v1.0/endpoint/NETWORK/ID (JSON of libnetwork), and the
# discovery service its hosts as docker/nodes/ADDRESS:PORT.
_NETWORKS, _ENDPOINTS, _NODES = "docker/network/v1.0/network", "docker/network/v1.0/endpoint", "docker/nodes"


def _with_content(store: ClusterStore, node: StoreNode, path: str, deadline: float) -> ClusterStore:
    readers = {"etcd": _etcd_content, "consul": _consul_content, "zookeeper": _zookeeper_content}
    prefix = f"{path}/" if path else ""
    content: dict[str, list[tuple[str, bytes]] | None] = {}
    for key in (_NETWORKS, _ENDPOINTS, _NODES):
        try:
            content[key] = readers[node.kind](node, prefix + key, deadline)
        except FileNotFoundError:
            content[key] = []
        except _STRANGE:
            content[key] = None
    networks, endpoints, hosts = content[_NETWORKS], content[_ENDPOINTS], content[_NODES]
    return ClusterStore(
        url=store.url,
        scheme=store.scheme,
        nodes=store.nodes,
        networks=None if networks is None else tuple(n for _, value in networks if value and (n := _network(value))),
        endpoints=None if endpoints is None else tuple(e for key, value in endpoints if (e := _endpoint(key, value))),
        hosts=None if hosts is None else tuple(sorted({key.rpartition("/")[2] for key, _ in hosts})),
    )


def _etcd_content(node: StoreNode, key: str, deadline: float) -> list[tuple[str, bytes]]:
    if node.etcd_v2 is False:
        raise ValueError("no v2 API")
    reply = _get(node.address, node.port, f"/v2/keys/{quote(key)}?recursive=true", deadline)
    if reply.status == 404:
        raise FileNotFoundError(key)
    return list(_leaves(reply.json()["node"]))[:_MOST_KEYS]


def _leaves(tree: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    if tree.get("dir"):
        for child in tree.get("nodes") or ():
            yield from _leaves(child)
    else:
        yield str(tree["key"]), str(tree.get("value", "")).encode()


def _consul_content(node: StoreNode, key: str, deadline: float) -> list[tuple[str, bytes]]:
    reply = _get(node.address, node.port, f"/v1/kv/{quote(key)}/?recurse=true", deadline)
    if reply.status == 404:
        raise FileNotFoundError(key)
    pairs = [(str(entry["Key"]), b64decode(entry.get("Value") or "")) for entry in reply.json()[:_MOST_KEYS]]
    return [(key, value) for key, value in pairs if not key.endswith("/")]


def _zookeeper_content(node: StoreNode, key: str, deadline: float) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    with _Zookeeper(node.address, node.port, deadline) as client:
        _descend(client, f"/{key}", found, 3)
    return found


def _descend(client: _Zookeeper, path: str, found: list[tuple[str, bytes]], depth: int) -> None:
    children = client.children(path)
    if not children or not depth:
        found.append((path, client.data(path)))
        return
    for child in children:
        if len(found) >= _MOST_KEYS:
            return
        with contextlib.suppress(FileNotFoundError):
            _descend(client, f"{path}/{child}", found, depth - 1)


def _network(value: bytes) -> tuple[str, str] | None:
    with contextlib.suppress(*_STRANGE):
        network = msgspec.json.decode(value)
        return str(network["id"]), str(network["name"])
    return None


def _endpoint(key: str, value: bytes) -> StoreEndpoint | None:
    """Endpoints lie at …/endpoint/NETWORK/ENDPOINT."""
    parts = key.split("/")
    try:
        endpoint = msgspec.json.decode(value)
        interface = endpoint.get("ep_iface") or {}
        return StoreEndpoint(
            network_id=parts[-2],
            endpoint_id=str(endpoint["id"]),
            name=str(endpoint.get("name", "")),
            address=str(interface.get("addr", "")).partition("/")[0],
            host=str(endpoint.get("locator", "")),
        )
    except _STRANGE:
        return None
