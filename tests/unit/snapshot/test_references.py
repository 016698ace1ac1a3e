from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockernet_doctor.snapshot.model import Reference
from dockernet_doctor.snapshot.references import of_settings, of_value

Target = tuple[str, str, int | None]


def targets(references: Iterable[Reference]) -> list[Target]:
    return [(item.scheme, item.host, item.port) for item in references]


def env(*items: str) -> list[Target]:
    return targets(of_settings(env=items))


def command(*words: str) -> list[Target]:
    return targets(of_settings(command=words))


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("DATABASE_URL=postgres://user:pass@db:5432/x", [("postgres", "db", 5432)]),
        ("DATABASE_URL=postgresql+psycopg2://user:pass@db/x", [("postgresql+psycopg2", "db", 5432)]),
        ("CELERY_RESULT_BACKEND=db+postgresql://user:pass@db/x", [("db+postgresql", "db", 5432)]),
        ("URL=http://api", [("http", "api", 80)]),
        ("URL=https://api.example.com:8443/v1?key=x", [("https", "api.example.com", 8443)]),
        ("URL=http://[::1]:8080/x", [("http", "::1", 8080)]),
        ("URL=http://[FD00::0001]/", [("http", "fd00::1", 80)]),
        ("SPRING_DATASOURCE_URL=jdbc:postgresql://db/app?user=a&password=b", [("postgresql", "db", 5432)]),
        ("U=jdbc:sqlserver://sql:1433;databaseName=x;password=y", [("sqlserver", "sql", 1433)]),
        ("U=jdbc:oracle:thin:scott/tiger@ora:1521:XE", [("oracle", "ora", 1521)]),
        ("U=jdbc:oracle:thin:@//ora:1521/XE", [("oracle", "ora", 1521)]),
        ("MONGO=mongodb://u:p@m1:27017,m2:27018/db?replicaSet=rs", [("mongodb", "m1", 27017), ("mongodb", "m2", 27018)]),
        ("MONGO=mongodb+srv://u:p@cluster.example/db", [("mongodb+srv", "cluster.example", None)]),
        ("BROKER=amqp://guest:guest@rabbit//", [("amqp", "rabbit", 5672)]),
        ("BOOTSTRAP=PLAINTEXT://k1:9092,SSL://k2:9093", [("plaintext", "k1", 9092), ("ssl", "k2", 9093)]),
        ("KAFKA_BOOTSTRAP_SERVERS=k1:9092,k2:9092", [("", "k1", 9092), ("", "k2", 9092)]),
        ("ETCD_INITIAL_CLUSTER=n1=http://a:2380,n2=http://b:2380", [("http", "a", 2380), ("http", "b", 2380)]),
        ('ES_HOSTS=["http://es1:9200","http://es2:9201"]', [("http", "es1", 9200), ("http", "es2", 9201)]),
        ("DSN=user:pass@tcp(db:3306)/shop?parseTime=true", [("mysql", "db", 3306)]),
        ("DATA_SOURCE_NAME=exporter:pass@(db:3306)/", [("mysql", "db", 3306)]),
        ("PG_DSN=host=db port=5433 user=a password=b", [("", "db", 5433)]),
        ("CONNECTION_STRING=Server=tcp:sql,1433;Database=x;User Id=sa;Password=p", [("", "sql", 1433)]),
        ("ConnectionStrings__Redis=redis:6379,password=x,ssl=False", [("", "redis", 6379)]),
        ("UPSTREAM=10.0.0.7:9000", [("", "10.0.0.7", 9000)]),
        ("UPSTREAM=[fd00::1]:9000", [("", "fd00::1", 9000)]),
        ("API_ADDR=10.0.0.7", [("", "10.0.0.7", None)]),
        ("SMTP_SERVER=mail", [("", "mail", None)]),
        ("HTTP_PROXY=http://u:p@proxy:3128", [("http", "proxy", 3128)]),
        ("NO_PROXY=localhost,.corp,10.0.0.0/8", [("", "localhost", None), ("", ".corp", None), ("", "10.0.0.0/8", None)]),
        ("VIRTUAL_HOST=shop.example", [("", "shop.example", None)]),
        ("VIRTUAL_PORT=8080", [("", "", 8080)]),
        ("ZOOKEEPER_CONNECT=zk1:2181,zk2:2181/kafka", [("", "zk1", 2181), ("", "zk2", 2181)]),
    ],
)
def test_addresses(setting: str, expected: list[Target]) -> None:
    assert env(setting) == expected


