"""Causes of the firewall family that no lab host can show: what one snapshot says, against its healthy twin."""

from __future__ import annotations

import pytest
from dockernet_doctor_checks.firewall import (
    conntrack_table_full,
    docker_proxy_wrong_version,
    docker_rules_missing,
    firewall_drops_traffic,
    firewalld_conflict,
    foreign_dnat_first,
    ip_forwarding_off,
    kernel_module_missing,
    lsm_denies_network,
    masquerade_disabled,
)
from dockernet_doctor_checks.names import upstream_dns_unreachable
from msgspec.structs import replace

from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.check import Check
from dockernet_doctor.diagnosis.finding import Finding
from dockernet_doctor.probe.model import Answer
from dockernet_doctor.snapshot.model import (
    Address,
    Conntrack,
    Container,
    Daemon,
    Endpoint,
    Engine,
    FirewallDump,
    Host,
    Link,
    LogLine,
    Network,
    NetworkStack,
    PortBinding,
    Reference,
    Route,
    Sandbox,
    Snapshot,
    State,
    Subnet,
)
from dockernet_doctor.snapshot.resolv import parse_resolv_conf

FULL = "nf_conntrack: nf_conntrack: table full, dropping packet"
MODULE = (
    "failed to create endpoint web on network bridge: failed to add the host (veth1) <=> sandbox (veth2) "
    "pair interfaces: operation not supported"
)
PROXY = "failed to start docker-proxy, check that the current version is in your $PATH"
DENIED = 'type=1400 audit(1.0:1): apparmor="DENIED" operation="create" profile="docker-default" comm="curl" family="inet"'
AVC = 'avc:  denied  { name_connect } for comm="nginx" scontext=system_u:system_r:httpd_t:s0 tclass=tcp_socket'
ZONE = "Error initializing network controller: ZONE_CONFLICT: 'docker0' already bound to a zone"


def found(
    check: Check, host: Host | None = None, error: str = "", log: str = "", engine: Engine | None = None
) -> list[Finding]:
    containers = (Container(id="1" * 64, name="web", state=State(status="created", error=error)),) if error else ()
    snapshot = Snapshot(
        name="h",
        taken_at="2026-01-01T00:00:00Z",
        endpoint="unix:///run/docker.sock",
        engine=engine or Engine(version="28.5.2"),
        host=host,
        containers=containers,
        networks=(
            Network(id="n", name="bridge", driver="bridge", bridge="docker0", subnets=(Subnet(subnet="172.17.0.0/16"),)),
        ),
        daemon=Daemon(log=(LogLine(text=log, level="fatal"),) if log else ()),
    )
    assert check.find is not None
    return list(check.find(Case.of((snapshot,))))


def tracked(count: int, log: tuple[str, ...] = ()) -> Host:
    return Host(conntrack=Conntrack(count=count, maximum=65536), kernel_log=log)


@pytest.mark.parametrize(
    ("host", "severity"),
    [
        (tracked(65536), "error"),
        (tracked(20, (FULL,)), "warning"),
        (tracked(20), None),
        (tracked(0, ("neighbour: arp_cache: neighbor table overflow!",)), None),
        (Host(), None),
    ],
)
def test_a_full_connection_table(host: Host, severity: str | None) -> None:
    assert [f.severity for f in found(conntrack_table_full.check, host)] == ([severity] if severity else [])


@pytest.mark.parametrize(
    ("check", "error", "log"),
    [
        (kernel_module_missing.check, MODULE, ""),
        (kernel_module_missing.check, "", "failed to start daemon: can't initialize iptables table `nat'"),
        (docker_proxy_wrong_version.check, PROXY, ""),
        (firewalld_conflict.check, "", ZONE),
    ],
)
def test_error_texts(check: Check, error: str, log: str) -> None:
    (finding,) = found(check, error=error, log=log)
    assert finding.severity == "error"
    assert (error or log) in {evidence.value for evidence in finding.evidence}
    assert found(check, error="driver failed: port is already allocated", log="failed to start daemon: pid file found") == []


