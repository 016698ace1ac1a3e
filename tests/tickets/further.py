"""Further hosts of list.tsv: proxies, brokers, databases, object stores, browsers and clusters, mostly known by their logs."""

from __future__ import annotations

from dockernet_doctor.snapshot.model import ResolvConf
from tests.tickets.network import HOST, Box, Built

POSTGRES = Box(name="postgres", image="postgres:16", listens=(5432,))
NO_NAT = (
    "[#] iptables -t nat -A POSTROUTING -s 10.8.0.0/24 -o eth0 -j MASQUERADE",
    "modprobe: can't change directory to '/lib/modules': No such file or directory",
    "iptables v1.8.10 (legacy): can't initialize iptables table `nat': Table does not exist (do you need to insmod?)",
    "Perhaps iptables or your kernel needs to be upgraded.",
)


def caddy(error: str, name: str = "caddy", *networks: str) -> Box:
    line = f'{{"level":"error","ts":1673468600.13,"logger":"http.log.error","msg":"{error}","status":502}}'
    return Box(
        name=name, image="caddy:2", listens=(80, 443), published={80: 80, 443: 443}, networks=networks or ("app",), log=(line,)
    )


def logs(name: str, image: str, *lines: str, **more: object) -> Box:
    return Box(name=name, image=image, log=lines, **more)  # type: ignore[arg-type]


