"""Healthy hosts of many kinds, on which the tool has nothing to say: no error, no warning, and no finding on a path that works.

Scenes that cannot disturb each other share a host, since what each of them costs is the container's start, not the question.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from tests.lab.asking import ask
from tests.lab.host import Host, Lab


@dataclass(frozen=True, kw_only=True)
class Scene:
    """`build` is a script for the host, `reach` are the questions whose paths work, `answers` a script that proves it."""

    build: str
    reach: tuple[tuple[str, str], ...] = ()
    answers: str = ""


def serves(name: str, options: str = "", listen: str = "80") -> str:
    return f"docker run -d --name {name} {options} net-test httpd -f -p {listen} -h /www"


def idles(name: str, options: str = "") -> str:
    return f"docker run -d --name {name} {options} net-test"


def compose(project: str, service: str, number: int = 1) -> str:
    labels = {"project": project, "service": service, "container-number": number, "oneoff": "False"}
    return " ".join(f"--label com.docker.compose.{key}={value}" for key, value in labels.items())


TRAEFIK = "traefik.http.services.x.loadbalancer.server.port"
SCENES = {
    "three tiers, one of them on both networks": Scene(
        build=f"""
docker network create front; docker network create back
{serves("db", "--network back", "5432")}
{serves("api", "--network back -e DATABASE_URL=postgres://u:p@db:5432/shop -e CACHE_HOST=db", "8000")}
docker network connect front api
{serves("proxy", "--network front -p 8080:80 -e BACKEND=http://api:8000")}
{idles("sidecar", "--network container:proxy -e TARGET=http://localhost:80")}""",
        reach=(
            ("outside", "proxy:80"),
            ("host", "proxy"),
            ("host", "host:8080"),
            ("proxy", "api:8000"),
            ("api", "db:5432"),
            ("sidecar", "localhost:80"),
            ("sidecar", "api:8000"),
            ("host", "db:5432"),
            ("outside", "host:8080"),
            ("api", "host:8080"),
            ("proxy", "host:8080"),
        ),
    ),
    "replicas of compose services": Scene(
        build=f"""
docker network create --label com.docker.compose.project=shop shop_default
{serves("shop-web-1", f"--network shop_default --network-alias web {compose('shop', 'web')}")} &
{serves("shop-web-2", f"--network shop_default --network-alias web {compose('shop', 'web', 2)}")} &
{idles("shop-worker-1", f"--network shop_default --network-alias worker -e WEB_URL=http://web/ {compose('shop', 'worker')}")} &
docker network create --label com.docker.compose.project=old old_default
docker create --name old-web-1 --network old_default --network-alias web {compose("old", "web")} -p 8999:80 net-test
{idles("old-db-1", f"--network old_default {compose('old', 'db')}")}
docker stop -t 0 old-db-1; wait""",
        reach=(("shop-worker-1", "web:80"), ("shop-worker-1", "shop-web-2:80"), ("shop-worker-1", "service:shop/web:80")),
    ),
    "modes side by side": Scene(
        build=f"""
{serves("metrics", "--network host", "9100")}
{idles("sealed", "--network none")}
{idles("agent", "--add-host host.docker.internal:host-gateway -e METRICS=http://host.docker.internal:9100/metrics")}""",
        reach=(
            ("host", "metrics:9100"),
            ("outside", "metrics:9100"),
            ("agent", "host.docker.internal:9100"),
            ("agent", "host:9100"),
            ("metrics", "localhost:9100"),
        ),
    ),
    "IPv6": Scene(
        build=f"""
docker network create --ipv6 --subnet fd00:66::/64 six
{serves("web6", "--network six -p 8086:80")}
{serves("dual", "--network six", "[::]:81")}
{idles("cli6", "--network six -e WEB=http://web6:80")}""",
        reach=(("host", "[::1]:8086"), ("outside", "web6:80"), ("cli6", "web6:80"), ("cli6", "dual:81"), ("host", "web6")),
    ),
    "a bridge of a chosen name and MTU, an internal network": Scene(
        build=f"""
