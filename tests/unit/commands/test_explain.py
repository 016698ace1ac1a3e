"""From an error text to causes, whatever names and numbers stand in it; and the page in a terminal."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockernet_doctor.__main__ import run
from dockernet_doctor.diagnosis import registry
from dockernet_doctor.diagnosis.check import Check, Registered
from dockernet_doctor.report.explanation import GAP, causes_of, normalised, page_text


def entry(cause: str, *phrases: str) -> Registered:
    check = Check(cause=cause, title=cause, subjects=("container",), phrases=phrases)
    return Registered(check=check, family="names", package="p", version="1", page="", builtin=True)


KNOWN = {
    e.check.cause: e
    for e in (
        entry("in-use", "port is already allocated"),
        entry("refused", "connection refused"),
        entry("proxy-refused", "connect() failed (111: connection refused) while connecting to upstream"),
        entry("gone-link", "cannot link to a non running container: /db as /api/database"),
        entry("address", "bind for … failed"),
    )
}


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("Bind for 0.0.0.0:9999 failed: port is already allocated.", "in-use"),
        ("docker: Error response from daemon: … on endpoint web_1 (4f6dad): Bind for [::]:80 failed", "address"),
        ("curl: (7) Failed to connect to 10.0.0.9 port 80: CONNECTION REFUSED", "refused"),
        ("2024/01/02 [error] 7#7: *1 connect() failed (111: Connection refused) while connecting to upstream", "proxy-refused"),
        ("Cannot link to a non running container: /shop-postgres AS /shop-api/pg", "gone-link"),
    ],
)
def test_names_and_numbers_do_not_matter(text: str, first: str) -> None:
    assert [e.check.cause for e in causes_of(text, KNOWN)][0] == first  # noqa: RUF015


def test_a_number_of_a_phrase_belongs_to_it_and_a_gap_is_short() -> None:
    known = {
        e.check.cause: e for e in (entry("manager", "2377: connect: no route to host"), entry("gone", "network … not found"))
    }
    dialled = "dial tcp 10.0.0.1:{}: connect: no route to host"
    assert [e.check.cause for e in causes_of(dialled.format(2377), known)] == ["manager"]
    assert causes_of(dialled.format(5432), known) == []
    assert [e.check.cause for e in causes_of("network my-app_default.v2 not found", known)] == ["gone"]
    assert causes_of("network create failed: the plugin that was asked for is not found", known) == []


@pytest.mark.parametrize("text", ["", "all is well", "refused", "12345 10.0.0.1", "…"])
def test_what_says_nothing_names_nothing(text: str) -> None:
    assert causes_of(text, KNOWN) == []


def test_a_general_phrase_leads_to_all_causes_that_have_it() -> None:
    both = {**KNOWN, "other": entry("other", "connection refused")}
    assert [e.check.cause for e in causes_of("Connection refused", both)][:2] == ["other", "refused"]


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=200))
def test_no_text_is_too_strange(text: str) -> None:
    causes_of(text, KNOWN)
    assert all(word == word.lower() or not word.isascii() for word in normalised(text))


@pytest.mark.parametrize("number", ["8081", "10.0.0.1:80", "fe80::1", "00:1a:2b:3c:4d:5e", "0123456789abcdef", "<name>"])
def test_what_varies_is_left_out(number: str) -> None:
    assert normalised(f"bind {number} failed") == ["bind", "failed"]


TICKETS = {
    "Connection refused": ("no-listener", "listener-on-loopback", "port-not-published"),
    "Temporary failure in name resolution": ("default-bridge-no-dns", "no-shared-network", "unknown-name"),
    "Could not resolve host: db": ("default-bridge-no-dns", "no-shared-network"),
    "ping: bad address 'db'": ("default-bridge-no-dns", "no-shared-network"),
    "No route to host": ("no-shared-network", "firewall-drops-traffic"),
    "Connection reset by peer": ("container-port-mismatch", "listener-on-loopback"),
    "Empty reply from server": ("container-port-mismatch", "listener-on-loopback"),
    "502 Bad Gateway": ("no-listener", "proxy-keeps-old-address"),
    "Gateway Timeout": ("proxy-picks-unshared-network",),
    "Bind for 0.0.0.0:8080 failed: port is already allocated": ("host-port-in-use",),
    "listen tcp4 0.0.0.0:80: bind: address already in use": ("host-port-in-use",),
    "could not find an available, non-overlapping IPv4 address pool among the defaults": ("address-pool-exhausted",),
    "works on localhost but not from outside": ("port-bound-to-loopback",),
    "Failed to connect to 10.0.0.5 port 8080 after 0 ms: Couldn't connect to server": ("no-listener", "port-not-published"),
    "Error: connect ECONNREFUSED 172.18.0.2:5432": ("no-listener", "localhost-means-container"),
    "This page isn't working: ERR_EMPTY_RESPONSE": ("container-port-mismatch", "listener-on-loopback"),
    "dial tcp 10.0.0.1:80: i/o timeout": ("firewall-drops-traffic",),
    "java.net.UnknownHostException: db": ("default-bridge-no-dns", "no-shared-network"),
    "504 Gateway Time-out": ("proxy-picks-unshared-network",),
    "container has no internet": ("internal-network-no-egress", "ip-forwarding-off"),
    "stopped working after firewall reload": ("docker-rules-missing",),
    "stopped working after upgrade": ("kernel-module-missing",),
    "Pool overlaps with other one on this address space": ("subnet-overlap",),
    "Destination Host Unreachable": ("cluster-advertise-not-reachable", "no-shared-network"),
    "endpoint with name web already exists in network app": ("stale-overlay-endpoint",),
    "Cannot link to a non running container: /db AS /api/database": ("stale-hosts-entry",),
    "invalid ranges specified for container and host Ports: 80-81 and 8000-8003": ("port-range-unequal",),
    "conflicting options: port publishing and the container type network mode": ("publish-with-container-mode",),
    "bridge is a pre-defined network and cannot be removed": ("predefined-network",),
    "error while removing network: network app id 1f2e has active endpoints": ("network-has-active-endpoints",),
    "iptables: No chain/target/match by that name": ("docker-rules-missing",),
    "could not find bridge docker0: route ip+net: no such network interface": ("bridge-down",),
    "error creating vxlan interface: file exists": ("vxlan-port-taken",),
    "Timeout was reached before node joined": ("overlay-port-blocked", "swarm-advertise-wrong"),
    "Network is unreachable": ("none-network", "internal-network-no-egress"),
    "network shop_default not found": ("network-gone",),
    "Cannot restart container app: No such container: 8de185a5bbe9eb00535137c501a1e185": ("shared-namespace-lost",),
    "dependency failed to start: container shop-db-1 is unhealthy": ("container-unhealthy",),
    "curl: (35) error:1408F10B:SSL routines:ssl3_get_record:wrong version number": ("scheme-mismatch",),
    "400 The plain HTTP request was sent to HTTPS port": ("scheme-mismatch",),
    "django.security.DisallowedHost: Invalid HTTP_HOST header: 'web:8000'": ("host-header-rejected", "underscore-in-name"),
    "Unable to locate credentials": ("metadata-hop-limit",),
}


@pytest.fixture(scope="module")
def registered() -> dict[str, Registered]:
    return dict(registry.load().registered)


@pytest.mark.parametrize("text", TICKETS)
def test_what_opens_most_tickets_leads_on(text: str, registered: dict[str, Registered]) -> None:
    found = {e.check.cause for e in causes_of(text, registered)}
    expected = set(TICKETS[text]) & set(registered)
    if not expected:
        pytest.skip(f"none of {TICKETS[text]} is installed")
    assert expected & found


OWN = {
    "bind-address-missing": (
        "Error starting userland proxy: listen tcp4 10.99.0.77:8080: bind: cannot assign requested address",
        "failed to bind host port for 10.99.0.77:8080:172.17.0.2:80/tcp: cannot assign requested address",
    ),
    "host-port-in-use": (
        "Error starting userland proxy: listen tcp4 0.0.0.0:8108: bind: address already in use",
        "failed to bind host port for 0.0.0.0:8108:172.17.0.2:80/tcp: address already in use",
        (
            "driver failed programming external connectivity on endpoint web (0123456789ab): Bind for "
            "0.0.0.0:8080 failed: port is already allocated"
        ),
    ),
    "static-address-taken": (
        "Address already in use",
        "failed to set up container networking: Address already in use",
    ),
    "ip-forwarding-off": ("WARNING: IPv4 forwarding is disabled. Networking will not work.",),
    "kernel-module-missing": (
        "failed to add the host (vethX) <=> sandbox (vethY) pair interfaces: operation not supported",
        "failed to add the host (veth1a2b3c4) <=> sandbox (veth5d6e7f8) pair interfaces: operation not supported",
        "Extension addrtype revision 0 not supported, missing kernel module?",
        "can't initialize iptables table `nat': Table does not exist (do you need to insmod?)",
    ),
    "firewalld-conflict": ("ZONE_CONFLICT: 'docker0' already bound to a zone",),
    "docker-proxy-wrong-version": ("failed to start docker-proxy, check that the current version is in your $PATH",),
    "lsm-denies-network": (
        "(13: Permission denied) while connecting to upstream",
        "socket: permission denied",
    ),
    "iptables-backends-mixed": ("# Warning: iptables-legacy tables present, use iptables-legacy to see them",),
    "conntrack-table-full": ("nf_conntrack: nf_conntrack: table full, dropping packet",),
    "upstream-dns-unreachable": ("[resolver] failed to query external DNS server",),
    "loopback-nameserver": ("No non-localhost DNS nameservers are left in resolv.conf",),
    "no-upstream-nameserver": (
        "NO EXTERNAL NAMESERVERS DEFINED",
        "DNS resolver has no external nameservers",
        "Used default nameservers.",
    ),
    "split-dns-lost": ("detected 127.0.0.53 nameserver, assuming systemd-resolved",),
    "dns-reply-wrong-source": ("reply from unexpected source: 172.17.0.2#53, expected 10.0.0.1#53",),
    "proxy-keeps-old-address": ("connect() failed (111: Connection refused) while connecting to upstream",),
    "none-network": ("container cannot be connected to multiple networks with one of the networks in private (none) mode",),
    "host-network-fixed": (
        "container cannot be disconnected from host network or connected to host network",
        "cannot connect container to host network - container must be created in host network mode",
        "container sharing network namespace with another container or host cannot be connected to any other network",
    ),
    "shared-namespace-lost": ("Cannot restart container yy: No such container: 8de185a5bbe9",),
    "ipv6-not-enabled": (
        "user specified IP address is supported only when connecting to networks with user configured subnets",
    ),
    "network-gone": (
        "failed to set up container networking: network app not found",
        "network 5f2d not found",
    ),
    "address-pool-exhausted": (
        "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network",
        "all predefined address pools have been fully subnetted",
        "no available IPv4 addresses on this network's address pools: app (0123456789ab)",
    ),
    "bridge-full": ("adding interface vethX to bridge docker0 failed: exchange full",),
    "neighbour-table-full": ("could not add neighbor entry: no buffer space available",),
    "cluster-store-missing": ("--cluster-advertise must be accompanied by --cluster-store configuration",),
    "swarm-inactive": ('This node is not a swarm manager. Use "docker swarm init" or "docker swarm join".',),
    "cluster-store-malformed": ("failed to start daemon: discovery initialization failed (discovery service not supported)",),
    "cluster-store-unreachable": (
        "client: etcd cluster is unavailable or misconfigured",
        "error getting pools config from store",
    ),
    "cluster-store-wrong-backend": (
        "client: response is invalid json. The endpoint is probably not valid etcd cluster endpoint",
    ),
    "cluster-advertise-malformed": (
        "invalid cluster advertise IP address or interface name (eth7:2376) : route ip+net: no such network interface",
        "invalid --cluster-advertise configuration: eth1: address eth1: missing port in address",
    ),
    "cluster-advertise-not-reachable": (
        (
            "Multi-Host overlay networking requires cluster-advertise(10.0.0.1) to be configured with a local "
            "ip-address that is reachable within the cluster"
        ),
    ),
    "cluster-option-misspelt": (
        "unknown flag: --cluster-advertize",
        "the following directives don't match any configuration option: cluster-advertize",
    ),
    "cluster-options-removed": (
        "unknown flag: --cluster-store",
        "the following directives don't match any configuration option: cluster-store",
    ),
    "duplicate-node-name": (
        "serf: Node name conflicts with another node at 10.0.0.1:7946",
        "minority in name conflict resolution, quitting",
    ),
    "overlay-port-blocked": (
        "Suspect host2 has failed, no acks received",
        "Timeout was reached before node joined",
    ),
    "stale-overlay-endpoint": ("endpoint with name X already exists in network N",),
    "overlay-not-attachable": ("network ovn not manually attachable",),
    "swarm-advertise-wrong": ("Error in joining gossip cluster",),
    "vxlan-port-taken": (
        "vxlan interface creation failed: failed to set link up: address already in use",
        "error creating vxlan interface: file exists",
    ),
    "encrypted-overlay-blocked": ("Failed Adding fSA",),
    "cluster-store-with-swarm": (
        "--cluster-store and --cluster-advertise daemon configurations are incompatible with swarm mode",
    ),
    "daemon-not-running": (
        "Status: unknown flag: --x",
        "pid file found, ensure docker is not running or delete /var/run/docker.pid",
        "process with PID 123 is still running",
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
    ),
    "daemon-permission-denied": (
        "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock",
        "Got permission denied while trying to connect to the Docker daemon socket",
    ),
    "daemon-config-invalid": (
        "unable to configure the Docker daemon with file /etc/docker/daemon.json: invalid character '}'",
        (
            "the following directives are specified both as a flag and in the configuration file: hosts: (from "
            "flag: [fd://], from file: [tcp://0.0.0.0:2375])"
        ),
        "json: cannot unmarshal string into Go struct field Config.dns of type []string",
        "json: cannot unmarshal string into Go struct field Config.CommonConfig.DNSConfig.dns of type []string",
    ),
    "api-version-too-old": (
        "client version 1.24 is too old. Minimum supported API version is 1.44, please upgrade your client to a newer version",
    ),
    "port-range-unequal": ("invalid ranges specified for container and host Ports: 80-81 and 8000-8003",),
    "publish-with-container-mode": ("conflicting options: port publishing and the container type network mode",),
    "predefined-network": ("bridge is a pre-defined network and cannot be removed",),
    "network-has-active-endpoints": ("error while removing network: network app has active endpoints",),
    "subnet-overlap": (
        "Pool overlaps with other one on this address space",
        "invalid pool request: Pool overlaps with other one on this address space",
    ),
    "docker-rules-missing": ("iptables: No chain/target/match by that name.",),
    "bridge-down": ("could not find bridge docker0",),
}


@pytest.mark.parametrize("cause", OWN)
def test_the_engines_own_texts_lead_to_one_page_first(cause: str, registered: dict[str, Registered]) -> None:
    """Error texts as engines of all three ages, the kernel and Docker's clients word them."""
    first = {text: [e.check.cause for e in causes_of(text, registered)][:1] for text in OWN[cause]}
    assert first == {text: [cause] for text in OWN[cause]}