NDOTS = ResolvConf(nameservers=("127.0.0.11",), search=("cluster.local",), options=("ndots:5",))
TICKETS: dict[str, Built] = {
    "dind-ndots": Built(
        boxes=(
            Box(name="test", listens=(8080,)),
            Box(name="job", libc="musl", resolv=NDOTS, env={"GRPC_TARGET": "http://test:8080"}),
        ),
        dns={"*.cluster.local": "servfail"},
    ),
    "caddy-host-port": Built(
        boxes=(
            caddy("dial tcp 172.18.0.3:4000: connect: connection refused"),
            Box(name="dashy", image="lissy93/dashy", listens=(80,), published={4000: 80}),
        )
    ),
    "caddy-no-network": Built(
        boxes=(
            caddy("dial tcp: lookup node on 127.0.0.11:53: no such host", "caddy", "frontend", "backend"),
            Box(name="node", image="laradock_node", networks=("laradock_default",), listens=(9874,)),
        )
    ),
    "npm-two-projects": Built(
        boxes=(
            Box(
                name="npm",
                image="jc21/nginx-proxy-manager:latest",
                networks=("npm_default",),
                listens=(80, 81, 443),
                published={80: 80, 81: 81, 443: 443},
            ),
            Box(
                name="uptime-kuma",
                image="louislam/uptime-kuma:1",
                networks=("uptime-kuma_default",),
                listens=(3001,),
                published={3001: 3001},
            ),
        )
    ),
    "auth-forward-port": Built(
        boxes=(
            Box(
                name="auth",
                image="beevelop/nginx-basic-auth",
                listens=(80,),
                published={8000: 80},
                env={"FORWARD_HOST": "web", "FORWARD_PORT": "8765"},
            ),
            Box(name="web", image="groob/docker-munki", listens=(80,), published={8765: 80}),
        )
    ),
    "flower-localhost": Built(
        boxes=(
            Box(name="rabbitmq", image="rabbitmq:3.6", listens=(5672,), published={5672: 5672}),
            Box(
                name="flower",
                image="mher/flower:0.9",
                listens=(5555,),
                published={5555: 5555},
                env={"CELERY_BROKER_URL": "amqp://guest:guest@localhost:5672//"},
            ),
        )
    ),
    "celery-log-only": Built(
        boxes=(
            logs(
                "worker",
                "zenodo_worker",
                "[2018-02-02 14:14:04,293: ERROR/MainProcess] consumer: Cannot connect to amqp://guest:**@127.0.0.1:5672//: "
                "[Errno 111] Connection refused.",
                "Trying again in 2.00 seconds...",
            ),
            Box(name="mq", image="rabbitmq:3", listens=(5672, 15672)),
            Box(name="cache", image="redis", listens=(6379,)),
        )
    ),
    "celery-broker-exited": Built(
        boxes=(
            Box(name="rabbitmq", image="rabbitmq:management", status="exited", published={5672: 5672}),
            logs(
                "celery",
                "cyborgbackup",
                "[2021-08-23 08:57:38,809: ERROR/MainProcess] consumer: Cannot connect to "
                "amqp://cyborgbackup:**@rabbitmq:5672/cyborgbackup: failed to resolve broker hostname.",
                "Trying again in 26.00 seconds...",
                env={"CELERY_BROKER_URL": "amqp://cyborgbackup:cyborgbackup@rabbitmq:5672/cyborgbackup"},
            ),
        )
    ),
    "jdbc-wrong-service": Built(
        boxes=(
            Box(name="db", image="postgres:9.3", listens=(5432,)),
            Box(
                name="web",
                image="web",
                listens=(4567,),
                published={4567: 4567},
                env={"jdbc.url": "jdbc:postgresql://postgres:5432/MY_DB"},
            ),
        )
    ),
    "jdbc-log-only": Built(
        boxes=(
            logs(
                "dolphinscheduler-api",
                "apache/dolphinscheduler",
                "Caused by: org.postgresql.util.PSQLException: Connection to 127.0.0.1:5432 refused. Check that the "
                "hostname and port are correct and that the postmaster is accepting TCP/IP connections.",
            ),
            Box(name="dolphinscheduler-postgresql", image="bitnami/postgresql:latest", listens=(5432,)),
        )
    ),
    "jdbc-mapped-port": Built(
        boxes=(
            Box(
                name="svc-intake",
                image="svc-intake:latest",
                listens=(8080,),
                env={"SPRING_DATASOURCE_URL": "jdbc:postgresql://localhost:33287/intake"},
            ),
            Box(name="nervous_wing", image="postgres:9.6", listens=(5432,), published={33287: 5432}),
        )
    ),
    "sail-host-port": Built(
        boxes=(
            Box(
                name="apache2",
                image="laradock_apache2",
                listens=(80,),
                published={80: 80},
                env={"DB_CONNECTION": "mysql", "DB_HOST": "127.0.0.1", "DB_PORT": "3307"},
            ),
            Box(name="mysql", image="mysql:8.0", listens=(3306,), published={3307: 3306}),
        )
    ),
    "sail-renamed-service": Built(
        boxes=(
            Box(
                name="project-name.locale",
                image="sail-8.3/app",
                listens=(80,),
                published={8280: 80},
                env={"DB_CONNECTION": "mysql", "DB_HOST": "mysql", "DB_PORT": "3306"},
            ),
            Box(name="projectname-mysql", image="mysql/mysql-server:8.0", listens=(3306,), published={3306: 3306}),
        )
    ),
    "minio-backup": Built(
        boxes=(
            Box(
                name="haarwunder_db_backup",
                image="databack/mysql-backup:latest",
                env={
                    "DB_SERVER": "haarwunder_db",
                    "AWS_ENDPOINT_URL": "http://localhost:9500/",
                    "DB_DUMP_TARGET": "s3://haarwunder",
                },
            ),
            Box(name="haarwunder_db", image="mysql:8", listens=(3306,)),
            Box(name="minio", image="minio/minio", networks=("bridge",), listens=(9000,), published={9500: 9000}),
        )
    ),
    "minio-other-port": Built(
        boxes=(
            Box(
                name="app",
                image="amruthpillai/reactive-resume:latest",
                listens=(3000,),
                published={3000: 3000},
                env={"STORAGE_ENDPOINT": "minio", "STORAGE_PORT": "9001", "STORAGE_URL": f"http://{HOST}:9001/default"},
            ),
            Box(name="minio", image="minio/minio", listens=(9000,), published={9001: 9001}, command=("server", "/data")),
        )
    ),
    "minio-php-curl": Built(
        boxes=(
            logs(
                "php",
                "php:7-apache",
                "PHP Fatal error:  Uncaught exception 'Aws\\S3\\Exception\\S3Exception' with message 'Error executing "
                '"CreateBucket" on "http://localhost:9004/testbucket"; AWS HTTP error: cURL error 7: Failed to connect to '
                "localhost port 9004: Connection refused (see http://curl.haxx.se/libcurl/c/libcurl-errors.html)'",
                listens=(80,),
                published={80: 80},
            ),
            Box(name="minio1", image="minio/minio:RELEASE.2018-11-06T01-01-02Z", listens=(9000,), published={9004: 9000}),
        )
    ),
    "minio-okhttp": Built(
        boxes=(
            logs(
                "knote",
                "knote-java:2.0.0",
                "java.net.ConnectException: Failed to connect to localhost/127.0.0.1:9000",
                listens=(8080,),
                published={8080: 8080},
                env={"MONGO_URL": "mongodb://mongo:27017/dev"},
            ),
            Box(name="mongo", image="mongo", listens=(27017,)),
            Box(name="minio", image="minio/minio", listens=(9000, 9001), published={9000: 9000}),
        )
    ),
    "selenium-hub-port": Built(
        boxes=(
            Box(name="seleniumhub", image="selenium/hub:2.53.0", listens=(4444,), published={4444: 4444}),
            logs(
                "nodechrome",
                "selenium/node-chrome:2.53.0",
                "12:52:52.184 INFO - Couldn't register this node: The hub is down or not responding: Connect to seleniumhub:80 "
                "[seleniumhub/172.18.0.2] failed: Connection refused",
                listens=(5555,),
            ),
        )
    ),
    "selenium-android": Built(
        boxes=(
            Box(
                name="selenium-android-hub", image="selenium/hub", networks=("bridge",), listens=(4444,), published={4444: 4444}
            ),
            Box(
                name="android-container",
                image="budtmo/docker-android-x86-8.1",
                networks=("bridge",),
                listens=(6080, 4723),
                published={6080: 6080, 4723: 4723},
                env={
                    "APPIUM_HOST": "127.0.0.1",
                    "APPIUM_PORT": "4723",
                    "SELENIUM_HOST": "127.0.0.1",
                    "SELENIUM_PORT": "4444",
                },
            ),
        )
    ),
    "k3d-kubeconfig": Built(
        boxes=(
            logs(
                "thekindkeptn",
                "gardnera/thekindkeptn:0.0.8",
                "The connection to the server 0.0.0.0:40813 was refused - did you specify the right host or port?",
                networks=("bridge",),
            ),
            Box(
                name="k3d-mykeptn-serverlb",
                image="rancher/k3d-proxy:5.3.0",
                networks=("k3d-mykeptn",),
                listens=(80, 6443),
                published={80: 80, 40813: 6443},
            ),
            Box(
                name="k3d-mykeptn-server-0", image="rancher/k3s:v1.22.6-k3s1", networks=("k3d-mykeptn",), listens=(6443, 10250)
            ),
        )
    ),
    "act-service": Built(
        boxes=(
            logs(
                "act-test-and-build-tests",
                "node:12.16.1-stretch",
                "MongooseServerSelectionError: getaddrinfo ENOTFOUND mongodb",
            ),
        )
    ),
    "prometheus-host-internal": Built(
        boxes=(
            logs(
                "prometheus",
                "prom/prometheus",
                'level=debug component="scrape manager" scrape_pool=docker-workers msg="Scrape failed" err="Get '
                "http://host.docker.internal:9323/metrics: dial tcp: lookup host.docker.internal on 127.0.0.11:53: no such "
                'host"',
                listens=(9090,),
                published={9090: 9090},
            ),
        )
    ),
    "wg-easy-no-nat-table": Built(
        boxes=(
            logs(
                "wg-easy",
                "ghcr.io/wg-easy/wg-easy",
                *NO_NAT,
                status="restarting",
                published={51820: "51820/udp", 51821: 51821},
                env={"WG_HOST": "vpn.example.org"},
            ),
        )
    ),
}