docker network create -o com.docker.network.bridge.name=br-shop -o com.docker.network.driver.mtu=1400 named
docker network create --internal vault
{serves("safe", "--network vault", "6379")}
{serves("teller", "--network named -p 8087:80 -e REDIS_URL=redis://safe:6379")}
docker network connect vault teller""",
        reach=(("teller", "safe:6379"), ("outside", "teller:80"), ("teller", "example.test:53"), ("host", "teller")),
    ),
    "UDP": Scene(
        build=f"""
docker network create udp
docker run -d --name echo --network udp -p 5353:53/udp net-test udp-echo 53
docker run -d --name silent --network udp -p 5140:514/udp net-test sh -c 'udp-echo 514 & sleep 0.5; kill -STOP $!; wait'
docker run -d --name both --network udp -p 5300:53 -p 5300:53/udp net-test sh -c 'udp-echo 53 & httpd -f -p 53'
{idles("asker", "--network udp")}""",
        reach=(
            ("outside", "echo:53/udp"),
            ("host", "echo:53/udp"),
            ("asker", "echo:53/udp"),
            ("asker", "silent:514/udp"),
            ("outside", "silent:514/udp"),
            ("outside", "both:53"),
            ("outside", "both:53/udp"),
        ),
    ),
    "published on purpose so": Scene(
        build=f"""
{serves("admin", "-p 127.0.0.1:9000:80")}
{serves("bound", "-p $HOST:8095:80")}
docker run -d --name own-address -p 8096:80 net-test sh -c 'exec httpd -f -p $(hostname -i):80 -h /www'
docker run -d --name ranged -p 7000-7002:7000-7002 net-test sh -c 'httpd -p 7000; httpd -p 7001; httpd -f -p 7002'
docker run -d --name ftp -p 2121:21 -p 30000-30004:30000-30004 net-test httpd -f -p 21
docker run -d --name calls -p 5061:5061 -p 31000-31005:31000-31005/udp net-test httpd -f -p 5061
{serves("one-of-two", "-p 127.0.0.1:8097:80")}
{serves("two-of-two", "-p $HOST:8097:80")}""",
        reach=(
            ("host", "admin:80"),
            ("outside", "bound:80"),
            ("host", "bound"),
            ("outside", "own-address:80"),
            ("host", "own-address:80"),
            ("outside", "ranged:7001"),
            ("host", "one-of-two:80"),
            ("outside", "two-of-two"),
            ("outside", "ftp:21"),
            ("outside", "calls:5061"),
        ),
    ),
    "settings that name no neighbour": Scene(
        build=f"""
docker network create quiet
{serves("store", "--network quiet", "3306")}
{
            idles(
                "app",
                '''--network quiet --restart unless-stopped --hostname app.example.com
 -e API=https://api.example.com:443/v1 -e VERSION=1.2.3:45 -e AT=12:30 -e MAIL_FROM=ops@example.com -e RATIO=16:9
 -e LISTEN=0.0.0.0:8080 -e LISTEN_ADDR=:9090 -e BIND=[::]:80 -e IMAGE=registry.example.com:5000/app:1.2 -e KEY=user:1000
 -e JAVA_OPTS=-agentlib:jdwp=transport=dt_socket,server=y,address=*:5005 -e HTTP_PROXY=http://proxy.example.com:3128
 -e http_proxy=http://proxy.example.com:3128 -e NO_PROXY=localhost,127.0.0.1,store -e no_proxy=localhost,127.0.0.1,store
 -e DB_HOST=store -e DB_PORT=3306 -e TZ=Europe/Berlin -e SMTP=smtp.example.com:587 -e PUBLIC_URL=http://localhost:3000
 -e DATE=2024-01-01T10:20:30Z -e MAC=02:42:ac:11:00:02 -e SERVER_PORT=8080 -e CORS_ORIGIN=http://localhost:3306
 -e "WORDPRESS_CONFIG_EXTRA=define('WP_HOME','http://localhost:3306');" -e SYSLOG_ADDRESS=udp://127.0.0.1:3306
 -e FLASK_RUN_HOST=127.0.0.1 -e FLASK_RUN_PORT=3306 -e SERVER_NAME=localhost:8000
 -e OAUTH_CALLBACK=http://127.0.0.1:3306/back -e QUEUE_URL=amqp://changeme:5672'''.replace(chr(10), ""),
            )
        }
