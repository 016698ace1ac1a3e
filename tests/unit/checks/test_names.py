"""Names, as far as the lab cannot show them: reverse proxies, other resolvers, and settings whose neighbour does not run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from dockernet_doctor.diagnosis import registry
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.facts.implied_port import implied_port
from dockernet_doctor.diagnosis.own_questions import is_dialled, protocol_of
from dockernet_doctor.diagnosis.question import Question, Source, Target, parse_source, parse_target
from dockernet_doctor.diagnosis.run import diagnose
from dockernet_doctor.plugin import Answer, Finding, Probe, Vantage, is_loopback
from dockernet_doctor.snapshot.model import (
    Address,
    Compose,
    Container,
    Daemon,
    Endpoint,
    Engine,
    FirewallDump,
    Host,
    HostsEntry,
    Link,
    Listener,
    LogLine,
    Network,
    NetworkStack,
    PublishedPort,
    Reference,
    ResolvConf,
    Route,
    Sandbox,
    Snapshot,
    State,
    Subnet,
)

REGISTRY = registry.load()
APP = Network(id="n1", name="app", driver="bridge", subnets=(Subnet(subnet="172.18.0.0/16", gateway="172.18.0.1"),))
BACK = Network(id="n2", name="back", driver="bridge", subnets=(Subnet(subnet="172.19.0.0/16", gateway="172.19.0.1"),))
BRIDGE = Network(id="n0", name="bridge", driver="bridge", subnets=(Subnet(subnet="172.17.0.0/16", gateway="172.17.0.1"),))
NONE = Network(id="nn", name="none", driver="null")
EMBEDDED = ResolvConf(nameservers=("127.0.0.11",))


def container(
    name: str, *ports: int, networks: tuple[Network, ...] = (APP,), dns: ResolvConf = EMBEDDED, **more: Any
) -> Container:
    number = sum(map(ord, name)) % 200 + 2
    listeners = tuple(Listener(protocol="tcp", family=4, address="0.0.0.0", port=port) for port in ports)
    listeners += (Listener(protocol="udp", family=4, address="127.0.0.11", port=40000),)
    endpoints = tuple(
        Endpoint(network=n.name, network_id=n.id, ipv4=f"{n.subnets[0].subnet.rsplit('.', 1)[0]}.{number}") for n in networks
    )
    given = {"id": f"{number:02x}" * 32, "image": name, "state": State(status="running", running=True, pid=number), **more}
    stack = NetworkStack(
        links=(Link(index=1, name="lo"), Link(index=2, name="eth0", kind="veth")),
        addresses=tuple(Address(link="eth0", address=e.ipv4 or "", prefix=16, family=4) for e in endpoints),
        routes=(Route(family=4, destination="0.0.0.0/0", gateway=networks[0].subnets[0].gateway, link="eth0"),),
        listeners=listeners,
    )
    sandbox = Sandbox(pid=number, namespace=number, stack=stack, resolv_conf=dns, hosts=())
    return Container(name=name, network_mode=networks[0].name, endpoints=endpoints, sandbox=sandbox, **given)


def env(key: str, host: str = "", port: int | None = None, scheme: str = "", where: str = "environment") -> Reference:
    return Reference(where=where, key=key, scheme=scheme, host=host, port=port)


def found(
    *containers: Container, only: str = "*", host: Host | None = None, log: tuple[LogLine, ...] = ()
) -> list[tuple[str, str]]:
    findings = diagnosed(*containers, host=host, log=log)
    return [(f.id.removesuffix("@h1"), f.severity) for f in findings if only in ("*", f.cause)]


def diagnosed(*containers: Container, host: Host | None = None, log: tuple[LogLine, ...] = ()) -> tuple[Finding, ...]:
    snapshot = Snapshot(
        name="h1",
        taken_at="2026-01-02T03:04:05Z",
        endpoint="unix:///var/run/docker.sock",
        engine=Engine(version="28.5.2"),
        networks=(BRIDGE, APP, BACK, NONE),
        containers=containers,
        host=host,
        daemon=Daemon(log=log),
    )
    return diagnose([snapshot], registry=REGISTRY).findings


def test_traefik_may_take_a_network_that_it_is_not_on_whatever_label_leads_to_it() -> None:
    web = container("web", 80, networks=(BACK, APP), references=(env("traefik.enable", where="label"),))
    causes = [cause for cause, _severity in found(container("edge", 80, image="traefik:v3.1"), web)]
    assert causes == ["proxy-picks-unshared-network=container:web"]


LABEL = "traefik.http.services.web.loadbalancer.server.port"


@pytest.mark.parametrize("key", ["VIRTUAL_PORT", LABEL])
def test_proxy_wrong_port(key: str) -> None:
    where = "label" if key == LABEL else "environment"
    wrong = container("web", 80, references=(env(key, port=8080, where=where),))
    right = container("web", 80, references=(env(key, port=80, where=where),))
    starting = container("web", references=(env(key, port=8080, where=where),))
    assert found(wrong, only="proxy-wrong-port") == [("proxy-wrong-port=container:web", "error")]
    assert found(right) == found(starting) == []


def test_proxy_picks_unshared_network() -> None:
    label = env(LABEL, port=80, where="label")
    proxy = container("edge", 80, image="traefik:v3.1")
    web = container("web", 80, networks=(BACK, APP), references=(label,))
    told = replace(web, references=(label, env("traefik.docker.network", "app", where="label")))
    astray = replace(web, references=(label, env("traefik.docker.network", "back", where="label")))
    expected = [("proxy-picks-unshared-network=container:web", "warning")]
    assert found(proxy, web) == found(proxy, astray) == expected
    assert found(proxy, told) == found(web) == []
    chosen = replace(proxy, references=(env("--providers.docker.network", "app", where="command"),))
    by_file = replace(proxy, mounts=("/etc/traefik/traefik.yml",))
    assert found(chosen, web) == found(by_file, web) == []


def test_the_way_of_a_proxy_to_the_port_that_it_is_told() -> None:
    def told(name: str, *listening: int, key: str = LABEL, networks: tuple[Network, ...] = (BACK,)) -> Container:
        where = "environment" if key == "VIRTUAL_PORT" else "label"
        return container(name, *listening, networks=networks, references=(env(key, port=80, where=where),))

    for image, key in (
        ("traefik:v3.1", LABEL),
        ("jwilder/nginx-proxy", "VIRTUAL_PORT"),
        ("lucaslorentz/caddy-docker-proxy:2.9", "caddy.reverse_proxy"),
    ):
        proxy = container("edge", 80, image=image)
        assert found(proxy, told("web", 80, key=key)) == [("no-shared-network=container:edge", "error")], key
        assert found(proxy, told("web", 80, key=key, networks=(APP,))) == [], key
        assert found(proxy, told("starting", key=key)) == found(told("web", 80, key=key)) == [], key
        # which of two is meant nobody knows
        assert found(proxy, container("other", 80, image=image), told("web", 80, key=key)) == [], key
    assert found(container("edge", 80, image="jc21/nginx-proxy-manager"), told("web", 80, key="VIRTUAL_PORT")) == []
    loopback = told("web", networks=(APP,))
    assert loopback.sandbox
    stack = loopback.sandbox.stack
    assert stack
    inside = Listener(protocol="tcp", family=4, address="127.0.0.1", port=80)
    stack = replace(stack, listeners=(*(stack.listeners or ()), inside))
    loopback = replace(loopback, sandbox=replace(loopback.sandbox, stack=stack))
    assert found(container("edge", 80, image="traefik:v3.1"), loopback) == [("listener-on-loopback=port:web:80/tcp", "error")]


def test_proxy_keeps_old_address() -> None:
    line = '[error] 7#7: *1 connect() failed (111: Connection refused) while connecting to upstream, upstream: "http://{}/"'
    web = container("web", 80)
    address = web.endpoints[0].ipv4

    def proxy(upstream: str) -> Container:
        return container("edge", 80, image="library/nginx:1.27", log_tail=(line.format(upstream),))

    assert found(proxy("172.18.0.250:80"), web) == [("proxy-keeps-old-address=container:edge", "error")]
    assert found(proxy(f"{address}:81"), web) == [("proxy-keeps-old-address=container:edge", "error")]
    assert found(proxy(f"{address}:80"), web) == found(proxy("192.0.2.7:80"), web) == []
    told = proxy("172.18.0.250:80")
    reloaded = ("[notice] 1#1: signal 1 (SIGHUP) received from 9, reconfiguring", "[notice] 1#1: start worker process 11")
    assert found(replace(told, log_tail=(*told.log_tail, *reloaded)), web) == []


def test_haproxy_says_down_of_a_server_that_was_started_after_it() -> None:
    down = 'Server b/app is DOWN, reason: Layer4 connection problem, info: "Connection refused", check duration: 0ms.'
    up = "Server b/app is UP, reason: Layer4 check passed, check duration: 0ms."

    def states(second: str, *log: str) -> list[tuple[str, str]]:
        early, late = (
            State(status="running", running=True, pid=9, started_at=f"2026-01-02T03:0{at}:00Z") for at in ("4", second)
        )
        proxy = container("lb", 80, image="haproxy:2.9", state=early, log_tail=log)
        return found(proxy, container("app", 8000, state=late))

    assert states("5", down) == [("proxy-keeps-old-address=container:lb", "error")]
    assert states("5", down, up) == states("3", down) == []


def test_haproxy_ends_without_a_name_that_nobody_has() -> None:
    said = "[ALERT] (1) : config : [/etc/haproxy.cfg:10] : 'server b/acme' : could not resolve address 'acme'."
    ended = State(status="exited", exit_code=1, finished_at="2026-01-02T03:04:00Z")
    lb = container("lb", image="haproxy:2.9", state=ended, log_tail=(said,))
    assert found(lb, container("web", 80))[0] == ("unknown-name=container:lb", "error")


def test_what_a_log_names_on_loopback_is_asked_for_databases_alone() -> None:
    """A broker hands out addresses, and so may be who told the client of its own loopback."""
    settings = (env("WAIT_HOSTS", "db", 5432), env("BOOTSTRAP", "db", 9092))
    for port, causes in ((5432, [("localhost-means-container=container:bot", "error")]), (9092, [])):
        bot = container("bot", references=settings, log_tail=(f"Error: connect ECONNREFUSED 127.0.0.1:{port}",))
        assert found(bot, container("db", 5432, 9092), only="localhost-means-container") == causes


@pytest.mark.parametrize(("no_proxy", "intercepts"), [("", True), ("localhost", True), ("web", False), ("*", False)])
def test_proxy_env_intercepts(no_proxy: str, intercepts: bool) -> None:
    settings = [env("HTTP_PROXY", "10.0.0.9", 3128, "http"), env("API_URL", "web", 80, "http")]
    settings += [env("NO_PROXY", no_proxy)] if no_proxy else []
    causes = [cause for cause, _severity in found(container("api", references=tuple(settings)), container("web", 80))]
    assert causes == (["proxy-env-intercepts=container:api"] if intercepts else [])


def test_a_proxy_beside_the_target_passes_on_what_it_gets() -> None:
    settings = (env("HTTP_PROXY", "squid", 3128, "http"), env("API_URL", "web", 80, "http"))
    api, web = container("api", references=settings), container("web", 80)
    intercepts = [("proxy-env-intercepts=container:api", "warning")]
    assert found(api, web, container("squid", 3128), only="proxy-env-intercepts") == []
    far = container("squid", 3128, networks=(BACK,))
    assert found(replace(api, endpoints=container("api", networks=(APP, BACK)).endpoints), web, far) == intercepts


@pytest.mark.parametrize(
    ("scheme", "served", "protocol"),
    [
        ("udp", "udp", "udp"),
        ("udp4", "tcp", "udp"),
        ("gelf+tcp", "udp", "tcp"),
        ("syslog", "udp", "udp"),
        ("syslog", "tcp", "tcp"),
        ("statsd", "", "udp"),
        ("", "udp", "udp"),
        ("", "", "tcp"),
        ("http", "udp", "tcp"),
    ],
)
def test_a_setting_dials_with_the_protocol_of_its_scheme(scheme: str, served: Any, protocol: str) -> None:
    """Once all were asked over TCP, and a statsd that hears datagrams only was at fault."""
    log = container("log")
    assert log.sandbox
    if served:
        stack = replace(log.sandbox.stack, listeners=(Listener(protocol=served, family=4, address="0.0.0.0", port=514),))
        log = replace(log, sandbox=replace(log.sandbox, stack=stack))
    reference = env("LOGS", "log", 514, scheme)
    api = container("api", references=(reference,))
    snapshot = Snapshot(
        name="h1", taken_at="2026-01-02T03:04:05Z", endpoint="unix:///x", networks=(APP,), containers=(api, log)
    )
    assert protocol_of(HostFacts(snapshot), api, reference, 514) == protocol


def test_a_datagram_to_oneself_that_nobody_takes_is_missed_by_nobody() -> None:
    reference = env("SYSLOG_ADDRESS", "127.0.0.1", 514, "udp")
    assert found_first(container("api", 80, references=(reference,))) == []


def test_a_line_of_a_network_that_was_left_beside_the_right_one() -> None:
    """What 20.10 leaves of `docker network disconnect`; alone, it leads the container's own name to nobody."""
    web = container("web", 80, hostname="f655cb75ff9f")
    assert web.sandbox
    left = HostsEntry(address="172.18.0.250", names=("f655cb75ff9f",))
    right = HostsEntry(address=web.endpoints[0].ipv4 or "", names=("f655cb75ff9f",))
    for hosts, told in (((left, right), []), ((left,), [("stale-hosts-entry=container:web", "error")])):
        assert found(replace(web, id="f655cb75ff9f" * 5, sandbox=replace(web.sandbox, hosts=hosts))) == told


