"""Closed endpoints and refused keys."""

from __future__ import annotations

import pytest
from tests.unit.btcturk.support import FakeClock

from btcbot.adapters.btcturk.breaker import REST_MS, Breaker, retry_after_s
from btcbot.adapters.btcturk.limits import Endpoint


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("30", 30.0), (" 1.5 ", 1.5), ("999999999", 3600.0), ("0", 0.0)]
    + [(bad, None) for bad in (None, "", "-1", "NaN", "inf", "1e9", "Wed, 21 Oct 2026 07:28:00 GMT", "9" * 50)],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header) == seconds


def test_an_endpoint_is_closed_for_as_long_as_the_venue_says() -> None:
    clock = FakeClock()
    breaker = Breaker(clock)
    breaker.rate_limited(Endpoint.BALANCES, 30.0)
    assert breaker.endpoints_closed() == ("balances",)
    assert breaker.closed_s(Endpoint.BALANCES) == 30.0
    assert breaker.closed_s(Endpoint.TRADES) == 0
    clock.pass_ms(30_000)
    assert breaker.endpoints_closed() == ()


def test_without_a_word_it_doubles_up_to_a_minute() -> None:
    breaker = Breaker(FakeClock())
    assert [breaker.rate_limited(Endpoint.TICKER, None) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert breaker.answered(Endpoint.TICKER)
    assert not breaker.answered(Endpoint.TICKER)
    assert breaker.rate_limited(Endpoint.TICKER, None) == 1


def test_an_endpoint_that_nobody_asks_after_its_pause_is_told_as_rested_once() -> None:
    clock = FakeClock()
    breaker = Breaker(clock)
    breaker.rate_limited(Endpoint.SUBMIT, 30.0)
    breaker.close(Endpoint.TRADES, 1.0)
    clock.pass_ms(30_000)
    assert breaker.answered(Endpoint.TRADES)
    clock.pass_ms(REST_MS - 1)
    assert breaker.rested() == ()
    clock.pass_ms(1)
    assert breaker.rested() == (Endpoint.SUBMIT,)
    assert breaker.rested() == ()
    assert breaker.rate_limited(Endpoint.SUBMIT, None) == 2  # it goes on where it was: nothing was answered


def test_five_unauthorised_answers_in_a_row_are_enough() -> None:
    breaker = Breaker(FakeClock())
    for _ in range(4):
        breaker.unauthorized()
    breaker.authorized()
    for number in range(1, 6):
        assert not breaker.is_key_refused()
        breaker.unauthorized()
        assert breaker.unauthorized_in_a_row == number
    assert breaker.is_key_refused()
    assert breaker.unauthorized_in_a_row == 6  # more than five, as the caller asks, though the venue saw five