SCTP = "Error starting userland proxy: protocol not supported"


def test_a_port_for_sctp_and_a_kernel_without_it() -> None:
    assert found(kernel_module_missing.check, error=SCTP) == []
    bindings = (PortBinding(port=80, protocol="sctp", host_port="8080"),)
    web = Container(id="1" * 64, name="web", state=State(status="created", error=SCTP), bindings=bindings)
    snapshot = Snapshot(name="h", taken_at="2026-01-01T00:00:00Z", endpoint="", containers=(web,))
    assert kernel_module_missing.check.find
    (finding,) = kernel_module_missing.check.find(Case.of((snapshot,)))
    assert finding.fixes[0].commands == ("modprobe sctp", "docker start web")


def test_absent_modules_alone_are_nothing() -> None:
    host = Host(kernel="6.1.0-9", modules_directory=False)
    assert found(kernel_module_missing.check, host) == []
    (finding,) = found(kernel_module_missing.check, host, error=MODULE)
    assert finding.confidence == "proven"


@pytest.mark.parametrize(
    ("line", "lsm", "heard"),
    [
        (DENIED, "apparmor", True),
        (AVC, "selinux-enforcing", True),
        (DENIED, "", False),
        (f"{AVC} permissive=1", "selinux-enforcing", False),  # logged, and allowed all the same
        ('apparmor="DENIED" operation="open" profile="docker-default" name="/etc/shadow"', "apparmor", False),
        ('apparmor="DENIED" operation="create" profile="snap.firefox" family="inet"', "apparmor", False),
    ],
)
def test_denials_of_sockets(line: str, lsm: str, *, heard: bool) -> None:
    assert bool(found(lsm_denies_network.check, Host(lsm=lsm, kernel_log=(line,)))) is heard


def test_the_native_backend_has_no_chains_of_iptables() -> None:
    """Engine 29 with firewall-backend=nftables: tables of nft instead."""
    native = '{"nftables": [{"table": {"family": "ip", "name": "docker-bridges", "handle": 1}}]}'
    dumps = (
        FirewallDump(tool="iptables-nft", family=4, text=""),
        FirewallDump(tool="nft", family=None, text=native),
    )
    host = Host(stack=NetworkStack(firewall=dumps))
    engine = Engine(version="29.0.0", firewall_backend="nftables")
    (finding,) = found(docker_rules_missing.check, host, engine=engine)
    assert "the chain filter-FORWARD (ip docker-bridges)" in finding.summary
    assert not any("DOCKER" in evidence.value for evidence in finding.evidence)
    assert len(found(docker_rules_missing.check, host)) == 1


# --- what a network is stopped by on its way out, asked or not

WAY_OUT = "172.18.0.2"


