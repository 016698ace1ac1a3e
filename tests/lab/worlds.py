"""Worlds for a Docker host: several uplinks, clients on them and behind them, and what an operator may have set up.

    far 1 ── router 1 ──┬── peer 1 ── eth1 ┐
    far 2 ── router 2 ──┬── peer 2 ── eth2 ├ host
    far 3 ── router 3 ──┬── peer 3 ── wg0  ┘

A world is a few features drawn at random, each of them some lines of shell. Whether what leaves by one uplink comes to a
machine behind another, other machines decide: so the routers may be joined, and each knows the way to all networks, or apart.
What works in one of the two cases only is nothing that the host decides, and nobody is asked about it.
"""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from typing import Any

from tests.lab.host import Host, Lab, Neighbour
from tests.lab.topology import Box, Client, Question, ask_all, questions, tcp, udp

Feature = Callable[["World"], Iterator[str]]
_CORE = 90
FREE = 9101
"""A port of the host on which nobody listens; a rule may translate what is sent there."""
_OF_CONTAINERS = "172.16.0.0/12", "fd00:66::/64"


@dataclass(frozen=True)
class Wire:
    """One uplink of the host: its addresses there (IPv4, IPv6), the router, and another machine."""

    number: int
    interface: str
    own: tuple[str, str]
    router: Neighbour
    peer: Neighbour
    core: tuple[str, str]
    """The addresses of the router towards the others."""

    @property
    def net(self) -> tuple[str, str]:
        return f"10.{100 - self.number}.0.0/24", f"fd00:{100 - self.number}::/64"

    @property
    def gateway(self) -> tuple[str, str]:
        return self.router.address, self.router.address6

    @property
    def far_net(self) -> tuple[str, str]:
        """What is behind the router."""
        return f"192.168.{70 + self.number}.0/24", f"fd00:{70 + self.number}::/64"

    @property
    def far(self) -> tuple[str, str]:
        """A machine there."""
        return f"192.168.{70 + self.number}.10", f"fd00:{70 + self.number}::10"

    @property
    def table(self) -> int:
        return 100 + self.number

    def clients(self) -> Iterator[tuple[Neighbour, str]]:
        """Machines that ask, and the addresses from which they do."""
        for machine, addresses in (
            (self.router, self.far),
            (self.router, self.gateway),
            (self.peer, (self.peer.address, self.peer.address6)),
        ):
            yield from ((machine, address) for address in addresses)


class Wires:
    """The uplinks of a host, and what is on them."""

    def __init__(self, lab: Lab, host: Host, boxes: Sequence[Box]) -> None:
        self.host, self.boxes = host, boxes
        self.wires = [_wire(lab, host, number, name) for number, name in ((1, "eth1"), (2, "eth2"), (3, "wg0"))]
        for wire, other in self._pairs():
            for machine in (wire.router, wire.peer):  # whoever is on a wire sends to each address of the host by that wire
                for address, own in zip(other.own, wire.own, strict=True):
                    machine.run(f"ip route replace {address} via {own}")
        for machine in (m for wire in self.wires for m in (wire.router, wire.peer)):
            machine.wait("ss -Hltn | grep -q ':80 '", 10, "a page")
        host.run(_SAVE)
        for box in boxes:
            host.run(_SAVE_INSIDE.format(box.pid))

    def decided(self, drawn: Sequence[Question]) -> dict[Question, bool]:
        """Whether each is answered, as far as this is the same whatever routers know of each other's networks."""
        found = []
        for joined in (False, True):
            self._join(joined)
            for machine in (self.host, *(m for wire in self.wires for m in (wire.router, wire.peer))):
                machine.run("ip neigh flush all")  # who knows one another from before needs no discovery
            found.append(ask_all(self.host, self.boxes, drawn))
        return {question: one for question, one, other in zip(drawn, *found, strict=True) if one is other}

    def restore(self) -> None:
        """Take back what a world has changed on the host and in its containers."""
        inside = "\n".join(_RESTORE_INSIDE.format(box.pid) for box in self.boxes if box.pid and box.name != "hosty")
        again = [f"ip link set {w.interface} up; ip addr replace {w.own[1]}/64 dev {w.interface} nodad" for w in self.wires]
        self.host.run(["sh", "-c", "\n".join([*again, _RESTORE, inside])])

    def _join(self, joined: bool) -> None:
        """Let the routers know the way to one another's networks and to those of the containers, or not."""
        verb = "replace" if joined else "del"
        for wire in self.wires:
            others = [other for other in self.wires if other is not wire]
            lines = [
                f"ip route {verb} {net} via {other.core[six]}"
                for other in others for six in (0, 1) for net in (other.net[six], other.far_net[six])
            ]  # fmt: skip
            lines += [f"ip route {verb} {net} via {own}" for net, own in zip(_OF_CONTAINERS, wire.own, strict=True)]
            wire.router.run("\n".join(lines), check=joined)

    def _pairs(self) -> Iterator[tuple[Wire, Wire]]:
        yield from ((wire, other) for wire in self.wires for other in self.wires if wire is not other)


