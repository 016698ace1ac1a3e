"""Hosts of list.tsv that turn on a server which is absent, late, elsewhere or on another port, as users first met them."""

from __future__ import annotations

from tests.tickets.further import POSTGRES, logs
from tests.tickets.hosts import nginx
from tests.tickets.network import Box, Built

OLD_FILES = (
    "PostgreSQL Database directory appears to contain a database; Skipping initialization",
    "2022-07-18 08:30:07.657 UTC [1] FATAL:  database files are incompatible with server",
    "DETAIL:  The data directory was initialized by PostgreSQL version 11, which is not compatible with this version 12.9.",
)

TICKETS: dict[str, Built] = {
    "kaspa-host-internal": Built(
        boxes=(
            Box(name="prometheus", image="prom/prometheus", listens=(9090,), published={9090: 9090}),
            logs(
                "grafana",
                "grafana/grafana:9.3.6",
                'logger=tsdb.prometheus t=2023-02-23T10:11:12Z level=error msg="Error received from Prometheus" err="Post '
                '\\"http://host.docker.internal:9090/api/v1/query\\": dial tcp: lookup host.docker.internal on 127.0.0.11:53: '
                'no such host"',
                listens=(3000,),
                published={3000: 3000},
            ),
        )
    ),
    "grafana-query-range": Built(
        boxes=(
            Box(name="prometheus", image="prom/prometheus:latest", listens=(9090,), published={9090: 9090}),
            logs(
                "grafana",
                "grafana/grafana",
                't=2020-11-22T10:11:12+0000 lvl=eror msg="Metric request error" logger=context userId=1 orgId=1 uname=admin '
                'error="tsdb.HandleRequest() error Post \\"http://localhost:9090/api/v1/query_range\\": dial tcp '
                '127.0.0.1:9090: connect: connection refused"',
                listens=(3000,),
                published={3000: 3000},
            ),
        )
    ),
    "python-alert": Built(
        boxes=(Box(name="alert", image="python:3", networks=("bridge",), loopback=(8955,), published={8955: 8955}),)
    ),
    "akita-daemon": Built(
        boxes=(Box(name="akita", image="akitasoftware/cli", networks=("bridge",), loopback=(50080,), published={50080: 50080}),)
    ),
    "open-loyalty-db": Built(
        boxes=(
            Box(name="openloyalty_db", image="postgres:9.6", status="exited", aliases=("db",)),
            logs(
                "openloyalty_backend",
                "openloyalty_backend",
                "db: forward host lookup failed: Unknown host",
                "===> Waiting database on db:5432 ...",
            ),
        )
    ),
    "fbctf-alone": Built(
        boxes=(
            logs(
                "fbctf",
                "alexgaspar/fbctf",
                *("nc: getaddrinfo: Name or service not known", "Waiting for mysql to start") * 3,
                networks=("bridge",),
                published={80: 80, 443: 443},
            ),
        )
    ),
    "limesurvey-name": Built(
        boxes=(
            Box(name="dockerlimesurvey_lime-db_1", image="mysql:5.7", listens=(3306,), aliases=("lime-db",)),
            logs(
                "dockerlimesurvey_limesurvey_1",
                "martialblog/limesurvey",
                "Info: Waiting for database connection...",
                "docker-limesurvey_lime-db_1: forward host lookup failed: Unknown host",
                published={80: 80},
                env={"DB_HOST": "docker-limesurvey_lime-db_1"},
            ),
        )
    ),
    "standardnotes-database": Built(
        boxes=(
            Box(name="standardnotes_db_1", image="mariadb:10.3", listens=(3306,), aliases=("db",)),
            logs(
                "standardnotes_standardfile_1",
                "mdouchement/standardfile",
                "#<Mysql2::Error: Can't connect to MySQL server on 'database' (115)>",
                env={"DB_HOST": "database", "DB_DATABASE": "standardfile", "DB_USERNAME": "root"},
            ),
        )
    ),
    "keymetrics-realtime": Built(
        boxes=(
            logs(
                "on-premise_nginx_1",
                "nginx",
                '2020/07/02 02:40:28 [emerg] 1#1: host not found in upstream "realtime" in /etc/nginx/conf.d/default.conf:7',
                'nginx: [emerg] host not found in upstream "realtime" in /etc/nginx/conf.d/default.conf:7',
                status="restarting",
                published={80: 80},
            ),
            Box(name="on-premise_mongodb_1", image="mongo:3.4", listens=(27017,), aliases=("mongodb",)),
        )
    ),
    "codewithdan-node1": Built(
        boxes=(
            logs(
                "nginx",
                "danwahlin/nginx",
                '2018/03/15 10:11:12 [emerg] 1#1: host not found in upstream "node1:8080" in /etc/nginx/nginx.conf:9',
                'nginx: [emerg] host not found in upstream "node1:8080" in /etc/nginx/nginx.conf:9',
                status="exited",
                published={80: 80, 443: 443},
            ),
            logs(
                "node-codewithdan-1",
                "danwahlin/node-codewithdan",
                "npm ERR! missing script: start",
                status="exited",
                aliases=("node1",),
            ),
        )
    ),
    "compose-restarted-app": Built(
        boxes=(
            nginx("http://172.18.0.9:8080/", error="113: No route to host", image="nginx:1.9"),
            Box(name="app", image="app", listens=(8080,)),
        )
    ),
    "icinga-mysql": Built(
        boxes=(
            logs("icingadb-mysql", "mariadb", "mysqld: unknown variable 'log_bin_trust=1'", status="restarting"),
            logs(
                "icingadb",
                "lippserd/icingadb",
                'time="2020-09-11T08:32:11Z" level=debug msg="checking SQL database"',
                'time="2020-09-11T08:32:12Z" level=fatal msg="dial tcp 172.18.0.2:3306: connect: no route to host"',
                status="exited",
            ),
        )
    ),
    "eshopping-early": Built(
        boxes=(
            Box(
                name="eshopping_db_1",
                image="mysql",
                listens=(3306,),
                published={3306: 3306},
                aliases=("db",),
                started="2026-01-02T03:03:50Z",
            ),
            logs(
                "eshopping_eshopping_1",
                "eshopping",
                "com.mysql.cj.jdbc.exceptions.CommunicationsException: Communications link failure",
                "The last packet sent successfully to the server was 0 milliseconds ago. The driver has not received any "
                "packets from the server.",
                "Caused by: java.net.ConnectException: Connection refused (Connection refused)",
                status="exited",
                published={8082: 8082},
                env={"DB_URL": "jdbc:mysql://db:3306/spring_security_data?serverTimezone=UTC"},
            ),
        )
    ),
    "zigbee-1833": Built(
        boxes=(
            Box(name="mosquitto", image="eclipse-mosquitto:latest", listens=(1883,), published={1883: 1883}),
            logs(
                "zigbee2mqtt",
                "koenkk/zigbee2mqtt",
                "Zigbee2MQTT:error 2023-01-22 10:11:12: MQTT error: connect ECONNREFUSED 172.18.0.2:1833",
                "Zigbee2MQTT:error 2023-01-22 10:11:12: MQTT failed to connect, exiting...",
                status="restarting",
                started="2026-01-02T03:03:50Z",
                published={8080: 8080},
            ),
        )
    ),
    "zigbee-loopback": Built(
        boxes=(
            Box(
                name="mqtt",
                image="eclipse-mosquitto:2.0",
                listens=(1883,),
                published={1883: 1883, 9001: 9001},
                command=("mosquitto", "-c", "/mosquitto-no-auth.conf"),
            ),
            logs(
                "zigbee2mqtt",
                "koenkk/zigbee2mqtt",
                "Zigbee2MQTT:info  2024-02-23 17:41:16: Connecting to MQTT server at mqtt://localhost",
                "Zigbee2MQTT:error 2024-02-23 17:41:16: MQTT error: connect ECONNREFUSED 127.0.0.1:1883",
                status="restarting",
                published={8080: 8080},
            ),
        )
    ),
    "ollama-gui": Built(
        boxes=(Box(name="ollama-gui", image="ollama-gui", networks=("bridge",), listens=(80,), published={8080: 8080}),)
    ),
    "embetacloud": Built(
        boxes=(
            Box(name="embetacloud", image="mrigank11/embetacloud", networks=("bridge",), listens=(3000,), published={80: 80}),
        )
    ),
    "fusionauth-db": Built(
        boxes=(
            logs("fusionauth-db-1", "postgres:12.9", *OLD_FILES, status="exited", aliases=("db",)),
            logs(
                "fusionauth-fusionauth-1",
                "fusionauth/fusionauth-app:latest",
                "2022-07-18 08:31:00.000 AM ERROR com.inversoft.maintenance.DefaultMaintenanceModeDatabaseService - Unable to "
                "connect to the database",
                "org.postgresql.util.PSQLException: The connection attempt failed.",
                "Caused by: java.net.UnknownHostException: db",
                listens=(9011,),
                published={9011: 9011},
                env={"DATABASE_URL": "jdbc:postgresql://db:5432/fusionauth"},
            ),
        )
    ),
    "nextcloud-postgres-17": Built(
        boxes=(
            logs("postgres", "postgres:17", *OLD_FILES, status="restarting"),
            logs(
                "nextcloud",
                "lscr.io/linuxserver/nextcloud",
                'SQLSTATE[08006] [7] could not translate host name "postgres" to address: Name does not resolve',
                listens=(80, 443),
                published={444: 443},
            ),
        )
    ),
    "opensearch-node1": Built(
        boxes=(
            logs(
                "opensearch-node1",
                "opensearchproject/opensearch:latest",
                "ERROR: [1] bootstrap checks failed",
                "[1]: max virtual memory areas vm.max_map_count [65530] is too low, increase to at least [262144]",
                status="exited",
                published={9200: 9200},
            ),
            logs(
                "opensearch-dashboards",
                "opensearchproject/opensearch-dashboards:latest",
                '{"type":"log","@timestamp":"2022-08-19T17:14:40Z","tags":["error","opensearch","data"],"pid":1,"message":'
                '"[ConnectionError]: getaddrinfo ENOTFOUND opensearch-node1"}',
                listens=(5601,),
                published={5601: 5601},
            ),
        )
    ),
    "lando-two-sites": Built(
        boxes=(
            Box(name="site1", image="devwithlando/php:7.4-apache-2", networks=("site1_default",), listens=(80,)),
            Box(name="site2", image="devwithlando/php:7.4-apache-2", networks=("site2_default",), listens=(80,)),
        )
    ),
    "owa-host-port": Built(
        boxes=(
            Box(name="www", image="www", listens=(80,), published={80: 80}),
            Box(name="open-web-analytics", image="vladk1m0/docker-owa:latest", listens=(80,), published={8081: 80}),
        )
    ),
    "couchdb-greenwood": Built(
        boxes=(
            logs(
                "greenwood-web-1",
                "gregcello/greenwood:dev",
                "{ Error: connect ECONNREFUSED 127.0.0.1:5984",
                "    at TCPConnectWrap.afterConnect [as oncomplete] (net.js:1113:14)",
                "  errno: 'ECONNREFUSED', code: 'ECONNREFUSED', syscall: 'connect', address: '127.0.0.1', port: 5984 }",
                listens=(3000,),
                published={3000: 3000},
                aliases=("web",),
            ),
            Box(name="greenwood-couch-1", image="couchdb", listens=(5984,), published={5984: 5984}, aliases=("couch",)),
        )
    ),
}


HEALTHY: dict[str, Built] = {
    "check scripts that waited and went on": Built(
        boxes=(
            logs(
                "fbctf",
                "alexgaspar/fbctf",
                *("nc: getaddrinfo: Name or service not known", "Waiting for mysql to start") * 3,
                "MySQL started",
                "Starting nginx",
                "fbctf is ready",
                listens=(80,),
                published={80: 80},
            ),
            Box(name="sql", image="mysql:8", listens=(3306,)),
        )
    ),
    "check names that are well by now": Built(
        boxes=(
            logs(
                "api", "api", 'SQLSTATE[08006] [7] could not translate host name "postgres" to address: Name does not resolve'
            ),
            logs(
                "worker",
                "worker",
                "postgres: forward host lookup failed: Unknown host",
                "===> Waiting database on postgres:5432",
            ),
            logs("job", "job", "Waiting for postgres to start", "nc: bad address 'postgres'"),
            POSTGRES,
        )
    ),
    "check names of the wide world that were not there": Built(
        boxes=(
            logs("app", "app", "curl: (6) Could not resolve host: packages.example.org"),
            logs("mail", "mail", "java.net.UnknownHostException: smtp.example.com"),
        )
    ),
}
