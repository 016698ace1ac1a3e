"""Addresses and links: every fault seen with plain tools, named by the tool, repaired by what it prints."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from tests.lab.case import FaultCase, faults, prove, prove_in_turn
from tests.lab.host import OUTSIDE6, Doctor, Host

NETWORK = "docker network create --subnet 10.20.0.0/24 app >/dev/null; "
WEB = NETWORK + "docker run -d --name web --network app -p 8080:80 net-test httpd -f -p 80 >/dev/null; "
PAIR = WEB + "docker run -d --name cli --network app net-test >/dev/null; "
BRIDGE = "B=br-$(docker network inspect -f '{{slice .Id 0 12}}' app); "
VETH = BRIDGE + "V=$(ls /sys/class/net/$B/brif | head -1); "
VPN = (
    "sh -ec 'ip link add tun0 type veth peer name far; ip link set tun0 up; ip link set far up; ip addr add 10.8.0.2/24 "
    "dev tun0; ip route add 0.0.0.0/1 dev tun0; ip route add 128.0.0.0/1 dev tun0'"
)
OUT = "docker exec web timeout 3 nc -w 2 $NEIGHBOUR 7777 -e true"
FROM_HOST = "curl -fsS -m 2 http://127.0.0.1:8080"
FROM_OUTSIDE = "curl -fsS -m 2 http://$HOST:8080"
BETWEEN = "docker exec cli timeout 3 nc -w 2 web 80 -e true"


def inside(name: str, command: str) -> str:
    return f"nsenter -t $(docker inspect -f '{{{{.State.Pid}}}}' {name}) -n {command}; "


def listening(script: str) -> Callable[[Host], object]:
    """The twin, with a listener on the neighbour at port 7777."""

    def build(host: Host) -> None:
        host.neighbour.serve("python3 -m http.server 7777 --directory /run")
        host.run(["sh", "-ec", script], timeout=90)

    return build


def says(*words: str) -> Callable[[Host, Doctor], object]:
    def verify(host: Host, answer: Doctor) -> None:
        summary = answer.findings[0]["summary"]
        assert all(word in summary for word in words), summary
        assert answer.findings[0]["confidence"] == "proven"

    return verify


CASES = [
    FaultCase(
        cause="bridge-down", name="bridge-down", healthy=WEB, broken=BRIDGE + "ip link set $B down", symptom=FROM_HOST,
        reach="host web:80", verify=says("is down"),
    ),
    FaultCase(
        cause="bridge-down", name="bridge-without-address", healthy=WEB, broken=BRIDGE + "ip addr flush dev $B",
        symptom=FROM_HOST, reach="host web:80", verify=says("10.20.0.1"),
    ),
    FaultCase(
        cause="bridge-down", name="bridge-gone", healthy=PAIR, broken=BRIDGE + "ip link del $B", symptom=BETWEEN,
        reach="cli web:80", verify=says("is gone"), replay=False,
    ),
    FaultCase(
        cause="container-interface-down", name="eth0-down", healthy=PAIR, broken=inside("web", "ip link set eth0 down"),
        symptom=BETWEEN, reach="cli web:80", verify=says("eth0 is down"),
    ),
    FaultCase(
        cause="container-interface-down", name="network-of-both-families-down",  # the published ports are on it
        healthy="docker network create --ipv6 --subnet fd00:77::/64 --subnet 10.77.0.0/24 six; " + WEB
        + "docker network connect six web",
        broken=inside("web", "ip link set eth1 down"), symptom=FROM_HOST, reach="host web:80", verify=says("eth1 is down"),
    ),
    FaultCase(
        cause="container-interface-down", name="eth0-down-source", healthy=listening(WEB),
        broken=inside("web", "ip link set eth0 down"), symptom=OUT, reach="web 10.99.0.2:7777",
    ),
    FaultCase(
        cause="container-interface-down", name="veth-gone", healthy=WEB, broken=VETH + "ip link del $V", symptom=FROM_HOST,
        reach="host web:80",
    ),
    FaultCase(
        cause="veth-detached", healthy=WEB, broken=VETH + "ip link set $V nomaster", symptom=FROM_HOST, reach="host web:80",
        verify=says("not on the bridge"),
    ),
    FaultCase(
        cause="route-missing", healthy=listening(WEB), broken=inside("web", "ip route del default"), symptom=OUT,
        reach="web 10.99.0.2:7777", verify=says("default route"),
    ),
    FaultCase(
        cause="route-missing", name="blackhole-to-one-neighbour", healthy=PAIR,
        broken=inside("cli", "ip route add blackhole 10.20.0.2/32"), symptom=BETWEEN, reach="cli web:80", check="absent",
        verify=says("cli cannot reach web at 10.20.0.2: it has the route blackhole 10.20.0.2/32"),
    ),
    FaultCase(
        cause="route-missing", name="rule-inside-leads-nowhere", healthy=WEB,
        broken=inside("web", "ip rule add to 10.99.0.0/24 pref 100 prohibit"), symptom=FROM_OUTSIDE, vantage="neighbour",
        reach="outside web:80", verify=says("web cannot answer 10.99.0.2: it has the rule 100:"),
    ),
    FaultCase(
        cause="route-missing", name="netmask-too-wide-inside", healthy=WEB,
        broken=inside("web", "ip addr del 10.20.0.2/24 dev eth0") + inside("web", "ip addr add 10.20.0.2/8 dev eth0")
        + inside("web", "ip route add default via 10.20.0.1"),
        symptom=FROM_OUTSIDE, vantage="neighbour", reach="outside web:80",
        verify=says("by its route 10.0.0.0/8 dev eth0 it takes that for a neighbour"),
    ),
    FaultCase(
        cause="route-missing", name="gateway-forwards-nothing", healthy=PAIR,
        broken=inside("cli", "sysctl -qw net.ipv4.ip_forward=0") + inside("web", "ip route replace default via 10.20.0.3"),
        symptom=FROM_OUTSIDE, vantage="neighbour", reach="outside web:80", verify=says("10.20.0.3, which is cli"),
    ),
    FaultCase(
        cause="route-bypasses-bridge", name="vpn-inside-the-container", healthy=WEB, broken=inside("web", VPN),
        symptom=FROM_OUTSIDE, vantage="neighbour", reach="outside web:80",
        verify=says("a route inside web", "tun0 instead of eth0"),
    ),
    FaultCase(
        cause="subnet-overlap", name="covers-the-lan", healthy=PAIR,
        broken="docker network create --subnet 10.99.0.0/25 lan && docker run -d --name xx --network lan net-test",
        symptom=FROM_OUTSIDE, vantage="neighbour", reach="outside web:80", verify=says("network lan"),
    ),
    FaultCase(
        cause="route-bypasses-bridge", name="rule", healthy=WEB,
        broken="ip rule add to 10.20.0.0/24 lookup 100 pref 500; ip route add default via $NEIGHBOUR table 100",
        symptom=FROM_HOST, reach="host web:80", verify=says("rule 500:"),
    ),
    FaultCase(
        cause="route-bypasses-bridge", name="rule-for-the-hosts-own-address", healthy=WEB,
        broken="ip rule add from 10.20.0.1 pref 50 prohibit", symptom=FROM_HOST, reach="host web:80",
        verify=says("rule 50:"),
    ),
    FaultCase(
        cause="route-bypasses-bridge", name="route", healthy=WEB, broken="ip route add 10.20.0.0/28 via $NEIGHBOUR",
        symptom=FROM_OUTSIDE, vantage="neighbour", reach="outside web:80", verify=says("10.20.0.0/28"),
    ),
    FaultCase(
        cause="wrong-gateway-network",
        healthy=listening(WEB + "docker network create -o com.docker.network.bridge.enable_ip_masquerade=false aaa"),
        broken="docker network connect aaa web", symptom=OUT, reach="web 10.99.0.2:7777", verify=says("app"),
    ),
    FaultCase(
        cause="static-address-taken",
        healthy=NETWORK + "docker run -d --name db --network app --ip 10.20.0.2 net-test; docker stop -t0 db; docker start db",
        broken="docker stop -t0 db; docker run -d --name other --network app net-test; docker start db || true",
        symptom="docker inspect -f '{{.State.Running}}' db | grep -q true", verify=says("10.20.0.2", "other"),
    ),
    FaultCase(
        cause="address-pool-exhausted", name="network-full",
        healthy="docker network create --subnet 10.30.0.0/29 small; "
        "for i in 1 2 3 4; do docker run -d --name c$i --network small net-test; done",
        broken="docker run -d --name c5 --network small net-test; docker run -d --name c6 --network small net-test || true",
        symptom="! docker inspect -f '{{.State.Running}}' c6 | grep -q false", verify=says("small", "c6"),
    ),
    FaultCase(
        cause="mtu-mismatch", name="bridge-above-uplink", healthy=PAIR,
        broken="docker network create -o com.docker.network.driver.mtu=9000 big; "
        "docker run -d --name xx --network big net-test",
        symptom="! docker exec xx sh -c 'cat /sys/class/net/eth*/mtu' | grep 9000", verify=says("9000", "1500"),
    ),
    FaultCase(
        cause="mtu-mismatch", name="black-hole", healthy=listening(WEB),
        broken=lambda host: host.neighbour.run("ip link set eth1 mtu 1400"),
        symptom="docker exec web ping -c 1 -W 1 -s 1450 $NEIGHBOUR", reach="web 10.99.0.2:7777", check="absent",
        fix=False,
        heal=lambda host: host.neighbour.run("ip link set eth1 mtu 1500"), verify=says("1500", "1400"), replay=False,
    ),
    FaultCase(
        cause="stale-neighbour", healthy=WEB,
        broken=BRIDGE + "ip neigh replace 10.20.0.2 lladdr 02:42:0a:14:00:99 dev $B nud permanent", symptom=FROM_HOST,
        reach="host web:80", verify=says("10.20.0.2"),
    ),
    FaultCase(
        cause="stale-neighbour", name="entry-for-the-gateway-inside", healthy=WEB,
        broken=inside("web", "ip neigh replace 10.20.0.1 lladdr 02:42:0a:14:00:99 dev eth0 nud permanent"),
        symptom=FROM_OUTSIDE, vantage="neighbour", reach="outside web:80", verify=says("10.20.0.1 (the gateway)"),
    ),
    FaultCase(
        cause="container-interface-down", name="arp-off", healthy=WEB,
        broken=inside("web", "ip link set dev eth0 arp off"), symptom=FROM_HOST, reach="host web:80",
        verify=says("ARP is off on eth0"),
    ),
    FaultCase(
        cause="container-interface-down", name="arp-ignored-by-all", healthy=WEB,
        broken=inside("web", "sysctl -qw net.ipv4.conf.all.arp_ignore=8") + BRIDGE + "ip neigh flush dev $B",
        symptom=FROM_OUTSIDE, vantage="neighbour", reach="outside web:80", verify=says("answers no ARP request"),
    ),
    FaultCase(
        cause="bridge-down", name="arp-ignored", healthy=listening(WEB),
        broken=BRIDGE + "sysctl -qw net.ipv4.conf.$B.arp_ignore=8; " + inside("web", "ip neigh flush dev eth0"),
        symptom=OUT, reach="web 10.99.0.2:7777", verify=says("answers no ARP request"),
    ),
    FaultCase(
        cause="bridge-skips-container", name="static-entry-at-another-port", healthy=PAIR,
        broken=BRIDGE + "M=$(docker inspect -f '{{.NetworkSettings.Networks.app.MacAddress}}' web); "
        "I=$(" + inside("cli", "ip -o link show eth0").removesuffix("; ") + " | sed 's/.*@if\\([0-9]*\\):.*/\\1/'); "
        "V=$(ip -o link | sed -n \"s/^$I: \\([^@]*\\)@.*/\\1/p\"); bridge fdb replace $M dev $V master static sticky",
        symptom=FROM_HOST, reach="host web:80", verify=says("an entry of its forwarding table"),
    ),
    FaultCase(
        cause="bridge-skips-container", name="port-neither-learns-nor-is-flooded", healthy=WEB,
        broken=VETH + "bridge link set dev $V learning off flood off; ip link set $V type bridge_slave fdb_flush",
        symptom=FROM_HOST, reach="host web:80", verify=says("neither learns"),
    ),
    FaultCase(
        cause="bridge-skips-container", name="port-without-broadcasts", healthy=PAIR,
        broken=BRIDGE + "for V in $(ls /sys/class/net/$B/brif); do bridge link set dev $V bcast_flood off; done",
        symptom=inside("cli", "ip neigh flush dev eth0") + BETWEEN,  # who knows the address already needs no broadcast
        reach="cli web:80", check="absent", verify=says("gets no broadcasts"),
    ),
    FaultCase(
        cause="duplicate-address", name="same-address", healthy=PAIR,
        broken=inside("cli", "ip addr add 10.20.0.2/24 dev eth0"),
        symptom="! " + inside("cli", "ip -br addr").removesuffix("; ") + " | grep -q 10.20.0.2", verify=says("10.20.0.2"),
    ),
]  # fmt: skip

ADVERTISE = """
from scapy.all import ICMPv6ND_RA, IPv6, Ether, in6_getifaddr, sendp
own = next(address for address, scope, link in in6_getifaddr() if link == "eth1" and address.startswith("fe80"))
advertisement = Ether(dst="33:33:00:00:00:01") / IPv6(src=own, dst="ff02::1", hlim=255) / ICMPv6ND_RA(routerlifetime=1800)
sendp(advertisement, iface="eth1", inter=0.3, loop=1, verbose=0)
"""


def second_link(host: Host) -> None:
    """The twin, with a second interface in the subnet of eth1: by it the neighbour comes in, and nobody is answered."""
    host.run(["sh", "-ec", WEB])
    link = f"nsenter -t {host.pid} -n ip link add eth2 type veth peer name eth2 netns {host.neighbour.pid}"
    subprocess.run(["sh", "-c", link], check=True)
    host.run("ip link set eth2 up; ip addr add 10.99.0.77/24 dev eth2 metric 500")
    host.neighbour.run(f"ip link set eth2 up; ip route add 10.99.0.77 dev eth2 src {host.neighbour.address}")


def advertised(host: Host) -> None:
    """The default route of IPv6 comes by router advertisements, again and again."""
    host.run("ip -6 route del default; sysctl -qw net.ipv6.conf.all.forwarding=0 net.ipv6.conf.eth1.accept_ra=1")
    host.neighbour.serve(f"{sys.executable} -c '{ADVERTISE}'")


LIMITS = [
    FaultCase(
        cause="bridge-full", healthy=PAIR, symptom=BETWEEN,
        broken="docker rm -f cli; " + BRIDGE + "for i in $(seq 511); do echo link add x$i type veth peer name y$i; "
        "echo link set x$i master $B; echo link set y$i master $B; done | ip -batch -; "
        "docker run -d --name cli --network app net-test || true",
        reach="cli web:80", verify=says("1023", "app"), replay=False,
    ),
    FaultCase(
        cause="reverse-path-filter", healthy=second_link,
        broken="sysctl -qw net.ipv4.conf.eth2.rp_filter=1", symptom="curl -fsS -m 1 http://10.99.0.77:8080",
        vantage="neighbour", reach="outside 10.99.0.77:8080", check="info", verify=says("eth2", "10.99.0.0/24"),
    ),
    FaultCase(
        cause="ipv6-ra-ignored", healthy=advertised, broken="docker network create --ipv6 --subnet "
        "fd00:66::/64 six; docker run -d --name web --network six net-test", symptom=f"nc -z -w 1 {OUTSIDE6} 53",
        reach=f"host [{OUTSIDE6}]:53",
    ),
]  # fmt: skip


@faults(CASES)
def test_addressing(host: Host, case: FaultCase) -> None:
    prove(host, case)


def test_limits_and_settings_of_the_kernel(host: Host) -> None:
    prove_in_turn(host, LIMITS)
