"""The hosts of tests/tickets/lab.tsv, by name: real daemons, real packets, and real servers where a thread has one.

Each build ends with its symptom, by plain tools: `fails` ends the script where a command works. Where another machine sees it,
`outside` is the command that fails there.
"""

# ruff: noqa: E501 (shell scripts)

from __future__ import annotations

import sys
from dataclasses import dataclass

from tests.lab import servers
from tests.lab.test_addressing import ADVERTISE

PRELUDE = r"""
fails() { if "$@" >/dev/null 2>&1; then echo "it works: $*"; exit 9; fi; }
net() { docker network create "$@" >/dev/null; }
page() { name=$1 port=$2; shift 2; docker run -d --name "$name" "$@" net-test httpd -f -p "$port" -h /www >/dev/null; }
idle() { name=$1; shift; docker run -d --name "$name" "$@" net-test >/dev/null; }
logs() { name=$1 line=$2; shift 2; docker run -d --name "$name" "$@" net-test sh -c "echo '$line' >&2; sleep infinity"; }
dial() { docker exec "$1" timeout 4 nc -w 2 "$2" "$3" -e true; }
inside() { name=$1; shift; nsenter -t "$(docker inspect -f '{{.State.Pid}}' "$name")" -n "$@"; }
until_log() { for i in $(seq 60); do docker logs "$1" 2>&1 | grep -q "$2" && return; sleep 0.2; done; docker logs "$1"; exit 8; }
"""
COMPOSE = "--label com.docker.compose.project={0} --label com.docker.compose.service={1} --network-alias {1}"
CONF = r"""
nginx() { name=$1 conf=$2; shift 2; docker run -d --name "$name" "$@" nginx sh -c "printf '%s' 'user root; error_log stderr; \
pid /run/nginx.pid; events {} http { access_log off; $conf }' > /etc/nginx.conf; exec nginx -c /etc/nginx.conf -g 'daemon off;'" \
>/dev/null; }
haproxy() { name=$1 conf=$2; shift 2; docker run -d --name "$name" "$@" haproxy sh -c "echo '$conf' > /etc/haproxy.cfg; \
exec haproxy -f /etc/haproxy.cfg" >/dev/null; }
"""
TAILSCALE = """
ip tuntap add dev tailscale0 mode tun; ip addr add 100.64.0.2/32 dev tailscale0; ip link set tailscale0 up
ip rule add pref 5210 fwmark 0x80000/0xff0000 lookup main; ip rule add pref 5270 lookup 52
"""
GUEST = """
ip link add {0} type bridge; ip link set {0} up; ip addr add {1}.1/24 dev {0}
ip netns add guest; ip link add {0}-p type veth peer name eth0 netns guest; ip link set {0}-p master {0} up
ip -n guest addr add {1}.2/24 dev eth0; ip -n guest link set eth0 up; ip -n guest route add default via {1}.1
"""


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """`build` is a shell script for the host; the host itself runs `serve`, and its neighbour
    `neighbour`."""

    build: str
    outside: str = ""
    serve: str = ""
    neighbour: str = ""
    images: tuple[str, ...] = ()

    @property
    def script(self) -> str:
        return servers.importing(*self.images) + PRELUDE + CONF + self.build


def python_server(address: str, port: int) -> str:
    return f"cd /run && exec python3 -IS -m http.server --bind {address} {port}"


FROM_OUTSIDE = "curl -fsS -m 2 http://$HOST:{}"