docker network create apart
{serves("blobs", "--network quiet -p 9095:9000", "9000")}
{serves("board", "--network apart", "4455")}
{
            idles(
                "shown",
                "--network quiet -e S3_ENDPOINT=http://blobs:9000 -e S3_URL=http://localhost:9095/x -e JWT_AUDIENCE=http://localhost:3306"
                " -e SITE_URL=http://localhost:3306 -e UPLOADS=http://localhost:4455",
            )
        }
docker run --name once --network quiet --restart on-failure net-test true
docker run --name job net-test sh -c 'echo done'
docker run -d --name checked --network quiet --health-cmd true --health-interval 1s net-test httpd -f -p 80""",
        reach=(("app", "store:3306"), ("app", "checked:80")),
    ),
    "a reverse proxy of several projects": Scene(
        build=f"""
for image in traefik:v3.1 nginxproxy/nginx-proxy:1.6 nginxproxy/acme-companion:2; do docker tag net-test $image; done
docker network create public; docker network create crm
docker run -d --name traefik --network public -p 8180:80 traefik:v3.1 sh -c 'httpd -f -p 80' --docker.network=public
{serves("crm-web", f"--network crm --label {TRAEFIK}=3000 {compose('crm', 'web')}", "3000")}
docker network connect public crm-web
{serves("crm-admin", f"--network crm --label traefik.enable=false --label {TRAEFIK}=80")}
{serves("tap", f"--network public --label {TRAEFIK}=80", "80")}
docker run -d --name nginx-proxy --network public -p 8181:80 nginxproxy/nginx-proxy:1.6 httpd -f -p 80
docker run -d --name acme --network public nginxproxy/acme-companion:2
{serves("vhost", "--network public -e VIRTUAL_HOST=a.example.com -e VIRTUAL_PORT=8080", "8080")}
{serves("pi", "--network crm -e VIRTUAL_HOST=pi.hole")}""",
        reach=(("traefik", "crm-web:3000"), ("nginx-proxy", "vhost:8080"), ("outside", "traefik")),
    ),
    "names of every kind": Scene(
        build=f"""
docker network create Odd.Net_1
{serves("A.b_c-D", "--network Odd.Net_1 --network-alias UPPER")}
{serves("0web", "--network Odd.Net_1 -p 8098:80")}
{serves("host.db", "--network Odd.Net_1")}
{idles("2x", "--network Odd.Net_1 -e W=http://A.b_c-D:80")}""",
        reach=(("2x", "A.b_c-D:80"), ("2x", "upper:80"), ("outside", "0web:80"), ("2x", "host.db:80"), ("2x", "0WEB:80")),
    ),
    "VPN clients inside, whose own rules lead the answers back": Scene(
        build=f"""
docker network create --subnet 10.31.0.0/24 tunnels
{serves("vpn", "--network tunnels --ip 10.31.0.8 -p 8061:80")}
{serves("vpn-marks", "--network tunnels --ip 10.31.0.9 -p 8062:80")}
for name in vpn vpn-marks; do
  nsenter -t $(docker inspect -f '{{{{.State.Pid}}}}' $name) -n sh -ec '
    ip link add tun0 type veth peer name far; ip link set tun0 up; ip link set far up; ip addr add 10.8.0.2/24 dev tun0
    ip route add 0.0.0.0/1 dev tun0; ip route add 128.0.0.0/1 dev tun0; ip route add default via 10.31.0.1 table 200
    ip rule add '"$([ $name = vpn ] && echo from 10.31.0.8 || echo fwmark 1)"' lookup 200 pref 100
    iptables -t mangle -A OUTPUT -p tcp --sport 80 -j MARK --set-mark 1'
