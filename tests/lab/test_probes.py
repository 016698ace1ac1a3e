"""Probes through real namespaces: a client, a router and a server, each with its own stack; no Docker.

client c0 10.77.1.2 ── r0 10.77.1.1 router r1 10.77.2.1 ── s0 10.77.2.2 server     (fd77:1:: and fd77:2:: likewise)
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockernet_doctor.probe import arp, counters, drops, icmp, schedule, tcp, udp
from dockernet_doctor.probe.capture import CapturePoint, Trace, trace
from dockernet_doctor.probe.model import Answer, Probe, ProbeKind, Vantage
from dockernet_doctor.probe.schedule import Scheduler, vantages
from dockernet_doctor.probe.steps import finish
from dockernet_doctor.snapshot.model import Container, NetworkStack, Sandbox, Snapshot, State
from dockernet_doctor.snapshot.namespace import in_thread, inside, namespace_of

ASK = {"tcp": tcp.ask, "udp": udp.ask, "icmp": icmp.ask, "arp": arp.ask}
SERVER = "10.77.2.2"
MACHINES = ("client", "router", "server")
LISTEN = """
import socket
with socket.create_server(("", 80), family=socket.AF_INET6, dualstack_ipv6=True) as server:
    while True:
        peer, _ = server.accept()
        peer.send(b"hi")