TICKETS = {
    "ufw-docker-whoami": Ticket(build="page whoami 8000 -p 9999:80", outside=FROM_OUTSIDE.format(9999)),
    "ufw-blocks-host-port": Ticket(
        build="""
ufw default deny incoming; ufw allow 22/tcp; ufw --force enable
idle nginx; docker exec nginx ping -c 1 -W 1 $HOST; fails dial nginx $HOST 9527""",
        serve=python_server("0.0.0.0", 9527),
    ),
    "emby-host-upstream": Ticket(
        build="""
ufw default deny incoming; ufw allow 22/tcp; ufw --force enable
nginx embynginx "server { listen 80; location / { proxy_connect_timeout 1s; proxy_pass http://172.17.0.1:8096; } }" -p 8098:80
sleep 0.5; fails curl -fsS -m 3 http://127.0.0.1:8098; until_log embynginx 'upstream timed out'""",
        serve=python_server("0.0.0.0", 8096),
        images=("nginx",),
    ),
    "jellyfin-firewalld": Ticket(
        build="""
page jellyfin 8096 --network host
nft add table inet firewalld
nft 'add chain inet firewalld filter_INPUT { type filter hook input priority filter + 10; policy accept; }'
nft add rule inet firewalld filter_INPUT ct state established,related accept
nft add rule inet firewalld filter_INPUT iifname lo accept
nft add chain inet firewalld filter_IN_public_allow
nft add rule inet firewalld filter_IN_public_allow tcp dport 22 accept
nft add rule inet firewalld filter_INPUT jump filter_IN_public_allow
nft add rule inet firewalld filter_INPUT reject with icmpx admin-prohibited
curl -fsS -m 2 http://127.0.0.1:8096""",
        outside=FROM_OUTSIDE.format(8096),
    ),
    "tailscale-exit-node": Ticket(
        build=TAILSCALE
        + """
ip route add throw 10.99.0.0/24 table 52; ip route add throw 172.16.0.0/12 table 52
ip route add default dev tailscale0 table 52
page whoami 80 -p 8080:80; curl -fsS -m 2 http://127.0.0.1:8080""",
        outside="curl -fsS -m 2 --interface 198.51.100.1 http://$HOST:8080",
    ),
    "tailscale-accepts-172": Ticket(
        build=TAILSCALE
        + """
ip route add 172.17.0.0/16 dev tailscale0 table 52
page portainer 9000 -p 9000:9000; fails curl -fsS -m 2 http://127.0.0.1:9000""",
        outside=FROM_OUTSIDE.format(9000),
    ),
    "tailscale-container-egress": Ticket(
        build=TAILSCALE
        + """
ip route add throw 10.99.0.0/24 table 52; ip route add default dev tailscale0 table 52
net app; page app 80 --network app; fails dial app 198.51.100.1 53""",
    ),
    "gluetun-recreated": Ticket(
        build="""
net media
idle gluetun --network media -p 8080:8080
page qbittorrent 8080 --network container:gluetun
docker rm -f gluetun; idle gluetun --network media -p 8080:8080""",
        outside=FROM_OUTSIDE.format(8080),
    ),
    "gluetun-firewall": Ticket(
        build="""
net --subnet 192.168.58.0/24 proxy
idle vpn --network proxy --cap-add NET_ADMIN; page whoami 80 --network proxy --ip 192.168.58.15; dial vpn whoami 80
inside vpn iptables -P OUTPUT DROP
inside vpn iptables -A OUTPUT -o lo -j ACCEPT
inside vpn iptables -A OUTPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
inside vpn iptables -A OUTPUT -o tun0 -j ACCEPT
fails dial vpn whoami 80""",
    ),
    "homarr-macvlan": Ticket(
        build="""
net -d macvlan --subnet 10.99.0.0/24 --gateway 10.99.0.1 -o parent=eth1 lan
page pihole 80 --network lan --ip 10.99.0.198
net web; page homarr 80 --network web
fails dial homarr 10.99.0.198 80""",
    ),
    "npm-macvlan": Ticket(
        build="""
net -d macvlan --subnet 10.99.0.0/24 --gateway 10.99.0.1 -o parent=eth1 lan
page pihole 80 --network lan --ip 10.99.0.192; sleep 1.1
nginx npm "server { listen 80; location / { proxy_pass http://10.99.0.192:80; } }" -p 8181:80
sleep 0.5; fails curl -fsS -m 5 http://127.0.0.1:8181; until_log npm 'connect() failed'""",
        images=("nginx",),
    ),
    "kvm-bridge": Ticket(
        build="""
ip link add br0 type bridge; ip link set br0 up
for i in 1 2; do
  ip netns add vm$i; ip link add vnet$i type veth peer name eth0 netns vm$i; ip link set vnet$i master br0 up
  ip -n vm$i addr add 192.168.50.$i/24 dev eth0; ip -n vm$i link set eth0 up
done
setsid ip netns exec vm2 nc -lk 22 </dev/null >/dev/null 2>&1 & sleep 0.5
ip netns exec vm1 nc -z -w 2 192.168.50.2 22
iptables -P FORWARD DROP; page web 80 -p 8080:80
fails ip netns exec vm1 nc -z -w 2 192.168.50.2 22""",
    ),
    "kube-cni0": Ticket(
        build=GUEST.format("cni0", "10.244.0")
        + """
iptables -t nat -A POSTROUTING -s 10.244.0.0/16 ! -d 10.244.0.0/16 -j MASQUERADE
ip netns exec guest nc -z -w 2 198.51.100.1 53
iptables -P FORWARD DROP; page web 80 -p 8080:80
fails ip netns exec guest nc -z -w 2 198.51.100.1 53""",
    ),
    "libvirt-nat": Ticket(
        build=GUEST.format("virbr0", "192.168.122")
        + """
nft add table ip libvirt_network
nft 'add chain ip libvirt_network forward { type filter hook forward priority filter; policy accept; }'
nft add rule ip libvirt_network forward ip saddr 192.168.122.0/24 iifname virbr0 counter accept
nft add rule ip libvirt_network forward ip daddr 192.168.122.0/24 oifname virbr0 ct state established,related accept
nft 'add chain ip libvirt_network postroute { type nat hook postrouting priority srcnat; policy accept; }'
nft add rule ip libvirt_network postroute ip saddr 192.168.122.0/24 ip daddr != 192.168.122.0/24 masquerade
ip netns exec guest nc -z -w 2 198.51.100.1 53
iptables -P FORWARD DROP; page web 80 -p 8080:80
fails ip netns exec guest nc -z -w 2 198.51.100.1 53""",
    ),
    "traefik-two-networks": Ticket(
        build="""
net webgateway; net app_default
docker tag net-test traefik:v2
docker run -d --name traefik --network webgateway -p 8080:80 -v /run/docker.sock:/var/run/docker.sock traefik:v2 sh -c \\
  'exec httpd -f -p 80' --providers.docker >/dev/null
docker create --name ldap --network app_default --label traefik.enable=true \\
  --label 'traefik.http.routers.ldap.rule=Host(`phpldapadmin.docker.local`)' net-test httpd -f -p 80 -h /www
docker network connect webgateway ldap; docker start ldap
fails dial traefik $(docker inspect -f '{{.NetworkSettings.Networks.app_default.IPAddress}}' ldap) 80""",
    ),
    "traefik-no-network": Ticket(
        build="""
net mycompose_default
docker tag net-test traefik:v1.7
docker run -d --name traefik -p 8080:80 -v /run/docker.sock:/var/run/docker.sock traefik:v1.7 sh -c 'exec httpd -f -p 80' --docker
page s3 9000 --network mycompose_default -p 9000:9000 --label traefik.docker.network=mycompose_default \\
  --label traefik.frontend.rule=Host:s3.local --label traefik.port=9000
fails dial traefik $(docker inspect -f '{{.NetworkSettings.Networks.mycompose_default.IPAddress}}' s3) 9000""",
    ),
    "traefik-unhealthy": Ticket(
        build="""
net proxy
page traefik 80 --network proxy -p 8080:80 -v /run/docker.sock:/var/run/docker.sock
page blog 8080 --network proxy --label 'traefik.http.routers.blog.rule=Host(`blog.test`)' \\
  --label traefik.http.services.blog.loadbalancer.server.port=8080 \\
  --health-cmd 'wget --spider http://localhost:8080/health' --health-interval 1s --health-retries 1
for i in $(seq 50); do [ "$(docker inspect -f '{{.State.Health.Status}}' blog)" = unhealthy ] && break; sleep 0.2; done
dial traefik blog 8080; [ "$(docker inspect -f '{{.State.Health.Status}}' blog)" = unhealthy ]""",
    ),
    "apollon-ipv6-health": Ticket(
        build="""
net proxy
nginx webapp "server { listen 8080; location / { return 200 ok; } }" --network proxy -p 8080:8080 \\
  --health-cmd 'nc -w 1 ::1 8080 -e true' --health-interval 1s --health-retries 1
for i in $(seq 50); do [ "$(docker inspect -f '{{.State.Health.Status}}' webapp)" = unhealthy ] && break; sleep 0.2; done
curl -fsS -m 2 http://127.0.0.1:8080; [ "$(docker inspect -f '{{.State.Health.Status}}' webapp)" = unhealthy ]""",
        images=("nginx",),
    ),
    "nginx-proxy-port": Ticket(
        build="""
net shop
docker run -d --name nginx-proxy --network shop -p 8080:80 -v /run/docker.sock:/tmp/docker.sock net-test httpd -f -p 80
page gunicorn 8002 --network shop --expose 8001 -e VIRTUAL_HOST=gunicorn.local -e VIRTUAL_PORT=8001
fails dial nginx-proxy gunicorn 8001""",
    ),
    "nginx-typo": Ticket(
        build="""
net shop; page keycloak 8080 --network shop -p 8081:8080
nginx nginx "server { listen 80; location /auth { proxy_pass http://keycloack:8080/auth; } }" --network shop -p 8080:80
until_log nginx 'host not found in upstream'; fails curl -fsS -m 2 http://127.0.0.1:8080""",
        images=("nginx",),
    ),
    "piped-frontend": Ticket(
        build="""
net piped
docker run -d --name pipedfrontend --network piped net-test sh -c 'echo "sed: no such file" >&2; exit 2'
nginx nginx "server { listen 80; location / { proxy_pass http://pipedfrontend:80; } }" --network piped -p 8080:80 --restart always
until_log nginx 'host not found in upstream'; sleep 1; fails curl -fsS -m 2 http://127.0.0.1:8080""",
        images=("nginx",),
    ),
    "gitea-runner": Ticket(
        build="""
net gitea; net GITEA-ACTIONS-TASK-13_WORKFLOW-Build_JOB-docker-docker-network
page gitea 3000 --network gitea -p 3000:3000; idle gitea_act --network gitea -e GITEA_INSTANCE_URL=http://gitea:3000
logs job "fatal: unable to access http://gitea:3000/pinhead/runner/: Could not resolve host: gitea" \\
  --network GITEA-ACTIONS-TASK-13_WORKFLOW-Build_JOB-docker-docker-network -e GITHUB_SERVER_URL=http://gitea:3000
fails dial job gitea 3000""",
    ),
    "gitlab-runner-localhost": Ticket(
        build="""
net gitlab; page gitlab 80 --network gitlab -p 80:80
logs node-runner "ERROR: dial tcp 127.0.0.1:80: getsockopt: connection refused" --network gitlab \\
  -e CI_SERVER_URL=http://localhost/ci
fails dial node-runner localhost 80""",
    ),
    "laradock-runner": Ticket(
        build="""
iptables -A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT; iptables -A INPUT -i lo -j ACCEPT
iptables -A INPUT -p tcp -m state --state NEW --dport 22 -j ACCEPT
iptables -A INPUT -j REJECT --reject-with icmp-host-prohibited
net laradock_backend; net laradock_frontend
page gitlab 80 --network laradock_frontend -p 8989:80
idle runner --network laradock_backend -e GITLAB_CI_SERVER_URL=http://$HOST:8989
fails dial runner $HOST 8989""",
    ),
    "openstack-mtu": Ticket(
        build="""
ip link set eth1 mtu 1400; idle app; [ "$(docker exec app cat /sys/class/net/eth0/mtu)" = 1500 ]""",
    ),
    "postgres-on-loopback": Ticket(
        build="""
docker run -d --name postgres --user postgres -e PGDATA=/tmp/pg -p 5432:5432 postgres sh -c \\
  'initdb -A trust --no-sync >/dev/null && exec postgres -c listen_addresses=localhost -c unix_socket_directories=/tmp'
until_log postgres 'ready to accept connections'""",
        outside="echo | nc -w 2 $HOST 5432 | grep .",
        images=("postgres",),
    ),
    "postgres-host-port": Ticket(
        build="""
net shop
docker run -d --name database --network shop --user postgres -e PGDATA=/tmp/pg -p 885:5432 postgres sh -c \\
  'initdb -A trust --no-sync >/dev/null && exec postgres -c listen_addresses=* -c unix_socket_directories=/tmp'
until_log database 'ready to accept connections'
idle app --network shop -e DATABASE_HOST=database -e DATABASE_PORT=885
fails dial app database 885; dial app database 5432""",
        images=("postgres",),
    ),
    "mmgis-localhost": Ticket(
        build="""
net mmgis
docker run -d --name db --network mmgis --user postgres -e PGDATA=/tmp/pg postgres sh -c \\
  'initdb -A trust --no-sync >/dev/null && exec postgres -c listen_addresses=* -c unix_socket_directories=/tmp'
until_log db 'ready to accept connections'
idle mmgis --network mmgis -e DB_HOST=localhost -e DB_PORT=5432; fails dial mmgis localhost 5432""",
        images=("postgres",),
    ),
    "compose-wait": Ticket(
        build="""
net shop; page postgres 5432 --network shop -p 5432:5432; page redis 6379 --network shop -p 6379:6379
docker run -d --name bot --network shop -e 'WAIT_HOSTS=postgres:5432, redis:6379' net-test sh -c \\
  'echo "UnhandledPromiseRejectionWarning: Error: connect ECONNREFUSED 127.0.0.1:5432" >&2; sleep infinity'
fails dial bot 127.0.0.1 5432""",
    ),
    "ferm-reload": Ticket(
        build="""
page web 80 -p 8080:80
printf '*filter\\n:INPUT ACCEPT [0:0]\\n:FORWARD DROP [0:0]\\n:OUTPUT ACCEPT [0:0]\\n'\\
'-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT\\n-A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT\\n'\\
'COMMIT\\n*nat\\n:PREROUTING ACCEPT [0:0]\\n:INPUT ACCEPT [0:0]\\n:OUTPUT ACCEPT [0:0]\\n:POSTROUTING ACCEPT [0:0]\\nCOMMIT\\n' |
  iptables-restore
fails docker exec web timeout 3 nc -w 1 198.51.100.1 53 -e true""",
    ),
    "puppet-nftables": Ticket(
        build="""
nft add table inet filter
nft 'add chain inet filter forward { type filter hook forward priority filter; policy drop; }'
nft add rule inet filter forward ct state established,related accept
nft add rule inet filter forward counter reject with icmpx admin-prohibited
net app; page app 80 --network app; fails dial app example.test 53""",
    ),
    "ollama-on-loopback": Ticket(
        build="""
page open-webui 8080 -p 3000:8080 --add-host host.docker.internal:host-gateway \\
  -e OLLAMA_BASE_URL=http://host.docker.internal:11434
fails dial open-webui host.docker.internal 11434""",
        serve=python_server("127.0.0.1", 11434),
    ),
    "openui-ollama": Ticket(
        build="""
page openui 7878 -p 7878:7878 -e OLLAMA_HOST=http://127.0.0.1:11434; fails dial openui 127.0.0.1 11434""",
        serve=python_server("0.0.0.0", 11434),
    ),
    "coturn-udp": Ticket(
        build="""
docker run -d --name coturn -p 3478:3478 net-test sh -c 'udp-echo 3478 & exec httpd -f -p 3478'""",
        outside="echo x | timeout 2 nc -u -w 1 $HOST 3478 | grep x",
    ),
    "omniroute-ipv6": Ticket(
        build="""
net --ipv6 six; page omniroute 0.0.0.0:20128 --network six -p 20128:20128
curl -fsS -m 2 http://127.0.0.1:20128; fails curl -fsS -m 2 'http://[::1]:20128'""",
    ),
    "console-proxy": Ticket(
        build="""
net dmt; page vault 8200 --network dmt
docker run -d --name console --network dmt -e HTTP_PROXY=http://10.99.0.1:3128 -e VAULT_ADDR=http://vault:8200 net-test sh -c \\
  'echo "Get \\"http://vault:8200/v1/sys/health\\": Gateway Timeout" >&2; sleep infinity'""",
    ),
    "bitbetter-lan": Ticket(
        build="""
net --subnet 172.28.0.0/16 bitwarden; page web 80 --network bitwarden
fails nc -z -w 1 172.28.5.5 22""",
    ),
    "qbittorrent-vpn": Ticket(
        build="""
net media; page qbittorrent 8080 --network media -p 8080:8080 --cap-add NET_ADMIN
inside qbittorrent sh -ec 'ip link add tun0 type bridge; ip addr add 10.35.110.26/24 dev tun0; ip link set tun0 up
ip route add 0.0.0.0/1 via 10.35.110.1 dev tun0; ip route add 128.0.0.0/1 via 10.35.110.1 dev tun0'
curl -fsS -m 2 http://127.0.0.1:8080""",
        outside=FROM_OUTSIDE.format(8080),
    ),
    "alpine-dead-server": Ticket(
        build="""
idle app --dns 10.99.0.77 --dns $NEIGHBOUR -e UPSTREAM=http://example.test:53; cat /dev/null""",
    ),
    "alpine-aaaa-nxdomain": Ticket(
        build="""
net app; idle app --network app -e API_URL=http://nxdomain.test:53
docker exec app sh -c 'mkdir -p /lib; : > /lib/ld-musl-$(uname -m).so.1'""",
    ),
    "alpine-aaaa-servfail": Ticket(
        build="""
net app; idle app --network app -e VIDEO_URL=http://servfail.test:53
docker exec app sh -c 'mkdir -p /lib; : > /lib/ld-musl-$(uname -m).so.1'""",
    ),
    "haproxy-old-address": Ticket(
        build="""
net shop; page app 8000 --network shop
haproxy lb 'global
 log stdout format raw local0
defaults
 mode http
 log global
 timeout connect 1s
 timeout client 5s
 timeout server 5s
frontend f
 bind :80
 default_backend b
backend b
 server app app:8000 check inter 500ms' \\
  --network shop -p 8080:80
for i in $(seq 25); do curl -fsS -m 1 http://127.0.0.1:8080 && break; sleep 0.2; done
docker rm -f app; idle other --network shop; page app 8000 --network shop; until_log lb 'DOWN'
dial lb app 8000; fails curl -fsS -m 2 http://127.0.0.1:8080""",
        images=("haproxy",),
    ),
    "haproxy-no-name": Ticket(
        build="""
net proxy; page web 80 --network proxy
haproxy haproxy 'defaults
 mode http
 timeout connect 1s
 timeout client 5s
 timeout server 5s
frontend f
 bind :80
 default_backend b
backend b
 server letsencrypt-companion letsencrypt-companion:80' --network proxy -p 8080:80
until_log haproxy 'could not resolve address'; fails curl -fsS -m 2 http://127.0.0.1:8080""",
        images=("haproxy",),
    ),
    "jenkins-loopback": Ticket(
        build="""
page nginx 80 -p 127.0.0.1:3333:80; idle curl; curl -fsS -m 2 http://127.0.0.1:3333; fails dial curl 127.0.0.1 3333""",
    ),
    "testcontainers-jenkins": Ticket(
        build="""
page zookeeper 2181 -p 2859:2181
docker run -d --name jenkins net-test sh -c 'echo "INFO Opening socket connection to server localhost/127.0.0.1:2859. Will not \\
attempt to authenticate using SASL" >&2; echo "java.net.ConnectException: Connection refused" >&2; sleep infinity'
fails dial jenkins 127.0.0.1 2859""",
    ),
    "pihole-port-53": Ticket(
        build="""
for i in $(seq 30); do ss -lun | grep -q ':53 ' && break; sleep 0.1; done
fails docker run -d --name pihole -p 53:53 -p 53:53/udp net-test udp-echo 53""",
        serve="exec {tree}/usr/sbin/dnsmasq --keep-in-foreground --conf-file=/dev/null --user=root --pid-file=",
    ),
    "redis-conf": Ticket(
        build="""
net shop
docker run -d --name redis --network shop -p 6379:6379 redis-server sh -c \\
  'printf "bind 127.0.0.1 -::1\\nprotected-mode yes\\nport 6379\\n" > /tmp/redis.conf; exec redis-server /tmp/redis.conf'
idle app --network shop -e REDIS_URL=redis://redis:6379; until_log redis 'Ready to accept'; fails dial app redis 6379""",
        images=("redis-server",),
    ),
    "next-hostname": Ticket(
        build="""
net front; net back
docker create --name next --network back net-test sh -c 'exec httpd -f -p $(hostname -i | cut -d" " -f1):3000 -h /www'
docker start next; sleep 0.3; docker network connect front next
page proxy 80 --network front -p 8080:80; fails dial proxy next 3000""",
    ),
    "mosquitto-websockets": Ticket(
        build="""
docker run -d --name mosquitto -p 1883:1883 -p 9001:9001 mosquitto sh -c \\
  'printf "user root\\nlistener 1883\\nallow_anonymous true\\n" > /etc/m.conf; exec mosquitto -c /etc/m.conf'
until_log mosquitto 'running'""",
        outside="echo | nc -w 2 $HOST 9001 | grep .",
        images=("mosquitto",),
    ),
    "compose-db-twice": Ticket(
        build=f"""
net inverseproxy_shared
docker run -d --name one-db-1 --network inverseproxy_shared {COMPOSE.format("one", "db")} net-test httpd -f -p 5432
docker run -d --name two-db-1 --network inverseproxy_shared {COMPOSE.format("two", "db")} net-test httpd -f -p 5432
docker run -d --name one-odoo-1 --network inverseproxy_shared {COMPOSE.format("one", "odoo")} -e DB_HOST=db -e DB_PORT=5432 net-test""",
    ),
    "ha-host-mode": Ticket(
        build="""
net mqtt; page mosquitto 1883 --network mqtt -p 1883:1883
page homeassistant 8123 --network host -e MQTT_HOST=mosquitto -e MQTT_PORT=1883; fails dial homeassistant mosquitto 1883""",
    ),
    "compose-internal": Ticket(
        build="net --internal ljbackend; page config 8080 --network ljbackend -p 3100:8080",
        outside=FROM_OUTSIDE.format(3100),
    ),
    "ipv6-accept-ra": Ticket(
        build="""
ip -6 route del default
sysctl -qw net.ipv6.conf.all.forwarding=0 net.ipv6.conf.eth1.forwarding=0 net.ipv6.conf.eth1.accept_ra=1
for i in $(seq 50); do ip -6 route | grep -q default && break; sleep 0.2; done; nc -6 -z -w 2 2001:db8:99::1 53
net --ipv6 six; page web 80 --network six -p 8080:80
[ "$(cat /proc/sys/net/ipv6/conf/all/forwarding)" = 1 ]; fails nc -6 -z -w 1 2001:db8:99::1 53""",
        neighbour=f"exec {sys.executable} -c '{ADVERTISE}'",
    ),
    "aws-security-group": Ticket(build="page web 80 -p 80:80; curl -fsS -m 2 http://127.0.0.1:80"),
    "flask-loopback": Ticket(
        build='docker run -d --name web -p 5000:5000 net-test sh -c \'echo " * Running on http://127.0.0.1:5000" >&2; '
        "exec httpd -f -p 127.0.0.1:5000 -h /www'",
        outside=FROM_OUTSIDE.format(5000),
    ),
    "fresh-cibuildwheel": Ticket(
        build="net job; page gitlab 80 --network job; idle job --network job -e DOCKER_HOST=tcp://docker:2375; fails dial job docker 2375",
    ),
    "fresh-prometheus-localhost": Ticket(
        build="net mon; page cadvisor 8080 --network mon; page prometheus 9090 --network mon -p 9090:9090; fails dial prometheus localhost 8080",
    ),
    "fresh-prometheus-wildcard": Ticket(
        build="""
net mon; net other; page cadvisor 8080 --network other
page prometheus 9090 --network mon --dns $HOST --dns-search lan.test
docker exec prometheus nslookup cadvisor.lan.test | grep 198.51.100.1; fails dial prometheus cadvisor 8080""",
        serve="exec {tree}/usr/sbin/dnsmasq --keep-in-foreground --conf-file=/dev/null --user=root --pid-file= --no-resolv "
        "--address=/lan.test/198.51.100.1 --local=/",
    ),
    "fresh-fiware-mosquitto": Ticket(
        build="""
net fiware; docker run -d --name mosquitto --network fiware mosquitto sh -c 'exec mosquitto'
idle sub --network fiware -e MQTT_HOST=mosquitto -e MQTT_PORT=1883
until_log mosquitto 'local only'; fails dial sub mosquitto 1883""",
        images=("mosquitto",),
    ),
    "fresh-redis-6380": Ticket(
        build="""
docker run -d --name redis-slave -p 6380:6380 redis-server redis-server --appendonly yes --dir /tmp --bind 0.0.0.0 --protected-mode no
until_log redis-slave 'Ready to accept'; fails sh -c 'echo PING | nc -w 2 127.0.0.1 6380 | grep PONG'""",
        images=("redis-server",),
    ),
    "fresh-flask-1322": Ticket(build="page flask 8080 -p 8080:1322", outside=FROM_OUTSIDE.format(8080)),
    "fresh-casaos-bridge": Ticket(
        build="page grafana 3000 -p 3000:3000; page node-red 1880 -p 1880:1880; fails dial node-red grafana 3000"
    ),
    "fresh-venueless-redis": Ticket(
        build="page venueless 8375 -p 8375:8375 -e VENUELESS_REDIS_URLS=redis://127.0.0.1:6379/0; fails dial venueless 127.0.0.1 6379",
        serve=python_server("0.0.0.0", 6379),
    ),
    "fresh-internal-port": Ticket(
        build="net --internal test; page weba 8080 --network test --expose 4200; page webb 8080 --network test; fails dial webb weba 4200",
    ),
    "fresh-iotstack-host": Ticket(
        build="""
net iotstack; page mosquitto 1883 --network host; idle assistant --network iotstack -e Z2MA_SETTINGS__MQTTSERVER=mosquitto:1883
fails dial assistant mosquitto 1883""",
    ),
    "rustdesk-host-mode": Ticket(
        build="""
page rustdesk 21114 --network host; net web
docker tag net-test caddy:2
docker run -d --name caddy --network web -p 80:80 caddy:2 sh -c \\
  'echo "{\\"level\\":\\"error\\",\\"msg\\":\\"dial tcp 127.0.0.1:21114: connect: connection refused\\"}" >&2; exec httpd -f -p 80'
fails dial caddy 127.0.0.1 21114; curl -fsS -m 2 http://127.0.0.1:21114""",
    ),
    "caddy-host-service": Ticket(
        build="""
docker tag net-test abiosoft/caddy
docker run -d --name caddy -p 80:80 abiosoft/caddy sh -c \\
  'echo "[ERROR 502 /] dial tcp 127.0.0.1:5004: connect: connection refused" >&2; exec httpd -f -p 80'
fails dial caddy localhost 5004""",
        serve=python_server("0.0.0.0", 5004),
    ),
    "npm-host-website": Ticket(
        build="""
net npm
nginx npm "server { listen 80; location / { proxy_pass http://localhost:15254; } }" --network npm -p 8080:80
sleep 0.5; fails curl -fsS -m 3 http://127.0.0.1:8080; until_log npm 'connect() failed'""",
        serve=python_server("0.0.0.0", 15254),
        images=("nginx",),
    ),
    "npm-in-macvlan": Ticket(
        build="""
net -d macvlan --subnet 10.99.0.0/24 --gateway 10.99.0.1 -o parent=eth1 lan
nginx npm "server { listen 80; location / { proxy_connect_timeout 4s; proxy_pass http://$HOST:5000; } }" \\
  --network lan --ip 10.99.0.201
sleep 0.5; (inside npm curl -fsS -m 5 http://127.0.0.1 || true); until_log npm 'connect() failed\\|timed out'; fails dial npm $HOST 5000""",
        serve=python_server("0.0.0.0", 5000),
        images=("nginx",),
    ),
    "pihole-own-nas": Ticket(
        build="""
net -d macvlan --subnet 10.99.0.0/24 --gateway 10.99.0.1 -o parent=eth1 lan
docker run -d --name pihole --network lan --ip 10.99.0.53 dnsmasq dnsmasq -k -C /dev/null -u root --pid-file= --no-resolv \\
  --address=/lan.test/10.99.0.9; sleep 0.5; inside pihole ss -lun | grep -q :53
fails ping -c 1 -W 1 10.99.0.53""",
        images=("dnsmasq",),
    ),
    "wg-easy-br0": Ticket(
        build="""
net -d macvlan --subnet 10.99.0.0/24 --gateway 10.99.0.1 -o parent=eth1 br0
page nextcloud 80 --network br0 --ip 10.99.0.50
net vpn; idle wg-easy --network vpn --cap-add NET_ADMIN -p 51820:51820/udp
fails dial wg-easy 10.99.0.50 80""",
    ),
    "adguard-resolved": Ticket(
        build="""
for i in $(seq 30); do ss -lun | grep -q '127.0.0.53' && break; sleep 0.1; done
fails docker run -d --name adguardhome -p 53:53/tcp -p 53:53/udp -p 3000:3000 net-test udp-echo 53""",
        serve="exec {tree}/usr/sbin/dnsmasq --keep-in-foreground --conf-file=/dev/null --user=root --pid-file= --no-resolv "
        "--listen-address=127.0.0.53 --bind-interfaces",
    ),
    "grid-event-bus": Ticket(
        build="""
docker run -d --name selenium-hub -p 4444:4444 net-test sh -c \\
  'httpd -p 4442; httpd -p 4443; exec httpd -f -p 4444'; sleep 0.3; curl -fsS -m 2 http://127.0.0.1:4444 || [ $? = 22 ]""",
        outside="nc -z -w 2 $HOST 4442",
    ),
    "masquerade-lost": Ticket(
        build="""
net app; idle app --network app; dial app 198.51.100.1 53
iptables -t nat -D POSTROUTING $(iptables -t nat -S POSTROUTING | grep -v docker0 | sed -n 's/^-A POSTROUTING //p')
fails dial app 198.51.100.1 53""",
    ),
    "masquerade-other-subnet": Ticket(
        build="""
net --subnet 10.1.20.0/24 flannel; idle app --network flannel; dial app 198.51.100.1 53
iptables -t nat -D POSTROUTING $(iptables -t nat -S POSTROUTING | grep 10.1.20 | sed -n 's/^-A POSTROUTING //p')
iptables -t nat -A POSTROUTING -s 10.0.52.0/24 ! -d 224.0.0.0/4 -j MASQUERADE; fails dial app 198.51.100.1 53""",
    ),
    "company-172": Ticket(
        build="net --subnet 172.18.0.0/16 devbox; net other; idle app --network other; idle db --network devbox; fails dial app 172.18.5.5 443",
    ),
    "vite-localhost-six": Ticket(
        build="""
docker run -d --name vite -p 5173:5173 net-test httpd -f -p [::1]:5173 -h /www
sleep 0.3; inside vite curl -fsS -m 2 'http://[::1]:5173'; fails curl -fsS -m 2 http://127.0.0.1:5173""",
        outside=FROM_OUTSIDE.format(5173),
    ),
    "runner-service-name": Ticket(
        build="""
net github_network; page e_elasticsearch_1 9200 --network github_network --network-alias elasticsearch
page redis 6379 --network github_network; dial redis elasticsearch 9200; fails curl -fsS -m 2 http://elasticsearch:9200""",
    ),
    "docker-metrics-loopback": Ticket(
        build="""
net mon
docker run -d --name prometheus --network mon -p 9090:9090 --add-host host.docker.internal:host-gateway net-test sh -c \\
  'echo "err=\\"Get http://host.docker.internal:9323/metrics: dial tcp 172.17.0.1:9323: connect: connection refused\\"" >&2; \\
exec httpd -f -p 9090'
fails dial prometheus host.docker.internal 9323; curl -fsS -m 2 http://127.0.0.1:9323""",
        serve=python_server("127.0.0.1", 9323),
    ),
    "oracle-host-mode": Ticket(
        build="""
iptables -A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT; iptables -A INPUT -p icmp -j ACCEPT
iptables -A INPUT -i lo -j ACCEPT; iptables -A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT
iptables -A INPUT -j REJECT --reject-with icmp-host-prohibited
page cosmos 8080 --network host; curl -fsS -m 2 http://127.0.0.1:8080""",
        outside=FROM_OUTSIDE.format(8080),
    ),
    "vpn-table-mtu": Ticket(
        build="""
ip tuntap add dev wgnord mode tun; ip addr add 10.5.0.2/32 dev wgnord; ip link set wgnord mtu 1420 up
ip route add default dev wgnord table 205
ip rule add pref 32764 not fwmark 0xe1f1 lookup 205; ip rule add pref 32763 lookup main suppress_prefixlength 0
net agents; idle agent --network agents; [ "$(docker exec agent cat /sys/class/net/eth0/mtu)" = 1500 ]
ip route get 203.0.113.9 | grep wgnord""",
    ),
    "gunicorn-stuck": Ticket(
        build="""
net web; page web 8000 --network web -p 8000:8000; idle proxy --network web; curl -fsS -m 2 http://127.0.0.1:8000
docker tag net-test benoitc/gunicorn; docker rm -f web
docker run -d --name web --network web -p 8000:8000 benoitc/gunicorn httpd -f -p 8000 -h /www
sleep 0.3; curl -fsS -m 2 http://127.0.0.1:8000; kill -STOP $(docker inspect -f '{{.State.Pid}}' web)
dial proxy web 8000; fails curl -fsS -m 2 http://127.0.0.1:8000""",
        outside=FROM_OUTSIDE.format(8000),
    ),
    "plex-health-stuck": Ticket(
        build="""
docker tag net-test plexinc/pms-docker
docker run -d --name plex -p 32400:32400 --health-cmd ': http://localhost:32400/identity; echo HEAD / | nc -w 1 127.0.0.1 32400 | grep -q HTTP' \\
  --health-interval 1s --health-retries 1 --health-timeout 2s plexinc/pms-docker httpd -f -p 32400 -h /www
sleep 0.3; kill -STOP $(docker inspect -f '{{.State.Pid}}' plex)
for i in $(seq 50); do [ "$(docker inspect -f '{{.State.Health.Status}}' plex)" = unhealthy ] && break; sleep 0.2; done
[ "$(docker inspect -f '{{.State.Health.Status}}' plex)" = unhealthy ]; nc -z -w 1 127.0.0.1 32400; fails curl -fsS -m 2 http://127.0.0.1:32400""",
    ),
    "zwave-host-broker": Ticket(
        build="""
docker tag net-test zwavejs/zwave-js-ui
docker run -d --name zwave-js-ui -p 8091:8091 zwavejs/zwave-js-ui sh -c \\
  'echo "2023-09-27 10:11:12.131 ERROR MQTT: Mqtt client error connect ECONNREFUSED 127.0.0.1:1883" >&2; exec httpd -f -p 8091'
fails dial zwave-js-ui 127.0.0.1 1883""",
        serve=python_server("0.0.0.0", 1883),
    ),
    "heimdall-traefik": Ticket(
        build="""
net proxy
docker tag net-test traefik:v2.9
docker run -d --name traefik --network proxy -p 8080:80 -v /run/docker.sock:/var/run/docker.sock traefik:v2.9 sh -c \\
  'exec httpd -f -p 80' --providers.docker
page heimdall 80 --network proxy --label traefik.enable=true --label 'traefik.http.routers.heimdall.rule=Host(`h.test`)' \\
  --label traefik.http.services.heimdall.loadbalancer.server.port=8444
fails dial traefik heimdall 8444""",
    ),
    "traefik-host-port-label": Ticket(
        build="""
net platform-common-net
docker tag net-test traefik:v3.0
docker run -d --name traefik --network platform-common-net -p 80:80 -v /run/docker.sock:/var/run/docker.sock traefik:v3.0 sh -c \\
  'exec httpd -f -p 80' --providers.docker=true
page backend 8989 --network platform-common-net -p 8988:8989 --label 'traefik.http.routers.backend-x.rule=Host(`b.localhost`)' \\
  --label traefik.http.services.backend-x-service.loadbalancer.server.port=8988
fails dial traefik backend 8988""",
    ),
    "traefik-random-network": Ticket(
        build="""
net test-network-1; net test-network-2
docker tag net-test traefik:v2.0.0-alpha7-alpine
docker run -d --name traefik-test --network test-network-2 -p 80:80 -v /run/docker.sock:/var/run/docker.sock \\
  traefik:v2.0.0-alpha7-alpine sh -c 'exec httpd -f -p 80' --api=true --providers.docker
docker create --name whoami --network test-network-1 --label 'traefik.http.routers.whoami.rule=Host(`test.dev.domain.tld`)' \\
  net-test httpd -f -p 80 -h /www
docker network connect test-network-2 whoami; docker start whoami
fails dial traefik-test $(docker inspect -f '{{(index .NetworkSettings.Networks "test-network-1").IPAddress}}' whoami) 80""",
    ),
    "host-server-3000": Ticket(
        build="""
ufw default deny incoming; ufw allow 22/tcp; ufw --force enable
idle app --add-host=host.docker.internal:host-gateway; fails dial app host.docker.internal 3000""",
        serve=python_server("0.0.0.0", 3000),
    ),
    "watchyourlan-ufw": Ticket(
        build="""
ufw default deny incoming; ufw allow 22/tcp; ufw --force enable
page wyl 8840 --network host; curl -fsS -m 2 http://127.0.0.1:8840""",
        outside=FROM_OUTSIDE.format(8840),
    ),
    "ufw-docker-host-database": Ticket(
        build="""
ufw default deny incoming; ufw allow 22/tcp; ufw --force enable
idle app -e DATABASE_URL=postgres://app@$HOST:5432/app; fails dial app $HOST 5432""",
        serve=python_server("0.0.0.0", 5432),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Healthy:
    """Setups of the same software that work, side by side on one host; `reach` are questions whose paths work."""

    build: str
    reach: tuple[str, ...] = ()
    serve: str = ""
    images: tuple[str, ...] = ()

    @property
    def script(self) -> str:
        return servers.importing(*self.images) + PRELUDE + CONF + self.build


POSTGRES = "sh -c 'initdb -A trust --no-sync >/dev/null && echo host all all all trust >> $PGDATA/pg_hba.conf && exec postgres -c listen_addresses=* -c unix_socket_directories=/tmp'"
HEALTHY = {
    "databases and brokers": Healthy(
        build=f"""
net shop
docker run -d --name database --network shop --user postgres -e PGDATA=/tmp/pg -p 127.0.0.1:5432:5432 postgres {POSTGRES}
docker run -d --name cache --network shop redis-server redis-server --bind 0.0.0.0 --protected-mode no --dir /tmp
docker run -d --name mosquitto --network shop -p 1883:1883 -p 9001:9001 mosquitto sh -c \\
  'printf "user root\\nlistener 1883\\nallow_anonymous true\\nlistener 9001\\n" > /etc/m.conf; exec mosquitto -c /etc/m.conf'
idle app --network shop -e DATABASE_URL=postgres://u@database:5432/app -e REDIS_URL=redis://cache:6379 -e MQTT_HOST=mosquitto
logs worker "dial tcp: lookup database on 127.0.0.11:53: no such host, retrying" --network shop \\
  -e DATABASE_URL=postgres://u@database:5432/app
until_log database 'ready to accept'; until_log cache 'Ready to accept'; until_log mosquitto running
net one; net two
docker run -d --name one-db-1 --network one {COMPOSE.format("one", "db")} net-test httpd -f -p 5433
docker run -d --name two-db-1 --network two {COMPOSE.format("two", "db")} net-test httpd -f -p 5433
docker run -d --name one-odoo-1 --network one {COMPOSE.format("one", "odoo")} -e DB_HOST=db -e DB_PORT=5433 net-test""",
        reach=(
            "app database:5432",
            "app cache:6379",
            "app mosquitto:1883",
            "outside mosquitto:9001",
            "host database:5432",
            "one-odoo-1 db:5433",
        ),
        images=("postgres", "redis-server", "mosquitto"),
    ),
    "proxies": Healthy(
        build="""
net web; net back
docker tag net-test traefik:v3
docker run -d --name traefik --network web -p 8080:80 -v /run/docker.sock:/var/run/docker.sock traefik:v3 httpd -f -p 80
docker create --name blog --network back --label traefik.enable=true --label traefik.docker.network=web \\
  --label 'traefik.http.routers.blog.rule=Host(`blog.test`)' --label traefik.http.services.blog.loadbalancer.server.port=8080 \\
  --health-cmd true --health-interval 1s net-test httpd -f -p 8080
docker network connect web blog; docker start blog
page keycloak 8080 --network back
nginx nginx "server { listen 80; location / { proxy_pass http://keycloak:8080; } }" --network back -p 8081:80
haproxy haproxy 'global
 log stdout format raw local0
defaults
 mode http
 log global
 timeout connect 1s
 timeout client 5s
 timeout server 5s
resolvers docker
 nameserver dns 127.0.0.11:53
frontend f
 bind :80
 default_backend b
backend b
 server keycloak keycloak:8080 check inter 500ms resolvers docker' --network back -p 8082:80
page console 8080 --network back -e HTTP_PROXY=http://10.99.0.1:3128 -e NO_PROXY=keycloak,localhost -e VAULT_ADDR=http://keycloak:8080
docker restart -t 0 keycloak; sleep 1; curl -fsS -m 2 http://127.0.0.1:8081""",
        reach=("traefik blog:8080", "nginx keycloak:8080", "outside nginx:80", "outside haproxy:80", "console keycloak:8080"),
        images=("nginx", "haproxy"),
    ),
    "VPNs, other tenants of the host, names": Healthy(
        build=TAILSCALE
        + GUEST.format("cni0", "10.244.0")
        + """
ip route add 100.100.0.0/16 dev tailscale0 table 52
iptables -t nat -A POSTROUTING -s 10.244.0.0/16 ! -d 10.244.0.0/16 -j MASQUERADE
iptables -I DOCKER-USER -i cni0 -j ACCEPT
iptables -I DOCKER-USER -o cni0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
iptables -P FORWARD DROP; nsenter --net=/run/netns/guest nc -z -w 2 198.51.100.1 53
net media; idle gluetun --network media -p 8090:8090 --cap-add NET_ADMIN; page qbittorrent 8090 --network container:gluetun
inside gluetun sh -ec 'ip link add tun0 type bridge; ip addr add 10.35.110.26/24 dev tun0; ip link set tun0 up
ip route add 10.0.0.0/8 via 10.35.110.1 dev tun0; ip route add 10.99.0.0/24 via $(ip route | sed -n "s/default via \\([^ ]*\\).*/\\1/p") dev eth0'
net -d macvlan --subnet 10.99.0.0/24 --gateway 10.99.0.1 -o parent=eth1 lan
page pihole 80 --network lan --ip 10.99.0.198
page webui 8080 --add-host host.docker.internal:host-gateway -e OLLAMA_BASE_URL=http://host.docker.internal:11434
idle resolving --dns $NEIGHBOUR --dns 10.99.0.77
net --ipv6 six; page six [::]:20128 --network six -p 20128:20128
net front; net behind
docker run -d --name next --network behind net-test httpd -f -p 3000 -h /www; docker network connect front next
page proxy 80 --network front -p 8091:80
docker run -d --name coturn -p 3478:3478 -p 3478:3478/udp net-test sh -c 'udp-echo 3478 & exec httpd -f -p 3478'
page exporter 9100 --network host
idle alpine --network front -e API_URL=http://example.test:53
docker exec alpine sh -c 'mkdir -p /lib; : > /lib/ld-musl-$(uname -m).so.1'""",
        reach=(
            "outside qbittorrent:8090",
            "webui host.docker.internal:11434",
            "host [::1]:20128",
            "proxy next:3000",
            "outside coturn:3478/udp",
            "outside exporter:9100",
            "alpine example.test:53",
        ),
        serve=python_server("0.0.0.0", 11434),
    ),
}
