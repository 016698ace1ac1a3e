"""From an error text to causes, whatever names and numbers stand in it; and the page in a terminal."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockernet_doctor.__main__ import run
from dockernet_doctor.diagnosis import registry
from dockernet_doctor.diagnosis.check import Check, Registered
from dockernet_doctor.report.explanation import causes_of, normalised, page_text


def entry(cause: str, *phrases: str) -> Registered:
    check = Check(cause=cause, title=cause, subjects=("container",), phrases=phrases)
    return Registered(check=check, family="names", package="p", version="1", page="", builtin=True)


KNOWN = {
    e.check.cause: e
    for e in (
        entry("in-use", "port is already allocated"),
        entry("refused", "connection refused"),
        entry("proxy-refused", "connect() failed (111: connection refused) while connecting to upstream"),
        entry("gone-link", "cannot link to a non running container: /db as /api/database"),
        entry("address", "bind for 0.0.0.0:8081 failed"),
    )
}


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("Bind for 0.0.0.0:9999 failed: port is already allocated.", "in-use"),
        ("docker: Error response from daemon: … on endpoint web_1 (4f6dad): Bind for [::]:80 failed", "address"),
        ("curl: (7) Failed to connect to 10.0.0.9 port 80: CONNECTION REFUSED", "refused"),
        ("2024/01/02 [error] 7#7: *1 connect() failed (111: Connection refused) while connecting to upstream", "proxy-refused"),
        ("Cannot link to a non running container: /shop-postgres AS /shop-api/pg", "gone-link"),
    ],
)
def test_names_and_numbers_do_not_matter(text: str, first: str) -> None:
    assert [e.check.cause for e in causes_of(text, KNOWN)][0] == first  # noqa: RUF015


@pytest.mark.parametrize("text", ["", "all is well", "refused", "12345 10.0.0.1", "…"])
def test_what_says_nothing_names_nothing(text: str) -> None:
    assert causes_of(text, KNOWN) == []


def test_a_general_phrase_leads_to_all_causes_that_have_it() -> None:
    both = {**KNOWN, "other": entry("other", "connection refused")}
    assert [e.check.cause for e in causes_of("Connection refused", both)][:2] == ["other", "refused"]


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=200))
def test_no_text_is_too_strange(text: str) -> None:
    causes_of(text, KNOWN)
    assert all(word == word.lower() or not word.isascii() for word in normalised(text))


@pytest.mark.parametrize("number", ["8081", "10.0.0.1:80", "fe80::1", "00:1a:2b:3c:4d:5e", "0123456789abcdef", "<name>"])
def test_what_varies_is_left_out(number: str) -> None:
    assert normalised(f"bind {number} failed") == ["bind", "failed"]


TICKETS = {
    "Connection refused": ("no-listener", "listener-on-loopback", "port-not-published"),
    "Temporary failure in name resolution": ("default-bridge-no-dns", "no-shared-network", "unknown-name"),
    "Could not resolve host: db": ("default-bridge-no-dns", "no-shared-network"),
    "ping: bad address 'db'": ("default-bridge-no-dns", "no-shared-network"),
    "No route to host": ("no-shared-network", "firewall-drops-traffic"),
    "Connection reset by peer": ("container-port-mismatch", "listener-on-loopback"),
    "Empty reply from server": ("container-port-mismatch", "listener-on-loopback"),
    "502 Bad Gateway": ("no-listener", "proxy-keeps-old-address"),
    "Gateway Timeout": ("proxy-picks-unshared-network",),
    "Bind for 0.0.0.0:8080 failed: port is already allocated": ("host-port-in-use",),
    "listen tcp4 0.0.0.0:80: bind: address already in use": ("host-port-in-use",),
    "could not find an available, non-overlapping IPv4 address pool among the defaults": ("address-pool-exhausted",),
    "works on localhost but not from outside": ("port-bound-to-loopback",),
    "container has no internet": ("internal-network-no-egress", "ip-forwarding-off"),
    "stopped working after firewall reload": ("docker-rules-missing",),
    "stopped working after upgrade": ("kernel-module-missing",),
    "Pool overlaps with other one on this address space": ("subnet-overlap",),
    "Destination Host Unreachable": ("cluster-advertise-not-reachable", "no-shared-network"),
    "endpoint with name web already exists in network app": ("stale-overlay-endpoint",),
    "Cannot link to a non running container: /db AS /api/database": ("stale-hosts-entry",),
    "invalid ranges specified for container and host Ports: 80-81 and 8000-8003": ("port-range-unequal",),
    "conflicting options: port publishing and the container type network mode": ("publish-with-container-mode",),
    "bridge is a pre-defined network and cannot be removed": ("predefined-network",),
    "error while removing network: network app id 1f2e has active endpoints": ("network-has-active-endpoints",),
    "iptables: No chain/target/match by that name": ("docker-rules-missing",),
    "could not find bridge docker0: route ip+net: no such network interface": ("bridge-down",),
    "error creating vxlan interface: file exists": ("vxlan-port-taken",),
    "Timeout was reached before node joined": ("overlay-port-blocked", "swarm-advertise-wrong"),
    "Network is unreachable": ("none-network", "internal-network-no-egress"),
    "network shop_default not found": ("network-gone",),
    "Cannot restart container app: No such container: 8de185a5bbe9eb00535137c501a1e185": ("shared-namespace-lost",),
    "dependency failed to start: container shop-db-1 is unhealthy": ("container-unhealthy",),
    "curl: (35) error:1408F10B:SSL routines:ssl3_get_record:wrong version number": ("scheme-mismatch",),
    "400 The plain HTTP request was sent to HTTPS port": ("scheme-mismatch",),
    "django.security.DisallowedHost: Invalid HTTP_HOST header: 'web:8000'": ("host-header-rejected", "underscore-in-name"),
    "Unable to locate credentials": ("metadata-hop-limit",),
}


@pytest.mark.parametrize("text", TICKETS)
def test_what_opens_most_tickets_leads_on(text: str) -> None:
    registered = registry.load().registered
    found = {e.check.cause for e in causes_of(text, registered)}
    expected = set(TICKETS[text]) & set(registered)
    if not expected:
        pytest.skip(f"none of {TICKETS[text]} is installed")
    assert expected & found


def test_several_causes_are_listed_and_one_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "connection", "refused"]) == 0
    assert "dockernet-doctor explain" in capsys.readouterr().out.splitlines()[-1]
    assert run(["explain", "port-bound-to-loopback"]) == 0
    page = capsys.readouterr().out
    assert page.startswith("port-bound-to-loopback\n")
    assert all(len(line) <= 80 for line in page.splitlines() if not line.startswith("    "))


def test_a_finding_id_is_explained_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "port-bound-to-loopback=port:web:80/tcp@h1", "--format", "json"]) == 0
    explained = json.loads(capsys.readouterr().out)
    assert [cause["cause"] for cause in explained["causes"]] == ["port-bound-to-loopback"]
    assert explained["causes"][0]["page"].startswith("# port-bound-to-loopback")


def test_markdown_becomes_text() -> None:
    page = "# a\n\nA `code` and\na [link](x.md).\n\n- one\n  more\n- two\n\n"
    page += "    keep  this\n\n```sh\nand this\n```\n| a | b |\n\x1b[31m\n"
    shown = page_text(page, heading=str.upper)
    assert shown.splitlines() == [
        "A",
        "",
        "A code and a link (x.md).",
        "",
        "- one more",
        "- two",
        "",
        "    keep  this",
        "",
        "    and this",
        "| a | b |",
        "",
        "",
    ]
