from __future__ import annotations

import pytest

from dockernet_doctor.snapshot.conntrack import LIMIT, parse_udp_flows, read_udp_flows
from tests.unit.snapshot.test_netlink import answers


def test_only_udp_flows_towards_the_wanted_ports() -> None:
    (flow,) = parse_udp_flows(answers("conntrack"), {9, 80})  # 80 is dialled too, by TCP
    assert (flow.source, flow.destination, flow.sport, flow.dport) == ("127.0.0.1", "127.0.0.1", 5355, 9)
    assert (flow.reply_source, flow.reply_destination) == ("127.0.0.1", "127.0.0.1")
    assert (flow.reply_sport, flow.reply_dport) == (9, 5355)
    assert not flow.replied
    assert 0 < flow.timeout_s <= 180
    assert parse_udp_flows(answers("conntrack"), {53}) == ()


def test_a_huge_table_is_not_read() -> None:
    with pytest.raises(OSError, match="more than this tool reads"):
        read_udp_flows({53}, LIMIT + 1)


def test_without_published_udp_nothing_is_asked() -> None:
    assert read_udp_flows((), LIMIT + 1) == ()
