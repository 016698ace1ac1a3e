"""The parsers against a recording of the kernel's answers and of what `ip`, `ss` and iptables-save said beside it."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from dockernet_doctor.snapshot import netlink, rtnetlink, sock_diag
from dockernet_doctor.snapshot.model import ForwardingEntry, IpsecPolicy, Link, Listener
from dockernet_doctor.snapshot.nfnetlink import docker_dns_as_json, nat_as_text
from tests.unit.snapshot import iproute

RECORDING = json.loads((Path(__file__).parent / "data/namespace.json").read_text())
SAID: dict[str, Any] = RECORDING["programs"]
DOCKER_DNS = json.loads((Path(__file__).parent / "data/docker_dns.json").read_text())


def answers(name: str) -> tuple[bytes, ...]:
    found: list[bytes] = []
    for datagram in RECORDING["answers"][name]:
        netlink.split(base64.b64decode(datagram), found)
    return tuple(found)


def names() -> dict[int, str]:
    return {link.index: link.name for link in rtnetlink.parse_links(answers("links"))[0]}


def test_links_are_those_of_ip_link() -> None:
    links, _ = rtnetlink.parse_links(answers("links"))
    assert links == iproute.links(SAID)
    port = next(link for link in links if link.name == "veth1")
    assert (port.master, port.hairpin, port.isolated) == ("br-app", True, True)
    assert next((link.vxlan_id, link.vxlan_port) for link in links if link.kind == "vxlan") == (256, 4789)


def test_links_bring_the_sysctls_of_their_interface() -> None:
    _, sysctls = rtnetlink.parse_links(answers("links"))
    assert sysctls["net.ipv4.conf.veth1.route_localnet"] == "1"
    assert sysctls["net.ipv4.conf.veth1.rp_filter"] == "2"
    assert sysctls["net.ipv6.conf.veth1.disable_ipv6"] == "1"
    assert sysctls["net.ipv6.conf.eth9.accept_ra"] == "2"
    assert sysctls["net.ipv4.conf.eth9.route_localnet"] == "0"


def test_netconf_holds_what_is_set_for_all_interfaces() -> None:
    assert rtnetlink.parse_netconf(answers("netconf"))["net.ipv4.conf.all.forwarding"] == "1"


def test_addresses_are_those_of_ip_address() -> None:
    found = rtnetlink.parse_addresses(answers("addresses"), names())
    assert set(found) == iproute.addresses(SAID)
    assert "10.9.0.1" in {address.address for address in found}  # and not the peer's


def test_routes_are_those_of_ip_route_without_what_addresses_tell() -> None:
    own = {address.address for address in rtnetlink.parse_addresses(answers("addresses"), names())}
    found = rtnetlink.parse_routes(answers("routes"), names(), own)
    assert set(found) == iproute.routes(SAID)
    assert [(r.destination, r.table) for r in found if r.kind == "local"] == [("10.4.0.0/24", 255)]
    assert {r.gateway for r in found if r.destination == "10.2.0.0/16"} == {"172.18.0.7", "10.9.0.2"}


def test_rules_are_those_of_ip_rule() -> None:
    rules = rtnetlink.parse_rules(answers("rules"))
    assert rules == iproute.rules(SAID)
    assert rtnetlink.without_default_rules(rules) == rules


def test_rules_of_a_new_namespace_are_left_out_of_a_sandbox() -> None:
    assert rtnetlink.without_default_rules(rtnetlink.DEFAULT_RULES) == ()
    one_removed = rtnetlink.DEFAULT_RULES[1:]
    assert rtnetlink.without_default_rules(one_removed) == one_removed


def test_neighbours_are_those_of_ip_neigh() -> None:
    assert set(rtnetlink.parse_neighbours(answers("neighbours"), names())) == iproute.neighbours(SAID)


def test_listeners_are_those_of_ss() -> None:
    found = [
        listener
        for name in ("tcp", "udp", "udp6")
        for listener in sock_diag.parse_listeners(answers(name), "tcp" if name == "tcp" else "udp")
    ]
    assert set(found) == iproute.listeners(SAID)
    assert {listener.port for listener in found if listener.v6only} == {83}
    assert {listener.waiting for listener in found if listener.port == 80} == {1}  # a client that nobody accepted
    assert 5355 not in {listener.port for listener in found}  # a UDP socket with a peer takes nobody else


def test_proc_net_tells_the_same_listeners_but_for_v6only() -> None:
    found: list[Listener] = []
    for name in ("tcp", "tcp6", "udp", "udp6"):
        found += sock_diag.parse_proc_sockets(RECORDING["proc"][name], "tcp" if name.startswith("tcp") else "udp")
    told = {(x.protocol, x.family, x.address, x.port, x.inode, x.waiting) for x in found}
    assert told == {(x.protocol, x.family, x.address, x.port, x.inode, x.waiting) for x in iproute.listeners(SAID)}


def test_dockers_own_rules_read_as_iptables_save_prints_them() -> None:
    printed = [line for line in RECORDING["iptables_save"].splitlines() if not line.startswith("#")]
    text = nat_as_text(answers("nft_chains"), answers("nft_rules"))
    assert text is not None
    assert text.splitlines() == printed
    assert "--to-destination 127.0.0.11:41234" in text


def test_a_rule_that_is_not_understood_is_left_to_the_program() -> None:
    rules = answers("nft_rules")
    strange = rules[0].replace(b"counter\0", b"quota12\0")
    assert nat_as_text(answers("nft_chains"), [strange, *rules[1:]]) is None


def docker_dns(kind: str) -> list[bytes]:
    return [base64.b64decode(message) for message in DOCKER_DNS[kind]]


def test_the_rules_of_docker_29_read_as_nft_prints_them() -> None:
    text = docker_dns_as_json(docker_dns("chains"), docker_dns("rules"))
    assert text is not None
    _, table, *printed = DOCKER_DNS["nft"]["nftables"]
    assert {name: table["table"][name] for name in ("family", "name")} == {"family": "ip", "name": "docker-dns"}
    assert json.loads(text)["nftables"][1:] == printed
    assert nat_as_text(docker_dns("chains"), docker_dns("rules")) is None


@pytest.mark.parametrize(
    ("known", "strange"),
    [
        (b"counter\0", b"quota12\0"),
        (b"docker-dns\0", b"docker-xyz\0"),
        (b"\x10\x08\0\x04\0\0\0\0\x04", b"\x08\x08\0\x04\0\0\0\0\x04"),  # another field of the IPv4 header
        (b"\x07\0\0\0\0\x03", b"\x07\0\0\0\0\x07"),  # a translation to random ports
    ],
)
def test_other_rules_are_left_to_nft(known: bytes, strange: bytes) -> None:
    rules = docker_dns("rules")
    assert known in rules[0]
    assert docker_dns_as_json(docker_dns("chains"), [rules[0].replace(known, strange), *rules[1:]]) is None
    assert docker_dns_as_json(answers("nft_chains"), answers("nft_rules")) is None


def test_an_error_of_the_kernel_is_raised() -> None:
    denied = struct.pack("=IHHIIi", 36, 2, 0, 1, 0, -1) + bytes(16)
    with pytest.raises(PermissionError):
        netlink.split(denied, [])


def test_a_dump_of_a_table_that_changed_is_reported() -> None:
    done = struct.pack("=IHHIIi", 20, 3, 0x10 | 0x2, 1, 0, 0)
    assert netlink.split(done, []) == (True, True)


@given(st.binary(max_size=200))
def test_attributes_of_anything_end(data: bytes) -> None:
    found = netlink.attributes(data)
    assert sum(4 + len(value) for value in found.values()) <= len(data)


def test_fields_stand_where_attributes_finds_them() -> None:
    fields = netlink.Fields((3,), (26, 10, 2), (99,))
    for data in answers("links") * 2:  # the second time by the forms of the first
        found = netlink.attributes(data, 16)
        ipv6 = netlink.attributes(netlink.attributes(found.get(26, b"")).get(10, b""))
        assert fields.of(data[16:]) == (found[3], ipv6.get(2, b""), b"")


# `bridge fdb` of br9 with its port vv, which learns nothing: what a bridge has by itself, and what was set
FORWARDING = """
0700000002000000800002000a0002003333000000010000
0700000002000000800000000a0002000200000000020000080009000200000008000f00000000001400030000000000210000002100000000000000
0700000003000000800002000a00020001005e0000010000
0700000004000000020000000a0002000200000099020000080009000200000008000f00000000001400030000000000210000002100000000000000
0700000004000000400000000a0002000200000000010000080009000200000008000f00000000001400030000000000210000002100000000000000
0700000004000000800000000a0002000200000099010000080009000200000008000f00000000001400030000000000220000002200000000000000
"""
BRIDGED = (
    Link(index=2, name="br9", kind="bridge", mac="02:00:00:00:99:01"),
    Link(index=3, name="ww", kind="veth", mac="02:00:00:00:99:02"),
    Link(index=4, name="vv", kind="veth", mac="02:00:00:00:99:01", master="br9", learning=False),
)


def test_forwarding_entries_are_those_that_were_set_and_those_of_deaf_ports() -> None:
    said = [bytes.fromhex(line) for line in FORWARDING.split()]
    learned, static = "02:00:00:00:99:02", "02:00:00:00:00:01"
    mine = ForwardingEntry(bridge="br9", port="br9", mac="02:00:00:00:00:02", state="permanent")
    set_there = ForwardingEntry(bridge="br9", port="vv", mac=static, state="static")
    assert rtnetlink.parse_forwarding(said, BRIDGED) == (
        mine,
        ForwardingEntry(bridge="br9", port="vv", mac=learned, state="learned"),
        set_there,
    )
    hearing = tuple(replace(link, learning=True) for link in BRIDGED)
    assert rtnetlink.parse_forwarding(said, hearing) == (mine, set_there)


# `ip xfrm policy add dir fwd src 10.98.0.0/24 dst 172.17.0.0/16 proto tcp`, with `dport 80 action block priority 5`, with a
# template and priority 7; and `dir out src fd00::/8 dst ::/0 dev vv mark 5 mask 0xff`
_NEVER = "ff" * 32 + "00" * 48 + "57a8106b00000000" + "00" * 8
POLICIES = (
    "00" * 16 + "fd" + "00" * 15 + "00" * 8 + "0a00000800000000" + "04000000" + "00000000" + _NEVER
    + "00000000" + "11000000" + "0100000000000000" + "0a00100000000000000000000c00150005000000ff000000",
    "ac11" + "00" * 14 + "0a62" + "00" * 14 + "00" * 8 + "0200101806000000" + "00000000" + "00000000" + _NEVER
    + "07000000" + "0a000000" + "0200000000000000"
    + "440005000202020200000000000000000000000000000000320000000200000001010101000000000000000000000000000000000100"
    + "0000ffffffffffffffffffffffff" + "0a0010000000000000000000",
    "ac11" + "00" * 14 + "0a62" + "00" * 14 + "0050ffff00000000" + "0200101806000000" + "00000000" + "00000000" + _NEVER
    + "05000000" + "02000000" + "0201000000000000" + "0a0010000000000000000000",
)  # fmt: skip


def test_ipsec_policies_are_those_of_ip_xfrm() -> None:
    """The lowest priority first."""
    first = IpsecPolicy(family=6, direction="out", source="fd00::/8", destination="::/0", link="vv", mark=5, mark_mask=0xFF)
    fwd = IpsecPolicy(family=4, direction="fwd", source="10.98.0.0/24", destination="172.17.0.0/16", protocol=6)
    assert rtnetlink.parse_ipsec([bytes.fromhex(text) for text in POLICIES], BRIDGED) == (
        first,
        replace(fwd, priority=5, blocks=True, dport=80, dport_mask=0xFFFF),
        replace(fwd, priority=7, transforms=True),
    )


def test_a_neighbour_that_failed_says_how_long_ago() -> None:
    """`ip neigh`: 10.0.0.9 FAILED, its state 4,200 ticks old."""
    said = bytes.fromhex(
        "02000000040000002000000008000100" + "0a000009" + "14000300" + "00" * 4 + "00" * 4 + "68100000" + "00" * 4
    )
    (entry,) = rtnetlink.parse_neighbours([said], {4: "eth1"})
    assert (entry.address, entry.state, entry.age) == ("10.0.0.9", "failed", 42)


def test_a_dump_without_measure_is_left_and_the_next_question_gets_its_own_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is root of a container fills its tables; nothing bounded what was read of them."""
    with netlink.Netlink(netlink.NETLINK_ROUTE) as kernel:
        before = kernel.dump(rtnetlink.LINKS_REQUEST)
        monkeypatch.setattr(netlink, "DUMP_LIMIT", 20)
        with pytest.raises(OSError, match="more than"):
            kernel.dump(rtnetlink.LINKS_REQUEST)
        monkeypatch.undo()
        assert rtnetlink.parse_links(kernel.dump(rtnetlink.LINKS_REQUEST))[0] == rtnetlink.parse_links(before)[0]
