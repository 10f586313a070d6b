"""Metrics for Prometheus to read, on a port of 127.0.0.1.

Exact numbers become floats only here, at the very end: no decision is taken on a metric.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from decimal import Decimal
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Final, TypeVar
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, make_wsgi_app

from btcbot.errors import Refused
from btcbot.metric_catalogue import CATALOGUE, SECONDS_BUCKETS, Metric, MetricKind, Number, metric

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["PrometheusMetrics"]

LOOPBACK: Final = "127.0.0.1"
_HOSTS: Final = frozenset({"127.0.0.1", "localhost"})


class PrometheusMetrics:
    """A page in Prometheus' format on 127.0.0.1, in a registry of its own: only what the catalogue lists is shown.

    Requests that name another host are turned away: a web page that was tricked into asking (DNS rebinding) learns
    nothing. `port` 0 takes any free one; the one taken is in `port`.
    """

    def __init__(self, port: int) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types for it
        self.registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        for entry in CATALOGUE.values():
            match entry.kind:
                case MetricKind.COUNTER:
                    self._counters[entry.name] = Counter(entry.name, entry.help, entry.labels, registry=self.registry)
                case MetricKind.GAUGE:
                    self._gauges[entry.name] = Gauge(entry.name, entry.help, entry.labels, registry=self.registry)
                case MetricKind.HISTOGRAM:
                    self._histograms[entry.name] = Histogram(
                        entry.name, entry.help, entry.labels, registry=self.registry, buckets=SECONDS_BUCKETS
                    )
        try:
            self._server = make_server(
                LOOPBACK, port, _only_local(make_wsgi_app(self.registry)), _Server, handler_class=_SilentHandler
            )
        except OSError as error:
            raise Refused(
                f"OBSERVABILITY_PROMETHEUS_PORT: port {port} on {LOOPBACK} cannot be opened ({error.strerror}); "
                "choose another port, or end the program that has it"
            ) from None
        self.port: int = self._server.server_port
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()

    def count(self, name: str, amount: int | Decimal = 1, **labels: str) -> None:
        entry = metric(name, MetricKind.COUNTER, labels)
        _child(self._counters[name], entry, labels).inc(float(amount))

    def gauge(self, name: str, value: Number, **labels: str) -> None:
        entry = metric(name, MetricKind.GAUGE, labels)
        _child(self._gauges[name], entry, labels).set(float(value))

    def observe(self, name: str, value: float, **labels: str) -> None:
        entry = metric(name, MetricKind.HISTOGRAM, labels)
        _child(self._histograms[name], entry, labels).observe(value)

    def flush(self, timeout_s: float) -> None:
        """Nothing waits here: Prometheus comes and reads."""

    def close(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A reader that hangs up is its own affair; the default would print a traceback."""


class _SilentHandler(WSGIRequestHandler):
    timeout = 10  # a reader that says nothing does not keep a thread for ever

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """No line for each scrape."""


def _only_local(page: WSGIApplication) -> WSGIApplication:
    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("HTTP_HOST", LOOPBACK).partition(":")[0] not in _HOSTS:
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"ask for 127.0.0.1\n"]
        return page(environ, start_response)

    return answer


_Family = TypeVar("_Family", Counter, Gauge, Histogram)


def _child(family: _Family, entry: Metric, labels: Mapping[str, str]) -> _Family:
    return family.labels(*(labels[label] for label in entry.labels)) if entry.labels else family
