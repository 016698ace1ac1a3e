"""The hosts of list.tsv, by name; and healthy hosts of the same software, on which nothing may be said."""

from __future__ import annotations

from dockernet_doctor.snapshot.model import Engine, Link, ResolvConf, Route
from tests.tickets.network import HOST, Box, Built

KAFKA = "apache/kafka:3.7.0"
DENIED = (
    "-DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default user."
)
NOT_ALLOWED = "Host '172.18.0.2' is not allowed to connect to this MariaDB server"
NO_HBA = 'no pg_hba.conf entry for host "172.18.0.2", user "app", database "app", no encryption'
FAILED = 'while connecting to upstream, client: 10.0.0.9, server: _, request: "GET / HTTP/1.1", upstream: '
UNAVAILABLE = "Connection to node 1 ({}) could not be established. Broker may not be available."
VPN = (Link(index=5, name="tun0", kind="tun"),)
HALVES = (
    Route(family=4, destination="0.0.0.0/1", gateway="10.8.0.1", link="tun0"),
    Route(family=4, destination="128.0.0.0/1", gateway="10.8.0.1", link="tun0"),
)
PRIVATE = (
    Route(family=4, destination="172.16.0.0/12", gateway="10.8.0.1", link="tun0"),
    Route(family=4, destination="192.168.0.0/16", gateway="10.8.0.1", link="tun0"),
)
OLD = Engine(version="20.10.24", name="h1")


def kafka(advertised: str, *, listeners: str = "PLAINTEXT://0.0.0.0:9092", **more: object) -> Box:
    env = {"KAFKA_LISTENERS": listeners, "KAFKA_ADVERTISED_LISTENERS": advertised}
    return Box(name="kafka", image=KAFKA, listens=(9092,), env=env, **more)  # type: ignore[arg-type]


def nginx(upstream: str, error: str = "111: Connection refused", image: str = "nginx:1.27", name: str = "web") -> Box:
    line = f'2026/01/02 03:04:01 [error] 29#29: *7 connect() failed ({error}) {FAILED}"{upstream}", host: "example.org"'
    return Box(name=name, image=image, listens=(80,), published={80: 80}, log=(line,))


