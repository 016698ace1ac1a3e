"""Times of the engine are read alike by every Python: 3.10's own reader takes neither Z nor nanoseconds."""

from datetime import datetime, timedelta, timezone

import pytest

from dockernet_doctor.moments import moment

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
