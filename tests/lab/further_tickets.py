"""The hosts of the last rows of tests/tickets/lab.tsv, by name; see `tickets`."""

# ruff: noqa: E501 (shell scripts)

from __future__ import annotations

from tests.lab.test_ufw import PUBLISHED_PORTS
from tests.lab.tickets import FROM_OUTSIDE, GUEST, TAILSCALE, Healthy, Ticket

SERVFAIL = r"""exec python3 -IS -c '
import os, socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((os.environ["HOST"], 53))
while True:
    query, client = server.recvfrom(512)
    server.sendto(query[:2] + b"\x81\x82" + query[4:], client)'"""
MUSL = "docker exec {0} sh -c 'mkdir -p /lib; : > /lib/ld-musl-$(uname -m).so.1'"
TWO_NICS = """
ip netns add far; ip link add eth2 type veth peer name lan0 netns far; ip link set eth2 up; ip addr add 10.98.0.2/24 dev eth2
ip -n far link set lo up; ip -n far link set lan0 up; ip -n far addr add 10.98.0.1/24 dev lan0; ip -n far addr add 203.0.113.5/32 dev lo
sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth2.rp_filter=0 net.ipv4.conf.eth1.rp_filter=0
ip rule add from 10.98.0.2 lookup 251; ip route add default via 10.98.0.1 dev eth2 table 251
"""
SENTINEL = r"""
sentinel() { name=$1 port=$2; shift 2; docker run -d --name "$name" --network redis -e REDIS_MASTER_HOST=redis-master "$@" redis-server sh -c \
"printf 'port $port\nprotected-mode no\nsentinel resolve-hostnames yes\nsentinel monitor mymaster redis-master 6379 2\n\
sentinel down-after-milliseconds mymaster 1000\n' > /tmp/sentinel.conf; exec redis-server /tmp/sentinel.conf --sentinel" >/dev/null; }
net redis
docker run -d --name redis-master --network redis redis-server redis-server --bind 0.0.0.0 --protected-mode no --dir /tmp
until_log redis-master 'Ready to accept'
"""
FIREWALLD = """
sysctl -qw net.bridge.bridge-nf-call-iptables=1
nft add table inet firewalld
nft 'add chain inet firewalld filter_FORWARD { type filter hook forward priority filter + 10; policy accept; }'
nft add rule inet firewalld filter_FORWARD ct state established,related accept
nft add rule inet firewalld filter_FORWARD iifname lo accept
"""
GLUETUN = """
iptables -P INPUT DROP; iptables -P FORWARD DROP; iptables -P OUTPUT DROP
iptables -A INPUT -i lo -j ACCEPT; iptables -A OUTPUT -o lo -j ACCEPT
iptables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
iptables -A OUTPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
iptables -A OUTPUT -o tun0 -j ACCEPT
"""
WG_EASY = """
net --subnet 172.20.0.0/16 wg; docker run -d --name wg-easy --network wg --ip 172.20.0.3 --cap-add NET_ADMIN -p 51820:51820/udp net-test sh -c 'udp-echo 51820 & exec httpd -f -p 80 -h /www'; sleep 0.3
inside wg-easy sh -ec 'ip link add wg0 type bridge; ip addr add 10.8.0.1/24 dev wg0; ip addr add 10.8.0.5/32 dev wg0; ip link set wg0 up'
ip route add 10.8.0.0/24 via 172.20.0.3; curl -fsS -m 2 http://10.8.0.5
"""
ORIGIN = 'ERR  error=\\"Unable to reach the origin service. The service may be down or it may not be responding to traffic from \
cloudflared: dial tcp [::1]:3080: connect: connection refused\\" connIndex=0 event=1 ingressRule=0 originService=http://localhost:3080'

