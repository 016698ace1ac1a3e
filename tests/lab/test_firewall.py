"""The firewall and forwarding on real daemons: rules of others, Docker's own gone, what the kernel must let through.

FORWARD's policy is ACCEPT on the lab's long-lived hosts; a case sets it to DROP, as most machines have it, where it matters.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal, TypedDict

import pytest

from tests.lab import packages
from tests.lab.case import FaultCase, faults, prove, prove_in_turn
from tests.lab.host import Doctor, Host

FILL_CONNTRACK = Path(__file__).with_name("fill_conntrack.py")
NEIGHBOUR = "10.99.0.2"  # answers TCP 53
DROPPING = "iptables -P FORWARD DROP"
WEB = "docker run -d --name web -p 8080:80 net-test httpd -f -p 80 -h /www"
CLI = "docker run -d --name cli net-test"
FROM_OUTSIDE = "curl -fsS -m 1 http://$HOST:8080"


class _Asked(TypedDict):
    symptom: str
    vantage: Literal["neighbour"]
    reach: str


OUTSIDE: _Asked = {"symptom": FROM_OUTSIDE, "vantage": "neighbour", "reach": "outside web:80"}
"""Another machine dials the published page."""

TO_OUTSIDE = f"docker exec cli timeout 3 nc -w 1 {NEIGHBOUR} 53 -e true"
INSIDE = "nsenter -t $(docker inspect -f '{{.State.Pid}}' web) -n"
NFT_INPUT = """
nft add table inet filter
nft 'add chain inet filter input { type filter hook input priority 0; policy drop; }'
nft add rule inet filter input iifname lo accept
nft add rule inet filter input ct state established,related accept
nft add rule inet filter input meta l4proto ipv6-icmp accept
"""
MACHINES = """
ip link add vmbr0 type bridge; ip link set vmbr0 up
for i in 1 2; do
  ip netns add vm$i; ip link add vp$i type veth peer name eth0 netns vm$i; ip link set vp$i master vmbr0 up
  ip -n vm$i addr add 10.50.0.$i/24 dev eth0; ip -n vm$i link set eth0 up