FIRST = {
    "container-port-mismatch": ("The connection was reset", "localhost didn’t send any data. ERR_EMPTY_RESPONSE"),
    "host-port-in-use": (
        (
            "failed to set up container networking: driver failed programming external connectivity on endpoint web "
            "(1f2e3d4c5b6a): failed to bind host port 0.0.0.0:80/tcp: address already in use"
        ),
        "nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)",
        "Error: listen EADDRINUSE: address already in use :::3000",
        "port '80' is already in use by service 'web' (q1w2e3) as an ingress port",
    ),
    "localhost-means-container": (
        'psycopg2.OperationalError: connection to server at "localhost" (127.0.0.1), port 5432 failed: Connection refused',
        "PSQLException: Connection to localhost:5432 refused. Check that the hostname and port are correct",
        "redis.exceptions.ConnectionError: Error 111 connecting to localhost:6379. Connection refused.",
        "MongoServerSelectionError: connect ECONNREFUSED ::1:27017",
        "SQLSTATE[HY000] [2002] No such file or directory",
        "dial tcp [::1]:5432: connect: connection refused",
    ),
    "overlay-port-blocked": (
        "rpc error: code = Unavailable desc = error while dialing: dial tcp 10.0.0.1:2377: i/o timeout",
        "memberlist: Suspect node2 has failed, no acks received",
        "bulk sync failed: failed to send a TCP message during bulk sync: dial tcp 10.0.0.2:7946: i/o timeout",
    ),
    "host-docker-internal-missing": ("dial tcp: lookup host.docker.internal on 127.0.0.11:53: no such host",),
    "host-service-on-loopback": (
        "connect to host.docker.internal: Connection refused",
        "wget: can't connect to remote host (172.17.0.1): Connection refused",
    ),
    "network-gone": ("Error: No such network: front", "network front declared as external, but could not be found"),
    "wrong-daemon": (
        "unable to resolve docker endpoint: open /root/.docker/ca.pem: no such file or directory",
        'unable to resolve docker endpoint: context "lab": context not found',
    ),
    "upstream-dns-unreachable": (
        "dial tcp: lookup registry.example on 127.0.0.53:53: server misbehaving",
        '[resolver] failed to query DNS server: 10.0.0.2:53 error="read udp 172.18.0.3:5555->10.0.0.2:53: i/o timeout"',
        "WARNING: fetching https://dl.example/main: temporary error (try again later)",
        "failed to resolve source metadata: lookup r.example on 10.0.0.2:53: read udp 10.0.0.5:3->10.0.0.2:53: i/o timeout",
    ),
    "daemon-not-responding": (
        'error during connect: Get "https://docker:2376/": tls: failed to verify certificate: x509: certificate is not valid',
        'error during connect: Get "https://docker:2376/_ping": x509: certificate is valid for localhost, not docker',
        'error during connect: Get "https://1.2.3.4:2376/v1.24/version": x509: certificate has expired or is not yet valid',
        "Error response from daemon: Client sent an HTTP request to an HTTPS server.",
    ),
    "daemon-not-running": (
        "docker.service: Start request repeated too quickly.",
        "error during connect: this error may indicate that the docker daemon is not running: open //./pipe/docker_engine",
        'failed to start daemon: failed to dial "/run/containerd/containerd.sock": context deadline exceeded',
    ),
    "address-pool-exhausted": (
        "list bridge addresses failed: PredefinedLocalScopeDefaultNetworks List: []: no available network",
    ),
    "kernel-module-missing": ("iptables: Couldn't load match `addrtype':No such file or directory",),
    "swarm-advertise-wrong": (
        "could not choose an IP address to advertise since this system has multiple addresses on different interfaces",
    ),
    "bridge-down": (
        "adding interface veth0 to bridge docker0 failed: could not find bridge docker0: no such network interface",
    ),
    "container-unhealthy": ("Health check for container 1f2e error: context deadline exceeded",),
}