TICKETS = {
    "librechat-tunnel": Ticket(
        build=f"""
net librechat; page LibreChat 3080 --network librechat -p 3080:3080
docker tag net-test cloudflare/cloudflared
docker run -d --name cloudflared --network librechat cloudflare/cloudflared sh -c \\
  'echo "2024-12-02T00:58:59Z {ORIGIN}" >&2; sleep infinity'
fails dial cloudflared localhost 3080; curl -fsS -m 2 http://127.0.0.1:3080""",
    ),
    "compose-bridge-php": Ticket(
        build="""
page php 9000
nginx web "server { listen 80; location / { fastcgi_pass php:9000; } }" -p 8080:80
until_log web 'host not found in upstream'; fails curl -fsS -m 2 http://127.0.0.1:8080""",
        images=("nginx",),
    ),
    "gluetun-lan-plex": Ticket(
        build=f"""
net media; idle gluetun --network media --cap-add NET_ADMIN -p 5055:5055; page overseerr 5055 --network container:gluetun
dial overseerr $NEIGHBOUR 53
inside gluetun sh -ec '{GLUETUN}
subnet=$(ip -4 route show dev eth0 scope link | cut -d" " -f1)
iptables -A INPUT -i eth0 -d $subnet -j ACCEPT; iptables -A OUTPUT -o eth0 -d $subnet -j ACCEPT'
fails dial overseerr $NEIGHBOUR 53""",
    ),
    "gluetun-host-mode": Ticket(
        build=f"""
page nginx 80 --network host; idle gluetun --network host --cap-add NET_ADMIN {GLUETUN}
curl -fsS -m 2 http://127.0.0.1:80""",
        outside=FROM_OUTSIDE.format(80),
    ),
    "tailscale-container-tun": Ticket(
        build=TAILSCALE
        + """
ip route add 100.100.0.0/16 dev tailscale0 table 52
net --subnet 192.168.204.0/24 ts-net; page http_test 8000 --network ts-net --ip 192.168.204.15
idle tailscale --network host --cap-add NET_ADMIN; curl -fsS -m 2 http://192.168.204.15:8000""",
        outside="sh -c 'ip route add 192.168.204.0/24 via $HOST; curl -fsS -m 2 http://192.168.204.15:8000; got=$?; "
        "ip route del 192.168.204.0/24; exit $got'",
    ),
    "wg-easy-clients": Ticket(build=WG_EASY + "idle app; fails dial app 10.8.0.5 80"),
    "sentinel-master-down": Ticket(
        build=SENTINEL
        + """
sentinel sentinel 26379; until_log sentinel 'monitor master'; docker stop -t 0 redis-master
until_log sentinel 'Failed to resolve hostname'; fails dial sentinel redis-master 6379""",
        images=("redis-server",),
    ),
    "sentinel-own-ports": Ticket(
        build=SENTINEL
        + """
sentinel sentinel1 26379 -p 26379:26379; sentinel sentinel2 26380 -p 26380:26379; until_log sentinel2 'monitor master'
echo PING | nc -w 2 127.0.0.1 26379 | grep PONG""",
        outside="echo PING | nc -w 2 $HOST 26380 | grep PONG",
        images=("redis-server",),
    ),
    "ckan-firewalld": Ticket(
        build=f"""
net ckan; page db 5432 --network ckan; idle ckan --network ckan -e CKAN_SQLALCHEMY_URL=postgresql://ckan@db:5432/ckan
dial ckan db 5432 {FIREWALLD}
nft add rule inet firewalld filter_FORWARD reject with icmpx admin-prohibited
fails dial ckan db 5432""",
    ),
    "jellyfin-discovery": Ticket(
        build="""
docker run -d --name jellyfin -p 8096:8096 net-test sh -c 'udp-echo 7359 & exec httpd -f -p 8096 -h /www'
sleep 0.3; curl -fsS -m 2 http://127.0.0.1:8096""",
        outside="echo who | timeout 2 nc -u -w 1 $HOST 7359 | grep who",
    ),
    "umbrel-plex-1900": Ticket(
        build="""
docker run -d --name homeassistant --network host net-test udp-echo 1900; sleep 0.3
fails docker run -d --name plex -p 32400:32400 -p 1900:1900/udp net-test httpd -f -p 32400""",
    ),
    "no-resolv-conf": Ticket(
        build="cp /dev/null /etc/resolv.conf; net app; idle app --network app -e API_URL=http://example.test:53; "
        "fails dial app example.test 53",
    ),
    "dind-tls-port": Ticket(
        build="""
net ci; page dind 2376 --network ci --network-alias docker; idle job --network ci -e DOCKER_HOST=tcp://docker:2375
fails dial job docker 2375; dial job docker 2376""",
    ),
    "dind-service-ended": Ticket(
        build="""
net ci
docker run -d --name runner-lordgaav__dind-options-0 --network ci --network-alias lordgaav__dind-options net-test sh -c \\
  'echo "Error starting daemon: error initializing graphdriver: driver not supported" >&2; exit 1'
idle job --network ci -e DOCKER_HOST=tcp://lordgaav__dind-options:2375
until_log runner-lordgaav__dind-options-0 graphdriver; sleep 0.5; fails dial job lordgaav__dind-options 2375""",
    ),
    "cni-host-port": Ticket(
        build=GUEST.format("cni0", "10.244.0")
        + """
page nginx-proxy 80 -p $HOST:80:80; mkdir -p /run/pod; touch /run/pod/pod
(cd /run/pod; setsid ip netns exec guest python3 -IS -m http.server 80 </dev/null >/dev/null 2>&1 &) ; sleep 0.7
iptables -t nat -N CNI-HOSTPORT-DNAT
iptables -t nat -I PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
iptables -t nat -A CNI-HOSTPORT-DNAT -p tcp --dport 80 -j DNAT --to-destination 10.244.0.2:80
iptables -I DOCKER-USER -o cni0 -j ACCEPT; iptables -I DOCKER-USER -i cni0 -j ACCEPT""",
        outside="curl -fsS -m 2 http://$HOST:80 | grep 'page of net-test'",
    ),
    "ufw-docker-new-address": Ticket(
        build=f"""
cat >> /etc/ufw/after.rules <<'END'{PUBLISHED_PORTS}END
net --subnet 172.30.0.0/24 app; page backend 80 --network app -p 8080:80
ufw default deny incoming; ufw allow 22/tcp; ufw route allow proto tcp from any to 172.30.0.2 port 80; ufw --force enable
docker rm -f backend; idle worker --network app; page backend 80 --network app -p 8080:80
curl -fsS -m 2 http://127.0.0.1:8080""",
        outside="curl -fsS -m 2 --interface 198.51.100.1 http://$HOST:8080",
    ),
    "ipv6-without-proxy": Ticket(
        build="""
echo '{"userland-proxy": false}' > /etc/docker/daemon.json; systemctl restart docker
net --ipv6 six; page web 80 --network six -p 8080:80; curl -fsS -m 2 http://127.0.0.1:8080
fails curl -fsS -m 2 'http://[::1]:8080'""",
    ),
    "two-nics": Ticket(
        build=TWO_NICS
        + """
page nginx 80 -p 80:80; ip netns exec far curl -fsS -m 2 http://10.98.0.2
fails ip netns exec far curl -fsS -m 2 --interface 203.0.113.5 http://10.98.0.2""",
    ),
    "synology-own-address": Ticket(
        build="""
ip rule add pref 3 from $HOST lookup 77; ip route add 10.99.0.0/24 dev eth1 table 77
ip route add default via $NEIGHBOUR dev eth1 table 77
page mcp 80 -p 3333:80; idle tunnel --network host; curl -fsS -m 2 http://127.0.0.1:3333
fails curl -fsS -m 2 http://$HOST:3333""",
    ),
    "dnscrypt-at-boot": Ticket(
        build="fails docker run -d --name dnscrypt-proxy --restart always -p 192.168.8.150:53:53/udp net-test udp-echo 53"
    ),
    "pause-restarted": Ticket(
        build="""
idle pause -p 8800:8800; page bba 8800 --network container:pause; sleep 0.3; curl -fsS -m 2 http://127.0.0.1:8800
docker restart -t 0 pause; fails curl -fsS -m 2 http://127.0.0.1:8800""",
    ),
    "vpn-id-gone": Ticket(
        build="""
idle wireguard; page flexget 5050 --network container:wireguard; docker stop -t 0 flexget
docker rm -f wireguard; idle wireguard; fails docker start flexget""",
    ),
    "vpn-stopped": Ticket(
        build="idle myvpn; page app 80 --network container:myvpn --restart always; docker stop -t 0 app myvpn; fails docker start app"
    ),
    "wiki-hostname": Ticket(
        build="""
net wiki
page wiki-db-1 3306 --network wiki --hostname database --domainname wiki.test --network-alias wikidb
idle mediawiki --network wiki -e DB_HOST=database.wiki.test -e DB_PORT=3306; fails dial mediawiki database.wiki.test 3306""",
    ),
    "link-recreated": Ticket(
        build="""
page db 5432; idle web --link db:db -e DATABASE_URL=postgres://app@db:5432/app; dial web db 5432
docker rm -f db; idle other; page db 5432; fails dial web db 5432""",
    ),
    "swarm-network-run": Ticket(
        build="""
docker swarm init --advertise-addr $HOST >/dev/null; docker network create -d overlay my-s
fails docker run -d --name app --network my-s net-test""",
    ),
    "iptables-false-reboot": Ticket(
        build="""
echo '{"iptables": false, "ip6tables": false}' > /etc/docker/daemon.json; systemctl restart docker
for table in nat filter raw; do iptables -t $table -F; iptables -t $table -X || true; done; iptables -P FORWARD ACCEPT
net app; idle app --network app; fails dial app 198.51.100.1 53""",
    ),
    "hardened-sysctl": Ticket(
        build="page traefik 80 -p 80:80; curl -fsS -m 2 http://127.0.0.1; sysctl -qw net.ipv4.ip_forward=0",
        outside=FROM_OUTSIDE.format(80),
    ),
    "adguard-first-start": Ticket(
        build="docker run -d --name adguard -p 8080:80 -p 5353:53/udp net-test sh -c 'udp-echo 53 & exec httpd -f -p 3000 -h /www'",
        outside=FROM_OUTSIDE.format(8080),
    ),
    "rpi-mariadb": Ticket(
        build="""
net cloud; page db 127.0.0.1:3306 --network cloud; idle nextcloud --network cloud -e MYSQL_HOST=db
fails dial nextcloud db 3306""",
    ),
    "k8s-dind-ndots": Ticket(
        build=f"""
net ci; page test 8080 --network ci
idle job --network ci --dns $HOST --dns-search cluster.local --dns-opt ndots:5 -e GRPC_TARGET=http://test:8080
{MUSL.format("job")}; for i in $(seq 30); do ss -lun | grep -q ':53 ' && break; sleep 0.1; done
docker exec job nslookup test.cluster.local 2>&1 | grep -i fail""",
        serve=SERVFAIL,
    ),
}