done""",
        reach=(("outside", "vpn:80"), ("outside", "vpn-marks:80"), ("host", "vpn:80")),
    ),
    "the default bridge": Scene(
        build=f"""
{serves("plain")}
{idles("client")}""",
        reach=(("client", "container:plain:80"), ("host", "plain:80"), ("client", "example.test:53")),
    ),
    "macvlan": Scene(
        build=f"""
docker network create -d macvlan --subnet 10.99.0.0/24 --ip-range 10.99.0.192/28 --gateway $NEIGHBOUR -o parent=eth1 lan
{serves("mac-web", "--network lan")}
{idles("mac-cli", "--network lan -e WEB=http://mac-web")}""",
        reach=(("mac-cli", "mac-web:80"), ("mac-cli", "neighbour.test:53")),
    ),
    "links and bridges that are not Docker's": Scene(
        build="""
ip link add tun0 type veth peer name tun0-peer; ip link set tun0 up; ip link set tun0-peer up
ip addr add 10.8.0.1/24 dev tun0; ip route add 10.200.0.0/16 dev tun0
ip link add virbr0 type bridge; ip addr add 192.168.122.1/24 dev virbr0; ip link set virbr0 up
ip addr add 10.99.0.200/24 dev eth1; ip route add 10.99.0.128/32 via $NEIGHBOUR table 100
ip rule add from 10.99.0.200 table 100 priority 1000; ip route add default via $NEIGHBOUR dev eth1 table 100""",
    ),
}


def test_scenes_side_by_side(host: Host) -> None:
    """Many containers of many kinds on one host; the kernel turned ip_forward on before Docker, so FORWARD accepts."""
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda scene: host.run(["sh", "-ec", scene.build], timeout=120), SCENES.values()))
    host.wait("test $(docker inspect -f '{{.State.Health.Status}}' checked) = healthy", 20)
    expect_silence(host, [question for scene in SCENES.values() for question in scene.reach])


RATES = "rate limits"
FIREWALLS = {
    "ufw and fail2ban": """
iptables -N ufw-before-forward; iptables -N ufw-user-forward; iptables -N ufw-reject-forward; iptables -N ufw-before-input
iptables -A FORWARD -j ufw-before-forward; iptables -A FORWARD -j ufw-user-forward; iptables -A FORWARD -j ufw-reject-forward
iptables -A ufw-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
iptables -A ufw-before-forward -p icmp --icmp-type echo-request -j ACCEPT
iptables -A INPUT -j ufw-before-input; iptables -A ufw-before-input -i lo -j ACCEPT
iptables -A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
iptables -A ufw-before-input -m conntrack --ctstate INVALID -j DROP
iptables -A ufw-before-input -p tcp -m multiport --dports 22,8080,9100 -j ACCEPT
iptables -A ufw-before-input -m addrtype --dst-type BROADCAST -j RETURN
iptables -A ufw-before-input -i docker0 -j ACCEPT; iptables -A ufw-before-input -i br-+ -j ACCEPT
iptables -A ufw-before-input -m limit --limit 3/min --limit-burst 10 -j LOG --log-prefix "[UFW BLOCK] "
iptables -P INPUT DROP
iptables -N f2b-sshd; iptables -I INPUT -p tcp -m multiport --dports 22 -j f2b-sshd
iptables -A f2b-sshd -s 203.0.113.7/32 -j REJECT --reject-with icmp-port-unreachable; iptables -A f2b-sshd -j RETURN
iptables -I DOCKER-USER -s 203.0.113.7/32 -j DROP""",
    "allowlist of the LAN": """