TICKETS: dict[str, Built] = {
    "kafka-localhost-both": Built(
        boxes=(
            Box(
                name="client",
                image="bitnami/kafka",
                command=("kafka-topics.sh", "--list", "--bootstrap-server", "localhost:9092"),
            ),
            Box(
                name="kafka",
                image="bitnami/kafka:3",
                loopback=(9092,),
                published={9092: 9092},
                env={
                    "KAFKA_CFG_LISTENERS": "PLAINTEXT://localhost:9092",
                    "KAFKA_CFG_ADVERTISED_LISTENERS": "PLAINTEXT://localhost:9092",
                },
            ),
        )
    ),
    "kafka-ui-loopback": Built(
        boxes=(
            Box(name="kafka-ui", image="provectuslabs/kafka-ui", env={"KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS": "kafka:9092"}),
            Box(
                name="kafka",
                image="bitnami/kafka",
                listens=(9092,),
                published={9092: 9092},
                env={"KAFKA_CFG_ADVERTISED_LISTENERS": "PLAINTEXT://127.0.0.1:9092"},
            ),
        )
    ),
    "kafka-ui-own-loopback": Built(
        boxes=(
            Box(
                name="kafka-ui.mynetwork",
                image="provectuslabs/kafka-ui",
                env={"KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS": "127.0.0.1:9092"},
            ),
            Box(
                name="kafka.mynetwork",
                image="hexhex/kafka-kraft:0.0.10",
                listens=(9092,),
                published={9092: 9092},
                env={"ADVERTISED_LISTENERS": "127.0.0.1:9092"},
            ),
        )
    ),
    "kafka-host-name-outside": Built(
        boxes=(
            Box(
                name="kafka",
                image="wurstmeister/kafka",
                listens=(9092,),
                published={9092: 9092},
                env={"KAFKA_ADVERTISED_HOST_NAME": "127.0.0.1", "KAFKA_ZOOKEEPER_CONNECT": "zookeeper:2181"},
            ),
            Box(name="zookeeper", image="wurstmeister/zookeeper", listens=(2181,)),
        )
    ),
    "kouncil-by-address": Built(
        boxes=(
            Box(
                name="kouncil",
                image="consdata/kouncil",
                env={"bootstrapServers": "172.18.0.3:9092"},
                log=(UNAVAILABLE.format("localhost/127.0.0.1:9092"),),
            ),
            kafka("PLAINTEXT://localhost:9092", published={9092: 9092}),
        )
    ),
    "eco-kafka-manager": Built(
        boxes=(
            Box(
                name="kafka-manager",
                image="epam/eco-kafka-manager",
                env={"BOOTSTRAP_SERVERS": "kafka:9092"},
                log=(UNAVAILABLE.format("localhost/127.0.0.1:9092"),),
            ),
            kafka("PLAINTEXT://localhost:9092"),
        )
    ),
    "kafka-from-host": Built(boxes=(kafka("PLAINTEXT://kafka:9092", published={9092: 9092}),)),
    "mongo-connector": Built(
        boxes=(
            Box(
                name="connector",
                image="mongo-connector",
                networks=("bridge",),
                env={"MONGO": f"mongodb://{HOST}:27017"},
                log=("ServerSelectionTimeoutError: Could not reach any servers in [(u'mongo', 27017)].",),
            ),
            Box(
                name="mongo",
                image="mongo",
                listens=(27017,),
                published={27017: 27017},
                command=("mongod", "--replSet", "singleNodeRepl"),
            ),
        )
    ),
    "mongo-rs-from-host": Built(
        boxes=(
            Box(name="mongo", image="mongo:latest", listens=(27017,), published={27017: 27017}, command=("--replSet", "tr0")),
        )
    ),
    "mongo-rs-outside": Built(
        boxes=tuple(
            Box(
                name=f"mongo{n}",
                image="mongo",
                listens=(27017,),
                published={27016 + n: 27017},
                command=("mongod", "--replSet", "rs"),
            )
            for n in (1, 2, 3)
        )
    ),
    "mongo-run-rs": Built(
        boxes=(
            Box(
                name="app",
                image="node",
                env={"MONGO_URL": "mongodb://localhost:27017,localhost:27018/my-app-dev?replicaSet=rs"},
            ),
            Box(name="mongo", image="mongo", listens=(27017, 27018), published={27017: 27017, 27018: 27018}),
        )
    ),
    "redis-cluster-outside": Built(
        boxes=(
            Box(
                name="redis",
                image="grokzen/redis-cluster",
                listens=(7000, 7001, 7002),
                published={p: p for p in (7000, 7001, 7002)},
            ),
        )
    ),
    "redis-insight-moved": Built(
        boxes=(
            Box(
                name="insight",
                image="redislabs/redisinsight",
                env={"REDIS_URL": "redis://redis:7000"},
                log=("Error: connect ECONNREFUSED 127.0.0.1:7003",),
            ),
            Box(
                name="redis",
                image="redis-cluster",
                listens=(7000, 7001, 7002, 7003),
                command=("redis-server", "--cluster-enabled", "yes"),
            ),
        )
    ),
    "redis-cluster-announce": Built(
        boxes=(
            Box(name="app", image="app", env={"REDIS_URL": "redis://redis-node-1:6379"}),
            *(
                Box(
                    name=f"redis-node-{n}",
                    image="bitnami/redis-cluster:6.0",
                    listens=(6379,),
                    published={6379 + n: 6379},
                    env={"REDIS_ANNOUNCE_IP": "192.168.1.83", "REDIS_NODES": "redis-node-0 redis-node-1"},
                )
                for n in (0, 1)
            ),
        )
    ),
    "redis-sentinel-outside": Built(
        boxes=(
            Box(name="redis", image="bitnami/redis", listens=(6379,), published={6379: 6379}),
            Box(
                name="sentinel",
                image="bitnami/redis-sentinel:7.2.0",
                listens=(26379,),
                published={26379: 26379},
                env={"REDIS_MASTER_HOST": "redis"},
                log=("1:X # +monitor master redis-master 172.18.0.2 6379 quorum 1",),
            ),
        )
    ),
    "elastic-sniff": Built(
        boxes=(
            Box(
                name="indexer",
                image="indexer",
                networks=("bridge",),
                env={"ELASTICSEARCH_URL": f"http://{HOST}:9200"},
                log=('health check for "http://172.18.0.3:9200" failed: dial tcp 172.18.0.3:9200: i/o timeout',),
            ),
            Box(name="elasticsearch", image="elasticsearch:7.12.1", listens=(9200, 9300), published={9200: 9200}),
        )
    ),
    "elastic-sniff-outside": Built(
        boxes=(Box(name="elasticsearch", image="elasticsearch:1.5", listens=(9200, 9300), published={9200: 9200}),)
    ),
    "vsftpd-passive": Built(
        boxes=(
            Box(
                name="ftp",
                image="fauria/vsftpd",
                listens=(21,),
                published={21: 21, 21100: 21100},
                env={"PASV_ADDRESS": "172.18.0.2", "PASV_MIN_PORT": "21100", "PASV_MAX_PORT": "21100"},
            ),
        )
    ),
    "vsftpd-passive-loopback": Built(
        boxes=(Box(name="ftp", image="fauria/vsftpd", listens=(21,), published={21: 21}, env={"PASV_ADDRESS": "127.0.0.1"}),)
    ),
    "pure-ftpd-from-host": Built(
        boxes=(
            Box(
                name="ftp",
                image="stilliard/pure-ftpd",
                listens=(21,),
                published={10021: 21, 31000: 31000},
                env={"PUBLICHOST": "ftp", "FTP_PASSIVE_PORTS": "31000:31009"},
            ),
        )
    ),
    "redis-protected-bitnami": Built(
        boxes=(Box(name="app", env={"REDIS_HOST": "redis"}), Box(name="redis", image="bitnami/redis:latest", listens=(6379,))),
        banners={("redis", 6379): DENIED},
    ),
    "redis-protected-official": Built(
        boxes=(Box(name="token-redis", image="redis:3.2", listens=(6379,), published={6379: 6379}),),
        banners={("token-redis", 6379): DENIED},
    ),
    "redis-cluster-protected": Built(
        boxes=(Box(name="app"), Box(name="redis", image="grokzen/redis-cluster:latest", listens=(7777,))),
        banners={("redis", 7777): DENIED},
    ),
    "mariadb-1130-volkszaehler": Built(
        boxes=(Box(name="web", image="volkszaehler"), Box(name="database", image="mariadb", listens=(3306,))),
        banners={("database", 3306): NOT_ALLOWED},
    ),
    "mariadb-1130-nameless": Built(
        boxes=(Box(name="php", image="namelessmc/php"), Box(name="db", image="mariadb", listens=(3306,))),
        banners={("db", 3306): NOT_ALLOWED},
    ),
    "mariadb-1130-speedtest": Built(
        boxes=(
            Box(
                name="speedtest-tracker",
                image="speedtest-tracker",
                status="restarting",
                env={"DB_HOST": "db", "DB_PORT": "3306"},
                log=("SQLSTATE[HY000] [1130] Host '172.18.0.2' is not allowed to connect to this MariaDB server",),
            ),
            Box(name="db", image="mariadb:10", listens=(3306,)),
        )
    ),
    "mysql-1130-exited": Built(
        boxes=(
            Box(
                name="todo",
                image="node:18-alpine",
                status="exited",
                env={"MYSQL_HOST": "mysql"},
                log=("Connected!", "Error: Host '172.18.0.3' is not allowed to connect to this MySQL server"),
            ),
            Box(name="mysql", image="mysql:8.0", listens=(3306,)),
        )
    ),
    "pg-hba-pgvector": Built(
        boxes=(Box(name="n8n", image="n8n"), Box(name="postgres", image="pgvector/pgvector:pg17", listens=(5432,))),
        replies={("postgres", 5432, "postgres"): NO_HBA},
    ),
    "pg-hba-cmdbuild": Built(
        boxes=(
            Box(
                name="cmdbuild_app",
                image="itmicus/cmdbuild",
                status="restarting",
                env={"CMDBUILD_DB_URL": "postgresql://cmdbuild_db:5432/x"},
            ),
            Box(
                name="cmdbuild_db",
                image="postgres",
                listens=(5432,),
                log=(f"2019-07-11 13:49:49.019 UTC [146] FATAL:  {NO_HBA}",),
            ),
        )
    ),
    "pg-hba-rejects": Built(
        boxes=(Box(name="app"), Box(name="postgres", image="postgres:10", listens=(5432,))),
        replies={
            ("postgres", 5432, "postgres"): 'pg_hba.conf rejects connection for host "172.18.0.2", user "x", database "x"'
        },
    ),
    "rabbitmq-guest": Built(
        boxes=(
            Box(name="eureka", image="eureka", env={"SPRING_RABBITMQ_HOST": "rabbitmq"}),
            Box(
                name="rabbitmq",
                image="bitnami/rabbitmq",
                listens=(5672,),
                log=("PLAIN login refused: user 'guest' can only connect via localhost",),
            ),
        )
    ),
    "rabbitmq-root": Built(
        boxes=(
            Box(name="worker", status="restarting", env={"AMQP_URL": "amqp://rabbitmq:5672"}),
            Box(
                name="rabbitmq",
                image="bitnami/rabbitmq",
                listens=(5672,),
                log=("[error] <0.1211.0> PLAIN login refused: user 'root' can only connect via localhost",),
            ),
        )
    ),
    "home-assistant-apache": Built(
        boxes=(
            Box(name="apache", image="httpd:2.4", listens=(80,), published={80: 80}),
            Box(
                name="homeassistant",
                image="homeassistant/home-assistant",
                listens=(8123,),
                log=(
                    "A request from a reverse proxy was received, but your HTTP integration is not set-up for reverse proxies",
                ),
            ),
        )
    ),
    "pihole-non-local": Built(
        boxes=(
            Box(
                name="pihole",
                image="pihole/pihole:latest",
                listens=(80, 53),
                udp=(53,),
                published={53: "53/udp"},
                log=("WARNING: dnsmasq: ignoring query from non-local network 10.0.0.9",),
            ),
        )
    ),
    "pihole-unbound-non-local": Built(
        boxes=(
            Box(
                name="pihole",
                image="mpgirro/docker-pihole-unbound",
                udp=(53,),
                published={53: "53/udp"},
                log=("dnsmasq[512]: ignoring query from non-local network 192.168.0.116 (logged only once)",),
            ),
        )
    ),
    "vite-allowed-hosts": Built(
        boxes=(
            Box(name="proxy", image="nginx", listens=(80,), published={80: 80}),
            Box(name="frontend", image="stlvault-frontend", listens=(5173,)),
        ),
        replies={("frontend", 5173, "http"): "HTTP/1.1 403 Forbidden", ("frontend", 5173, "http localhost"): "HTTP/1.1 200 OK"},
    ),
    "mosquitto-local-only": Built(
        boxes=(
            Box(
                name="mqtt",
                image="eclipse-mosquitto",
                loopback=(1883,),
                published={1883: 1883},
                log=("1612700000: Starting in local only mode. Connections will only be possible from this machine.",),
            ),
        )
    ),
    "owntracks-recorder": Built(
        boxes=(
            Box(
                name="otrecorder",
                image="owntracks/recorder",
                status="restarting",
                env={"OTR_HOST": "mosquitto"},
                log=("+ connecting to MQTT on mosquitto:1883 as clientID ot-recorder", "Error: Connection refused"),
            ),
            Box(name="mosquitto", image="eclipse-mosquitto", loopback=(1883,), published={1883: 1883}),
        )
    ),
    "npm-old-address": Built(
        boxes=(
            nginx("http://172.18.0.9:80/", image="jc21/nginx-proxy-manager:latest", name="npm"),
            Box(name="site", image="nginx:stable-alpine", listens=(80,)),
        )
    ),
    "cht-nginx": Built(
        boxes=(
            nginx("http://172.18.0.7:5988/", "113: Host is unreachable", image="public.ecr.aws/medic/cht-nginx:4.1.0"),
            Box(name="api", image="cht-api", listens=(5988,)),
        )
    ),
    "vllm-web": Built(
        boxes=(
            nginx("http://172.18.0.4:8000/api/health", image="vllm-bench-web"),
            Box(name="api", image="vllm-bench-api", listens=(8000,)),
            Box(name="other", image="redis", listens=(6379,)),
        )
    ),
    "dify-worker-has-it": Built(
        boxes=(
            nginx("http://172.18.0.3:5001/console/api", image="nginx:latest", name="nginx"),
            Box(name="worker", image="langgenius/dify-api"),
            Box(name="api", image="langgenius/dify-api", listens=(5001,)),
        )
    ),
    "bagre-113": Built(
        boxes=(
            nginx("http://172.18.0.12:3001/api/health", "113: Host is unreachable", image="bagre-web"),
            Box(name="bagre-api", image="bagre-api", listens=(3001,)),
        )
    ),
    "search-wildcard-php": Built(
        boxes=(
            Box(
                name="web",
                image="nginx:1.27",
                listens=(80,),
                published={80: 80},
                resolv=ResolvConf(nameservers=("127.0.0.11",), search=("example.com", "example.org"), options=("ndots:0",)),
                log=(f'connect() failed (111: Connection refused) {FAILED}"fastcgi://198.51.100.7:9000", host: "x"',),
            ),
            Box(name="php-fpm", image="php:8.2-fpm", listens=(9000,)),
        ),
        dns={"*.example.com": "198.51.100.7"},
    ),
    "search-wildcard-dify": Built(
        boxes=(
            Box(
                name="nginx",
                image="nginx:latest",
                listens=(80,),
                resolv=ResolvConf(nameservers=("127.0.0.11",), search=("corp.example",), options=("ndots:0",)),
                log=(f'connect() failed (110: Connection timed out) {FAILED}"http://198.51.100.7:5001/console/api"',),
            ),
            Box(name="api", image="langgenius/dify-api", listens=(5001,)),
        ),
        dns={"*.corp.example": "198.51.100.7"},
    ),
    "search-dhcp": Built(
        boxes=(
            Box(
                name="speedtest",
                image="linuxserver/speedtest-tracker",
                env={"INFLUX_URL": "http://influxdb:8086"},
                resolv=ResolvConf(
                    nameservers=("127.0.0.11",), search=("example.org",), options=("edns0", "trust-ad", "ndots:0")
                ),
            ),
            Box(name="influxdb", image="influxdb", listens=(8086,)),
        ),
        dns={"influxdb.example.org": "198.51.100.7"},
    ),
    "pihole-is-first-server": Built(
        boxes=(
            Box(
                name="app",
                resolv=ResolvConf(nameservers=("127.0.0.11",), ext_servers=("10.0.0.77", "10.0.0.21"), options=("ndots:0",)),
            ),
        ),
        resolv=ResolvConf(nameservers=("10.0.0.77", "10.0.0.21")),
        silent=("10.0.0.77",),
    ),
    "public-dns-blocked": Built(
        boxes=(
            Box(
                name="app",
                resolv=ResolvConf(
                    nameservers=("127.0.0.11",), ext_servers=("8.8.8.8", "8.8.4.4", "10.0.0.1"), options=("ndots:0",)
                ),
            ),
        ),
        silent=("8.8.8.8", "8.8.4.4"),
    ),
    "slow-half-dead": Built(
        boxes=(Box(name="app", networks=("bridge",), resolv=ResolvConf(nameservers=("192.168.1.1", "10.0.0.1"))),),
        resolv=ResolvConf(nameservers=("192.168.1.1", "10.0.0.1")),
        silent=("192.168.1.1",),
    ),
    "vpn-split-dns-daemon": Built(
        boxes=(
            Box(name="app", resolv=ResolvConf(nameservers=("127.0.0.11",), ext_servers=("10.0.0.1",), options=("ndots:0",))),
        ),
        resolv=ResolvConf(nameservers=("127.0.0.53",)),
        upstream=ResolvConf(nameservers=("10.0.0.1",)),
        by_host={"private.corp.example": "10.20.0.7"},
        links=VPN,
        routes=(Route(family=4, destination="10.20.0.0/16", gateway="10.8.0.1", link="tun0"),),
    ),
    "vpn-split-dns-1809": Built(
        boxes=(
            Box(name="app", resolv=ResolvConf(nameservers=("127.0.0.11",), ext_servers=("10.0.0.1",), options=("ndots:0",))),
        ),
        resolv=ResolvConf(nameservers=("127.0.0.53",)),
        upstream=ResolvConf(nameservers=("10.0.0.1", "10.20.0.53")),
        by_host={"git.corp.example": "10.20.0.8"},
        links=VPN,
        engine=OLD,
    ),
    "openvpn-pool": Built(boxes=(Box(name="app"),), links=VPN, routes=HALVES, engine=OLD),
    "openemr-vpn-pool": Built(boxes=(Box(name="app", networks=("bridge",)),), links=VPN, routes=PRIVATE, engine=OLD),
    "geopython-vpn-pool": Built(
        boxes=(),
        links=VPN,
        routes=(Route(family=4, destination="0.0.0.0/1", gateway="10.8.0.1", link="tun0"), *HALVES[1:]),
        engine=OLD,
    ),
    "redpanda-console-loopback": Built(
        boxes=(
            Box(
                name="console",
                image="redpandadata/console:v2.1.0",
                env={"KAFKA_BROKERS": "kafka:9092"},
                log=('"addr":"127.0.0.1:9092","broker":"1","err":"dial tcp 127.0.0.1:9092: connect: connection refused"',),
            ),
            Box(name="kafka", image="bitnami/kafka", listens=(9092,), published={9092: 9092}),
        )
    ),
    "redpanda-on-the-host": Built(
        boxes=(
            Box(
                name="console",
                image="vectorized/console",
                networks=("bridge",),
                env={"KAFKA_BROKERS": f"{HOST}:9092"},
                log=('"addr":"0.0.0.0:9092","broker":"1","err":"dial tcp 0.0.0.0:9092: connect: connection refused"',),
            ),
        )
    ),
    "redpanda-outside-listener": Built(
        boxes=(
            Box(name="topics", image="redpanda", env={"BROKERS": "redpanda:9092"}),
            Box(
                name="redpanda",
                image="vectorized/redpanda:v22.2.3",
                listens=(9092, 29092),
                published={9092: 9092},
                command=(
                    "redpanda",
                    "start",
                    "--kafka-addr",
                    "PLAINTEXT://0.0.0.0:29092,OUTSIDE://0.0.0.0:9092",
                    "--advertise-kafka-addr",
                    "PLAINTEXT://redpanda:29092,OUTSIDE://localhost:9092",
                ),
            ),
        )
    ),
    "redpanda-quarkus": Built(
        boxes=(
            Box(
                name="producer",
                env={"KAFKA_BOOTSTRAP_SERVERS": "redpanda:9092"},
                log=("Connection to node 0 (localhost/127.0.0.1:9092) could not be established. Broker may not be available.",),
            ),
            Box(name="redpanda", image="vectorized/redpanda:v21.11.3", listens=(9092,)),
        )
    ),
    "npm-wrong-port": Built(
        boxes=(
            nginx("http://172.18.0.3:80/", image="jc21/nginx-proxy-manager:2", name="nginx-pm"),
            Box(name="jetty", image="jetty:9", listens=(8080,), started="2026-01-02T00:59:00Z"),
        )
    ),
    "caddy-any-address": Built(
        boxes=(
            Box(
                name="caddy",
                image="caddy:2",
                networks=("bridge",),
                listens=(80, 443),
                published={80: 80, 443: 443},
                log=('"logger":"http.log.error","msg":"dial tcp 0.0.0.0:8080: connect: connection refused"',),
            ),
            Box(name="vaultwarden", image="vaultwarden/server", networks=("bridge",), listens=(80, 3012), published={8080: 80}),
        )
    ),
    "console-host-name": Built(
        boxes=(
            Box(
                name="console",
                image="redpandadata/console",
                env={"KAFKA_BROKERS": "host.docker.internal:9092"},
                log=("dial tcp: lookup host.docker.internal on 127.0.0.11:53: no such host",),
            ),
            Box(name="kafka", image="kafka", listens=(9092,), published={9092: 9092}),
        )
    ),
    "kafka-connect": Built(
        boxes=(
            Box(name="connect", image="kafka-connect", env={"CONNECT_BOOTSTRAP_SERVERS": "kafka:9092"}),
            Box(
                name="kafka",
                image="bitnami/kafka",
                listens=(9092,),
                env={"KAFKA_ADVERTISED_LISTENERS": "PLAINTEXT://localhost:9092"},
            ),
        )
    ),
}