def test_localhost_of_a_stopped_or_unknown_neighbour() -> None:
    setting = env("DATABASE_URL", "localhost", 5432, "postgres")
    api = container("api", 80, references=(setting,))
    stopped = container("store", image="postgres:16", state=State(status="exited"), exposed=((5432, "tcp"),))
    stopped = replace(stopped, sandbox=None)
    first = [cause for cause, severity in found(api, stopped) if severity == "error"]
    assert first == found_first(api) == ["localhost-means-container=container:api"]


def found_first(*containers: Container) -> list[str]:
    return [cause for cause, severity in found(*containers) if severity == "error"]


def test_a_localhost_url_for_browsers_is_no_fault() -> None:
    own = container(
        "web", 80, references=(env("BASE_URL", "localhost", 8080, "http"),),
        ports=(PublishedPort(port=80, protocol="tcp", host_ip="127.0.0.1", host_port=8080),),
    )  # fmt: skip
    unknown = container("web", 80, references=(env("SITE", "localhost", 4321, "http"),))
    served = container("web", 80, references=(env("SELF", "localhost", 80, "http"),))
    check = container("web", 80, references=(env("curl", "localhost", 80, "http", where="health check"),))
    for healthy in (own, unknown, served, check):
        assert found_first(healthy) == []
    front = container("front", 3000, ports=(PublishedPort(port=3000, protocol="tcp", host_ip="0.0.0.0", host_port=3000),))
    for key, silent in (("FRONTEND_URL", True), ("CORS_ORIGIN", True), ("API_URL", False)):
        api = container("api", 80, references=(env(key, "localhost", 3000, "http"),))
        assert (found_first(api, front) == []) is silent, key
    behind_proxy = container("front", 3000)
    keys = (
        "CORS_ALLOWED_ORIGINS",
        "OAUTH_CALLBACK",
        "NEXTAUTH_URL",
        "--cors-origin",
        "app.cors.allowed-origins",
        "CSP",
        "CONTENT_SECURITY_POLICY",
        "GF_AUTH_GENERIC_OAUTH_AUTH_URL",
        "spring.provider.authorization-uri",
        "GOTRUE_SITE_URL",
        "JWT_AUDIENCE",
        "Jwt__Issuer",
        "FRONTEND_URL",
    )
    for key, silent in ((k, k != "FRONTEND_URL") for k in keys):
        api = container("api", 80, references=(env(key, "localhost", 3000, "http"),))
        assert (found_first(api, behind_proxy) == []) is silent, key