iptables -F DOCKER-USER
iptables -A DOCKER-USER -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
iptables -A DOCKER-USER -i eth1 -s 10.99.0.0/24 -j RETURN
iptables -A DOCKER-USER -i eth1 -p tcp -m conntrack --ctorigdstport 8080 -j RETURN
iptables -A DOCKER-USER -i eth1 -j DROP
iptables -A DOCKER-USER -j RETURN
ipset create bad hash:net; ipset add bad 203.0.113.0/24
iptables -I DOCKER-USER -m set --match-set bad src -j DROP
iptables -I INPUT -p tcp --dport 22 -m recent --name ssh --update --seconds 60 --hitcount 5 -j DROP""",
    RATES: """
iptables -I DOCKER-USER -p tcp --syn -m hashlimit --hashlimit-name w --hashlimit-above 500/sec --hashlimit-mode srcip -j DROP
iptables -I DOCKER-USER -p tcp --syn -m connlimit --connlimit-above 500 -j REJECT --reject-with tcp-reset
iptables -I INPUT -p tcp --syn -m limit --limit 100/sec --limit-burst 200 -j ACCEPT""",
    "firewalld and its like": """
nft -f - <<E
table inet firewalld {
  chain filter_FORWARD { type filter hook forward priority filter + 10; policy accept;
    ct state established,related accept; ct status dnat accept; iifname "lo" accept
    iifname { "docker0", "app0" } accept; oifname { "docker0", "app0" } accept
    ct state invalid drop; reject with icmpx admin-prohibited
  }
  chain filter_INPUT { type filter hook input priority filter + 10; policy accept;
    ct state { established, related } accept; ct status dnat accept; iifname "lo" accept; icmp type echo-request accept
    iifname { "docker0", "app0" } accept; tcp dport { 22, 8080, 9100 } accept; ct state invalid drop
    udp dport 53 limit rate 5/second accept; reject with icmpx admin-prohibited
  }
  chain nat_POSTROUTING { type nat hook postrouting priority srcnat + 10; policy accept; oifname "virbr0" masquerade
  }
}
table ip libvirt_network {
  chain forward { type filter hook forward priority filter; policy accept;
    iifname "virbr0" accept; oifname "virbr0" ct state established,related accept; oifname "virbr0" reject
  }
  chain guest_nat { type nat hook postrouting priority srcnat; ip saddr 192.168.122.0/24 ip daddr != 192.168.122.0/24 masquerade
  }
}
E""",
}

FIREWALLED: list[tuple[str, str]] = [
    ("outside", "web:80"),
    ("host", "web:80"),
    ("api", "web:80"),
    ("api", "example.test:53"),
    ("api", "host:8080"),
    ("outside", "metrics:9100"),
    ("api", "host:9100"),
]
_FIREWALLED = f"""
docker network create -o com.docker.network.bridge.name=app0 app
{serves("web", "--network app -p 8080:80")} & {idles("api", "--network app -e WEB=http://web:80")} &
{serves("metrics", "--network host", "9100")}; wait
"""
_REALITY = """
curl -fsS -m 3 http://$HOST:8080 && curl -fsS -m 3 http://$HOST:9100"""


@pytest.mark.parametrize("engine", ["oldest", "newest"], indirect=True)
def test_firewalls_in_healthy_use(host: Host) -> None:
    """What ufw, fail2ban, firewalld, libvirt and administrators leave in a firewall that lets the containers' traffic pass."""
    host.run(["sh", "-ec", _FIREWALLED])
    for scene, rules in FIREWALLS.items():
        host.run(["sh", "-ec", f"iptables-save >/run/rules; {rules}"])
        host.neighbour.wait(_REALITY, 10, scene)
        # whether a rate is exceeded is not for a prediction to say, and from outside there is nothing else
        expect_silence(host, FIREWALLED[scene == RATES :], scene=scene)
        host.run("iptables-restore </run/rules; ipset destroy bad", check=False)
        host.run("nft delete table inet firewalld; nft delete table ip libvirt_network", check=False)


