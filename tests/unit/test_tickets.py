"""Every public ticket names its cause first, and healthy hosts of the same software are silent."""

from __future__ import annotations

import pytest

from dockernet_doctor.report import text
from dockernet_doctor.report.build import build
from dockernet_doctor.report.model import Invocation
from tests.tickets.network import Box, Built
from tests.tickets.run import HEALTHY, TICKETS, Ticket, asked, listed, named

#: Those that are not named yet. What a replica set, Redis Cluster or Elasticsearch hands out by default is in no setting.
NOT_YET = (
    "mongo-rs-from-host",
    "mongo-rs-outside",
    "redis-cluster-outside",
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


@pytest.mark.parametrize("networks", [("bridge",), ("app",)])
def test_a_program_that_ended_over_a_name_on_the_default_bridge_says_so(networks: tuple[str, ...]) -> None:
    """Its headline was that it is not running; on a custom network the name resolves, and it is no more than that."""
    said = '[emerg] 1#1: host not found in upstream "php" in /etc/nginx.conf:4'
    web = Box(name="web", status="exited", networks=networks, published={8080: 80}, log=(said,))
    found = asked(Built(boxes=(web, Box(name="php", networks=networks, listens=(9000,)))), "check").findings
    expected = ["default-bridge-no-dns", "container-not-running"] if networks == ("bridge",) else ["container-not-running"]
    assert [f.cause for f in found if f.severity != "info"][: len(expected)] == expected


@pytest.mark.parametrize(("others", "causes"), [((), ["listener-on-loopback"]), ((33060,), [])])
def test_a_setting_without_a_port_means_the_usual_one_where_nothing_else_is_served(
    others: tuple[int, ...], causes: list[str]
) -> None:
    db = Box(name="db", loopback=(3306,), listens=others)
    found = asked(Built(boxes=(db, Box(name="nextcloud", env={"MYSQL_HOST": "db"}))), "check").findings
    assert [f.cause for f in found if f.severity != "info"] == causes


@pytest.mark.parametrize(
    ("line", "commands"),
    [
        ("mysqld: unknown variable 'log_bin_trust=1'", False),
        ("Error: unknown shorthand flag: 'x' in -x", False),
        ("server: error: unrecognized arguments: --prot 80", False),
        ("FATAL: database files are incompatible with server", False),
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


def text_of(name: str) -> str:
    (ticket,) = (t for t in listed() if t.name == name)
    verb, *words = ticket.question.split()
    invocation = Invocation(verb=verb, arguments=tuple(words), only=(), skip=(), fail_on="warning", probes=True)
    return text.render(build(asked(TICKETS[name], ticket.question), invocation, duration_s=0))


def test_the_cost_of_a_fix_names_whom_it_recreates() -> None:
    written = text_of("minio-other-port")
    assert "recreates app and loses" in written
    assert "recreates minio" not in written


@pytest.mark.parametrize("name", ["zigbee-1833", "zigbee-loopback", "couchdb-greenwood", "caddy-host-port"])
def test_a_setting_that_was_not_read_is_the_configuration(name: str) -> None:
    assert "Change the configuration of " in text_of(name)


def test_whom_a_log_waits_for_is_the_root() -> None:
    first = asked(TICKETS["codewithdan-node1"], "check").findings[0]
    assert (first.subject.name, "missing script" in first.summary) == ("node-codewithdan-1", True)


def test_the_clock_of_a_log_line_is_not_in_the_headline() -> None:
    assert "with status 1 (FATAL: database files are incompatible with server).\n" in text_of("fusionauth-db")
