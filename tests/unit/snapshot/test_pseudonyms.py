from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockernet_doctor.snapshot.pseudonyms import Pseudonyms

MAP = Pseudonyms(b"k" * 16)
PRIVATE = [ipaddress.IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")]
V4 = st.ip_addresses(v=4).map(str)
V6 = st.ip_addresses(v=6).map(str)


def common(one: str, other: str) -> int:
    """How many bits two addresses share from the start."""
    a, b = ipaddress.ip_address(one), ipaddress.ip_address(other)
    return a.max_prefixlen - (int(a) ^ int(b)).bit_length()


@settings(deadline=None, derandomize=True)
@given(V4, V4)
def test_prefixes_are_kept(one: str, other: str) -> None:
    assert common(MAP.text(one), MAP.text(other)) == common(one, other)


@settings(deadline=None, derandomize=True)
@given(V6, V6)
def test_prefixes_of_ipv6_are_kept(one: str, other: str) -> None:
    if not ipaddress.IPv6Address(one).ipv4_mapped and not ipaddress.IPv6Address(other).ipv4_mapped:
        assert common(MAP.text(one), MAP.text(other)) == common(one, other)


@settings(deadline=None, derandomize=True)
@given(V4, st.integers(8, 32))
def test_networks_stay_networks_and_hold_their_addresses(address: str, length: int) -> None:
    network = str(ipaddress.ip_network(f"{address}/{length}", strict=False))
    mapped = ipaddress.IPv4Network(MAP.text(network))
    assert ipaddress.ip_address(MAP.text(address)) in mapped
    for private in PRIVATE:
        assert mapped.subnet_of(private) == ipaddress.IPv4Network(network).subnet_of(private)


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.11", "0.0.0.0/0", "0.0.0.0:80", "255.255.255.255", "255.255.0.0", "224.0.0.251", "169.254.169.254", "8.8.8.8",
        "::1", "::", "[::]:80", "ff02::1", "::/0", "127.0.0.0/8", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "33:33:00:00:00:01",
        "28.5.2", "12:30:45", "2026-11-25T22:28:54.08Z", "std::vector", "nginx:1.25", "300.1.2.3", "a1.2.3.4b", "fe80::/10",
    ],
)  # fmt: skip
def test_special_addresses_and_other_texts_stay(text: str) -> None:
    assert MAP.text(text) == text


def test_addresses_within_texts() -> None:
    one, two = MAP.text("203.0.113.5"), MAP.text("172.18.0.2")
    rule = "-A DOCKER -d 172.18.0.2/32 ! -i br-1 -p tcp -m tcp --dport 80 -j DNAT --to-destination 203.0.113.5:80"
    assert MAP.text(rule) == rule.replace("172.18.0.2", two).replace("203.0.113.5", one)
    assert MAP.text("ip-172-18-0-2.internal") == f"ip-{two.replace('.', '-')}.internal"
    assert {one, two}.isdisjoint({"203.0.113.5", "172.18.0.2"})
    assert MAP.text("::ffff:172.18.0.2") == f"::ffff:{two}"
    assert ipaddress.ip_address(MAP.text("::ffff:ac12:2")) == ipaddress.ip_address(f"::ffff:{two}")


def test_broadcasts_of_known_subnets_are_broadcasts_still() -> None:
    texts = {"subnet": "172.18.0.0/16", "broadcast": "172.18.255.255", "gateway": "172.18.0.1"}
    mapped = Pseudonyms.for_texts(texts).of(texts)
    assert mapped["broadcast"] == str(ipaddress.ip_network(mapped["subnet"]).broadcast_address)


def test_macs_are_mapped_alike_and_stay_local_or_global() -> None:
    mapped = MAP.text("02:42:ac:12:00:02")
    assert mapped == MAP.text("ether 02:42:ac:12:00:02 brd").split()[1]
    assert mapped.startswith("02:")
    assert mapped != "02:42:ac:12:00:02"


def test_each_run_has_its_own_map() -> None:
    assert len({Pseudonyms().text("203.0.113.77") for _ in range(5)}) > 1
