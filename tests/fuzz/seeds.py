"""What the fuzzer begins with: recordings of real hosts, and what the mutations stand on."""

from __future__ import annotations

import base64
import gzip
import json
import lzma
import struct
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

TESTS = Path(__file__).parents[1]
_NETFILTER = TESTS / "unit/netfilter/data"
_LARGEST = 1 << 16  # bytes of a seed: longer ones take the fuzzer's time
_ENGINES = ("20.10", "26.1", "28.5")


@cache
def engine(version: str) -> Any:
    """{"answers": {path: body}, "snapshot": …} of a real engine."""
    return json.loads(gzip.decompress((TESTS / f"recorded/engine-{version}.json.gz").read_bytes()))


@cache
def bundles() -> tuple[Any, ...]:
    """Recorded hosts as bundles hold them: engines, a fleet, the demo, and of the corpus the first host of each module."""
    files = [*sorted((TESTS / "recorded").glob("*.bundle")), TESTS.parent / "dockernet_doctor/demo.bundle.json.gz"]
    found = [json.loads(gzip.decompress(file.read_bytes())) for file in files]
    head = {"schema": "dockernet-doctor/bundle/1"}
    found += [head | {"snapshot": engine(version)["snapshot"], "answers": []} for version in _ENGINES]
    for file in sorted((TESTS / "corpus/recorded").glob("*.jsonl.xz")):
        with lzma.open(file) as lines:
            case = json.loads(next(lines))
        found.append(head | {"snapshot": case["snapshots"][0], "answers": case["answers"]})
    return tuple(found)


def snapshots() -> list[Any]:
    return [bundle["snapshot"] for bundle in bundles()]


def _texts(*path: str) -> Iterator[bytes]:
    """The texts that stand at a path of the snapshots; `*` is every item of a list or a dict."""

    def walk(value: Any, rest: tuple[str, ...]) -> Iterator[str]:
        if not rest:
            yield from [value] if isinstance(value, str) else ["\n".join(value)] if isinstance(value, list) and value else []
        elif rest[0] == "*":
            for item in value.values() if isinstance(value, dict) else value or ():
                yield from walk(item, rest[1:])
        elif isinstance(value, dict) and value.get(rest[0]) is not None:
            yield from walk(value[rest[0]], rest[1:])

    for snapshot in snapshots():
        for text in walk(snapshot, path):
            yield text.encode()


def small(found: Callable[[], Iterator[bytes]]) -> Callable[[], list[bytes]]:
    """Each once, and none that is too large."""
    return lambda: list(dict.fromkeys(data[:_LARGEST] for data in found()))


def iptables() -> Iterator[bytes]:
    for name in ("iptables-every-match.txt", "native-in-iptables.txt"):
        yield (_NETFILTER / name).read_bytes()
    yield from sections("iptables-save -c")
    yield from sections("ip6tables-save -c")


def sections(command: str) -> Iterator[bytes]:
    for engine in ("docker-20", "docker-26", "docker-28"):
        parts = (_NETFILTER / f"{engine}.txt").read_text().split("==> ")[1:]
        for part in parts:
            if part.startswith(command):
                yield part.partition("\n")[2].encode()


def nft() -> Iterator[bytes]:
    yield (_NETFILTER / "nft-every-expression.json").read_bytes()
    yield from sections("nft -j list ruleset")


def ipset() -> Iterator[bytes]:
    yield b"create blocked hash:net family inet hashsize 9\nadd blocked 10.0.0.0/8\nadd blocked 10.1.0.0/16 nomatch\n"
    yield b"create ports hash:ip,port family inet\nadd ports 172.17.0.2,tcp:80\ncreate all list:set size 8\nadd all ports\n"
    yield b"create six hash:net family inet6\nadd six fd00::/64\ncreate marks hash:ip,mark\nadd marks 10.0.0.1,0x1\n"
    yield b"create n bitmap:port range 0-1024\nadd n 80-90\ncreate i hash:net,iface\nadd i 10.0.0.0/8,physdev:eth0\n"


def daemon_json() -> Iterator[bytes]:
    yield b'{"dns": ["1.1.1.1"], "mtu": 1400, "bip": "10.1.0.1/24", "iptables": true, "log-opts": {"max-size": "1m"}}'
    yield b'{\'hosts\': ["tcp://0.0.0.0:2375",], // no\n "mtu: "1400" "ipv6" = True }}'
    yield b'{\n"default-address-pools": [{"base": "10.0.0.0/8", "size": 24}\n"insecure-registries": [1.1.1.1]\n'
    yield from _texts("daemon", "files", "*", "text")


def units() -> Iterator[bytes]:
    yield (
        b"[Service]\nEnvironmentFile=-/etc/default/docker\nEnvironment=\"A=1\" 'B=two words'\nExecStart=\n"
        b'ExecStart=/usr/bin/dockerd -H fd:// $DOCKER_OPTS ${X} \\\n --mtu 1400 "--dns=1.1.1.1"\n'
    )
    yield from _texts("daemon", "files", "*", "text")


