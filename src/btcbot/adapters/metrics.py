"""The port `Metrics`: which implementation is plugged in, and the two plain ones, nowhere and in memory.

Every implementation checks each use against the catalogue, so that a test with `NullMetrics` finds a wrong name too.
The ones for Prometheus and OpenTelemetry live in modules of their own, imported only when they are chosen: their
libraries cost more than a cycle.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from btcbot.metric_catalogue import CATALOGUE, MetricKind, Number, metric
from btcbot.ports import Metrics

__all__ = ["MemoryMetrics", "NullMetrics", "make_metrics"]


def make_metrics(exporter: str, prometheus_port: int, otlp_endpoint: str | None) -> Metrics:
    """The implementation for OBSERVABILITY_METRICS_EXPORTER: none, prometheus or otlp.

    Raise Refused when the port is taken, ConfigurationError when the extra for OTLP is not installed.
    """
    if exporter == "prometheus":
        from btcbot.adapters.metrics_prometheus import PrometheusMetrics

        return PrometheusMetrics(prometheus_port)
    if exporter == "otlp":
        from btcbot.adapters.metrics_otlp import OtlpMetrics

        assert otlp_endpoint is not None, "settings demand an endpoint for otlp"
        return OtlpMetrics(otlp_endpoint)
    return NullMetrics()


class NullMetrics:
    """Records nothing, and still fails on a metric that does not exist."""

    def count(self, name: str, amount: int | Decimal = 1, **labels: str) -> None:
        assert amount >= 0, f"counter {name} cannot go down"
        metric(name, MetricKind.COUNTER, labels)

    def gauge(self, name: str, value: Number, **labels: str) -> None:
        metric(name, MetricKind.GAUGE, labels)

    def observe(self, name: str, value: float, **labels: str) -> None:
        metric(name, MetricKind.HISTOGRAM, labels)

    def flush(self, timeout_s: float) -> None:
        """Nothing waits."""


class MemoryMetrics(NullMetrics):
    """Keeps everything, for tests: `value("btcbot_fills_total", symbol="BTCTRY", side="buy")`."""

    def __init__(self) -> None:
        self.counters: dict[tuple[str, ...], int | Decimal] = {}
        self.gauges: dict[tuple[str, ...], Number] = {}
        self.observations: dict[tuple[str, ...], list[float]] = {}

    def count(self, name: str, amount: int | Decimal = 1, **labels: str) -> None:
        super().count(name, amount, **labels)
        series = _series(name, labels)
        self.counters[series] = self.counters.get(series, 0) + amount

    def gauge(self, name: str, value: Number, **labels: str) -> None:
        super().gauge(name, value, **labels)
        self.gauges[_series(name, labels)] = value

    def observe(self, name: str, value: float, **labels: str) -> None:
        super().observe(name, value, **labels)
        self.observations.setdefault(_series(name, labels), []).append(value)

    def value(self, name: str, **labels: str) -> Number | None:
        """A counter's sum, a gauge's last value, a histogram's number of observations; None when never recorded."""
        series = _series(name, labels)
        match metric(name, CATALOGUE[name].kind, labels).kind:
            case MetricKind.COUNTER:
                return self.counters.get(series)
            case MetricKind.GAUGE:
                return self.gauges.get(series)
            case MetricKind.HISTOGRAM:
                return len(self.observations[series]) if series in self.observations else None


def _series(name: str, labels: Mapping[str, str]) -> tuple[str, ...]:
    return (name, *(labels[label] for label in CATALOGUE[name].labels))
