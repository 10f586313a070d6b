"""Parameters that change during a run may lower the limits of the settings, and never raise them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace
from tests.builders import a_buy
from tests.unit.decisions.adaptive import START
from tests.unit.decisions.test_risk import facts, limits

from btcbot.adapters.metrics import NullMetrics
from btcbot.adapters.store.memory import MemoryStore
from btcbot.services.adaptation import FixedTuner
from btcbot.services.risk import RiskService
from btcbot.testing.list_log import ListLog


@pytest.mark.parametrize(
    ("turnover", "orders", "is_allowed"),
    [("400", 10, True), ("399", 10, False), ("100000", 10, True), ("100000", 0, False)],
)
def test_a_buy_of_400_under_what_is_tuned(turnover: str, orders: int, is_allowed: bool) -> None:
    assert would_allow("4", turnover, orders) is is_allowed


def test_a_turnover_that_is_tuned_far_above_the_cap_lets_no_more_through_than_the_cap() -> None:
    assert would_allow("5", "100000", 10)
    assert not would_allow("5.1", "100000", 10)


def would_allow(quantity: str, turnover: str, orders: int) -> bool:
    """A buy at 100, while the settings allow 500 TRY in a cycle."""
    tuning = replace(START, turnover_per_cycle_max=Decimal(turnover), orders_per_cycle_max=orders)
    within = limits(notional_per_cycle_max="500")
    service = RiskService(within, FixedTuner(tuning), MemoryStore(), NullMetrics(), ListLog())
    return service.would_allow([a_buy(quantity)], facts())
