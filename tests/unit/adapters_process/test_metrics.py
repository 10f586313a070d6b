"""Metrics: every line of the catalogue through every implementation, and what each of them refuses."""

from __future__ import annotations

import io
import json
import logging
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from decimal import Decimal

import pytest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from btcbot.adapters.logs import configure_logging, flush_logs, shutdown_logging
from btcbot.adapters.metrics import MemoryMetrics, NullMetrics, make_metrics
from btcbot.adapters.metrics_otlp import OtlpMetrics
from btcbot.adapters.metrics_prometheus import PrometheusMetrics
from btcbot.errors import ConfigurationError, Refused
from btcbot.metric_catalogue import CATALOGUE, MetricKind
from btcbot.ports import Metrics


@pytest.fixture(scope="module")
def prometheus() -> Iterator[PrometheusMetrics]:
    metrics = PrometheusMetrics(0)
    yield metrics
    metrics.close()


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture
def otlp(reader: InMemoryMetricReader) -> Iterator[OtlpMetrics]:
    metrics = OtlpMetrics("http://127.0.0.1:4318", reader)
    yield metrics
    metrics.close()


def record_everything(metrics: Metrics) -> None:
    """Each metric twice: counters by 1 and 2.5, gauges 3 then 2, histograms 0.004 and 0.3."""
    for entry in CATALOGUE.values():
        labels = {label: f"some-{label}" for label in entry.labels}
        match entry.kind:
            case MetricKind.COUNTER:
                metrics.count(entry.name, 1, **labels)
                metrics.count(entry.name, Decimal("2.5"), **labels)
            case MetricKind.GAUGE:
                metrics.gauge(entry.name, 3, **labels)
                metrics.gauge(entry.name, Decimal("2"), **labels)
            case MetricKind.HISTOGRAM:
                metrics.observe(entry.name, 0.004, **labels)
                metrics.observe(entry.name, 0.3, **labels)
    metrics.flush(1.0)


def page(metrics: PrometheusMetrics, host: str | None = None) -> str:
    request = urllib.request.Request(f"http://127.0.0.1:{metrics.port}/metrics")
    if host is not None:
        request.add_header("Host", host)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=5) as answer:
        return str(answer.read().decode())


def test_nowhere() -> None:
    record_everything(NullMetrics())


def test_in_memory() -> None:
    metrics = MemoryMetrics()
    record_everything(metrics)

    for entry in CATALOGUE.values():
        expected = {MetricKind.COUNTER: Decimal("3.5"), MetricKind.GAUGE: 2, MetricKind.HISTOGRAM: 2}[entry.kind]
        assert metrics.value(entry.name, **{label: f"some-{label}" for label in entry.labels}) == expected
    assert metrics.value("btcbot_cycles_total", outcome="never", cause="none") is None


def test_on_the_prometheus_page(prometheus: PrometheusMetrics) -> None:
    record_everything(prometheus)

    shown = page(prometheus)
    for entry in CATALOGUE.values():
        labels = (
            "{" + ",".join(f'{label}="some-{label}"' for label in sorted(entry.labels)) + "}" if entry.labels else ""
        )
        lines = {
            MetricKind.COUNTER: f"{entry.name}{labels} 3.5",
            MetricKind.GAUGE: f"{entry.name}{labels} 2.0",
            MetricKind.HISTOGRAM: f"{entry.name}_count{labels} 2.0",
        }
        assert lines[entry.kind] in shown.replace(", ", ",").splitlines(), entry.name
    assert "_created" not in shown


def test_at_an_opentelemetry_collector(otlp: OtlpMetrics, reader: InMemoryMetricReader) -> None:
    record_everything(otlp)

    found: dict[str, object] = {}
    data = reader.get_metrics_data()
    assert data is not None
    for metric in data.resource_metrics[0].scope_metrics[0].metrics:
        (point,) = metric.data.data_points
        found[metric.name] = getattr(point, "value", None) if hasattr(point, "value") else getattr(point, "count", None)
        assert set(point.attributes or {}) == set(CATALOGUE[metric.name].labels)
    expected = {MetricKind.COUNTER: 3.5, MetricKind.GAUGE: 2.0, MetricKind.HISTOGRAM: 2}
    assert found == {entry.name: expected[entry.kind] for entry in CATALOGUE.values()}


