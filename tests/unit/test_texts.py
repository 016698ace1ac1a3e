"""What `explain` answers to error texts of public threads."""

from __future__ import annotations

import pytest

from tests.tickets.texts import Text, answered, is_right, listed

NOT_YET = (
    "https://github.com/docker-archive-public/docker.kitematic/issues/1615",
    "https://github.com/logto-io/go/issues/107",
    "https://github.com/michzimny/learninglocker2-docker/issues/7",
    "https://github.com/moby/moby/issues/12565",
    "https://github.com/moby/moby/issues/13475",
    "https://github.com/moby/moby/issues/26330",
    "https://github.com/nselem/corason/issues/17",
)
"""Threads whose text leaves open what was dialled, or tells a story; what is named first there fits it as well."""


@pytest.mark.parametrize("text", listed(), ids=lambda text: text.thread.removeprefix("https://"))
def test_an_expected_cause_is_among_the_first(text: Text) -> None:
    assert is_right(text) is (text.thread not in NOT_YET)


@pytest.mark.parametrize(
    "text",
    [
        "npm ERR! Could not resolve dependency:",
        "Module not found: Error: Can't resolve './foo.js'",
        "Module not found: Error: Can't resolve 'react'",
        'Could not resolve "./x.css"',
    ],
)
def test_what_a_bundler_cannot_resolve_is_no_name_of_a_host(text: str) -> None:
    assert answered(Text("", (), "", text)) == ["-"]
