"""Plays Docker 29 with `firewall-backend: nftables` on a lab host, with an older real dockerd behind it.

Installed as /usr/sbin/dockerd of the host: `played29.py DOCKERD ARGUMENT…` becomes the real DOCKERD, which writes no rules
(`iptables: false`) and listens elsewhere, and leaves a process beside it that

- writes 29's tables `docker-bridges` for the networks and ports of now, and `docker-dns` in each sandbox;
- listens at /run/docker.sock, lets requests through, and answers /version, /info and inspections in the shape of API 1.56.

The rules are laid out as the engine's own are (`rules`, compared with a recorded 29.7.2 by tests/unit/test_lab_played29.py).
They are written again when what they are made of has changed, in one transaction; what a test does to them stays until then.
Standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import ipaddress
import json
import os
import re
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

Item = dict[str, Any]

VERSION, API_VERSION, MIN_API_VERSION = "29.7.2", "1.56", "1.40"
_NEW = ("firewall-backend", "bridge-accept-fwmark")
"""Options of daemon.json that an older dockerd does not know."""
SOCKET, REAL_SOCKET = "/run/docker.sock", "/run/played/docker.sock"
CONFIG = Path("/etc/docker/daemon.json")
_PRIVATE = Path("/run/played/etc")
_OPTION = "com.docker.network.bridge."


def main() -> None:
    dockerd, arguments = sys.argv[1], sys.argv[2:]
    if "--validate" in arguments:
        os.execv(dockerd, ["/usr/sbin/dockerd", *map(_without_options_of_29, arguments)])
    _PRIVATE.mkdir(parents=True, exist_ok=True)
    settings = _settings()
    if Path("/proc/sys/net/ipv4/ip_forward").read_text() == "0\n" and settings.get("ip-forward", True):
        sys.exit(_NEEDS_FORWARDING)
    ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    Path("/run/played/notify").unlink(missing_ok=True)
    ready.bind("/run/played/notify")
    listening = socket.socket(socket.AF_UNIX)
    Path(SOCKET).unlink(missing_ok=True)
    listening.bind(SOCKET)
    Path(SOCKET).chmod(0o660)
    listening.listen(4096)
    daemon, waiting = os.getpid(), os.environ.get("NOTIFY_SOCKET", "")
    if os.fork() == 0:
        os.setsid()
        Player(daemon, settings).play(listening, ready, waiting)
    listening.close()
    ready.close()
    _hide_the_config(settings)
    os.execve(dockerd, ["/usr/sbin/dockerd", *arguments], os.environ | {"NOTIFY_SOCKET": "/run/played/notify"})


def _settings() -> Item:
    """daemon.json as the host has it; {} where it is no JSON, which the real daemon then says."""
    with contextlib.suppress(OSError, ValueError):
        found: Item = json.loads(CONFIG.read_text())
        return found
    return {}


def _without_options_of_29(argument: str) -> str:
    """`--config-file=FILE` with a copy of the file that an older dockerd understands; any other argument as it is."""
    name, _, file = argument.partition("=")
    if name != "--config-file":
        return argument
    copy = _PRIVATE / "validated.json"
    with contextlib.suppress(OSError, ValueError):
        copy.write_text(
            json.dumps({key: value for key, value in json.loads(Path(file).read_text()).items() if key not in _NEW})
        )
        return f"{name}={copy}"
    return argument


def _hide_the_config(settings: Item) -> None:
    """Let the real daemon alone read another daemon.json: in a mount namespace of its own, so that its arguments and the
    host's file are those of a 29."""
    own = {"iptables": False, "ip6tables": False, "ip-forward": False, "hosts": [f"unix://{REAL_SOCKET}"]}
    kept = {key: value for key, value in settings.items() if key not in (*_NEW, "icc")}  # icc off wants iptables on
    text = json.dumps(kept | own) if settings or not CONFIG.exists() else CONFIG.read_text()
    (_PRIVATE / CONFIG.name).write_text(text)
    if ctypes.CDLL(None, use_errno=True).unshare(0x00020000):  # CLONE_NEWNS
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["mount", "--bind", str(_PRIVATE), str(CONFIG.parent)], check=True)


_NEEDS_FORWARDING = (
    'failed to start daemon: Error initializing network controller: error creating default "bridge" network: '
    "IPv4 forwarding is disabled: check your host's firewalling and set sysctl net.ipv4.ip_forward=1, "
    "or disable this check using daemon option --ip-forward=false"
)


# --- the rules: what 29.7.2 writes for these networks and ports ---


