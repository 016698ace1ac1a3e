"""Causes of the firewall family that no lab host can show: what one snapshot says, against its healthy twin."""

from __future__ import annotations

import pytest
from dockernet_doctor_checks.firewall import (
    conntrack_table_full,
    docker_proxy_wrong_version,
    docker_rules_missing,
    firewalld_conflict,
    kernel_module_missing,
    lsm_denies_network,
)

from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.check import Check
from dockernet_doctor.diagnosis.finding import Finding
from dockernet_doctor.snapshot.model import (
    Conntrack,
    Container,
    Daemon,
    Engine,
    FirewallDump,
    Host,
    LogLine,
    Network,
    NetworkStack,
    Snapshot,
    State,
    Subnet,
)

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
    return list(check.find(Case((snapshot,))))


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
    assert found(docker_rules_missing.check, host, engine=engine) == []
    assert len(found(docker_rules_missing.check, host)) == 1
