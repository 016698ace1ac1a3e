"""Failed dials in the words of the usual clients; what tells of none gives none."""

from __future__ import annotations

import pytest

from dockernet_doctor.diagnosis.facts.witness import dialled
from dockernet_doctor.snapshot.model import Container, State

FAILED = 'while connecting to upstream, client: 10.0.0.9, upstream: "{}", host: "example.org"'


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("dial tcp 172.18.0.5:5432: connect: connection refused", ("172.18.0.5", 5432)),
        ("dial tcp [fd00::5]:80: i/o timeout", ("fd00::5", 80)),
        ("dial tcp: lookup db on 127.0.0.11:53: no such host", ("db", None)),
        ("Error: connect ECONNREFUSED 127.0.0.1:7003", ("127.0.0.1", 7003)),
        ("Error: getaddrinfo ENOTFOUND mongo1", ("mongo1", None)),
        ("getaddrinfo EAI_AGAIN redis:6379", ("redis", 6379)),
        ("Connection to node 1 (localhost/127.0.0.1:9092) could not be established.", ("localhost", 9092)),
        ('connection to server at "db" (172.18.0.5), port 5432 failed: Connection refused', ("db", 5432)),
        ("Connection to localhost:5432 refused. Check that the hostname and port are correct", ("localhost", 5432)),
        ("java.net.ConnectException: Failed to connect to localhost/127.0.0.1:9000", ("localhost", 9000)),
        ("cURL error 7: Failed to connect to localhost port 9004: Connection refused", ("localhost", 9004)),
        ("curl: (7) Failed to connect to db port 80 after 2 ms: Couldn't connect to server", ("db", 80)),
        ("The connection to the server 0.0.0.0:40813 was refused - did you specify", ("127.0.0.1", 40813)),
        ("HTTPConnectionPool(host='api', port=8000): Max retries exceeded: Connection refused", ("api", 8000)),
        (f"connect() failed (111: Connection refused) {FAILED.format('http://172.18.0.3:80/')}", ("172.18.0.3", 80)),
        (f"upstream timed out (110: Operation timed out) {FAILED.format('http://172.17.0.1:8096/')}", ("172.17.0.1", 8096)),
        ("(error) MOVED 15495 172.17.0.2:7002", ("172.17.0.2", 7002)),
        ("db: forward host lookup failed: Unknown host", ("db", None)),
        ('could not translate host name "postgres" to address: Name does not resolve', ("postgres", None)),
        ("curl: (6) Could not resolve host: api", ("api", None)),
        ("wget: bad address 'api:8080'", ("api", None)),
        ("Caused by: java.net.UnknownHostException: db: Name or service not known", ("db", None)),
        ("php_network_getaddresses: getaddrinfo for mysql failed: Name or service not known", ("mysql", None)),
        ("ERROR 2005 (HY000): Unknown MySQL server host 'database' (-2)", ("database", None)),
        ("consumer: Cannot connect to amqp://mq//: failed to resolve broker hostname.", None),
        ("curl: (5) Could not resolve proxy: squid", None),
        ("listening on 0.0.0.0:8080, timeout 30s", None),
        ("GET http://api:80/ 200", None),
    ],
)
def test_a_line(line: str, found: tuple[str, int | None] | None) -> None:
    container = Container(
        id="a", name="a", image="a", image_id="", created="", state=State(status="running"), log_tail=("starting", line)
    )
    assert [(d.host, d.port) for d in dialled(container)] == ([found] if found else [])


def test_a_client_that_says_what_it_dials_before_it_says_that_it_failed() -> None:
    opening = "Opening socket connection to server localhost/127.0.0.1:2859. Will not attempt to authenticate using SASL"
    refused = "java.net.ConnectException: Connection refused"
    for lines, found in (
        ((opening, "WARN Session 0x0", refused), [("localhost", 2859)]),
        ((opening, "Session establishment complete"), []),
        ((opening, "1", "2", "3", "4", refused), []),
    ):
        container = Container(id="c", name="c", image="c", state=State(status="running"), log_tail=lines)
        assert [(d.host, d.port) for d in dialled(container)] == found


def test_a_script_that_says_whom_it_waits_for_beside_a_lookup_that_fails() -> None:
    waiting, failed = "Waiting for mysql to start", "nc: getaddrinfo: Name or service not known"
    for lines, found in (
        ((failed, waiting, failed, waiting), [("mysql", None)]),
        ((waiting, "nc: connection refused"), []),
        (("Waiting for mysql to start", "1", "2", "3", failed), []),
    ):
        container = Container(id="d", name="d", image="d", state=State(status="running"), log_tail=lines)
        assert [(d.host, d.port) for d in dialled(container)] == found


def test_what_was_said_before_a_reload_is_over() -> None:
    lines = (f"connect() failed (111: x) {FAILED.format('http://172.18.0.3:80/')}", "signal process started, reconfiguring")
    container = Container(id="b", name="b", image="b", image_id="", created="", state=State(status="running"), log_tail=lines)
    assert dialled(container) == ()