def shut_in(
    check: Check,
    rules: str = "",
    *,
    network: Network | None = None,
    dns: str = "",
    references: tuple[Reference, ...] = (),
    nat: bool = True,
    first: str = "",
    **sysctls: str,
) -> list[Finding]:
    """What `check` says of a host with one container on the network app and a way out by eth1; `dns` does not answer."""
    app = network or Network(id="n1", name="app", driver="bridge", bridge="app0", subnets=(Subnet(subnet="172.18.0.0/16"),))
    inner = NetworkStack(
        links=(Link(index=2, name="eth0", kind="veth", peer_index=9),),
        addresses=(Address(link="eth0", address=WAY_OUT, prefix=16, family=4),),
        routes=(
            Route(family=4, destination="172.18.0.0/16", link="eth0"),
            Route(family=4, destination="0.0.0.0/0", gateway="172.18.0.1", link="eth0"),
        ),
    )
    cli = Container(
        id="2" * 64,
        name="cli",
        network_mode="app",
        state=State(status="running", running=True, pid=2),
        endpoints=(Endpoint(network="app", network_id="n1", ipv4=WAY_OUT),),
        references=references,
        sandbox=Sandbox(pid=2, namespace=2, stack=inner, resolv_conf=parse_resolv_conf(dns)),
    )
    masquerade = "-A POSTROUTING -s 172.18.0.0/16 ! -o app0 -j MASQUERADE\n" if nat else ""
    text = f"*nat\n:POSTROUTING ACCEPT [0:0]\n{first}{masquerade}COMMIT\n"
    text += f"*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n{rules}COMMIT\n"
    outer = NetworkStack(
        links=(
            Link(index=2, name="app0", kind="bridge"),
            Link(index=3, name="eth1"),
            Link(index=9, name="veth9", kind="veth", master="app0"),
        ),
        addresses=(
            Address(link="app0", address="172.18.0.1", prefix=16, family=4),
            Address(link="eth1", address="10.99.0.3", prefix=24, family=4),
        ),
        routes=(
            Route(family=4, destination="172.18.0.0/16", link="app0", source="172.18.0.1"),
            Route(family=4, destination="10.99.0.0/24", link="eth1", source="10.99.0.3"),
            Route(family=4, destination="0.0.0.0/0", gateway="10.99.0.2", link="eth1"),
        ),
        listeners=(),
        sysctls={f"net.ipv4.conf.{key}.forwarding": value for key, value in sysctls.items()} | {"net.ipv4.ip_forward": "1"},
        firewall=(FirewallDump(tool="iptables-nft", family=4, text=text),),
    )
    snapshot = Snapshot(
        name="h",
        taken_at="2026-01-01T00:00:00Z",
        endpoint="unix:///run/docker.sock",
        engine=Engine(version="28.5.2"),
        host=Host(stack=outer),
        containers=(cli,),
        networks=(app,),
    )
    assert check.find is not None
    assert upstream_dns_unreachable.check.probes is not None
    case = Case.of((snapshot,))
    case = replace(case, answers={q: Answer(probe=q, result="timeout") for q in upstream_dns_unreachable.check.probes(case)})
    return list(check.find(case))


def test_forwarding_off_on_one_interface_is_told_without_a_question() -> None:
    assert shut_in(ip_forwarding_off.check, app0="1", eth1="1") == []
    (bridge,) = shut_in(ip_forwarding_off.check, app0="0", eth1="1")
    assert "net.ipv4.conf.app0.forwarding = 0" in bridge.summary
    (uplink,) = shut_in(ip_forwarding_off.check, app0="1", eth1="0")
    assert "net.ipv4.conf.eth1.forwarding = 0" in uplink.summary


BEHIND = "nameserver 127.0.0.11\n# ExtServers: [host(10.9.9.9)]"


@pytest.mark.parametrize(
    ("dns", "rules", "line"),
    [
        ("nameserver 10.9.9.9", "-A FORWARD -p udp -m udp --dport 53 -j DROP\n", "-D FORWARD -p udp -m udp --dport 53 -j DROP"),
        ("nameserver 10.9.9.9", "-A OUTPUT -p udp -m udp --dport 53 -j DROP\n", ""),  # not the host's question
        (BEHIND, "-A OUTPUT -d 10.9.9.9/32 -j DROP\n", "-D OUTPUT -d 10.9.9.9/32 -j DROP"),
        (BEHIND, "-A FORWARD -p udp -m udp --dport 53 -j DROP\n", ""),
    ],
)
def test_a_rule_that_drops_questions_to_a_dns_server_is_named(dns: str, rules: str, line: str) -> None:
    found = shut_in(firewall_drops_traffic.check, rules, dns=dns)
    assert [f.fixes[0].commands[0] for f in found] == ([f"iptables {line}"] if line else [])
    assert all("queries to 10.9.9.9" in f.summary for f in found)