def test_a_localhost_url_of_what_a_proxy_shows_is_for_browsers() -> None:
    """A blog behind nginx is told its own address, which is nginx's published port; what an API is dialled by stays a fault."""
    front = PublishedPort(port=80, protocol="tcp", host_ip="0.0.0.0", host_port=8080)
    nginx = container("front", 80, image="nginx:1.27", ports=(front,))
    for key, scheme, silent in (
        ("url", "http", True),
        ("PAPERLESS_URL", "https", True),
        ("API_URL", "http", False),
        ("INTERNAL_BACKEND", "http", False),
        ("CACHE", "redis", False),
    ):
        blog = container("blog", 2368, references=(env(key, "localhost", 8080, scheme),))
        assert (found_first(blog, nginx) == []) is silent, key
    apart = replace(nginx, endpoints=container("x", networks=(BACK,)).endpoints)
    assert found_first(container("blog", 2368, references=(env("PAPERLESS_URL", "localhost", 8080, "http"),)), apart)


def test_what_a_container_also_names_by_its_own_name_is_shown_to_browsers_at_localhost() -> None:
    """AWS_ENDPOINT=http://minio:9000 beside AWS_URL=http://localhost:9000; a proxy exception is not dialled."""
    minio = container("minio", 9000, ports=(PublishedPort(port=9000, protocol="tcp", host_ip="0.0.0.0", host_port=9000),))
    shown = env("AWS_URL", "localhost", 9000, "http")
    for beside, silent in ((env("AWS_ENDPOINT", "minio", 9000, "http"), True), (env("NO_PROXY", "minio"), False)):
        app = container("app", 80, references=(shown, beside))
        assert (found_first(app, minio) == []) is silent, beside.key


