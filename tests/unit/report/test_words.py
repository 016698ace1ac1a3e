from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockernet_doctor.notation import listed
from dockernet_doctor.report.words import count, encodable, seconds, sentence, visible, visible_lines

quick = settings(max_examples=60, deadline=None)
ANY_TEXT = st.text(alphabet=st.characters(), max_size=60)


@quick
@given(ANY_TEXT)
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    shown = visible(text)
    assert not {unicodedata.category(char) for char in shown} & {"Cc", "Cs", "Zl", "Zp"}
    assert not any(char in shown for char in "\u202e\u2066\u200b\x9b\x1b")


def test_what_nobody_sees_is_shown() -> None:
    """Fillers, joiners, annotations, tags: a name with one of them looks like another name."""
    assert visible("web\xad|\u034f|\u115f|\u180e|\u206a") == r"web\xad|\u034f|\u115f|\u180e|\u206a"
    assert visible("web\u3164|\ufff9|\U000e0041|\U000e0100") == r"web\u3164|\ufff9|\U000e0041|\U000e0100"
    assert visible("\u26a0\ufe0f \u00e9e\u0301") == "\u26a0\ufe0f \u00e9e\u0301"


@quick
@given(st.text(alphabet=st.characters(categories=["L", "N", "P"], exclude_characters="\u115f\u1160\u3164\uffa0"), max_size=60))
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


def test_what_was_escaped_can_be_read() -> None:
    assert visible("WARN\tdb: \x08") == r"WARN db: \x08"
    assert visible("a\x1b[31mb\u202ec\n") == r"a\x1b[31mb\u202ec\x0a"
    assert visible_lines("a\nb\r") == "a\nb\\x0d"


@quick
@given(ANY_TEXT, st.sampled_from(["ascii", "latin-1", "utf-8", "cp437", "no-such-encoding"]))
def test_every_text_can_be_written_in_every_encoding(text: str, encoding: str) -> None:
    assert isinstance(encodable(text, encoding), bytes)


def test_plain_characters_stand_for_what_an_encoding_lacks() -> None:
    assert encodable("✗ a → b … ≥ 28", "ascii") == b"x a -> b ... >= 28"


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.04, "0.0 s"), (0.94, "0.9 s"), (12.4, "12 s"), (125, "2 min 5 s"), (180, "3 min")],
)
def test_durations(value: float, words: str) -> None:
    assert seconds(value) == words


def test_counts_lists_and_sentences() -> None:
    assert (count(1, "box", "boxes"), count(2, "box", "boxes"), count(0, "port")) == ("1 box", "2 boxes", "0 ports")
    assert (listed([]), listed(["a"]), listed(["a", "b", "c"])) == ("", "a", "a, b and c")
    assert (sentence("web is down"), sentence("web is down."), sentence("why?")) == (
        "web is down.",
        "web is down.",
        "why?",
    )