class Port(NamedTuple):
    """A published port of a running container, of one family, and the bridge that it comes in by."""

    bridge: str
    host_address: str
    host_port: str  # "" where the network is not translated
    address: str
    port: str
    protocol: str


def rules(family: str, networks: list[Item], members: dict[str, list[str]], ports: list[Port], *, proxy: bool = True) -> str:
    """The table `docker-bridges` of a family (ip, ip6) as text for `nft -f`.

    `networks` as the API inspects them; `members` are the addresses of running containers by network id; `proxy` is the
    daemon's userland-proxy.
    """
    bridges = {bridge_of(n): n for n in networks if n["Driver"] == "bridge" and subnet_of(n, family)}
    maps = ("filter-forward-in", "filter-forward-out", "nat-postrouting-in", "nat-postrouting-out")
    loopback = "127.0.0.0/8" if family == "ip" else "::1"
    beyond_proxy = f"{family} daddr != {loopback} " if proxy else ""
    lines = [f"table {family} docker-bridges {{"]
    for part in maps:
        elements = ", ".join(f'"{bridge}" : jump {part}__{bridge}' for bridge in bridges)
        lines += [f"map {part}-jumps {{", "type ifname : verdict", *([f"elements = {{ {elements} }}"] if elements else []), "}"]
    lines += [
        "chain filter-FORWARD {",
        "type filter hook forward priority filter; policy accept;",
        "oifname vmap @filter-forward-in-jumps",
        "iifname vmap @filter-forward-out-jumps",
        "}",
        "chain nat-OUTPUT {",
        "type nat hook output priority -100; policy accept;",
        f"{beyond_proxy}fib daddr type local counter jump nat-prerouting-and-output",
        "}",
        "chain nat-POSTROUTING {",
        "type nat hook postrouting priority srcnat; policy accept;",
        "iifname vmap @nat-postrouting-out-jumps",
        "oifname vmap @nat-postrouting-in-jumps",
        "}",
        "chain nat-PREROUTING {",
        "type nat hook prerouting priority dstnat; policy accept;",
        "fib daddr type local counter jump nat-prerouting-and-output",
        "}",
        "chain nat-prerouting-and-output {",
        *(_translation(family, port, proxy=proxy) for port in ports if port.host_port),
        "}",
        "chain raw-PREROUTING {",
        "type filter hook prerouting priority raw; policy accept;",
    ]
    for bridge, network in bridges.items():
        if not network["Internal"] and mode_of(network, family) == "nat":
            inside = [bridge, *filter(None, _option(network, "trusted_host_interfaces", "").split(":"))]
            named = f'"{bridge}"' if len(inside) == 1 else "{ " + ", ".join(f'"{name}"' for name in inside) + " }"
            for address in members.get(network["Id"], []):
                if (":" in address) is (family == "ip6"):
                    lines.append(f'{family} daddr {address} iifname != {named} counter drop comment "DROP DIRECT ACCESS"')
    for port in ports:
        if port.host_port and port.host_address == "127.0.0.1":
            what = f"ip daddr 127.0.0.1 {port.protocol} dport {port.host_port}"
            lines.append(f'iifname != "lo" {what} counter drop comment "DROP REMOTE LOOPBACK"')
    lines.append("}")
    for bridge, network in bridges.items():
        lines += _of_bridge(family, bridge, network, [port for port in ports if port.bridge == bridge], proxy=proxy)
    return "\n".join([*lines, "}", ""])


def _translation(family: str, port: Port, *, proxy: bool) -> str:
    words = [f'iifname != "{port.bridge}"'] if proxy else []
    if family == "ip6":
        words.append("ip6 saddr != fe80::/10")
    if port.host_address not in ("0.0.0.0", "::"):
        words.append(f"{family} daddr {port.host_address}")
    to = f"[{port.address}]" if family == "ip6" else port.address
    words.append(f'{port.protocol} dport {port.host_port} counter dnat to {to}:{port.port} comment "DNAT"')
    return " ".join(words)


