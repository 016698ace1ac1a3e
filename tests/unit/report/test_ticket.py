"""A ticket read for what it names."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockernet_doctor.report import ticket


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("dial tcp 10.0.0.5:5432: connect: connection refused", [("10.0.0.5", 5432)]),
        ("curl: (7) Failed to connect to localhost port 8080 after 0 ms: Couldn't connect", [("localhost", 8080)]),
        ('Is the server running on host "db" (172.18.0.3) and accepting connections on port 5432?', [("db", 5432)]),
        ("Error: getaddrinfo ENOTFOUND db", [("db", None)]),
        ("curl: (6) Could not resolve host: api.shop", [("api.shop", None)]),
        ("dial tcp: lookup cache on 127.0.0.11:53: no such host", [("127.0.0.11", 53), ("cache", None)]),
        ("dial tcp [fd00::2]:80: connect: no route to host", [("fd00::2", 80)]),
        ("Error: P1001: Can't reach database server at `db`:`5432`", [("db", 5432)]),
        ("getaddrinfo ENOTFOUND db\nconnect ECONNREFUSED db:5432", [("db", 5432)]),
        ("2026-11-01T10:00:00.123Z it is 10:30 now", []),
        ("main.go:120 failed", []),
        ("all is well", []),
    ],
)
def test_what_was_dialled(text: str, found: list[tuple[str, int | None]]) -> None:
    assert ticket.places(text) == found


@pytest.mark.parametrize(
    ("text", "tests"),
    [
        ("Bind for 0.0.0.0:8080 failed: port is already allocated", ["ss -ltnp 'sport = :8080'"]),
        ("connect ECONNREFUSED 172.18.0.2:5432", ["dockernet-doctor reach SRC 172.18.0.2:5432"]),
        ("connect to $(reboot):80 failed", []),
        ("could not resolve host: db;reboot", ["dockernet-doctor reach SRC db"]),
    ],
)
def test_the_commands_that_test_it(text: str, tests: list[str]) -> None:
    assert list(ticket.commands(text)) == tests


@pytest.mark.parametrize(
    ("line", "registry"),
    [
        (
            'Error response from daemon: Get "https://hub.test/v2/": net/http: request canceled (Client.Timeout exceeded)',
            "hub.test",
        ),
        ('Head "https://hub.test:5000/v2/app/manifests/1": x509: certificate signed by unknown authority', "hub.test:5000"),
        ("proxyconnect tcp: dial tcp 10.0.0.1:3128: connect: connection refused", "REGISTRY"),
    ],
)
def test_the_daemon_s_own_way_out_is_no_container_s(line: str, registry: str) -> None:
    assert ticket.is_of_the_daemon(line)
    assert ticket.registry_of(line) == registry
    assert not ticket.is_of_the_daemon("dial tcp 10.0.0.5:5432: connect: connection refused")


def test_of_a_long_log_each_line_counts_once() -> None:
    log = "\n".join(f"2026-11-01T10:00:{n % 60:02}Z connection refused" for n in range(5000))
    assert ticket.lines(log) == ["connection refused"]
    assert len(ticket.lines("\n".join(map(str, range(5000))))) == 400


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=300))
def test_no_text_is_too_strange(text: str) -> None:
    assert len(ticket.places(text)) <= 4
    list(ticket.commands(text))