HEALTHY = {
    "tunnels, sidecars and Sentinel": Healthy(
        build=SENTINEL
        + WG_EASY
        + f"""
net librechat; page LibreChat 3080 --network librechat -p 3080:3080
docker tag net-test cloudflare/cloudflared
docker run -d --name cloudflared --network librechat cloudflare/cloudflared sh -c \\
  'echo "INF Updated to new configuration config={{\\"ingress\\":[{{\\"service\\":\\"http://LibreChat:3080\\"}}]}}" >&2; sleep infinity'
net web; page php 9000 --network web
nginx web "server {{ listen 80; location / {{ fastcgi_pass php:9000; }} }}" --network web -p 8080:80
net media; idle gluetun --network media --cap-add NET_ADMIN -p 5055:5055; page overseerr 5055 --network container:gluetun
inside gluetun sh -ec '{GLUETUN}
iptables -A INPUT -i eth0 -j ACCEPT; iptables -A OUTPUT -o eth0 -j ACCEPT'
sentinel sentinel1 26379 -p 26379:26379; sentinel sentinel2 26380 -p 26380:26380; until_log sentinel2 'monitor master'
idle jobs --network redis; idle wireguard; page flexget 5050 --network container:wireguard; docker restart -t 0 wireguard flexget
docker run -d --name jellyfin -p 8096:8096 -p 7359:7359/udp net-test sh -c 'udp-echo 7359 & exec httpd -f -p 8096 -h /www'
docker run -d --name adguard -p 8081:80 -p 5353:53/udp net-test sh -c 'udp-echo 53 & exec httpd -f -p 80 -h /www'
docker run -d --name plex -p 32400:32400 -p 1900:1900/udp net-test sh -c 'udp-echo 1900 & exec httpd -f -p 32400 -h /www'""",
        reach=(
            "cloudflared LibreChat:3080",
            "web php:9000",
            "overseerr $NEIGHBOUR:53",
            "host 10.8.0.5:80",
            "sentinel1 redis-master:6379",
            "jobs sentinel2:26380",
            "outside jellyfin:7359/udp",
            "outside adguard:8081",
            "host overseerr:5055",
        ),
        images=("nginx", "redis-server"),
    ),
    "names": Healthy(
        build=f"""
net ci; page dind 2376 --network ci --network-alias docker
idle job --network ci --dns $NEIGHBOUR --dns-search cluster.local --dns-opt ndots:5 -e DOCKER_HOST=tcp://docker:2376
{MUSL.format("job")}
net wiki; page wiki-db-1 3306 --network wiki --hostname database --domainname wiki.test --network-alias wikidb
idle mediawiki --network wiki -e DB_HOST=database -e DB_PORT=3306; page nextcloud-db 3306 --network wiki
idle nextcloud --network wiki -e MYSQL_HOST=nextcloud-db
""",
        reach=("job docker:2376", "mediawiki database:3306", "nextcloud nextcloud-db:3306", "job example.test:53"),
    ),
    "firewalls and routes": Healthy(
        build=TWO_NICS
        + f"""
ip rule add iif docker0 lookup main suppress_prefixlength 0 pref 990; ip rule add iif docker0 lookup 251 pref 1000
ip rule del pref 1000; ip rule add from 172.17.0.0/16 iif docker0 lookup main pref 1000
cat >> /etc/ufw/after.rules <<'END'{PUBLISHED_PORTS}END
ufw default deny incoming; ufw allow 22/tcp; ufw route allow proto tcp from any to any port 80; ufw --force enable
ip rule add pref 3 from $HOST lookup 77; ip route add 10.99.0.0/24 dev eth1 table 77
ip route add 172.17.0.0/16 dev docker0 table 77; ip route add default via $NEIGHBOUR dev eth1 table 77
page backend 80 -p $HOST:8080:80; idle tunnel --network host
net ckan; page db 5432 --network ckan; idle ckan --network ckan -e CKAN_SQLALCHEMY_URL=postgresql://ckan@db:5432/ckan {FIREWALLD}
nft add rule inet firewalld filter_FORWARD iifname "br-*" accept; nft add rule inet firewalld filter_FORWARD iifname docker0 accept
nft add rule inet firewalld filter_FORWARD ct status dnat accept
nft add rule inet firewalld filter_FORWARD reject with icmpx admin-prohibited
dial ckan db 5432; curl -fsS -m 2 http://$HOST:8080""",
        reach=("ckan db:5432", "outside backend:8080", "host $HOST:8080", "tunnel $HOST:8080", "ckan example.test:53"),
    ),
    "Swarm on a private network": Healthy(
        build="""
docker swarm init --advertise-addr $HOST >/dev/null; ip link set eth1 mtu 1450
docker network create -d overlay --attachable --opt com.docker.network.driver.mtu=1400 dokploy-network
idle app --network dokploy-network; page web 80 --network dokploy-network
iptables -A INPUT -i lo -j ACCEPT; iptables -A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
iptables -A INPUT -p tcp -m multiport --dports 22,2377,7946 -j ACCEPT
iptables -A INPUT -p udp -m multiport --dports 4789,7946 -j ACCEPT; iptables -P INPUT DROP; dial app web 80""",
        reach=("app web:80",),
    ),
    "without docker-proxy": Healthy(
        build="""
echo '{"userland-proxy": false}' > /etc/docker/daemon.json; systemctl restart docker
page web 80 -p $HOST:8080:80; curl -fsS -m 2 http://$HOST:8080""",
        reach=("outside web:8080", "host web:8080"),
    ),
    "rules by hand": Healthy(
        build="""
echo '{"iptables": false, "ip6tables": false}' > /etc/docker/daemon.json; systemctl restart docker
for table in nat filter raw; do iptables -t $table -F; iptables -t $table -X || true; done
net --subnet 172.31.0.0/24 app; page app 80 --network app -p 8080:80
iptables -t nat -A POSTROUTING -s 172.31.0.0/24 ! -d 172.31.0.0/24 -j MASQUERADE; dial app 198.51.100.1 53""",
        reach=("app 198.51.100.1:53", "host app:8080"),
    ),
}