def _of_bridge(family: str, bridge: str, network: Item, ports: list[Port], *, proxy: bool) -> Iterator[str]:
    icc = "accept" if _option(network, "enable_icc", "true") == "true" else "drop"
    mode = mode_of(network, family)
    yield f"chain filter-forward-in__{bridge} {{"
    yield "ct state established,related counter accept"
    if network["Internal"]:
        yield f'iifname != "{bridge}" counter drop comment "INTERNAL NETWORK INGRESS"'
        yield f'counter {icc} comment "ICC"'
    else:
        if mode == "routed":
            icmp = "ip protocol icmp" if family == "ip" else "meta l4proto ipv6-icmp"
            yield f'{icmp} counter accept comment "ICMP"'
        yield f'iifname "{bridge}" counter {icc} comment "ICC"'
        if mode == "nat-unprotected":
            yield 'counter accept comment "UNPROTECTED"'
        else:
            for port in dict.fromkeys((port.address, port.protocol, port.port) for port in ports):
                yield f"{family} daddr {port[0]} {port[1]} dport {port[2]} counter accept"
            yield 'counter drop comment "UNPUBLISHED PORT DROP"'
    yield "}"
    yield f"chain filter-forward-out__{bridge} {{"
    yield "ct state established,related counter accept"
    if network["Internal"]:
        yield f'oifname != "{bridge}" counter drop comment "INTERNAL NETWORK EGRESS"'
    else:
        yield 'counter accept comment "OUTGOING"'
    yield "}"
    translated = not network["Internal"] and mode not in ("routed", "isolated")
    yield f"chain nat-postrouting-in__{bridge} {{"
    if not proxy and not network["Internal"]:
        yield 'fib saddr type local counter masquerade comment "MASQUERADE FROM HOST"'
        for port in dict.fromkeys((port.address, port.protocol, port.port) for port in ports):
            own = f"{family} saddr {port[0]} {family} daddr {port[0]} {port[1]} dport {port[2]}"
            yield f'{own} counter masquerade comment "MASQ TO OWN PORT"'
    yield "}"
    yield f"chain nat-postrouting-out__{bridge} {{"
    if translated and _option(network, "enable_ip_masquerade", "true") == "true":
        subnet = subnet_of(network, family)
        yield f'oifname != "{bridge}" {family} saddr {subnet} counter masquerade comment "MASQUERADE"'
    yield "}"


def bridge_of(network: Item) -> str:
    """The interface of a bridge network."""
    return _option(network, "name", "br-" + str(network["Id"])[:12])


def subnet_of(network: Item, family: str) -> str:
    """Its subnet of the family, "" where it has none."""
    found = (c["Subnet"] for c in network["IPAM"]["Config"] or () if (":" in c["Subnet"]) is (family == "ip6"))
    enabled = network.get("EnableIPv6") if family == "ip6" else network.get("EnableIPv4", True)
    return next((str(ipaddress.ip_network(subnet, strict=False)) for subnet in found if enabled), "")


def mode_of(network: Item, family: str) -> str:
    """Its gateway mode."""
    return _option(network, "gateway_mode_ipv6" if family == "ip6" else "gateway_mode_ipv4", "") or "nat"


def ports_of(container: Item, networks: dict[str, Item], gateways: dict[str, str]) -> Iterator[Port]:
    """What a container publishes; `gateways` are its default routes by family: the network behind that one is translated."""
    for key, bindings in container["NetworkSettings"]["Ports"].items():
        port, _, protocol = key.partition("/")
        for binding in bindings or ():
            family = "ip6" if ":" in binding["HostIp"] else "ip"
            for endpoint in container["NetworkSettings"]["Networks"].values():
                network = networks.get(endpoint["NetworkID"])
                via, address = (
                    (endpoint["IPv6Gateway"], endpoint["GlobalIPv6Address"])
                    if family == "ip6"
                    else (endpoint["Gateway"], endpoint["IPAddress"])
                )
                if network and network["Driver"] == "bridge" and address and via and via == gateways.get(family):
                    yield Port(bridge_of(network), binding["HostIp"], binding["HostPort"], address, port, protocol)


def _option(network: Item, name: str, default: str) -> str:
    return str((network["Options"] or {}).get(_OPTION + name, default))


# --- sandboxes ---

_DNS = """
table ip docker-dns {{
  chain dns-dnat {{
    type nat hook output priority -100; policy accept;
    ip daddr 127.0.0.11 udp dport 53 counter dnat to 127.0.0.11:{udp}
    ip daddr 127.0.0.11 tcp dport 53 counter dnat to 127.0.0.11:{tcp}
  }}
  chain dns-snat {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr 127.0.0.11 udp sport {udp} counter snat to :53
    ip saddr 127.0.0.11 tcp sport {tcp} counter snat to :53
  }}
}}
"""


def gateways_of(pid: int) -> dict[str, str]:
    """The default routes of a sandbox by family; its rules for the embedded DNS become 29's on the way."""
    script = "ip -4 route show default; ip -6 route show default; iptables-save -t nat"
    shown = _run(["nsenter", "-t", str(pid), "-n", "sh", "-c", script])
    found = {"ip6" if ":" in via else "ip": via for via in re.findall(r"^default via (\S+)", shown, re.MULTILINE)}
    ports = dict(re.findall(r"-A DOCKER_OUTPUT .*-p (tcp|udp) .*--to-destination 127\.0\.0\.11:(\d+)", shown))
    if len(ports) == 2:
        _run(
            ["nsenter", "-t", str(pid), "-n", "nft", "-f", "-"],
            "delete table ip nat\n" + _fresh("docker-dns", _DNS.format(**ports)),
        )
    return found