def expect_silence(host: Host, questions: list[tuple[str, str]], *, scene: str = "") -> None:
    """No error and no warning in `check`, with probes and without; each question reachable, with no finding at all."""
    wrong = []
    for probes in (True, False):
        checked, *answers = ask(host, questions, probes=probes)
        loud = [f for f in checked["findings"] if f["severity"] != "info"]
        if loud or (probes and checked["blind"]):
            wrong.append(f"check {'with' if probes else 'without'} probes: {loud}, {checked['blind']}")
        for question, answer in zip(questions, answers, strict=True):
            # what lies beyond this host cannot be predicted
            told = [f for f in answer["findings"] if answer["verdict"] != "unknown" or f["confidence"] != "possible"]
            if told or answer["verdict"] not in (("reachable",) if probes else ("reachable", "unknown")):
                wrong.append(f"{question} {'with' if probes else 'without'} probes: {answer}")
    assert not wrong, f"{scene}: {len(wrong)} false alarms\n" + "\n\n".join(wrong)


DAEMONS: dict[str, dict[str, Any] | None] = {
    "many options": {
        "userland-proxy": False,
        "live-restore": True,
        "log-driver": "json-file",
        "log-opts": {"max-size": "10m"},
        "default-address-pools": [{"base": "10.210.0.0/16", "size": 24}],
        "bip": "10.209.0.1/24",
        "mtu": 1450,
        "dns": ["10.99.0.2"],
        "dns-opts": ["timeout:2", "attempts:1"],
        "icc": True,
        "ip-masq": True,
        "debug": False,
        "labels": ["site=lab"],
        "max-concurrent-downloads": 3,
        "shutdown-timeout": 5,
        "hosts": ["unix:///run/docker.sock"],
        "insecure-registries": ["registry.example.com:5000"],
        "registry-mirrors": ["https://mirror.example.com"],
        "default-ulimits": {"nofile": {"Name": "nofile", "Hard": 4096, "Soft": 1024}},
        "ipv6": True,
        "fixed-cidr-v6": "fd00:88::/64",
        "experimental": True,
        "ip6tables": True,
    },
    "socket-activated, in a swarm": None,
}


@pytest.mark.parametrize("engine", ["oldest", "middle", "newest"])
@pytest.mark.parametrize("scene", DAEMONS)
def test_daemons(lab: Lab, engine: str, scene: str) -> None:
    """Daemons as they are configured; here Docker turns ip_forward on itself, so FORWARD drops what it does not know."""
    activated = DAEMONS[scene] is None
    host = lab.host(engine, daemon_json=DAEMONS[scene], forward=False, socket_activated=activated)
    expect_silence(host, [], scene="an idle daemon")
    if activated:
        host.run(["sh", "-ec", _SWARM])
    host.run(["sh", "-ec", _FIREWALLED])
    host.neighbour.wait(_REALITY, 10, scene)
    questions = FIREWALLED
    if activated:
        host.docker("network connect over api")
        questions = [*FIREWALLED, ("api", "web2:80"), ("api", "site:80"), ("host", "host:8099"), ("outside", "host:8099")]
    expect_silence(host, questions, scene=scene)


_SWARM = """
docker swarm init --advertise-addr $HOST >/dev/null
docker network create -d overlay --attachable over >/dev/null
docker service create -d --no-resolve-image --name web2 --network name=over,alias=site --endpoint-mode dnsrr \
  --publish mode=host,target=80,published=8099 net-test httpd -f -p 80 >/dev/null
docker service create -d --no-resolve-image --name reader --network over --endpoint-mode dnsrr -e SITE_API=http://site:80 \
  net-test >/dev/null
for service in web2 reader; do
  until docker service ls -f name=$service --format '{{.Replicas}}' | grep -q 1/1; do sleep 0.2; done
done
"""
