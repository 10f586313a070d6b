"""Metrics for an OpenTelemetry collector. Its libraries are an extra, imported when this exporter is chosen."""

from __future__ import annotations

import contextlib
import logging
import threading
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from btcbot.errors import ConfigurationError
from btcbot.metric_catalogue import CATALOGUE, SECONDS_BUCKETS, MetricKind, Number, metric

if TYPE_CHECKING:
    from opentelemetry.metrics import Counter as OtelCounter
    from opentelemetry.metrics import Histogram as OtelHistogram
    from opentelemetry.metrics import _Gauge as OtelGauge
    from opentelemetry.sdk.metrics.export import MetricReader

__all__ = ["OtlpMetrics"]

#: Where the libraries log what went wrong with a push.
_LIBRARY_LOGGERS: Final = (
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    "opentelemetry.sdk.metrics._internal.export",
)
_TRANSIENT: Final = "Transient error"
_REASON_CHARACTERS_MAX: Final = 120


class _PushFailures(logging.Filter):
    """Makes of the libraries' sentences one short event a failed push: `metrics_push_failed`, with its `reason`."""

    def __init__(self) -> None:
        super().__init__()
        self._transient = ""

    def filter(self, record: logging.LogRecord) -> bool:
        reason = _reason(record)
        if str(record.msg).startswith(_TRANSIENT):  # tried again at once; the last try tells the end, and not why
            self._transient = reason
            return False
        record.reason, self._transient = self._transient or reason, ""
        record.msg, record.args, record.exc_info = "metrics_push_failed", (), None
        record.levelno, record.levelname = logging.WARNING, "WARNING"  # metrics are for watching: nothing depends on it
        return True


def _reason(record: logging.LogRecord) -> str:
    """Why, in a few words: what the operating system said where it said something, else the library's own line."""
    told = [*record.args] if isinstance(record.args, tuple) else []
    error = next((item for item in told if isinstance(item, BaseException)), None)
    if record.exc_info and error is None:
        error = record.exc_info[1]
    inner = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror
        inner = inner.__cause__ or inner.__context__
    if error is not None:
        return type(error).__name__
    is_transient = str(record.msg).startswith(_TRANSIENT)
    words = str(told[0]) if is_transient and told else record.getMessage()
    return " ".join(words.split())[:_REASON_CHARACTERS_MAX]


_PUSH_FAILURES: Final = _PushFailures()


class OtlpMetrics:
    """Pushes to an OpenTelemetry collector over OTLP/HTTP, every 15 seconds and at `flush`.

    `reader` is for tests. Raise ConfigurationError when the extra `otel` is not installed.
    """

    def __init__(self, endpoint: str, reader: MetricReader | None = None) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
            from opentelemetry.sdk.metrics import MeterProvider
            from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        except ImportError:
            raise ConfigurationError(
                "OBSERVABILITY_METRICS_EXPORTER: otlp needs an extra that is not installed; "
                "run: pip install 'btcbot[otel]', or choose prometheus"
            ) from None
        for name in _LIBRARY_LOGGERS:
            logging.getLogger(name).addFilter(_PUSH_FAILURES)  # once, however often it is added
        if reader is None:
            address = endpoint.rstrip("/")
            # A bare address means the collector's usual path, as for OTEL_EXPORTER_OTLP_ENDPOINT.
            address = address if "/" in address.partition("://")[2] else f"{address}/v1/metrics"
            reader = PeriodicExportingMetricReader(
                OTLPMetricExporter(endpoint=address, timeout=5),
                export_interval_millis=15_000,
                export_timeout_millis=5_000,
            )
        self._provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
        meter = self._provider.get_meter("btcbot")
        self._counters: dict[str, OtelCounter] = {}
        self._gauges: dict[str, OtelGauge] = {}
        self._histograms: dict[str, OtelHistogram] = {}
        for entry in CATALOGUE.values():
            match entry.kind:
                case MetricKind.COUNTER:
                    self._counters[entry.name] = meter.create_counter(entry.name, description=entry.help)
                case MetricKind.GAUGE:  # the synchronous gauge keeps the last value; an up-down counter would add up
                    self._gauges[entry.name] = meter.create_gauge(entry.name, description=entry.help)
                case MetricKind.HISTOGRAM:
                    self._histograms[entry.name] = meter.create_histogram(
                        entry.name, description=entry.help, explicit_bucket_boundaries_advisory=SECONDS_BUCKETS
                    )
        self._flushing: threading.Thread | None = None

    def count(self, name: str, amount: int | Decimal = 1, **labels: str) -> None:
        assert amount >= 0, f"counter {name} cannot go down"
        metric(name, MetricKind.COUNTER, labels)
        self._counters[name].add(float(amount), labels)

    def gauge(self, name: str, value: Number, **labels: str) -> None:
        metric(name, MetricKind.GAUGE, labels)
        self._gauges[name].set(float(value), labels)

    def observe(self, name: str, value: float, **labels: str) -> None:
        metric(name, MetricKind.HISTOGRAM, labels)
        self._histograms[name].record(value, labels)

    def flush(self, timeout_s: float) -> None:
        """Push now, waiting at most `timeout_s`. A collector that does not answer delays nothing beyond that."""
        if self._flushing is None or not self._flushing.is_alive():
            self._flushing = threading.Thread(target=self._push, name="metrics-flush", daemon=True)
            self._flushing.start()
        self._flushing.join(timeout_s)

    def _push(self) -> None:
        from opentelemetry.sdk.metrics import MetricsTimeoutError

        with contextlib.suppress(MetricsTimeoutError):  # the values stay and go with the next push
            self._provider.force_flush(5_000)

    def close(self, timeout_s: float = 2.0) -> None:
        """Push what is left and end the background thread, within about `timeout_s`."""
        self._provider.shutdown(timeout_s * 1000)
