"""How sources and destinations are written."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockernet_doctor.diagnosis.question import QuestionError, Source, Target, parse_source, parse_target


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("host", Source(kind="host")),
        ("outside", Source(kind="outside")),
        ("web", Source(kind="container", name="web")),
        ("/web", Source(kind="container", name="web")),
        ("container:host", Source(kind="container", name="host")),
        ("web@h2", Source(kind="container", name="web", host="h2")),
    ],
)
def test_source(text: str, expected: Source) -> None:
    assert parse_source(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("web", Target(kind="plain", name="web")),
        ("web:80", Target(kind="plain", name="web", port=80)),
        ("web:53/udp", Target(kind="plain", name="web", port=53, protocol="udp")),
        ("container:host:80", Target(kind="container", name="host", port=80)),
        ("service:shop/web:80", Target(kind="service", name="shop/web", port=80)),
        ("service:shop/web", Target(kind="service", name="shop/web")),
        ("name:db.internal:5432", Target(kind="name", name="db.internal", port=5432)),
        ("host:8080", Target(kind="host", port=8080)),
        ("10.0.0.5:80", Target(kind="address", name="10.0.0.5", port=80)),
        ("[fd00::5]:80", Target(kind="address", name="fd00::5", port=80)),
        ("fd00::5", Target(kind="address", name="fd00::5")),
        ("web:80@h2", Target(kind="plain", name="web", port=80, host="h2")),
        ("web:80/udp@h2", Target(kind="plain", name="web", port=80, protocol="udp", host="h2")),
    ],
)
def test_target(text: str, expected: Target) -> None:
    assert parse_target(text) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("web:0", "1 to 65535"),
        ("web:70000", "1 to 65535"),
        ("web:http", "1 to 65535"),
        ("web:", "1 to 65535"),
        (":80", "names no destination"),
        ("[fd00::5", "[ADDRESS]:PORT"),
        ("web:80/sctp", "tcp or udp"),
        ("[zz::1]:80", "neither a name nor an address"),
    ],
)
def test_what_cannot_be_read_is_told(text: str, told: str) -> None:
    with pytest.raises(QuestionError, match=re.escape(told)):
        parse_target(text)


NAMES = st.from_regex(r"[a-z0-9][a-z0-9_.-]{1,15}", fullmatch=True).filter(lambda n: n != "host")


@given(
    name=NAMES,
    kind=st.sampled_from(["plain", "container", "service", "name"]),
    port=st.none() | st.integers(1, 65535),
    protocol=st.sampled_from(["tcp", "udp"]),
    host=st.just("") | NAMES,
)
def test_a_target_survives_being_written_and_read(name: str, kind: str, port: int | None, protocol: str, host: str) -> None:
    target = Target(kind=kind, name=name, port=port, protocol=protocol, host=host)  # type: ignore[arg-type]
    read = parse_target(str(target))
    assert read == target or read.kind == "address"


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(QuestionError):
        assert parse_target(text).kind != "host" or text.startswith("host")


@pytest.mark.parametrize(
    "text",
    [
        f"web:{'9' * 5000}", "web:²", "web:٣", "web:0", "web:65536", "web:-1", "web:+80", "web: 80", "[::1", "[]:80", "[::1]:",
        "[::1]:80:90", "[fe80::1%eth0]:80", "fe80::1%eth0", "10.0.0.1:80:90", "a:b:c", "", ":80", "web:80/icmp",
    ],
)  # fmt: skip
def test_a_destination_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(QuestionError):
        parse_target(text)


def test_an_ipv4_address_in_ipv6_clothes_is_dialled_as_ipv4() -> None:
    assert parse_target("[::ffff:10.0.0.5]:80").name == "10.0.0.5"
