"""Our own count of requests never lets the venue's fixed windows overflow, wherever they begin."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest
from tests.unit.btcturk.support import FakeClock

from btcbot.adapters.btcturk.limits import QUOTAS, Endpoint, Quota, RateBudget, allowed, cycle_seconds_min, scaled


class FixedWindow:
    """The venue's limiter: windows start with the first request after the last one ended."""

    def __init__(self, quota: Quota) -> None:
        self.quota = quota
        self.started_ms: int | None = None
        self.seen = 0
        self.fullest = 0

    def arrive(self, at_ms: int) -> None:
        if self.started_ms is None or at_ms >= self.started_ms + self.quota.period_ms:
            self.started_ms, self.seen = at_ms, 0
        self.seen += 1
        self.fullest = max(self.fullest, self.seen)


@pytest.mark.parametrize("endpoint", list(Endpoint))
@pytest.mark.parametrize("seed", range(3))
def test_no_window_overflows(endpoint: Endpoint, seed: int) -> None:
    draw = random.Random(f"{endpoint}{seed}")
    clock = FakeClock()
    budget = RateBudget(clock)
    windows = [FixedWindow(quota) for quota in QUOTAS[endpoint]]
    sent = 0
    for _ in range(600):
        wait_ms = budget.wait_ms(endpoint)
        clock.pass_ms(wait_ms)
        assert budget.wait_ms(endpoint) == 0
        budget.start(endpoint)
        before_ms, after_ms = draw.choice([(0, 0), (1, 1), (5, 300), (300, 5), (2_000, 50)])
        clock.pass_ms(before_ms)
        for window in windows:
            window.arrive(clock.wall_ms)
        clock.pass_ms(after_ms)
        budget.end(endpoint)
        sent += 1
        clock.pass_ms(draw.choice([0, 0, 0, 10, 500]))
    assert sent == 600
    for window in windows:
        assert window.fullest <= window.quota.requests


def test_both_windows_of_an_order_count() -> None:
    clock = FakeClock()
    budget = RateBudget(clock)
    for _ in range(9):
        assert budget.wait_ms(Endpoint.SUBMIT) == 0
        budget.start(Endpoint.SUBMIT)
        budget.end(Endpoint.SUBMIT)
    assert 0 < budget.wait_ms(Endpoint.SUBMIT) <= 1_100
    assert budget.wait_ms(Endpoint.CANCEL) == 0


def test_a_request_without_an_answer_yet_counts() -> None:
    clock = FakeClock()
    budget = RateBudget(clock, {Endpoint.TICKER: (Quota(2, 1_000),)})
    budget.start(Endpoint.TICKER)
    clock.pass_ms(5_000)
    assert budget.wait_ms(Endpoint.TICKER) > 0
    assert budget.wait_ms(Endpoint.BALANCES) == 0  # no quota, no wait


def test_every_documented_limit_is_kept_below() -> None:
    for quotas in QUOTAS.values():
        for quota in quotas:
            assert 0 < allowed(quota) < quota.requests


def test_the_shortest_cycle() -> None:
    # Five books of 162 a minute; beyond five symbols one ticker, and balances and trades (108 a minute) decide.
    assert cycle_seconds_min(5) == Decimal("1.854")
    assert cycle_seconds_min(1) == cycle_seconds_min(6) == cycle_seconds_min(300) == Decimal("0.557")
    assert cycle_seconds_min(5, scaled(10)) == Decimal("0.186")