def _fresh(name: str, table: str, family: str = "ip") -> str:
    """Text that puts a table in the place of what it was, in one transaction."""
    return f"table {family} {name} {{ }}\ndelete table {family} {name}\n{table}"


def _run(words: list[str], stdin: str = "") -> str:
    """What it prints; "" where it fails, as with a container that has just ended."""
    return subprocess.run(words, input=stdin, capture_output=True, text=True, check=False).stdout


# --- the process beside the daemon ---


class Player:
    """Keeps the rules, and answers for the daemon as long as that lives."""

    def __init__(self, daemon: int, settings: Item) -> None:
        self._daemon = os.pidfd_open(daemon)
        self._settings = settings
        self._proxy = settings.get("userland-proxy", True) is not False
        self._families = [f for f, key in (("ip", "iptables"), ("ip6", "ip6tables")) if settings.get(key, True)]
        self._lock = threading.Lock()
        self._written = ""
        self._sandboxes: dict[tuple[str, ...], dict[str, str]] = {}

    def play(self, listening: socket.socket, ready: socket.socket, waiting: str) -> None:
        """Serve until the daemon ends; never returns."""
        for work in (lambda: self._announce(ready, waiting), lambda: self._accept(listening), self._follow):
            threading.Thread(target=work, daemon=True).start()
        select.select([self._daemon], [], [])
        Path(SOCKET).unlink(missing_ok=True)
        os._exit(0)

    def _announce(self, ready: socket.socket, waiting: str) -> None:
        """Let the daemon be ready once its rules are written."""
        while waiting:
            said = ready.recv(4096)
            if b"READY=1" in said:
                self.write()
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as telling, contextlib.suppress(OSError):
                telling.sendto(said, waiting)

    def _follow(self) -> None:
        """Write the rules again after each event of a container or network: some end by themselves."""
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                events = _ask("/events?filters=" + _EVENTS)
                while events.readline():
                    self.write()
            time.sleep(0.1)

    def write(self) -> None:
        """Write the rules, if they are others than those written last."""
        with self._lock, contextlib.suppress(OSError, http.client.HTTPException, KeyError):
            networks = {n["Id"]: n for n in self._networks()}
            members: dict[str, list[str]] = {}
            ports: list[Port] = []
            sandboxes: dict[tuple[str, ...], dict[str, str]] = {}
            for listed in sorted(_json("/containers/json"), key=lambda item: item["Created"]):
                container = _json(f"/containers/{listed['Id']}/json")
                endpoints = container["NetworkSettings"]["Networks"].values()
                for endpoint in endpoints:
                    addresses = filter(None, (endpoint["IPAddress"], endpoint["GlobalIPv6Address"]))
                    members.setdefault(endpoint["NetworkID"], []).extend(addresses)
                key = (container["Id"], container["State"]["StartedAt"], *(e["EndpointID"] for e in endpoints))
                if key not in self._sandboxes and (pid := container["State"]["Pid"]) and members:
                    self._sandboxes[key] = gateways_of(pid)
                sandboxes[key] = self._sandboxes.get(key, {})
                ports += ports_of(container, networks, sandboxes[key])
            self._sandboxes = sandboxes
            text = ""
            for family in self._families:
                of_family = [port for port in ports if (":" in port.address) is (family == "ip6")]
                table = rules(family, [*networks.values()], members, of_family, proxy=self._proxy)
                text += _fresh("docker-bridges", table, family)
            if text not in ("", self._written):
                subprocess.run(["nft", "-f", "-"], input=text, text=True, check=True)
                self._written = text

    def _networks(self) -> Iterator[Item]:
        for network in _json("/networks"):
            yield self._network(network)

    # --- the API ---

    def _accept(self, listening: socket.socket) -> None:
        while True:
            client, _ = listening.accept()
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError, http.client.HTTPException):
            while head := _head(client):
                method, target = head.split(b" ")[:2]
                path = re.sub(r"^/v1\.\d+", "", target.decode())
                change = self._change_of(path) if method == b"GET" else None
                if change is None:
                    self._pass_on(client, head, path, writes=method in (b"POST", b"DELETE") and bool(_WRITES.match(path)))
                    return
                answer = _ask(path)
                body = answer.read()
                if answer.status == 200:
                    body = json.dumps(change(json.loads(body))).encode()
                client.sendall(
                    f"HTTP/1.1 {answer.status} {answer.reason}\r\nApi-Version: {API_VERSION}\r\n"
                    f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                    + body
                )

    def _change_of(self, path: str) -> Any:
        bare = path.partition("?")[0]
        if bare == "/version":
            return _version
        if bare == "/info":
            return self._info
        if bare == "/networks":
            return lambda listed: [self._network(network) for network in listed]
        if re.fullmatch(r"/networks/[^/]+", bare):
            return lambda network: self._network(network) | {"Status": _status(network)}
        return _container if re.fullmatch(r"/containers/[^/]+/json", bare) else None

    def _info(self, info: Item) -> Item:
        proxy = [["EnableUserlandProxy", "true"], ["UserlandProxyPath", "/usr/bin/docker-proxy"]]
        told = proxy if self._proxy else [["EnableUserlandProxy", "false"]]
        return info | {"ServerVersion": VERSION, "FirewallBackend": {"Driver": "nftables", "Info": told}}

    def _network(self, network: Item) -> Item:
        """The default bridge, which tells of `iptables: false` in its options, as the host's daemon.json has it."""
        if network["Name"] != "bridge":
            return network
        options = {"enable_ip_masquerade": "ip-masq", "enable_icc": "icc"}
        said = {_OPTION + option: str(self._settings.get(key, True)).lower() for option, key in options.items()}
        return network | {"Options": network["Options"] | said}

    def _pass_on(self, client: socket.socket, head: bytes, path: str, *, writes: bool) -> None:
        """Let one request and all that follows on its connection through; a hijacked one stays as it is."""
        method, _, rest = head.partition(b" ")
        _, _, rest = rest.partition(b" ")
        if b"\r\nupgrade:" not in head.lower():
            rest = re.sub(rb"(?i)\r\nconnection:[^\r]*", b"", rest).replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
        with socket.socket(socket.AF_UNIX) as real:
            real.connect(REAL_SOCKET)
            real.sendall(b" ".join((method, path.encode(), rest)))
            up = threading.Thread(target=_pump, args=(client, real), daemon=True)
            up.start()
            first = real.recv(65536)
            if writes:
                self.write()
            client.sendall(first)
            _pump(real, client)


