"""The metrics that alert rules look at, kept until the end of the cycle; everything goes on to the exporter."""

from __future__ import annotations

from decimal import Decimal

import pytest
from tests.counting import calls_of

from btcbot.adapters.metrics import MemoryMetrics, NullMetrics
from btcbot.adapters.metrics_window import OBSERVED_MAX, MetricsWindow
from btcbot.decisions.alert_rules import RULES
from btcbot.decisions.alerts import series_of
from btcbot.domain.alerts import Series

REFUSED = Series("btcbot_order_outcomes_total", (("outcome", ("Refused", "InDoubt")),))
BREAKER = Series("btcbot_breaker_open")
SECONDS = Series("btcbot_cycle_seconds")
SUSPENSE = Series("btcbot_suspense")


def test_everything_goes_on():
    inner = MemoryMetrics()
    window = MetricsWindow(inner, [REFUSED, SECONDS])
    window.count("btcbot_order_outcomes_total", 2, outcome="Refused")
    window.count("btcbot_fees_paid_total", Decimal("0.1"), asset="TRY")
    window.gauge("btcbot_breaker_open", 1, endpoint="submit")
    window.observe("btcbot_cycle_seconds", 0.5)
    assert inner.value("btcbot_order_outcomes_total", outcome="Refused") == 2
    assert inner.value("btcbot_fees_paid_total", asset="TRY") == Decimal("0.1")
    assert inner.value("btcbot_breaker_open", endpoint="submit") == 1
    assert inner.value("btcbot_cycle_seconds") == 1


def test_a_counter_is_told_as_what_came_since_the_last_look():
    window = MetricsWindow(NullMetrics(), [REFUSED])
    for outcome in ("Refused", "InDoubt", "Accepted", "Refused"):
        window.count("btcbot_order_outcomes_total", outcome=outcome)
    assert window.take().counted == {REFUSED.key: 3}
    assert window.take().counted == {}


def test_a_gauge_keeps_what_each_of_its_series_was_set_to():
    window = MetricsWindow(NullMetrics(), [BREAKER, SUSPENSE])
    window.gauge("btcbot_breaker_open", 1, endpoint="submit")
    window.gauge("btcbot_breaker_open", 1, endpoint="trades")
    window.gauge("btcbot_breaker_open", 0, endpoint="submit")
    window.gauge("btcbot_suspense", Decimal("12.5"), asset="TRY")
    window.take()
    assert window.take().gauges == {BREAKER.key: (0.0, 1.0), SUSPENSE.key: (12.5,)}


def test_observations_are_the_newest_and_bounded():
    window = MetricsWindow(NullMetrics(), [SECONDS])
    for number in range(OBSERVED_MAX * 3):
        window.observe("btcbot_cycle_seconds", float(number))
    (seen,) = window.take().observed.values()
    assert (len(seen), seen[-1]) == (OBSERVED_MAX, OBSERVED_MAX * 3 - 1)
    assert window.take().observed == {}


def test_a_name_that_is_not_in_the_catalogue_is_found_at_once():
    window = MetricsWindow(NullMetrics(), [SECONDS])
    with pytest.raises(AssertionError, match="not in the catalogue"):
        window.count("btcbot_slip_total")
    with pytest.raises(KeyError):
        MetricsWindow(NullMetrics(), [Series("btcbot_slip_total")])


RECORDED = 4 * 5 + 2 * 6 + 2


def a_cycle(metrics: NullMetrics | MetricsWindow) -> None:
    """What about one cycle over twenty pairs records."""
    for symbol in ("A", "B", "C", "D"):
        for _ in range(5):
            metrics.gauge("btcbot_quote_age_ms", 1, symbol=symbol)
    for _ in range(6):
        metrics.observe("btcbot_store_transaction_seconds", 0.001)
        metrics.count("btcbot_venue_requests_total", endpoint="trades", result="2xx")
    metrics.count("btcbot_cycles_total", outcome="completed", cause="none")
    metrics.observe("btcbot_cycle_seconds", 0.01)
    if isinstance(metrics, MetricsWindow):
        metrics.take()


def test_it_costs_a_handful_of_calls_for_each_value_and_no_more_as_time_goes_on():
    window, nobody = MetricsWindow(NullMetrics(), series_of(RULES)), NullMetrics()
    a_cycle(window)
    first = calls_of(lambda: a_cycle(window)) - calls_of(lambda: a_cycle(nobody))
    for _ in range(300):
        a_cycle(window)
    assert first / RECORDED < 5
    assert calls_of(lambda: a_cycle(window)) - calls_of(lambda: a_cycle(nobody)) == first
