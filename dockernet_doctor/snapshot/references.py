"""Settings reduced to where they point: environment, command, labels and health check become `Reference` records.

Nothing else of them is kept, so that no secret can be: a record holds the key, a scheme, a host and a port. What is not
clearly an address gives no record (a version, a time, an image, a path), nor does what a service listens on (0.0.0.0,
LISTEN_ADDR, --bind, ADVERTISED_LISTENERS).
"""

from __future__ import annotations

import ipaddress
import re
import shlex
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from dockernet_doctor.notation import UNSPECIFIED, is_loopback
from dockernet_doctor.regex import regex
from dockernet_doctor.snapshot.model import Reference
from dockernet_doctor.snapshot.secrets import is_secret_key

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


DEFAULT_PORTS = {
    "http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21, "sftp": 22, "ssh": 22, "git": 9418, "dns": 53,
    "postgres": 5432, "postgresql": 5432, "pgsql": 5432, "psql": 5432, "pg": 5432, "cockroachdb": 26257,
    "mysql": 3306, "mariadb": 3306, "mysql2": 3306, "mysqlx": 33060, "sqlserver": 1433, "mssql": 1433, "oracle": 1521,
    "redis": 6379, "rediss": 6379, "valkey": 6379, "memcached": 11211, "mongodb": 27017, "couchdb": 5984,
    "cassandra": 9042, "clickhouse": 9000, "influxdb": 8086, "neo4j": 7687, "bolt": 7687, "elasticsearch": 9200,
    "amqp": 5672, "amqps": 5671, "rabbitmq": 5672, "mqtt": 1883, "mqtts": 8883, "stomp": 61613, "nats": 4222,
    "kafka": 9092, "pulsar": 6650, "zk": 2181, "zookeeper": 2181, "consul": 8500, "etcd": 2379,
    "smtp": 25, "smtps": 465, "imap": 143, "imaps": 993, "pop3": 110, "pop3s": 995, "ldap": 389, "ldaps": 636,
    "gelf": 12201, "syslog": 514, "statsd": 8125, "socks5": 1080, "socks5h": 1080, "rtsp": 554, "rtmp": 1935, "sip": 5060,
}  # fmt: skip

_SERVICE_PORTS = frozenset(
    (*DEFAULT_PORTS.values(), *range(3000, 3011), *range(8000, 8011), *range(8080, 8091), 4000, 4317, 4318, 5000, 5001, 6432,
     7000, 7001, 7946, 8443, 8888, 9001, 9090, 9091, 9093, 9100, 9200, 9300, 9443)
)  # fmt: skip
_PEOPLE = _words("admin administrator root user username guest login test demo default me sa system operator manager anonymous")

# Schemes whose rest is no host: files, sockets, images, cloud resources.
_NO_HOST = _words(
    "file unix unixgram unixpacket npipe fd sqlite sqlite3 s3 s3a gs gcs abfs abfss wasb wasbs azblob data classpath jar "
    "vault docker docker-image docker-archive oci oci-archive containerd secret env arn resource about urn http+unix "
    "https+unix chrome-extension memory mem inmemory null stub local dir systemd journald"
)
_LABELS_OF_TOOLS = (
    "org.opencontainers.", "org.label-schema.", "com.docker.", "desktop.docker.", "io.buildah.", "io.buildpacks.",
)  # fmt: skip