done
"""
GUESTS = f"""
{MACHINES}ip addr add 10.50.0.254/24 dev vmbr0; ip -n vm1 route add default via 10.50.0.254
nft add table inet lxd
nft 'add chain inet lxd fwd.vmbr0 {{ type filter hook forward priority 0; policy accept; }}'
nft add rule inet lxd fwd.vmbr0 iifname vmbr0 accept
nft add rule inet lxd fwd.vmbr0 oifname vmbr0 accept
nft 'add chain inet lxd pstrt.vmbr0 {{ type nat hook postrouting priority srcnat; policy accept; }}'
nft add rule inet lxd pstrt.vmbr0 ip saddr 10.50.0.0/24 ip daddr != 10.50.0.0/24 masquerade
sysctl -qw net.bridge.bridge-nf-call-iptables=0
"""
FRAMES = (
    "nft add table {family} {hook}; nft 'add chain {family} {hook} c {{ type filter hook {hook} priority 0; }}'; "
    "nft 'add rule {family} {hook} c {rule}'"
)
INGRESS = (
    "nft add table netdev t; nft 'add chain netdev t c {{ type filter hook ingress device {} priority 0; }}'; "
    "nft add rule netdev t c tcp dport 8080 drop"
)
FORGOTTEN = "ip neigh flush dev docker0"
PAGE = "docker exec cli timeout 4 nc -w 2 {address} {port} -e true"

RULES = [
    FaultCase(
        name="docker-user-drop",
        cause="firewall-drops-traffic",
        healthy=f"{DROPPING}; {WEB}",
        broken="iptables -I DOCKER-USER -i eth1 -p tcp --dport 80 -j DROP",
        **OUTSIDE,
    ),
    FaultCase(
        name="one-source-rejected",
        cause="firewall-drops-traffic",
        healthy=WEB,
        broken=f"iptables -I FORWARD -s {NEIGHBOUR}/32 -p tcp -m conntrack --ctorigdstport 8080 -j REJECT",
        **OUTSIDE,
        verify=lambda _host, asked: named("10.99.0.2 cannot reach web:80, other machines can", asked),
    ),
    FaultCase(
        name="one-hop-left",
        cause="firewall-drops-traffic",
        healthy=WEB,
        broken="iptables -t mangle -A PREROUTING -i eth1 -p tcp --dport 8080 -j TTL --ttl-set 1",
        **OUTSIDE,
        verify=lambda _host, asked: named("mangle", asked),
    ),
    FaultCase(
        name="bridge-family-on-what-is-routed",
        cause="firewall-drops-traffic",
        engines=("newest",),
        healthy=f"{WEB}; {FRAMES.format(family='bridge', hook='forward', rule='tcp dport 80 drop')}",
        broken=FRAMES.format(family="bridge", hook="output", rule='oifname "veth*" tcp dport 80 drop'),
        **OUTSIDE,
    ),
    FaultCase(
        name="bridge-family-on-the-answer",
        cause="firewall-drops-traffic",
        engines=("newest",),
        healthy=f"{WEB}; {FRAMES.format(family='bridge', hook='input', rule='udp sport 80 drop')}",
        broken=FRAMES.format(family="bridge", hook="input", rule="tcp sport 80 drop"),
        **OUTSIDE,
    ),
    FaultCase(
        name="arp-dropped",
        cause="firewall-drops-traffic",
        engines=("newest",),
        healthy=f"{WEB}; {FRAMES.format(family='arp', hook='output', rule='arp daddr ip 172.17.9.9 drop')}",
        broken=f"arptables -A OUTPUT -o docker0 -d 172.17.0.2 -j DROP; {FORGOTTEN}",
        **OUTSIDE,
        verify=lambda _host, asked: named("the ARP by which neighbours find one another", asked),
    ),
    FaultCase(
        name="frames-let-in-without-arp",
        cause="firewall-drops-traffic",
        engines=("newest",),
        healthy=f"{WEB}; {FRAMES.format(family='bridge', hook='output', rule='ether type { ip, arp } accept')}",
        broken=f"nft add chain bridge output c '{{ policy drop; }}'; nft flush chain bridge output c; "
        f"nft add rule bridge output c ether type ip accept; {FORGOTTEN}",
        **OUTSIDE,
        verify=lambda _host, asked: named("the ARP by which neighbours find one another", asked),
    ),
    FaultCase(
        name="at-the-interface",
        cause="firewall-drops-traffic",
        engines=("newest",),
        healthy=f"{WEB}; {INGRESS.format('docker0')}",
        broken=f"nft delete table netdev t; {INGRESS.format('eth1')}",
        **OUTSIDE,
    ),
    FaultCase(
        name="opening-packets-too-small",
        cause="firewall-drops-traffic",
        engines=("newest",),
        healthy=f"{WEB}; iptables -I DOCKER-USER -p tcp -m tcp --tcp-flags SYN SYN -m length --length 0:59 -j DROP",
        broken="iptables -I DOCKER-USER -p tcp -m length --length 60:100 -j DROP",
        **OUTSIDE,
    ),
    FaultCase(
        name="answers-untracked",
        cause="firewall-drops-traffic",
        healthy=f"{WEB}; iptables -t raw -A PREROUTING -s 172.17.0.0/16 -p tcp --sport 81 -j CT --notrack",
        broken="iptables -t raw -A PREROUTING -s 172.17.0.0/16 -p tcp --sport 80 -j CT --notrack",
        symptom=FROM_OUTSIDE,
        vantage="neighbour",
        reach="outside web:80",
        verify=lambda _host, asked: named("keeps connection tracking from translating back the answer", asked),
    ),
    FaultCase(
        name="answers-in-another-zone",
        cause="firewall-drops-traffic",
        healthy=f"{WEB}; iptables -t raw -A PREROUTING -i eth1 -p tcp --dport 8080 -j CT --zone-orig 5",
        broken="iptables -t raw -I PREROUTING -i eth1 -p tcp --dport 8080 -j CT --zone 5",
        symptom=FROM_OUTSIDE,
        vantage="neighbour",
        reach="outside web:80",
        verify=lambda _host, asked: named("raw PREROUTING", asked),
    ),
    FaultCase(
        name="published-port",
        cause="ipsec-policy-blocks",
        healthy=WEB,
        broken="ip xfrm policy add dir fwd src 0.0.0.0/0 dst 10.99.0.0/24 proto tcp dport 8080 action block priority 5",
        **OUTSIDE,
    ),
    FaultCase(
        name="way-out",
        cause="ipsec-policy-blocks",
        healthy=CLI,
        broken=f"ip xfrm policy add dir out src 172.17.0.0/16 dst {NEIGHBOUR}/32 action block",
        symptom=TO_OUTSIDE,
        reach=f"cli {NEIGHBOUR}:53",
        check="absent",
    ),
    FaultCase(
        name="not-on-the-list",
        cause="firewall-drops-traffic",
        engines=("newest",),
        healthy=f"{WEB}; iptables -I DOCKER-USER -i eth1 -p tcp ! -s 10.99.0.0/24 -j DROP",
        broken="iptables -R DOCKER-USER 1 -i eth1 -p tcp ! -s 192.0.2.0/24 -j DROP",
        **OUTSIDE,
        check="info",  # a list of those let in is meant
        verify=lambda _host, asked: named("open to 192.0.2.0/24 only", asked),
    ),
    FaultCase(
        name="answers-dropped",
        cause="firewall-drops-traffic",
        healthy=WEB,
        broken="iptables -I DOCKER-USER -s 172.17.0.0/16 -o eth1 -j DROP",
        **OUTSIDE,
    ),
    FaultCase(
        name="output-drop",
        cause="firewall-drops-traffic",
        healthy=WEB,
        broken="iptables -I OUTPUT -o docker0 -p tcp --dport 80 -j DROP",
        symptom="curl -fsS -m 1 http://127.0.0.1:8080",
        reach="host web:80",
    ),
    FaultCase(
        name="answers-of-root-rejected",
        cause="firewall-drops-traffic",
        engines=("newest",),
        healthy=f"docker run -d --name web --network host net-test httpd -f -p 8090 -h /www; {CLI}",
        broken="iptables -I OUTPUT -o docker0 -p tcp -m owner --uid-owner 0 -j REJECT",
        symptom=PAGE.format(address="$HOST", port=8090),
        reach="cli host:8090",
        check="absent",
        replay=False,  # whose socket answers is not read: only the counter tells
        verify=lambda _host, asked: named("rejects the answer", asked),
    ),
    FaultCase(
        name="neighbours-drop",
        cause="firewall-drops-traffic",
        healthy=f"{WEB}; {CLI}",
        broken="iptables -I DOCKER-USER -i docker0 -o docker0 -p tcp --dport 80 -j REJECT",
        symptom=PAGE.format(address="$(docker inspect -f '{{.NetworkSettings.Networks.bridge.IPAddress}}' web)", port=80),
        reach="cli container:web:80",
        check="info",
        verify=lambda _host, asked: counted(asked),
    ),
    FaultCase(
        name="native-table-policy",
        cause="firewall-drops-traffic",
        healthy=WEB,
        broken="nft add table inet firewalld; nft 'add chain inet firewalld filter_FORWARD"
        " { type filter hook forward priority 10; policy drop; }'",
        **OUTSIDE,
    ),
    FaultCase(
        name="input-policy-of-the-host",
        cause="firewall-drops-traffic",
        healthy=f"{WEB}; {CLI}",
        broken=NFT_INPUT,
        symptom=PAGE.format(address="$HOST", port=8080),
        reach="cli host:8080",
        check="absent",
    ),
    FaultCase(
        name="host-service",
        cause="firewall-drops-traffic",
        healthy="docker run -d --name web --network host net-test httpd -f -p 8090 -h /www",
        broken="iptables -I INPUT -i eth1 -p tcp --dport 8090 -j REJECT",
        symptom="curl -fsS -m 1 http://$HOST:8090",
        vantage="neighbour",
        reach="outside web:8090",
        check="absent",
    ),
    FaultCase(
        name="egress-drop",
        cause="firewall-drops-traffic",
        healthy=CLI,
        broken=f"iptables -I DOCKER-USER -d {NEIGHBOUR} -p tcp --dport 53 -j DROP",
        symptom=TO_OUTSIDE,
        reach=f"cli {NEIGHBOUR}:53",
        check="absent",
    ),
    FaultCase(
        name="ipv6-drop",
        cause="firewall-drops-traffic",
        healthy="docker network create --ipv6 --subnet fd00:66::/64 six; docker run -d --name cli --net six net-test;"
        "docker run -d --name web --net six --ip6 fd00:66::80 net-test httpd -f -p 80 -h /www",
        broken="ip6tables -I FORWARD -p tcp --dport 80 -j DROP",
        symptom=PAGE.format(address="fd00:66::80", port=80),
        reach="cli [fd00:66::80]:80",
        check="info",
    ),
    FaultCase(
        cause="iptables-backends-mixed",
        healthy=WEB,
        broken="iptables-legacy -P FORWARD DROP",
        **OUTSIDE,
    ),
    FaultCase(
        cause="foreign-dnat-first",
        healthy=WEB,
        broken="iptables -t nat -I PREROUTING -p tcp --dport 8080 -j REDIRECT --to-ports 9",
        **OUTSIDE,
    ),
    FaultCase(
        name="dnat-of-former-times",
        cause="foreign-dnat-first",
        engines=("oldest", "newest"),
        healthy=WEB,
        broken="iptables -t nat -I DOCKER ! -i docker0 -p tcp --dport 8080 -j DNAT --to-destination 172.17.0.99:80",
        **OUTSIDE,
        verify=lambda _host, asked: named("a rule that Docker left behind sends", asked),
    ),
    FaultCase(
        name="more-connections-than-allowed",
        cause="firewall-drops-traffic",
        engines=("newest",),
        healthy=f"{WEB}; {CLI}",
        broken="iptables -I DOCKER-USER -p tcp --syn --dport 80 -m connlimit --connlimit-above 0 -j REJECT",
        symptom=PAGE.format(address="$(docker inspect -f '{{.NetworkSettings.Networks.bridge.IPAddress}}' web)", port=80),
        reach="cli container:web:80",
        check="info",
        replay=False,  # only the counter tells
    ),
    FaultCase(
        name="queue-without-a-reader",
        cause="firewall-drops-traffic",
        engines=("newest",),
        healthy=f"{WEB}; {CLI}",
        broken="iptables -I FORWARD -p tcp --dport 80 -j NFQUEUE --queue-num 7",
        symptom=PAGE.format(address="$(docker inspect -f '{{.NetworkSettings.Networks.bridge.IPAddress}}' web)", port=80),
        reach="cli container:web:80",
        check="info",
        replay=False,  # only the counter tells
        verify=lambda _host, asked: counted(asked),
    ),
    FaultCase(
        cause="firewall-inside-container",
        healthy=WEB,
        broken=f"{INSIDE} iptables -I INPUT -p tcp --dport 80 -j DROP",
        **OUTSIDE,
    ),
    FaultCase(
        cause="firewall-inside-container",
        name="sidecar-that-is-gone",
        healthy=f"{WEB}; {CLI}; {INSIDE} iptables -t nat -A PREROUTING -p tcp --dport 81 -j REDIRECT --to-ports 15006",
        broken=f"{INSIDE} iptables -t nat -A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 15006",
        symptom=PAGE.format(address="$(docker inspect -f '{{.NetworkSettings.Networks.bridge.IPAddress}}' web)", port=80),
        reach="cli container:web:80",
        verify=lambda _host, asked: named("sends it to", asked),
    ),
    FaultCase(
        cause="firewall-inside-container",
        name="firewall-of-a-shared-namespace",
        engines=("newest",),
        healthy=WEB + "; docker run -d --name beside --network container:web net-test sleep 900",
        broken=f"{INSIDE} sh -c 'iptables -A INPUT -i lo -j ACCEPT; iptables -P INPUT DROP'",
        **OUTSIDE,
        check="listed",
    ),
    FaultCase(
        cause="forward-drop-hits-others",
        healthy=lambda host: (host.run(["sh", "-ec", MACHINES]), host.serve("nsenter --net=/run/netns/vm2 nc -lk 80")),
        broken=DROPPING,
        symptom="nsenter --net=/run/netns/vm1 nc -z -w 1 10.50.0.2 80",
    ),
]

RULES += [
    FaultCase(
        name="guests-that-leave-this-host",
        cause="forward-drop-hits-others",
        engines=("newest",),
        healthy=GUESTS,
        broken=DROPPING,
        symptom=f"nsenter --net=/run/netns/vm1 nc -z -w 1 {NEIGHBOUR} 53",
    ),
]


def second_engine(host: Host) -> None:
    """Start another engine beside the first, as a snap does: with places of its own, in the same network namespace."""
    places = "--data-root /var/lib/docker2 --exec-root /run/docker2 -H unix:///run/docker2.sock -p /run/docker2.pid"
    host.serve(f"exec dockerd --cgroup-parent {host.cgroup}/two {places} >/var/log/docker2.log 2>&1")
    host.wait("curl -fsS -m 2 --unix-socket /run/docker2.sock http://docker/_ping", 20)


def one_engine_again(host: Host) -> None:
    host.run("kill $(cat /run/docker2.pid); while [ -e /run/docker2.pid ]; do sleep 0.1; done")
    host.run("systemctl restart docker; docker start web")


GONE = [
    FaultCase(
        cause="two-engines-one-host",
        engines=("oldest", "newest"),
        healthy=WEB,
        broken=second_engine,
        symptom="iptables -t nat -S DOCKER | grep DNAT",
        fix=False,
        heal=one_engine_again,
        verify=lambda _host, checked: subordinate("docker-rules-missing", checked),
    ),
    FaultCase(
        name="filter-flushed",
        cause="docker-rules-missing",
        healthy=f"{DROPPING}; {WEB}",
        broken="iptables -F",
        **OUTSIDE,
    ),
    FaultCase(
        name="masquerade-gone",
        cause="docker-rules-missing",
        healthy=CLI,
        broken="iptables -t nat -F POSTROUTING",
        symptom=TO_OUTSIDE,
        reach=f"cli {NEIGHBOUR}:53",
    ),
    FaultCase(
        name="everything-flushed",
        cause="docker-rules-missing",
        healthy=f"{CLI}; {WEB}",
        broken="nft flush ruleset",
        symptom=TO_OUTSIDE,
        reach=f"cli {NEIGHBOUR}:53",
    ),
    FaultCase(
        name="dnat-hidden-by-docker-proxy",
        cause="docker-rules-missing",
        healthy=WEB,
        broken="iptables -t nat -F DOCKER",
        symptom="iptables -t nat -S DOCKER | grep DNAT",
    ),
]

KERNEL = [
    FaultCase(
        cause="ip-forwarding-off",
        healthy=WEB,
        broken="mkdir -p /etc/sysctl.d; echo 'net.ipv4.ip_forward = 0' > /etc/sysctl.d/60-hardening.conf;"
        "sysctl -qp /etc/sysctl.d/60-hardening.conf",
        **OUTSIDE,
        verify=lambda _host, asked: named("/etc/sysctl.d/60-hardening.conf", asked),
    ),
    FaultCase(
        cause="icc-disabled",
        healthy="docker network create app; docker run -d --name web --net app net-test httpd -f -p 80 -h /www;"
        "docker run -d --name cli --net app net-test",
        broken="docker rm -f web cli; docker network rm app;"
        "docker network create -o com.docker.network.bridge.enable_icc=false app;"
        "docker run -d --name web --net app net-test httpd -f -p 80 -h /www; docker run -d --name cli --net app net-test",
        symptom=PAGE.format(address="web", port=80),
        reach="cli web:80",
        check="info",
    ),
    FaultCase(
        cause="masquerade-disabled",
        healthy="docker network create app; docker run -d --name cli --net app net-test",
        broken="docker rm -f cli; docker network rm app;"
        "docker network create -o com.docker.network.bridge.enable_ip_masquerade=false app;"
        "docker run -d --name cli --net app net-test",
        symptom=TO_OUTSIDE,
        reach=f"cli {NEIGHBOUR}:53",
        check="listed",
    ),
    FaultCase(
        cause="reply-takes-other-route",
        healthy=f"{WEB}; ip link add eth2 type veth peer name far; ip addr add 10.98.0.1/24 dev eth2; ip link set eth2 up;"
        f"ip link set far up; ip route add default via {NEIGHBOUR} table 100; ip rule add from $HOST lookup 100",
        broken="ip route replace default via 10.98.0.254",
        symptom=f"{FROM_OUTSIDE} --interface 198.51.100.1",
        vantage="neighbour",
        reach="outside web:80",
    ),
    FaultCase(
        cause="beyond-this-host",
        healthy=lambda host: (host.run(CLI), host.neighbour.serve("nc -lk 81")),
        broken=lambda host: host.neighbour.end_served(),
        symptom=f"docker exec cli timeout 3 nc -w 1 {NEIGHBOUR} 81 -e true",
        reach=f"cli {NEIGHBOUR}:81",
        check="absent",
        fix=False,
        replay=False,  # only the probe tells, and a bundle holds those of `check`
    ),
    FaultCase(
        name="no-route-from-here",
        cause="beyond-this-host",
        healthy=CLI,
        broken="ip route add unreachable 198.51.100.0/24",
        symptom="docker exec cli timeout 3 nc -w 1 198.51.100.1 53 -e true",
        reach="cli 198.51.100.1:53",
        check="absent",
    ),
]

WITHOUT_PROXY = [
    FaultCase(
        cause="route-localnet-off",
        healthy="",
        broken="sysctl -qw net.ipv4.conf.docker0.route_localnet=0",
        symptom="curl -fsS -m 1 http://127.0.0.1:8080",
        reach="host web:80",
        replay=False,
    ),
    FaultCase(
        cause="bridge-netfilter-off",
        healthy="",
        broken="sysctl -qw net.bridge.bridge-nf-call-iptables=0",
        symptom=PAGE.format(address="$HOST", port=8080),
        reach="cli host:8080",
    ),
    FaultCase(
        cause="hairpin-off",
        healthy="",
        broken="for port in /sys/class/net/veth*; do ip link set dev ${port##*/} type bridge_slave hairpin off; done",
        symptom=PAGE.format(address="$HOST", port=8080).replace("cli", "web"),
        reach="web host:8080",
        replay=False,
    ),
    FaultCase(  # the last: its fix takes the option out
        cause="ipv6-needs-docker-proxy",
        healthy="docker network create --ipv6 --subnet fd00:77::/64 six; docker run -d --name six --network six "
        "-p 127.0.0.1:8090:80 net-test httpd -f -p 80 -h /www",
        broken="docker rm -f six; docker run -d --name six --network six -p '[::1]:8090:80' net-test httpd -f -p 80 -h /www",
        symptom="curl -fsS -m 1 http://127.0.0.1:8090 || curl -gfsS -m 1 'http://[::1]:8090'",
        reach="host six:80",
        replay=False,
    ),
]

OPTIONS = [
    FaultCase(
        name="icc-of-the-daemon",
        cause="icc-disabled",
        healthy=f"{WEB}; {CLI}",
        broken="""echo '{"icc": false}' > /etc/docker/daemon.json; systemctl restart docker; docker start web cli""",
        symptom=PAGE.format(address="$(docker inspect -f '{{.NetworkSettings.Networks.bridge.IPAddress}}' web)", port=80),
        reach="cli container:web:80",
        check="info",
    ),
    FaultCase(
        cause="iptables-disabled",
        healthy=CLI,
        broken="""echo '{"iptables": false}' > /etc/docker/daemon.json; systemctl stop docker
            iptables -P FORWARD ACCEPT; iptables -F; iptables -t nat -F; iptables -t raw -F || true
            systemctl start docker; docker start cli""",
        symptom=TO_OUTSIDE,
        reach=f"cli {NEIGHBOUR}:53",
    ),
    FaultCase(
        name="ip-masq-of-the-daemon",
        cause="masquerade-disabled",
        healthy=CLI,
        broken="""echo '{"ip-masq": false}' > /etc/docker/daemon.json; systemctl stop docker; iptables -t nat -F
            systemctl start docker; docker start cli""",
        symptom=TO_OUTSIDE,
        reach=f"cli {NEIGHBOUR}:53",
        check="listed",
    ),
]


OF_THE_MACHINE = [
    FaultCase(
        cause="kernel-module-missing",  # this kernel has no ipvlan
        healthy=WEB,
        broken="docker rm -f web; docker network create -d ipvlan --subnet 10.60.0.0/24 -o parent=eth1 lan;"
        "docker run -d --name web --net lan net-test httpd -f -p 80 -h /www || true",
        symptom="docker inspect -f '{{.State.Running}}' web | grep -q true",
        reach="host container:web:80",
        fix=False,  # a reboot
        heal=f"docker rm -f web; {WEB}",
    ),
    FaultCase(
        cause="docker-proxy-wrong-version",
        engines=("newest",),
        healthy=WEB,
        broken=lambda host: host.run(
            f"cp {packages.engine_tree('oldest')[-1]}/usr/sbin/docker-proxy /usr/local/sbin;"
            "systemctl restart docker; docker start web || true"
        ),
        symptom="curl -fsS -m 2 http://127.0.0.1:8080",
        reach="host web:80",
    ),
    FaultCase(
        cause="conntrack-table-full",
        healthy=WEB,
        broken=lambda host: host.run(f"conntrack -F; {sys.executable} -IS {FILL_CONNTRACK}", timeout=120),
        **OUTSIDE,
        fix=False,  # the limit is one for all namespaces, and only the machine's own may write it
        heal="conntrack -F",
        replay=False,
    ),
]


@faults(RULES)
def test_rules_of_others(host: Host, case: FaultCase) -> None:
    prove(host, case)


@faults(GONE)
def test_rules_that_are_gone(host: Host, case: FaultCase) -> None:
    prove(host, case)


@faults(KERNEL)
def test_forwarding_and_networks(host: Host, case: FaultCase) -> None:
    prove(host, case)


def test_what_the_machine_lacks(host: Host) -> None:
    prove_in_turn(host, OF_THE_MACHINE)
    host.stop_daemon()  # the kernel's log goes on saying that this host's table was full: no other test shall have it


@faults(OPTIONS)
def test_options_of_the_daemon(host: Host, case: FaultCase) -> None:
    prove(host, case)


def test_what_docker_proxy_stands_in_for(host: Host) -> None:
    host.write("/etc/docker/daemon.json", '{"userland-proxy": false}')
    host.run("systemctl restart docker")
    host.run(f"{WEB}; {CLI}")
    for case in WITHOUT_PROXY:
        prove(host, case)


@pytest.mark.parametrize("engine", ["oldest"], indirect=True)
def test_udp_flow_that_outlives_its_container(host: Host) -> None:
    """A client that keeps its port, and asked while the container was away (20.10 without docker-proxy)."""
    echo = "docker run -d --name echo -p 5353:53/udp net-test udp-echo 53"
    ask = "echo hello | timeout 2 nc -u -p 40000 -w 1 $HOST 5353 | grep hello"
    host.write("/etc/docker/daemon.json", '{"userland-proxy": false}')
    host.run("systemctl restart docker")

    def while_away(host: Host) -> None:
        host.run("docker rm -f echo; conntrack -F")
        host.neighbour.run(ask, check=False)
        host.run(echo)

    case = FaultCase(
        cause="stale-conntrack",
        healthy=echo,
        broken=while_away,
        symptom=ask,
        vantage="neighbour",
        reach="outside echo:53/udp",
    )
    prove(host, case)


UFW = """
iptables -P INPUT DROP
for chain in before-input user-input before-forward user-forward reject-forward; do iptables -N ufw-$chain; done
iptables -A INPUT -j ufw-before-input
iptables -A ufw-before-input -i lo -j ACCEPT
iptables -A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
iptables -A ufw-before-input -m conntrack --ctstate INVALID -j DROP
iptables -A ufw-before-input -j ufw-user-input
iptables -A ufw-user-input -p tcp --dport 22 -j ACCEPT
iptables -A FORWARD -j ufw-before-forward
iptables -A ufw-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
iptables -A ufw-before-forward -j ufw-user-forward
iptables -A FORWARD -j ufw-reject-forward
"""
FIREWALLD = """
nft add table inet firewalld
nft 'add chain inet firewalld filter_INPUT { type filter hook input priority 10; policy accept; }'
nft 'add chain inet firewalld filter_FORWARD { type filter hook forward priority 10; policy accept; }'
nft add rule inet firewalld filter_INPUT ct state '{ established, related }' accept
nft add rule inet firewalld filter_INPUT ct status dnat accept
nft add rule inet firewalld filter_INPUT iifname lo accept
nft add rule inet firewalld filter_INPUT tcp dport 22 accept
nft add rule inet firewalld filter_INPUT meta nfproto ipv4 iifname eth1 reject with icmpx admin-prohibited
nft add rule inet firewalld filter_FORWARD ct state '{ established, related }' accept
nft add rule inet firewalld filter_FORWARD ct status dnat accept
nft add rule inet firewalld filter_FORWARD iifname '"docker0"' accept
nft add rule inet firewalld filter_FORWARD iifname '"br-*"' accept
nft add rule inet firewalld filter_FORWARD reject with icmpx admin-prohibited
"""
NETWORKS = """
docker network create --internal inner
docker network create -o com.docker.network.bridge.name=named0 named
docker network create --ipv6 --subnet fd00:66::/64 six
docker run -d --name two --net named -p 8081:80 net-test httpd -f -p 80 -h /www
docker network connect six two; docker network connect inner two
docker run -d --name beside --network container:two net-test
docker run -d --name one --net six -p 8082:80 -p 127.0.0.1:8083:80 net-test httpd -f -p 80 -h /www
"""


def test_firewalls_in_healthy_use_are_silent(host: Host) -> None:
    host.run(["sh", "-ec", f"{DROPPING}; {WEB}; {CLI}; {NETWORKS}"])
    for layout in ("", UFW, FIREWALLD):
        host.run(["sh", "-ec", layout or "true"])
        for port in (8080, 8081, 8082):
            host.neighbour.run(f"curl -fsS -m 2 http://$HOST:{port}")
        checked = host.doctor("check --format json")
        assert [f["id"] for f in checked.findings if f["severity"] != "info"] == [], layout
        for question in ("outside web:80", "outside two:80", f"cli {NEIGHBOUR}:53", "host one:80"):
            asked = host.doctor(f"reach {question} --format json")
            assert (asked.report["verdict"], asked.findings) == ("reachable", []), (layout, question)


def counted(asked: Doctor) -> None:
    """The counter of the rule moved with the probe."""
    facts = [evidence["fact"] for evidence in asked.findings[0]["evidence"]]
    assert "its packet counter while probing" in facts, facts


def subordinate(cause: str, checked: Doctor) -> None:
    """The cause is in the report, as a symptom of the first finding."""
    [symptom] = [finding for finding in checked.findings if finding["cause"] == cause]
    assert symptom["because_of"] == checked.findings[0]["id"]


def named(what: str, asked: Doctor) -> None:
    assert what in asked.findings[0]["summary"], asked.findings[0]["summary"]


@pytest.mark.parametrize("engine", ["newest"], indirect=True)
def test_ufw_keeps_what_it_is_told(host: Host) -> None:
    """The real ufw, with files of its own: its fix outlives a reload, and its undo brings the fault back."""
    host.run("docker run -d --name web --network host net-test httpd -f -p 8090 -h /www")
    asked = "curl -fsS -m 1 http://$HOST:8090"
    host.wait(lambda: host.neighbour.ok(asked), 10, asked)
    host.run("mkdir -p /run/ufw && cp -a /etc/ufw /run/ufw/etc && cp -a /etc/default/ufw /run/ufw/default")
    host.run("mount --bind /run/ufw/etc /etc/ufw && mount --bind /run/ufw/default /etc/default/ufw && ufw --force enable")
    try:
        assert not host.neighbour.ok(asked)
        fix = host.doctor("reach outside web:8090 --format json").findings[0]["fixes"][0]
        assert fix["commands"][0].startswith("ufw prepend allow in on eth1 proto tcp ")
        for command in (*fix["commands"], "ufw reload"):
            host.run(command)
        assert host.neighbour.ok(asked)
        for command in (*fix["undo"], "ufw reload"):
            host.run(command)
        assert not host.neighbour.ok(asked)
    finally:
        host.run("ufw --force disable; iptables -F; iptables -X; umount /etc/ufw /etc/default/ufw", check=False)