def flags() -> Iterator[bytes]:
    yield b"--dns\n1.1.1.1\n-H\ntcp://0.0.0.0:2375\n--mtu=1400\n--iptables=false\n-D\n--log-opt\nmax-size=1m\n--\nx"
    yield from _texts("daemon", "arguments")


def resolv() -> Iterator[bytes]:
    yield b"nameserver 127.0.0.11\nsearch a.example b\noptions ndots:0 edns0\n# ExtServers: [host(10.0.0.2) 1.1.1.1]\n"
    yield b"127.0.0.1 localhost\n::1 localhost ip6-localhost\n172.18.0.2 web web.example # x\nfe80::1%eth0 a\n"
    yield b"net.ipv4.ip_forward = 1\n-net/ipv4/conf/eth0.1/forwarding=0\n"


@cache
def _namespace() -> Any:
    return json.loads((TESTS / "unit/snapshot/data/namespace.json").read_text())


def proc() -> Iterator[bytes]:
    yield from (text.encode() for text in _namespace()["proc"].values() if isinstance(text, str))
    yield (
        b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        b"   0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0\n"
    )


def netlink() -> Iterator[bytes]:
    for datagrams in _namespace()["answers"].values():
        yield from map(base64.b64decode, datagrams)


def http() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nApi-Version: 1.51\r\nContent-Length: 4\r\n\r\nnullHTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\n{}"
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    yield b'HTTP/1.0 500 Oops\r\nConnection: close\r\n\r\n{"message": "no"}'
    yield b"HTTP/1.1 204 No Content\r\n\r\n"


def stores() -> Iterator[bytes]:
    """Answers one after the other; the byte FF parts them."""
    ok = b"HTTP/1.1 200 OK\r\nX-Etcd-Index: 7\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
    etcd = (
        b'{"etcdserver":"2.3.8","etcdcluster":"2.3.0"}', b'{"health": "true"}', b'{"action":"get","node":{"dir":true}}',
        b'{"members":[{"id":"a","clientURLs":["http://10.0.0.1:2379"]},{"peerURLs":["http://[fd00::1]:2380"]}]}',
    )  # fmt: skip
    yield b"\xff".join(ok + body for body in etcd)
    consul = (b'"10.0.0.1:8300"', b'["10.0.0.1:8300","10.0.0.2:8300"]', b'{"Config":{"Version":"1.0.6"}}')
    yield b"\xff".join([ok + b"404", *(ok + body for body in consul)])
    yield b"\xff".join([b"", b"", b"Zookeeper version: 3.4.9-1757313, built\nMode: standalone\n"])
    yield b"HTTP/1.1 400 Bad\r\nServer: nginx\r\n\r\n\xff\xff\xff\xff"


def whole_stores() -> Iterator[bytes]:
    """The URL in the first line; then the answers of a node, and those about networks, endpoints and hosts."""
    nodes = [
        said.replace(b',{"peerURLs":["http://[fd00::1]:2380"]}', b"").replace(b',"10.0.0.2:8300"', b"") for said in stores()
    ]
    ok = b"\xffHTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    network, endpoint = rb"{\"id\":\"n1\",\"name\":\"app\"}", rb"{\"name\":\"web\",\"id\":\"e1\",\"ep_iface\":{}}"
    etcd = (
        b'{"node":{"dir":true,"nodes":[{"key":"/docker/network/v1.0/network/n1","value":"' + network + b'"}]}}',
        b'{"node":{"dir":true,"nodes":[{"key":"/docker/network/v1.0/endpoint/n1/e1","value":"' + endpoint + b'"}]}}',
        b'{"node":{"dir":true,"nodes":[{"key":"/docker/nodes/10.0.0.2:2375","value":"10.0.0.2:2375"}]}}',
    )
    yield b"etcd://10.0.0.1:2379/x\n" + nodes[0] + b"".join(ok + body for body in etcd)
    values = (network, b"network/v1.0/network/n1"), (endpoint, b"network/v1.0/endpoint/n1/e1"), (b"-", b"nodes/10.0.0.2:2375")
    pairs = (
        b'[{"Key":"docker/' + key + b'","Value":"' + base64.b64encode(value.replace(b"\\", b"")) + b'"}]'
        for value, key in values
    )
    yield b"consul://10.0.0.1:8500\n" + nodes[1] + b"".join(ok + body for body in pairs)
    opened, children = struct.pack(">i", 36) + bytes(36), struct.pack(">iiqii", 20, 1, 0, 0, 0)
    zookeeper = opened + children + struct.pack(">iiqii2s", 22, 2, 0, 0, 2, b"{}")
    yield b"zk://10.0.0.1:2181/x\n" + nodes[2] + 3 * (b"\xff" + zookeeper)
    yield b"\n" + nodes[3]


def dns() -> Iterator[bytes]:
    question = b"\x03web\x07example\0\0\x01\0\x01"
    yield b"\x12\x34\x81\x80\0\x01\0\x01\0\0\0\0" + question + b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\0\0\x01"
    yield b"\x12\x34\x81\x83\0\x01\0\0\0\0\0\0" + question
    yield b"\x12\x34\x83\x80\0\x01\0\x01\0\0\0\0" + question + b"\xc0\x0c\0\x1c\0\x01\0\0\0\x3c\0\x10" + bytes(15) + b"\1"


def frames() -> Iterator[bytes]:
    """A kind (IPv4, IPv6, ARP), whether it leaves, and the packet from its network header on."""
    tcp = struct.pack("!HHIIBBHHH", 40000, 80, 10, 0, 0x50, 2, 1024, 0, 0)
    addresses = bytes((172, 17, 0, 1, 172, 18, 0, 2))
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 40, 1, 0, 64, 6, 0) + addresses
    yield b"\0\0" + ip + tcp
    yield b"\1\1" + struct.pack("!IHBB", 6 << 28, 20, 6, 64) + bytes(15) + b"\1" + bytes(15) + b"\2" + tcp
    yield b"\2\0" + struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + bytes(6) + addresses[:4] + bytes(6) + addresses[4:]
    yield b"\0\0" + struct.pack("!BBHHHBBH", 0x45, 0, 56, 1, 0, 64, 1, 0) + addresses + b"\3\3" + bytes(6) + ip + tcp[:8]


