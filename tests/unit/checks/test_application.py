"""The network is fine, the application is not: an info, from what its log or a setting says."""

from __future__ import annotations

import pytest

from tests.corpus import cases, replay
from tests.tickets.network import Box, Built
from tests.tickets.run import asked
from tests.unit.checks.test_names import container, env, found


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("Invalid HTTP_HOST header: 'web:80'. You may need to add 'web' to ALLOWED_HOSTS.", "host-header-rejected"),
        ("SSL_do_handshake() failed (SSL: error:0A00010B:SSL routines::wrong version number) while", "scheme-mismatch"),
        ("2026/01/02 03:04:05 [info] client sent plain HTTP request to HTTPS port while reading", "scheme-mismatch"),
        ("dial tcp: unknown protocol", ""),
    ],
)
def test_what_a_log_says(line: str, cause: str) -> None:
    assert found(container("web", 80, log_tail=("starting", line))) == ([(f"{cause}=container:web", "info")] if cause else [])


def test_an_underscore_in_a_url() -> None:
    api = container("my_api", 80)
    url, no_url = env("API", "my_api", 80, "http"), env("API_HOST", "my_api", 80)
    assert found(container("web", references=(url,)), api) == [("underscore-in-name=container:web", "info")]
    assert found(container("web", references=(no_url,)), api) == []


HUNG = "application-not-responding"


@pytest.mark.parametrize(
    ("server", "mute", "said"),
    [
        (Box(name="web", image="nginx", listens=(80,), waiting=2), True, [("info", "likely")]),
        (Box(name="web", image="nginx", listens=(80,), status="unhealthy"), True, [("info", "likely")]),
        (Box(name="web", image="nginx", listens=(80,)), True, []),
        (Box(name="web", image="nginx", listens=(80,), waiting=2), False, []),
        (Box(name="web", image="nginx", listens=(80,)), False, []),
        (Box(name="web", image="gunicorn", listens=(8000,), waiting=1), True, [("info", "possible")]),
        (Box(name="web", image="app-php", listens=(9000,), waiting=1), True, []),
        (Box(name="web", image="redis:7", listens=(6379,), waiting=1), True, [("info", "likely")]),
        (Box(name="web", image="redis:7", listens=(6379,)), True, []),
        (Box(name="web", image="mariadb:11", listens=(3306,), waiting=1), True, [("info", "likely")]),
        (Box(name="web", image="mariadb:11", listens=(3306,)), True, []),
        (Box(name="web", image="mariadb:11", listens=(3306,)), False, []),
        (Box(name="web", image="unknown", listens=(7777,), waiting=1), True, []),
    ],
)
def test_a_server_that_takes_connections_and_keeps_silent(server: Box, mute: bool, said: list[tuple[str, str]]) -> None:
    port = server.listens[0]
    built = Built(boxes=(Box(name="app"), server), mute=[("web", port)] if mute else [])
    diagnosis = asked(built, f"reach app web:{port}")
    assert [path.verdict for path in diagnosis.case.paths] == ["reachable"]
    assert [(f.severity, f.confidence) for f in diagnosis.findings if f.cause == HUNG] == said


def test_an_unhealthy_container_is_asked_in_check() -> None:
    for status, found_there in (("unhealthy", ["warning"]), ("running", [])):
        web = Box(name="web", image="nginx", listens=(80,), published={8080: 80}, status=status)
        diagnosis = asked(Built(boxes=(web,), mute=[("web", 80)]), "check")
        assert [f.severity for f in diagnosis.findings if f.cause == HUNG] == found_there
        assert [f.cause for f in diagnosis.findings if f.because_of] == ["container-unhealthy"] * len(found_there)


def test_what_a_service_hands_out_becomes_the_name_that_its_client_dials() -> None:
    """Seen failing: the word before the colon of `name:kafka:9092`, which is how the question is typed."""
    case = next(case for case in cases("tickets") if case.case.startswith("tickets/eco-kafka-manager/"))
    (fix, _outside) = replay(case)["findings"][0]["fixes"]
    assert fix["summary"] == "Change localhost to kafka in KAFKA_ADVERTISED_LISTENERS of kafka. This recreates kafka."
    assert "kafka:9092" in "".join(fix["commands"])
