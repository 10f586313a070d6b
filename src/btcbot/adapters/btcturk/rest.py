"""The port `Exchange` over BtcTurk's REST interface.

Reads may be repeated: time-outs, server errors, rate limits and answers that cannot be read are tried again, a few
times and within a stated time of waiting; what is left becomes `VenueUnavailable`. Writes are sent exactly once: the
permit is demanded, one request leaves, and whatever comes back is one row of the table in `outcome`. There is one more
difference: a read that waits ends when the process is asked to stop, a write is finished.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Final, TypeVar
from urllib.parse import quote_plus, urlsplit

import httpx2
import msgspec

from btcbot import __version__
from btcbot.adapters.btcturk import listing, outcome, wire
from btcbot.adapters.btcturk.breaker import UNAUTHORIZED_MAX, Breaker, retry_after_s
from btcbot.adapters.btcturk.clock_sync import VenueClock
from btcbot.adapters.btcturk.limits import BOOKS_MAX, QUOTAS, Endpoint, Quota, RateBudget
from btcbot.adapters.btcturk.nonce import NonceSource
from btcbot.adapters.btcturk.outcome import Answer, NeverLeft, NoAnswer, TransportResult
from btcbot.adapters.btcturk.signing import Header, Signer
from btcbot.adapters.btcturk.transport import ABANDON, TIMEOUT_S, BodyUnreadable, DeadlineTransport, header, read_body
from btcbot.adapters.btcturk.wire_values import WireError, for_people
from btcbot.domain import orders
from btcbot.domain.account import AccountSnapshot
from btcbot.domain.fills import VenueTrade
from btcbot.domain.instrument import Instrument
from btcbot.domain.market import Quote
from btcbot.domain.orders import Order
from btcbot.domain.outcomes import CancelOutcome, NotSent, SubmitOutcome
from btcbot.domain.permit import Permit, PermitScope, WriteKind
from btcbot.domain.venue import Transfer, VenueOrder, VenueOrderStatus
from btcbot.errors import ConfigurationError, InvariantBroken, StoreFailed, VenueUnavailable
from btcbot.ports import Clock, Log, Metrics, StopSignal, VenueHealth

VENUE_HOST: Final = "api.btcturk.com"
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
#: A stamp older than this is not sent any more: with the time that the request may take, the venue would refuse it.
STAMP_AGE_MS_MAX: Final = 2_000
#: Rows asked of each side of an order book: the best is enough, some more show a book in the wrong order.
BOOK_LEVELS: Final = 5
#: Rows asked of one page of allOrders: the largest that the venue documents. What it gives is its own affair.
ORDERS_PAGE: Final = 1_000
#: A refusal is shorter than this; longer answers to private requests are lists.
SHORT_BODY_BYTES: Final = 4_096
_MONTH_MS: Final = 30 * 24 * 3_600_000
_NO_BODY: Final = httpx2.ByteStream(b"")
#: Reading an address costs more than sending it, and most are asked again and again: those of the last requests.
_url: Final = lru_cache(maxsize=64)(httpx2.URL)

T = TypeVar("T")


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """How long requests may take and how often reads are tried. Seconds, unless the name says otherwise."""

    read_s: float = 8.0
    write_s: float = 4.0
    attempts_max: int = 3
    #: All waiting of one read (for rate limits and before repetitions) together.
    wait_s_max: float = 5.0
    backoff_s: float = 0.25
    clock_interval_s: float = 60.0
    rules_age_s_max: float = 300.0


class RefusedRead(VenueUnavailable):
    """The venue answered a read with a refusal: asking again would change nothing."""

    def __init__(
        self, reason: str, *, status: int, code: str, message: str, retry_after_s: float | None = None
    ) -> None:
        self.status = status
        self.code = code
        self.message = message
        super().__init__(reason, retry_after_s)


class Unreachable(VenueUnavailable):
    """No whole answer: the next request to another endpoint would fare no better."""


class _Failed(msgspec.Struct, frozen=True):
    """Why one attempt of a read gave no value, and whether another may help."""

    error: VenueUnavailable
    may_repeat: bool


class BtcturkHttpClient:
    """BtcTurk over REST; see the port `Exchange` for what each method promises.

    `signer` None gives a client of public data: every private read raises VenueUnavailable, every write is NotSent.
    `load_mark`/`save_mark` keep the high-water mark of stamps (see `NonceSource`) and are demanded with a signer; where
    they raise StoreFailed, private reads and `take_stamp` let it through, and a cancellation is NotSent. `symbols` are
    those whose open orders are asked one by one, should the venue refuse to list them for the whole account.
    `transport` None opens real sockets. Not for use by several threads at once.

    Raises ConfigurationError for a base URL other than BtcTurk's own over https or one of this machine.
    """

    def __init__(
        self,
        base_url: str,
        *,
        clock: Clock,
        stop: StopSignal,
        metrics: Metrics,
        log: Log,
        signer: Signer | None = None,
        load_mark: Callable[[], int] | None = None,
        save_mark: Callable[[int], None] | None = None,
        symbols: Sequence[str] = (),
        quotas: Mapping[Endpoint, tuple[Quota, ...]] = QUOTAS,
        timing: Timing | None = None,
        transport: httpx2.BaseTransport | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._base_url, is_tls = _pinned(base_url)
        if transport is None:
            if is_tls and ssl_context is None:
                ssl_context = ssl.create_default_context()
            transport = DeadlineTransport(ssl_context if is_tls else None)
        self._transport = transport
        self._clock = clock
        self._stop = stop
        self._metrics = metrics
        self._log = log
        self._signer = signer
        self._symbols = tuple(symbols)
        self._timing = timing or Timing()
        self._budget = RateBudget(clock, quotas)
        self._breaker = Breaker(clock)
        self._venue_clock = VenueClock(
            clock,
            self._ask_time,
            interval_ms=round(self._timing.clock_interval_s * 1000),
            on_measured=lambda skew_ms: metrics.gauge("btcbot_clock_skew_ms", skew_ms),
        )
        # Without a key no stamp is ever taken; with one, stamps that a restart forgets would be signed twice.
        assert signer is None or (load_mark is not None and save_mark is not None), "a signer needs its mark kept"
        self._nonce = NonceSource(
            venue_now_ms=self._venue_clock.now_ms,
            load_mark=load_mark or (lambda: 0),
            save_mark=save_mark or (lambda mark: None),
        )
        self._is_closed = False
        self._stamp_for_submit: int | None = None
        self._lists_open_orders_by_symbol = False
        self._rules: Mapping[str, Instrument] = {}
        self._rules_read_at_ms: int | None = None
        self._plain_headers: list[Header] = [
            (b"Host", _url(self._base_url).netloc),
            (b"Accept", b"application/json"),
            (b"Accept-Encoding", b"gzip"),
            (b"User-Agent", f"btcbot/{__version__}".encode("ascii")),
        ]

    # -- public reads --------------------------------------------------------------------------------------------------

    def venue_time_ms(self) -> int:
        return self._venue_clock.now_ms()

    def instruments(self) -> Mapping[str, Instrument]:
        now_ms = self._monotonic_ms()
        read_at_ms = self._rules_read_at_ms
        if read_at_ms is None or now_ms - read_at_ms >= self._timing.rules_age_s_max * 1000:
            listed = self._read(Endpoint.EXCHANGE_INFO, "/api/v2/server/exchangeinfo", wire.instruments)
            if listed.skipped:
                self._log.warning("pairs_unreadable", skipped=listed.skipped, read=len(listed.instruments))
            self._rules, self._rules_read_at_ms = listed.instruments, now_ms
        return self._rules

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        if len(symbols) > BOOKS_MAX:
            wanted = frozenset(symbols)
            found = self._read(Endpoint.TICKER, "/api/v2/ticker", lambda body: wire.tickers(body, self._clock.now_ms()))
            return {symbol: quote for symbol, quote in found.items() if symbol in wanted}
        quotes: dict[str, Quote] = {}
        failure: VenueUnavailable | None = None
        for symbol in symbols:
            try:
                quote = self.get_orderbook(symbol)
            except Unreachable:
                raise
            except VenueUnavailable as error:
                failure = error
                continue
            if quote is not None:
                quotes[symbol] = quote
        if failure is not None and not quotes:
            raise failure
        return quotes

    def get_orderbook(self, symbol: str) -> Quote | None:
        """Best bid and ask of one symbol; None when a side is empty."""
        return self._read(
            Endpoint.ORDER_BOOK,
            f"/api/v2/orderbook?pairSymbol={quote_plus(symbol)}&limit={BOOK_LEVELS}",
            lambda body: wire.order_book(body, symbol, self._clock.now_ms()),
        )

    # -- private reads -------------------------------------------------------------------------------------------------

    def balances(self) -> AccountSnapshot:
        asked_at_ms = self._clock.now_ms()
        held = self._private_request(Endpoint.BALANCES, "/api/v1/users/balances", wire.balances)
        return AccountSnapshot(balances=held, asked_at_ms=asked_at_ms, received_at_ms=self._clock.now_ms())

    def open_orders(self, symbol: str | None = None) -> Sequence[VenueOrder]:
        if symbol is not None:
            target = f"/api/v1/openOrders?pairSymbol={quote_plus(symbol)}"
            return self._private_request(Endpoint.OPEN_ORDERS, target, wire.open_orders)
        if not self._lists_open_orders_by_symbol:
            try:
                return self._private_request(Endpoint.OPEN_ORDERS, "/api/v1/openOrders", wire.open_orders)
            except RefusedRead as error:
                # BtcTurk's pages disagree on whether the pair may be left out.
                if error.status != 400 or not self._symbols:
                    raise
                self._lists_open_orders_by_symbol = True
                self._log.warning("open_orders_by_symbol", reason=error.reason, symbols=len(self._symbols))
        return [order for each in self._symbols for order in self.open_orders(each)]

    def all_orders(self, symbol: str, since_ms: int) -> Sequence[VenueOrder]:
        # Times of this endpoint are in seconds, unlike all others.
        base = (
            f"/api/v1/allOrders?pairSymbol={quote_plus(symbol)}"
            f"&startTime={max(since_ms, 0) // 1000}&limit={ORDERS_PAGE}"
        )

        def fetch(page: int | None, end_s: int | None) -> Sequence[wire.ListedOrder]:
            target = base + (f"&endTime={end_s}" if end_s is not None else "")
            if page is None:
                return self._private_request(Endpoint.ALL_ORDERS, target, wire.all_orders)
            try:
                return self._private_request(Endpoint.ALL_ORDERS, f"{target}&page={page}", wire.all_orders)
            except RefusedRead as error:
                if error.status != 400:
                    raise
                return ()  # a page beyond the last one

        return listing.whole_orders(fetch)

    def order(self, venue_order_id: str) -> VenueOrder | None:
        try:
            found = self._private_request(Endpoint.ORDER, f"/api/v1/order/{quote_plus(venue_order_id)}", wire.order)
        except RefusedRead as error:
            if error.message == outcome.NO_SUCH_ORDER or (not error.message and error.code == "1052"):
                return None
            raise
        if found.venue_order_id != venue_order_id:
            raise VenueUnavailable("BtcTurk answered with another order than the one asked for")
        return found

    def trades(self, since_ms: int) -> Sequence[VenueTrade]:
        return listing.whole_trades(self._trades_between, since_ms, max(self._venue_clock.now_ms(), since_ms))

    def trades_of(self, venue_order_id: str) -> Sequence[VenueTrade]:
        target = f"/api/v1/users/transactions/trade?orderId={quote_plus(venue_order_id)}"
        rows = self._private_request(Endpoint.TRADES, target, wire.trades)
        if len(rows) >= listing.TRADES_CAP:
            # The id cannot be combined with times, so the rest of a very large order is found by time alone.
            start_ms = min(row.at_ms for row in rows) - _MONTH_MS
            rows = [*rows, *listing.whole_trades(self._trades_between, start_ms, self._venue_clock.now_ms())]
        # An answer for another order would be booked to this one: keep what says that it belongs here.
        found = {row.trade_id: row for row in rows if row.venue_order_id == venue_order_id}
        return list(found.values())

    def transfers(self, since_ms: int) -> Sequence[Transfer]:
        end_ms = max(self._venue_clock.now_ms(), since_ms)
        found: dict[str, Transfer] = {}
        for endpoint, source in ((Endpoint.TRANSFERS_CRYPTO, "crypto"), (Endpoint.TRANSFERS_FIAT, "fiat")):
            target = f"/api/v1/users/transactions/{source}?startDate={since_ms}&endDate={end_ms}"
            for row in self._private_request(endpoint, target, partial(wire.transfers, source=source)):
                found[row.transfer_id] = row
        return list(found.values())

    def _trades_between(self, start_ms: int, end_ms: int) -> Sequence[VenueTrade]:
        target = f"/api/v1/users/transactions/trade?startDate={start_ms}&endDate={end_ms}"
        return self._private_request(Endpoint.TRADES, target, wire.trades)

    # -- writes --------------------------------------------------------------------------------------------------------

    def take_stamp(self) -> int:
        self._stamp_for_submit = None
        self._demand_key()
        stamp_ms = self._nonce.take()
        self._stamp_for_submit = stamp_ms
        return stamp_ms

    def submit(self, order: Order, permit: Permit) -> SubmitOutcome:
        """POST the order. InvariantBroken only for a caller's mistake: permit, stamp or ownership."""
        permit.demand(WriteKind.SUBMIT, PermitScope.VENUE, order.client_order_id)
        _demand_ours(order)
        stamp_ms, self._stamp_for_submit = self._stamp_for_submit, None
        if order.stamp_ms is None or order.stamp_ms != stamp_ms or stamp_ms != self._nonce.last:
            # Also what a second submit of one row would meet: its stamp is spent.
            raise InvariantBroken("I11_STAMP", f"order {order.client_order_id} does not carry the stamp taken last")
        signer = self._signer
        if signer is None:
            return NotSent(why="there is no API key")
        if not permit.is_fresh(self._monotonic_ms()):
            return NotSent(why="its permit is too old: the gates would have to be asked again")
        why = self._closed(Endpoint.SUBMIT)
        if why is not None:
            return NotSent(why=why)
        venue_now_ms = self._venue_clock.estimate_ms()
        if venue_now_ms is None or venue_now_ms - stamp_ms > STAMP_AGE_MS_MAX:
            return NotSent(why=f"its stamp is older than {STAMP_AGE_MS_MAX} ms")
        try:
            body = wire.order_body(order)
        except WireError as error:
            return NotSent(why=f"it cannot be written as an order of BtcTurk: {error}")
        result = self._send(
            Endpoint.SUBMIT, "POST", "/api/v1/order", signer.headers(stamp_ms), body, self._timing.write_s
        )
        made = outcome.of_submit(result, order.client_order_id)
        self._note(Endpoint.SUBMIT, result, is_private=True)
        return made

    def cancel(self, order: Order, permit: Permit) -> CancelOutcome:
        """DELETE the order by its venue id, looked up among the open orders when the row does not have it yet.

        The venue knows no cancellation by client order id. InvariantBroken only for a caller's mistake.
        """
        permit.demand(WriteKind.CANCEL, PermitScope.VENUE, order.client_order_id)
        _demand_ours(order)
        signer = self._signer
        if signer is None:
            return NotSent(why="there is no API key")
        why = self._closed(Endpoint.CANCEL)
        if why is not None:
            return NotSent(why=why)
        self._stamp_for_submit = None
        try:
            venue_order_id = order.venue_order_id or self._find(order)
            if venue_order_id is None:
                return NotSent(why="BtcTurk lists no open order with its client order id")
            stamp_ms = self._nonce.take()
        except (VenueUnavailable, StoreFailed) as error:
            return NotSent(why=f"before it could be sent: {error}")
        if not permit.is_fresh(self._monotonic_ms()):
            return NotSent(why="the permit ran out while the order was looked up")
        target = f"/api/v1/order?id={quote_plus(venue_order_id)}"
        result = self._send(Endpoint.CANCEL, "DELETE", target, signer.headers(stamp_ms), None, self._timing.write_s)
        made = outcome.of_cancel(result)
        self._note(Endpoint.CANCEL, result, is_private=True)
        return made

    def _find(self, order: Order) -> str | None:
        ids = {
            row.venue_order_id
            for row in self.open_orders(order.symbol)
            if row.client_order_id == order.client_order_id
            and row.side is order.side
            and row.status in (VenueOrderStatus.UNTOUCHED, VenueOrderStatus.PARTIAL)
        }
        if len(ids) > 1:
            raise VenueUnavailable(f"BtcTurk lists {len(ids)} open orders with its client order id")
        return next(iter(ids), None)

    # -- state ---------------------------------------------------------------------------------------------------------

    def health(self) -> VenueHealth:
        return VenueHealth(
            clock_skew_ms=self._venue_clock.skew_ms(),
            endpoints_closed=self._breaker.endpoints_closed(),
            unauthorized_in_a_row=self._breaker.unauthorized_in_a_row,
        )

    def close(self) -> None:
        self._is_closed = True
        self._transport.close()

    # -- one read, with repetitions ------------------------------------------------------------------------------------

    def _private_request(self, endpoint: Endpoint, target: str, decode: Callable[[bytes], T]) -> T:
        """A signed GET: a fresh stamp for each attempt."""
        return self._read(endpoint, target, decode, is_private=True)

    def _read(self, endpoint: Endpoint, target: str, decode: Callable[[bytes], T], *, is_private: bool = False) -> T:
        timing = self._timing
        wait_s_left = timing.wait_s_max
        attempt = 1
        while True:
            wait_s_left -= self._wait_for_slot(endpoint, wait_s_left)
            value = self._attempt(endpoint, target, decode, is_private)
            if not isinstance(value, _Failed):
                return value
            error = value.error
            pause_s = error.retry_after_s
            if pause_s is None:
                pause_s = timing.backoff_s * 2 ** (attempt - 1)
            if not value.may_repeat or attempt >= timing.attempts_max or pause_s > wait_s_left:
                raise error
            if self._clock.sleep(pause_s, self._stop):
                raise error
            wait_s_left -= pause_s
            attempt += 1
            self._metrics.count("btcbot_venue_retries_total", endpoint=endpoint.value)

    def _wait_for_slot(self, endpoint: Endpoint, wait_s_max: float) -> float:
        """Wait until our own limits and the breaker let a request to `endpoint` leave. Gives the seconds waited."""
        wait_s = max(self._budget.wait_ms(endpoint) / 1000, self._breaker.closed_s(endpoint))
        if wait_s == 0:
            return 0.0
        if wait_s > wait_s_max:
            raise VenueUnavailable(
                f"the limit of {endpoint.value} lets the next request leave in {wait_s:.1f} s", retry_after_s=wait_s
            )
        self._metrics.observe("btcbot_rate_limit_wait_seconds", wait_s, endpoint=endpoint.value)
        if self._clock.sleep(wait_s, self._stop):
            raise VenueUnavailable(f"asked to stop while waiting for the limit of {endpoint.value}")
        return wait_s

    def _attempt(self, endpoint: Endpoint, target: str, decode: Callable[[bytes], T], is_private: bool) -> T | _Failed:
        headers: list[Header] = []
        if is_private:
            signer = self._demand_key()
            self._stamp_for_submit = None
            headers = signer.headers(self._nonce.take())
        result = self._send(endpoint, "GET", target, headers, None, self._timing.read_s)
        envelope = self._note(endpoint, result, is_private=is_private)
        name = endpoint.value
        if not isinstance(result, Answer):
            return _Failed(Unreachable(f"{name}: {result.why}"), may_repeat=True)
        if result.status == 429:
            closed_s = self._breaker.closed_s(endpoint)
            return _Failed(
                VenueUnavailable(f"{name}: rate limit, closed for {closed_s:.1f} s", closed_s), may_repeat=True
            )
        if outcome.is_unauthorized(result.status, envelope):
            said = for_people((envelope.message if envelope else None) or "no reason given")
            return _Failed(
                RefusedRead(f"{name}: not authorised: {said}", status=result.status, code="", message=said),
                may_repeat=False,
            )
        try:
            if 200 <= result.status < 300:
                return decode(result.body)
            wire.unpack(result.body, name)  # to hear what it says
        except wire.VenueSaidNo as error:
            refused = RefusedRead(
                f"{name}: HTTP {result.status}: {error}",
                status=result.status,
                code=error.code,
                message=error.message,
                retry_after_s=result.retry_after_s,
            )
            return _Failed(refused, may_repeat=result.status >= 500)
        except WireError as error:
            may_repeat = result.status < 300 or result.status >= 500
            return _Failed(
                VenueUnavailable(f"{name}: HTTP {result.status}: {error}", result.retry_after_s), may_repeat=may_repeat
            )
        # A body that says yes under a status that says no.
        return _Failed(VenueUnavailable(f"{name}: HTTP {result.status}", result.retry_after_s), result.status >= 500)

    def _ask_time(self) -> int:
        """One request for the venue's time, without repetitions: `VenueClock` takes several samples as it is."""
        wait_s = max(self._budget.wait_ms(Endpoint.SERVER_TIME) / 1000, self._breaker.closed_s(Endpoint.SERVER_TIME))
        if wait_s > 0:
            raise VenueUnavailable(f"the limit of server_time lets the next request leave in {wait_s:.1f} s", wait_s)
        value = self._attempt(Endpoint.SERVER_TIME, "/api/v2/server/time", wire.server_time_ms, is_private=False)
        if isinstance(value, _Failed):
            raise value.error
        return value

    # -- one request ---------------------------------------------------------------------------------------------------

    def _send(
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

    def _note(self, endpoint: Endpoint, result: TransportResult, *, is_private: bool) -> wire.Envelope | None:
        """Keep the books of breaker and clock. Gives the envelope of an answer that is no success by its status."""
        if not isinstance(result, Answer):
            return None
        if result.status == 429:
            closed_s = self._breaker.rate_limited(endpoint, result.retry_after_s)
            self._metrics.gauge("btcbot_breaker_open", 1, endpoint=endpoint.value)
            self._log.warning("endpoint_closed", endpoint=endpoint.value, seconds=closed_s)
            return None
        if result.status == 503 and result.retry_after_s is not None:
            self._breaker.close(endpoint, result.retry_after_s)
            self._metrics.gauge("btcbot_breaker_open", 1, endpoint=endpoint.value)
        elif self._breaker.answered(endpoint):
            self._metrics.gauge("btcbot_breaker_open", 0, endpoint=endpoint.value)
        if not is_private:
            return None
        envelope: wire.Envelope | None = None
        # Big bodies are lists; a refusal is short, and refusals have come with status 200 too.
        if len(result.body) <= SHORT_BODY_BYTES:
            try:
                envelope = wire.open_envelope(result.body)
            except WireError:
                envelope = None
        if outcome.is_unauthorized(result.status, envelope):
            self._breaker.unauthorized()
            self._venue_clock.doubt()  # a stamp out of time is the one cause that we could mend
            self._log.error(
                "unauthorized",
                endpoint=endpoint.value,
                in_a_row=self._breaker.unauthorized_in_a_row,
                said=for_people((envelope.message if envelope else None) or ""),
            )
        elif result.status < 500 and (envelope is not None or len(result.body) > SHORT_BODY_BYTES):
            self._breaker.authorized()
        return envelope

    # -- preconditions -------------------------------------------------------------------------------------------------

    def _demand_key(self) -> Signer:
        if self._signer is None:
            raise VenueUnavailable("there is no API key: only public data can be read")
        if self._breaker.is_key_refused():
            raise VenueUnavailable(
                f"BtcTurk refused the key {UNAUTHORIZED_MAX} times in a row; no private request leaves until restart"
            )
        return self._signer

    def _closed(self, endpoint: Endpoint) -> str | None:
        """Why a write may not leave now, or None. Writes never wait: their permit is for now."""
        if self._breaker.is_key_refused():
            return f"BtcTurk refused the key {UNAUTHORIZED_MAX} times in a row"
        wait_s = max(self._budget.wait_ms(endpoint) / 1000, self._breaker.closed_s(endpoint))
        if wait_s > 0:
            return f"the limit of {endpoint.value} lets the next request leave in {wait_s:.2f} s"
        return None

    def _monotonic_ms(self) -> int:
        return self._clock.monotonic_ns() // 1_000_000


def _pinned(base_url: str) -> tuple[str, bool]:
    """Scheme and host of `base_url`, and whether it is https; ConfigurationError for a host that is not allowed."""
    try:
        parts = urlsplit(base_url)
        port = parts.port
    except ValueError as error:
        raise ConfigurationError(f"BTCTURK_BASE_URL {base_url!r} cannot be read: {error}") from error
    host = (parts.hostname or "").lower()
    plain = parts.path in ("", "/") and not (parts.query or parts.fragment or parts.username or parts.password)
    venue = parts.scheme == "https" and host == VENUE_HOST and port in (None, 443)
    local = parts.scheme in ("http", "https") and host in LOOPBACK
    if not plain or not (venue or local):
        raise ConfigurationError(f"BTCTURK_BASE_URL must be https://{VENUE_HOST} or a loopback address")
    named = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{named}" + (f":{port}" if port is not None else ""), parts.scheme == "https"


def _demand_ours(order: Order) -> None:
    if not orders.is_ours(order.client_order_id):
        raise InvariantBroken("I16_FOREIGN_ORDER", f"a write was asked for order {order.client_order_id}, not ours")


def _result(result: TransportResult) -> str:
    """The label of metrics."""
    if isinstance(result, NeverLeft):
        return "not_sent"
    if isinstance(result, NoAnswer):
        return "no_answer"
    if result.status == 429:
        return "rate_limited"
    return f"{result.status // 100}xx"