@pytest.mark.parametrize("cause", FIRST)
def test_clients_and_tickets_word_it_otherwise(cause: str, registered: dict[str, Registered]) -> None:
    first = {text: [e.check.cause for e in causes_of(text, registered)][:1] for text in FIRST[cause]}
    assert first == {text: [cause] for text in FIRST[cause]}


@pytest.mark.parametrize(
    "text",
    [
        "ModuleNotFoundError: No module named 'requests'",
        'The container name "/web" is already in use by container "abc". You have to remove (or rename) that container',
        "chown: changing ownership of '/data': Operation not permitted",
        "SyntaxError: Invalid character in identifier",
        "Error response from daemon: invalid character '<' looking for beginning of value",
        "I suspect my disk is full",
        "unknown protocol: foo",
        "The process is still running",
        "docker: Error response from daemon: unknown flag: --foo",
        "OCI runtime create failed: runc create failed: unable to start container process: permission denied",
        "[crit] connect() to unix:/run/php.sock failed (2: No such file or directory) while connecting to upstream",
        "--live-restore daemon configuration is incompatible with swarm mode",
    ],
)
def test_what_is_no_fault_of_a_network_names_none(text: str, registered: dict[str, Registered]) -> None:
    assert [e.check.cause for e in causes_of(text, registered)] == []


