"""What the dumps of firewall rules are given that the programs leave out."""

from __future__ import annotations

from dockernet_doctor.netfilter import parse_nft_json
from dockernet_doctor.snapshot.firewall import with_devices

DUMP = (
    '{"nftables": [{"table": {"family": "netdev", "name": "t"}}, '
    '{"chain": {"family": "netdev", "table": "t", "name": "in", "type": "filter", "hook": "ingress", "prio": 0}}, '
    '{"chain": {"family": "netdev", "table": "t", "name": "told", "hook": "egress", "prio": 0, "dev": "eth9"}}, '
    '{"chain": {"family": "netdev", "table": "t", "name": "called"}}]}'
)


def test_chains_of_devices_are_given_the_interfaces_that_nft_before_1_1_leaves_out() -> None:
    found = {("netdev", "t", "in"): ["eth0", "eth1"], ("netdev", "t", "told"): ["eth5"], ("inet", "t", "called"): ["eth6"]}
    table = parse_nft_json(with_devices(DUMP, found)).table("t", "netdev")
    assert table
    assert {name: chain.devices for name, chain in table.chains.items()} == {
        "in": ("eth0", "eth1"),
        "told": ("eth9",),
        "called": (),
    }
    assert with_devices(DUMP, {}) == DUMP
    assert with_devices('{"chain": {"hook": "ingress", oops}}', found) == '{"chain": {"hook": "ingress", oops}}'
