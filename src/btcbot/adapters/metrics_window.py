"""A decorator of the port `Metrics` that keeps what alert rules look at, until the end of the cycle.

What no rule names passes through after one look into a table. What is kept is bounded: a number for each series, and at
most `OBSERVED_MAX` observations of each histogram between two samples, the newest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from btcbot.domain.alerts import Sample, Series
from btcbot.metric_catalogue import CATALOGUE, MetricKind, Number
from btcbot.ports import Metrics

__all__ = ["OBSERVED_MAX", "MetricsWindow"]

OBSERVED_MAX: Final = 512


class MetricsWindow:
    """Everything goes on to `inner`; `take()` gives what the given series were told since it was asked last."""

    def __init__(self, inner: Metrics, series: Iterable[Series]) -> None:
        self._inner = inner
        self._counters: dict[str, tuple[tuple[Series, str], ...]] = {}
        self._gauge_series: dict[str, tuple[tuple[Series, str], ...]] = {}
        self._histograms: dict[str, tuple[tuple[Series, str], ...]] = {}
        tables = {
            MetricKind.COUNTER: self._counters,
            MetricKind.GAUGE: self._gauge_series,
            MetricKind.HISTOGRAM: self._histograms,
        }
        for one in dict.fromkeys(series):
            table = tables[CATALOGUE[one.metric].kind]
            table[one.metric] = (*table.get(one.metric, ()), (one, one.key))
        self._counted: dict[str, int | Decimal] = {}
        self._gauges: dict[str, dict[tuple[str, ...], Number]] = {}
        self._observed: dict[str, deque[float]] = {}

    def count(self, name: str, amount: int | Decimal = 1, **labels: str) -> None:
        self._inner.count(name, amount, **labels)
        wanted = self._counters.get(name)
        if wanted is not None:
            for series, key in wanted:
                if series.matches(labels):
                    self._counted[key] = self._counted.get(key, 0) + amount

    def gauge(self, name: str, value: Number, **labels: str) -> None:
        self._inner.gauge(name, value, **labels)
        wanted = self._gauge_series.get(name)
        if wanted is not None:
            for series, key in wanted:
                if series.matches(labels):
                    self._gauges.setdefault(key, {})[tuple(labels.values())] = value

    def observe(self, name: str, value: float, **labels: str) -> None:
        self._inner.observe(name, value, **labels)
        wanted = self._histograms.get(name)
        if wanted is not None:
            for series, key in wanted:
                if series.matches(labels):
                    self._observed.setdefault(key, deque(maxlen=OBSERVED_MAX)).append(value)

    def flush(self, timeout_s: float) -> None:
        self._inner.flush(timeout_s)

    def take(self) -> Sample:
        """What came since the last `take`; gauges keep what they were set to."""
        counted, self._counted = self._counted, {}
        observed, self._observed = self._observed, {}
        return Sample(
            counted={key: float(amount) for key, amount in counted.items()},
            gauges={key: tuple(float(value) for value in by_label.values()) for key, by_label in self._gauges.items()},
            observed={key: tuple(values) for key, values in observed.items()},
        )