def test_every_phrase_leads_to_its_own_page(registered: dict[str, Registered]) -> None:
    lost = [
        (cause, phrase)
        for cause, known in registered.items()
        for phrase in known.check.phrases
        if cause not in {e.check.cause for e in causes_of(phrase.replace(GAP, "some-name"), registered)}
    ]
    assert lost == []


def test_several_causes_are_listed_and_one_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "connection", "refused"]) == 0
    assert "dockernet-doctor explain" in capsys.readouterr().out.splitlines()[-1]
    assert run(["explain", "port-bound-to-loopback"]) == 0
    page = capsys.readouterr().out
    assert page.startswith("port-bound-to-loopback\n")
    assert all(len(line) <= 80 for line in page.splitlines() if not line.startswith("    "))


def test_a_finding_id_is_explained_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "port-bound-to-loopback=port:web:80/tcp@h1", "--format", "json"]) == 0
    explained = json.loads(capsys.readouterr().out)
    assert [cause["cause"] for cause in explained["causes"]] == ["port-bound-to-loopback"]
    assert explained["causes"][0]["page"].startswith("# port-bound-to-loopback")


def test_markdown_becomes_text() -> None:
    page = "# a\n\nA `code` and\na [link](x.md).\n\n- one\n  more\n- two\n\n"
    page += "    keep  this\n\n```sh\nand this\n```\n| a | b |\n\x1b[31m\n"
    shown = page_text(page, heading=str.upper)
    assert shown.splitlines() == [
        "A",
        "",
        "A code and a link (x.md).",
        "",
        "- one more",
        "- two",
        "",
        "    keep  this",
        "",
        "    and this",
        "| a | b |",
        "",
        "",
    ]