def test_a_base_url_of_another_product_is_dialled() -> None:
    ports = (PublishedPort(port=11434, protocol="tcp", host_ip="0.0.0.0", host_port=11434),)
    ollama = container("llm", 11434, image="ollama/ollama:0.3", ports=ports)
    for key, silent in (("OLLAMA_BASE_URL", False), ("BASE_URL", True), ("SITE_ROOT_URL", True)):
        ui = container("ui", 8080, references=(env(key, "localhost", 11434, "http"),))
        assert (found_first(ui, ollama) == []) is silent, key
        assert found_first(replace(ui, image="ollama/worker"), replace(ollama, image="ollama/worker")) == [], key


def test_a_localhost_url_of_what_the_host_serves() -> None:
    """A front end that its developer runs on the host; what a client dials is not shown to browsers."""
    stack = NetworkStack(listeners=(Listener(family=4, protocol="tcp", address="0.0.0.0", port=3000),))
    for key, told in (("FRONTEND_URL", []), ("OLLAMA_BASE_URL", ["localhost-means-container=container:api"])):
        api = container("api", 80, references=(env(key, "localhost", 3000, "http"),))
        assert [cause for cause, severity in found(api, host=Host(stack=stack)) if severity == "error"] == told, key


def test_what_browsers_find_at_another_port_is_not_what_they_are_told() -> None:
    """FRONTEND_URL of a front end on the host that does not run now, beside a dashboard that listens on that port inside."""
    published = PublishedPort(port=3000, protocol="tcp", host_ip="0.0.0.0", host_port=3001)
    for key, ports, told in (
        ("FRONTEND_URL", (published,), False),
        ("FRONTEND_URL", (), True),
        ("API_URL", (published,), True),
    ):
        api = container("api", 80, references=(env(key, "localhost", 3000, "http"),))
        assert bool(found_first(api, container("grafana", 3000, ports=ports))) is told, (key, ports)


def test_what_another_project_serves_on_its_own_networks_is_no_neighbour() -> None:
    """localhost:9090 does not mean a stranger that happens to listen there, unseen from anywhere; 5432 tells a service."""
    for port, scheme, told in ((9090, "http", False), (5432, "", True)):
        stranger = container("stranger", port, networks=(BACK,))
        api = container("api", 80, references=(env("ENDPOINT", "localhost", port, scheme),))
        assert bool(found_first(api, stranger)) is told, port
        assert found_first(api, container("mate", port)), port


def test_an_address_for_browsers_without_a_scheme() -> None:
    db = container("db", 5432)
    web = container("web", 3000)
    assert found_first(container("api", 80, references=(env("OVERWRITEHOST", "localhost", 3000),)), web) == []
    assert found_first(container("api", 80, references=(env("SERVER_NAME", "localhost", 3000),)), web) == []
    assert found_first(container("api", 80, references=(env("EXTERNAL_DB_HOST", "localhost", 5432),)), db)