_EVENTS = (
    "%7B%22type%22%3A%5B%22network%22%2C%22container%22%5D%2C%22event%22%3A%5B%22die%22%2C%22start%22%2C%22connect%22%5D%7D"
)
_WRITES = re.compile(r"/containers/[^/]+/(start|stop|restart|kill|update)|/containers/[^/]+$|/networks/|/containers/[^/?]+\?")


def _version(version: Item) -> Item:
    told = {"Version": VERSION, "ApiVersion": API_VERSION, "MinAPIVersion": MIN_API_VERSION}
    engine = [
        c | {"Version": VERSION, "Details": c["Details"] | told} if c["Name"] == "Engine" else c for c in version["Components"]
    ]
    return version | told | {"Components": engine}


def _container(container: Item) -> Item:
    kept = ("SandboxID", "SandboxKey", "Ports", "Networks")
    return container | {"NetworkSettings": {key: container["NetworkSettings"].get(key) for key in kept}}


def _status(network: Item) -> Item:
    """Addresses of each subnet that are free and used."""
    subnets = {}
    for config in network["IPAM"]["Config"] or ():
        subnet = ipaddress.ip_network(config["Subnet"], strict=False)
        used = len(network.get("Containers") or {}) + (3 if subnet.version == 4 else 2)
        subnets[str(subnet)] = {"IPsInUse": used, "DynamicIPsAvailable": min(subnet.num_addresses - used, 2**64 - 1)}
    return {"IPAM": {"Subnets": subnets} if subnets else {}}


class _Connection(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(REAL_SOCKET)


def _ask(path: str) -> http.client.HTTPResponse:
    """The real daemon's answer. Raises OSError and HTTPException."""
    connection = _Connection("docker")
    connection.request("GET", path, headers={"Connection": "close"})
    return connection.getresponse()


def _json(path: str) -> Any:
    return json.loads(_ask(path).read())


def _head(client: socket.socket) -> bytes:
    """The next request up to the end of its head; what a client sends of its body at once comes with it. b"" at the end."""
    read = b""
    while b"\r\n\r\n" not in read:
        some = client.recv(65536)
        if not some:
            return b""
        read += some
    return read


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while some := source.recv(65536):
            sink.sendall(some)
        sink.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    main()