_SAVE = r"""
iptables-save >/run/home/rules4; ip6tables-save >/run/home/rules6; nft list tables >/run/home/tables
cd /proc/sys/net
for key in ipv4/conf/*/rp_filter ipv4/conf/*/src_valid_mark ipv4/conf/*/route_localnet ipv4/conf/*/forwarding bridge/*; do
  echo "$key $(cat $key)"
done | grep -v 'all/forwarding\|default/' >/run/home/sysctls
"""
_SAVE_INSIDE = """
[ {0} = 0 ] || nsenter -t {0} -n sh -c 'iptables-save >/run/home/rules-{0}; ip -4 route show default >/run/home/default-{0}'
"""
_RESTORE = """
cd /run/home
nft list tables | grep -vxFf tables | while read -r table; do nft delete $table; done
iptables-restore <rules4; ip6tables-restore <rules6
for f in -4 -6; do
  ip $f rule | awk -F: '$1 > 0 && $1 < 32000 {print $1}' | while read -r priority; do ip $f rule del priority $priority; done
  ip $f route flush table all proto 99
done
ip route replace default via $NEIGHBOUR; ip -6 route replace default via $NEIGHBOUR6
while read -r key value; do [ "$(cat /proc/sys/net/$key)" = "$value" ] || echo $value >/proc/sys/net/$key; done <sysctls
conntrack -F 2>/dev/null; ip neigh flush all
"""
_RESTORE_INSIDE = """nsenter -t {0} -n sh -c '
ip -4 route flush table all proto 99; ip rule del priority 500; nft delete table inet more
iptables -F; iptables-restore <rules-{0}; [ ! -s default-{0} ] || ip route replace $(cat default-{0})
echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter' 2>/dev/null
"""


