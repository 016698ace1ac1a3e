"""Times of the engine are read alike by every Python: 3.10's own reader takes neither Z nor nanoseconds."""

import re
from datetime import datetime, timedelta, timezone

import pytest

from dockernet_doctor.moments import moment, now, of_clock

SECOND = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("2026-01-02T03:04:05Z", 0),
        ("2026-01-02T03:04:05.5Z", 500_000),
        ("2026-01-02T03:04:05.123456789Z", 123_456),
        ("2026-01-02T05:04:05.12+02:00", 120_000),
        ("2026-01-02T05:04:05+0200", 0),
    ],
)
def test_a_time_with_any_number_of_decimals(text: str, microseconds: int) -> None:
    assert moment(text) == SECOND + timedelta(microseconds=microseconds)


def test_a_time_without_a_zone_stays_without() -> None:
    assert moment("2026-01-02T03:04:05").tzinfo is None


@pytest.mark.parametrize("text", ["", "yesterday", "2026-01-02", "2026-13-02T03:04:05Z", "2026-01-02T03:04:05Zz"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a time|month must be"):
        moment(text)


def test_now_is_a_time_of_the_one_form_that_reports_have() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", now())
    assert abs(moment(now()) - datetime.now(timezone.utc)) < timedelta(minutes=10)


def test_times_of_the_clock_are_ordered_as_text() -> None:
    assert of_clock(1764108000.0) == "2025-11-25T22:00:00.000000Z"
    assert of_clock(1764108000.5) > of_clock(1764108000.0)