def compose() -> Iterator[bytes]:
    yield (
        b"services:\n  web: &w\n    image: nginx\n    ports: ['8080:80']\n    environment: {A: 'amqp://u:p@db:5/x', B: c}\n"
        b"    networks:\n      app: {aliases: [w]}\n  b:\n    <<: *w\nnetworks:\n  app: {driver_opts: {mtu: 14}} # token=abc\n"
    )
    yield from _texts("compose_files", "*", "text")
    yield from _texts("host", "compose_files", "*", "text")


def logs() -> Iterator[bytes]:
    yield b'time="2026-01-02T03:04:05.6Z" level=warning msg="a \\"b\\"" error="dial tcp 10.0.0.1: refused" node-addr=10.0.0.1\n'
    yield b'{"level":"info","msg":"Starting up","time":"2026-01-02T03:04:05Z"}\nError starting daemon: x\n'
    yield b'{"MESSAGE":[97,98],"__REALTIME_TIMESTAMP":"1767323045000000"}\n{"MESSAGE":"API listen on /run/docker.sock"}\n'
    yield b"Jan  2 03:04:05 h dockerd[1]: failed to start daemon: Error initializing network controller\n"
    yield from _texts("containers", "*", "log_tail")


def texts() -> Iterator[bytes]:
    yield b"docker: Error response from daemon: Ports are not available: listen tcp 0.0.0.0:80: bind: address already in use."
    yield b"Bind for 0.0.0.0:80 failed: port is already allocated"
    yield b"# A page\n\nWith `code`, **bold**:\n\n- one\n- two\n\n```sh\ndocker ps\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    yield from logs()


def questions() -> Iterator[bytes]:
    for text in ("web:80", "host:22", "[::1]:80", "10.0.0.1:80/udp", "service:shop/web:80@h1", "name:a.b:53/udp",
                 "container:host@h",                  "outside", "fe80::1%eth0", "web@h1:80"):  # fmt: skip
        yield text.encode()


def settings() -> Iterator[bytes]:
    yield b"DATABASE_URL=postgres://u:p@db:5432/x\nREDIS=redis:6379\nNO_PROXY=a,*.b,10.0.0.0/8\nMONGO=mongodb://a,b:1/x\nDB_HOST=db\nDB_PORT=1"
    yield b"sh\n-c\npsql -h db -p 5432 && curl -f http://web:80/x@y || exec java -Djdbc=jdbc:oracle:thin:@//h:1521/x"
    yield b"traefik.http.services.a.loadbalancer.server.port=80\ncaddy={{upstreams http 80}}\nvirtual.host=a.b"
    yield b"DSN=user:p@ss@tcp(db:3306)/x\nCONN=Server=tcp:db,1433;Password=p\nPG=host=a,b port=1,2"


def secrets() -> Iterator[bytes]:
    yield b'curl -u me:secret --token abc Authorization: Bearer eyJhbGciOi.x PASSWORD="x y" {"api_key": "z"} pin is hunter2'
    yield b"mysql -psecret admin:12345 $2y$10$abcdefghijk {SSHA}abcdefghij https://u:p@h/x?token=y ghp_0123456789abcdefghij"
    yield from logs()


def encoded(values: list[Any]) -> list[bytes]:
    return [msgspec.json.encode(value) for value in values]


def changes() -> Iterator[bytes]:
    """For what stands on recordings that are changed as the input says."""
    for number in range(24):
        yield bytes([number, 0])
        yield bytes([number, 0, *range(number, number + 40, 3)])