def verdict(question: Question, answer: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """What is said of the question, and the path: that of the clients among whom its own is. None where nothing is said of
    them, or where another machine decides, to which the packet leaves by another uplink than the one that it is on.

    Of what leaves this host `reachable` means that nothing here stops it or its answer.
    """
    client, paths = question.client, answer["paths"]
    path = paths[0] if client is None else _path_of(client, paths)
    if path is None:
        return None
    if client and any(_is_excepted(client.address, text) for text in path["hops"].values()):
        return "unreachable", path
    said = path["verdict"]
    doubtful = [hop for hop, text in path["hops"].items() if text.startswith("unknown")]
    if said == "unknown" and doubtful == ["answer"] and "leaves" in path["hops"]["route"]:
        right = question.leaves_by and question.leaves_by in path["hops"]["route"]
        return ("reachable", path) if right else None
    return said, path


def _is_excepted(address: str, text: str) -> bool:
    """Whether the way is said not to be open for where the client is: `not for 10.98.0.0/25, 10.97.0.9 and 2 more: …`."""
    for listed in re.findall(r"not for (.+?): ", text):
        for word in re.split(", | and ", listed):
            with suppress(ValueError):
                if ip_address(address) in ip_network(word):
                    return True
    return False


def _path_of(client: Client, paths: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    lengths = {}
    for path in paths:
        for interface, *prefixes in path["clients"]:
            for net in map(ip_network, prefixes):
                if interface == client.interface and ip_address(client.address) in net:
                    lengths[net.prefixlen] = path
    return lengths[max(lengths)] if lengths else None


def _wire(lab: Lab, host: Host, number: int, interface: str) -> Wire:
    network = 100 - number
    if number == 1:
        own, router, peer = (host.address, host.address6), host.neighbour, lab.machine("peer1")
    else:
        router, peer = (lab.machine(f"{kind}{number}", wire=network) for kind in ("router", "peer"))
        own = lab.plug(host, interface, wire=network)
    wire = Wire(number, interface, own, router, peer, lab.plug(router, "core", wire=_CORE))
    router.run(
        f"ip addr add {wire.far[0]}/32 dev lo; ip addr add {wire.far[1]}/128 dev lo;"
        "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.send_redirects=0"
    )
    peer.run(f"ip route replace default via {wire.gateway[0]}; ip -6 route replace default via {wire.gateway[1]}")
    for machine in (router, peer):
        machine.serve(f"exec {sys.executable} -IS -m http.server -d /run/lock --bind :: 80")
    return wire


# --- what a world is made of


class World:
    """The dice of one world, and what its features are about."""

    def __init__(self, seed: str, wires: Sequence[Wire], boxes: Sequence[Box]) -> None:
        self.dice = random.Random(seed)
        self.wires = wires
        self.boxes = [box for box in boxes if any(box.addresses.values()) and box.name not in ("box10", "box11")]
        self.names = sorted(self.dice.sample(sorted(FEATURES), self.dice.choice((1, 2, 2, 3, 4))))
        self.script = PRELUDE + "\n".join(line for name in self.names for line in FEATURES[name](self))

    def questions(self, host: Host, number: int) -> list[Question]:
        """Half of them by clients, the others by the host and its containers."""
        theirs = list(self._by_clients())
        outward = list(self._outward())
        around = [q for q in questions(host, self.boxes) if q.source != "outside"]
        return [
            *self.dice.sample(theirs, number // 2),
            *self.dice.sample(outward, number // 4),
            *self.dice.sample(around, number // 4),
        ]

    def _by_clients(self) -> Iterator[Question]:
        for wire in self.wires:
            for machine, address in wire.clients():
                client, six = Client(machine, address, wire.interface), ":" in address
                for own in {other.own[six] for other in self.wires}:
                    for box in self.boxes:
                        if box.published:
                            yield tcp("outside", own, box.port, client=client)
                        if "udp" in box.published:
                            yield udp("outside", own, box.port, client=client)
                    for port in (9100, 9100, 9100, FREE):
                        yield tcp("outside", own, port, client=client)

    def _outward(self) -> Iterator[Question]:
        for source in ["host", "host", "host", *(box.name for box in self.boxes)]:
            for wire in self.wires:
                for address in (*wire.far, *wire.gateway, wire.peer.address, wire.peer.address6):
                    yield replace(tcp(source, address, 80), leaves_by=f"leaves this host by {wire.interface}")
                for own in wire.own:
                    yield tcp(source, own, FREE)

    def chance(self, part: float) -> bool:
        return self.dice.random() < part

    def wire(self) -> Wire:
        return self.dice.choice(self.wires)

    def some(self, part: float = 0.5) -> list[Wire]:
        return [wire for wire in self.wires if self.chance(part)] or [self.wire()]

    def box(self) -> Box:
        return self.dice.choice(self.boxes)

    def box_address(self, six: bool = False) -> str:
        addresses = [box.six if six else next(filter(None, box.addresses.values())) for box in self.boxes]
        return self.dice.choice([address for address in addresses if address] or ["fd00:66::99"])

    def port(self) -> int:
        return self.dice.choice([80, 53, 9100, *(box.port for box in self.boxes if box.published)])

    def bridge(self) -> str:
        return self.dice.choice(["docker0", "beta0", "$(bridge alpha)", "$(bridge six)"])

    def anybody(self, six: bool = False) -> str:
        """Where clients are, one of them, or a part of them."""
        wire = self.wire()
        half = str(next(ip_network(wire.net[six]).subnets(1)))
        return self.dice.choice([wire.far[six], wire.far_net[six], wire.gateway[six], wire.net[six], half])

    def subnet(self) -> str:
        return f"$(subnet {self.dice.choice(['alpha', 'beta', 'bridge'])})"

    def interface(self) -> str:
        return self.dice.choice([*(wire.interface for wire in self.wires), self.bridge()])

    def negation(self, part: float = 0.2) -> str:
        return "! " if self.chance(part) else ""

    def inside(self, box: Box) -> str:
        return f"nsenter -t {box.pid} -n"


def _one_uplink(world: World) -> Iterator[str]:
    for wire in world.dice.sample(world.wires[1:], world.dice.choice((1, 2))):
        yield f"ip link set {wire.interface} down"


def _routes_to_clients(world: World) -> Iterator[str]:
    """Most by the router that they are behind, some by another."""
    for wire in world.some(0.7):
        by = wire if world.chance(0.75) else world.wire()
        for six in (0, 1):
            if world.chance(0.8):
                yield f"ip route replace {wire.far_net[six]} via {by.gateway[six]} proto 99"


def _silent_router(world: World) -> Iterator[str]:
    """A router that is off, which the host has tried before."""
    wire = world.wire()
    gone = wire.gateway[0].rpartition(".")[0] + ".77"
    yield f"ip route replace {wire.far_net[0]} via {gone} proto 99"
    yield f"ip neigh replace {gone} dev {wire.interface} nud failed"


def _tables(world: World, wires: Sequence[Wire], families: Sequence[int] = (0, 1)) -> Iterator[str]:
    """A table for each uplink: its default route, and mostly the wire's own."""
    for wire in wires:
        for six in families:
            if world.chance(0.7):
                yield f"ip route replace {wire.net[six]} dev {wire.interface} proto 99 table {wire.table}"
            yield f"ip route replace default via {wire.gateway[six]} dev {wire.interface} proto 99 table {wire.table}"


def _answers_by_source(world: World) -> Iterator[str]:
    """What a host with several uplinks has: what is sent from an address leaves by its uplink."""
    wires = world.some(0.6)
    families = world.dice.choice(((0, 1), (0,), (0,)))
    yield from _tables(world, wires, families)
    for wire in wires:
        for six in families:
            yield f"ip {'-6' * six} rule add from {wire.own[six]} lookup {wire.table} priority {1000 + wire.number}"


def _containers_by_vpn(world: World) -> Iterator[str]:
    """What containers send leaves by one uplink, with or without an exception for what is near."""
    wire = world.wire()
    yield from _tables(world, [wire], (0,))
    which = world.dice.choice([f"from {world.subnet()}", f"iif {world.bridge()}", f"from {world.box_address()}"])
    if world.chance(0.5):
        yield "ip rule add lookup main suppress_prefixlength 0 priority 900"
    yield f"ip rule add {which} lookup {wire.table} priority 950"


def _all_by_vpn(world: World) -> Iterator[str]:
    """A tunnel as wg-quick sets it up: all but what carries its mark."""
    wire = world.wires[2]
    yield from _tables(world, [wire], (0,))
    if world.chance(0.8):
        yield "ip rule add lookup main suppress_prefixlength 0 priority 900"
    yield f"ip rule add not fwmark 0xca6c lookup {wire.table} priority 960"
    if world.chance(0.5):
        yield f"iptables -t mangle -A OUTPUT -p tcp --sport {world.port()} -j MARK --set-mark 0xca6c"
    if world.chance(0.5):
        yield "iptables -t mangle -A PREROUTING -i eth1 -j CONNMARK --set-mark 0xca6c"
        yield "iptables -t mangle -A PREROUTING ! -i eth1 -j CONNMARK --restore-mark"
        yield "iptables -t mangle -A OUTPUT -j CONNMARK --restore-mark"


def _answers_by_connmark(world: World) -> Iterator[str]:
    """Each connection is answered by the uplink by which it came; parts of it may be forgotten."""
    wires = world.some(0.6)
    yield from _tables(world, wires, (0,))
    state = world.dice.choice(("-m conntrack --ctstate NEW ", ""))
    for wire in wires:
        yield f"ip rule add fwmark {wire.number}/0xff lookup {wire.table} priority {1100 + wire.number}"
        yield f"iptables -t mangle -A PREROUTING -i {wire.interface} {state}-j CONNMARK --set-mark {wire.number}/0xff"
    where = world.dice.choice(("! -i eth1", f"-i {world.bridge()}", ""))
    if world.chance(0.8):
        yield f"iptables -t mangle -A PREROUTING {where} -j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff"
    if world.chance(0.8):
        yield "iptables -t mangle -A OUTPUT -j CONNMARK --restore-mark"
    if world.chance(0.4):
        yield f"sysctl -qw net.ipv4.conf.{world.dice.choice(('all', world.wire().interface))}.src_valid_mark=1"


def _marks_by_nft(world: World) -> Iterator[str]:
    """The same in a table of nft's own, or by port."""
    wire = world.wire()
    yield from _tables(world, [wire], (0, 1))
    for six in (0, 1):
        yield f"ip {'-6' * six} rule add fwmark 0x10/0x10 lookup {wire.table} priority 1200"
    there = "iifname" if world.chance(0.5) else f"ip daddr {world.wire().own[0]} iifname"
    kind = world.dice.choice(("route", "filter"))
    yield f"""nft 'table inet marks {{
 chain pre {{ type filter hook prerouting priority -150;
  ct mark 0x10 meta mark set ct mark
  {there} "{wire.interface}" ct mark set 0x10 {world.dice.choice(("", "meta mark set 0x10"))}
 }}
 chain out {{ type {kind} hook output priority -150;
  {world.dice.choice((f"tcp sport {world.port()}", "tcp dport 80", "ct mark 0x10"))} meta mark set 0x10
 }}
}}'"""


def _rules_by_what_is_sent(world: World) -> Iterator[str]:
    wire = world.wire()
    yield from _tables(world, [wire], (0,))
    for number in range(world.dice.choice((1, 2))):
        what = world.dice.choice(
            (
                f"to {world.anybody()}",
                f"to {world.wire().far_net[0]}",
                f"iif {world.interface()}",
                "ipproto tcp dport 80",
                f"ipproto tcp sport {world.port()}",
                f"from {world.anybody()}",
                f"not to {world.anybody()}",
                "ipproto udp",
                "tos 0x10",
            )
        )
        does = world.dice.choice((f"lookup {wire.table}", f"lookup {wire.table}", "prohibit", "blackhole", "unreachable"))
        yield f"ip rule add {what} {does} priority {1300 + number}"


def _rp_filter(world: World) -> Iterator[str]:
    for name in ("all", "eth1", "eth2", "wg0", "docker0", "beta0"):
        if world.chance(0.6 if name in ("eth1", "eth2", "wg0") else 0.25):
            yield f"sysctl -qw net.ipv4.conf.{name}.rp_filter={world.dice.choice((0, 1, 1, 1, 2))}"


def _forwarding(world: World) -> Iterator[str]:
    yield f"sysctl -qw net.ipv4.conf.{world.interface()}.forwarding=0"


def _dead_ends(world: World) -> Iterator[str]:
    kind = world.dice.choice(("blackhole", "unreachable", "prohibit"))
    six = world.chance(0.3)
    where = world.dice.choice((world.anybody(six), world.box_address(six), world.wire().far_net[six]))
    table = f"table {world.wire().table}" if world.chance(0.2) else ""
    yield f"ip route replace {kind} {where} proto 99 {table}"


def _other_default(world: World) -> Iterator[str]:
    wire = world.dice.choice(world.wires[1:])
    for six in (0, 1):
        if world.chance(0.7):
            family = "-6" if six else "-4"
            yield f"ip {family} route replace default via {wire.gateway[six]} dev {wire.interface} proto 99 metric 10"
            if not six and world.chance(0.5):
                yield "ip route del default via $NEIGHBOUR"


def _filter_rules(world: World) -> Iterator[str]:
    """iptables of both families, wherever one may put a rule."""
    for _ in range(world.dice.choice((1, 2, 3))):
        six = world.chance(0.3)
        chain = world.dice.choice(("DOCKER-USER", "DOCKER-USER", "INPUT", "FORWARD", "OUTPUT"))
        chain = "FORWARD" if six and chain == "DOCKER-USER" else chain
        matches = list(_matches(world, chain, six))
        matches = world.dice.sample(matches, min(len(matches), world.dice.choice((1, 2, 2))))
        protocol = "-p tcp " if any("port" in match and "ctorig" not in match for match in matches) else ""
        protocol = protocol or world.dice.choice(("", "-p tcp ", "-p udp "))
        target = world.dice.choice(("DROP", "DROP", "DROP", "REJECT", "ACCEPT", "RETURN" if chain == "DOCKER-USER" else "DROP"))
        yield f"ip{'6' * six}tables -I {chain} {protocol}{' '.join(matches)} -j {target}"


def _matches(world: World, chain: str, six: bool) -> Iterator[str]:
    yield f"{world.negation()}-s {world.anybody(six)}"
    destinations = [world.box_address(six), world.anybody(six), *(wire.own[six] for wire in world.wires)]
    yield f"{world.negation()}-d {world.dice.choice(destinations)}"
    if chain != "OUTPUT":
        yield f"{world.negation()}-i {world.interface()}"
    if chain != "INPUT":
        yield f"{world.negation()}-o {world.interface()}"
    yield f"--dport {world.port()}"
    yield f"--sport {world.port()}"
    yield f"-m conntrack {world.negation()}--ctstate {world.dice.choice(('NEW', 'RELATED,ESTABLISHED', 'DNAT', 'INVALID'))}"
    yield f"-m conntrack --ctorigdstport {world.port()}"
    yield f"-m conntrack --ctdir {world.dice.choice(('ORIGINAL', 'REPLY'))}"
    yield f"-m conntrack --ctorigdst {world.wire().own[six]}"
    yield f"-m addrtype {world.negation()}--{world.dice.choice(('src', 'dst'))}-type LOCAL"
    yield f"-m mark {world.negation()}--mark {world.dice.choice(('0x1', '0x2/0xff', '0x10/0x10', '0x0'))}"
    yield f"-m connmark {world.negation()}--mark {world.dice.choice(('0x1', '0x2/0xff', '0x10/0x10', '0x0'))}"


def _closed_by_default(world: World) -> Iterator[str]:
    """A host whose INPUT is closed but for what is listed."""
    for program, six in (("iptables", False), ("ip6tables", True)) if world.chance(0.4) else (("iptables", False),):
        yield f"{program} -A INPUT -i lo -j ACCEPT"
        if world.chance(0.85):
            yield f"{program} -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT"
        if six and world.chance(0.7):
            yield "ip6tables -A INPUT -p ipv6-icmp -j ACCEPT"
        for _ in range(world.dice.choice((1, 2))):
            which = world.dice.choice((f"-i {world.interface()}", f"-s {world.anybody(six)}", "-p tcp --dport 9100", "-p icmp"))
            yield f"{program} -A INPUT {'' if six and which == '-p icmp' else which} -j ACCEPT"
        yield f"{program} -P INPUT DROP"
        if world.chance(0.3):
            yield f"{program} -A OUTPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT"
            yield f"{program} -A OUTPUT -o lo -j ACCEPT"
            yield f"{program} -A OUTPUT -d {world.anybody(six)} -j ACCEPT; {program} -P OUTPUT DROP"


def _early_drops(world: World) -> Iterator[str]:
    where = world.dice.choice(("raw -A PREROUTING", "mangle -A PREROUTING", "mangle -A FORWARD"))
    what = world.dice.choice(
        (
            f"-i {world.interface()} -d {world.wire().own[0]}",
            f"-s {world.anybody()}",
            "-m rpfilter --invert",
            "-m rpfilter --loose --invert",
            f"-p tcp --dport {world.port()} -i {world.interface()}",
            f"-p tcp --sport {world.port()}",
        )
    )
    where = "raw -A PREROUTING" if "rpfilter" in what else where
    yield f"iptables -t {where} {what} -j DROP"


def _nft_filter(world: World) -> Iterator[str]:
    """A table of nft's own beside Docker's."""
    family = world.dice.choice(("inet", "inet", "ip", "ip6"))
    six = family == "ip6" or (family == "inet" and world.chance(0.3))
    chains: list[str] = []
    for hook in world.dice.sample(("input", "forward", "forward", "prerouting", "output", "postrouting"), 2):
        priority = world.dice.choice(("-5", "0", "10"))
        rules = "\n".join(f"  {rule}" for rule in _nft_rules(world, hook, family, six))
        chains.append(f" chain {hook}{len(chains)} {{ type filter hook {hook} priority {priority};\n{rules}\n }}")
    sets = f" set who {{ type {'ipv6_addr' if six else 'ipv4_addr'}; flags interval; elements = {{ {world.anybody(six)} }} }}"
    yield f"nft 'table {family} more {{\n{sets}\n" + "\n".join(chains) + "\n}'"


def _nft_rules(world: World, hook: str, family: str, six: bool) -> Iterator[str]:
    ip = "ip6" if six else "ip"
    for _ in range(world.dice.choice((1, 2))):
        choices = [
            f"{ip} saddr @who",
            f"{ip} saddr != @who",
            f"{ip} daddr {world.box_address(six)}",
            f"tcp dport {world.port()}",
            f"tcp sport {world.port()}",
            f"ct state {world.dice.choice(('new', 'established', 'invalid', '{ new, untracked }'))}",
            "ct status dnat",
            "ct direction reply",
            f"meta mark {world.dice.choice(('0x1', '0x10', '!= 0x0'))}",
            f"ct original proto-dst {world.port()}",
            "fib daddr type local",
        ]
        plain = ["eth1", "eth2", "wg0", "docker0", "beta0"]
        if hook not in ("output", "postrouting"):
            choices += [f'iifname {negated}"{world.dice.choice(plain)}"' for negated in ("", "!= ")]
        if hook not in ("input", "prerouting"):
            choices += [f'oifname {negated}"{world.dice.choice(plain)}"' for negated in ("", "!= ")]
        if hook == "prerouting":
            choices += ["fib saddr . iif oif 0", "fib saddr . mark . iif oif missing"]
        if not six:
            choices.append(f"ip daddr {world.wire().own[0]}")
        picked = world.dice.sample(choices, 2)
        ports = [match for match in picked if match.startswith("tcp") or "proto-dst" in match]
        if "original" in " ".join(picked):
            picked = ["meta l4proto tcp", *picked]
        picked = picked if len(ports) < 2 else picked[:1]
        yield f"{' '.join(picked)} {world.dice.choice(('drop', 'drop', 'counter drop', 'accept'))}"


def _translations(world: World) -> Iterator[str]:
    """An operator's own nat."""
    wire, box = world.wire(), world.box()
    to = f"-j DNAT --to-destination {world.box_address()}:80"
    rule = world.dice.choice(
        (
            f"PREROUTING -p tcp -i {wire.interface} --dport {FREE} {to}",
            f"PREROUTING -p tcp --dport {FREE} -j REDIRECT --to-ports 9100",
            f"OUTPUT -p tcp -d {wire.own[0]} --dport {FREE} {to}",
            f"POSTROUTING -o {wire.interface} -j SNAT --to-source {world.wire().own[0]}",
            f"POSTROUTING -s {world.subnet()} -o {wire.interface} -j ACCEPT",
            f"POSTROUTING -o {world.bridge()} -j MASQUERADE",
            f"POSTROUTING -d {world.box_address()} -p tcp --dport 80 -j MASQUERADE",
            f"DOCKER -p tcp -s {world.anybody()} --dport {box.port} -j RETURN",
        )
    )
    yield f"iptables -t nat -I {rule}"


def _inside_containers(world: World) -> Iterator[str]:
    """What a container with rights has set up in its own namespace."""
    for box in world.dice.sample(world.boxes, 3):
        enter, wire = world.inside(box), world.wire()
        own = next(filter(None, box.addresses.values()))
        yield world.dice.choice(
            (
                f"{enter} ip route replace {wire.far_net[0]} via {world.box_address()} proto 99 onlink dev eth0",
                f"{enter} ip route del default",
                f"{enter} ip route replace {world.dice.choice(('unreachable', 'blackhole'))} {wire.net[0]} proto 99",
                f"{enter} ip rule add from {own} prohibit priority 500",
                f"{enter} ip rule add to {world.anybody()} blackhole priority 500",
                (
                    f"{enter} ip rule add from {own} lookup 50 priority 500;"
                    f" {enter} ip route add {wire.net[0]} dev eth0 proto 99 table 50"
                ),
                f"{enter} iptables -A INPUT {world.negation()}-s {world.anybody()} -j DROP",
                f"{enter} iptables -A OUTPUT -p tcp --sport 80 -d {world.anybody()} -j DROP",
                f"{enter} iptables -A OUTPUT -d {world.anybody()} -j REJECT",
                (
                    f"{enter} nft 'table inet more {{ chain i {{ type filter hook input priority 0;"
                    f" ip saddr {world.anybody()} drop; }}; }}'"
                ),
                f"{enter} sh -c 'echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter'",
            )
        )


def _bridges(world: World) -> Iterator[str]:
    yield world.dice.choice(
        (
            "sysctl -qw net.bridge.bridge-nf-call-iptables=0",
            "nft 'table bridge more { chain f { type filter hook forward priority 0; ether type ip tcp dport 80 drop; }; }'",
            f"iptables -I DOCKER-USER -i {world.bridge()} -o {world.bridge()} -j DROP",
            "iptables -I FORWARD -m physdev --physdev-is-bridged -p tcp --dport 80 -j DROP",
            f"sysctl -qw net.ipv4.conf.{world.bridge()}.route_localnet=1",
        )
    )


FEATURES: dict[str, Feature] = {
    "one uplink": _one_uplink,
    "routes to clients": _routes_to_clients,
    "silent router": _silent_router,
    "answers by source": _answers_by_source,
    "containers by vpn": _containers_by_vpn,
    "all by vpn": _all_by_vpn,
    "answers by connmark": _answers_by_connmark,
    "marks by nft": _marks_by_nft,
    "rules by what is sent": _rules_by_what_is_sent,
    "rp_filter": _rp_filter,
    "forwarding": _forwarding,
    "dead ends": _dead_ends,
    "other default": _other_default,
    "filter rules": _filter_rules,
    "closed by default": _closed_by_default,
    "early drops": _early_drops,
    "nft filter": _nft_filter,
    "translations": _translations,
    "inside containers": _inside_containers,
    "bridges": _bridges,
}

PRELUDE = """
bridge() { echo br-$(docker network inspect -f '{{slice .Id 0 12}}' $1); }
subnet() { docker network inspect -f '{{range .IPAM.Config}}{{.Subnet}} {{end}}' $1 | tr ' ' '\\n' | grep -v : | head -1; }
"""
