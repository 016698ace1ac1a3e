"""Every public ticket names its cause first, and healthy hosts of the same software are silent."""

from __future__ import annotations

import pytest

from tests.tickets.run import HEALTHY, TICKETS, Ticket, asked, listed, named

#: Those that are not named yet. What a replica set, Sentinel or Elasticsearch hands out by default is in no setting.
NOT_YET = (
    "mongo-rs-from-host",
    "mongo-rs-outside",
    "redis-cluster-outside",
    "redis-sentinel-outside",
    "elastic-sniff-outside",
    "search-dhcp",
    "redpanda-on-the-host",
)


def test_each_is_built() -> None:
    assert {ticket.name for ticket in listed()} == TICKETS.keys()


@pytest.mark.parametrize("ticket", [t for t in listed() if t.name not in NOT_YET], ids=lambda ticket: ticket.name)
def test_the_cause_comes_first(ticket: Ticket) -> None:
    assert named(ticket)[:1] == [ticket.cause]


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_hosts_are_silent(name: str) -> None:
    question = name if name.startswith("reach") else "check"
    diagnosis = asked(HEALTHY[name], question)
    assert [f.id for f in diagnosis.findings if f.severity != "info" or question != "check"] == []