HEALTHY: dict[str, Built] = {
    "check kafka for containers and for the host": Built(
        boxes=(
            Box(name="app", env={"KAFKA_BROKERS": "kafka:9092"}),
            Box(
                name="kafka",
                image=KAFKA,
                listens=(9092, 29092),
                published={29092: 29092},
                env={
                    "KAFKA_LISTENERS": "INSIDE://0.0.0.0:9092,OUTSIDE://0.0.0.0:29092",
                    "KAFKA_ADVERTISED_LISTENERS": "INSIDE://kafka:9092,OUTSIDE://localhost:29092",
                },
            ),
        )
    ),
    "reach host kafka:29092": Built(
        boxes=(
            Box(
                name="kafka",
                image=KAFKA,
                listens=(9092, 29092),
                published={29092: 29092},
                env={
                    "KAFKA_LISTENERS": "INSIDE://0.0.0.0:9092,OUTSIDE://0.0.0.0:29092",
                    "KAFKA_ADVERTISED_LISTENERS": "INSIDE://kafka:9092,OUTSIDE://localhost:29092",
                },
            ),
        )
    ),
    "check kafka for the host alone": Built(boxes=(kafka("PLAINTEXT://localhost:9092", published={9092: 9092}),)),
    "reach host kafka:9092": Built(boxes=(kafka("PLAINTEXT://localhost:9092", published={9092: 9092}),)),
    "check kafka whose listeners are not told": Built(
        boxes=(
            Box(name="app", env={"KAFKA_BROKERS": "kafka:9092"}),
            Box(
                name="kafka",
                image=KAFKA,
                listens=(9092, 9093),
                env={"KAFKA_ADVERTISED_LISTENERS": "A://kafka:9092,B://localhost:9093"},
            ),
        )
    ),
    "check mongo, a client that stays": Built(
        boxes=(
            Box(name="app", env={"MONGO_URL": "mongodb://mongo:27017/app?directConnection=true"}),
            Box(
                name="mongo",
                image="mongo:7",
                listens=(27017,),
                command=("--replSet", "rs0"),
                health=("CMD-SHELL", "mongosh --eval \"rs.initiate({_id:'rs0',members:[{_id:0,host:'localhost:27017'}]})\""),
            ),
        )
    ),
    "check mongo by its name": Built(
        boxes=(
            Box(name="app", env={"MONGO_URL": "mongodb://mongo:27017/app?replicaSet=rs0"}),
            Box(
                name="mongo",
                image="mongo:7",
                listens=(27017,),
                health=("CMD-SHELL", "mongosh --eval \"rs.initiate({_id:'rs0',members:[{_id:0,host:'mongo:27017'}]})\""),
            ),
        )
    ),
    "check redis nodes that announce their names": Built(
        boxes=(
            Box(name="app", env={"REDIS_URL": "redis://node1:6379"}),
            *(
                Box(
                    name=f"node{n}",
                    image="redis:7",
                    listens=(6379,),
                    command=("redis-server", "--cluster-enabled", "yes", "--cluster-announce-hostname", f"node{n}"),
                )
                for n in (1, 2)
            ),
        )
    ),
    "reach app redis:6379": Built(
        boxes=(Box(name="app", env={"REDIS_HOST": "redis"}), Box(name="redis", image="redis:7", listens=(6379,)))
    ),
    "reach app postgres:5432": Built(boxes=(Box(name="app"), Box(name="postgres", image="postgres:16", listens=(5432,)))),
    "reach app db:3306": Built(boxes=(Box(name="app"), Box(name="db", image="mariadb:11", listens=(3306,)))),
    "reach proxy web:80": Built(
        boxes=(Box(name="proxy", image="nginx", listens=(80,)), Box(name="web", image="httpd", listens=(80,))),
        replies={("web", 80, "http"): "HTTP/1.1 403 Forbidden", ("web", 80, "http localhost"): "HTTP/1.1 403 Forbidden"},
    ),
    "reach outside ftp:21": Built(
        boxes=(
            Box(
                name="ftp",
                image="fauria/vsftpd",
                listens=(21, 21100),
                published={21: 21, 21100: 21100},
                env={"PASV_ADDRESS": HOST, "PASV_MIN_PORT": "21100"},
            ),
        )
    ),
    "check a proxy that lost an upstream that is back": Built(
        boxes=(nginx("http://172.18.0.3:5001/"), Box(name="api", image="api", listens=(5001,)))
    ),
    "check a client that waited for its database": Built(
        boxes=(
            Box(name="app", env={"DB_HOST": "db"}, log=("dial tcp 172.18.0.3:5432: connect: connection refused", "connected")),
            Box(name="db", image="postgres:16", listens=(5432,)),
        )
    ),
    "check elasticsearch by its name": Built(
        boxes=(
            Box(name="kibana", image="kibana:8", listens=(5601,), env={"ELASTICSEARCH_HOSTS": "http://elasticsearch:9200"}),
            Box(
                name="elasticsearch",
                image="elasticsearch:8",
                listens=(9200, 9300),
                env={"network.publish_host": "elasticsearch", "discovery.type": "single-node"},
            ),
        )
    ),
    "check etcd by its name": Built(
        boxes=(
            Box(name="app", env={"ETCD_ENDPOINTS": "http://etcd:2379"}),
            Box(
                name="etcd",
                image="etcd:3.5",
                listens=(2379, 2380),
                command=(
                    "etcd",
                    "--advertise-client-urls",
                    "http://etcd:2379",
                    "--listen-client-urls=http://0.0.0.0:2379",
                    "--initial-advertise-peer-urls=http://127.0.0.1:2380",
                ),
            ),
        )
    ),
    "check a VPN that leaves pools": Built(
        boxes=(Box(name="app"),),
        links=VPN,
        routes=(Route(family=4, destination="10.20.0.0/16", gateway="10.8.0.1", link="tun0"),),
        engine=OLD,
    ),
    "check two servers that answer": Built(
        boxes=(Box(name="app", resolv=ResolvConf(nameservers=("127.0.0.11",), ext_servers=("10.0.0.77", "10.0.0.21"))),),
    ),
}