@pytest.mark.parametrize(
    ("key", "host", "where", "severity"),
    [
        ("PAYMENT_URL", "api.stripe.com", "environment", "error"),
        ("UPSTREAM", "203.0.113.9", "environment", "info"),  # RFC 5737: of nobody
        ("UPSTREAM", "9.9.9.9", "command", "error"),
        ("PUBLIC_URL", "shop.acme.org", "environment", "info"),  # what browsers dial
        ("REDIS_DOWNLOAD_URL", "download.redis.io", "environment", "info"),  # the image's build
        ("API_URL", "api.example.com", "environment", "info"),  # a template's
        ("API_URL", "nas.local", "environment", "info"),
        ("traefik.http.url", "api.stripe.com", "label", "info"),
        ("API_URL", "172.18.0.7", "environment", "info"),
    ],
)
def test_a_way_out_that_a_setting_needs_is_missed(key: str, host: str, where: str, severity: str) -> None:
    told = (Reference(where=where, key=key, scheme="https", host=host, port=443),)
    (rule,) = shut_in(firewall_drops_traffic.check, "-A FORWARD -i app0 -o eth1 -j REJECT\n", references=told)
    assert (rule.severity, host in rule.summary) == (severity, severity == "error")
    assert shut_in(firewall_drops_traffic.check, references=told) == []


def test_a_network_without_masquerade_is_missed_by_a_setting_that_needs_it() -> None:
    app = Network(id="n1", name="app", driver="bridge", bridge="app0", subnets=(Subnet(subnet="172.18.0.0/16"),),
                  options={"com.docker.network.bridge.enable_ip_masquerade": "false"})  # fmt: skip
    told = (Reference(where="environment", key="PAYMENT_URL", scheme="https", host="api.stripe.com", port=443),)
    for references, severity in (((), "info"), (told, "error")):
        (found,) = shut_in(masquerade_disabled.check, network=app, references=references, nat=False)
        assert found.severity == severity


def test_a_rule_that_lets_a_network_out_unmasked_is_told_without_a_question() -> None:
    told = (Reference(where="environment", key="PAYMENT_URL", scheme="https", host="api.stripe.com", port=443),)
    check = foreign_dnat_first.check
    for references, severity in (((), "info"), (told, "warning")):
        for verdict in ("ACCEPT", "RETURN"):
            (found,) = shut_in(check, references=references, first=f"-A POSTROUTING -s 172.18.0.0/16 -j {verdict}\n")
            assert (found.severity, found.fixes[0].commands) == (
                severity,
                (f"iptables -t nat -D POSTROUTING -s 172.18.0.0/16 -j {verdict}",),
            )
    for harmless in ("-s 172.18.0.0/16 -d 10.0.0.0/8 -j ACCEPT", "-s 172.18.0.0/16 -o eth1 -j SNAT --to-source 10.99.0.3"):
        assert shut_in(check, references=told, first=f"-A POSTROUTING {harmless}\n") == []
    assert shut_in(check, references=told) == []


def test_a_rule_that_keeps_a_network_in_is_worth_knowing() -> None:
    check = firewall_drops_traffic.check
    assert shut_in(check, "-A FORWARD -i app0 -d 192.0.2.0/24 -j DROP\n") == []
    (rule,) = shut_in(check, "-A FORWARD -i app0 -o eth1 -j REJECT\n")
    assert (rule.severity, rule.fixes[0].commands) == ("info", ("iptables -D FORWARD -i app0 -o eth1 -j REJECT",))
    (others,) = shut_in(check, "-A FORWARD -s 172.18.0.9 -j ACCEPT\n-A FORWARD -j DROP\n")
    assert "Containers on app cannot reach other machines" in others.summary
    assert others.fixes[0].commands[0] == "iptables -I FORWARD -i app0 -o eth1 -j ACCEPT"
    internal = Network(
        id="n1", name="app", driver="bridge", bridge="app0", internal=True, subnets=(Subnet(subnet="172.18.0.0/16"),)
    )
    assert shut_in(check, "-A FORWARD -i app0 -o eth1 -j REJECT\n", network=internal) == []
