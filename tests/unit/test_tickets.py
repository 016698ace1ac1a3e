"""Every public ticket names its cause first, and healthy hosts of the same software are silent."""

from __future__ import annotations

import pytest

from tests.tickets.network import Box, Built
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


@pytest.mark.parametrize("dialled", ["172.18.0.2:1883", "172.18.0.7:1883", "mqtt:1883"])
def test_a_dial_that_is_right_is_not_why_a_program_ends(dialled: str) -> None:
    line = f"MQTT error: connect ECONNREFUSED {dialled}"
    broker = Box(name="mqtt", listens=(1883,))
    client = Box(name="client", status="restarting", log=(line, "panic: no licence"), started="2026-01-02T03:03:50Z")
    found = asked(Built(boxes=(broker, client)), "check").findings
    assert [f.cause for f in found if f.severity != "info"] == ["container-not-running"]


@pytest.mark.parametrize(
    ("line", "commands"),
    [
        ("mysqld: unknown variable 'log_bin_trust=1'", False),
        ("Error: unknown shorthand flag: 'x' in -x", False),
        ("server: error: unrecognized arguments: --prot 80", False),
        ("2022 FATAL:  database files are incompatible with server", False),
        ("Error: Database is uninitialized and superuser password is not specified.", False),
        ('[emerg] 1#1: unknown directive "servr" in /etc/nginx/nginx.conf:3', False),
        ('[emerg] 1#1: host not found in upstream "api" in /etc/nginx/nginx.conf:3', True),
        ("panic: no licence", True),
    ],
)
def test_what_another_start_would_meet_again_is_not_started_again(line: str, commands: bool) -> None:
    db = Box(name="db", status="exited", published={5432: 5432}, log=("starting", line))
    (found,) = asked(Built(boxes=(db, Box(name="api", listens=(80,)))), "check").findings
    assert found.cause == "container-not-running"
    assert bool(found.fixes[0].commands) is commands
    assert (line.rstrip(".") in found.summary) is not commands