HEALTHY: dict[str, Built] = {
    "check clients that waited for their servers": Built(
        boxes=(
            logs("api", "api", "Connection to postgres:5432 refused. Check that the hostname and port are correct.", "started"),
            logs(
                "worker",
                "worker",
                "[ERROR] consumer: Cannot connect to amqp://app:**@mq:5672//: [Errno 111] Connection refused.",
            ),
            logs("cron", "cron", "dial tcp: lookup postgres on 127.0.0.11:53: no such host"),
            Box(name="mq", image="rabbitmq:3", listens=(5672, 15672)),
            POSTGRES,
        )
    ),
    "check a name that was asked for long ago": Built(
        boxes=(
            logs("web", "node:22", "Error: getaddrinfo ENOTFOUND statsd", "metrics are off", "listening on 3000", "GET / 200"),
        )
    ),
    "check a name of the wide world": Built(
        boxes=(logs("web", "node:22", "Error: getaddrinfo ENOTFOUND updates.example.com"),)
    ),
    "check a VPN that took the other iptables": Built(
        boxes=(logs("wg-easy", "ghcr.io/wg-easy/wg-easy", *NO_NAT, "iptables-nft is used", udp=(51820,)),)
    ),
    "check a proxy at the ports of containers": Built(
        boxes=(
            Box(name="caddy", image="caddy:2", listens=(80, 443), published={80: 80, 443: 443}),
            Box(name="dashy", image="lissy93/dashy", listens=(80,), published={4000: 80}),
            Box(name="seleniumhub", image="selenium/hub", listens=(4444,), published={4444: 4444}),
            logs(
                "node", "selenium/node", "Couldn't register this node: Connect to seleniumhub:4444 failed: Connection refused"
            ),
        )
    ),
    "check a page that sends browsers to the host": Built(
        boxes=(
            Box(name="app", env={"S3_ENDPOINT": "http://minio:9000", "S3_PUBLIC_URL": "http://localhost:9500"}, listens=(80,)),
            Box(name="minio", image="minio/minio", listens=(9000,), published={9500: 9000}),
        )
    ),
    "check a job that asks in the order of Go": Built(
        boxes=(
            Box(name="test", listens=(8080,)),
            Box(name="job", libc="go", resolv=NDOTS, env={"GRPC_TARGET": "http://test:8080"}),
        ),
        dns={"*.cluster.local": "servfail"},
    ),
    "check a job whose search domain knows no such name": Built(
        boxes=(
            Box(name="test", listens=(8080,)),
            Box(name="job", libc="musl", resolv=NDOTS, env={"GRPC_TARGET": "http://test:8080"}),
        ),
    ),
}
