"""The network is fine, the application is not: an info, from what its log or a setting says."""

from __future__ import annotations

import pytest

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
