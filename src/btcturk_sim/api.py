"""The whole wire, without a socket: one request in, one response out, at a given time.

`Api.handle` is synchronous and deterministic. A request meets, in this order: faults that keep it from the exchange,
the list of blocked addresses, the route table, rate limits, authentication, the handler, and faults that spoil the
answer. What an account reads of itself is in `account_reads`. Every request is remembered with what was answered, for
the control interface and the recording.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Final

from btcturk_sim import codec
from btcturk_sim.account_reads import SECONDS_MAX, AccountReads
from btcturk_sim.auth import Authenticator, NonceRule
from btcturk_sim.call import Call, order_refused, refused
from btcturk_sim.candles import Candle
from btcturk_sim.engine import Engine
from btcturk_sim.errors import ConservationError
from btcturk_sim.faults import (
    SELECTIVE,
    FaultRegistry,
    FaultRule,
    Kind,
    Phase,
    access_denied,
    alter_after,
    answer_before,
)
from btcturk_sim.instruments import normalize_symbol
from btcturk_sim.limits import Blocklist, LimitsMode, RateLimiter
from btcturk_sim.money import exact
from btcturk_sim.orderform import INVALID_REQUEST_ERROR, read_order
from btcturk_sim.orders import NO_ORDER_MATCHES_YOUR_REQUEST, Refusal, pair_unknown
from btcturk_sim.pair import Pair
from btcturk_sim.spoils import UNSPOILED, Spoils
from btcturk_sim.wire import EMPTY_404, Delivery, Host, Params, Request, Response, json_response

TRADES_MAX: Final = 200
ALL_ORDERS_LIMIT_MAX: Final = 1000
#: The number is the documentation's; how long the block lasts is not known.
UNAUTHORIZED_MAX: Final = 50
UNAUTHORIZED_BLOCK_MS: Final = 600_000
BOOK_LEVELS_MAX: Final = 100
REQUESTS_KEPT_MAX: Final = 100_000
_ANSWER_KEPT_MAX: Final = 512
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
    #: Rows of a trade list at most, and of a page of allOrders.
    trades_max: int = TRADES_MAX
    all_orders_max: int = ALL_ORDERS_LIMIT_MAX
    #: This many 401 in a row are borne; the next blocks the address for so long. 0: never.
    unauthorized_max: int = UNAUTHORIZED_MAX
    unauthorized_block_ms: int = UNAUTHORIZED_BLOCK_MS


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


Handler = Callable[[Call], Response]


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
        self.blocklist = Blocklist(
            self.options.limits,
            accounts=len(accounts),
            after=self.options.unauthorized_max,
            block_ms=self.options.unauthorized_block_ms,
        )
        self._routes = self._route_table()

    def _route_table(self) -> dict[tuple[Host, str], dict[str, _Route]]:
        def public(handler: Handler, limit: str = "") -> dict[str, _Route]:
            return {"GET": _Route(handler, private=False, limit=limit)}

        def private(handler: Handler, limit: str) -> dict[str, _Route]:
            return {"GET": _Route(handler, private=True, limit=limit)}

        reads = AccountReads(self.engine, self.options)
        rest, graph = Host.REST, Host.GRAPH
        return {
            (rest, "/api/v2/server/time"): public(self._time),
            (rest, "/api/v2/server/ping"): public(self._ping),
            (rest, "/api/v2/server/exchangeinfo"): public(self._exchange_info),
            (rest, "/api/v2/ticker"): public(self._ticker, "ticker"),
            (rest, "/api/v2/ticker/currency"): public(self._ticker_currency, "ticker"),
            (rest, "/api/v2/orderbook"): public(self._order_book, "orderbook"),
            (rest, "/api/v2/trades"): public(self._trades),
            (rest, "/api/v1/users/balances"): private(reads.balances, "balances"),
            (rest, "/api/v1/users/transactions/trade"): private(reads.user_trades, "transactions.trade"),
            (rest, "/api/v1/users/transactions/crypto"): private(reads.crypto_transfers, "transactions.crypto"),
            (rest, "/api/v1/users/transactions/fiat"): private(reads.fiat_transfers, "transactions.fiat"),
            (rest, "/api/v1/order"): {
                "POST": _Route(self._submit, private=True, limit="order.submit"),
                "DELETE": _Route(self._cancel, private=True, limit="order.cancel"),
            },
            (rest, _ORDER_PATH): private(reads.single_order, "order.get"),
            (rest, "/api/v1/openorders"): private(reads.open_orders, "openOrders"),
            (rest, "/api/v1/allorders"): private(reads.all_orders, "allOrders"),
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
            selective = [rule for rule in struck if rule.kind in SELECTIVE]
            spoils = Spoils(selective) if selective else UNSPOILED
            response = self._answer(request, now_ms, struck, spoils)
            for rule in struck:
                if not _was_felt(rule, spoils):
                    self.faults.take_back(rule)
                elif rule.phase is Phase.AFTER:
                    response = alter_after(rule, request, response)
        if response.transport.delivery is not Delivery.DEFER:
            self._remember(request, response, now_ms)
        return response

    def _answer(self, request: Request, now_ms: int, struck: list[FaultRule], spoils: Spoils) -> Response:
        if self.engine.broken is not None:
            raise ConservationError(self.engine.broken)
        if self.blocklist.until_ms and self.blocklist.holds(request.client_ip, request.key, now_ms):
            return access_denied()
        routes = self._find(request)
        if routes is None:
            return EMPTY_404
        route = routes.get(request.method)
        if route is None:
            return Response(405, b"", (("Allow", ", ".join(routes)),))
        exceeded = self._limit(route, request, now_ms)
        if exceeded is not None:
            return exceeded
        call = Call(
            request, Params(request.query), now_ms, now_ms + self.skew_ms, self.skew_ms, self.settled_ms, spoils
        )
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
                self.blocklist.refused(request.client_ip, request.key, now_ms)
                payload = {"success": self.options.error_401_of_2019, "message": account, "code": 1037}
                return json_response(401, payload)
            if self.blocklist.in_a_row:
                self.blocklist.admitted(request.client_ip, request.key)
            call.authenticated = account
        try:
            response = route.handler(call)
            if any(rule.kind is Kind.DUPLICATE for rule in struck):
                route.handler(call)
        except ValueError:
            response = refused(INVALID_REQUEST_ERROR)
        marks = [rule.kind.value for rule in struck if rule.phase is Phase.WHILE and _was_felt(rule, spoils)]
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
        self.requests_seen += 1
        delivery = response.transport.delivery
        status = 0 if delivery is not Delivery.SEND and delivery.is_silent else response.status
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

    def _time(self, call: Call) -> Response:
        return json_response(200, codec.server_time(call.venue_ms))

    def _ping(self, call: Call) -> Response:
        return json_response(200, {"pong": True})

    def _exchange_info(self, call: Call) -> Response:
        payload = codec.exchange_info(self._listed(), call.venue_ms)
        return json_response(200, payload, ("Cache-Control", "public, max-age=30"))

    def _ticker(self, call: Call) -> Response:
        symbol = call.params.one("pairSymbol")
        if symbol is None:
            pairs = self._listed()
        else:
            pair = self.engine.known(symbol)
            pairs = [pair] if pair else []
        return json_response(200, codec.ok([codec.ticker_row(pair, call.venue_ms) for pair in pairs]))

    def _ticker_currency(self, call: Call) -> Response:
        asset = (call.params.one("symbol") or "").upper()
        rows = [
            codec.ticker_row(pair, call.venue_ms)
            for pair in self._listed()
            if asset in (pair.instrument.base, pair.instrument.quote)
        ]
        return json_response(200, codec.ok(rows))

    def _order_book(self, call: Call) -> Response:
        pair = self._pair(call, "pairSymbol")
        if isinstance(pair, Response):
            return pair
        limit = call.params.integer("limit") or BOOK_LEVELS_MAX
        return json_response(200, codec.order_book(pair, max(1, min(limit, BOOK_LEVELS_MAX)), call.venue_ms))

    def _trades(self, call: Call) -> Response:
        pair = self._pair(call, "pairSymbol")
        if isinstance(pair, Response):
            return pair
        last = max(1, min(call.params.integer("last") or 50, 50))
        rows = [codec.public_trade_row(pair, trade, call.skew_ms) for trade in islice(reversed(pair.trades), last)]
        return json_response(200, codec.ok(rows))

    def _ohlcs(self, call: Call) -> Response:
        pair = self._pair(call, "pair")
        if isinstance(pair, Response):
            return pair
        rows = self._candles(call, pair, 1440)
        places = pair.instrument.price_scale
        return json_response(
            200, [codec.daily_row(pair.instrument.symbol, second, one, places) for second, one in rows]
        )

    def _klines(self, call: Call) -> Response:
        pair = self._pair(call, "symbol")
        if isinstance(pair, Response):
            return pair
        minutes = _RESOLUTIONS.get((call.params.one("resolution") or "").upper())
        if minutes is None:
            return refused(INVALID_REQUEST_ERROR)
        return json_response(200, codec.klines(self._candles(call, pair, minutes)))

    def _candles(self, call: Call, pair: Pair, minutes: int) -> list[tuple[int, Candle]]:
        # The day that holds `from` counts, so that "today" finds today's bar.
        since = (call.params.integer("from") or 0) // (minutes * 60) * (minutes * 60)
        return pair.chart.candles(minutes, since, call.params.integer("to") or SECONDS_MAX)

    def _pair(self, call: Call, name: str) -> Pair | Response:
        symbol = call.params.one(name)
        if symbol is None:
            return refused(INVALID_REQUEST_ERROR)
        pair = self.engine.pairs.get(normalize_symbol(symbol))
        return refused(pair_unknown(symbol)) if pair is None or pair.delisted else pair

    def _listed(self) -> list[Pair]:
        return [pair for pair in self.engine.pairs.values() if not pair.delisted]

    # --- orders -----------------------------------------------------------------------------------------------

    def _submit(self, call: Call) -> Response:
        if not _is_json(call.request):
            return Response(415, b"", ())
        request = read_order(call.request.body, self.engine.instruments)
        if isinstance(request, Refusal):
            return order_refused(request)
        account, now_ms, spoils = call.account, call.now_ms, call.spoils
        if spoils is UNSPOILED:
            order = self.engine.submit(account, request, now_ms)
        else:
            order = self.engine.submit(account, request, now_ms, **spoils.fate(account, now_ms))
        if isinstance(order, Refusal):
            return order_refused(order)
        if spoils is not UNSPOILED:
            spoils.accepted(order)
        return json_response(200, codec.submitted(order, call.skew_ms))

    def _cancel(self, call: Call) -> Response:
        order_id = call.params.integer("id")
        if order_id is None:
            # An id in the body is not read.
            return refused(NO_ORDER_MATCHES_YOUR_REQUEST)
        if call.cancel_lost:
            known = call.account.find(order_id) is not None
            refusal = None if known else NO_ORDER_MATCHES_YOUR_REQUEST
        else:
            order = call.account.find(order_id)
            refusal = self.engine.cancel(call.account, -1 if order is None else order.id, call.now_ms)
        if refusal is not None:
            return refused(refusal)
        return json_response(200, {"success": True, "message": "SUCCESS", "code": 0})


def _was_felt(rule: FaultRule, spoils: Spoils) -> bool:
    return rule.kind not in SELECTIVE or rule.id in spoils.felt


def _is_json(request: Request) -> bool:
    content_type = request.headers.get("content-type", "").split(";", 1)[0].strip().lower()
    return content_type in ("application/json", "text/json") or content_type.endswith("+json")


def body_text(body: bytes, limit: int = 4096) -> str:
    """A request body for people and logs: text, cut where it gets long."""
    return body[:limit].decode("utf-8", "replace")
