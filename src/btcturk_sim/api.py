"""The whole wire, without a socket: one request in, one response out, at a given time.

`Api.handle` is synchronous and deterministic. A request meets, in this order: faults that keep it from the exchange,
the list of blocked addresses, the route table, rate limits, authentication, the handler, and faults that spoil the
answer. What is only read stands in `market_reads` and `account_reads`, the words of answers in `answers`. Every request
is remembered with what was answered, for the control interface and the recording.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from btcturk_sim.account_reads import AccountReads
from btcturk_sim.answers import Answers
from btcturk_sim.auth import INVALID_NONCE, INVALID_SIGNATURE, NOT_PERMITTED, Authenticator
from btcturk_sim.call import Call
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
from btcturk_sim.limits import Blocklist, RateLimiter
from btcturk_sim.market_reads import MarketReads
from btcturk_sim.money import exact
from btcturk_sim.options import TRADES_MAX as TRADES_MAX
from btcturk_sim.options import ApiOptions as ApiOptions
from btcturk_sim.orderform import INVALID_REQUEST_ERROR, read_order
from btcturk_sim.orders import (
    NO_ORDER_MATCHES_YOUR_REQUEST,
    Refusal,
)
from btcturk_sim.permissions import Permission
from btcturk_sim.spoils import UNSPOILED, Spoils
from btcturk_sim.wire import EMPTY_404, Delivery, Host, Params, Request, Response

REQUESTS_KEPT_MAX: Final = 100_000
_ANSWER_KEPT_MAX: Final = 512
_REUSED_STAMP: Final = {"nonce": INVALID_NONCE, "signature": INVALID_SIGNATURE, "accepted": None}
_ORDER_PATH: Final = "/api/v1/order/"


class RequestRecord(msgspec.Struct, frozen=True):
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


class _Route(msgspec.Struct, frozen=True):
    handler: Handler
    #: What a key needs for it; None: nobody has to say who he is.
    permission: Permission | None
    limit: str


class Api:
    def __init__(
        self, engine: Engine, *, faults: FaultRegistry | None = None, options: ApiOptions | None = None
    ) -> None:
        self.engine = engine
        self._answers = Answers(options or ApiOptions())
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
        self._obey()
        self._routes = self._route_table()

    @property
    def options(self) -> ApiOptions:
        """How the exchange answers; may be replaced at any time, but limits and the blocking rule stay."""
        return self._answers.options

    @options.setter
    def options(self, options: ApiOptions) -> None:
        self._answers.options = options
        self._obey()

    def _obey(self) -> None:
        """Let the doorkeepers follow the options."""
        options = self.options
        self._auth.rule = options.nonce
        self._auth.reused_text = _REUSED_STAMP[options.reused_stamp]
        self._limiter.together = options.account_ip == "together"
        self._limiter.limit_unlisted(options.unlisted_limit)

    def _route_table(self) -> dict[tuple[Host, str], dict[str, _Route]]:
        def public(handler: Handler, limit: str) -> dict[str, _Route]:
            return {"GET": _Route(handler, None, limit)}

        def private(handler: Handler, permission: Permission, limit: str) -> dict[str, _Route]:
            return {"GET": _Route(handler, permission, limit)}

        reads, market = AccountReads(self.engine, self._answers), MarketReads(self.engine, self._answers)
        rest, graph = Host.REST, Host.GRAPH
        funds, trade, account = Permission.FUNDS, Permission.TRADE, Permission.ACCOUNT
        return {
            (rest, "/api/v2/server/time"): public(market.time, "server.time"),
            (rest, "/api/v2/server/ping"): public(market.ping, "server.ping"),
            (rest, "/api/v2/server/exchangeinfo"): public(market.exchange_info, "exchangeinfo"),
            (rest, "/api/v2/ticker"): public(market.ticker, "ticker"),
            (rest, "/api/v2/ticker/currency"): public(market.ticker_currency, "ticker"),
            (rest, "/api/v2/orderbook"): public(market.order_book, "orderbook"),
            (rest, "/api/v2/trades"): public(market.trades, "trades"),
            (rest, "/api/v1/users/balances"): private(reads.balances, funds, "balances"),
            (rest, "/api/v1/users/transactions/trade"): private(reads.user_trades, account, "transactions.trade"),
            (rest, "/api/v1/users/transactions/crypto"): private(
                reads.crypto_transfers, account, "transactions.crypto"
            ),
            (rest, "/api/v1/users/transactions/fiat"): private(reads.fiat_transfers, account, "transactions.fiat"),
            (rest, "/api/v1/order"): {
                "POST": _Route(self._submit, trade, "order.submit"),
                "DELETE": _Route(self._cancel, trade, "order.cancel"),
            },
            (rest, _ORDER_PATH): private(reads.single_order, trade, "order.get"),
            (rest, "/api/v1/openorders"): private(reads.open_orders, trade, "openOrders"),
            (rest, "/api/v1/allorders"): private(reads.all_orders, trade, "allOrders"),
            # For people who have logged in on the web; no API key opens these.
            (rest, "/api/v2/order"): {"PUT": _Route(self._web_only, None, "web")},
            (rest, "/api/v3/account/trade-fee-rates"): public(self._web_only, "web"),
            (graph, "/v1/ohlcs"): public(market.ohlcs, "graph.ohlcs"),
            (graph, "/v1/klines/history"): public(market.klines, ""),
        }

    @property
    def routes(self) -> frozenset[tuple[Host, str, str]]:
        """(host, path in lower case, method) of everything that is answered."""
        return frozenset((host, path, method) for (host, path), verbs in self._routes.items() for method in verbs)

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
        if route.permission is not None:
            account = self._auth.authenticate(request, call.venue_ms)
            if not isinstance(account, str) and not account.may(route.permission, request.client_ip):
                account = NOT_PERMITTED
            if isinstance(account, str):
                self.blocklist.refused(request.client_ip, request.key, now_ms)
                return self._answers.unauthorized(account)
            if self.blocklist.in_a_row:
                self.blocklist.admitted(request.client_ip, request.key)
            call.authenticated = account
        try:
            response = route.handler(call)
            if any(rule.kind is Kind.DUPLICATE for rule in struck):
                route.handler(call)
        except ValueError:
            response = self._answers.refused(INVALID_REQUEST_ERROR)
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
                return self._answers.too_many(exceeded)
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

    def _web_only(self, call: Call) -> Response:
        self.blocklist.refused(call.request.client_ip, call.request.key, call.now_ms)
        return self._answers.unauthorized(NOT_PERMITTED)

    # --- orders -----------------------------------------------------------------------------------------------

    def _submit(self, call: Call) -> Response:
        if not _is_json(call.request):
            return Response(415, b"", ())
        exponents = self.engine.options.exponents == "accepted"
        request = read_order(call.request.body, self.engine.instruments, exponents=exponents)
        if isinstance(request, Refusal):
            return self._answers.order_refused(request)
        account, now_ms, spoils = call.account, call.now_ms, call.spoils
        if spoils is UNSPOILED:
            order = self.engine.submit(account, request, now_ms)
        else:
            order = self.engine.submit(account, request, now_ms, **spoils.fate(account, now_ms))
        if isinstance(order, Refusal):
            return self._answers.order_refused(order)
        if spoils is not UNSPOILED:
            spoils.accepted(order)
        return self._answers.accepted(order, call.skew_ms)

    def _cancel(self, call: Call) -> Response:
        order_id = call.params.integer("id")
        if order_id is None:
            # An id in the body is not read.
            return self._answers.refused(NO_ORDER_MATCHES_YOUR_REQUEST)
        if call.cancel_lost:
            known = call.account.find(order_id) is not None
            refusal = None if known else NO_ORDER_MATCHES_YOUR_REQUEST
        else:
            order = call.account.find(order_id)
            refusal = self.engine.cancel(call.account, -1 if order is None else order.id, call.now_ms)
        if refusal is not None:
            return self._answers.refused(refusal)
        return self._answers.cancel_taken()


def _was_felt(rule: FaultRule, spoils: Spoils) -> bool:
    return rule.kind not in SELECTIVE or rule.id in spoils.felt


def _is_json(request: Request) -> bool:
    content_type = request.headers.get("content-type", "").split(";", 1)[0].strip().lower()
    return content_type in ("application/json", "text/json") or content_type.endswith("+json")


def body_text(body: bytes, limit: int = 4096) -> str:
    """A request body for people and logs: text, cut where it gets long."""
    return body[:limit].decode("utf-8", "replace")
