"""Days as people in Turkey count them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from btcbot.services import days

#: From the year in which the venue opened, when Turkey still set its clocks forward and back, to some years from now.
MOMENTS = st.integers(1_370_000_000_000, 2_000_000_000_000)


def test_a_day_begins_at_midnight_in_istanbul() -> None:
    assert days.today(1_767_225_600_000) == ("2026-01-01", 1_767_214_800_000, 1_767_301_200_000)
    assert days.utc_text(1_767_214_800_000) == "2025-12-31T21:00:00.000Z"


def test_the_day_on_which_clocks_were_set_back_has_25_hours() -> None:
    day, since_ms, until_ms = days.today(1_446_973_200_000)
    assert (day, until_ms - since_ms) == ("2015-11-08", 25 * 3_600_000)


@given(MOMENTS)
def test_a_moment_lies_in_its_day_and_the_moments_around_it_in_others(now_ms: int) -> None:
    day, since_ms, until_ms = days.today(now_ms)
    assert since_ms <= now_ms < until_ms
    assert day == days.day(now_ms) == days.day(since_ms) == days.day(until_ms - 1)
    assert days.day(since_ms - 1) < day < days.day(until_ms)