def test_localhost_in_a_label_counts_where_it_says_what_is_behind_the_container() -> None:
    db = container("db", 8000)
    for key, fault in (
        ("app.backend", True),
        ("com.acme.upstream.url", True),
        ("homepage.href", False),
        ("traefik.enable", False),
    ):
        api = container("api", 80, references=(env(key, "localhost", 8000, "http", where="label"),))
        assert (found_first(api, db) == ["localhost-means-container=container:api"]) is fault, key


def test_two_versions_of_one_image_share_a_name_on_purpose() -> None:
    """A canary beside the version that it follows; another image under the name is somebody else."""
    asking = container("ask", references=(env("API", "api", 80, "http"),))

    def behind(name: str, image: str) -> Container:
        made = container(name, 80, image=image, image_id=f"sha256:{image}")
        return replace(made, endpoints=tuple(replace(e, aliases=("api",)) for e in made.endpoints))

    for image, alike in (("hub:5000/acme/api:2.0", True), ("hub:5000/acme/api@sha256:99", True), ("acme/other:1.9", False)):
        causes = dict(found(asking, behind("one", "hub:5000/acme/api:1.9"), behind("two", image)))
        assert ("duplicate-alias=container:two" not in causes) is alike, image


def test_a_placeholder_names_nobody() -> None:
    facts = HostFacts(Snapshot(name="h1", taken_at="2026-01-02T03:04:05Z", endpoint="unix:///x", networks=(APP,)))
    for host, asked in (("CHANGEME", False), ("your-redis-host", False), ("host", False), ("reddis", True), ("my-redis", True)):
        assert is_dialled(facts, container("api"), env("REDIS_URL", host, 6379, "redis"), 6379) is asked, host


def test_the_gateway_of_a_macvlan_network_is_a_router_and_not_this_host() -> None:
    published = PublishedPort(port=80, protocol="tcp", host_ip="0.0.0.0", host_port=8080)
    asking = container("api", references=(env("ROUTER", "10.9.0.1", 8080, "http"),))
    for driver, told in (("macvlan", False), ("bridge", True)):
        lan = Network(id="n9", name="lan", driver=driver, subnets=(Subnet(subnet="10.9.0.0/24", gateway="10.9.0.1"),))
        snapshot = Snapshot(
            name="h1", taken_at="2026-01-02T03:04:05Z", endpoint="unix:///x", engine=Engine(version="28.5.2"),
            networks=(APP, lan), containers=(asking, container("web", 80, ports=(published,))),
        )  # fmt: skip
        causes = {f.cause for f in diagnose([snapshot], registry=REGISTRY).findings}
        assert ("via-published-port" in causes) is told, driver


def test_a_name_in_a_list_with_a_container_is_dialled() -> None:
    key = "REDIS_SENTINELS"
    typo = env(key, "two", 26379)
    listed = container("api", references=(env(key, "one", 26379), typo))
    apart = container("api", references=(typo, env("REDIS", "one", 26379)))
    snapshot = Snapshot(name="h1", taken_at="2026-01-02T03:04:05Z", endpoint="unix:///x", networks=(APP,))
    for asking, asked in ((listed, True), (apart, False)):
        facts = HostFacts(replace(snapshot, containers=(container("one", 26379), asking)))
        assert is_dialled(facts, asking, typo, 26379) is asked


def test_one_name_in_two_projects_is_a_fault_only_for_who_dials_it() -> None:
    def of(project: str, network: Network) -> Container:
        endpoint = Endpoint(
            network=network.name, network_id=network.id, ipv4=f"172.{18 if network is APP else 19}.0.9", aliases=("db",)
        )
        made = container(f"{project}-db-1", 5432, networks=(network,), compose=Compose(project=project, service="db"))
        return replace(made, endpoints=(endpoint,))

    proxy = container("edge", 80, networks=(APP, BACK))
    assert found(proxy, of("one", APP), of("two", BACK)) == []
    dialling = replace(proxy, references=(env("DB_URL", "db", 5432, "postgres"),))
    assert "duplicate-alias" in {cause.split("=")[0] for cause, _s in found(dialling, of("one", APP), of("two", BACK))}


def test_an_address_of_the_wrong_container_in_a_search_domain() -> None:
    conf = ResolvConf(nameservers=("10.0.0.2",), search=("corp.example",))
    web, db = container("web", 80, networks=(BRIDGE,), dns=conf), container("db", 5432, networks=(BRIDGE,))
    snapshot = Snapshot(
        name="h1", taken_at="2026-01-02T03:04:05Z", endpoint="unix:///x", engine=Engine(version="28.5.2"),
        networks=(BRIDGE,), containers=(web, db),
    )  # fmt: skip
    question = Question(
        source=Source(kind="container", name="web", host="h1"), target=Target(kind="name", name="db", port=5432, host="h1")
    )
    vantage = Vantage("h1", web.id)
    plain = Probe(kind="dns", vantage=vantage, address="10.0.0.2", port=53, name="db")
    long = replace(plain, name="db.corp.example")
    dial = Probe(kind="tcp", vantage=vantage, address="192.0.2.7", port=5432, counters=True)
    answers = [
        Answer(probe=plain, result="nxdomain"),
        Answer(probe=long, result="reply", addresses=("192.0.2.7",)),
        Answer(probe=dial, result="refused"),
    ]
    recorded = {a.probe: a for a in answers}
    findings = diagnose([snapshot], [question], registry=REGISTRY, asked=True, recorded=recorded).findings
    assert [f.cause for f in findings] == ["search-domain-hijack"]


