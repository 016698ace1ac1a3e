from __future__ import annotations

import time
from pathlib import Path

from dockernet_doctor.snapshot import host
from dockernet_doctor.snapshot.firewall import FirewallReading
from dockernet_doctor.snapshot.model import Address, FirewallDump, Host, NetworkStack


def _write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_sysctl_files_hide_each_other_and_come_in_order(tmp_path: Path) -> None:
    _write(tmp_path, "usr/lib/sysctl.d/50-default.conf", "net.ipv4.conf.all.rp_filter = 2\n")
    _write(tmp_path, "usr/lib/sysctl.d/60-hidden.conf", "net.ipv4.ip_forward = 0\n")
    _write(tmp_path, "run/sysctl.d/60-hidden.conf", "net.ipv4.ip_forward = 0\n")
    _write(tmp_path, "etc/sysctl.d/60-hidden.conf", "kernel.panic = 1\nnet.ipv4.ip_forward = 1\n")
    _write(tmp_path, "etc/sysctl.conf", "\nnet.ipv4.ip_forward = 0\n")
    _write(tmp_path, "etc/sysctl.d/readme.txt", "net.ipv4.ip_forward = 7\n")
    found = [(s.file, s.line, s.key, s.value) for s in host.read_sysctl_settings(str(tmp_path))]
    assert found == [
        ("/usr/lib/sysctl.d/50-default.conf", 1, "net.ipv4.conf.all.rp_filter", "2"),
        ("/etc/sysctl.d/60-hidden.conf", 2, "net.ipv4.ip_forward", "1"),
        ("/etc/sysctl.conf", 2, "net.ipv4.ip_forward", "0"),
    ]


def test_sysctl_conf_stands_where_its_link_stands(tmp_path: Path) -> None:
    _write(tmp_path, "etc/sysctl.conf", "net.ipv4.ip_forward = 0\n")
    _write(tmp_path, "etc/sysctl.d/zz.conf", "net.ipv4.ip_forward = 1\n")
    (tmp_path / "etc/sysctl.d/99-sysctl.conf").symlink_to("../sysctl.conf")
    assert [s.file for s in host.read_sysctl_settings(str(tmp_path))] == ["/etc/sysctl.conf", "/etc/sysctl.d/zz.conf"]


def test_the_file_of_ufw_counts_only_where_ufw_is_enabled(tmp_path: Path) -> None:
    _write(tmp_path, "etc/ufw/sysctl.conf", "net/ipv4/ip_forward=0\n")
    assert host.read_sysctl_settings(str(tmp_path)) == ()
    assert [(s.file, s.key) for s in host.read_sysctl_settings(str(tmp_path), ufw=True)] == [
        ("/etc/ufw/sysctl.conf", "net.ipv4.ip_forward")
    ]


def test_ufw_is_enabled_by_a_line_that_is_no_comment(tmp_path: Path) -> None:
    _write(tmp_path, "etc/ufw/ufw.conf", "# ENABLED=yes\nENABLED=no\n")
    assert not host.ufw_enabled(str(tmp_path))
    _write(tmp_path, "etc/ufw/ufw.conf", "ENABLED=yes\n")
    assert host.ufw_enabled(str(tmp_path))


def test_kernel_lines_are_those_that_matter() -> None:
    text = (
        "<4>[ 1.0] nf_conntrack: nf_conntrack: table full, dropping packet\n"
        "<6>[ 2.0] eth0: link up\n"
        "<6>[ 3.0] neighbour: arp_cache: neighbor table overflow!\n"
        '<5>[ 4.0] audit: type=1400 audit(1.2:3): apparmor="DENIED" operation="create" profile="docker-default"\n'
        "<5>[ 5.0] audit: type=1400 audit(1.2:4): avc:  denied  { name_connect } for  pid=7\n"
    )
    found = host.kernel_lines(text)
    assert [line[:6] for line in found] == ["[ 1.0]", "[ 3.0]", "[ 4.0]", "[ 5.0]"]
    assert len(host.kernel_lines(text * 500)) == host.LOG_LINES


def test_full_table_of_another_namespace_or_of_long_ago_is_none_of_this_hosts() -> None:
    line = "<4>[ {}.904756] nf_conntrack: nf_conntrack: table full{}, dropping packet"
    for said_at, where, counts in (
        (90000, "", True),
        (90000, " in netns 4026531840", True),
        (90000, " in netns 4026538843", False),
        (1000, "", False),
    ):
        assert bool(host.kernel_lines(line.format(said_at, where), 4026531840, 13600)) is counts


def test_the_machine_began_before_this_test() -> None:
    assert 0 <= host._machine_began() < time.clock_gettime(time.CLOCK_MONOTONIC)


def test_a_firewall_is_active_where_its_rules_are() -> None:
    enabled = Host(active_firewalls=("ufw",))
    empty = host.with_firewall(enabled, FirewallReading(dumps=()))
    assert "ufw" not in empty.active_firewalls
    rules = FirewallDump(tool="iptables-nft", family=4, text="*filter\n:ufw-before-input - [0:0]\nCOMMIT\n")
    assert "ufw" in host.with_firewall(Host(), FirewallReading(dumps=(rules,))).active_firewalls


def test_links_that_heard_of_a_router_and_would_not_any_more(tmp_path: Path) -> None:
    """Without a counted advertisement there is no router to lose, however much the host forwards."""
    for link, count in (("eth0", 7), ("eth1", 0), ("eth2", 7)):
        _write(tmp_path, link, f"ifIndex\t2\nIcmp6InRouterSolicits   \t3\nIcmp6InRouterAdvertisements     \t{count}\n")
    stack = NetworkStack(
        addresses=tuple(
            Address(link=link, address=f"2001:db8::{n}", prefix=64, family=6)
            for n, link in enumerate(("eth0", "eth1", "eth2", "gone0"))
        ),
        sysctls={
            "net.ipv6.conf.all.forwarding": "1",
            "net.ipv6.conf.eth0.accept_ra": "1",
            "net.ipv6.conf.eth1.accept_ra": "1",
            "net.ipv6.conf.eth2.accept_ra": "2",
            "net.ipv6.conf.gone0.accept_ra": "1",
        },
    )
    assert host.advertised_links(stack, str(tmp_path)) == ("eth0",)
    assert host.advertised_links(NetworkStack(addresses=stack.addresses), str(tmp_path)) == ()
