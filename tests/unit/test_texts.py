"""What `explain` answers to error texts of public threads."""

from __future__ import annotations

import pytest

from tests.tickets.texts import Text, is_right, listed

NOT_YET = (
    "https://github.com/dappnode/DAppNode/pull/387",
    "https://github.com/michzimny/learninglocker2-docker/issues/7",
    "https://github.com/moby/moby/issues/26330",
    "https://github.com/nselem/corason/issues/17",
)
"""Threads whose text leaves open what was dialled; what is named first there is another cause that fits it as well."""


@pytest.mark.parametrize("text", listed(), ids=lambda text: text.thread.removeprefix("https://"))
def test_an_expected_cause_is_among_the_first(text: Text) -> None:
    assert is_right(text) is (text.thread not in NOT_YET)
