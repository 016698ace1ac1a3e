"""A network namespace with something of everything, and what `ip` and `ss` say about it.

`python -m tests.lab.kernel_namespace FILE` records the kernel's answers and those programs' for the unit tests.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dockernet_doctor.snapshot import conntrack, namespace, netlink, nfnetlink, procnet, rtnetlink, sock_diag

SETUP = """
# a link-local address would come and go with the moment at which one looks
ip link add br-app type bridge
ip link set br-app addrgenmode none
ip addr add 172.18.0.1/16 dev br-app
ip addr add fd00:18::1/64 dev br-app nodad
ip link set br-app up
ip link add veth1 type veth peer name eth9
ip link set veth1 addrgenmode none
ip link set eth9 addrgenmode none
ip link set veth1 master br-app
ip link set veth1 up
ip link set eth9 up mtu 1400
bridge link set dev veth1 hairpin on isolated on
ip link add vx0 type vxlan id 256 dstport 4789 dev br-app
ip addr add 10.9.0.1 peer 10.9.0.2/32 dev eth9
ip route add default via 172.18.0.254
ip route add 10.1.0.0/16 via 172.18.0.9 metric 50 table 100
ip route add 10.2.0.0/16 nexthop via 172.18.0.7 dev br-app nexthop via 10.9.0.2 dev eth9
ip route add blackhole 10.3.0.0/16
ip route add unreachable fd00:3::/48
ip route add local 10.4.0.0/24 dev lo
ip -6 route add default via fd00:18::fe metric 30
ip rule add from 172.18.0.0/16 to 10.5.0.0/16 lookup 100 priority 500
ip rule add fwmark 0x2/0xf iif br-app lookup 100 priority 501
ip rule add not oif eth9 prohibit priority 502
ip rule add uidrange 1000-1999 ipproto tcp dport 53 lookup 100 priority 503
ip rule add lookup main suppress_prefixlength 0 priority 504
ip -6 rule add from fd00:18::/64 lookup 100 priority 500
ip neigh add 172.18.0.5 lladdr 02:42:ac:12:00:05 dev br-app nud permanent
ip neigh add fd00:18::5 lladdr 02:42:ac:12:00:05 dev br-app nud permanent
sysctl -qw net.ipv4.conf.veth1.route_localnet=1 net.ipv4.conf.veth1.rp_filter=2 net.ipv4.ip_forward=1
sysctl -qw net.ipv6.conf.veth1.disable_ipv6=1 net.ipv6.conf.eth9.accept_ra=2
"""

# The rules that dockerd makes in a sandbox (libnetwork, rebindLocalResolver).
DOCKER_DNS = """
iptables-nft -w -t nat -N DOCKER_OUTPUT
iptables-nft -w -t nat -N DOCKER_POSTROUTING
iptables-nft -w -t nat -I DOCKER_OUTPUT -d 127.0.0.11 -p udp --dport 53 -j DNAT --to-destination 127.0.0.11:41234
iptables-nft -w -t nat -I DOCKER_OUTPUT -d 127.0.0.11 -p tcp --dport 53 -j DNAT --to-destination 127.0.0.11:39363
iptables-nft -w -t nat -A OUTPUT -d 127.0.0.11 -j DOCKER_OUTPUT
iptables-nft -w -t nat -A POSTROUTING -d 127.0.0.11 -j DOCKER_POSTROUTING
iptables-nft -w -t nat -I DOCKER_POSTROUTING -s 127.0.0.11 -p udp --sport 41234 -j SNAT --to-source :53
iptables-nft -w -t nat -I DOCKER_POSTROUTING -s 127.0.0.11 -p tcp --sport 39363 -j SNAT --to-source :53
"""

SOCKETS = """
import socket, sys
kept = [socket.create_server(("0.0.0.0", 80)), socket.create_server(("127.0.0.1", 81))]
kept.append(socket.create_server(("::", 82), family=socket.AF_INET6, dualstack_ipv6=True))
kept.append(socket.create_server(("::", 83), family=socket.AF_INET6))
for family, kind, address in (
    (socket.AF_INET6, socket.SOCK_STREAM, ("::ffff:127.0.0.1", 84)),
    (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.11", 5353)),
    (socket.AF_INET6, socket.SOCK_DGRAM, ("::", 5354)),
):
    kept.append(socket.socket(family, kind))
    if family == socket.AF_INET6:
        kept[-1].setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    kept[-1].bind(address)
    if kind == socket.SOCK_STREAM:
        kept[-1].listen()
kept.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
kept[-1].bind(("127.0.0.1", 5355))
kept[-1].connect(("127.0.0.1", 9))  # has a peer: no listener
kept[-1].send(b"to nobody")  # and is tracked as such
kept.append(socket.create_connection(("127.0.0.1", 80)))
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def namespace_with(*scripts: str, sockets: bool = False) -> Iterator[int]:
    """The pid of a process in a new network namespace in which these scripts have run."""
    hold = [sys.executable, "-c", SOCKETS] if sockets else ["sh", "-c", "echo ready; exec cat"]
    command = ["unshare", "--net", "sh", "-c", "\n".join(["set -e", "ip link set lo up", *scripts, 'exec "$@"']), "sh", *hold]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n", "the namespace could not be set up"
            yield process.pid
        finally:
            process.kill()


def run_inside(pid: int, *command: str) -> str:
    """What a program prints in the namespace of that process (and in no other namespace of it)."""
    return subprocess.run(
        ["nsenter", "-t", str(pid), "-n", *command], check=True, capture_output=True, text=True, timeout=20
    ).stdout


def programs_say(pid: int) -> dict[str, Any]:
    """The same facts as `ip` and `ss` tell them."""
    questions = {
        "links": ["-details", "link"],
        "addresses": ["address"],
        "routes": ["-details", "-4", "route", "show", "table", "all"],
        "routes6": ["-details", "-6", "route", "show", "table", "all"],
        "rules": ["-4", "rule"],
        "rules6": ["-6", "rule"],
        "neighbours": ["neigh"],
    }
    said: dict[str, Any] = {
        name: json.loads(run_inside(pid, "ip", "-N", "-json", *question)) for name, question in questions.items()
    }
    said["ss"] = run_inside(pid, "ss", "-H", "-ltunae", "state", "listening", "state", "unconnected").splitlines()
    return said


REQUESTS = {
    "links": (netlink.NETLINK_ROUTE, rtnetlink.LINKS_REQUEST),
    "addresses": (netlink.NETLINK_ROUTE, rtnetlink.ADDRESSES_REQUEST),
    "routes": (netlink.NETLINK_ROUTE, rtnetlink.ROUTES_REQUEST),
    "rules": (netlink.NETLINK_ROUTE, rtnetlink.RULES_REQUEST),
    "neighbours": (netlink.NETLINK_ROUTE, rtnetlink.NEIGHBOURS_REQUEST),
    "netconf": (netlink.NETLINK_ROUTE, rtnetlink.NETCONF_REQUEST),
    "tcp": (netlink.NETLINK_SOCK_DIAG, sock_diag.TCP_REQUEST),
    "udp": (netlink.NETLINK_SOCK_DIAG, sock_diag.UDP_REQUEST),
    "udp6": (netlink.NETLINK_SOCK_DIAG, sock_diag.UDP6_REQUEST),
    "conntrack": (netlink.NETLINK_NETFILTER, conntrack.CONNTRACK_REQUEST),
    "nft_chains": (netlink.NETLINK_NETFILTER, nfnetlink.CHAINS_REQUEST),
    "nft_rules": (netlink.NETLINK_NETFILTER, nfnetlink.RULES_REQUEST),
}


class Recorder(netlink.Netlink):
    """A netlink socket that keeps the datagrams as they came."""

    def __init__(self, family: int) -> None:
        super().__init__(family)
        self.datagrams: list[bytes] = []

    def _receive(self) -> bytes:
        self.datagrams.append(super()._receive())
        return self.datagrams[-1]


def record() -> dict[str, Any]:
    """The kernel's answers as base64, each datagram by itself, and what the programs say about the same namespace."""
    with namespace_with(SETUP, DOCKER_DNS, sockets=True) as pid:
        answers = {}
        with namespace.inside(pid):
            for name, (family, question) in REQUESTS.items():
                with Recorder(family) as opened:
                    opened.dump(question)
                answers[name] = [base64.b64encode(data).decode() for data in opened.datagrams]
            proc = {name: Path(f"/proc/thread-self/net/{name}").read_text() for name in procnet.FILES}
        return {
            "answers": answers,
            "proc": proc,
            "programs": programs_say(pid),
            "iptables_save": run_inside(pid, "iptables-nft-save", "-c"),
        }


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(record(), indent=1) + "\n")
