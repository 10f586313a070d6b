"""One request to BtcTurk, exactly once: address, headers, deadline, limits of our own, and what came of it.

The address is fixed for a client's life, and only BtcTurk's own over https or one of this machine will do. Whatever
network and venue do ends as a `TransportResult`; nothing in here repeats, waits, signs or reads what an answer says.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

import httpx2

from btcbot import __version__
from btcbot.adapters.btcturk import wire
from btcbot.adapters.btcturk.breaker import retry_after_s
from btcbot.adapters.btcturk.limits import Endpoint, Quota, RateBudget
from btcbot.adapters.btcturk.outcome import Answer, NeverLeft, NoAnswer, TransportResult
from btcbot.adapters.btcturk.signing import Header
from btcbot.adapters.btcturk.transport import ABANDON, TIMEOUT_S, BodyUnreadable, DeadlineTransport, header, read_body
from btcbot.errors import ConfigurationError
from btcbot.ports import Clock, Metrics, StopSignal

VENUE_HOST: Final = "api.btcturk.com"
#: Where its charts are.
GRAPH_HOST: Final = "graph-api.btcturk.com"
#: How the settings call the addresses.
_NAMES: Final = {VENUE_HOST: "BTCTURK_BASE_URL", GRAPH_HOST: "BTCTURK_GRAPH_URL"}
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_NO_BODY: Final = httpx2.ByteStream(b"")
#: Reading an address costs more than sending it, and most are asked again and again: those of the last requests.
_url: Final = lru_cache(maxsize=64)(httpx2.URL)


class Sender:
    """The way out to the venue at `base_url`. `transport` None opens real sockets.

    Raises ConfigurationError for a base URL other than `host`, one of BtcTurk's own, over https or one of this machine.
    """

    def __init__(
        self,
        base_url: str,
        *,
        clock: Clock,
        stop: StopSignal,
        metrics: Metrics,
        quotas: Mapping[Endpoint, tuple[Quota, ...]],
        transport: httpx2.BaseTransport | None = None,
        ssl_context: ssl.SSLContext | None = None,
        host: str = VENUE_HOST,
    ) -> None:
        self._base_url, is_tls = _pinned(base_url, host)
        if transport is None:
            if is_tls and ssl_context is None:
                ssl_context = ssl.create_default_context()
            transport = DeadlineTransport(ssl_context if is_tls else None)
        self._transport = transport
        self._clock = clock
        self._stop = stop
        self._metrics = metrics
        self._budget = RateBudget(clock, quotas)
        self._is_closed = False
        self._plain_headers: list[Header] = [
            (b"Host", _url(self._base_url).netloc),
            (b"Accept", b"application/json"),
            (b"Accept-Encoding", b"gzip"),
            (b"User-Agent", f"btcbot/{__version__}".encode("ascii")),
        ]

    def wait_s(self, endpoint: Endpoint) -> float:
        """Seconds until our own limits let a request to `endpoint` leave; 0 for now."""
        return self._budget.wait_ms(endpoint) / 1000

    def close(self) -> None:
        self._is_closed = True
        self._transport.close()

    def send(
        self,
        endpoint: Endpoint,
        method: str,
        target: str,
        headers: list[Header],
        body: bytes | None,
        timeout_s: float,
    ) -> TransportResult:
        """Exactly one request. Never raises for what the network or the venue does."""
        extensions: dict[str, object] = {TIMEOUT_S: timeout_s}
        if method == "GET" and not self._stop.is_set():
            # Asked to stop, a read under way is given up; one that starts later (to clean up) is not.
            extensions[ABANDON] = self._stop.is_set
        headers = self._plain_headers + headers
        if body is not None:
            headers.append((b"Content-Length", str(len(body)).encode("ascii")))
        # With a stream instead of content the library adds no headers of its own: they all stand here.
        request = httpx2.Request(
            method,
            _url(self._base_url + target),
            headers=headers,
            stream=_NO_BODY if body is None else httpx2.ByteStream(body),
            extensions=extensions,
        )
        started_ns = self._clock.monotonic_ns()
        self._budget.start(endpoint)
        try:
            result = self._sent(request)
        finally:
            self._budget.end(endpoint)
        seconds = (self._clock.monotonic_ns() - started_ns) / 1e9
        self._metrics.observe("btcbot_venue_request_seconds", seconds, endpoint=endpoint.value)
        self._metrics.count("btcbot_venue_requests_total", endpoint=endpoint.value, result=_result(result))
        return result

    def _sent(self, request: httpx2.Request) -> TransportResult:
        if self._is_closed:
            return NeverLeft("the client is closed")  # the pool would open new connections that nobody closes
        try:
            response = self._transport.handle_request(request)
            stream = response.stream
            assert isinstance(stream, httpx2.SyncByteStream)
            try:
                body = read_body(response, wire.BODY_BYTES_MAX)
            finally:
                stream.close()
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            return NeverLeft(f"no connection: {error}")
        except httpx2.HTTPError as error:
            return NoAnswer(f"no whole answer: {type(error).__name__}: {error}")
        except BodyUnreadable as error:
            return NoAnswer(str(error))
        return Answer(response.status_code, body, retry_after_s(header(response, b"retry-after")))


def _pinned(base_url: str, venue_host: str) -> tuple[str, bool]:
    """Scheme and host of `base_url`, and whether it is https; ConfigurationError for a host that is not allowed."""
    name = _NAMES[venue_host]
    try:
        parts = urlsplit(base_url)
        port = parts.port
    except ValueError as error:
        raise ConfigurationError(f"{name} {base_url!r} cannot be read: {error}") from error
    host = (parts.hostname or "").lower()
    plain = parts.path in ("", "/") and not (parts.query or parts.fragment or parts.username or parts.password)
    venue = parts.scheme == "https" and host == venue_host and port in (None, 443)
    local = parts.scheme in ("http", "https") and host in LOOPBACK
    if not plain or not (venue or local):
        raise ConfigurationError(f"{name} must be https://{venue_host} or a loopback address")
    named = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{named}" + (f":{port}" if port is not None else ""), parts.scheme == "https"


def _result(result: TransportResult) -> str:
    """The label of metrics."""
    if isinstance(result, NeverLeft):
        return "not_sent"
    if isinstance(result, NoAnswer):
        return "no_answer"
    if result.status == 429:
        return "rate_limited"
    return f"{result.status // 100}xx"