@pytest.mark.parametrize("kind", ["null", "memory", "prometheus", "otlp"])
def test_what_is_not_in_the_catalogue_fails_everywhere(
    kind: str, prometheus: PrometheusMetrics, otlp: OtlpMetrics
) -> None:
    plugged: dict[str, Metrics] = {
        "null": NullMetrics(),
        "memory": MemoryMetrics(),
        "prometheus": prometheus,
        "otlp": otlp,
    }
    metrics = plugged[kind]

    with pytest.raises(AssertionError, match="not in the catalogue"):
        metrics.count("btcbot_cycle_total", outcome="done")
    with pytest.raises(AssertionError, match="has the labels"):
        metrics.count("btcbot_cycles_total")
    with pytest.raises(AssertionError, match="has the labels"):
        metrics.count("btcbot_fills_total", symbol="BTCTRY", pair="BTCTRY")
    with pytest.raises(AssertionError, match="is a counter, not a gauge"):
        metrics.gauge("btcbot_cycles_total", 1, outcome="done", cause="none")


@pytest.mark.parametrize("kind", ["null", "memory", "otlp"])
def test_counters_only_grow(kind: str, otlp: OtlpMetrics) -> None:
    plugged: dict[str, Metrics] = {"null": NullMetrics(), "memory": MemoryMetrics(), "otlp": otlp}
    metrics = plugged[kind]

    with pytest.raises(AssertionError, match="cannot go down"):
        metrics.count("btcbot_cycles_total", -1, outcome="done", cause="none")


# --- Prometheus' port ------------------------------------------------------------------------------------------------


def test_a_busy_port_is_refused_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(Refused, match=f"^OBSERVABILITY_PROMETHEUS_PORT: port {port} on 127.0.0.1 cannot be opened"):
            make_metrics("prometheus", port, None)


def test_only_this_machine_can_read(prometheus: PrometheusMetrics) -> None:
    assert prometheus._server.server_address[0] == "127.0.0.1"
    assert "btcbot_orders_open" in page(prometheus, f"localhost:{prometheus.port}")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        page(prometheus, "evil.example")


# --- OTLP ------------------------------------------------------------------------------------------------------------


def test_a_missing_extra_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.metric_exporter", None)

    with pytest.raises(ConfigurationError) as caught:
        make_metrics("otlp", 0, "http://127.0.0.1:4318")

    assert caught.value.lines == (
        "OBSERVABILITY_METRICS_EXPORTER: otlp needs an extra that is not installed; "
        "run: pip install 'btcbot[otel]', or choose prometheus",
    )


def test_a_collector_that_does_not_answer_delays_a_flush_by_its_limit_only() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts connections, never answers
        metrics = OtlpMetrics(f"http://127.0.0.1:{silent.getsockname()[1]}")
        metrics.gauge("btcbot_orders_open", 1)

        started = time.monotonic()
        metrics.flush(0.1)
        metrics.flush(0.1)

        metrics.close(0.2)
        assert time.monotonic() - started < 2.0


def test_a_failed_push_is_one_short_event_with_its_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = f"http://127.0.0.1:{listener.getsockname()[1]}"
    stream = io.BytesIO()
    configure_logging("INFO", (), stream)
    try:
        metrics = OtlpMetrics(nobody)
        metrics.gauge("btcbot_orders_open", 1)
        metrics.flush(10.0)
        assert flush_logs(2.0)
        written = stream.getvalue()
        metrics.close(0.2)
    finally:
        shutdown_logging()

    lines = [json.loads(line) for line in written.splitlines()]  # threads of earlier tests may tell their end as well
    assert {(line["level"], line["event"]) for line in lines} == {("warning", "metrics_push_failed")}
    assert [line["reason"] for line in lines].count("Connection refused") == 1


@pytest.mark.parametrize(
    ("sentence", "values", "reason"),
    [
        (
            "Failed to export %s batch code: %s, reason: %s",
            ("metrics", 400, "Bad\nRequest"),
            "400, reason: Bad Request",
        ),
        ("Exporter failed: %s", (ValueError("with\nmany words"),), "ValueError"),
        ("x" * 1000, (), "x" * 100),
    ],
)
def test_whatever_the_libraries_tell_becomes_that_event(
    otlp: OtlpMetrics, caplog: pytest.LogCaptureFixture, sentence: str, values: tuple[object, ...], reason: str
) -> None:
    library = logging.getLogger("opentelemetry.sdk.metrics._internal.export")
    library.warning("Transient error %s encountered, retrying in %.2fs.", "Service Unavailable", 1.0)
    assert caplog.records == []
    library.error(sentence, *values)
    library.error(sentence, *values)

    assert [record.getMessage() for record in caplog.records] == ["metrics_push_failed"] * 2
    first, second = (vars(record)["reason"] for record in caplog.records)
    assert first == "Service Unavailable"
    assert reason in second and "\n" not in second and len(second) <= 120


def test_without_an_exporter_nothing_is_imported_or_opened() -> None:
    assert type(make_metrics("none", 9464, None)) is NullMetrics