def test_split_dns_is_lost_only_beside_a_vpn() -> None:
    conf = ResolvConf(nameservers=("10.0.0.2",))
    stub = ResolvConf(nameservers=("127.0.0.53",))
    web = container("web", 80, networks=(BRIDGE,), dns=conf)
    vpn = NetworkStack(links=(Link(index=9, name="wg0", kind="wireguard"),), listeners=())
    host = Host(resolv_conf=stub, upstream_resolv_conf=conf, stack=NetworkStack(listeners=()))
    assert found(web, host=host, only="split-dns-lost") == []
    assert found(web, host=replace(host, stack=vpn), only="split-dns-lost") == []  # the log says nothing either
    assert is_loopback("127.0.0.53")


@pytest.mark.parametrize(
    ("servers", "lost"),
    [
        (("10.0.0.2", "10.8.0.1"), True),
        (("10.0.0.2",), False),  # the VPN has no server, and so no names of its own
        (("10.8.0.1", "10.0.0.2"), False),  # it is asked first
    ],
)
def test_split_dns_is_lost_only_where_the_vpn_has_a_server_that_is_asked_last(servers: tuple[str, ...], lost: bool) -> None:
    conf = ResolvConf(nameservers=servers)
    stack = NetworkStack(
        links=(Link(index=2, name="eth0"), Link(index=9, name="wg0", kind="wireguard")),
        routes=(
            Route(family=4, destination="10.8.0.0/24", link="wg0"),
            Route(family=4, destination="0.0.0.0/0", gateway="10.0.0.1", link="eth0"),
        ),
        listeners=(),
    )
    host = Host(resolv_conf=ResolvConf(nameservers=("127.0.0.53",)), upstream_resolv_conf=conf, stack=stack)
    line = LogLine(text="detected 127.0.0.53 nameserver, assuming systemd-resolved, so using resolv.conf: /run/systemd/resolve")
    web = container("web", 80, networks=(BRIDGE,), dns=conf)
    told = [("split-dns-lost=daemon:h1", "warning")] if lost else []
    assert found(web, host=host, only="split-dns-lost", log=(line,)) == told


def test_a_host_without_a_way_out_needs_no_nameserver() -> None:
    links = (Link(index=2, name="eth1", kind="veth"), Link(index=3, name="br-n1", kind="bridge"))
    default = Route(family=4, destination="0.0.0.0/0", gateway="10.0.0.1", link="eth1")
    for routes, severity in (((), "info"), ((default,), "error")):
        host = Host(stack=NetworkStack(links=links, routes=routes), resolv_conf=ResolvConf())
        told = found(container("web", 80), host=host, only="no-upstream-nameserver")
        assert told == [("no-upstream-nameserver=file:/etc/resolv.conf", severity)]


def test_a_host_alone_in_a_setting_is_asked_at_the_port_that_is_served() -> None:
    """PGHOST=db, DB_HOST=localhost: no port is written, and none is invented where it could raise a false alarm."""
    db, apart = container("db", 5432), container("db", 5432, networks=(BACK,))
    for key, host, other, expected in (
        ("PGHOST", "localhost", db, ["localhost-means-container=container:api"]),
        ("DB_HOST", "127.0.0.1", db, ["localhost-means-container=container:api"]),
        ("PGHOST", "db", apart, ["no-shared-network=container:api"]),
        ("DATABASE_HOST", "172.18.0.250", db, ["stale-container-ip=container:api"]),
        ("DB_HOST", "db", replace(db, state=State(status="exited")), ["container-not-running=container:db"]),
        ("PGHOST", "db", db, []),
        ("DB_HOST", "db", container("db", 5433), []),
        ("DB_HOST", "localhost", apart, []),
        ("REDIS_HOST", "localhost", db, []),
        ("UPGRADE_HOST", "localhost", db, []),
    ):
        assert found_first(container("api", 80, references=(env(key, host),)), other) == expected, (key, host)
    facts = HostFacts(Snapshot(name="h1", taken_at="2026-01-02T03:04:05Z", endpoint="unix:///x", networks=(APP,)))
    unknown = {"POSTGRES_HOST": 5432, "REDIS_HOST": 6379, "NODE_HOST": None, "WEB_SERVER": None}  # names that nobody has
    for host in ("there", "host.docker.internal"):
        assert {key: implied_port(facts, container("api"), env(key, host)) for key in unknown} == unknown


def test_one_hostname_given_twice_is_a_fault_only_where_it_is_dialled() -> None:
    one, two = container("one", 8000, hostname="api"), container("two", 9000, hostname="api")
    assert found(container("cli"), one, two) == []
    asking = container("cli", references=(env("API", "api", 8000, "http"),))
    assert "duplicate-alias=container:two" in dict(found(asking, one, two))


def test_a_resolv_conf_of_its_own_is_no_fault_where_docker_has_no_name_to_tell() -> None:
    web = container("web", 80, dns=ResolvConf(nameservers=("10.64.0.1",)))
    assert web.sandbox
    stack = replace(web.sandbox.stack, links=(*web.sandbox.stack.links, Link(index=3, name="wg0", kind="wireguard")))
    vpn = replace(web, sandbox=replace(web.sandbox, stack=stack))
    id_ = "resolv-conf-overridden=container:web"
    assert found(web, only="resolv-conf-overridden") == [(id_, "info")]
    assert found(web, container("db", 5432), only="resolv-conf-overridden") == [(id_, "error")]
    assert found(vpn, container("db", 5432), only="resolv-conf-overridden") == []


