"""The whole wire, without a socket: one request in, one response out, at a given time.

`Api.handle` is synchronous and deterministic. A request meets, in this order: the route table, faults that keep
it from the exchange, rate limits, authentication, the handler, and faults that spoil the answer. Every request
is remembered with what was answered, for the control interface and the recording.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Final

from btcturk_sim import codec
from btcturk_sim.accounts import Account
from btcturk_sim.auth import Authenticator, NonceRule
from btcturk_sim.candles import Candle
from btcturk_sim.engine import Engine
from btcturk_sim.errors import ConservationError
from btcturk_sim.faults import FaultRegistry, FaultRule, Kind, Phase, alter_after, answer_before
from btcturk_sim.instruments import FIAT, normalize_symbol
from btcturk_sim.limits import LimitsMode, RateLimiter
from btcturk_sim.money import exact
from btcturk_sim.orderform import INVALID_REQUEST_ERROR, read_order
from btcturk_sim.orders import NO_ORDER_MATCHES_YOUR_REQUEST, Fill, Order, Refusal, Side, Status
from btcturk_sim.pair import Pair
from btcturk_sim.wire import EMPTY_404, Delivery, Host, Params, Request, Response, json_response

TRANSACTIONS_MAX: Final = 200
ALL_ORDERS_LIMIT_DEFAULT: Final = 100
ALL_ORDERS_LIMIT_MAX: Final = 1000
BOOK_LEVELS_MAX: Final = 100
REQUESTS_KEPT_MAX: Final = 100_000
_ANSWER_KEPT_MAX: Final = 512
_THIRTY_DAYS_MS: Final = 30 * 86_400_000
# A time in seconds stays below this for three thousand years; one in milliseconds is above it since 1973.
_SECONDS_MAX: Final = 100_000_000_000
_START_DATE_END_DATE_INVALID: Final = Refusal("START_DATE_END_DATE_INVALID", 1208)
_RESOLUTIONS: Final = {
    "1": 1, "5": 5, "15": 15, "30": 30, "60": 60, "240": 240, "D": 1440, "1D": 1440, "1440": 1440,
    "W": 10080, "1W": 10080, "M": 43200, "1M": 43200,
}  # fmt: skip
_ORDER_PATH: Final = "/api/v1/order/"


@dataclass(frozen=True, slots=True)
class ApiOptions:
    nonce: NonceRule = NonceRule.WINDOWED
    limits: LimitsMode = LimitsMode()  # noqa: RUF009 (frozen)
    #: Auth failures of 2019–20 said `success: true`; what they say now is not known.
    error_401_of_2019: bool = False
    #: Whether allOrders counts pages from 1 or 0 is not known; page 0 is always the first one.
    first_page: int = 1
    #: Balances with a decimal comma, as the documentation shows them; the live exchange was seen to use a dot.
    decimal_comma: bool = False


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request as the exchange saw it and what it answered (status 0: nothing was sent).

    Kept by the hundred thousand, so without headers, and with the answer only where it is short, an error, or
    the answer to a write.
    """

    seq: int
    time_ms: int
    host: Host
    method: str
    path: str
    query: str
    body: bytes
    key: str | None
    stamp: str | None
    status: int
    fault: str | None
    answer: bytes | None


@dataclass(slots=True)
class _Call:
    """What a handler gets to see."""

    request: Request
    params: Params
    now_ms: int
    venue_ms: int
    skew_ms: int
    lag_ms: int = 0
    hide_ms: int = 0
    cancel_lost: bool = False
    _account: Account | None = None

    @property
    def account(self) -> Account:
        assert self._account is not None, "a private handler was reached without authentication"
        return self._account


Handler = Callable[[_Call], Response]


@dataclass(frozen=True, slots=True)
class _Route:
    handler: Handler
    private: bool
    limit: str