@pytest.mark.parametrize(
    "setting",
    [
        "VERSION=1.2.3.4", "START=12:30", "WINDOW=12:30-13:45", "AT=2024-01-01T10:45:53", "AT=2024-01-01T10:53",
        "IMAGE=redis:6379", "BASE=redis:7", "PATH=/bin:/usr/bin", "VOLUME=/data:80", "USER=1000:1000", "RATIO=16:9",
        "LISTEN_ADDR=0.0.0.0:8080", "BIND=10.0.0.1:8080", "KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://kafka:9092",
        "KAFKA_LISTENERS=PLAINTEXT://0.0.0.0:9092", "ETCD_LISTEN_CLIENT_URLS=http://127.0.0.1:2379", "ADDR=:8080",
        "ASPNETCORE_URLS=http://localhost:5000", "FLASK_RUN_HOST=127.0.0.1",
        "URL=http://0.0.0.0:8080", "HOST=localhost", "SERVER_ADDRESS=127.0.0.1", "ALLOWED_HOSTS=web,localhost",
        "CORS_ORIGIN_HOSTS=web", "POSTGRES_HOST_AUTH_METHOD=trust", "DB=sqlite:////data/x.db", "DB_HOST=", "DB_HOST=none",
        "DOCKER_HOST=unix:///var/run/docker.sock", "BASIC_AUTH=admin:12345", "DB_PASSWORD=db:5432", "API_URL=/api/v1",
        "MAC=02:42:ac:11:00:02", "DB_HOST=$DB", "A=http://${HOST}:80/", "OPTS=-Xmx512m", "PORT=70000", "HOSTNAME=web",
        "JAVA_VERSION=jdk-17.0.1+12", "LOG_FORMAT=%h:%p", "DB_HOST=/var/run/postgresql", "SFTP_USERS=foo:12345",
    ],
)  # fmt: skip
def test_what_is_no_address_of_another(setting: str) -> None:
    assert env(setting) == []


def test_a_host_and_the_port_beside_it() -> None:
    assert env("DB_HOST=db", "DB_PORT=5432", "REDIS_PORT=6379") == [("", "db", 5432)]
    assert env("spring.redis.host=cache", "spring.redis.port=6380") == [("", "cache", 6380)]
    assert env("PGHOST=db", "PGPORT=5433") == [("", "db", 5433)]
    assert env("MYSQL_HOST=db", "MYSQL_TCP_PORT=3307") == [("", "db", 3307)]
    assert env("DB_HOST=db:1234", "DB_PORT=5432") == [("", "db", 1234)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["app", "--upstream=http://api:8080", "--db", "db:5432"], [("http", "api", 8080), ("", "db", 5432)]),
        (["psql", "-h", "db", "-p", "5432", "-U", "app"], [("", "db", 5432)]),
        (["mysql", "--host=db", "--password=x", "--port=3307"], [("", "db", 3307)]),
        (["app", "--db-host", "db", "--db-port", "5433", "--port=80"], [("", "db", 5433)]),
        (["wait-for-it.sh", "db:5432", "--", "npm", "start"], [("", "db", 5432)]),
        (["sh", "-c", "until nc -z db:5432; do sleep 1; done; exec app"], [("", "db", 5432)]),
        (["sh", "-c", "DB_HOST=db exec app"], [("", "db", None)]),
        (["celery", "-b", "redis://cache/0", "worker"], [("redis", "cache", 6379)]),
        (["curl", "-u", "admin:12345", "http://api:81/"], [("http", "api", 81)]),
        (["sh", "-c", "unbalanced ' http://api"], [("http", "api", 80)]),
        (["app", "--listen", "10.0.0.1:80", "--web.listen-address=:9090", "--bind=127.0.0.1:81"], []),
        (["uvicorn", "--host", "127.0.0.1", "--port", "8000"], []),
        (["gunicorn", "-b", "127.0.0.1:8000"], []),
        (["docker-entrypoint.sh", "postgres"], []),
    ],
)
def test_commands(words: Sequence[str], expected: list[Target]) -> None:
    assert command(*words) == expected


def test_labels_and_health_checks() -> None:
    found = of_settings(
        labels={
            "traefik.http.services.api.loadbalancer.server.port": "8080",
            "traefik.docker.network": "proxy",
            "traefik.http.routers.api.rule": "Host(`api.example:80`)",
            "org.opencontainers.image.source": "https://git.example/x",
            "com.docker.compose.project.working_dir": "http://x",
            "caddy.reverse_proxy": "{{upstreams 3000}}",
            "backend": "http://api:81/x",
        },
        health_test=("CMD-SHELL", "curl -f http://localhost:8080/health || exit 1"),
    )
    assert [(item.where, item.host, item.port) for item in found] == [
        ("label", "", 8080),
        ("label", "proxy", None),
        ("label", "", None),  # the rule: Traefik leads here
        ("label", "", 3000),
        ("label", "api", 81),
        ("health check", "localhost", 8080),
    ]
    assert of_settings(health_test=("NONE",)) == ()
    port = "traefik.http.services.api.loadbalancer.server.port"
    assert of_settings(labels={"traefik.enable": "false", port: "8080"}) == ()
    assert [item.port for item in of_settings(labels={"traefik.enable": "true", port: "8080"})] == [None, 8080]


