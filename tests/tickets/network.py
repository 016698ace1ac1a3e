"""A host built by hand, and a network that answers as its containers would: what a ticket's thread says, as a snapshot."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from dockernet_doctor.probe import tcp
from dockernet_doctor.probe.model import NOTHING_SAID, Answer, Probe
from dockernet_doctor.snapshot import handed_out, references
from dockernet_doctor.snapshot.model import (
    Address,
    Container,
    Endpoint,
    Engine,
    FirewallDump,
    Health,
    Host,
    Link,
    Listener,
    Member,
    Network,
    NetworkStack,
    PortBinding,
    PublishedPort,
    ResolvConf,
    Route,
    Sandbox,
    Snapshot,
    State,
    Subnet,
)
from dockernet_doctor.snapshot.secrets import scrub

HOST = "10.0.0.5"
OUTSIDE = "10.0.0.9"
TAKEN = "2026-01-02T03:04:05Z"
_SANDBOX = """*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER_OUTPUT - [0:0]
:DOCKER_POSTROUTING - [0:0]
-A OUTPUT -d 127.0.0.11/32 -j DOCKER_OUTPUT
-A POSTROUTING -d 127.0.0.11/32 -j DOCKER_POSTROUTING
-A DOCKER_OUTPUT -d 127.0.0.11/32 -p tcp -m tcp --dport 53 -j DNAT --to-destination 127.0.0.11:40001
-A DOCKER_OUTPUT -d 127.0.0.11/32 -p udp -m udp --dport 53 -j DNAT --to-destination 127.0.0.11:40000
-A DOCKER_POSTROUTING -s 127.0.0.11/32 -p tcp -m tcp --sport 40001 -j SNAT --to-source :53
-A DOCKER_POSTROUTING -s 127.0.0.11/32 -p udp -m udp --sport 40000 -j SNAT --to-source :53
COMMIT
"""
EMBEDDED = ResolvConf(nameservers=("127.0.0.11",), options=("ndots:0",), ext_servers=("host(10.0.0.1)",))


class Box(Struct, frozen=True, kw_only=True):
    """A container as a thread shows it.

    listens    TCP ports on all addresses; `loopback` those on 127.0.0.1; `udp` datagrams
    published  host port → container port (`53/udp` for a datagram's)
    waiting    connections at each of its ports that it has not accepted
    log        the last lines
    status     running, unhealthy, restarting or exited
    """

    name: str
    image: str = ""
    listens: Sequence[int] = ()
    loopback: Sequence[int] = ()
    udp: Sequence[int] = ()
    waiting: int = 0
    env: Mapping[str, str] = {}
    command: Sequence[str] = ()
    health: Sequence[str] = ()
    networks: Sequence[str] = ("app",)
    published: Mapping[int, int | str] = {}
    log: Sequence[str] = ()
    status: str = "running"
    resolv: ResolvConf = EMBEDDED
    libc: str = ""
    address: str = ""
    aliases: Sequence[str] = ()
    hostname: str = ""
    started: str = "2026-01-02T01:00:00Z"


class Built(Struct, frozen=True, kw_only=True):
    """A host, and what its network says.

    banners  (container, port) → what the server says by itself
    replies  (container, port, kind of greeting) → what it answers to the first bytes
    mute     (container, port) whose server takes connections and never says a word
    dns      name → addresses that the servers outside Docker know, or servfail; `silent` those of them that never answer
    by_host  names that only the host's own resolver knows
    """

    boxes: Sequence[Box]
    banners: Mapping[tuple[str, int], str] = {}
    replies: Mapping[tuple[str, int, str], str] = {}
    mute: Sequence[tuple[str, int]] = ()
    dns: Mapping[str, str] = {}
    by_host: Mapping[str, str] = {}
    silent: Sequence[str] = ()
    routes: Sequence[Route] = ()
    links: Sequence[Link] = ()
    resolv: ResolvConf = ResolvConf(nameservers=("10.0.0.1",))
    upstream: ResolvConf | None = None
    engine: Engine = Engine(version="28.5.2", name="h1")

    def snapshot(self) -> Snapshot:
        names = list(dict.fromkeys(["bridge", *(n for box in self.boxes for n in box.networks)]))
        networks = {name: _network(name, number) for number, name in enumerate(names)}
        containers = tuple(self._container(box, networks) for box in self.boxes)
        members = {
            name: tuple(
                Member(container_id=c.id, name=c.name, ipv4=e.ipv4)
                for c in containers
                for e in c.endpoints
                if e.network == name and e.ipv4 and c.state.running
            )
            for name in names
        }
        kept = tuple(_with_members(network, members[name]) for name, network in networks.items())
        believed = {c.name for c in containers}
        return Snapshot(
            name="h1",
            taken_at=TAKEN,
            endpoint="unix:///var/run/docker.sock",
            engine=self.engine,
            networks=kept,
            containers=tuple(_believed(c, believed) for c in containers),
            host=Host(
                hostname="h1",
                stack=self._stack(containers, networks),
                resolv_conf=self.resolv,
                upstream_resolv_conf=self.upstream,
            ),
        )

    def _container(self, box: Box, networks: Mapping[str, Network]) -> Container:
        number = list(self.boxes).index(box)
        running = box.status in ("running", "unhealthy")
        endpoints = tuple(
            Endpoint(
                network=name,
                network_id=networks[name].id,
                ipv4=(box.address or f"{_base(networks[name])}.{number + 2}") if running else None,
                aliases=(box.name, *box.aliases),
                dns_names=(box.name, *box.aliases, _id(box.name)[:12], *([box.hostname] if box.hostname else [])),
            )
            for name in box.networks
        )
        listeners = [
            Listener(protocol="tcp", family=4, address="0.0.0.0", port=port, waiting=box.waiting) for port in box.listens
        ]
        listeners += [Listener(protocol="tcp", family=4, address="127.0.0.1", port=port) for port in box.loopback]
        listeners += [Listener(protocol="udp", family=4, address="0.0.0.0", port=port) for port in box.udp]
        if box.resolv.nameservers == ("127.0.0.11",):
            listeners.append(Listener(protocol="udp", family=4, address="127.0.0.11", port=40000))
            listeners.append(Listener(protocol="tcp", family=4, address="127.0.0.11", port=40001))
        gateway = f"{_base(networks[box.networks[0]])}.1"
        stack = NetworkStack(
            links=(
                Link(index=1, name="lo"),
                *(
                    Link(index=n + 2, name=f"eth{n}", kind="veth", peer_index=100 + number * 4 + n)
                    for n in range(len(endpoints))
                ),
            ),
            addresses=(
                Address(link="lo", address="127.0.0.1", prefix=8, family=4),
                *(Address(link=f"eth{n}", address=e.ipv4, prefix=16, family=4) for n, e in enumerate(endpoints) if e.ipv4),
            ),
            routes=(
                *(
                    Route(family=4, destination=networks[e.network].subnets[0].subnet, link=f"eth{n}", source=e.ipv4)
                    for n, e in enumerate(endpoints)
                ),
                Route(family=4, destination="0.0.0.0/0", gateway=gateway, link="eth0"),
            ),
            listeners=tuple(listeners),
            firewall=(FirewallDump(tool="iptables-nft", family=4, text=_SANDBOX),),
        )
        published = [(int(host), *_port(port)) for host, port in box.published.items()]
        given: dict[str, Any] = {}
        given["hands_out"] = handed_out.of_settings(env=_env(box), command=box.command, health_test=box.health)
        return Container(
            id=_id(box.name),
            name=box.name,
            image=box.image or box.name,
            hostname=box.hostname or _id(box.name)[:12],
            network_mode=box.networks[0],
            state=State(
                status={"unhealthy": "running"}.get(box.status, box.status),
                running=running,
                restarting=box.status == "restarting",
                restart_count=9 if box.status == "restarting" else 0,
                exit_code=0 if running else 1,
                pid=number + 10 if running else 0,
                health=Health(status="unhealthy") if box.status == "unhealthy" else None,
                started_at=box.started,
                finished_at="" if running else "2026-01-02T03:04:00Z",
            ),
            restart_policy="always" if box.status == "restarting" else "no",
            endpoints=endpoints,
            bindings=tuple(PortBinding(port=p, protocol=k, host_port=str(h)) for h, p, k in published),
            ports=tuple(
                PublishedPort(port=p, protocol=k, host_ip=ip, host_port=h)
                for h, p, k in published
                for ip in ("0.0.0.0",)
                if running
            ),
            references=references.of_settings(env=_env(box), command=box.command, health_test=box.health),
            sandbox=Sandbox(
                pid=number + 10, namespace=number + 10, stack=stack, resolv_conf=box.resolv, hosts=(), libc=box.libc
            )
            if running
            else None,
            log_tail=tuple(scrub(line) for line in box.log),  # as the engine's reader does
            **given,
        )

    def _stack(self, containers: Sequence[Container], networks: Mapping[str, Network]) -> NetworkStack:
        bridges = [(n.bridge or "", n) for n in networks.values()]
        links = [Link(index=1, name="lo"), Link(index=2, name="eth0"), *self.links]
        links += [Link(index=10 + n, name=name, kind="bridge") for n, (name, _) in enumerate(bridges)]
        listeners = []
        for number, container in enumerate(containers):
            for n, endpoint in enumerate(container.endpoints if container.state.running else ()):
                index = 100 + number * 4 + n
                links.append(Link(index=index, name=f"veth{index}", kind="veth", master=networks[endpoint.network].bridge))
            listeners += [Listener(protocol=p.protocol, family=4, address="0.0.0.0", port=p.host_port) for p in container.ports]
        return NetworkStack(
            links=tuple(links),
            addresses=(
                Address(link="lo", address="127.0.0.1", prefix=8, family=4),
                Address(link="eth0", address=HOST, prefix=24, family=4),
                *(Address(link=name, address=f"{_base(n)}.1", prefix=16, family=4) for name, n in bridges),
            ),
            routes=(
                *(Route(family=4, destination=n.subnets[0].subnet, link=name, source=f"{_base(n)}.1") for name, n in bridges),
                Route(family=4, destination="10.0.0.0/24", link="eth0", source=HOST),
                *self.routes,
                Route(family=4, destination="0.0.0.0/0", gateway="10.0.0.1", link="eth0"),
            ),
            listeners=tuple(listeners),
            sysctls={"net.ipv4.ip_forward": "1", "net.bridge.bridge-nf-call-iptables": "1"},
            firewall=(FirewallDump(tool="iptables-nft", family=4, text=_rules(containers, networks)),),
        )

    # --- what the network answers

    def answer(self, probe: Probe, snapshot: Snapshot) -> Answer:
        asker = next((c for c in snapshot.containers if c.id == probe.vantage.container), None)
        if probe.kind == "dns":
            return self._dns(probe, snapshot, asker)
        if probe.kind not in ("tcp", "udp", "http", "greet"):
            return Answer(probe=probe, result="not-sent", attempts=0, detail="not played")
        found = self._held(probe, snapshot, asker)
        if found is None:
            return Answer(probe=probe, result="timeout" if probe.kind != "udp" else "no-reply")
        container, port = found
        listeners = container.sandbox.stack.listeners or () if container and container.sandbox else ()
        near = container is asker and probe.address.startswith("127.")
        kind = "udp" if probe.kind == "udp" else "tcp"
        open_ = any(li.port == port and li.protocol == kind and (near or not li.address.startswith("127.")) for li in listeners)
        if container is None or not open_:
            return Answer(probe=probe, result="refused" if kind == "tcp" else "unreachable-port")
        more: dict[str, Any] = {}
        if (container.name, port) in self.mute and (probe.kind in ("http", "greet") or port in tcp.SPEAK_FIRST):
            return Answer(probe=probe, result="open" if probe.kind == "tcp" else "timeout", detail=NOTHING_SAID)
        if probe.kind == "http":
            said = self.replies.get((container.name, port, f"http {probe.name}")) or self.replies.get(
                (container.name, port, "http")
            )
            return Answer(probe=probe, result="reply", status_line=said or "HTTP/1.1 200 OK")
        if probe.kind == "greet":
            said = self.replies.get((container.name, port, probe.name), "")
            return Answer(probe=probe, result="reply", said=said) if said else Answer(probe=probe, result="reply")
        if said := self.banners.get((container.name, port)):
            more["said"] = said
        return Answer(probe=probe, result="open" if kind == "tcp" else "no-reply", **_known(more))

    def _dns(self, probe: Probe, snapshot: Snapshot, asker: Container | None) -> Answer:
        name = probe.name.rstrip(".").lower()
        if probe.address in self.silent:
            return Answer(probe=probe, result="timeout")
        if probe.record == "AAAA":
            return Answer(probe=probe, result="reply")
        if probe.address == "127.0.0.11" and asker is not None:
            own = {e.network for e in asker.endpoints}
            known = [
                e.ipv4
                for c in snapshot.containers
                for e in c.endpoints
                if c.state.running and e.network in own and name in map(str.lower, e.dns_names or ())
            ]
            if known:
                return Answer(probe=probe, result="reply", addresses=tuple(a for a in known if a))
        elif asker is None and name in self.by_host:
            return Answer(probe=probe, result="reply", addresses=(self.by_host[name],))
        for known_name, address in self.dns.items():
            if name == known_name or (known_name.startswith("*.") and name.endswith(known_name[1:])):
                known_to = {"result": "reply", "addresses": (address,)} if address != "servfail" else {"result": address}
                return Answer(probe=probe, **_known(known_to))
        return Answer(probe=probe, result="nxdomain")

    def _held(self, probe: Probe, snapshot: Snapshot, asker: Container | None) -> tuple[Container | None, int] | None:
        """Who answers at that address: a container at its port, the host itself (None), or nobody (None in place of both)."""
        address, port = probe.address, probe.port
        gateways = {s.gateway for n in snapshot.networks for s in n.subnets}
        if asker is not None and address.startswith("127."):
            return asker, port
        if address in (HOST, *gateways) or address.startswith("127."):
            for container in snapshot.containers:
                for published in container.ports:
                    if published.host_port == port and published.protocol == ("udp" if probe.kind == "udp" else "tcp"):
                        return container, published.port
            return None, port
        own = {e.network for e in asker.endpoints} if asker else {n.name for n in snapshot.networks}
        for container in snapshot.containers:
            for endpoint in container.endpoints:
                if endpoint.ipv4 == address:
                    return (container, port) if endpoint.network in own else None
        return None


def _known(more: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in more.items() if key in Answer.__struct_fields__}


def _env(box: Box) -> list[str]:
    return [f"{key}={value}" for key, value in box.env.items()]


def _port(text: int | str) -> tuple[int, Any]:
    port, _, protocol = str(text).partition("/")
    return int(port), protocol or "tcp"


def _id(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _base(network: Network) -> str:
    return network.subnets[0].subnet.rsplit(".", 1)[0]


def _network(name: str, number: int) -> Network:
    digest = hashlib.sha256(f"network {name}".encode()).hexdigest()
    return Network(
        id=digest,
        name=name,
        driver="bridge",
        bridge="docker0" if name == "bridge" else f"br-{digest[:12]}",
        subnets=(Subnet(subnet=f"172.{17 + number}.0.0/16", gateway=f"172.{17 + number}.0.1"),),
    )


def _with_members(network: Network, members: tuple[Member, ...]) -> Network:
    return replace(network, members=members)


def _believed(container: Container, names: set[str]) -> Container:
    return replace(container, references=references.believed(container.references, names))


def _rules(containers: Sequence[Container], networks: Mapping[str, Network]) -> str:
    """What a 28.5 writes for these networks and ports (tests/unit/netfilter/data/docker-28.txt)."""
    bridges = {name: network.bridge for name, network in networks.items()}
    raw, opened, mapped = [], [], []
    for container in containers:
        for endpoint in container.endpoints if container.state.running else ():
            bridge = bridges[endpoint.network]
            raw.append(f"-A PREROUTING -d {endpoint.ipv4}/32 ! -i {bridge} -j DROP")
            if endpoint is not container.endpoints[0]:
                continue
            for port in container.ports:
                match = f"-p {port.protocol} -m {port.protocol} --dport"
                opened.append(f"-A DOCKER -d {endpoint.ipv4}/32 ! -i {bridge} -o {bridge} {match} {port.port} -j ACCEPT")
                mapped.append(
                    f"-A DOCKER ! -i {bridge} {match} {port.host_port} -j DNAT --to-destination {endpoint.ipv4}:{port.port}"
                )
    lines = ["*raw", ":PREROUTING ACCEPT [0:0]", ":OUTPUT ACCEPT [0:0]", *raw, "COMMIT", "*filter"]
    lines += [":INPUT ACCEPT [0:0]", ":FORWARD DROP [0:0]", ":OUTPUT ACCEPT [0:0]"]
    lines += [
        f":DOCKER{c} - [0:0]" for c in ("", "-BRIDGE", "-CT", "-FORWARD", "-ISOLATION-STAGE-1", "-ISOLATION-STAGE-2", "-USER")
    ]
    lines += ["-A FORWARD -j DOCKER-USER", "-A FORWARD -j DOCKER-FORWARD", *opened]
    lines += [f"-A DOCKER ! -i {b} -o {b} -j DROP" for b in bridges.values()]
    lines += [f"-A DOCKER-BRIDGE -o {b} -j DOCKER" for b in bridges.values()]
    lines += [f"-A DOCKER-CT -o {b} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT" for b in bridges.values()]
    lines += [f"-A DOCKER-FORWARD -j DOCKER-{c}" for c in ("CT", "ISOLATION-STAGE-1", "BRIDGE")]
    lines += [f"-A DOCKER-FORWARD -i {b} -j ACCEPT" for b in bridges.values()]
    lines += [f"-A DOCKER-ISOLATION-STAGE-1 -i {b} ! -o {b} -j DOCKER-ISOLATION-STAGE-2" for b in bridges.values()]
    lines += [f"-A DOCKER-ISOLATION-STAGE-2 -o {b} -j DROP" for b in bridges.values()]
    lines += ["COMMIT", "*nat", ":PREROUTING ACCEPT [0:0]", ":INPUT ACCEPT [0:0]", ":OUTPUT ACCEPT [0:0]"]
    lines += [":POSTROUTING ACCEPT [0:0]", ":DOCKER - [0:0]", "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER"]
    lines += ["-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER"]
    lines += [f"-A POSTROUTING -s {n.subnets[0].subnet} ! -o {n.bridge} -j MASQUERADE" for n in networks.values()]
    lines += [f"-A DOCKER -i {b} -j RETURN" for b in bridges.values()] + mapped + ["COMMIT", ""]
    return "\n".join(lines)