# Words of a key that say: not a target. What it listens on or tells others; and what is no address at all.
_OWN = _words(
    "listen listener listeners listening bind binding bindings advertise advertised announce announced expose aspnetcore"
    " kestrel"
)
_NEVER = _words(
    "image images version versions tag tags path paths user users username uid gid group owner chown time timezone tz date "
    "login logins account accounts member members people "
    "cron schedule umask mode level locale lang size memory mem cpu email subject title description"
)  # fmt: skip
# Text for people.
_PROSE = _words("description readme motd banner")
# Names that others use for this very service: kept as URLs, not as bare names.
_PUBLIC = _words(
    "allowed trusted cors origin origins public external canonical site cookie letsencrypt acme domain domains name "
    "hostnames aliases san sans node self my pod container wsgi asgi dev flask gunicorn uvicorn hypercorn"
)  # fmt: skip
_ADDRESS_KEY = regex(
    r"(?:host|hosts|hostname|addr|addrs|address|addresses|server|servers|url|urls|uri|uris|endpoint|endpoints|broker|brokers"
    r"|seeds|upstream|upstreams|backend|proxy|master|connect|resolver|nameserver)$"
)
# A service's own address, by these words alone (SERVER_ADDRESS, --host, HTTP_ADDR); loopback there means "listen here".
_AMBIGUOUS = _words(
    "host hosts hostname addr address http https server app web grpc api ip interface url uri rpc admin metrics ui console "
    "gui dashboard service"
)  # fmt: skip
_NO_NAMES = _words(
    "true false yes no on off none null nil auto default any all enabled disabled required optional dynamic internal external "
    "production development staging test unix socket"
)  # fmt: skip
_LOW_PORTS = frozenset((21, 22, 23, 25, 53, 67, 69))
_HOST_PORT_FROM = 80  # below it "redis:7" is an image and "level:3" a setting

# Settings whose URL of localhost only browsers know, whoever publishes its port: CORS_ORIGIN, OAUTH_CALLBACK, APP_URL.
OF_BROWSERS = regex(
    r"(?i)(?:^|[_.-])(?:cors|csrf|csp|security_?policy|frame_?(?:options|ancestors)|origins?|allowed|trusted|public|external|"
    r"canonical|cookie|redirect|callback|return|success|cancel|logout|referr?er|domains?|server_?name|swagger|audience|"
    r"site_?ur[il]|oauth2?_auth_url|authori[sz](?:e|ation)[_.-]?(?:ur[il]|endpoint))(?:[_.-]|$)|"
    r"^(?:APP|NEXTAUTH)_URL$|^(?:nextcloud_)?overwrite|jwt_*iss(?:uer)?$"
)
# Those whose URL of localhost is for browsers where the port is published, which is what they dial: FRONTEND_URL, VITE_API.
FOR_BROWSERS = regex(
    r"(?i)(?:^|[_.-])(?:front|frontend|client|browser|vite|react|vue|nuxt|gatsby|expo|angular|svelte|storybook|homepage|portal|"
    r"login|signin|signup|consent|invite|reset|activation|unsubscribe|assets?|cdn|static|media|(?:web|app|ui)_?ur[il]|"
    r"(?:server|public)?(?:site|website|blog|base|root|home)(?:_?ur[il])?)(?:[_.-]|$)|^(?:host|hostname|url|address)$"
)
_OF_THE_WEB = ("http", "https", "ws", "wss")
# The last word before a URL: WP_HOME in define('WP_HOME', 'http://…'), external_url in external_url 'http://…'.
_NAMED = regex(r"([A-Za-z][\w.-]{0,80})\W{1,6}\Z")