def test_code_that_goes_on_in_the_next_line_is_code() -> None:
    """Seen failing: a mark was left at each end, and what stood between the next two was taken for code."""
    shown = page_text("Use `one two` or `three four`, or not.", width=12, code=str.upper)
    assert shown.split() == ["Use", "ONE", "TWO", "or", "THREE", "FOUR,", "or", "not."]


def piped(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(text.encode()))
    monkeypatch.setattr("sys.stdin", stream)


def test_a_ticket_from_a_pipe_names_what_to_test(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    piped(monkeypatch, "Hello,\nsince today:\n2026-11-01 10:00:01 connect ECONNREFUSED db:5432\nThanks!\n")
    assert run(["explain", "-"]) == 0
    shown = capsys.readouterr().out
    assert "no-listener" in shown
    assert "dockernet-doctor reach SRC db:5432" in shown


def test_what_a_host_shows_comes_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "explain", "--format", "json", "connection refused"]) == 0
    listed = [entry["cause"] for entry in json.loads(capsys.readouterr().out)["causes"]]
    assert "listener-on-loopback" in listed[:5]
    assert run(["demo", "explain", "connection refused"]) == 0
    assert capsys.readouterr().out.startswith("This host shows: ")
    assert run(["explain", "connection refused"]) == 0
    assert "This host shows" not in capsys.readouterr().out


def test_the_daemon_s_own_way_out_is_no_container_s(capsys: pytest.CaptureFixture[str]) -> None:
    text = 'Error response from daemon: Get "https://hub.test/v2/": Client.Timeout exceeded while awaiting headers'
    assert run(["explain", text]) == 3
    assert "curl -sSI https://hub.test/v2/" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("failed to find nft tool: executable file not found in $PATH", "daemon-not-running"),
        ("iptables chain FORWARD has policy DROP", "forward-policy-left-behind"),
        ("client version 1.60 is too new. Maximum supported API version is 1.56", "api-version-too-old"),
        ("IPv6 global forwarding is disabled", "nftables-needs-forwarding"),
        ("--firewall-backend=nftables is incompatible with swarm mode", "nftables-refuses-swarm"),
    ],
)
def test_texts_of_29_lead_to_their_cause(text: str, cause: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "--format", "json", text]) == 0
    assert cause in {entry["cause"] for entry in json.loads(capsys.readouterr().out)["causes"]}


def test_a_word_that_begins_with_dashes_is_an_option_still(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "--fromat", "connection refused"]) == 2
    assert "--fromat" in capsys.readouterr().err