"""


class World:
    """Three namespaces, each held by a process; they are the "containers" of one snapshot."""

    def __init__(self) -> None:
        self.holders = {
            name: subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec sleep 600"], stdout=subprocess.PIPE)
            for name in MACHINES
        }
        for holder in self.holders.values():
            assert holder.stdout
            with holder.stdout:
                holder.stdout.readline()
        self.snapshot = Snapshot(name="h1", taken_at="", endpoint="", containers=tuple(map(self._container, MACHINES)))
        self.resolve = vantages([self.snapshot])
        for machine in MACHINES:
            # tests come faster than the kernel would send ICMP errors, or use an IPv6 address it has just got
            self.sh(
                machine,
                "cd /proc/sys/net; echo 0 > ipv4/icmp_ratelimit; echo 0 > ipv6/icmp/ratelimit;"
                "echo 0 > ipv6/conf/all/accept_dad; echo 0 > ipv6/conf/default/accept_dad",
            )
        client, server = self.holders["client"].pid, self.holders["server"].pid
        self.sh("router", f"ip link add r0 type veth peer name c0 netns {client}")
        self.sh("router", f"ip link add r1 type veth peer name s0 netns {server}")
        self.sh("router", "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding")
        for machine, link, net, host in (
            ("client", "c0", 1, 2),
            ("router", "r0", 1, 1),
            ("router", "r1", 2, 1),
            ("server", "s0", 2, 2),
        ):
            self.sh(
                machine,
                f"ip link set lo up; ip link set {link} up; ip addr add 10.77.{net}.{host}/24 dev {link};"
                f"ip addr add fd77:{net}::{host}/64 dev {link} nodad",
            )
        self.sh("client", "ip route add 10.77.2.0/24 via 10.77.1.1; ip -6 route add fd77:2::/64 via fd77:1::1")
        self.sh("server", "ip route add 10.77.1.0/24 via 10.77.2.1; ip -6 route add fd77:1::/64 via fd77:2::1")
        # three seconds until the kernel gives a neighbour up are 0.3 here
        self.sh("client", "echo 100 > /proc/sys/net/ipv4/neigh/c0/retrans_time_ms")
        self.listener = self.popen("server", "python3", "-c", LISTEN)
        self._await_listener()

    def _await_listener(self) -> None:
        deadline = time.monotonic() + 10
        while not all(self.ask("client", "tcp", address, 80).positive for address in (SERVER, "fd77:2::2")):
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def _container(self, name: str) -> Container:
        pid = self.holders[name].pid
        sandbox = Sandbox(pid=pid, namespace=namespace_of(pid), stack=NetworkStack())
        return Container(id=name, name=name, state=State(status="running", running=True, pid=pid), sandbox=sandbox)

    def popen(self, machine: str, *command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["nsenter", "-t", str(self.holders[machine].pid), "-n", *command])

    def sh(self, machine: str, script: str) -> None:
        assert self.popen(machine, "sh", "-ec", script).wait(20) == 0, script

    def ask(
        self, machine: str, kind: ProbeKind, address: str, port: int = 0, *, patience: float = 1.2, **fields: object
    ) -> Answer:
        probe = Probe(kind=kind, vantage=Vantage("h1", machine), address=address, port=port, **fields)  # type: ignore[arg-type]
        return finish(ASK[kind](probe, self.resolve(probe.vantage), patience))

    def follow(self, port: int) -> Trace:
        probe = Probe(kind="tcp", vantage=Vantage("h1", "client"), address="10.77.1.1", port=port)
        return trace(probe, POINTS, self.resolve, patience_s=0.5)

    def close(self) -> None:
        for process in (self.listener, *self.holders.values()):
            process.kill()
            process.wait(10)


POINTS = tuple(
    CapturePoint(Vantage("h1", machine), link)
    for machine, link in (("client", "c0"), ("router", "r0"), ("router", "r1"), ("server", "s0"))
)


@pytest.fixture(scope="session")
def namespaces() -> Iterator[World]:
    if os.geteuid() != 0:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("namespaces need root")
    world = World()
    yield world
    world.close()


@pytest.fixture
def world(namespaces: World) -> Iterator[World]:
    yield namespaces
    namespaces.sh("router", "iptables -w -F; iptables -w -t nat -F; ip6tables -w -F")
    namespaces.sh("client", "iptables -w -F")


def test_a_listener_and_a_closed_port(world: World) -> None:
    assert world.ask("client", "tcp", SERVER, 80).result == "open"
    assert world.ask("client", "tcp", SERVER, 81).result == "refused"
    closed = world.ask("client", "udp", SERVER, 81)
    assert (closed.result, closed.detail) == ("unreachable-port", f"ICMP port unreachable from {SERVER}")


def test_over_ipv6(world: World) -> None:
    assert world.ask("client", "tcp", "fd77:2::2", 81).result == "refused"
    assert world.ask("client", "udp", "fd77:2::2", 81).result == "unreachable-port"
    world.sh("router", "ip6tables -w -A FORWARD -p tcp --dport 81 -j REJECT --reject-with icmp6-adm-prohibited")
    answer = world.ask("client", "tcp", "fd77:2::2", 81)
    assert (answer.result, answer.source) == ("unreachable-prohibited", "fd77:1::1")


def test_a_drop_is_silence(world: World) -> None:
    world.sh("router", "iptables -w -A FORWARD -j DROP")
    assert world.ask("client", "tcp", SERVER, 80, patience=0.2).result == "timeout"


@pytest.mark.parametrize(
    ("reject_with", "result"),
    [
        ("icmp-port-unreachable", "unreachable-port"),
        ("icmp-host-unreachable", "unreachable-host"),
        ("icmp-net-unreachable", "unreachable-net"),
        ("icmp-admin-prohibited", "unreachable-prohibited"),
        ("icmp-host-prohibited", "unreachable-prohibited"),
    ],
)
def test_a_reject_is_told_from_a_closed_port_and_says_who(world: World, reject_with: str, result: str) -> None:
    world.sh("router", f"iptables -w -A FORWARD -j REJECT --reject-with {reject_with}")
    for kind in ("tcp", "udp"):
        answer = world.ask("client", kind, SERVER, 80)
        assert (answer.result, answer.source) == (result, "10.77.1.1")


def test_a_reject_with_a_reset_looks_like_a_closed_port(world: World) -> None:
    world.sh("router", "iptables -w -A FORWARD -p tcp -j REJECT --reject-with tcp-reset")
    assert world.ask("client", "tcp", SERVER, 80).result == "refused"


def test_no_machine_there(world: World) -> None:
    for kind in ("tcp", "udp", "icmp"):
        answer = world.ask("client", kind, "10.77.1.99", 80)
        assert (answer.result, answer.source) == ("unreachable-host", "")
        assert answer.detail == "no machine at the next hop answers ARP"


def test_no_way_there(world: World) -> None:
    world.sh("client", "ip route replace prohibit 192.0.2.8; ip route replace blackhole 192.0.2.9")
    assert world.ask("client", "tcp", "192.0.2.1", 80).result == "unreachable-net"
    assert world.ask("client", "udp", "192.0.2.1", 80).result == "unreachable-net"
    assert world.ask("client", "icmp", "192.0.2.1").result == "unreachable-net"
    assert world.ask("client", "tcp", "192.0.2.8", 80).result == "unreachable-prohibited"
    assert world.ask("client", "tcp", "192.0.2.9", 80).result == "unreachable-net"


def test_a_drop_on_the_way_out_is_told_for_udp(world: World) -> None:
    world.sh("client", "iptables -w -A OUTPUT -p udp -j DROP")
    answer = world.ask("client", "udp", SERVER, 80)
    assert (answer.result, answer.detail) == (
        "unreachable-prohibited",
        "Operation not permitted: stopped before it left",
    )


@pytest.mark.parametrize(("address", "router"), [(SERVER, "10.77.1.1"), ("fd77:2::2", "fd77:1::1")])
def test_an_echo_and_the_largest_packet_that_passes(world: World, address: str, router: str) -> None:
    assert world.ask("client", "icmp", address).result == "reply"
    assert world.ask("client", "icmp", address, size=1400).result == "reply"
    world.sh("router", "ip link set r1 mtu 1300")
    try:
        narrow = world.ask("client", "icmp", address, size=1400)
    finally:
        world.sh("router", "ip link set r1 mtu 1500")
    assert (narrow.result, narrow.source) == ("too-big", router)
    assert narrow.detail.endswith(f"MTU 1300 from {router}")
    local = world.ask("client", "icmp", address, size=1600)
    assert (local.result, local.source) == ("too-big", "")


def test_who_has(world: World) -> None:
    answer = world.ask("client", "arp", "10.77.1.1", interface="c0")
    assert answer.result == "reply"
    assert len(answer.mac) == 17
    assert world.ask("client", "arp", "10.77.1.98", patience=0.2, interface="c0").result == "timeout"


def test_a_second_owner_of_an_address_is_told(world: World) -> None:
    world.sh(
        "server",
        "ip link add br9 type bridge; ip link set br9 up; ip addr add 10.99.0.1/24 dev br9;"
        f"ip link add p1 type veth peer name q1 netns {world.holders['client'].pid};"
        f"ip link add p2 type veth peer name q2 netns {world.holders['router'].pid};"
        "for p in p1 p2; do ip link set $p master br9 up; done",
    )
    for machine, link in (("client", "q1"), ("router", "q2")):
        world.sh(machine, f"ip addr add 10.99.0.7/24 dev {link}; ip link set {link} up")
    deadline = time.monotonic() + 5
    answer = world.ask("server", "arp", "10.99.0.7", interface="br9")
    while not answer.detail and time.monotonic() < deadline:
        answer = world.ask("server", "arp", "10.99.0.7", interface="br9")
    assert answer.result == "reply"
    assert answer.detail.endswith(" answered as well")
    world.sh("server", "ip link del br9; ip link del p1; ip link del p2")


def test_the_rule_that_ate_the_packet_is_named_by_its_counter(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(schedule.MANNERS, "tcp", schedule.Manner(tcp.ask, (0.2, 0.2)))
    world.sh("router", "iptables -w -A OUTPUT -p tcp --dport 82 -j DROP; iptables -w -A OUTPUT -p tcp --dport 80")
    probe = Probe(kind="tcp", vantage=Vantage("h1"), address=SERVER, port=82, counters=True)

    def in_router() -> Answer:
        with inside(world.holders["router"].pid):
            sched = Scheduler(world.resolve, deadline=time.monotonic() + 20, rulesets=counters.read)
            return sched.run([probe])[probe]

    answer = in_thread(in_router)
    assert (answer.result, answer.attempts) == ("timeout", 2)
    rules = [move.rule for move in answer.moved if move.rule]
    assert rules == ["-A OUTPUT -p tcp -m tcp --dport 82 -j DROP"]


def test_a_packet_is_followed_through_translation_of_address_and_port(world: World) -> None:
    world.sh(
        "router",
        f"iptables -w -t nat -A PREROUTING -p tcp --dport 8080 -j DNAT --to {SERVER}:80;"
        "iptables -w -t nat -A POSTROUTING -p tcp -o r1 -j MASQUERADE --to-ports 7000-7100",
    )
    followed = world.follow(8080)
    assert followed.answer.result == "open"
    assert [sighting.seen for sighting in followed.sightings] == [True] * 4
    for sighting in followed.sightings:
        whats = [(packet.what, packet.reply) for packet in sighting.packets if not packet.what.startswith("ARP")]
        assert whats[:2] == [("SYN", False), ("SYN-ACK", True)]
    at_server = next(packet for packet in followed.sightings[3].packets if packet.what == "SYN")
    assert (at_server.destination, at_server.leaving) == (f"{SERVER}:80", False)
    assert at_server.source.startswith("10.77.2.1:70")


def test_a_packet_that_is_dropped_is_not_seen_behind_the_rule(world: World) -> None:
    world.sh("router", f"iptables -w -t nat -A PREROUTING -p tcp --dport 8080 -j DNAT --to {SERVER}:80")
    world.sh("router", "iptables -w -A FORWARD -p tcp -j DROP")
    followed = world.follow(8080)
    assert followed.answer.result == "timeout"
    assert [sighting.seen for sighting in followed.sightings] == [True, True, False, False]


def test_a_rejection_is_seen_where_it_comes_from(world: World) -> None:
    world.sh("router", "iptables -w -A INPUT -p tcp -j REJECT")
    followed = world.follow(8080)
    assert followed.answer.result == "unreachable-port"
    errors = [packet for packet in followed.sightings[1].packets if packet.what.startswith("ICMP")]
    assert [(error.what, error.leaving, error.reply) for error in errors] == [("ICMP port unreachable", True, True)]
    assert not followed.sightings[2].seen


def test_an_interface_that_is_not_there_is_said(world: World) -> None:
    probe = Probe(kind="icmp", vantage=Vantage("h1", "client"), address="10.77.1.1")
    points = [CapturePoint(Vantage("h1", "client"), "c0"), CapturePoint(Vantage("h1", "client"), "eth9")]
    followed = trace(probe, points, world.resolve)
    whats = [packet.what for packet in followed.sightings[0].packets if not packet.what.startswith("ARP")]
    assert whats == ["echo request", "echo reply"]
    assert followed.sightings[1].problem == "No such device"


@pytest.fixture
def tracefs(tmp_path: Path) -> Iterator[Path]:
    subprocess.run(["mount", "-t", "tracefs", "tracefs", str(tmp_path)], check=True)
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("iptables -w -A FORWARD -p tcp --dport 81 -j DROP", "NETFILTER_DROP"),
        ("sysctl -qw net.ipv4.conf.r0.rp_filter=1; ip route replace 10.77.1.2/32 dev r1", "IP_RPFILTER"),
        ("", "NO_SOCKET"),
    ],
)
def test_the_kernel_tells_why_it_dropped_the_probes(world: World, tracefs: Path, script: str, reason: str) -> None:
    world.sh("router", script)
    try:
        probe = Probe(kind="tcp", vantage=Vantage("h1", "client"), address=SERVER, port=81)
        deadline = time.monotonic() + 60
        # others may lose a packet for the same reason at the same moment: then nothing is certain
        while not (found := drops.reasons(probe, world.resolve, (tracefs,))) and time.monotonic() < deadline:
            pass
        assert reason in found
    finally:
        world.sh("router", "sysctl -qw net.ipv4.conf.r0.rp_filter=0; ip route flush 10.77.1.2/32 dev r1 || true")


def test_a_probe_that_arrives_is_dropped_by_nobody(world: World, tracefs: Path) -> None:
    probe = Probe(kind="tcp", vantage=Vantage("h1", "client"), address=SERVER, port=80)
    assert "NETFILTER_DROP" not in drops.reasons(probe, world.resolve, (tracefs,))


def test_tracefs_that_is_not_mounted_is_told_with_what_to_type(world: World, tmp_path: Path) -> None:
    probe = Probe(kind="tcp", vantage=Vantage("h1", "client"), address=SERVER, port=80)
    with pytest.raises(drops.UnreadableError, match="tracefs is not mounted") as told:
        drops.reasons(probe, world.resolve, (tmp_path,))
    assert told.value.remedy == f"mount -t tracefs tracefs {tmp_path}"