def test_the_network_that_traefik_is_to_take() -> None:
    assert command("traefik", "--providers.docker.network=web", "--api.dashboard=true") == [("", "web", None)]
    assert env("TRAEFIK_PROVIDERS_DOCKER_NETWORK=web") == [("", "web", None)]


SECRET = st.text("abcXYZ0189_-/?#@:&=+%!$*.,;~^()[]{}|", min_size=6, max_size=20).map(lambda text: f"S3c{text}t")
PLAIN_SECRET = st.text("abcXYZ0189_-.~!$&*+=%", min_size=6, max_size=20).map(lambda text: f"S3c{text}t")


@settings(deadline=None, derandomize=True)
@given(SECRET, st.sampled_from(["postgres", "http", "amqp", "redis", "mongodb", "jdbc:mysql"]))
def test_no_password_of_a_url_stays(secret: str, scheme: str) -> None:
    for value in (
        f"{scheme}://user:{secret}@db:5432/shop",
        f"{scheme}://db:5432/shop?password={secret}",
        f"{scheme}://{secret}@db",
    ):
        kept = [(item.key, item.scheme, item.host) for item in of_value("environment", "DATABASE_URL", value)]
        assert not [part for item in kept for part in item if secret in part], kept


@settings(deadline=None, derandomize=True)
@given(PLAIN_SECRET, st.sampled_from(["PASSWORD", "API_TOKEN", "SECRET_KEY", "DB_PASS", "GITHUB_AUTH"]))
def test_no_secret_setting_stays(secret: str, key: str) -> None:
    found = of_settings(
        env=[f"{key}={secret}", f"{key}=user:{secret}", f"{key}={secret}:8080", f"DSN=u:{secret}@tcp(db:3306)/x"],
        command=["app", "--password", secret, f"--api-token={secret}:99", "-u", f"bob:{secret}"],
        labels={"auth": f"user:{secret}"},
        health_test=["CMD-SHELL", f"mysqladmin -p{secret} -h db ping"],
    )
    assert not [item for item in found if secret in f"{item.key} {item.scheme} {item.host}"]


@settings(deadline=None, derandomize=True)
@given(st.text(max_size=60), st.text(max_size=80))
def test_any_setting_gives_valid_records(key: str, value: str) -> None:
    for item in of_settings(env=[f"{key}={value}"], command=[value, key], labels={key: value}):
        assert item.port is None or 0 < item.port < 65536
        assert item.host or item.port
        assert not any(character.isspace() for character in item.host)


def test_what_a_command_prints_is_not_dialled() -> None:
    said = command("sh", "-c", "echo open http://localhost:3000 && printf 'db: %s' db:5432; exec serve --api http://api:8000")
    assert said == [("http", "api", 8000)]
    assert command("sh", "-c", "echo stats | nc db 6379; curl http://web") == [("http", "web", 80)]
    script = "echo >&2 'set URL, as redis://localhost'; sed -i s,http://localhost:3000,http://api, /etc/x 2>&1; curl http://web"
    assert command("sh", "-c", script) == [("http", "web", 80)]
    assert env("README=see http://localhost:3000", "MOTD=at http://db", "MESSAGE_BROKER=amqp://mq") == [("amqp", "mq", 5672)]


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("WORDPRESS_CONFIG_EXTRA=define('WP_HOME', 'http://localhost:8000'); define('WP_SITEURL','http://localhost:80/');", []),
        ("GITLAB_OMNIBUS_CONFIG=external_url 'http://localhost:8929'; gitlab_rails['x'] = 1", []),
        ('JSON={"app":{"base-url":"http://localhost:8080"},"db":"http://localhost:5984"}', [("http", "localhost", 5984)]),
        ("SETTINGS=redirect_uri=http://127.0.0.1:9000/cb;api=http://127.0.0.1:9001", [("http", "127.0.0.1", 9001)]),
        ("SETTINGS=home=http://web:80", [("http", "web", 80)]),
        ("SETTINGS=root=redis://localhost", [("redis", "localhost", 6379)]),
    ],
)  # fmt: skip
def test_code_that_tells_browsers_where_they_find_this_service(setting: str, expected: list[Target]) -> None:
    """The name beside the URL says what it is for, not that of the variable; only localhost means another machine to them."""
    assert env(setting) == expected