_SCHEME = regex(r"[A-Za-z][A-Za-z0-9+.\-]*\Z")
_URL_STARTS_AFTER = " \t\r\n,;|\"'=([{<`"
_NAME = regex(r"(?!-)[A-Za-z0-9_](?:[A-Za-z0-9_.\-]{0,251}[A-Za-z0-9_])?\.?\Z")
_HOST_PORT = regex(r"(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9_][A-Za-z0-9_.\-]*):(\d{1,5})(?:/[^\s:@]*)?\Z")
_DATE = regex(r"\d{4}-\d\d-\d\d")
_WORDS = regex(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+(?![a-z])")
_TCP_CALL = regex(r"@(?:tcp|udp)?\(([^()\s]+)\)")
_PAIRS = regex(r"(?:^|[\s;])(host|hostaddr|server|data source|addr|address|port)\s*=\s*('[^']*'|[^\s;]+)", re.IGNORECASE)
_ORACLE = regex(r"jdbc:oracle:\w+:.*@(?://)?([^/@\s]+)", re.IGNORECASE)
_ITEMS = regex(r"[,;\s]+")
_ROUTED = regex(r"\.routers\.[^.]+\.rule$|\.frontend\.rule$")
_CADDY_UPSTREAMS = regex(r"\{\{\s*upstreams(?:\s+https?)?(?:\s+(\d{1,5}))?\s*\}\}")

# How Traefik is told which of the networks of a container to take: no host, though it stands in a reference as one.
NETWORK_KEYS = _words(
    "--providers.docker.network --providers.swarm.network --docker.network"
    " traefik_providers_docker_network traefik_providers_swarm_network"
)
# Words at which a shell begins another command.
_SHELL_BREAKS = _words("&& || | ; & exec then do else if while until ! ( {")
# Short options whose value is a credential, a header, an expression or what to listen on: only a URL in it counts.
_DEAF_OPTIONS = _words("-u -U -a -w -H -e -E -b -l -L -p -P -D --user")
# Programs of which -h and -p mean host and port.
_CLIENTS = _words(
    "psql pg_isready pg_dump pg_restore createdb mysql mysqladmin mysqldump mariadb mariadb-admin redis-cli mongo mongosh "
    "mosquitto_sub mosquitto_pub clickhouse-client influx ldapsearch"
)  # fmt: skip
_REDIRECTION = regex(r"\d?[<>]&[\d-]")
_SPEAKERS = ("echo", "printf", "sed", "grep", "awk")
_HOST_OPTIONS = ("-h", "-H", "--host", "--hostname")
_VALUE_LIMIT = 16384
_KEY_LIMIT = 200


def of_settings(
    *,
    env: Sequence[str] = (),
    command: Sequence[str] = (),
    labels: Mapping[str, str] | None = None,
    health_test: Sequence[str] = (),
) -> tuple[Reference, ...]:
    """What the settings of one container or service point at, each once, in the order in which they stand."""
    found = list(_of_environment(env))
    found += _of_command(tuple(command), "command")
    labels = labels or {}
    unproxied = labels.get("traefik.enable", "").lower() == "false"
    for key, value in labels.items():
        found += () if unproxied and key.startswith("traefik.") else _of_label(key, value)
    if len(health_test) > 1:
        shell = ["/bin/sh", "-c"] if health_test[0] == "CMD-SHELL" else []
        found += _of_command((*shell, *health_test[1:]), "health check")
    return tuple(dict.fromkeys(found))


def of_value(where: str, key: str, value: str) -> tuple[Reference, ...]:
    """What one setting points at; () for most."""
    return tuple(_of_value(where, key, value, {}))


def believed(found: Iterable[Reference], names: Container[str]) -> tuple[Reference, ...]:
    """Those that are certainly addresses: USER:DIGITS is written as HOST:PORT is. `names` are those that the host knows."""
    return tuple(reference for reference in found if _is_believed(reference, names))


def _is_believed(reference: Reference, names: Container[str]) -> bool:
    host, port = reference.host, reference.port
    if reference.scheme or not host or port is None or "." in host or ":" in host or host in names:
        return True
    # A wrong name is a fault to be found: where the key speaks of an address, or the port is a service's.
    return host == "localhost" or _key(reference.key).names_address or (port in _SERVICE_PORTS and host not in _PEOPLE)


# --- the places -----------------------------------------------------------------------------------------------------


def _of_environment(env: Sequence[str]) -> Iterator[Reference]:
    pairs = [(key, value) for key, _, value in (item.partition("=") for item in env) if value]
    ports = {_squeezed(key): value for key, value in pairs if value.isdecimal() and "PORT" in key.upper()}
    for key, value in pairs:
        yield from _of_value("environment", key, value, ports)


def _of_label(key: str, value: str) -> Iterator[Reference]:
    if not value or key.startswith(_LABELS_OF_TOOLS):
        return
    if key.startswith("traefik."):
        yield from _of_traefik(key, value)
    elif key.startswith("caddy") and (match := _CADDY_UPSTREAMS.search(value)):
        yield from _bare_port("label", key, match[1] or "")
    elif ":" in value:
        yield from _of_value("label", key, value, {})


def _of_traefik(key: str, value: str) -> Iterator[Reference]:
    if key.endswith((".loadbalancer.server.port", "traefik.port")):
        yield from _bare_port("label", key, value)
    elif key in ("traefik.docker.network", "traefik.swarm.network"):
        yield from _network("label", key, value)
    elif key.endswith(".loadbalancer.server.url"):
        yield from _urls("label", key, value)
    elif key == "traefik.enable" or _ROUTED.search(key):
        yield Reference(where="label", key=key)  # it points at nothing: it says that Traefik leads to this container


@lru_cache(maxsize=1024)
def _of_command(words: tuple[str, ...], where: str) -> tuple[Reference, ...]:
    """Many containers run the same command, hence the cache."""
    return tuple(_of_tokens(_tokens(words), where))


def _of_tokens(tokens: Sequence[str], where: str) -> Iterator[Reference]:
    ports = _ports_of_options(tokens)
    program = option = ""  # `option` is one whose value the next token may be
    for token in tokens:
        if token in _SHELL_BREAKS:
            program = option = ""
        elif program in _SPEAKERS:
            continue  # what is printed or edited is read, not dialled
        elif len(token) > 1 and token.startswith("-"):
            option, separator, value = token.partition("=")
            if separator:
                yield from _of_option(where, option, value, program, ports)
                option = ""
        elif option:
            yield from _of_option(where, option, token, program, ports)
            option = ""
        elif "=" in token and token.partition("=")[0].isidentifier():
            key, _, value = token.partition("=")
            yield from _of_value(where, key, value, ports)
        elif program:
            yield from _positional(where, program, token)
        else:
            program = token.rpartition("/")[2] if ":" not in token else ""
            program = program if _NAME.match(program) else "command"
            yield from _positional(where, program, token)


def _of_option(where: str, option: str, value: str, program: str, ports: Mapping[str, str]) -> Iterator[Reference]:
    if program in _CLIENTS and option in _HOST_OPTIONS:
        yield from _named_host(where, option, value, ports.get("port"))
    elif option in _DEAF_OPTIONS:
        yield from _urls(where, option, value)
    elif not option.startswith("--"):
        # One that takes no value swallows none: nc -z db:5432, curl -f http://web.
        yield from _positional(where, program or option, value)
    else:
        yield from _of_value(where, option, value, ports)


def _positional(where: str, key: str, token: str) -> Iterator[Reference]:
    if "://" in token:
        yield from _urls(where, key, token)
    elif ":" in token:
        yield from _host_ports(where, key, token)


def _ports_of_options(tokens: Sequence[str]) -> dict[str, str]:
    """What -p, --port, --db-port of a command say, under the names by which `_partner` looks for them."""
    found: dict[str, str] = {}
    for token, following in zip(tokens, [*tokens[1:], ""], strict=False):
        option, separator, value = token.partition("=")
        option = {"-p": "--port", "-P": "--port"}.get(option, option)
        value = value if separator else following
        if option.startswith("--") and option.endswith("port") and value.isdecimal():
            found.setdefault(_squeezed(option), value)
    return found


def _tokens(words: Sequence[str]) -> list[str]:
    """The words of a command line; what stands behind `sh -c` is taken apart as the shell would."""
    tokens: list[str] = []
    size = 0
    for word in words:
        size += len(word)
        if size > _VALUE_LIMIT:
            break
        tokens += _split(word) if " " in word or "\n" in word or ";" in word else [word]
    # The shell itself is no program whose arguments are addresses.
    return [word for word in tokens if word.rpartition("/")[2] not in ("sh", "bash", "ash", "dash", "-c")]


def _split(script: str) -> list[str]:
    script = _REDIRECTION.sub(" ", script)  # its & begins no command
    try:
        lexer = shlex.shlex(script, posix=True, punctuation_chars=";&|(")
        lexer.whitespace_split = True
        lexer.commenters = ""
        return list(lexer)
    except ValueError:
        return script.split()


# --- one value ------------------------------------------------------------------------------------------------------


class _Key(NamedTuple):
    """What the name of a setting tells of its value."""

    words: frozenset[str]
    names_address: bool
    is_silent: bool  # not even a URL is a target
    has_bare_names: bool  # HOST:PORT is one, and where the key names an address, HOST


@lru_cache(maxsize=1024)
def _key(key: str) -> _Key:
    """Containers share few different names, hence the cache."""
    squeezed = _squeezed(key)
    words = frozenset(word.lower() for word in _WORDS.findall(key))
    names_address = _ADDRESS_KEY.search(squeezed) is not None
    is_credential = is_secret_key(key) and not names_address and "dsn" not in squeezed and "conn" not in squeezed
    return _Key(
        words=words,
        names_address=names_address,
        is_silent=bool(words & (_OWN | _PROSE)),
        has_bare_names=not words & _NEVER and not is_credential,  # admin:12345 is a user and a password, nginx:1080 an image
    )


def _of_value(where: str, key: str, value: str, ports: Mapping[str, str]) -> Iterator[Reference]:
    if key.upper() in ("NO_PROXY", "VIRTUAL_HOST", "VIRTUAL_PORT"):
        yield from _names_and_ports(where, key, value)
        return
    if key.lower() in NETWORK_KEYS:
        yield from _network(where, key, value)
        return
    known = _key(key)
    # Most settings have neither a colon nor a key that names an address.
    if len(value) > _VALUE_LIMIT or not (known.names_address or ":" in value or "=" in value) or known.is_silent:
        return
    if "://" in value:
        found = _urls(where, key, value)
    elif known.has_bare_names:
        found = _without_scheme(where, key, value, ports, known)
    else:
        return
    for reference in found:
        if reference.host not in UNSPECIFIED and not _is_own(known.words, reference):
            yield reference


def _without_scheme(where: str, key: str, value: str, ports: Mapping[str, str], known: _Key) -> Iterator[Reference]:
    call = _TCP_CALL.search(value)
    oracle = _ORACLE.match(value)
    if call:
        yield from _host_list(where, key, "mysql", call[1])
    elif oracle:
        yield from _host_list(where, key, "oracle", ":".join(oracle[1].split(":")[:2]))
    elif "=" in value and (pairs := list(_keyword_pairs(where, key, value))):
        yield from pairs
    elif with_port := list(_host_ports(where, key, value)):
        yield from with_port
    elif "=" not in value and _names_a_target(where, known):
        for item in _ITEMS.split(value):
            yield from _named_host(where, key, item.strip("\"'[]()"), _partner(key, ports))


def _names_a_target(where: str, known: _Key) -> bool:
    """True if a bare name under this key is an address elsewhere. HOST, ADDRESS, SERVER alone are the service's own."""
    words = known.words
    if words & _PUBLIC or (len(words) == 1 and words <= _AMBIGUOUS and where == "environment"):
        return False
    return known.names_address


def _named_host(where: str, key: str, item: str, port: str | None = None) -> Iterator[Reference]:
    """A host that stands alone under a key that names an address."""
    name, slash, _ = item.partition("/")
    if slash and not re.search(r"ur[il]s?$", key.lower()):
        return
    host = parsed_host(name)
    if host and host.lower() not in _NO_NAMES and not host.isdecimal():
        yield Reference(where=where, key=key[:_KEY_LIMIT], host=host, port=parsed_port(port or ""))


def _host_ports(where: str, key: str, value: str) -> Iterator[Reference]:
    """HOST:PORT, or a list of them."""
    for item in _ITEMS.split(value):
        match = _HOST_PORT.match(item.strip("\"'(){}"))
        if match is None:
            continue
        host, port = parsed_host(match[1]), parsed_port(match[2])
        if not host or host.isdecimal() or port is None or _DATE.match(host):
            continue
        if port >= _HOST_PORT_FROM or port in _LOW_PORTS:
            yield Reference(where=where, key=key[:_KEY_LIMIT], host=host, port=port)


def _keyword_pairs(where: str, key: str, value: str) -> Iterator[Reference]:
    """libpq ("host=db port=5432") and ADO.NET ("Server=tcp:db,1433;Database=…")."""
    pairs = {name.lower(): text.strip("'") for name, text in _PAIRS.findall(value)}
    names = ("host", "hostaddr", "server", "data source", "addr", "address")
    hosts = next((pairs[name] for name in names if name in pairs), "").removeprefix("tcp:")
    if re.fullmatch(r"[^,]+,\d{1,5}", hosts):
        hosts = hosts.replace(",", ":")
    ports = pairs.get("port", "").split(",")
    for position, item in enumerate(filter(None, hosts.split(","))):
        host, separator, port = item.rpartition(":") if _HOST_PORT.match(item) else (item, "", "")
        yield from _named_host(where, key, host, port if separator else ports[min(position, len(ports) - 1)])


def _urls(where: str, key: str, value: str) -> Iterator[Reference]:
    """Every URL in a value: several, several hosts in one (mongodb, kafka), a prefix before it (jdbc:)."""
    for before, scheme, rest in _split_urls(value):
        if scheme in _NO_HOST:
            continue
        told = scheme in _OF_THE_WEB and _is_for_browsers(before)
        direct = scheme == "mongodb" and "directconnection=true" in rest.lower()
        for reference in _host_list(where, key, scheme, _authority(scheme, rest), direct=direct):
            if not (told and is_loopback(reference.host)):
                yield reference


def _is_for_browsers(before: str) -> bool:
    """True if the code or the JSON that a setting holds gives the URL behind it a name of what browsers are told."""
    name = _NAMED.search(before)
    return name is not None and bool(OF_BROWSERS.search(name[1]) or FOR_BROWSERS.search(name[1]))


def _split_urls(value: str) -> Iterator[tuple[str, str, str]]:
    """What stands right before each URL, its scheme, and the rest, up to the next one."""
    starts: list[tuple[int, int, str]] = []
    position = value.find("://")
    while position >= 0:
        match = _SCHEME.search(value[max(0, position - 30) : position])
        if match:
            start = position - len(match[0])
            # Within a password "://" begins nothing: a further URL follows a separator.
            if not starts or value[start - 1] in _URL_STARTS_AFTER:
                starts.append((start, position + 3, match[0].lower()))
        position = value.find("://", position + 3)
    for index, (start, begin, scheme) in enumerate(starts):
        end = starts[index + 1][0] if index + 1 < len(starts) else len(value)
        yield value[max(0, start - 100) : start], scheme, value[begin:end]


def _authority(scheme: str, rest: str) -> str:
    """HOST[:PORT][,HOST[:PORT]…] of what follows "://"; "" where userinfo cannot be told from it for certain.

    A password may hold / ? # and @ unescaped, though no standard allows it.
    """
    word = re.split(r"[\s\"'<>`|]", rest, maxsplit=1)[0]
    before, at, behind = word.rpartition("@")
    plain = _until_path(word)
    if not at:
        return plain
    if "@" in plain:
        # Some userinfo is certain. A later @ belongs to the password, or to the path or query behind a host.
        host = _until_path(plain.rpartition("@")[2])
        further = "@" in word[len(plain) :]
        return host if not further else _until_path(behind) if not _looks_like_host(host) else ""
    colon, port = plain.rpartition(":")[1:]
    if colon and not port.isdecimal():
        return _until_path(behind)  # user:pass/word@host
    if scheme in ("http", "https", "ws", "wss") and (before.endswith("/") or "?" in before):
        return plain  # http://registry:4873/@scope/name, http://host/?mail=a@b
    return ""


def _until_path(text: str) -> str:
    return re.split(r"[/?#;\\]", text, maxsplit=1)[0]


def _looks_like_host(text: str) -> bool:
    return _HOST_PORT.match(text) is not None or _NAME.match(text) is not None


def _host_list(where: str, key: str, scheme: str, text: str, *, direct: bool = False) -> Iterator[Reference]:
    # postgresql+psycopg2, db+postgresql
    default = DEFAULT_PORTS.get(scheme) or next((DEFAULT_PORTS[s] for s in scheme.split("+") if s in DEFAULT_PORTS), None)
    if scheme.endswith("+srv"):
        default = None
    for item in text.split(","):
        if item.startswith("["):
            name, bracket, rest = item.partition("]")
            name, port = name + bracket, rest.removeprefix(":") if rest.startswith(":") else ""
        else:
            name, _, port = item.rstrip("]})").partition(":")
        host = parsed_host(name)
        if host and (not port or parsed_port(port)):
            yield Reference(
                where=where, key=key[:_KEY_LIMIT], scheme=scheme, host=host, port=parsed_port(port) or default, direct=direct
            )


# --- small things ---------------------------------------------------------------------------------------------------


def _names_and_ports(where: str, key: str, value: str) -> Iterator[Reference]:
    """NO_PROXY, VIRTUAL_HOST, VIRTUAL_PORT: each item as it stands, patterns (*.example, 10.0.0.0/8) included."""
    for item in filter(None, _ITEMS.split(value[:_VALUE_LIMIT])):
        if key.upper() == "VIRTUAL_PORT":
            yield from _bare_port(where, key, item)
        elif re.fullmatch(r"[A-Za-z0-9._*:/\[\]-]{1,253}", item):
            match = _HOST_PORT.match(item)
            host, port = (match[1], parsed_port(match[2])) if match else (item, None)
            yield Reference(where=where, key=key, host=host.strip("[]"), port=port)


def _bare_port(where: str, key: str, value: str) -> Iterator[Reference]:
    port = parsed_port(value.strip())
    if port:
        yield Reference(where=where, key=key[:_KEY_LIMIT], port=port)


def _network(where: str, key: str, value: str) -> Iterator[Reference]:
    if _NAME.match(value):
        yield Reference(where=where, key=key, host=value)


def _is_own(words: Iterable[str], reference: Reference) -> bool:
    return is_loopback(reference.host) and not reference.scheme and _AMBIGUOUS.issuperset(words)


def _partner(key: str, ports: Mapping[str, str]) -> str | None:
    """The port that belongs to a host's key: DB_PORT to DB_HOST, MYSQL_TCP_PORT to MYSQL_HOST, --port to --host."""
    service = _ADDRESS_KEY.sub("", _squeezed(key))
    return ports.get(f"{service}port") or ports.get(f"{service}tcpport")


def _squeezed(key: str) -> str:
    return key.lower().replace("_", "").replace(".", "").replace("-", "")


def parsed_host(text: str) -> str:
    """A name or an address as `ipaddress` prints it; "" for anything else."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if ":" in bare or bare.replace(".", "").isdecimal():
        try:
            return str(ipaddress.ip_address(bare.partition("%")[0]))
        except ValueError:
            return ""
    return bare.rstrip(".") if _NAME.match(bare) else ""


def parsed_port(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) < 65536 else None