@pytest.mark.parametrize(
    ("servers", "answer", "expected"),
    [
        (("10.64.0.1", "127.0.0.11"), "nxdomain", ["resolv-conf-overridden=container:web"]),
        (("10.64.0.1", "127.0.0.11"), "reply", []),  # it knows the names too
        (("10.64.0.1", "127.0.0.11"), "timeout", []),  # then Docker's DNS is asked
        (("127.0.0.11", "10.64.0.1"), "nxdomain", []),
    ],
)
@pytest.mark.parametrize("asked", [False, True], ids=["check", "reach"])
def test_a_server_before_dockers_dns_has_the_first_word(
    servers: tuple[str, ...], answer: str, expected: list[str], *, asked: bool
) -> None:
    web, db = container("web", 80, dns=ResolvConf(nameservers=servers)), container("db", 5432)
    assert db.endpoints[0].ipv4
    known = (db.endpoints[0].ipv4,)
    snapshot = Snapshot(
        name="h1",
        taken_at="2026-01-02T03:04:05Z",
        endpoint="unix:///x",
        engine=Engine(version="28.5.2"),
        networks=(APP,),
        containers=(web, db),
    )

    def probe(probes: Iterable[Probe]) -> dict[Probe, Answer]:
        answers = {}
        for p in probes:
            if p.kind != "dns":
                answers[p] = Answer(probe=p, result="open")
            elif p.address == "10.64.0.1":
                answers[p] = Answer(probe=p, result=answer, addresses=known if answer == "reply" else ())
            else:
                answers[p] = Answer(probe=p, result="reply", addresses=known)
        return answers

    question = Question(source=Source(kind="container", name="web"), target=Target(kind="name", name="db", port=5432))
    diagnosis = diagnose([snapshot], [question] if asked else [], registry=REGISTRY, asked=asked, probe=probe)
    found = [f.id.removesuffix("@h1") for f in diagnosis.findings if f.severity == "error"]
    assert found == expected
    if asked:
        assert diagnosis.case.paths[0].verdict == ("unreachable" if expected else "reachable")


@pytest.mark.parametrize(
    ("more", "names_now", "by", "fix"),
    [
        ({}, "10.0.0.9", "this host's /etc/resolv.conf names", None),
        ({}, "10.0.0.1", "this host's /etc/resolv.conf named when it started", "docker restart web"),
        ({}, "127.0.0.53", "this host's /etc/resolv.conf names", None),
        (
            {"mounts": ("/etc/resolv.conf",)},
            "10.0.0.1",
            "the file mounted at /etc/resolv.conf of web names",
            "docker rename web-next web",
        ),
    ],
    ids=["host-still-names-it", "host-was-mended", "stub", "mounted"],
)
def test_who_chose_a_server_that_does_not_answer(more: dict[str, Any], names_now: str, by: str, fix: str | None) -> None:
    conf = ResolvConf(nameservers=("10.0.0.9",))
    web = container("web", 80, networks=(BRIDGE,), dns=conf, **more)
    snapshot = Snapshot(
        name="h1",
        taken_at="2026-01-02T03:04:05Z",
        endpoint="unix:///var/run/docker.sock",
        engine=Engine(version="28.5.2"),
        networks=(BRIDGE,),
        containers=(web,),
        host=Host(resolv_conf=ResolvConf(nameservers=(names_now,)), upstream_resolv_conf=conf),
    )
    question = Question(source=Source(kind="container", name="web"), target=Target(kind="name", name="example.test", port=80))

    def probe(probes: Iterable[Probe]) -> dict[Probe, Answer]:
        return {p: Answer(probe=p, result="timeout") for p in probes}

    said = diagnose([snapshot], [question], asked=True, probe=probe, registry=REGISTRY).findings[0]
    assert said.cause == "upstream-dns-unreachable"
    assert f"10.0.0.9, which {by}," in said.summary
    assert said.fixes[0].runnable is (fix is not None)
    assert fix is None or said.fixes[0].commands[-1].startswith(fix)


def test_dockers_own_address_as_an_option_on_the_default_bridge_leads_nowhere() -> None:
    web = container("web", 80, networks=(BRIDGE,), dns=EMBEDDED)
    told, custom = (replace(c, dns=("127.0.0.11",)) for c in (web, container("web", 80)))
    said = found(told)
    assert said[0] == ("loopback-nameserver=container:web", "error")
    assert "embedded-dns-broken=container:web" not in dict(said)
    assert "loopback-nameserver=container:web" not in dict(found(custom))


def test_who_shares_a_namespace_on_none_is_cut_off_by_its_owner() -> None:
    owner = replace(container("vpn"), network_mode="none", endpoints=(Endpoint(network="none", network_id="nn"),))
    asking = container("cli", references=(env("API", "web", 80, "http"),))
    lodger = replace(asking, network_mode="container:vpn", endpoints=(), sandbox=owner.sandbox)
    assert ("none-network=container:vpn", "error") in found(owner, lodger, container("web", 80))