class Api:
    def __init__(
        self, engine: Engine, *, faults: FaultRegistry | None = None, options: ApiOptions | None = None
    ) -> None:
        self.engine = engine
        self.options = options or ApiOptions()
        self.faults = faults or FaultRegistry()
        self.skew_ms = 0
        #: Trades up to this time are visible whatever the lag.
        self.settled_ms = 0
        self.requests: deque[RequestRecord] = deque(maxlen=REQUESTS_KEPT_MAX)
        self.requests_seen = 0
        self.on_request: Callable[[RequestRecord, Response], None] | None = None
        accounts = engine.books.accounts
        self._auth = Authenticator(accounts, self.options.nonce)
        self._limiter = RateLimiter(self.options.limits, accounts=len(accounts))
        self._instruments = {symbol: pair.instrument for symbol, pair in engine.pairs.items()}
        self._routes = self._route_table()

    def _route_table(self) -> dict[tuple[Host, str], dict[str, _Route]]:
        def public(handler: Handler, limit: str = "") -> dict[str, _Route]:
            return {"GET": _Route(handler, private=False, limit=limit)}

        def private(handler: Handler, limit: str) -> dict[str, _Route]:
            return {"GET": _Route(handler, private=True, limit=limit)}

        rest, graph = Host.REST, Host.GRAPH
        return {
            (rest, "/api/v2/server/time"): public(self._time),
            (rest, "/api/v2/server/ping"): public(self._ping),
            (rest, "/api/v2/server/exchangeinfo"): public(self._exchange_info),
            (rest, "/api/v2/ticker"): public(self._ticker, "ticker"),
            (rest, "/api/v2/ticker/currency"): public(self._ticker_currency, "ticker"),
            (rest, "/api/v2/orderbook"): public(self._order_book, "orderbook"),
            (rest, "/api/v2/trades"): public(self._trades),
            (rest, "/api/v1/users/balances"): private(self._balances, "balances"),
            (rest, "/api/v1/users/transactions/trade"): private(self._user_trades, "transactions.trade"),
            (rest, "/api/v1/users/transactions/crypto"): private(self._crypto_transfers, "transactions.crypto"),
            (rest, "/api/v1/users/transactions/fiat"): private(self._fiat_transfers, "transactions.fiat"),
            (rest, "/api/v1/order"): {
                "POST": _Route(self._submit, private=True, limit="order.submit"),
                "DELETE": _Route(self._cancel, private=True, limit="order.cancel"),
            },
            (rest, _ORDER_PATH): private(self._single_order, "order.get"),
            (rest, "/api/v1/openorders"): private(self._open_orders, "openOrders"),
            (rest, "/api/v1/allorders"): private(self._all_orders, "allOrders"),
            (graph, "/v1/ohlcs"): public(self._ohlcs, "graph.ohlcs"),
            (graph, "/v1/klines/history"): public(self._klines),
        }

    # --- the way of a request ---------------------------------------------------------------------------------

    @exact
    def handle(self, request: Request, now_ms: int, *, resumed: bool = False) -> Response:
        """Answer one request. A response to DEFER has done nothing: hand it in again later with `resumed`."""
        self.engine.advance(now_ms)
        struck = self.faults.strike(request, resumed=resumed)
        if struck and struck[0].phase is Phase.BEFORE:
            response = answer_before(struck[0])
        else:
            response = self._answer(request, now_ms, struck)
            for rule in struck:
                if rule.phase is Phase.AFTER:
                    response = alter_after(rule, request, response)
        if response.transport.delivery is not Delivery.DEFER:
            self._remember(request, response, now_ms)
        return response

    def _answer(self, request: Request, now_ms: int, struck: list[FaultRule]) -> Response:
        if self.engine.broken is not None:
            raise ConservationError(self.engine.broken)
        routes = self._find(request)
        if routes is None:
            return EMPTY_404
        route = routes.get(request.method)
        if route is None:
            return Response(405, b"", (("Allow", ", ".join(routes)),))
        exceeded = self._limit(route, request, now_ms)
        if exceeded is not None:
            return exceeded
        call = _Call(request, Params(request.query), now_ms, now_ms + self.skew_ms, self.skew_ms)
        for rule in struck:
            if rule.kind is Kind.LAG:
                call.lag_ms = max(call.lag_ms, rule.params["lag_ms"])
            elif rule.kind is Kind.HIDE_NEW:
                call.hide_ms = max(call.hide_ms, rule.params["lag_ms"])
            elif rule.kind is Kind.CANCEL_LOST:
                call.cancel_lost = True
        if route.private:
            account = self._auth.authenticate(request, call.venue_ms)
            if isinstance(account, str):
                payload = {"success": self.options.error_401_of_2019, "message": account, "code": 1037}
                return json_response(401, payload)
            call._account = account
        try:
            response = route.handler(call)
            if any(rule.kind is Kind.DUPLICATE for rule in struck):
                route.handler(call)
        except ValueError:
            response = _refused(INVALID_REQUEST_ERROR)
        marks = [rule.kind.value for rule in struck if rule.phase is Phase.WHILE]
        return response.via(response.transport, "+".join(marks)) if marks else response

    def _find(self, request: Request) -> dict[str, _Route] | None:
        path = request.path.lower()
        if len(path) > 1:
            path = path.rstrip("/")
        if path.startswith(_ORDER_PATH) and path[len(_ORDER_PATH) :].isdigit() and request.host is Host.REST:
            path = _ORDER_PATH
        return self._routes.get((request.host, path))

    def _limit(self, route: _Route, request: Request, now_ms: int) -> Response | None:
        names = ("graph", route.limit) if request.host is Host.GRAPH else (route.limit,)
        for name in names:
            exceeded = self._limiter.check(name, request.client_ip, request.key, now_ms) if name else None
            if exceeded is not None:
                return json_response(429, exceeded.payload(), ("Retry-After", str(exceeded.retry_after_s)))
        return None

    def _remember(self, request: Request, response: Response, now_ms: int) -> None:
        dropped = response.transport.delivery is Delivery.DROP
        self.requests_seen += 1
        status = 0 if dropped else response.status
        keep = request.method != "GET" or status != 200 or len(response.body) <= _ANSWER_KEPT_MAX
        record = RequestRecord(
            seq=self.requests_seen,
            time_ms=now_ms,
            host=request.host,
            method=request.method,
            path=request.path,
            query=request.query,
            body=request.body,
            key=request.key,
            stamp=request.stamp,
            status=status,
            fault=response.fault,
            answer=response.body if keep else None,
        )
        self.requests.append(record)
        if self.on_request is not None:
            self.on_request(record, response)

    # --- public -----------------------------------------------------------------------------------------------

    def _time(self, call: _Call) -> Response:
        return json_response(200, codec.server_time(call.venue_ms))

    def _ping(self, call: _Call) -> Response:
        return json_response(200, {"pong": True})

    def _exchange_info(self, call: _Call) -> Response:
        payload = codec.exchange_info(list(self.engine.pairs.values()), call.venue_ms)
        return json_response(200, payload, ("Cache-Control", "public, max-age=30"))

    def _ticker(self, call: _Call) -> Response:
        symbol = call.params.one("pairSymbol")
        pairs: Iterable[Pair] = self.engine.pairs.values()
        if symbol is not None:
            pair = self.engine.pairs.get(normalize_symbol(symbol))
            pairs = [pair] if pair else []
        return json_response(200, codec.ok([codec.ticker_row(pair, call.venue_ms) for pair in pairs]))

    def _ticker_currency(self, call: _Call) -> Response:
        asset = (call.params.one("symbol") or "").upper()
        rows = [
            codec.ticker_row(pair, call.venue_ms)
            for pair in self.engine.pairs.values()
            if asset in (pair.instrument.base, pair.instrument.quote)
        ]
        return json_response(200, codec.ok(rows))

    def _order_book(self, call: _Call) -> Response:
        pair = self._pair(call, "pairSymbol")
        if isinstance(pair, Response):
            return pair
        limit = call.params.integer("limit") or BOOK_LEVELS_MAX
        return json_response(200, codec.order_book(pair, max(1, min(limit, BOOK_LEVELS_MAX)), call.venue_ms))

    def _trades(self, call: _Call) -> Response:
        pair = self._pair(call, "pairSymbol")
        if isinstance(pair, Response):
            return pair
        last = max(1, min(call.params.integer("last") or 50, 50))
        rows = [codec.public_trade_row(pair, trade, call.skew_ms) for trade in islice(reversed(pair.trades), last)]
        return json_response(200, codec.ok(rows))

    def _ohlcs(self, call: _Call) -> Response:
        pair = self._pair(call, "pair")
        if isinstance(pair, Response):
            return pair
        rows = self._candles(call, pair, 1440)
        places = pair.instrument.price_scale
        return json_response(
            200, [codec.daily_row(pair.instrument.symbol, second, one, places) for second, one in rows]
        )

    def _klines(self, call: _Call) -> Response:
        pair = self._pair(call, "symbol")
        if isinstance(pair, Response):
            return pair
        minutes = _RESOLUTIONS.get((call.params.one("resolution") or "").upper())
        if minutes is None:
            return _refused(INVALID_REQUEST_ERROR)
        return json_response(200, codec.klines(self._candles(call, pair, minutes)))

    def _candles(self, call: _Call, pair: Pair, minutes: int) -> list[tuple[int, Candle]]:
        # The day that holds `from` counts, so that "today" finds today's bar.
        since = (call.params.integer("from") or 0) // (minutes * 60) * (minutes * 60)
        return pair.chart.candles(minutes, since, call.params.integer("to") or _SECONDS_MAX)

    def _pair(self, call: _Call, name: str) -> Pair | Response:
        symbol = call.params.one(name)
        if symbol is None:
            return _refused(INVALID_REQUEST_ERROR)
        pair = self.engine.pairs.get(normalize_symbol(symbol))
        return pair or _refused(Refusal(f"Pair {symbol} does not exists.", 1037))

    # --- orders -----------------------------------------------------------------------------------------------

    def _submit(self, call: _Call) -> Response:
        if not _is_json(call.request):
            return Response(415, b"", ())
        request = read_order(call.request.body, self._instruments)
        if isinstance(request, Refusal):
            return _order_refused(request)
        order = self.engine.submit(call.account, request, call.now_ms)
        if isinstance(order, Refusal):
            return _order_refused(order)
        return json_response(200, codec.submitted(order, call.skew_ms))

    def _cancel(self, call: _Call) -> Response:
        order_id = call.params.integer("id")
        if order_id is None:
            # An id in the body is not read.
            return _refused(NO_ORDER_MATCHES_YOUR_REQUEST)
        if call.cancel_lost:
            known = order_id in call.account.orders
            refusal = None if known else NO_ORDER_MATCHES_YOUR_REQUEST
        else:
            refusal = self.engine.cancel(call.account, order_id, call.now_ms)
        if refusal is not None:
            return _refused(refusal)
        return json_response(200, {"success": True, "message": "SUCCESS", "code": 0})

    def _single_order(self, call: _Call) -> Response:
        order = call.account.orders.get(int(call.request.path.rstrip("/").rsplit("/", 1)[1][:19]))
        state = self._state(call, order) if order is not None else None
        if order is None or state is None:
            return _refused(NO_ORDER_MATCHES_YOUR_REQUEST)
        return json_response(200, codec.ok(codec.order_row(order, state, call.skew_ms, with_time=True)))

    def _open_orders(self, call: _Call) -> Response:
        symbol = call.params.one("pairSymbol")
        wanted = normalize_symbol(symbol) if symbol else None
        if wanted is not None and wanted not in self.engine.pairs:
            return _refused(Refusal(f"Pair {symbol} does not exists.", 1037))
        # An order that has ended since then may still have been open in the past a lagging list shows.
        candidates = call.account.orders if call.lag_ms else call.account.open_orders
        rows: dict[Side, list[codec.Row]] = {Side.BUY: [], Side.SELL: []}
        for order in sorted(candidates.values(), key=lambda one: one.price):
            state = self._state(call, order)
            if state is None or not state[2].is_open or wanted not in (None, order.instrument.symbol):
                continue
            rows[order.side].append(codec.order_row(order, state, call.skew_ms, with_time=False))
        return json_response(200, codec.ok({"asks": rows[Side.SELL], "bids": rows[Side.BUY][::-1]}))

    def _all_orders(self, call: _Call) -> Response:
        params = call.params
        symbol = params.one("pairSymbol")
        if symbol is None:
            return _refused(INVALID_REQUEST_ERROR)
        instrument = self._instruments.get(normalize_symbol(symbol))
        if instrument is None:
            return _refused(Refusal(f"Pair {symbol} does not exists.", 1037))
        from_id = params.integer("orderId") or 0
        start_s, end_s = params.integer("startTime") or 0, params.integer("endTime") or _SECONDS_MAX
        if start_s > _SECONDS_MAX or end_s > _SECONDS_MAX or start_s > end_s:
            return _refused(_START_DATE_END_DATE_INVALID)
        limit = max(1, min(params.integer("limit") or ALL_ORDERS_LIMIT_DEFAULT, ALL_ORDERS_LIMIT_MAX))
        page = max(0, (params.integer("page") or self.options.first_page) - self.options.first_page)

        def matching() -> Iterable[codec.Row]:
            for order in reversed(call.account.orders.values()):
                created_ms = order.created_ms + call.skew_ms
                if order.id < from_id or order.instrument is not instrument:
                    continue
                if not start_s * 1000 <= created_ms < (end_s + 1) * 1000:
                    continue
                state = self._state(call, order)
                if state is not None:
                    yield codec.order_row(order, state, call.skew_ms, with_time=True)

        return json_response(200, codec.ok(list(islice(matching(), page * limit, (page + 1) * limit))))

    @staticmethod
    def _state(call: _Call, order: Order) -> tuple[int, Decimal, Status] | None:
        """The order as this request may see it; None if it may not see it yet."""
        if call.hide_ms and order.created_ms > call.now_ms - call.hide_ms:
            return None
        if call.lag_ms:
            return order.as_of(call.now_ms - call.lag_ms)
        return order.updated_ms, order.left, order.status

    # --- account ----------------------------------------------------------------------------------------------

    def _balances(self, call: _Call) -> Response:
        as_of_ms = call.now_ms - call.lag_ms if call.lag_ms else None
        rows = codec.balance_rows(call.account, as_of_ms, call.venue_ms)
        if self.options.decimal_comma:
            rows = [{name: _with_comma(name, value) for name, value in row.items()} for row in rows]
        return json_response(200, codec.ok(rows))

    def _user_trades(self, call: _Call) -> Response:
        params, account = call.params, call.account
        order_id = params.integer("orderId")
        kinds, assets = params.many("type"), [asset.upper() for asset in params.many("symbol")]
        symbol = params.one("pairSymbol")
        start_ms, end_ms = params.integer("startDate"), params.integer("endDate")
        if order_id is not None:
            if kinds or assets or symbol or start_ms is not None or end_ms is not None:
                return _refused(INVALID_REQUEST_ERROR)
            fills: Iterable[Fill] = reversed(account.fills_by_order.get(order_id, []))
        else:
            fills = reversed(account.fills)
        if start_ms is None:
            start_ms = call.venue_ms - _THIRTY_DAYS_MS
        if end_ms is None:
            end_ms = call.venue_ms
        elif end_ms < start_ms:
            return _refused(_START_DATE_END_DATE_INVALID)
        visible_ms = max(call.now_ms - self.engine.options.transactions_lag_ms, self.settled_ms)
        visible_ms = min(visible_ms, call.now_ms - max(call.lag_ms, call.hide_ms))
        wanted = {kind.lower() for kind in kinds}
        pair = normalize_symbol(symbol) if symbol else None
        rows: list[codec.Row] = []
        for fill in fills:
            if len(rows) == TRANSACTIONS_MAX:
                break
            stamp_ms = fill.time_ms + call.skew_ms
            if order_id is None and stamp_ms < start_ms:
                break
            if fill.time_ms > visible_ms or (order_id is None and stamp_ms > end_ms):
                continue
            one = fill.instrument
            if (wanted and fill.side.value not in wanted) or (pair is not None and one.symbol != pair):
                continue
            if assets and one.base not in assets and one.quote not in assets:
                continue
            rows.append(codec.fill_row(fill, call.skew_ms))
        return json_response(200, codec.ok(rows, message="SUCCESS"))

    def _crypto_transfers(self, call: _Call) -> Response:
        return self._transfers(call, fiat=False)

    def _fiat_transfers(self, call: _Call) -> Response:
        return self._transfers(call, fiat=True)

    def _transfers(self, call: _Call, *, fiat: bool) -> Response:
        params = call.params
        kinds = {kind.lower() for kind in params.many("type")}
        assets = {asset.upper() for asset in params.many("symbol")}
        start_ms = params.integer("startDate")
        end_ms = params.integer("endDate")
        start_ms = call.venue_ms - _THIRTY_DAYS_MS if start_ms is None else start_ms
        end_ms = call.venue_ms if end_ms is None else end_ms
        rows = []
        for transfer in reversed(call.account.transfers):
            stamp_ms = transfer.time_ms + call.skew_ms
            if (transfer.asset in FIAT) is not fiat or not start_ms <= stamp_ms <= end_ms:
                continue
            if transfer.time_ms > call.now_ms - call.lag_ms:
                continue
            row = codec.transfer_row(transfer, call.skew_ms)
            if (kinds and row["balanceType"] not in kinds) or (assets and transfer.asset not in assets):
                continue
            rows.append(row)
        return json_response(200, codec.ok(rows, message="SUCCESS"))


def _with_comma(name: str, value: object) -> object:
    numeric = name in ("balance", "locked", "free", "orderFund", "requestFund")
    return value.replace(".", ",") if numeric and isinstance(value, str) else value


def _is_json(request: Request) -> bool:
    content_type = request.headers.get("content-type", "").split(";", 1)[0].strip().lower()
    return content_type in ("application/json", "text/json") or content_type.endswith("+json")


def _refused(refusal: Refusal) -> Response:
    return json_response(400, codec.failed(refusal.message, refusal.code))


def _order_refused(refusal: Refusal) -> Response:
    return json_response(400, codec.order_failed(refusal.message, refusal.code))


def body_text(body: bytes, limit: int = 4096) -> str:
    """A request body for people and logs: text, cut where it gets long."""
    return body[:limit].decode("utf-8", "replace")
