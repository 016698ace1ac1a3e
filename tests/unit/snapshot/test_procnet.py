"""What everybody may read of a namespace, against what `ip` said about it."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from dockernet_doctor.snapshot import procnet
from tests.unit.snapshot import iproute
from tests.unit.snapshot.test_netlink import RECORDING, SAID

PROC: dict[str, str] = RECORDING["proc"]


def test_the_names_of_the_links() -> None:
    assert {link.name for link in procnet.parse_dev(PROC["dev"])} == {link.name for link in iproute.links(SAID)}


def test_routes_of_the_main_table() -> None:
    routes = procnet.parse_route(PROC["route"]) + procnet.parse_ipv6_route(PROC["ipv6_route"])
    told = {(r.destination, r.link, r.gateway) for r in routes if r.kind == "unicast"}
    said = {(r.destination, r.link, r.gateway) for r in iproute.routes(SAID) if r.table == 254 and r.kind == "unicast"}
    multipath = {route for route in said if route[0] == "10.2.0.0/16"}  # of which /proc/net/route shows the first
    assert told >= said - multipath
    assert told - said == set()
    kinds = {r.destination: r.kind for r in routes if r.kind != "unicast"}
    assert kinds == {"10.3.0.0/16": "blackhole", "fd00:3::/48": "unreachable"}


def test_addresses_and_their_links() -> None:
    routes = procnet.parse_route(PROC["route"])
    told = procnet.parse_fib_trie(PROC["fib_trie"], routes) + procnet.parse_if_inet6(PROC["if_inet6"])
    said = iproute.addresses(SAID)
    assert {address for address in told if address.link} == {address for address in said if address.link != "eth9"}
    assert [address.address for address in told if not address.link] == ["10.9.0.1"]  # its peer only has a route


def test_the_own_namespace_is_one_and_has_a_loopback() -> None:
    seen = procnet.read_stack_of(os.getpid())
    assert seen is not None
    assert "lo" in {link.name for link in seen[1].links}
    assert procnet.read_stack_of(2**22 + 1) is None


@given(st.text(alphabet="0123456789abcdef \n\t|-/:hostLOCALdelo", max_size=300))
def test_any_text_is_read(text: str) -> None:
    routes = procnet.parse_route(text) + procnet.parse_ipv6_route(text)
    assert all("/" in route.destination for route in routes)
    assert all(address.prefix >= 0 for address in procnet.parse_if_inet6(text))