def asked(
    source: str,
    target: str,
    *containers: Container,
    result: str = "",
    host: Host | None = None,
    networks: tuple[Network, ...] = (BRIDGE, APP, BACK),
    udp: str = "",
) -> list[Finding]:
    """What is found of one question; a name that is asked for has `result`, and a datagram an answer of `udp`."""
    snapshot = Snapshot(
        name="h1", taken_at="2026-01-02T03:04:05Z", endpoint="", engine=Engine(version="28.5.2"),
        networks=networks, containers=containers, host=host,
    )  # fmt: skip
    question = Question(source=parse_source(source), target=parse_target(target))

    def send(probes: Sequence[Probe]) -> dict[Probe, Answer]:
        said = {probe: Answer(probe=probe, result=result) for probe in probes if probe.kind == "dns"}
        return said | {probe: Answer(probe=probe, result="no-reply", source=udp) for probe in probes if probe.kind == "udp"}

    return list(diagnose([snapshot], registry=REGISTRY, questions=[question], asked=True, probe=send).findings)


def test_the_nearest_name_is_one_that_could_have_been_meant() -> None:
    cli, hosts = container("cli", 80), container("hosts", 80)
    (typo,) = asked("cli", "host5:80", cli, hosts, result="nxdomain")
    (other,) = asked("cli", "nosuch.test:80", cli, hosts, result="nxdomain")
    (nobody,) = asked("host", "service:hoses:80", cli, container("web", 80))
    assert typo.fixes[0].summary == "Use the name hosts instead of host5."
    assert other.summary == "cli looks up nosuch.test, which does not exist."
    assert "Correct the name nosuch.test" in other.fixes[0].summary
    assert nobody.summary == "No service on h1 is called hoses."


def test_a_published_port_that_isolation_keeps_from_a_network_without_masquerade() -> None:
    """Without its RETURN rule the packet is translated to the other bridge, where no docker-proxy takes it."""
    rules = "\n".join(
        (
            "*nat\n:PREROUTING ACCEPT [0:0]\n:DOCKER - [0:0]",
            "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
            "-A DOCKER ! -i app0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.18.0.9:80\nCOMMIT",
            "*filter\n:FORWARD ACCEPT [0:0]\n:DOCKER-ISOLATION-STAGE-2 - [0:0]",
            "-A FORWARD -i back0 -j DOCKER-ISOLATION-STAGE-2",
            "-A DOCKER-ISOLATION-STAGE-2 -o app0 -j DROP\nCOMMIT\n",
        )
    )
    networks = (replace(APP, bridge="app0"), replace(BACK, bridge="back0"))
    links = (("lo", ""), ("app0", "bridge"), ("back0", "bridge"), ("eth0", "veth"))
    stack = NetworkStack(
        links=(
            *(Link(index=n, name=name, kind=kind) for n, (name, kind) in enumerate(links, 1)),
            Link(index=9, name="veth9", kind="veth", master="back0"),
        ),
        addresses=tuple(
            Address(link=link, address=address, prefix=16, family=4)
            for link, address in (("eth0", "192.0.2.1"), ("app0", "172.18.0.1"), ("back0", "172.19.0.1"))
        ),
        routes=(
            Route(family=4, destination="172.18.0.0/16", link="app0"),
            Route(family=4, destination="172.19.0.0/16", link="back0"),
        ),
        listeners=(),
        firewall=(FirewallDump(tool="iptables-nft", family=4, text=rules),),
    )
    published = PublishedPort(host_ip="0.0.0.0", host_port=8080, port=80, protocol="tcp")
    web, cli = container("web", 80, ports=(published,)), container("cli", networks=(BACK,))
    assert cli.sandbox
    inner = replace(cli.sandbox.stack, links=(Link(index=2, name="eth0", kind="veth", peer_index=9),))
    cli = replace(cli, sandbox=replace(cli.sandbox, stack=inner))
    web = replace(web, endpoints=(replace(web.endpoints[0], ipv4="172.18.0.9"),))
    (finding,) = asked("cli", "192.0.2.1:8080", web, cli, host=Host(stack=stack), networks=networks)
    assert finding.summary == "cli cannot reach web: they share no network (cli is on back, web on app)."
    assert finding.fixes[0].commands == ("docker network connect app cli",)


def test_docker_proxy_that_answers_a_datagram_from_the_address_nearest_to_the_asker() -> None:
    addresses = tuple(Address(link="eth0", address=a, prefix=24, family=4) for a in ("192.0.2.1", "172.19.0.1"))
    host = Host(stack=NetworkStack(addresses=addresses, listeners=()))
    cli = container("cli", networks=(BACK,))
    for source, causes in (("172.19.0.1", ["dns-reply-wrong-source"]), ("", [])):
        found = asked("cli", "192.0.2.1:8053/udp", cli, host=host, udp=source)
        assert [f.cause for f in found if f.cause == "dns-reply-wrong-source"] == causes
        if causes:
            assert "docker-proxy answers from 172.19.0.1" in found[0].summary
            assert "ask 172.19.0.1" in found[0].fixes[0].summary


def test_who_shares_the_network_of_another_has_its_name_alone() -> None:
    web, cli = container("web", 80), container("cli", 80)
    side = replace(web, id="5" * 64, name="side", network_mode=f"container:{web.id}", endpoints=())
    (finding,) = asked("cli", "side:80", web, side, cli, result="nxdomain")
    assert finding.summary == "cli looks up side, which has no name of its own: it shares the network of web."
    assert finding.fixes[0].summary == "Use the name web instead of side."
